//! The replication of a region, as others see it: what is received, what is sent, and how it stands.

use std::{fmt, sync::Arc, time::Duration};

use favonius_auth::Minter;
use favonius_contract::replication::{OwnedAsset, TargetRegion};
use favonius_storage::{
    Assets, ChangeEvent, Clock, DeadLetter, EventId, ReplicatedRecords, StorageError,
};
use favonius_telemetry::{Instruments, instruments::TargetReading};
use futures::StreamExt;
use serde::Serialize;
use tokio::sync::{Mutex, Notify};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Receiver, RegionLink,
    courier::Courier,
    http_link::{Client, HttpLink},
    read_through::ReadThrough,
    repair::Repair,
    report::Report,
    sender::Sender,
    turns::Turns,
    upkeep::Upkeep,
};

/// What replication stands on.
#[derive(Debug, Clone)]
pub struct ReplicationStores {
    /// Where the bytes are.
    pub assets: Assets,
    /// Where the records are.
    pub records: Arc<dyn ReplicatedRecords>,
    /// The time of day.
    pub clock: Clock,
}

/// How a region replicates.
#[derive(Debug, Clone)]
pub struct ReplicationOptions {
    /// The name of this replica: 1 to [`MAX_REPLICA_NAME`](favonius_auth::MAX_REPLICA_NAME) bytes.
    pub replica: String,
    /// The regions that are sent to; none: this one only receives.
    pub targets: Vec<TargetRegion>,
    /// Whether this process sends. If not, it only keeps what is to be sent.
    pub delivers: bool,
    /// Whether assets that a record names and the store lacks are fetched from other regions.
    pub reads_through: bool,
    /// How often regions are compared.
    pub repair_every: Duration,
}

/// What replication runs in: its tasks end when `stop` is cancelled.
#[derive(Debug, Clone)]
pub struct ReplicationRuntime {
    /// What shutdown waits for.
    pub tasks: TaskTracker,
    /// Ends it.
    pub stop: CancellationToken,
    /// What it measures with.
    pub instruments: Instruments,
    /// Where the jitter of its waits, and its name towards other processes of the region, come from. Random unless a simulation
    /// is to be repeated.
    pub seed: u64,
}

/// Why replication cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum ReplicationError {
    /// The secret cannot be used to mint tokens: it is a public key.
    #[error(
        "the key cannot sign what is sent to other regions: ZE_WORKER_JWT_SECRET has to be a shared secret where ZE_WORKER_REPLICAS_URLS is set"
    )]
    CannotSign,
    /// A region's URL is none.
    #[error("`{0}` in ZE_WORKER_REPLICAS_URLS is no URL")]
    NoUrl(TargetRegion),
    /// The HTTP client cannot be made.
    #[error("the HTTP client for other regions cannot be made")]
    Client(#[source] reqwest::Error),
}

/// The replication of a region. Clones share everything.
#[derive(Clone)]
pub struct Replicator(Arc<Inner>);

struct Inner {
    stores: ReplicationStores,
    options: ReplicationOptions,
    runtime: ReplicationRuntime,
    receiver: Receiver,
    read_through: ReadThrough,
    regions: Vec<Region>,
}

/// A region that is sent to.
struct Region {
    target: TargetRegion,
    link: Arc<dyn RegionLink>,
    report: Arc<Report>,
    /// Told when there may be something to send.
    wake: Arc<Notify>,
    comparing: Arc<Mutex<()>>,
}

/// How a target stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TargetStatus {
    /// The URL of the region.
    pub target: TargetRegion,
    /// Events that are not acknowledged.
    pub waiting: u64,
    /// How old the oldest of them is, in seconds; 0 without any.
    pub lag_seconds: f64,
    /// Dead letters.
    pub buried: u64,
    /// Events that this process delivered there since it began.
    pub delivered: u64,
    /// Attempts of this process that failed and were or will be made again.
    pub retried: u64,
    /// Content that this process sent there, in bytes.
    pub sent_bytes: u64,
    /// When this process delivered something there for the last time, milliseconds since the Unix epoch.
    pub last_success_ms: Option<u64>,
    /// Why this process could not deliver at the last attempt, if it could not.
    pub last_error: Option<String>,
}

impl Replicator {
    /// Begins to replicate over HTTP. The other regions, and the stores, need not answer yet. `minter` signs what is sent; it
    /// is needed where there are targets.
    ///
    /// Must be called inside a Tokio runtime.
    pub fn start(
        stores: ReplicationStores,
        options: ReplicationOptions,
        minter: Option<Arc<Minter>>,
        runtime: ReplicationRuntime,
    ) -> Result<Self, ReplicationError> {
        let mut links: Vec<Arc<dyn RegionLink>> = Vec::with_capacity(options.targets.len());
        if !options.targets.is_empty() {
            let minter = minter.ok_or(ReplicationError::CannotSign)?;
            let is_plain = |target: &TargetRegion| target.as_str().starts_with("http://");
            let plain = options.targets.iter().all(is_plain);
            let client = Client::new(minter, &options.replica, stores.clock.clone(), plain)
                .map_err(ReplicationError::Client)?;
            for target in &options.targets {
                let link = HttpLink::new(client.clone(), target)
                    .map_err(|_| ReplicationError::NoUrl(target.clone()))?;
                links.push(Arc::new(link));
            }
        }
        Ok(Self::over(stores, options, links, runtime))
    }

    /// Begins to replicate over these links, one for each target, in their order.
    ///
    /// Must be called inside a Tokio runtime.
    pub fn over(
        stores: ReplicationStores,
        options: ReplicationOptions,
        links: Vec<Arc<dyn RegionLink>>,
        runtime: ReplicationRuntime,
    ) -> Self {
        let regions: Vec<Region> = options
            .targets
            .iter()
            .zip(links)
            .map(|(target, link)| {
                let instruments = runtime.instruments.clone();
                Region {
                    target: target.clone(),
                    link,
                    report: Arc::new(Report::new(instruments, target.to_string())),
                    wake: Arc::default(),
                    comparing: Arc::default(),
                }
            })
            .collect();
        let read_through = ReadThrough::new(
            stores.clone(),
            regions
                .iter()
                .map(|region| Arc::clone(&region.link))
                .collect(),
            runtime.instruments.clone(),
            runtime.tasks.clone(),
        );
        let receiver = Receiver::new(stores.clone());
        let this = Self(Arc::new(Inner {
            stores,
            options,
            runtime,
            receiver,
            read_through,
            regions,
        }));
        this.watch();
        if !this.0.regions.is_empty() {
            this.look_after();
            if this.0.options.delivers {
                this.deliver();
            }
        }
        this
    }

    fn watch(&self) {
        let Inner {
            stores,
            runtime,
            regions,
            ..
        } = &*self.0;
        let targets: Vec<&str> = regions
            .iter()
            .map(|region| region.target.as_str())
            .collect();
        runtime.instruments.expect_replication(&targets);
        for region in regions {
            let (report, clock) = (Arc::clone(&region.report), stores.clock.clone());
            runtime
                .instruments
                .watch_replication(region.target.as_str(), move || reading(&report, &clock));
        }
    }

    /// Looks after the outbox, also where others empty it: they may be gone.
    fn look_after(&self) {
        let Inner {
            stores,
            runtime,
            regions,
            ..
        } = &*self.0;
        let upkeep = Upkeep {
            stores: stores.clone(),
            taker: self.taker(),
            reports: regions
                .iter()
                .map(|region| (region.target.clone(), Arc::clone(&region.report)))
                .collect(),
        };
        runtime.tasks.spawn(upkeep.run(runtime.stop.clone()));
    }

    /// Names this process towards others of the region.
    fn taker(&self) -> String {
        let Inner {
            options, runtime, ..
        } = &*self.0;
        format!("{}-{:016x}", options.replica, runtime.seed)
    }

    /// Begins to send and to compare.
    fn deliver(&self) {
        let Inner {
            stores,
            runtime,
            regions,
            ..
        } = &*self.0;
        let ReplicationRuntime {
            tasks, stop, seed, ..
        } = runtime;
        let taker = self.taker();
        for (region, seed) in regions.iter().zip(*seed..) {
            let turns = Turns::new(
                Arc::clone(&stores.records),
                region.target.clone(),
                taker.clone(),
            );
            let courier = Courier::new(
                stores.clone(),
                Arc::clone(&region.link),
                Arc::clone(&region.report),
                turns,
            );
            let sender = Sender {
                stores: stores.clone(),
                target: region.target.clone(),
                taker: taker.clone(),
                courier,
                report: Arc::clone(&region.report),
                wake: Arc::clone(&region.wake),
                seed,
            };
            tasks.spawn(sender.run(stop.clone()));
            tasks.spawn(self.repair(region).run(stop.clone()));
        }
        let wakes: Vec<Arc<Notify>> = regions
            .iter()
            .map(|region| Arc::clone(&region.wake))
            .collect();
        let (mut changes, stop) = (stores.records.changes(), stop.clone());
        // Other processes of the region commit as well.
        tasks.spawn(async move {
            loop {
                let change = tokio::select! {
                    biased;
                    () = stop.cancelled() => return,
                    change = changes.next() => change,
                };
                match change {
                    Some(ChangeEvent::Disconnected) => {}
                    Some(_) => wakes.iter().for_each(|wake| wake.notify_one()),
                    None => return,
                }
            }
        });
    }

    fn repair(&self, region: &Region) -> Repair {
        let Inner {
            stores, options, ..
        } = &*self.0;
        Repair {
            stores: stores.clone(),
            target: region.target.clone(),
            taker: self.taker(),
            link: Arc::clone(&region.link),
            report: Arc::clone(&region.report),
            every: options.repair_every,
            wake: Arc::clone(&region.wake),
        }
    }

    /// What is received.
    pub fn receiver(&self) -> &Receiver {
        &self.0.receiver
    }

    /// How it replicates.
    pub fn options(&self) -> &ReplicationOptions {
        &self.0.options
    }

    /// The records that it stands on.
    pub fn records(&self) -> &Arc<dyn ReplicatedRecords> {
        &self.0.stores.records
    }

    /// How each target stands.
    pub async fn status(&self) -> Result<Vec<TargetStatus>, StorageError> {
        let now = self.0.stores.clock.now_ms();
        let mut all = Vec::with_capacity(self.0.regions.len());
        for region in &self.0.regions {
            let state = self.0.stores.records.queue_state(&region.target).await?;
            let standing = region.report.standing().clone();
            all.push(TargetStatus {
                target: region.target.clone(),
                waiting: state.waiting,
                lag_seconds: age_s(state.oldest_ms, now),
                buried: state.buried,
                delivered: standing.delivered,
                retried: standing.retried,
                sent_bytes: standing.sent_bytes,
                last_success_ms: standing.last_success_ms,
                last_error: standing.last_error,
            });
        }
        Ok(all)
    }

    /// What was buried for a target, oldest first.
    pub async fn dead_letters(
        &self,
        target: &TargetRegion,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, StorageError> {
        self.0.stores.records.dead_letters(target, limit).await
    }

    /// Puts dead letters back into the target's queue: these, or all. Tells how many.
    pub async fn retry(
        &self,
        target: &TargetRegion,
        letters: Option<&[EventId]>,
    ) -> Result<u64, StorageError> {
        let count = self.0.stores.records.retry(target, letters).await?;
        self.wake();
        Ok(count)
    }

    /// Compares with a target at once, or with all, whether or not it is time, in the background. What differs is queued, and
    /// sent by whichever process of the region sends.
    pub fn request_repair(&self, target: Option<&TargetRegion>) {
        let regions = self.0.regions.iter();
        for region in regions.filter(|region| target.is_none_or(|only| region.target == *only)) {
            // One at a time: who asks while it goes on gets what it finds.
            let Ok(turn) = Arc::clone(&region.comparing).try_lock_owned() else {
                continue;
            };
            let (repair, stop) = (self.repair(region), self.0.runtime.stop.clone());
            self.0.runtime.tasks.spawn(async move {
                let _turn = turn;
                tokio::select! {
                    biased;
                    () = stop.cancelled() => {}
                    // What came of it was logged and measured.
                    outcome = repair.compare() => drop(outcome),
                }
            });
        }
    }

    /// Something was committed: there may be something to send.
    pub fn wake(&self) {
        for region in &self.0.regions {
            region.wake.notify_one();
        }
    }

    /// Fetches an asset that a record names and the store lacks from the other regions, checks it and stores it; `path` is as
    /// its snapshot lists it. Tells whether it is in the store now. Many who ask for the same at once cause one fetch.
    pub async fn fetch(&self, asset: &OwnedAsset, path: &str) -> bool {
        self.0.options.reads_through && self.0.read_through.fetch(asset, path).await
    }
}

fn age_s(since_ms: Option<u64>, now_ms: u64) -> f64 {
    let age = since_ms.map_or(0, |since| now_ms.saturating_sub(since));
    Duration::from_millis(age).as_secs_f64()
}

fn reading(report: &Report, clock: &Clock) -> Option<TargetReading> {
    let standing = report.standing();
    let queue = standing.queue?;
    Some(TargetReading {
        waiting: queue.waiting,
        lag_s: age_s(queue.oldest_ms, clock.now_ms()),
        buried: queue.buried,
        last_success_s: standing.last_success_ms.map(|at| at / 1000),
        up: match &standing.last_error {
            Some(_) => Some(false),
            None => standing.last_success_ms.map(|_| true),
        },
    })
}

impl fmt::Debug for Replicator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replicator")
            .field("options", &self.0.options)
            .finish_non_exhaustive()
    }
}
