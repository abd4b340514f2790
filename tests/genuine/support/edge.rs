//! A worker with its own back ends.

use favonius_testing::{
    Client, MotoServer, RedisServer, Reply, RequestBuilder, S3Server, WorkerBuilder, WorkerProcess,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What a path segment may hold as it is, for somebody careful (RFC 3986, section 2.3: unreserved characters).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A worker, known as `localhost`, and the servers behind it.
#[derive(Debug)]
pub(crate) struct Edge {
    worker: WorkerProcess,
    client: Client,
    delimiter: &'static str,
    s3: Option<S3Server>,
    /// Only there for as long as the worker.
    _moto: Option<MotoServer>,
    _redis: Option<RedisServer>,
}

impl Edge {
    pub(crate) async fn s3_redis() -> Self {
        let (s3, redis) = (S3Server::start(), RedisServer::start());
        let worker = WorkerProcess::builder().redis(&redis).s3(&s3);
        Self {
            s3: Some(s3),
            _redis: Some(redis),
            ..Self::start(worker, "-").await
        }
    }

    pub(crate) async fn moto_redis() -> Self {
        let (moto, redis) = (MotoServer::start(), RedisServer::start());
        let worker = WorkerProcess::builder().redis(&redis).s3(&moto);
        Self {
            _moto: Some(moto),
            _redis: Some(redis),
            ..Self::start(worker, "-").await
        }
    }

    pub(crate) async fn embedded() -> Self {
        Self::embedded_with("-", |worker| worker).await
    }

    pub(crate) async fn embedded_with(
        delimiter: &'static str,
        set: impl FnOnce(WorkerBuilder) -> WorkerBuilder,
    ) -> Self {
        // Relative to the worker's own directory.
        let worker = WorkerProcess::builder().embedded("data".as_ref());
        let worker = set(worker.env("ZE_WORKER_DELIMITER", delimiter));
        Self::start(worker, delimiter).await
    }

    async fn start(worker: WorkerBuilder, delimiter: &'static str) -> Self {
        let worker = worker.start().await;
        Self {
            client: worker.client(),
            worker,
            delimiter,
            s3: None,
            _moto: None,
            _redis: None,
        }
    }

    /// Where the client is told to upload to.
    pub(crate) fn url(&self) -> String {
        self.worker.base_url()
    }

    pub(crate) fn delimiter(&self) -> &'static str {
        self.delimiter
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// The S3 server, to look into and to take objects from.
    pub(crate) fn s3(&self) -> &S3Server {
        self.s3.as_ref().expect("the edge was started with one")
    }

    /// The host of a tag (`t-main`) or an environment (`e-production`) of an application.
    pub(crate) fn host(&self, name: &str, application_uid: &str) -> String {
        let label = application_uid.replace('.', "-");
        let port = self.worker.address().port();
        format!("{name}-{label}{}localhost:{port}", self.delimiter)
    }

    /// A GET of a path on a host, sent as it stands here.
    pub(crate) fn get(&self, host: &str, target: &str) -> RequestBuilder<'_> {
        self.client.get(target).host(host)
    }

    /// The bytes at a path, which must be there.
    pub(crate) async fn read(&self, host: &str, target: &str) -> Reply {
        self.get(host, target).send().await.expect_status(200)
    }
}

/// The host of a URL with its port.
pub(crate) fn host_of(url: &str) -> &str {
    let rest = url.strip_prefix("http://");
    rest.and_then(|rest| rest.split('/').next())
        .unwrap_or_else(|| panic!("`{url}` is no URL of an edge"))
}

/// A path of a snapshot as it stands in a URL, with everything encoded that can be.
pub(crate) fn url_path(path: &str) -> String {
    let segments = path
        .split('/')
        .map(|segment| format!("/{}", utf8_percent_encode(segment, UNRESERVED)));
    segments.collect()
}
