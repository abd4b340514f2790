//! Fetches assets from other regions that a record of this one names and its store lacks, so that a reader need not wait for
//! the queue.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use favonius_contract::{MANIFEST_FILE, replication::OwnedAsset};
use favonius_storage::{Change, Claim, HashCheck};
use favonius_telemetry::{Instruments, instruments::ReadThrough as ReadThroughOutcome};
use quick_cache::sync::Cache;
use tokio::{
    sync::{Semaphore, watch},
    time::{Instant, timeout},
};
use tokio_util::task::TaskTracker;

use crate::{IncomingBody, LinkError, RegionLink, ReplicationStores};

/// Assets that are fetched at once.
const AT_ONCE: usize = 8;
/// Assets that are being fetched or wait for their turn.
const FLIGHTS: usize = 256;
/// How long a reader waits.
const WITHIN: Duration = Duration::from_secs(20);
/// How long a region may take to begin with an answer.
const ANSWER: Duration = Duration::from_secs(5);
/// For how long it is remembered that no region has an asset.
const ABSENT_FOR: Duration = Duration::from_secs(5);
/// Of how many assets.
const ABSENT_LIMIT: usize = 10_000;

/// Fetches assets from other regions. Clones share everything.
#[derive(Clone)]
pub(crate) struct ReadThrough(Arc<Inner>);

struct Inner {
    stores: ReplicationStores,
    links: Vec<Arc<dyn RegionLink>>,
    instruments: Instruments,
    /// Fetches go on when who asked has left: others may wait.
    tasks: TaskTracker,
    turns: Semaphore,
    absent: Cache<OwnedAsset, Instant>,
    flights: Mutex<HashMap<OwnedAsset, Flight>>,
}

/// Tells whether the asset is in the store, once that is known.
type Flight = watch::Receiver<Option<bool>>;

impl ReadThrough {
    pub(crate) fn new(
        stores: ReplicationStores,
        links: Vec<Arc<dyn RegionLink>>,
        instruments: Instruments,
        tasks: TaskTracker,
    ) -> Self {
        Self(Arc::new(Inner {
            stores,
            links,
            instruments,
            tasks,
            turns: Semaphore::new(AT_ONCE),
            absent: Cache::new(ABSENT_LIMIT),
            flights: Mutex::default(),
        }))
    }

    /// Whether the asset is in the store now. Many who ask for the same cause one fetch.
    pub(crate) async fn fetch(&self, owned: &OwnedAsset, path: &str) -> bool {
        let is_absent = self.0.absent.get(owned);
        if is_absent.is_some_and(|at| at.elapsed() < ABSENT_FOR) || self.0.links.is_empty() {
            return false;
        }
        let Some(mut flight) = self.flight(owned, path) else {
            self.note(ReadThroughOutcome::Busy);
            return false;
        };
        let landed = timeout(WITHIN, flight.wait_for(Option::is_some)).await;
        matches!(landed, Ok(Ok(is_here)) if *is_here == Some(true))
    }

    /// The flight of an asset, which begins unless it is under way. `None` when there are too many.
    fn flight(&self, owned: &OwnedAsset, path: &str) -> Option<Flight> {
        let mut flights = self.flights();
        if let Some(flight) = flights.get(owned) {
            return Some(flight.clone());
        }
        if flights.len() >= FLIGHTS || self.0.tasks.is_closed() {
            return None;
        }
        let (landing, flight) = watch::channel(None);
        flights.insert(owned.clone(), flight.clone());
        let (this, owned, path) = (self.clone(), owned.clone(), path.to_owned());
        self.0.tasks.spawn(async move {
            let fetched = timeout(WITHIN, this.fetch_from_any(&owned, &path)).await;
            let outcome = fetched.unwrap_or(ReadThroughOutcome::Failed);
            this.note(outcome);
            let is_here = outcome == ReadThroughOutcome::Fetched;
            if !is_here {
                this.0.absent.insert(owned.clone(), Instant::now());
            }
            this.flights().remove(&owned);
            // Those who waited may have left.
            landing.send_replace(Some(is_here));
        });
        Some(flight)
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<OwnedAsset, Flight>> {
        let flights = &self.0.flights;
        flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn fetch_from_any(&self, owned: &OwnedAsset, path: &str) -> ReadThroughOutcome {
        // Never closed: this is the wait for a turn.
        let _turn = self.0.turns.acquire().await;
        let mut outcome = ReadThroughOutcome::Absent;
        for link in &self.0.links {
            // One that hangs must not keep the others from being asked.
            let fetched = timeout(ANSWER, link.fetch(owned)).await;
            match fetched.unwrap_or_else(|_| Err(LinkError::unavailable("no answer"))) {
                Ok(Some(body)) => {
                    if self.store(owned, path, body, link).await {
                        return ReadThroughOutcome::Fetched;
                    }
                    outcome = ReadThroughOutcome::Failed;
                }
                Ok(None) => {}
                Err(error) => {
                    outcome = ReadThroughOutcome::Failed;
                    tracing::debug!(
                        asset = %owned.asset,
                        region = ?link,
                        error = &error as &dyn std::error::Error,
                        "A region did not give an asset"
                    );
                }
            }
        }
        outcome
    }

    async fn store(
        &self,
        owned: &OwnedAsset,
        path: &str,
        body: IncomingBody,
        link: &Arc<dyn RegionLink>,
    ) -> bool {
        let claim = Claim {
            asset: owned.asset,
            path,
            path_is_listed: true,
            content_hash_too: path.rsplit('/').next() == Some(MANIFEST_FILE),
            check: HashCheck::Strict,
        };
        if let Err(error) = self.0.stores.assets.put(claim, body).await {
            tracing::warn!(
                asset = %owned.asset,
                region = ?link,
                error = &error as &dyn std::error::Error,
                "An asset of another region was not stored"
            );
            return false;
        }
        let change = Change::AssetStored {
            application: owned.application_uid.clone(),
            asset: owned.asset,
        };
        let records = &self.0.stores.records;
        // Should that fail, it is said to be nobody's at the next look, and fetched once more.
        records.commit_replicated(vec![change]).await.is_ok()
    }

    fn note(&self, outcome: ReadThroughOutcome) {
        self.0.instruments.read_through(outcome);
    }
}
