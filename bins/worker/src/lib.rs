//! The worker: composes an edge from settings and serves it. It holds no behaviour of its own.

mod backends;
pub mod log;
mod options;

use std::net::SocketAddr;

use anyhow::Context;
use favonius_config::Settings;
use favonius_http::{Edge, Listener, Server};

use self::backends::Opened;

/// An edge that listens.
#[derive(Debug)]
pub struct Worker {
    server: Server,
    listener: Listener,
    backends: Opened,
}

impl Worker {
    /// Opens the back ends and binds the port. The servers behind it need not answer yet; an embedded database must.
    ///
    /// Must be called inside a Tokio runtime.
    pub fn start(settings: &Settings) -> anyhow::Result<Self> {
        let (opened, backends) = backends::open(settings)?;
        let edge = Edge::new(backends, options::edge(settings)?);
        let mut server = Server::new(edge).options(options::server(settings));
        if let Some(files) = &settings.server.tls {
            server = server.tls(options::tls(files))?;
        }
        let listener = Listener::bind(options::bind(settings.server.host), settings.server.port)?;
        Ok(Self {
            server,
            listener,
            backends: opened,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
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
