//! The record store.

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashSet},
    str::FromStr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use favonius_contract::{
    ApplicationUid, AssetRef, Deployment, DeploymentName, InvalidDocument, SnapshotDocument,
    SnapshotId, replication::TargetRegion,
};
use favonius_storage::{
    Applied, Change, ChangeEvent, CommitError, ErrorKind, HISTORY_LIMIT, HistoryEntry, RecordStore,
    StorageError, VersionEntry,
};
use futures::{StreamExt, stream::BoxStream};
use redis::{FromRedisValue, Value, cmd, from_redis_value};
use tokio::time::Instant;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use crate::{
    InvalidOptions, RedisOptions, RedisTopology,
    changes::{News, Watcher, probe},
    client::{Call, Client, ScriptCall, Work},
    commit::{self, Answer, Arguments},
    dial::Dialer,
    keys::{Key, Keys},
    locate::Locator,
    scripts::{COMMIT, Lua},
};

/// Documents of more bytes are read away from the threads that serve.
const LARGE: usize = 128 * 1024;
/// How often a commit is made again because names changed hands meanwhile.
const ROUNDS: usize = 4;

/// Records in Redis. Clones share its connections.
#[derive(Debug, Clone)]
pub struct RedisRecords(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    client: Client,
    pub(crate) keys: Arc<Keys>,
    announces: bool,
    /// Queues that were opened here, to be opened again if Redis is emptied.
    opened: Mutex<HashSet<TargetRegion>>,
    news: Arc<News>,
    _stop: DropGuard,
}

impl RedisRecords {
    /// A store that connects when it is first used, and as often as it must: Redis need not be there yet.
    ///
    /// Its connections are driven by tasks on `tasks`. They end with the last clone of the store and of its changes, or
    /// when `stop` is cancelled, after which every call fails. Call it within a Tokio runtime.
    pub fn connect(
        options: &RedisOptions,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Result<Self, InvalidOptions> {
        let keys = Arc::new(Keys::new(&options.envs_prefix, &options.snapshots_prefix)?);
        check(options, &keys)?;
        let stop = stop.child_token();
        let dialer = Arc::new(Dialer::new(options, tasks.clone(), stop.clone())?);
        let locator = Arc::new(Locator::new(
            options.topology.clone(),
            keys.text(Key::Probe),
            Arc::clone(&dialer),
        ));
        let news = Arc::new(News::new());
        let watcher = Watcher {
            dialer: Arc::clone(&dialer),
            locator: Arc::clone(&locator),
            keys: Arc::clone(&keys),
            news: Arc::clone(&news),
            patience: options.command_timeout,
        };
        tasks.spawn(watcher.run(stop.clone()));
        let client = Client::new(dialer, locator, options.pool_size, options.command_timeout);
        Ok(Self(Arc::new(Inner {
            client,
            keys,
            announces: options.announce,
            opened: Mutex::default(),
            news,
            _stop: stop.drop_guard(),
        })))
    }
}

fn check(options: &RedisOptions, keys: &Keys) -> Result<(), InvalidOptions> {
    match &options.topology {
        RedisTopology::Cluster { seeds } if seeds.is_empty() => {
            return Err(InvalidOptions::NoServer("node of the cluster"));
        }
        RedisTopology::Sentinel { sentinels, .. } if sentinels.is_empty() => {
            return Err(InvalidOptions::NoServer("Sentinel"));
        }
        RedisTopology::Cluster { .. } if !keys.share_a_slot() => {
            return Err(InvalidOptions::HashTag {
                envs: options.envs_prefix.clone(),
                snapshots: options.snapshots_prefix.clone(),
            });
        }
        _ => {}
    }
    if options.pool_size == 0 {
        return Err(InvalidOptions::NoConnections);
    }
    Ok(())
}

impl Inner {
    pub(crate) fn opened(&self) -> MutexGuard<'_, HashSet<TargetRegion>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn command(
        &self,
        doing: &'static str,
        key: &str,
        command: redis::Cmd,
        operation: &'static str,
    ) -> Result<Value, StorageError> {
        let call = Call {
            doing,
            key,
            operation,
            bytes: 0,
            work: Work::Command(command),
            begun: Instant::now(),
        };
        self.client.call(&call).await
    }

    /// A command of a name and a key, and its answer as what it should be.
    pub(crate) async fn ask<T: FromRedisValue>(
        &self,
        doing: &'static str,
        operation: &'static str,
        key: &str,
        arguments: &[&str],
    ) -> Result<T, StorageError> {
        let mut command = cmd(operation);
        command.arg(key).arg(arguments);
        let answer = self.command(doing, key, command, operation).await?;
        from_redis_value(answer).map_err(|error| strange(doing, key, error))
    }

    /// A document, read where that holds up nobody. Absence is `None`.
    async fn document<T: Send + 'static>(
        &self,
        doing: &'static str,
        key: &str,
        read: fn(Vec<u8>) -> Result<T, InvalidDocument>,
    ) -> Result<Option<T>, StorageError> {
        let json: Option<Vec<u8>> = self.ask(doing, "GET", key, &[]).await?;
        let Some(json) = json else { return Ok(None) };
        let outcome = if json.len() > LARGE {
            let task = tokio::task::spawn_blocking(move || read(json));
            task.await.map_err(|error| {
                StorageError::new(ErrorKind::Internal, doing, key).because(error)
            })?
        } else {
            read(json)
        };
        outcome
            .map(Some)
            .map_err(|error| StorageError::new(ErrorKind::Corrupt, doing, key).because(error))
    }

    /// A script, and its answer as what it should be.
    pub(crate) async fn run<T: FromRedisValue>(
        &self,
        doing: &'static str,
        lua: &'static Lua,
        keys: &[String],
        arguments: &[Cow<'_, [u8]>],
    ) -> Result<T, StorageError> {
        let key = keys.first().map_or("", String::as_str);
        let call = Call {
            doing,
            key,
            operation: "EVALSHA",
            bytes: arguments.iter().map(|text| text.len()).sum(),
            work: Work::Script(ScriptCall {
                lua,
                keys,
                arguments,
            }),
            begun: Instant::now(),
        };
        let answer = self.client.call(&call).await?;
        from_redis_value(answer).map_err(|error| strange(doing, key, error))
    }

    /// Makes the changes, or none of them.
    pub(crate) async fn commit(
        &self,
        changes: &[Change],
        announces: bool,
    ) -> Result<Vec<Applied>, CommitError> {
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        let (doing, key) = commit::DOING;
        let begun = Instant::now();
        let mut losers: Vec<ApplicationUid> = Vec::new();
        for _ in 0..ROUNDS {
            let arguments = Arguments::new(&self.keys, changes, &losers, announces);
            let call = Call {
                doing,
                key,
                operation: "EVALSHA",
                bytes: arguments.bytes(),
                work: Work::Script(ScriptCall {
                    lua: &COMMIT,
                    keys: &arguments.keys,
                    arguments: &arguments.texts,
                }),
                begun,
            };
            let answer = self.client.call(&call).await?;
            match commit::read_answer(changes, answer)? {
                Answer::Applied(applied) => return Ok(applied),
                Answer::Losers(more) => losers.extend(more),
            }
        }
        let error = StorageError::new(ErrorKind::Unavailable, doing, key);
        Err(error.because("names changed hands all the time").into())
    }

    /// The members of a set that are what they should be.
    async fn members<T: FromStr>(
        &self,
        doing: &'static str,
        key: &str,
    ) -> Result<impl Iterator<Item = T> + use<T>, StorageError> {
        let call = Call {
            doing,
            key,
            operation: "SSCAN",
            bytes: 0,
            work: Work::Members(key),
            begun: Instant::now(),
        };
        let answer = self.client.call(&call).await?;
        let members: Vec<Vec<u8>> =
            from_redis_value(answer).map_err(|error| strange(doing, key, error))?;
        Ok(members
            .into_iter()
            .filter_map(|member| str::from_utf8(&member).ok()?.parse().ok()))
    }
}

pub(crate) fn strange(
    doing: &'static str,
    key: &str,
    why: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> StorageError {
    StorageError::new(ErrorKind::Internal, doing, key).because(why)
}

#[async_trait]
impl RecordStore for RedisRecords {
    async fn deployment(&self, name: &DeploymentName) -> Result<Option<Deployment>, StorageError> {
        let key = self.0.keys.text(Key::Name(name));
        let read = |json: Vec<u8>| Deployment::parse(&json);
        self.0.document("read deployment", &key, read).await
    }

    async fn snapshot(&self, id: &SnapshotId) -> Result<Option<SnapshotDocument>, StorageError> {
        let key = self.0.keys.text(Key::Snapshot(id));
        let read = SnapshotDocument::parse;
        self.0.document("read snapshot", &key, read).await
    }

    async fn known_assets(
        &self,
        application: &ApplicationUid,
    ) -> Result<Vec<AssetRef>, StorageError> {
        let key = self.0.keys.text(Key::Assets(application));
        let assets: HashSet<AssetRef> = self.0.members("list assets", &key).await?.collect();
        Ok(assets.into_iter().collect())
    }

    async fn knows_asset(
        &self,
        application: &ApplicationUid,
        asset: AssetRef,
    ) -> Result<bool, StorageError> {
        let key = self.0.keys.text(Key::Assets(application));
        let asset = asset.to_string();
        self.0
            .ask("look up asset", "SISMEMBER", &key, &[&asset])
            .await
    }

    async fn versions(
        &self,
        application: &ApplicationUid,
        limit: usize,
    ) -> Result<Vec<VersionEntry>, StorageError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let key = self.0.keys.text(Key::Versions(application));
        let last = i64::try_from(limit - 1).unwrap_or(i64::MAX).to_string();
        let found: Vec<(Vec<u8>, f64)> = self
            .0
            .ask(
                "list versions",
                "ZREVRANGE",
                &key,
                &["0", &last, "WITHSCORES"],
            )
            .await?;
        let entry = |(id, score): (Vec<u8>, f64)| {
            let snapshot_id = str::from_utf8(&id).ok()?.parse().ok()?;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "saturates; it was such a number before"
            )]
            let created_at_ms = score as u64;
            Some(VersionEntry {
                snapshot_id,
                created_at_ms,
            })
        };
        Ok(found.into_iter().filter_map(entry).collect())
    }

    async fn names(
        &self,
        application: &ApplicationUid,
    ) -> Result<Vec<DeploymentName>, StorageError> {
        let key = self.0.keys.text(Key::Names(application));
        let names: BTreeSet<DeploymentName> = self.0.members("list names", &key).await?.collect();
        Ok(names.into_iter().collect())
    }

    async fn history(&self, name: &DeploymentName) -> Result<Vec<HistoryEntry>, StorageError> {
        let key = self.0.keys.text(Key::History(name));
        let doing = "read history";
        let last = (HISTORY_LIMIT - 1).to_string();
        let entries: Vec<Vec<u8>> = self.0.ask(doing, "LRANGE", &key, &["0", &last]).await?;
        let entries: Result<_, _> = entries
            .iter()
            .map(|entry| serde_json::from_slice(entry))
            .collect();
        entries.map_err(|error| StorageError::new(ErrorKind::Corrupt, doing, key).because(error))
    }

    async fn commit(&self, changes: Vec<Change>) -> Result<Vec<Applied>, CommitError> {
        self.0.commit(&changes, self.0.announces).await
    }

    fn changes(&self) -> BoxStream<'static, ChangeEvent> {
        // The store lives as long as its readers: without it nothing would be told.
        let keep = self.clone();
        self.0
            .news
            .read()
            .inspect(move |_| {
                let _: &Self = &keep;
            })
            .boxed()
    }

    async fn check(&self) -> Result<(), StorageError> {
        let key = self.0.keys.text(Key::Probe);
        let probe = probe(&self.0.keys);
        self.0.command("reach", &key, probe, "SETRANGE").await?;
        Ok(())
    }
}
