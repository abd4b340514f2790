//! The service itself: what it is made of, and the order in which a request passes through it.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use favonius_auth::Verifier;
use favonius_contract::{ApplicationUid, AssetRef, Delimiter, EdgeHost};
use favonius_storage::{Assets, Clock, HashCheck, RecordStore};
use http::{HeaderValue, Method, Request, Response, Version, header};
use http_body::Body;
use quick_cache::sync::Cache;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower_service::Service;

use crate::{
    body::EdgeBody,
    deployments::Deployments,
    failure::Failure,
    probes::{Probes, ReadyWhen},
    request_id::RequestId,
    route::{self, Route},
    serve::{self, Pages, Pending},
    upload::{self, Incoming, Query},
};

/// How long background work may take to end.
const STOP_WITHIN: Duration = Duration::from_secs(2);
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
    /// Memory for deployments, in bytes.
    pub deployment_cache_bytes: u64,
    /// Memory for HTML pages that the edge adds to, in bytes.
    pub page_cache_bytes: u64,
    /// Memory for the snapshots and publish requests that are being read, in bytes.
    pub document_memory_bytes: u64,
    /// Whether each request gets a log line.
    pub access_log: bool,
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
            deployment_cache_bytes: 256 * 1024 * 1024,
            page_cache_bytes: 64 * 1024 * 1024,
            document_memory_bytes: 256 * 1024 * 1024,
            access_log: false,
        }
    }
}

/// What all requests share.
pub(crate) struct Shared {
    pub(crate) assets: Assets,
    pub(crate) records: Arc<dyn RecordStore>,
    pub(crate) verifier: Arc<Verifier>,
    pub(crate) clock: Clock,
    pub(crate) options: EdgeOptions,
    pub(crate) deployments: Deployments,
    pub(crate) pages: Pages,
    pub(crate) probes: Probes,
    /// Applications and assets of theirs: what an application uploaded stays its own.
    owned: Cache<(ApplicationUid, AssetRef), ()>,
    pub(crate) pending: Pending,
    pub(crate) document_memory: Arc<Semaphore>,
    pub(crate) tasks: TaskTracker,
    stop: CancellationToken,
}

impl Shared {
    /// Whether the application itself uploaded the asset. When the record store cannot tell, it counts as its own: to
    /// serve what was published is worth more than to hide what a snapshot should not have named.
    pub(crate) async fn owns(&self, application: &ApplicationUid, asset: AssetRef) -> bool {
        let key = (application.clone(), asset);
        if self.owned.get(&key).is_some() {
            return true;
        }
        match self.records.knows_asset(application, asset).await {
            Ok(true) => {
                self.owned.insert(key, ());
                true
            }
            Ok(false) => false,
            Err(_) => true,
        }
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
pub struct Edge(pub(crate) Arc<Shared>);

impl Edge {
    /// Puts an edge together. Must be called inside a Tokio runtime; no back end need answer yet.
    pub fn new(backends: Backends, options: EdgeOptions) -> Self {
        let Backends {
            assets,
            records,
            verifier,
            clock,
        } = backends;
        let tasks = TaskTracker::new();
        let stop = CancellationToken::new();
        let deployments = Deployments::start(
            Arc::clone(&records),
            options.delimiter,
            options.deployment_cache_bytes,
            &tasks,
            stop.clone(),
        );
        let probes = Probes::start(
            options.ready_when,
            assets.clone(),
            Arc::clone(&records),
            &tasks,
            stop.clone(),
        );
        // Room for two of the largest at the least, or they would wait for each other.
        let document_memory = options
            .document_memory_bytes
            .max(options.snapshot_max_bytes * 2);
        let document_memory = usize::try_from(document_memory / 1024);
        Self(Arc::new(Shared {
            pages: Pages::new(options.page_cache_bytes),
            assets,
            records,
            verifier,
            clock,
            options,
            deployments,
            probes,
            owned: Cache::new(OWNED_LIMIT),
            pending: Pending::new(),
            document_memory: Arc::new(Semaphore::new(
                document_memory
                    .unwrap_or(usize::MAX)
                    .min(Semaphore::MAX_PERMITS),
            )),
            tasks,
            stop,
        }))
    }

    /// From now on `/readyz` says no, and answers ask for the connection to be closed.
    pub fn drain(&self) {
        self.0.probes.drain();
    }

    /// Ends the background work and waits for it, at most for a moment: a store that hangs must not hold up the end.
    pub async fn stop(&self) {
        self.0.stop.cancel();
        self.0.tasks.close();
        drop(tokio::time::timeout(STOP_WITHIN, self.0.tasks.wait()).await);
    }

    /// How many requests were for files that a deployment lists and the store lacks.
    pub fn pending_assets(&self) -> u64 {
        self.0.pending.count()
    }

    /// How many requests were answered with a deployment that could not be checked, because the record store did not
    /// answer.
    pub fn served_stale(&self) -> u64 {
        self.0.deployments.served_stale()
    }
}

impl fmt::Debug for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edge")
            .field("options", &self.0.options)
            .finish_non_exhaustive()
    }
}

/// The answer to come.
pub struct EdgeFuture(Pin<Box<dyn Future<Output = Response<EdgeBody>> + Send>>);

impl Future for EdgeFuture {
    type Output = Result<Response<EdgeBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx).map(Ok)
    }
}

impl fmt::Debug for EdgeFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EdgeFuture")
    }
}

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
        let edge = Arc::clone(&self.0);
        EdgeFuture(Box::pin(async move { handle(&edge, request).await }))
    }
}

/// What every request goes through, in this order: an id, the route, the answer, what every answer carries, the log.
async fn handle<B>(edge: &Arc<Shared>, request: Request<B>) -> Response<EdgeBody>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let begun = std::time::Instant::now();
    let id = RequestId::from_header(request.headers().get("x-request-id"));
    let method = request.method().clone();
    let version = request.version();
    let route = route::find(request.method(), request.uri().path());
    let kind = route.kind();
    let mut response = dispatch(edge, route, request, &id).await;
    if method == Method::HEAD {
        serve::drop_body(&mut response);
    }
    response.headers_mut().insert("x-request-id", id.header());
    // HTTP/2 has no such header: its connections are told to go away.
    if edge.probes.is_draining() && version < Version::HTTP_2 {
        // The client must open its next connection to a worker that stays.
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if edge.options.access_log {
        tracing::info!(
            http.request.method = method.as_str(),
            http.route = kind,
            http.response.status_code = response.status().as_u16(),
            duration_ms = begun.elapsed().as_secs_f64() * 1000.0,
            request_id = id.as_str(),
            "Request"
        );
    }
    response
}

async fn dispatch<B>(
    edge: &Arc<Shared>,
    route: Route,
    request: Request<B>,
    id: &RequestId,
) -> Response<EdgeBody>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (parts, body) = request.into_parts();
    let result = match route {
        Route::Healthz => return Probes::healthz(),
        Route::Readyz => return edge.probes.readyz(&edge.deployments),
        Route::Startupz => return edge.probes.startupz(),
        Route::Reserved => Err(Failure::new(
            http::StatusCode::NOT_FOUND,
            "not_found",
            "There is no such control route on this edge",
        )),
        Route::HashList => upload::hash_list(edge, &Query::parse(parts.uri.query())).await,
        Route::Upload | Route::Publish => {
            let asked = Asked {
                may_close: parts.version < Version::HTTP_2,
                expects_continue: parts.headers.contains_key(header::EXPECT),
            };
            let mut body = Incoming::new(&parts.headers, body);
            let result = match route {
                Route::Upload => {
                    let query = Query::parse(parts.uri.query());
                    upload::upload(edge, &query, &parts.headers, &mut body).await
                }
                _ => upload::publish(edge, &parts.headers, &mut body).await,
            };
            return answer_upload(result, body, id, asked).await;
        }
        Route::Deployment => {
            drop(body);
            return serve::serve(edge, &parts, id).await;
        }
    };
    result.unwrap_or_else(|failure| failure.into_response(id, false))
}

/// How the client of an upload is to be told.
#[derive(Clone, Copy)]
struct Asked {
    may_close: bool,
    expects_continue: bool,
}

/// Answers an upload. A client that still sends must be able to read why it was refused.
async fn answer_upload(
    result: Result<Response<EdgeBody>, Failure>,
    mut body: Incoming<'_>,
    id: &RequestId,
    asked: Asked,
) -> Response<EdgeBody> {
    match result {
        Ok(response) => response,
        Err(failure) => {
            // A client that asks before it sends (RFC 9110, section 10.1.1) has sent nothing yet, and need not.
            if !asked.expects_continue || body.is_begun() {
                body.drain().await;
            }
            let mut response = failure.into_response(id, false);
            if asked.may_close && !body.is_read() {
                response
                    .headers_mut()
                    .insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            response
        }
    }
}
