//! The worker and the relay: compose an edge from settings and serve it. They hold no behaviour of their own.

mod backends;
pub mod log;
mod options;
pub mod process;

use std::net::SocketAddr;

use anyhow::{Context, bail};
use favonius_config::Settings;
use favonius_http::{Edge, Listener, Server};
pub use favonius_telemetry::Reporter;
use favonius_telemetry::instruments::Reading;
use tokio::runtime::Handle;

use self::backends::Opened;

/// What a process of a region does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It serves deployments and takes them in; it sends to other regions unless that is left to relays.
    Worker,
    /// It sends to other regions, takes what they send, and nothing else.
    Relay,
}

/// An edge that listens.
#[derive(Debug)]
pub struct Worker {
    server: Server,
    listener: Listener,
    metrics_address: Option<SocketAddr>,
    backends: Opened,
}

impl Worker {
    /// Opens the back ends and binds the port; what happens is told to `reporter`. The servers behind it need not answer yet; an
    /// embedded database must.
    ///
    /// Must be called inside a Tokio runtime.
    pub fn start(settings: &Settings, reporter: Reporter) -> anyhow::Result<Self> {
        Self::start_as(Role::Worker, settings, reporter)
    }

    /// The same in one of the roles.
    pub fn start_as(role: Role, settings: &Settings, reporter: Reporter) -> anyhow::Result<Self> {
        if role == Role::Relay && settings.replication.name.is_none() {
            bail!(
                "ZE_WORKER_REPLICA_NAME is not set: without it replication is off, and a relay has nothing to do"
            );
        }
        reporter.instruments.watch_runtime(&Handle::current());
        let memory_limit = settings.server.memory_limit;
        reporter
            .instruments
            .watch_if_any(Reading::MemoryLimit, move || memory_limit);
        let (opened, backends) = backends::open(settings, role, &reporter.instruments)?;
        let mut edge = Edge::new(backends, options::edge(settings, role, reporter)?);
        if role == Role::Relay {
            edge = edge.relay();
        }
        let mut server = Server::new(edge).options(options::server(settings));
        if let Some(files) = &settings.server.tls {
            server = server.tls(options::tls(files))?;
        }
        let host = options::bind(settings.server.host);
        let listener = Listener::bind(host, settings.server.port)?;
        let mut metrics_address = None;
        if let Some(port) = settings.server.metrics.port {
            let listener = Listener::bind(host, port).context("ZE_WORKER_METRICS_PORT")?;
            metrics_address = Some(listener.address());
            server = server.metrics(listener);
        }
        Ok(Self {
            server,
            listener,
            metrics_address,
            backends: opened,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// Where it shows metrics, if that is somewhere else.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_address
    }

    /// Serves until `shutdown` resolves and what was accepted is answered, or the grace period is over.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
        self.server
            .run(self.listener, shutdown)
            .await
            .context("could not serve")?;
        self.backends.close().await;
        Ok(())
    }
}
