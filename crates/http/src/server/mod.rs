//! The server around the service: connections, their limits and timeouts, and how they end.
//!
//! 1. A connection that does not send a whole request head in time, or nothing at all, is closed.
//! 2. An idle connection stays open for longer than any client keeps it, because a POST that meets a closed connection
//!    is not sent again.
//! 3. A peer that does not take what it asked for is cut off.
//! 4. On shutdown the edge is first not ready, then takes no new connections, then ends; no request that was accepted
//!    is dropped before the grace period is over.

mod connections;
mod counted;
mod guard;
mod listener;
mod signal;
mod tls;
mod untaken;

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use tokio::{sync::Semaphore, time::Instant};
use tokio_util::task::TaskTracker;

use self::{connections::Connections, guard::Limits, signal::Signal};
pub use self::{
    listener::{Bind, Listener},
    tls::TlsFiles,
};
use crate::edge::Edge;

/// How long an answer to who watches may take at the very end.
const LAST_METRICS: Duration = Duration::from_millis(200);

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
    metrics: Option<Listener>,
}

impl Server {
    /// A server with the default options, without TLS.
    pub fn new(edge: Edge) -> Self {
        Self {
            edge,
            options: ServerOptions::default(),
            tls: None,
            metrics: None,
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

    /// Shows metrics and probes on a listener of their own as well, in plain HTTP, until the very end.
    #[must_use]
    pub fn metrics(mut self, listener: Listener) -> Self {
        self.metrics = Some(listener);
        self
    }

    /// Serves until `shutdown` resolves, and then until all requests have ended or the grace period is over. Gives the
    /// number of connections that had to be cut off then.
    pub async fn run(
        self,
        listener: Listener,
        shutdown: impl Future<Output = ()>,
    ) -> Result<usize, ServerError> {
        let Self {
            edge,
            options,
            tls,
            metrics,
        } = self;
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
            closing: Signal::default(),
            cut: Signal::default(),
        };
        let reload = connections.tls.as_ref().map(tls::Acceptor::follow);
        if let Some(reload) = reload {
            let closing = connections.closing.clone();
            connections
                .tasks
                .spawn(async move { closing.until(reload).await });
        }
        connections.watch();
        let watched = metrics.map(|listener| {
            let watched = connections.of_metrics();
            watched.tasks.spawn(watched.clone().accept_from(listener));
            watched
        });
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
        connections.closing.give();
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
            connections.cut.give();
            connections.tasks.wait().await;
        }
        if let Some(watched) = watched {
            watched.end(LAST_METRICS).await;
        }
        edge.stop().await;
        Ok(cut_off)
    }
}
