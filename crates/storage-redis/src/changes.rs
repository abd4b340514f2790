//! Telling what changes: one connection that Redis tells of every write under the prefixes that matter.
//!
//! Client tracking in broadcast mode tells of writes by anyone, also by hand, and of keys that expire or are evicted. It
//! tells the name of a key, once for all writes that happen at once. What it does not do is end well: a connection that
//! is cut silently looks like one on which nothing changes, so the server is asked every now and then.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use favonius_storage::ChangeEvent;
use futures::{StreamExt, future, stream, stream::BoxStream};
use redis::{Cmd, PushInfo, PushKind, RedisError, Value, aio::SendError, cmd};
use tokio::{
    sync::broadcast,
    time::{sleep, timeout},
};
use tokio_stream::wrappers::{BroadcastStream, errors::BroadcastStreamRecvError};
use tokio_util::sync::CancellationToken;

use crate::{
    dial::{Dialer, Link, Listener, Login},
    error::{Failure, code_of},
    keys::{Key, Keys},
    locate::{Locator, Place},
};

/// Changes that a slow reader may be behind before it is told to look at everything again.
const WAITING_CHANGES: usize = 4096;
/// How often the server is asked whether it is still there and still the right one.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How often the Sentinels are asked whether it is still the right one.
const RECHECK: Duration = Duration::from_secs(10);
/// The wait before the first attempt to connect again; it doubles with each up to the last one.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LAST_WAIT: Duration = Duration::from_secs(2);

/// Passes changes on to all readers.
#[derive(Debug)]
pub(crate) struct News {
    told: broadcast::Sender<ChangeEvent>,
    is_connected: AtomicBool,
}

impl News {
    pub(crate) fn new() -> Self {
        Self {
            told: broadcast::Sender::new(WAITING_CHANGES),
            is_connected: AtomicBool::new(false),
        }
    }

    /// What is told from now on, after whether changes are told at all.
    pub(crate) fn read(&self) -> BoxStream<'static, ChangeEvent> {
        // In this order, and `set_connected` in the other one, so that nothing falls in between.
        let changes = BroadcastStream::new(self.told.subscribe()).map(|change| match change {
            Ok(change) => change,
            Err(BroadcastStreamRecvError::Lagged(_)) => ChangeEvent::Connected,
        });
        let first = if self.is_connected.load(Ordering::SeqCst) {
            ChangeEvent::Connected
        } else {
            ChangeEvent::Disconnected
        };
        stream::once(future::ready(first)).chain(changes).boxed()
    }

    fn tell(&self, change: ChangeEvent) {
        // Nobody listens: nobody has anything to forget.
        drop(self.told.send(change));
    }

    fn set_connected(&self, is_connected: bool) {
        let was_connected = self.is_connected.swap(is_connected, Ordering::SeqCst);
        if is_connected {
            self.tell(ChangeEvent::Connected);
        } else if was_connected {
            self.tell(ChangeEvent::Disconnected);
        }
    }
}

/// Keeps a connection on which Redis tells what changes.
#[derive(Debug)]
pub(crate) struct Watcher {
    pub(crate) dialer: Arc<Dialer>,
    pub(crate) locator: Arc<Locator>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) news: Arc<News>,
    /// How long the server may take to answer.
    pub(crate) patience: Duration,
}

impl Watcher {
    /// Runs until it is told to stop.
    pub(crate) async fn run(self, stop: CancellationToken) {
        tokio::select! {
            () = self.keep_watching() => {}
            () = stop.cancelled() => {}
        }
        self.news.set_connected(false);
    }

    async fn keep_watching(&self) {
        let mut wait = FIRST_WAIT;
        loop {
            match self.watch(&mut wait).await {
                Ok(()) => {}
                Err(failure) if wait == FIRST_WAIT => tracing::warn!(
                    error = &failure as &dyn std::error::Error,
                    "Redis does not tell what changes: what is known is checked before it is used"
                ),
                Err(failure) => tracing::debug!(
                    error = &failure as &dyn std::error::Error,
                    "Redis still does not tell what changes"
                ),
            }
            sleep(wait.mul_f64(rand::random_range(0.5..1.0))).await;
            wait = (wait * 2).min(LAST_WAIT);
        }
    }

    /// Connects and passes on what is told, until the connection breaks or the records are elsewhere.
    async fn watch(&self, wait: &mut Duration) -> Result<(), Failure> {
        let place = self.locator.place().await?;
        let outcome = async {
            let mut link = self.connect(&place).await?;
            if *wait > FIRST_WAIT {
                tracing::info!("Redis tells what changes again");
                *wait = FIRST_WAIT;
            }
            self.news.set_connected(true);
            tokio::select! {
                failure = self.attend(&mut link) => Err(failure),
                () = self.moved_from(&place) => Ok(()),
            }
        };
        let outcome = outcome.await;
        self.news.set_connected(false);
        match &outcome {
            Err(Failure::Redis(error)) if is_wrong(error) => self.locator.leave(place.generation),
            Err(_) => self.locator.doubt(place.generation),
            Ok(()) => {}
        }
        outcome
    }

    /// A connection on which changes are told from now on.
    async fn connect(&self, place: &Place) -> Result<Link, Failure> {
        let listener = self.listener();
        let dialed = self
            .dialer
            .dial(&place.endpoint, Login::Records, Some(listener));
        let mut link = dialed.await?;
        let mut track = cmd("CLIENT");
        track.arg("TRACKING").arg("ON").arg("BCAST");
        for prefix in self.keys.watched() {
            track.arg("PREFIX").arg(prefix);
        }
        self.ask(&mut link, &track).await?;
        self.probe(&mut link).await?;
        Ok(link)
    }

    /// Waits until the connection breaks or its server is not the right one any more, and tells why.
    async fn attend(&self, link: &mut Link) -> Failure {
        loop {
            tokio::select! {
                () = link.closed() => {
                    let gone = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
                    return RedisError::from(gone).into();
                }
                () = sleep(HEARTBEAT) => {}
            }
            if let Err(failure) = self.probe(link).await {
                return failure;
            }
        }
    }

    /// Waits until the records are elsewhere.
    async fn moved_from(&self, place: &Place) {
        loop {
            tokio::select! {
                () = self.locator.moved_from(place.generation) => return,
                () = sleep(RECHECK) => self.locator.recheck().await,
            }
        }
    }

    /// Asks whether the server would take a write for the records. That it has no room, say, does not matter here.
    async fn probe(&self, link: &mut Link) -> Result<(), Failure> {
        match self.ask(link, &probe(&self.keys)).await {
            Err(Failure::Redis(error)) if error.code().is_some() && !is_deaf(&error) => Ok(()),
            outcome => outcome,
        }
    }

    async fn ask(&self, link: &mut Link, question: &Cmd) -> Result<(), Failure> {
        let answer = question.exec_async(&mut link.connection);
        match timeout(self.patience, answer).await {
            Ok(outcome) => Ok(outcome?),
            Err(_) => Err(Failure::NoAnswer(self.patience)),
        }
    }

    /// Passes on what Redis tells.
    fn listener(&self) -> Listener {
        let (news, keys) = (Arc::clone(&self.news), Arc::clone(&self.keys));
        Arc::new(move |push: PushInfo| -> Result<(), SendError> {
            if push.kind == PushKind::Invalidate {
                push.data.iter().for_each(|told| tell(&news, &keys, told));
            }
            Ok(())
        })
    }
}

/// A command that changes nothing, but is refused where a write would be refused.
pub(crate) fn probe(keys: &Keys) -> Cmd {
    let mut command = cmd("SETRANGE");
    command.arg(keys.text(Key::Probe)).arg(0).arg("");
    command
}

/// Whether an answer means that the server does not hold the records any more.
fn is_wrong(error: &RedisError) -> bool {
    matches!(
        code_of(error),
        Some("READONLY" | "MOVED" | "CLUSTERDOWN" | "MASTERDOWN")
    )
}

/// Whether an answer means that the server does not see all writes.
fn is_deaf(error: &RedisError) -> bool {
    is_wrong(error) || matches!(code_of(error), Some("ASK" | "LOADING"))
}

fn tell(news: &News, keys: &Keys, told: &Value) {
    match told {
        // The whole database was emptied.
        Value::Nil => news.tell(ChangeEvent::Connected),
        Value::Array(changed) => {
            for key in changed {
                if let Value::BulkString(key) = key
                    && let Some(change) = keys.changed(key)
                {
                    news.tell(change);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reader_knows_first_whether_changes_are_told() {
        use ChangeEvent::{Connected, Disconnected};
        let news = News::new();
        let mut early = news.read();
        news.set_connected(true);
        news.set_connected(true);
        let mut late = news.read();
        let www = ChangeEvent::Name("www".parse().unwrap());
        news.tell(www.clone());
        news.set_connected(false);
        news.set_connected(false);

        for expected in [
            Disconnected,
            Connected,
            Connected,
            www.clone(),
            Disconnected,
        ] {
            assert_eq!(early.next().await, Some(expected));
        }
        for expected in [Connected, www, Disconnected] {
            assert_eq!(late.next().await, Some(expected));
        }
        let more = timeout(Duration::from_millis(1), early.next()).await;
        assert!(more.is_err(), "{more:?}");
    }

    #[tokio::test]
    async fn a_slow_reader_is_told_to_look_at_everything_again() {
        let news = News::new();
        let mut slow = news.read();
        news.set_connected(true);
        for number in 0..=WAITING_CHANGES {
            news.tell(ChangeEvent::Name(number.to_string().parse().unwrap()));
        }
        assert_eq!(slow.next().await, Some(ChangeEvent::Disconnected));
        assert_eq!(slow.next().await, Some(ChangeEvent::Connected));
        let next = ChangeEvent::Name("1".parse().unwrap());
        assert_eq!(slow.next().await, Some(next));
    }

    #[tokio::test]
    async fn what_redis_tells_is_understood() {
        let news = News::new();
        let keys = Keys::new("{x}:envs:", "{x}:snapshots:").unwrap();
        let mut reader = news.read();
        let key = |text: &str| Value::BulkString(text.into());
        let told = [
            Value::Array(vec![
                key("{x}:envs:a"),
                key("{x}:other"),
                key("{x}:snapshots:u-1.a.b.c"),
            ]),
            Value::Int(5),
            Value::Nil,
        ];
        for told in &told {
            tell(&news, &keys, told);
        }
        let expected = [
            ChangeEvent::Disconnected,
            ChangeEvent::Name("a".parse().unwrap()),
            ChangeEvent::Snapshot("u-1.a.b.c".parse().unwrap()),
            ChangeEvent::Connected,
        ];
        for expected in expected {
            assert_eq!(reader.next().await, Some(expected));
        }
    }
}
