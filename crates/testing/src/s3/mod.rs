//! Real S3 servers.

mod moto;
mod service;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;

use crate::background::Background;
use crate::ports::ReservedPort;
use crate::process::lock;
use crate::settings::Settings;
use crate::tls::TestCa;

pub use moto::MotoServer;
pub use service::RecordedRequest;
use service::{Desk, serve};

/// The bucket that both kinds of server have from the start.
const BUCKET: &str = "assets";
const ACCESS_KEY_ID: &str = "test-access-key";
const SECRET_ACCESS_KEY: &str = "test-secret-key";
const REGION: &str = "us-east-1";

/// An S3 server in this process, on a port, a thread and in a directory of its own, that checks signatures and remembers what it was
/// asked. Dropping it ends it and removes the directory.
#[derive(Debug)]
pub struct S3Server {
    running: Mutex<Option<Background>>,
    desk: Arc<Desk>,
    ca: Option<(TestCa, crate::Identity)>,
    port: ReservedPort,
    dir: TempDir,
}

/// How an [`S3Server`] shall be.
#[derive(Debug, Default)]
pub struct S3Builder {
    tls: bool,
}

impl S3Builder {
    /// Takes TLS connections only, with a certificate for `localhost` and 127.0.0.1 of a new authority.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Starts it, with an empty bucket.
    pub fn start(self) -> S3Server {
        let dir = TempDir::with_prefix("favonius-s3-").expect("a directory can be made");
        let ca = self.tls.then(|| {
            let ca = TestCa::new();
            let identity = ca.issue(&["localhost", "127.0.0.1"]);
            fs::write(dir.path().join("ca.pem"), ca.certificate_pem())
                .expect("we own the directory");
            (ca, identity)
        });
        let server = S3Server {
            running: Mutex::new(None),
            desk: Arc::default(),
            ca,
            port: ReservedPort::new(),
            dir,
        };
        fs::create_dir_all(server.bucket_dir()).expect("we own the directory");
        server.start_again();
        server
    }
}

impl S3Server {
    /// One without TLS.
    pub fn start() -> Self {
        S3Builder::default().start()
    }

    /// One as one wishes.
    pub fn builder() -> S3Builder {
        S3Builder::default()
    }

    /// Its URL, without a slash at the end.
    pub fn endpoint(&self) -> String {
        let scheme = if self.ca.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address())
    }

    /// The address it listens on, for a [`FaultProxy`](crate::FaultProxy).
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// The bucket that is there.
    pub fn bucket(&self) -> &'static str {
        BUCKET
    }

    /// The access key id that it takes.
    pub fn access_key_id(&self) -> &'static str {
        ACCESS_KEY_ID
    }

    /// The secret of that access key.
    pub fn secret_access_key(&self) -> &'static str {
        SECRET_ACCESS_KEY
    }

    /// The region to sign for; it takes any.
    pub fn region(&self) -> &'static str {
        REGION
    }

    /// The certificate of its authority, when it has TLS.
    pub fn ca_file(&self) -> Option<PathBuf> {
        self.ca.is_some().then(|| self.dir.path().join("ca.pem"))
    }

    /// Ends it: connections are closed and new ones refused. The objects stay.
    pub fn stop(&self) {
        *lock(&self.running) = None;
    }

    /// Starts it again on the same port and directory.
    pub fn start_again(&self) {
        let mut running = lock(&self.running);
        assert!(running.is_none(), "the S3 server runs already");
        let objects = FileSystem::new(self.objects_dir()).expect("the directory is there");
        let mut builder = S3ServiceBuilder::new(objects);
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY_ID, SECRET_ACCESS_KEY));
        let service = builder.build();
        let tls = self
            .ca
            .as_ref()
            .map(|(_, identity)| identity.server_config());
        let tls = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
        let (desk, port) = (Arc::clone(&self.desk), self.port.number());
        let started = Background::listen("s3 server", port, move |listener| {
            serve(listener, tls, service, desk)
        });
        *running = Some(started.unwrap_or_else(|error| panic!("the S3 server: {error}")));
    }

    /// What it was asked, in the order in which the requests arrived, since the start or the last [`forget`](Self::forget).
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.desk.requests()
    }

    /// How many requests of a method (`GET`, `PUT`, `HEAD`, `POST`, `DELETE`) there were.
    pub fn count(&self, method: &str) -> usize {
        self.desk
            .requests()
            .iter()
            .filter(|request| request.method == method)
            .count()
    }

    /// Forgets the requests and the peak.
    pub fn forget(&self) {
        self.desk.forget();
    }

    /// The most requests that were under way at once, from their head to the end of the answer's body.
    pub fn peak_in_flight(&self) -> usize {
        self.desk.peak_in_flight()
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> usize {
        self.desk.connections()
    }

    /// Answers the next `times` requests of a method (`*` for any) with an error status and does nothing else: 503 says `SlowDown`,
    /// 403 `AccessDenied`, others `InternalError`. Replaces what was asked for before.
    pub fn fail_next(&self, method: &str, times: usize, status: u16) {
        self.desk.fail_next(method, times, status);
    }

    /// Lets each request wait before it is worked on.
    pub fn set_delay(&self, delay: Duration) {
        self.desk.set_delay(delay);
    }

    /// The keys in the bucket, sorted, read from the directory.
    pub fn keys(&self) -> Vec<String> {
        let mut keys = Vec::new();
        collect_files(&self.bucket_dir(), "", &mut keys);
        keys.sort();
        keys
    }

    /// The bytes of an object, read from the directory.
    pub fn object(&self, key: &str) -> Option<Vec<u8>> {
        fs::read(self.bucket_dir().join(key)).ok()
    }

    /// Puts an object straight into the directory, as somebody else's tool would into the bucket. An object that was there is
    /// replaced without a trace: its `ETag` stays.
    pub fn put_object(&self, key: &str, content: &[u8]) {
        let path = self.bucket_dir().join(key);
        let parent = path.parent().expect("an object is in the bucket");
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&path, content))
            .unwrap_or_else(|error| panic!("could not put `{key}`: {error}"));
    }

    /// Takes an object out of the directory.
    pub fn remove_object(&self, key: &str) {
        fs::remove_file(self.bucket_dir().join(key))
            .unwrap_or_else(|error| panic!("could not remove `{key}`: {error}"));
    }

    fn objects_dir(&self) -> PathBuf {
        self.dir.path().join("objects")
    }

    fn bucket_dir(&self) -> PathBuf {
        self.objects_dir().join(BUCKET)
    }
}

impl Settings for S3Server {
    fn settings(&self) -> Vec<(&'static str, String)> {
        let ca = self
            .ca_file()
            .map(|file| ("ZE_WORKER_S3_CA_FILE", file.display().to_string()));
        worker_settings(self.endpoint())
            .into_iter()
            .chain(ca)
            .collect()
    }
}

fn worker_settings(endpoint: String) -> Vec<(&'static str, String)> {
    vec![
        ("ZE_WORKER_S3_ENDPOINT", endpoint),
        ("ZE_WORKER_S3_ACCESS_KEY_ID", ACCESS_KEY_ID.to_owned()),
        (
            "ZE_WORKER_S3_SECRET_ACCESS_KEY",
            SECRET_ACCESS_KEY.to_owned(),
        ),
        ("ZE_WORKER_S3_BUCKET", BUCKET.to_owned()),
        ("ZE_WORKER_S3_REGION", REGION.to_owned()),
    ]
}

fn collect_files(dir: &Path, prefix: &str, keys: &mut Vec<String>) {
    let entries = fs::read_dir(dir)
        .unwrap_or_else(|error| panic!("could not list {}: {error}", dir.display()));
    for entry in entries {
        let entry = entry.expect("the directory can be read");
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            collect_files(&entry.path(), &format!("{name}/"), keys);
        } else {
            keys.push(name);
        }
    }
}
