//! The service itself: what it is made of, and how it begins and ends.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use favonius_auth::{Unauthenticated, Verifier};
use favonius_contract::{ApplicationUid, AssetRef, Delimiter, EdgeHost};
use favonius_replication::Replicator;
use favonius_storage::{Assets, Clock, HashCheck, RecordStore, StorageError};
use favonius_telemetry::{Instruments, Reporter, instruments::Cache as Kept};
use http::{Request, Response};
use http_body::Body;
use quick_cache::sync::Cache;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower_service::Service;

use crate::{
    body::EdgeBody,
    coding::Press,
    deployments::Deployments,
    failure::Failure,
    handle::{Answer, handle},
    memory::Memory,
    metrics::MetricsOptions,
    probes::{Probes, ReadyWhen},
    route::Surface,
    serve::{Pages, Pending},
    tally::Tally,
};

/// How long background work may take to end.
const STOP_WITHIN: Duration = Duration::from_secs(2);
/// Reasons to refuse a token that hardly come of themselves.
const SIGNS_OF_ATTACK: [Unauthenticated; 3] = [
    Unauthenticated::Malformed,
    Unauthenticated::Algorithm,
    Unauthenticated::Signature,
];
/// The same for what other regions send.
const SIGNS_BETWEEN_REGIONS: [Unauthenticated; 5] = [
    Unauthenticated::NotBound,
    Unauthenticated::Lifetime,
    Unauthenticated::Foreign,
    Unauthenticated::OwnReplica,
    Unauthenticated::Replayed,
];
/// How many assets are remembered as an application's own.
const OWNED_LIMIT: usize = 100_000;

/// What an edge stands on.
#[derive(Debug, Clone)]
pub struct Backends {
    /// Where the bytes are.
    pub assets: Assets,
    /// Where the records are.
    pub records: Arc<dyn RecordStore>,
    /// Who may write.
    pub verifier: Arc<Verifier>,
    /// The time of day.
    pub clock: Clock,
    /// What is exchanged with other regions, if anything is. It has to stand on the same assets and records.
    pub replication: Option<Replicator>,
}

/// How an edge behaves.
#[derive(Debug, Clone)]
pub struct EdgeOptions {
    /// What joins the application label and the edge host in a hostname.
    pub delimiter: Delimiter,
    /// The edge's own URL, for version URLs when a snapshot's `domain` is not usable, and to find application labels in
    /// hostnames.
    pub public_url: Option<EdgeHost>,
    /// Largest asset, in bytes.
    pub upload_max_bytes: u64,
    /// Largest snapshot or publish request, in bytes.
    pub snapshot_max_bytes: u64,
    /// What happens to assets whose bytes do not have their hash.
    pub hash_check: HashCheck,
    /// Name of this replica; stands in what it publishes.
    pub replica: String,
    /// When `/readyz` says yes.
    pub ready_when: ReadyWhen,
    /// Memory for assets, in bytes: those that are kept and those that are on their way in and out. With less than 8 MiB none are
    /// kept.
    pub asset_cache_bytes: u64,
    /// On how many threads, at low priority, compressed forms of assets are made; 0 makes none.
    pub compression_threads: usize,
    /// Memory for deployments, in bytes.
    pub deployment_cache_bytes: u64,
    /// Memory for HTML pages that the edge adds to, in bytes.
    pub page_cache_bytes: u64,
    /// Memory for the snapshots and publish requests that are being read, in bytes.
    pub document_memory_bytes: u64,
    /// Whether each request gets a log line.
    pub access_log: bool,
    /// Who may see metrics, and where.
    pub metrics: MetricsOptions,
    /// What it reports with: measurements, traces, lines of requests.
    pub reporter: Reporter,
}

impl Default for EdgeOptions {
    fn default() -> Self {
        Self {
            delimiter: Delimiter::default(),
            public_url: None,
            upload_max_bytes: 256 * 1024 * 1024,
            snapshot_max_bytes: 32 * 1024 * 1024,
            hash_check: HashCheck::Strict,
            replica: String::new(),
            ready_when: ReadyWhen::Strict,
            asset_cache_bytes: 256 * 1024 * 1024,
            compression_threads: 1,
            deployment_cache_bytes: 256 * 1024 * 1024,
            page_cache_bytes: 64 * 1024 * 1024,
            document_memory_bytes: 256 * 1024 * 1024,
            access_log: false,
            metrics: MetricsOptions::default(),
            reporter: Reporter::default(),
        }
    }
}

/// What all requests share.
pub(crate) struct Shared {
    pub(crate) assets: Assets,
    pub(crate) records: Arc<dyn RecordStore>,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) clock: Clock,
    pub(crate) replication: Option<Replicator>,
    pub(crate) options: EdgeOptions,
    pub(crate) deployments: Deployments,
    pub(crate) memory: Memory,
    pub(crate) press: Press,
    pub(crate) pages: Pages,
    pub(crate) probes: Probes,
    /// Applications and assets of theirs: what an application uploaded stays its own.
    owned: Cache<(ApplicationUid, AssetRef), ()>,
    pub(crate) pending: Pending,
    /// What other regions sent.
    pub(crate) received: Tally,
    pub(crate) document_memory: Arc<Semaphore>,
    /// One page of metrics at a time, however many ask.
    pub(crate) metrics_turn: Semaphore,
    pub(crate) tasks: TaskTracker,
    stop: CancellationToken,
}

impl Shared {
    /// Whether an asset that is in the store is the application's: whether it uploaded it itself, or another worker left it for
    /// everybody. It may be there from both, as an upload does not look for those of another worker.
    pub(crate) async fn owns(
        &self,
        application: &ApplicationUid,
        asset: AssetRef,
    ) -> Result<Ownership, StorageError> {
        let key = (application.clone(), asset);
        if self.owned.get(&key).is_some() {
            return Ok(Ownership::Own);
        }
        match self.records.knows_asset(application, asset).await {
            Ok(true) => {
                self.owned.insert(key, ());
                Ok(Ownership::Own)
            }
            Ok(false) if self.assets.is_shared(asset).await? => Ok(Ownership::Own),
            Ok(false) => Ok(Ownership::Foreign),
            Err(_) => Ok(Ownership::Unclear),
        }
    }

    /// Whether the page of metrics is beside everything else.
    fn has_metrics(&self) -> bool {
        !self.options.metrics.apart && self.options.reporter.prometheus.is_some()
    }

    /// Does something long away from the threads that serve.
    pub(crate) async fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Failure> {
        self.tasks.spawn_blocking(work).await.map_err(|_| {
            Failure::unavailable(
                "stopping",
                "This worker is about to stop: try again in a moment",
            )
        })
    }
}

/// Whose an asset is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ownership {
    /// The application's, or everybody's. That stays so.
    Own,
    /// The record store cannot tell. Then it counts as the application's: to serve what was published is worth more than to
    /// hide what a snapshot should not have named.
    Unclear,
    /// Not the application's.
    Foreign,
}

/// Reads how much memory a cache takes.
type MemoryBytes = fn(&Shared) -> u64;

impl Shared {
    /// Shows what the caches hold.
    fn watch(self: &Arc<Self>) {
        let instruments = &self.options.reporter.instruments;
        let deployments = self.options.deployment_cache_bytes;
        let caches: [(Kept, u64, MemoryBytes); 3] = [
            (Kept::Assets, self.options.asset_cache_bytes, |this| {
                this.memory.memory_bytes()
            }),
            (Kept::Deployments, deployments + deployments / 4, |this| {
                this.deployments.memory_bytes()
            }),
            (Kept::Pages, self.options.page_cache_bytes, |this| {
                this.pages.memory_bytes()
            }),
        ];
        for (cache, limit, used) in caches {
            // Weak: who measures may live longer than the edge.
            let this = Arc::downgrade(self);
            instruments.watch_cache(cache, limit, move || this.upgrade().map(|this| used(&this)));
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The edge. Clones share everything.
///
/// Background work (following changes, checking back ends) begins with [`Edge::new`] and ends with [`Edge::stop`], or
/// when the last clone is dropped.
#[derive(Clone)]
pub struct Edge {
    pub(crate) shared: Arc<Shared>,
    surface: Surface,
}

impl Edge {
    /// Puts an edge together. Must be called inside a Tokio runtime; no back end need answer yet.
    pub fn new(backends: Backends, options: EdgeOptions) -> Self {
        let Backends {
            assets,
            records,
            verifier,
            clock,
            replication,
        } = backends;
        let tasks = TaskTracker::new();
        let stop = CancellationToken::new();
        let deployments = Deployments::start(
            Arc::clone(&records),
            options.delimiter,
            options.deployment_cache_bytes,
            options.reporter.instruments.clone(),
            &tasks,
            stop.clone(),
        );
        let probes = Probes::start(
            options.ready_when,
            (assets.clone(), Arc::clone(&records)),
            options.reporter.clone(),
            &tasks,
            stop.clone(),
        );
        // Room for two of the largest at the least, or they would wait for each other.
        let document_memory = options
            .document_memory_bytes
            .max(options.snapshot_max_bytes * 2);
        let document_memory = usize::try_from(document_memory / 1024);
        let memory = Memory::new(
            assets.clone(),
            options.asset_cache_bytes,
            options.reporter.instruments.clone(),
            tasks.clone(),
        );
        let press = Press::start(
            (assets.clone(), memory.clone()),
            options.compression_threads,
            options.reporter.instruments.clone(),
            &tasks,
            stop.clone(),
        );
        let shared = Arc::new(Shared {
            memory,
            press,
            pages: Pages::new(options.page_cache_bytes, tasks.clone()),
            assets,
            records,
            verifier,
            clock,
            replication,
            options,
            deployments,
            probes,
            owned: Cache::new(OWNED_LIMIT),
            pending: Pending::new(),
            received: Tally::new(),
            metrics_turn: Semaphore::new(1),
            document_memory: Arc::new(Semaphore::new(
                document_memory
                    .unwrap_or(usize::MAX)
                    .min(Semaphore::MAX_PERMITS),
            )),
            tasks,
            stop,
        });
        shared.watch();
        let signs = SIGNS_OF_ATTACK.into_iter().chain(SIGNS_BETWEEN_REGIONS);
        let instruments = &shared.options.reporter.instruments;
        instruments.expect_auth_refusals(signs.map(Unauthenticated::as_str));
        Self {
            surface: Surface::Public {
                metrics: shared.has_metrics(),
            },
            shared,
        }
    }

    /// The same edge as it is seen on a port for metrics: `/metrics` and the probes, and nothing else.
    #[must_use]
    pub fn metrics(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            surface: Surface::Metrics,
        }
    }

    /// The same edge as it is seen on the port of a relay: uploads of other regions, control routes, the probes, `/metrics` unless it
    /// has a port of its own, and nothing else.
    #[must_use]
    pub fn relay(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            surface: Surface::Relay {
                metrics: self.shared.has_metrics(),
            },
        }
    }

    /// Begins to answer a request.
    pub(crate) fn answer<B>(&self, request: Request<B>) -> EdgeFuture
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        EdgeFuture(handle(&self.shared, self.surface, request))
    }

    pub(crate) fn instruments(&self) -> &Instruments {
        &self.shared.options.reporter.instruments
    }

    /// From now on `/readyz` says no, and answers ask for the connection to be closed.
    pub fn drain(&self) {
        self.shared.probes.drain();
    }

    /// Ends the background work and waits for it, at most for a moment: a store that hangs must not hold up the end.
    pub async fn stop(&self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        drop(tokio::time::timeout(STOP_WITHIN, self.shared.tasks.wait()).await);
    }

    /// How many requests were for files that a deployment lists and the store lacks.
    pub fn pending_assets(&self) -> u64 {
        self.shared.pending.count()
    }

    /// How many requests were answered with a deployment that could not be checked, because the record store did not
    /// answer.
    pub fn served_stale(&self) -> u64 {
        self.shared.deployments.served_stale()
    }
}

impl fmt::Debug for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edge")
            .field("options", &self.shared.options)
            .finish_non_exhaustive()
    }
}

/// The answer to come.
pub struct EdgeFuture(Answer);

impl Future for EdgeFuture {
    type Output = Result<Response<EdgeBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            // Like any future it is not polled again when it has resolved.
            Answer::AtOnce(response) => response
                .take()
                .map_or(Poll::Pending, |r| Poll::Ready(Ok(r))),
            Answer::Later(answer) => answer.as_mut().poll(cx).map(Ok),
        }
    }
}

impl fmt::Debug for EdgeFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EdgeFuture")
    }
}

/// Must be called inside a Tokio runtime: what is in memory is answered by the call itself.
impl<B> Service<Request<B>> for Edge
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<EdgeBody>;
    type Error = Infallible;
    type Future = EdgeFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> EdgeFuture {
        self.answer(request)
    }
}
