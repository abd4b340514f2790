//! Connections: how they are taken, served and ended.

use std::{
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use favonius_telemetry::instruments::Reading;
use futures::FutureExt;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::Semaphore,
};
use tokio_util::task::TaskTracker;

use super::{
    Listener,
    counted::Counted,
    guard::{Activity, Guard, Limits},
    signal::Signal,
    tls, untaken,
};
use crate::edge::Edge;

/// Largest request head, in bytes. HTTP/1.1: also how much of an answer waits on a connection until more of it is asked for, so
/// that it bounds what slow clients hold.
const MAX_HEAD: usize = 32 * 1024;
/// Most requests at once on one HTTP/2 connection.
const MAX_STREAMS: u32 = 256;
/// Most connections at once to the listener of metrics, and how long they may be idle.
const METRICS_CONNECTIONS: usize = 256;
const METRICS_IDLE: Duration = Duration::from_secs(30);
/// How often an HTTP/2 peer is asked whether it is still there, and how long it may take to say so.
const PING_EVERY: Duration = Duration::from_secs(20);

/// What all connections of a server share.
#[derive(Clone)]
pub(super) struct Connections {
    pub(super) edge: Edge,
    pub(super) limits: Limits,
    pub(super) tls: Option<tls::Acceptor>,
    pub(super) slots: Arc<Semaphore>,
    pub(super) open: Arc<AtomicUsize>,
    pub(super) tasks: TaskTracker,
    /// No new connections come, idle ones are to end.
    pub(super) closing: Signal,
    /// All connections are to end now.
    pub(super) cut: Signal,
}

impl Connections {
    /// Those of the listener of metrics, which outlive the others: whoever watches wants to see the end.
    pub(super) fn of_metrics(&self) -> Self {
        Self {
            edge: self.edge.metrics(),
            limits: Limits {
                idle: METRICS_IDLE.min(self.limits.idle),
                ..self.limits
            },
            tls: None,
            slots: Arc::new(Semaphore::new(METRICS_CONNECTIONS)),
            open: Arc::default(),
            tasks: TaskTracker::new(),
            closing: Signal::default(),
            cut: Signal::default(),
        }
    }

    /// Ends them, those after this time that still have something to say.
    pub(super) async fn end(self, within: Duration) {
        self.closing.give();
        self.tasks.close();
        if tokio::time::timeout(within, self.tasks.wait())
            .await
            .is_err()
        {
            self.cut.give();
            self.tasks.wait().await;
        }
    }

    /// Shows how many there are, and until when they are safe.
    pub(super) fn watch(&self) {
        let instruments = self.edge.instruments();
        // Weak: who measures may live longer than the server.
        let open = Arc::downgrade(&self.open);
        instruments.watch_if_any(Reading::Connections, move || {
            open.upgrade().map(|open| open.load(SeqCst) as u64)
        });
        if let Some(tls) = &self.tls {
            instruments.watch_if_any(Reading::CertificateNotAfter, tls.not_after());
        }
    }

    /// Takes connections until idle ones are to end.
    pub(super) async fn accept_from(self, listener: Listener) {
        let closing = self.closing.clone();
        self.accept_until(&listener, pin!(closing.given())).await;
    }

    pub(super) async fn accept_until(
        &self,
        listener: &Listener,
        mut end: Pin<&mut impl Future<Output = ()>>,
    ) {
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
    pub(super) fn accept_waiting(&self, listener: &Listener) {
        while let Some(Ok(stream)) = listener.accept().now_or_never() {
            self.serve(stream, None);
        }
    }

    fn serve(&self, stream: TcpStream, slot: Option<tokio::sync::OwnedSemaphorePermit>) {
        let activity = Arc::new(Activity::new());
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
        let cut = self.cut.clone();
        self.tasks.spawn(async move { cut.until(connection).await });
    }
}

/// Serves one connection to its end.
async fn drive<S>(
    io: Guard<S>,
    edge: Edge,
    activity: Arc<Activity>,
    closing: Signal,
    executor: Tracked,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = Builder::new(executor);
    builder
        .http1()
        .timer(TokioTimer::new())
        // The guard watches heads and idle connections apart, without a timer for each request.
        .header_read_timeout(None)
        .max_buf_size(MAX_HEAD);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(u32::try_from(MAX_HEAD).unwrap_or(u32::MAX))
        .max_send_buf_size(MAX_HEAD)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_EVERY);
    let service = Counted {
        edge,
        activity: Arc::clone(&activity),
    };
    let mut connection = pin!(builder.serve_connection(TokioIo::new(io), service));
    let result = if let Some(result) = closing.until(connection.as_mut()).await {
        result
    } else {
        activity.close();
        // HTTP/2 says GOAWAY and finishes. HTTP/1.1 says `Connection: close` with each answer, and the guard ends what
        // stays idle: to close it at once would race with a request that is on its way.
        if activity.is_http2() {
            connection.as_mut().graceful_shutdown();
        }
        connection.await
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
    cut: Signal,
    write: Duration,
}

impl<F> hyper::rt::Executor<F> for Tracked
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        let stream = untaken::bounded(self.write, future);
        let cut = self.cut.clone();
        self.tasks.spawn(async move { cut.until(stream).await });
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
