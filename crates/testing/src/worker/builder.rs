//! What a worker is started with.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use tempfile::TempDir;

use super::{Finished, WorkerProcess};
use crate::ports::ReservedPort;
use crate::settings::Settings;
use crate::tls::TestCa;
use crate::token;

/// How a worker shall be started.
#[derive(Debug)]
#[must_use = "nothing happens until it is started"]
pub struct WorkerBuilder {
    pub(super) binary: Option<PathBuf>,
    pub(super) port: ReservedPort,
    pub(super) env: BTreeMap<String, String>,
    pub(super) args: Vec<String>,
    pub(super) tls: Option<TestCa>,
    pub(super) ready_path: String,
}

impl WorkerBuilder {
    pub(super) fn new() -> Self {
        let port = ReservedPort::new();
        Self {
            binary: None,
            env: BTreeMap::from([
                ("ZE_WORKER_PORT".to_owned(), port.number().to_string()),
                ("ZE_WORKER_HOST".to_owned(), "127.0.0.1".to_owned()),
                ("ZE_WORKER_JWT_SECRET".to_owned(), token::SECRET.to_owned()),
            ]),
            port,
            args: Vec::new(),
            tls: None,
            ready_path: "/readyz".to_owned(),
        }
    }

    /// Another program than [`worker_binary`](crate::worker_binary): a relay, an older version.
    pub fn binary(mut self, path: impl Into<PathBuf>) -> Self {
        self.binary = Some(path.into());
        self
    }

    /// Passes an argument.
    pub fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.to_owned());
        self
    }

    /// Sets a key. The last value given counts, also against those that come from servers.
    #[expect(clippy::needless_pass_by_value, reason = "`5` reads better than `&5`")]
    pub fn env(mut self, key: &str, value: impl ToString) -> Self {
        self.env.insert(key.to_owned(), value.to_string());
        self
    }

    /// Takes a key out again, also one that is set from the start (port, host, secret).
    pub fn without(mut self, key: &str) -> Self {
        self.env.remove(key);
        self
    }

    /// Keeps records in this Redis: a server, a cluster, a Sentinel.
    pub fn redis(self, redis: &impl Settings) -> Self {
        self.settings(redis)
    }

    /// Keeps assets in this S3 server.
    pub fn s3(self, s3: &impl Settings) -> Self {
        self.settings(s3)
    }

    /// Reaches Redis through another address, such as a [`FaultProxy`](crate::FaultProxy)'s. Comes after [`redis`](Self::redis).
    pub fn redis_at(self, address: SocketAddr) -> Self {
        self.env("ZE_WORKER_REDIS_HOST", address.ip())
            .env("ZE_WORKER_REDIS_PORT", address.port())
    }

    /// Reaches S3 through another address, without TLS. Comes after [`s3`](Self::s3).
    pub fn s3_at(self, address: SocketAddr) -> Self {
        self.env("ZE_WORKER_S3_ENDPOINT", format!("http://{address}"))
    }

    /// Keeps everything in a directory: no servers.
    pub fn embedded(self, dir: &Path) -> Self {
        self.env("ZE_WORKER_STORAGE", "embedded")
            .env("ZE_WORKER_DATA_DIR", dir.display())
    }

    /// Terminates TLS in the worker, with a certificate for `localhost` of a new authority.
    pub fn tls(mut self) -> Self {
        self.tls = Some(TestCa::new());
        self
    }

    /// The path that must answer 200 before the worker counts as started: `/readyz` unless said otherwise, `/startupz` when it
    /// is to start without its back ends.
    pub fn wait_for(mut self, path: &str) -> Self {
        path.clone_into(&mut self.ready_path);
        self
    }

    fn settings(mut self, server: &impl Settings) -> Self {
        let settings = server.settings().into_iter();
        self.env
            .extend(settings.map(|(key, value)| (key.to_owned(), value)));
        self
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Panics
    /// If it ends before, or is not ready after 30 s; its log is shown.
    pub async fn start(self) -> WorkerProcess {
        let worker = self.prepare();
        worker.start_again().await;
        worker
    }

    /// Starts it and waits until it ends by itself: for settings that it must refuse.
    ///
    /// # Panics
    /// If it still runs at the deadline; its log is shown.
    pub async fn run_to_exit(self, deadline: Duration) -> Finished {
        let worker = self.prepare();
        worker.spawn();
        let status = worker.wait_exit(deadline).await;
        Finished {
            status,
            log: worker.logs(),
        }
    }

    /// Makes its directory and writes what it will read.
    fn prepare(mut self) -> WorkerProcess {
        let dir = TempDir::with_prefix("favonius-worker-").expect("a directory can be made");
        if let Some(ca) = &self.tls {
            ca.write_files(dir.path());
            let file = |name| dir.path().join(name).display().to_string();
            self.env
                .insert("ZE_WORKER_TLS_CERT_FILE".to_owned(), file("server.pem"));
            self.env
                .insert("ZE_WORKER_TLS_KEY_FILE".to_owned(), file("server.key"));
        }
        WorkerProcess {
            running: Mutex::new(None),
            spec: self,
            dir,
        }
    }
}
