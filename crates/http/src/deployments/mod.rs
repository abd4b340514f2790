//! What names answer with, kept in memory for as long as the store says that it has not changed.
//!
//! 1. While the store tells its changes, a deployment in memory is used without asking.
//! 2. When it does not tell them, a deployment is used only after it was read again.
//! 3. When it does not answer at all, the last known deployment is used: stale is better than down. What is not known
//!    is an error, never "not found".
//! 4. Absence is remembered for a second, so that a flood of unknown hosts does not become a flood of reads.
//!
//! A read that began before a change was told never counts as the state after it.

mod build;
mod live;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use favonius_contract::{Delimiter, Deployment, DeploymentName, SnapshotId};
use favonius_storage::{ChangeEvent, RecordStore, StorageError};
use favonius_telemetry::{
    Instruments,
    instruments::{Cache as Kept, Lookup},
};
use futures::{
    FutureExt, StreamExt,
    future::{BoxFuture, Shared, WeakShared},
};
use quick_cache::{
    DefaultHashBuilder, Equivalent, OptionsBuilder, Weighter,
    sync::{Cache, DefaultLifecycle},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument as _;

use self::build::Builds;
pub(crate) use self::live::Live;
use crate::flight::{Flights, part_of_request};

/// How long an unknown name is remembered as such.
const UNKNOWN_FOR: Duration = Duration::from_secs(1);
/// How many unknown names are remembered.
const UNKNOWN_LIMIT: usize = 16_384;
/// From how many deployments before the present one files are still served.
const SKEW_WINDOW: usize = 5;
/// How long a request waits for a deployment to be read again when the last known one could be served.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often a store that failed is tried again.
const RETRY_EVERY: Duration = Duration::from_millis(250);
/// How often it is told that a record cannot be read.
const UNREADABLE_EVERY: Duration = Duration::from_mins(1);
/// Deployments that the cache is laid out for; its bound is their size.
const EXPECTED_DEPLOYMENTS: usize = 4096;

type Loaded = Result<Option<Arc<Live>>, Arc<StorageError>>;
type Past = Result<Arc<[SnapshotId]>, Arc<StorageError>>;
type Load = Shared<BoxFuture<'static, Loaded>>;
/// A read under way: the number of changes that were told when it began, and when that was.
type Loading = (u64, Instant, WeakShared<BoxFuture<'static, Loaded>>);

/// A name as text: it has the hash of the name itself.
#[derive(Hash)]
struct Named<'a>(&'a str);

impl Equivalent<DeploymentName> for Named<'_> {
    fn equivalent(&self, name: &DeploymentName) -> bool {
        self.0 == name.as_str()
    }
}

#[derive(Clone)]
struct BySize;

impl Weighter<DeploymentName, Arc<Live>> for BySize {
    fn weight(&self, name: &DeploymentName, live: &Arc<Live>) -> u64 {
        (name.as_str().len() + live.memory_bytes()) as u64
    }
}

#[derive(Clone)]
struct VersionBySize;

impl Weighter<SnapshotId, Arc<Live>> for VersionBySize {
    fn weight(&self, id: &SnapshotId, live: &Arc<Live>) -> u64 {
        (id.as_str().len() + live.memory_bytes()) as u64
    }
}

/// A cache in few shards: what is larger than its share of a shard is not kept, and deployments and pages can be large.
pub(crate) fn cache<K, V, W>(expected: usize, memory_bytes: u64, weighter: W) -> Cache<K, V, W>
where
    K: Eq + std::hash::Hash,
    V: Clone,
    W: Weighter<K, V> + Clone,
{
    let options = OptionsBuilder::new()
        .shards(2)
        .estimated_items_capacity(expected)
        .weight_capacity(memory_bytes)
        .build()
        .expect("both capacities are set");
    Cache::with_options(
        options,
        weighter,
        DefaultHashBuilder::default(),
        DefaultLifecycle::default(),
    )
}

/// The deployments in memory. Clones share them.
#[derive(Clone)]
pub(crate) struct Deployments(Arc<State>);

struct State {
    records: Arc<dyn RecordStore>,
    delimiter: Delimiter,
    tasks: TaskTracker,
    known: Cache<DeploymentName, Arc<Live>, BySize>,
    unknown: Cache<DeploymentName, (Instant, u64)>,
    versions: Cache<SnapshotId, Arc<Live>, VersionBySize>,
    builds: Builds,
    loading: Mutex<HashMap<DeploymentName, Loading>>,
    reading_past: Flights<(DeploymentName, SnapshotId), Past>,
    /// Counts the changes that were told.
    generation: AtomicU64,
    /// Counts how often the stream of changes came up or went down; odd while it is up.
    epoch: AtomicU64,
    /// Whether the store failed at the last try.
    down: AtomicBool,
    served_stale: AtomicU64,
    instruments: Instruments,
    /// When it was last told that a record cannot be read.
    unreadable: Mutex<Option<Instant>>,
}

impl Deployments {
    /// Follows the store's changes until `stop`.
    pub(crate) fn start(
        records: Arc<dyn RecordStore>,
        delimiter: Delimiter,
        memory_bytes: u64,
        instruments: Instruments,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let this = Self(Arc::new(State {
            delimiter,
            tasks: tasks.clone(),
            known: cache(EXPECTED_DEPLOYMENTS, memory_bytes, BySize),
            unknown: Cache::new(UNKNOWN_LIMIT),
            versions: cache(EXPECTED_DEPLOYMENTS, memory_bytes / 4, VersionBySize),
            builds: Builds::default(),
            loading: Mutex::default(),
            reading_past: Flights::new(tasks.clone()),
            generation: AtomicU64::new(0),
            epoch: AtomicU64::new(0),
            down: AtomicBool::new(false),
            served_stale: AtomicU64::new(0),
            instruments,
            unreadable: Mutex::default(),
            records,
        }));
        let follower = this.clone();
        tasks.spawn(async move {
            let mut changes = follower.0.records.changes();
            while let Some(Some(change)) = stop.run_until_cancelled(changes.next()).await {
                follower.follow(change);
            }
        });
        this
    }

    /// What a name answers with, if that is in memory and has not changed. This is what nearly every request needs, so it takes
    /// the name as it came. Nothing is counted where it `is_repeated`.
    pub(crate) fn known(&self, name: &str, is_repeated: bool) -> Option<Arc<Live>> {
        let state = &self.0;
        let epoch = state.epoch.load(SeqCst);
        let live = state.known.get(&Named(name))?;
        if !live.is_followed(epoch) {
            return None;
        }
        if !is_repeated {
            self.looked_up(Lookup::Hit);
        }
        Some(live)
    }

    /// What a name answers with.
    pub(crate) async fn get(&self, name: &DeploymentName) -> Loaded {
        let state = &self.0;
        let epoch = state.epoch.load(SeqCst);
        let known = state.known.get(name);
        if let Some(live) = &known {
            if live.is_followed(epoch) {
                self.looked_up(Lookup::Hit);
                return Ok(known);
            }
            if state.down.load(SeqCst) {
                self.looked_up(Lookup::Hit);
                return Ok(Some(self.stale(live)));
            }
        } else if let Some((at, generation)) = state.unknown.get(name)
            && at.elapsed() < UNKNOWN_FOR
            && generation == state.generation.load(SeqCst)
            && !state.down.load(SeqCst)
        {
            self.looked_up(Lookup::Hit);
            return Ok(None);
        }
        self.looked_up(Lookup::Miss);
        let (load, begun) = self.load(name);
        let Some(known) = known else {
            return load.await;
        };
        // What is known to have changed is worth more patience: the store's own. The read goes on without us, and the next
        // request finds what it brings.
        let patience = if known.is_stale() {
            Duration::MAX
        } else {
            PATIENCE.saturating_sub(begun.elapsed())
        };
        match tokio::time::timeout(patience, load).await {
            Ok(Ok(loaded)) => Ok(loaded),
            Ok(Err(_)) | Err(_) => Ok(Some(self.stale(&known))),
        }
    }

    /// A snapshot by its id, if it is in memory.
    pub(crate) fn known_version(&self, id: &SnapshotId) -> Option<Arc<Live>> {
        self.0.versions.get(id)
    }

    /// A snapshot by its id, as a deployment of its own. A snapshot never changes, so it is kept as long as there is room.
    pub(crate) async fn version(&self, id: &SnapshotId) -> Loaded {
        let state = &self.0;
        let read = async {
            let found = state
                .records
                .snapshot(id)
                .await
                .map_err(|error| Some(Arc::new(error)))?;
            let snapshot = found.ok_or(None)?.into_snapshot();
            Ok(Arc::new(Live::version(state.builds.share(snapshot))))
        };
        // Once for all who wait for it; absence and failure are not kept.
        match state.versions.get_or_insert_async(id, read).await {
            Ok(live) => Ok(Some(live)),
            Err(None) => Ok(None),
            Err(Some(error)) => Err(error),
        }
    }

    /// The snapshots that a deployment's name answered with before, the newest first, without those of other applications:
    /// a name may have changed hands.
    pub(crate) async fn past(&self, live: &Arc<Live>) -> Past {
        if let Some(past) = live.past() {
            return Ok(past.into());
        }
        let Some(name) = &live.name else {
            return Ok(Arc::new([]));
        };
        // Not for what may be missing should a request wait for a store that does not answer.
        if self.0.down.load(SeqCst) {
            return Ok(Arc::new([]));
        }
        let kept = || live.past.get().map(|past| Ok(Arc::clone(past)));
        let begin = || {
            let (this, live, name) = (self.clone(), Arc::clone(live), name.clone());
            let read = async move {
                let past = this.read_past(&live, &name).await?;
                Ok(Arc::clone(live.past.get_or_init(|| past)))
            };
            read.instrument(part_of_request(|| tracing::debug_span!("load history")))
        };
        let key = (name.clone(), live.snapshot().snapshot_id.clone());
        self.0.reading_past.join(&key, kept, begin).get().await
    }

    async fn read_past(&self, live: &Live, name: &DeploymentName) -> Past {
        let mut past: Vec<SnapshotId> = Vec::new();
        for entry in self.0.records.history(name).await? {
            let id = entry.snapshot_id;
            let is_own = entry.publication.application_uid == *live.owner();
            if !is_own || id == live.snapshot().snapshot_id || past.contains(&id) {
                continue;
            }
            match self.version(&id).await {
                Ok(Some(_)) => past.push(id),
                // What is there no more, or of no use, need not be looked for again and again.
                Ok(None) => {}
                Err(error) if !error.is_transient() => {}
                Err(error) => return Err(error),
            }
            if past.len() == SKEW_WINDOW {
                break;
            }
        }
        Ok(past.into())
    }

    /// Forgets a name whose record was just changed here, before anybody is told that it was.
    pub(crate) fn changed(&self, name: &DeploymentName) {
        // The store has just answered: an outage that is not over for anybody else is over for this name, or its publish
        // would be followed by the deployment before it.
        self.0.down.store(false, SeqCst);
        self.follow(ChangeEvent::Name(name.clone()));
    }

    /// Whether at least one deployment can be served from memory.
    pub(crate) fn has_any(&self) -> bool {
        !self.0.known.is_empty()
    }

    /// How many requests were answered with a deployment that could not be checked.
    pub(crate) fn served_stale(&self) -> u64 {
        self.0.served_stale.load(SeqCst)
    }

    /// How much memory they take.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.0.known.weight() + self.0.versions.weight()
    }

    fn looked_up(&self, lookup: Lookup) {
        self.0.instruments.cache_lookup(Kept::Deployments, lookup);
    }

    fn stale(&self, live: &Arc<Live>) -> Arc<Live> {
        self.0.served_stale.fetch_add(1, SeqCst);
        self.0.instruments.served_stale();
        Arc::clone(live)
    }

    fn follow(&self, change: ChangeEvent) {
        let state = &self.0;
        match change {
            ChangeEvent::Name(name) => {
                // First the count, then what is known: a load puts what it read there first and then looks at the count, so that one
                // of the two sees the other.
                state.generation.fetch_add(1, SeqCst);
                if let Some(live) = state.known.peek(&name) {
                    live.set_stale();
                }
                state.unknown.remove(&name);
            }
            // A record holds all of its snapshot, which never changes.
            ChangeEvent::Snapshot(_) => {}
            ChangeEvent::Connected => {
                state.generation.fetch_add(1, SeqCst);
                let epoch = state.epoch.load(SeqCst);
                // The next odd number: also a second `Connected` in a row makes everything unchecked.
                state.epoch.store(epoch + 1 + epoch % 2, SeqCst);
                if state.down.swap(false, SeqCst) {
                    tracing::info!("The record store answers again");
                }
            }
            ChangeEvent::Disconnected => {
                let epoch = state.epoch.load(SeqCst);
                state.epoch.store(epoch + epoch % 2, SeqCst);
            }
        }
    }

    /// Reads a name's record, once for all who wait for it.
    fn load(&self, name: &DeploymentName) -> (Load, Instant) {
        let generation = self.0.generation.load(SeqCst);
        let mut loading = self
            .0
            .loading
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some((of, begun, load)) = loading.get(name)
            && *of == generation
            && let Some(load) = load.upgrade()
            && load.peek().is_none()
        {
            return (load, *begun);
        }
        let this = self.clone();
        let wanted = name.clone();
        let begun = Instant::now();
        let span = part_of_request(|| tracing::debug_span!("load deployment"));
        let load = async move { this.read(wanted, generation).await }
            .instrument(span)
            .boxed()
            .shared();
        if let Some(weak) = load.downgrade() {
            loading.insert(name.clone(), (generation, begun, weak));
        }
        // It ends also when nobody waits for it any more.
        self.0.tasks.spawn(load.clone());
        (load, begun)
    }

    async fn read(self, name: DeploymentName, generation: u64) -> Loaded {
        let state = &self.0;
        let epoch = state.epoch.load(SeqCst);
        let found = state.records.deployment(&name).await;
        {
            let mut loading = state.loading.lock().unwrap_or_else(PoisonError::into_inner);
            loading.retain(|_, (_, _, load)| load.upgrade().is_some());
            if loading.get(&name).is_some_and(|(of, ..)| *of == generation) {
                loading.remove(&name);
            }
        }
        match found {
            Ok(Some(deployment)) => {
                state.down.store(false, SeqCst);
                let Deployment {
                    snapshot,
                    publication,
                } = deployment;
                let build = state.builds.share(snapshot);
                let live = Live::named(name.clone(), build, publication, state.delimiter, epoch);
                let live = Arc::new(live);
                if state.generation.load(SeqCst) != generation {
                    live.set_stale();
                }
                state.known.insert(name, Arc::clone(&live));
                if state.generation.load(SeqCst) != generation {
                    live.set_stale();
                }
                Ok(Some(live))
            }
            Ok(None) => {
                state.down.store(false, SeqCst);
                state.known.remove(&name);
                state.unknown.insert(name, (Instant::now(), generation));
                Ok(None)
            }
            Err(error) => {
                if error.is_transient() {
                    self.went_down(&error);
                } else {
                    self.cannot_be_read(&name, &error);
                }
                Err(Arc::new(error))
            }
        }
    }

    /// Tells of a record that is there and of no use, once a minute: requests for its name may be many.
    fn cannot_be_read(&self, name: &DeploymentName, error: &StorageError) {
        let mut told = self
            .0
            .unreadable
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|at: Instant| at.elapsed() > UNREADABLE_EVERY) {
            *told = Some(Instant::now());
            tracing::error!(
                name = name.as_str(),
                error = error as &dyn std::error::Error,
                "A record cannot be read; what is known from before is served, if anything is"
            );
        }
    }

    /// Notes that the store does not answer, and tries until it does.
    fn went_down(&self, error: &StorageError) {
        if self.0.down.swap(true, SeqCst) {
            return;
        }
        tracing::warn!(
            error = error as &dyn std::error::Error,
            "The record store does not answer; known deployments keep being served"
        );
        // Weak: what nobody asks any more need not be tried.
        let state = Arc::downgrade(&self.0);
        self.0.tasks.spawn(async move {
            loop {
                tokio::time::sleep(RETRY_EVERY).await;
                let Some(state) = state.upgrade() else { return };
                if !state.down.load(SeqCst) || state.tasks.is_closed() {
                    return;
                }
                if state.records.check().await.is_ok() {
                    tracing::info!("The record store answers again");
                    state.down.store(false, SeqCst);
                    return;
                }
            }
        });
    }
}

impl std::fmt::Debug for Deployments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deployments")
            .field("known", &self.0.known.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
