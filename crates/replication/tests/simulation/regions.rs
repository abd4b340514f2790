//! What a region keeps: it outlives its workers.

use std::sync::Arc;

use favonius_contract::{AssetRef, DeploymentName, replication::NameState};
use favonius_replication::{ReplicationOptions, ReplicationStores};
use favonius_storage::{Assets, Clock, EmbeddedRecords, ReplicatedRecords, StateEntry};
use futures::{FutureExt, StreamExt};
use object_store::{ObjectStore, memory::InMemory};
use std::collections::BTreeMap;
use tokio_util::task::TaskTracker;

/// The names of the regions.
pub(crate) const REGIONS: [&str; 3] = ["eu", "us", "ap"];
/// Workers of each.
pub(crate) const WORKERS: usize = 2;
/// When simulations begin, milliseconds since 1970.
pub(crate) const BEGIN_MS: u64 = 1_800_000_000_000;
/// Applications.
pub(crate) const APPLICATIONS: [&str; 2] = ["shop.web.acme", "blog.web.acme"];

/// What a region keeps.
#[derive(Clone)]
pub(crate) struct Region {
    pub(crate) name: &'static str,
    pub(crate) records: EmbeddedRecords,
    pub(crate) objects: Arc<dyn ObjectStore>,
    pub(crate) clock: Clock,
    /// Is never wrong.
    pub(crate) stopwatch: Clock,
}

impl Region {
    pub(crate) fn new(name: &'static str) -> Self {
        let clock = Clock::manual(BEGIN_MS);
        let stopwatch = Clock::manual(BEGIN_MS);
        Self {
            name,
            records: EmbeddedRecords::inline()
                .unwrap()
                .announcing()
                .with_clock(clock.clone())
                .with_stopwatch(stopwatch.clone()),
            objects: Arc::new(InMemory::new()),
            clock,
            stopwatch,
        }
    }

    /// As a worker opens it: what the worker itself remembers is gone with it.
    pub(crate) fn open(&self, tasks: &TaskTracker) -> ReplicationStores {
        ReplicationStores {
            assets: Assets::new(Arc::clone(&self.objects), tasks.clone()),
            records: Arc::new(self.records.clone()),
            clock: self.clock.clone(),
        }
    }

    pub(crate) fn options(&self, worker: &str) -> ReplicationOptions {
        ReplicationOptions {
            replica: worker.to_owned(),
            targets: REGIONS
                .iter()
                .filter(|other| **other != self.name)
                .map(|other| format!("sim://{other}").parse().unwrap())
                .collect(),
            delivers: true,
            reads_through: false,
            repair_every: std::time::Duration::from_secs(20),
        }
    }

    /// What the region has, to be compared with others.
    pub(crate) fn states(&self) -> (Vec<String>, BTreeMap<DeploymentName, NameState>) {
        let mut snapshots = Vec::new();
        let mut names = BTreeMap::new();
        let states: Vec<_> = now(self.records.states().collect());
        for entry in states {
            match entry.unwrap() {
                StateEntry::Snapshot(id) => snapshots.push(id.to_string()),
                StateEntry::Name(record) => drop(names.insert(record.name, record.state)),
            }
        }
        snapshots.sort();
        snapshots.dedup();
        (snapshots, names)
    }

    /// Whether the bytes of an asset are there.
    pub(crate) fn has_bytes(&self, asset: AssetRef) -> bool {
        let assets = Assets::new(Arc::clone(&self.objects), TaskTracker::new());
        now(assets.contains(asset)).unwrap()
    }

    /// Events that wait for any target.
    pub(crate) fn waiting(&self) -> u64 {
        let targets = now(self.records.queues()).unwrap();
        let waiting = targets
            .iter()
            .map(|target| now(self.records.queue_state(target)).unwrap());
        waiting.map(|state| state.waiting).sum()
    }

    /// What was buried for any target.
    pub(crate) fn buried(&self) -> Vec<String> {
        let targets = now(self.records.queues()).unwrap();
        let letters = targets
            .iter()
            .flat_map(|target| now(self.records.dead_letters(target, 100)).unwrap());
        letters
            .map(|letter| format!("{}: {}", letter.reason, letter.event))
            .collect()
    }
}

/// The value of a future that need not wait.
pub(crate) fn now<T>(future: impl Future<Output = T>) -> T {
    future
        .now_or_never()
        .expect("stores in memory answer at once")
}
