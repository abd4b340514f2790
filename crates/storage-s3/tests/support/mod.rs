//! What the tests of this crate share.
#![expect(clippy::unwrap_used, reason = "test support")]
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::{
    convert::Infallible,
    io::{self, Write},
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use favonius_contract::{AssetHash, AssetRef};
use favonius_storage::{Assets, Claim, HashCheck, PutError, Stored};
use favonius_storage_s3::{Credentials, S3Options, s3_store};
use favonius_testing::{FaultProxy, S3Server};
use futures::stream;
use object_store::ObjectStore;
use tokio_util::task::TaskTracker;
use tracing::{Level, subscriber::DefaultGuard};
use tracing_subscriber::fmt::format::FmtSpan;

/// Larger than one part.
pub(crate) const LARGE: usize = 9 * 1024 * 1024;

/// The options for a server of this process.
pub(crate) fn options(server: &S3Server) -> S3Options {
    let credentials = Credentials::Static {
        access_key_id: server.access_key_id().into(),
        secret_access_key: server.secret_access_key().into(),
    };
    S3Options::new(server.endpoint(), server.bucket(), credentials)
}

/// The same with another address.
pub(crate) fn options_at(server: &S3Server, address: SocketAddr) -> S3Options {
    S3Options {
        endpoint: format!("http://{address}"),
        ..options(server)
    }
}

/// A server, a proxy in front of it, and the store that goes through the proxy.
pub(crate) struct Proxied {
    pub(crate) server: S3Server,
    pub(crate) proxy: FaultProxy,
    pub(crate) store: Arc<dyn ObjectStore>,
}

impl Proxied {
    /// With this time-out for everything.
    pub(crate) fn start(limit: Duration) -> Self {
        Self::with(|options| {
            options.request_timeout = limit;
            options.upload_request_timeout = limit;
        })
    }

    pub(crate) fn with(change: impl FnOnce(&mut S3Options)) -> Self {
        let server = S3Server::start();
        let proxy = FaultProxy::start(server.address());
        let mut options = options_at(&server, proxy.address());
        change(&mut options);
        let store = s3_store(&options).unwrap();
        Self {
            server,
            proxy,
            store,
        }
    }

    pub(crate) fn assets(&self) -> (Assets, TaskTracker) {
        assets_in(&self.store)
    }
}

pub(crate) fn assets_in(store: &Arc<dyn ObjectStore>) -> (Assets, TaskTracker) {
    let tasks = TaskTracker::new();
    (Assets::new(Arc::clone(store), tasks.clone()), tasks)
}

/// Bytes that differ from place to place.
pub(crate) fn content(size: usize) -> Vec<u8> {
    (0..size)
        .map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[4])
        .collect()
}

pub(crate) fn asset(content: &[u8]) -> AssetRef {
    AssetRef {
        hash: AssetHash::of(content, "x"),
        size: content.len() as u64,
    }
}

pub(crate) fn claim(asset: AssetRef) -> Claim<'static> {
    Claim {
        asset,
        path: "x",
        path_is_listed: false,
        content_hash_too: false,
        check: HashCheck::Strict,
    }
}

pub(crate) async fn put(assets: &Assets, content: &[u8]) -> Result<Stored, PutError<Infallible>> {
    let body = stream::iter([Ok(Bytes::copy_from_slice(content))]);
    assets.put(claim(asset(content)), body).await
}

/// An error with all that caused it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text = format!("{text}: {error}");
        next = error.source();
    }
    text
}

/// What was logged on this thread, as long as the guard lives; also the end of each span.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(crate) fn start(level: Level) -> (Self, DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(false)
            .with_span_events(FmtSpan::CLOSE)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        let text = self.0.lock().unwrap().clone();
        let text = String::from_utf8(text).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
