//! The server around the service: connections, their limits and timeouts, and how they end.
//!
//! 1. A connection that does not send a whole request head in time, or nothing at all, is closed.
//! 2. An idle connection stays open for longer than any client keeps it, because a POST that meets a closed connection
//!    is not sent again.
//! 3. A peer that does not take what it asked for is cut off.
//! 4. On shutdown the edge is first not ready, then takes no new connections, then ends; no request that was accepted
//!    is dropped before the grace period is over.

mod guard;
mod listener;
mod tls;
mod untaken;

use std::{
    convert::Infallible,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use futures::FutureExt;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::Semaphore,
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower_service::Service;

use self::guard::{Activity, Guard, Limits};
pub use self::{
    listener::{Bind, Listener},
    tls::TlsFiles,
};
use crate::{
    body::EdgeBody,
    edge::{Edge, EdgeFuture},
};

/// Largest request head, in bytes (HTTP/1.1: also the read buffer of a connection).
const MAX_HEAD: usize = 64 * 1024;
/// Most header fields in a request.
const MAX_HEADERS: usize = 128;
/// Most requests at once on one HTTP/2 connection.
const MAX_STREAMS: u32 = 256;
/// How often an HTTP/2 peer is asked whether it is still there, and how long it may take to say so.
const PING_EVERY: Duration = Duration::from_secs(20);

/// The server could not start, or could not go on.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address cannot be bound.
    #[error("could not listen on {address}")]
    Bind {
        /// Address and port.
        address: String,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// Certificate or key cannot be used.
    #[error("could not use {file} for TLS: {problem}")]
    Tls {
        /// Which file.
        file: String,
        /// What is wrong with it.
        problem: String,
    },
}

/// How a server treats its connections.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Most connections at once; further ones wait in the listener's queue.
    pub max_connections: usize,
    /// How long a request head may take, from its first byte, or from the connection's start.
    pub head_timeout: Duration,
    /// How long a connection may be idle between requests.
    pub idle_timeout: Duration,
    /// How long a peer may take nothing of what is sent to it.
    pub write_timeout: Duration,
    /// How long new connections are still taken after shutdown began, so that load balancers see that the edge is not
    /// ready before it is gone.
    pub linger: Duration,
    /// How long requests may take to end after shutdown began.
    pub grace: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            head_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(90),
            write_timeout: Duration::from_mins(1),
            linger: Duration::from_secs(5),
            grace: Duration::from_secs(25),
        }
    }
}

/// Serves an edge on one listener.
#[derive(Debug)]
pub struct Server {
    edge: Edge,
    options: ServerOptions,
    tls: Option<tls::Acceptor>,
}

impl Server {
    /// A server with the default options, without TLS.
    pub fn new(edge: Edge) -> Self {
        Self {
            edge,
            options: ServerOptions::default(),
            tls: None,
        }
    }

    /// Sets the options.
    #[must_use]
    pub fn options(mut self, options: ServerOptions) -> Self {
        self.options = options;
        self
    }

    /// Terminates TLS with these files, which are read again when they change.
    pub fn tls(mut self, files: TlsFiles) -> Result<Self, ServerError> {
        self.tls = Some(tls::Acceptor::load(files)?);
        Ok(self)
    }

    /// Serves until `shutdown` resolves, and then until all requests have ended or the grace period is over. Gives the
    /// number of connections that had to be cut off then.
    pub async fn run(
        self,
        listener: Listener,
        shutdown: impl Future<Output = ()>,
    ) -> Result<usize, ServerError> {
        let Self { edge, options, tls } = self;
        let connections = Connections {
            edge: edge.clone(),
            limits: Limits {
                head: options.head_timeout,
                idle: options.idle_timeout,
                write: options.write_timeout,
            },
            tls,
            slots: Arc::new(Semaphore::new(options.max_connections)),
            open: Arc::new(AtomicUsize::new(0)),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            cut: CancellationToken::new(),
        };
        let reload = connections.tls.as_ref().map(tls::Acceptor::follow);
        if let Some(reload) = reload {
            connections.tasks.spawn(
                connections
                    .closing
                    .clone()
                    .run_until_cancelled_owned(reload),
            );
        }
        let mut shutdown = pin!(shutdown);
        connections.accept_until(&listener, shutdown.as_mut()).await;
        let deadline = Instant::now() + options.grace;
        tracing::info!(
            connections = connections.open.load(SeqCst),
            "Shutting down: not ready any more, finishing what was accepted"
        );
        edge.drain();
        let linger = options.linger.min(options.grace / 2);
        connections
            .accept_until(&listener, pin!(tokio::time::sleep(linger)))
            .await;
        connections.accept_waiting(&listener);
        drop(listener);
        connections.closing.cancel();
        connections.tasks.close();
        let mut cut_off = 0;
        if tokio::time::timeout_at(deadline, connections.tasks.wait())
            .await
            .is_err()
        {
            cut_off = connections.open.load(SeqCst);
            tracing::warn!(
                connections = cut_off,
                "The grace period is over: cutting off what is left"
            );
            connections.cut.cancel();
            connections.tasks.wait().await;
        }
        edge.stop().await;
        Ok(cut_off)
    }
}

/// What all connections of a server share.
struct Connections {
    edge: Edge,
    limits: Limits,
    tls: Option<tls::Acceptor>,
    slots: Arc<Semaphore>,
    open: Arc<AtomicUsize>,
    tasks: TaskTracker,
    /// No new connections come, idle ones are to end.
    closing: CancellationToken,
    /// All connections are to end now.
    cut: CancellationToken,
}

impl Connections {
    async fn accept_until(&self, listener: &Listener, mut end: Pin<&mut impl Future<Output = ()>>) {
        loop {
            let accepted = async {
                // The semaphore is never closed.
                let slot = Arc::clone(&self.slots).acquire_owned().await.ok();
                (listener.accept().await, slot)
            };
            let (accepted, slot) = tokio::select! {
                biased;
                () = end.as_mut() => return,
                accepted = accepted => accepted,
            };
            match accepted {
                Ok(stream) => self.serve(stream, slot),
                Err(error) => {
                    // Out of file descriptors, or a peer that was gone before it was taken: neither ends the server.
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "Could not take a connection"
                    );
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    /// Takes the connections that wait already: they would be reset when the listener closes.
    fn accept_waiting(&self, listener: &Listener) {
        while let Some(Ok(stream)) = listener.accept().now_or_never() {
            self.serve(stream, None);
        }
    }

    fn serve(&self, stream: TcpStream, slot: Option<tokio::sync::OwnedSemaphorePermit>) {
        let activity = Arc::new(Activity::new(self.closing.clone()));
        let open = Open::new(&self.open);
        let edge = self.edge.clone();
        let limits = self.limits;
        let tls = self.tls.clone();
        let closing = self.closing.clone();
        let executor = Tracked {
            tasks: self.tasks.clone(),
            cut: self.cut.clone(),
            write: limits.write,
        };
        let connection = async move {
            let _held = (slot, open);
            drop(stream.set_nodelay(true));
            match tls {
                None => {
                    let io = Guard::new(stream, limits, Arc::clone(&activity));
                    drive(io, edge, activity, closing, executor).await;
                }
                Some(tls) => match tokio::time::timeout(limits.head, tls.accept(stream)).await {
                    Ok(Ok(stream)) => {
                        let io = Guard::new(stream, limits, Arc::clone(&activity));
                        drive(io, edge, activity, closing, executor).await;
                    }
                    Ok(Err(error)) => {
                        tracing::debug!(
                            error = &error as &dyn std::error::Error,
                            "TLS handshake failed"
                        );
                    }
                    Err(_) => tracing::debug!("TLS handshake took too long"),
                },
            }
        };
        self.tasks
            .spawn(self.cut.clone().run_until_cancelled_owned(connection));
    }
}

/// Serves one connection to its end.
async fn drive<S>(
    io: Guard<S>,
    edge: Edge,
    activity: Arc<Activity>,
    closing: CancellationToken,
    executor: Tracked,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = Builder::new(executor);
    builder
        .http1()
        .timer(TokioTimer::new())
        // The guard watches heads and idle connections apart; hyper has one timer for both, so this is the longer one.
        .header_read_timeout(io.limits().idle + io.limits().head)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(u32::try_from(MAX_HEAD).unwrap_or(u32::MAX))
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_EVERY);
    let service = Counted {
        edge,
        activity: Arc::clone(&activity),
    };
    let service = hyper_util::service::TowerToHyperService::new(service);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(io), service));
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = closing.cancelled() => {
            // HTTP/2 says GOAWAY and finishes. HTTP/1.1 says `Connection: close` with each answer, and the guard ends what
            // stays idle: to close it at once would race with a request that is on its way.
            if activity.is_http2() {
                connection.as_mut().graceful_shutdown();
            }
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(error = &*error, "Connection ended with an error");
    }
}

/// Spawns the streams of HTTP/2 where shutdown waits for them, and can end them. A stream of which nothing is taken for `write`
/// is ended.
#[derive(Clone)]
struct Tracked {
    tasks: TaskTracker,
    cut: CancellationToken,
    write: Duration,
}

impl<F> hyper::rt::Executor<F> for Tracked
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        let stream = untaken::bounded(self.write, future);
        self.tasks
            .spawn(self.cut.clone().run_until_cancelled_owned(stream));
    }
}

/// Counts the connections that are open.
struct Open(Arc<AtomicUsize>);

impl Open {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// Tells the guard of the connection which requests are under way.
#[derive(Clone)]
struct Counted {
    edge: Edge,
    activity: Arc<Activity>,
}

impl Service<Request<Incoming>> for Counted {
    type Response = Response<CountedBody>;
    type Error = Infallible;
    type Future = CountedFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Request<Incoming>>::poll_ready(&mut self.edge, cx)
    }

    fn call(&mut self, request: Request<Incoming>) -> CountedFuture {
        let busy = self.activity.begin();
        CountedFuture {
            answer: self.edge.call(request),
            busy: Some(busy),
        }
    }
}

pin_project_lite::pin_project! {
    /// The answer to come, of a request that counts.
    struct CountedFuture {
        #[pin]
        answer: EdgeFuture,
        busy: Option<guard::Busy>,
    }
}

impl Future for CountedFuture {
    type Output = Result<Response<CountedBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.answer.poll(cx).map(|answer| {
            let busy = this.busy.take();
            answer.map(|answer| answer.map(|body| CountedBody { body, _busy: busy }))
        })
    }
}

pin_project_lite::pin_project! {
    /// A body whose request counts as under way until it is gone.
    struct CountedBody {
        #[pin]
        body: EdgeBody,
        _busy: Option<guard::Busy>,
    }
}

impl Body for CountedBody {
    type Data = bytes::Bytes;
    type Error = favonius_storage::StorageError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<bytes::Bytes>, Self::Error>>> {
        let frame = self.project().body.poll_frame(cx);
        untaken::note(matches!(frame, Poll::Ready(Some(Ok(_)))));
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
