//! Calls: a command or a script with its deadline, its retries and its way to the right server.

use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use deadpool::managed::{
    Manager, Metrics, Object, Pool, PoolError, QueueMode, RecycleError, RecycleResult,
};
use favonius_storage::StorageError;
use redis::{Cmd, RedisError, RedisResult, ServerErrorKind, Value, cmd};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::Instrument;

use crate::{
    dial::{Dialer, Link, Login},
    error::{Failure, code_of, timed_out},
    locate::{Locator, Place, redirection},
    scripts::Lua,
};

/// What a call may take besides its command: waiting for a connection, and trying again.
const SPARE: Duration = Duration::from_millis(200);
/// Bytes a second that a slow network takes at least: a call that sends much may take longer.
const SLOWEST: u64 = 16 * 1024 * 1024;
/// Most attempts of one call.
const ATTEMPTS: u32 = 6;
/// The wait after the first attempt; it doubles with each.
const FIRST_WAIT: Duration = Duration::from_millis(25);
/// A connection that was idle for longer is asked whether it is still there.
const IDLE: Duration = Duration::from_secs(1);
/// For how long it is asked.
const STILL_THERE: Duration = Duration::from_millis(300);
/// Members that one step of a scan asks for: large enough to be quick, small enough not to hold up others.
const SCAN_STEP: usize = 5_000;

/// What is to be done at the server.
#[derive(Debug)]
pub(crate) enum Work<'a> {
    /// One command.
    Command(Cmd),
    /// All members of a set, each at least once.
    Members(&'a str),
    /// A script.
    Script(ScriptCall<'a>),
}

/// A script with what it is given.
pub(crate) struct ScriptCall<'a> {
    pub(crate) lua: &'static Lua,
    pub(crate) keys: &'a [String],
    pub(crate) arguments: &'a [Cow<'a, [u8]>],
}

impl fmt::Debug for ScriptCall<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptCall")
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

/// A call, and how to speak of it.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    /// For errors: what could not be done, in the infinitive.
    pub(crate) doing: &'static str,
    /// For errors: to what.
    pub(crate) key: &'a str,
    /// For traces: the command.
    pub(crate) operation: &'static str,
    /// What is to be done. It may be done twice.
    pub(crate) work: Work<'a>,
    /// Bytes that are sent, about.
    pub(crate) bytes: usize,
    /// When its time began to run.
    pub(crate) begun: Instant,
}

/// Makes calls at the server that holds the records.
pub(crate) struct Client {
    pool: Pool<Links>,
    locator: Arc<Locator>,
    dialer: Arc<Dialer>,
    command_timeout: Duration,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("pool", &self.pool.status())
            .field("locator", &self.locator)
            .finish_non_exhaustive()
    }
}

impl Client {
    pub(crate) fn new(
        dialer: Arc<Dialer>,
        locator: Arc<Locator>,
        pool_size: usize,
        command_timeout: Duration,
    ) -> Self {
        let links = Links {
            dialer: Arc::clone(&dialer),
            locator: Arc::clone(&locator),
            distrusted: Mutex::new(None),
        };
        // The connection that was used last is the one that is most likely to be there.
        let pool = Pool::builder(links)
            .max_size(pool_size)
            .queue_mode(QueueMode::Lifo)
            .build()
            .expect("without time-outs of its own the pool needs no runtime to build");
        Self {
            pool,
            locator,
            dialer,
            command_timeout,
        }
    }

    /// Makes a call. The answer, also a failing one, comes within the command's time and a little more.
    pub(crate) async fn call(&self, call: &Call<'_>) -> Result<Value, StorageError> {
        let span = tracing::debug_span!(
            "redis",
            otel.name = format_args!("redis {}", call.operation),
            otel.kind = "client",
            db.system.name = "redis",
            db.operation.name = call.operation,
            "error.type" = tracing::field::Empty,
        );
        let outcome = self.attempts(call).instrument(span.clone()).await;
        outcome.map_err(|failure| {
            span.record("error.type", failure.kind().as_str());
            StorageError::new(failure.kind(), call.doing, call.key).because(failure)
        })
    }

    async fn attempts(&self, call: &Call<'_>) -> Result<Value, Failure> {
        let sending = Duration::from_millis(call.bytes as u64 * 1_000 / SLOWEST);
        let limit = self.command_timeout + sending;
        let end = call.begun + limit + SPARE;
        let mut wait = FIRST_WAIT;
        let mut attempt = 1;
        loop {
            let failure = match self.attempt(call, limit, end).await {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            let pause = wait.mul_f64(rand::random_range(0.5..1.0));
            if !is_passing(&failure) || attempt == ATTEMPTS || Instant::now() + pause >= end {
                return Err(failure);
            }
            tracing::debug!(
                attempt,
                error = &failure as &dyn std::error::Error,
                "Trying again"
            );
            sleep(pause).await;
            wait *= 2;
            attempt += 1;
        }
    }

    async fn attempt(
        &self,
        call: &Call<'_>,
        limit: Duration,
        end: Instant,
    ) -> Result<Value, Failure> {
        let begun = Instant::now();
        let Ok(pooled) = timeout_at(end, self.pool.get()).await else {
            return Err(Failure::NoConnection(begun.elapsed()));
        };
        let mut pooled = pooled.map_err(|error| match error {
            PoolError::Backend(error) => Failure::Redis(error),
            // It has no other reason to fail: no time-outs, no hooks, never closed.
            _ => Failure::NoConnection(begun.elapsed()),
        })?;
        let begun = Instant::now();
        let work = perform(&call.work, &mut pooled.link);
        let error = match timeout_at(end.min(begun + limit), work).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => error,
            Err(_) => {
                // Whether it will ever answer is unknown: nobody else shall wait for it.
                drop(Object::take(pooled));
                return Err(Failure::NoAnswer(begun.elapsed()));
            }
        };
        let place = pooled.place.clone();
        match code_of(&error) {
            Some("MOVED") if self.locator.is_cluster() => {
                match redirection(&error, &place.endpoint) {
                    Some(to) => self.locator.follow(place.generation, to),
                    None => self.locator.leave(place.generation),
                }
            }
            Some("ASK") if self.locator.is_cluster() => {
                if let Some(to) = redirection(&error, &place.endpoint) {
                    return self.ask(call, &to, end).await;
                }
            }
            Some("READONLY" | "MASTERDOWN" | "CLUSTERDOWN") => {
                self.locator.leave(place.generation);
            }
            _ => {}
        }
        if error.is_unrecoverable_error() {
            drop(Object::take(pooled));
        }
        Err(error.into())
    }

    /// While a slot is on its way to another node, that one takes what has arrived, if it is asked to.
    async fn ask(
        &self,
        call: &Call<'_>,
        to: &crate::Endpoint,
        end: Instant,
    ) -> Result<Value, Failure> {
        let begun = Instant::now();
        let ask = async {
            let mut link = self.dialer.dial(to, Login::Records, None).await?;
            cmd("ASKING").exec_async(&mut link.connection).await?;
            perform(&call.work, &mut link).await
        };
        match timeout_at(end, ask).await {
            Ok(outcome) => Ok(outcome?),
            Err(_) => Err(Failure::NoAnswer(begun.elapsed())),
        }
    }
}

/// Whether it may be different the next time.
fn is_passing(failure: &Failure) -> bool {
    failure.kind() == favonius_storage::ErrorKind::Unavailable
        && !matches!(failure, Failure::Redis(error) if code_of(error) == Some("MISCONF"))
}

async fn perform(work: &Work<'_>, link: &mut Link) -> RedisResult<Value> {
    let connection = &mut link.connection;
    match work {
        Work::Command(command) => command.query_async(connection).await,
        Work::Members(key) => {
            let mut all = Vec::new();
            let mut cursor = Vec::from(*b"0");
            loop {
                let mut step = cmd("SSCAN");
                step.arg(*key).arg(&cursor).arg("COUNT").arg(SCAN_STEP);
                let (next, members): (Vec<u8>, Vec<Value>) = step.query_async(connection).await?;
                all.extend(members);
                if next == b"0" {
                    return Ok(Value::Array(all));
                }
                cursor = next;
            }
        }
        Work::Script(call) => {
            let by_hash = call.command("EVALSHA", call.lua.script.get_hash());
            match by_hash.query_async(connection).await {
                Err(error) if error.kind() == ServerErrorKind::NoScript.into() => {
                    let in_full = call.command("EVAL", call.lua.code);
                    in_full.query_async(connection).await
                }
                outcome => outcome,
            }
        }
    }
}

impl ScriptCall<'_> {
    fn command(&self, name: &str, script: &str) -> Cmd {
        let mut command = cmd(name);
        command.arg(script).arg(self.keys.len()).arg(self.keys);
        for argument in self.arguments {
            command.arg(&**argument);
        }
        command
    }
}

/// Makes connections for the pool and looks after them.
#[derive(Debug)]
struct Links {
    dialer: Arc<Dialer>,
    locator: Arc<Locator>,
    /// Connections that were not used since then are in no better state than one that was asked and did not answer.
    distrusted: Mutex<Option<Instant>>,
}

/// A connection, and where it leads.
#[derive(Debug)]
struct Pooled {
    link: Link,
    place: Place,
    last_used: Instant,
}

impl Links {
    fn distrusted(&self) -> MutexGuard<'_, Option<Instant>> {
        self.distrusted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Manager for Links {
    type Type = Pooled;
    type Error = RedisError;

    async fn create(&self) -> Result<Pooled, RedisError> {
        let place = self.locator.place().await?;
        let dialed = self.dialer.dial(&place.endpoint, Login::Records, None);
        let link = dialed
            .await
            .inspect_err(|_| self.locator.doubt(place.generation))?;
        Ok(Pooled {
            link,
            place,
            last_used: Instant::now(),
        })
    }

    async fn recycle(&self, pooled: &mut Pooled, _: &Metrics) -> RecycleResult<RedisError> {
        if pooled.link.is_closed() {
            return Err(RecycleError::message("it is closed"));
        }
        if pooled.place.generation != self.locator.generation() {
            return Err(RecycleError::message("the records have moved"));
        }
        if self
            .distrusted()
            .is_some_and(|since| pooled.last_used < since)
        {
            return Err(RecycleError::message("another one does not answer"));
        }
        if pooled.last_used.elapsed() > IDLE {
            let ping = cmd("PING");
            let answer = ping.exec_async(&mut pooled.link.connection);
            timeout(STILL_THERE, answer).await.unwrap_or_else(|_| {
                *self.distrusted() = Some(Instant::now());
                Err(timed_out())
            })?;
        }
        pooled.last_used = Instant::now();
        Ok(())
    }
}
