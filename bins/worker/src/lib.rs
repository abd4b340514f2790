//! The worker: composes an edge from settings and serves it. It holds no behaviour of its own.

mod backends;
pub mod log;
mod options;

use std::net::SocketAddr;

use anyhow::Context;
use favonius_config::Settings;
use favonius_http::{Edge, Listener, Server};
pub use favonius_telemetry::Reporter;
use favonius_telemetry::instruments::Reading;
use tokio::runtime::Handle;

use self::backends::Opened;

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
        reporter.instruments.watch_runtime(&Handle::current());
        let memory_limit = settings.server.memory_limit;
        reporter
            .instruments
            .watch_if_any(Reading::MemoryLimit, move || memory_limit);
        let (opened, backends) = backends::open(settings, &reporter.instruments)?;
        let edge = Edge::new(backends, options::edge(settings, reporter)?);
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
