//! Workers whose whole output is read for secrets when they go.

use std::ops::Deref;
use std::sync::Mutex;
use std::time::Duration;

use favonius_testing::{
    Finished, LogLine, RedisServer, S3Server, WorkerBuilder, WorkerProcess, token,
};

/// What the Redis servers with a password ask for.
pub(crate) const REDIS_PASSWORD: &str = "a password of Redis in these tests";
/// A value for query strings: none of those is ever logged.
pub(crate) const QUERY_VALUE: &str = "value-of-a-query-string";

/// A Redis and an S3 server, for workers that share them.
#[derive(Debug)]
pub(crate) struct Region {
    pub(crate) redis: RedisServer,
    pub(crate) s3: S3Server,
}

impl Region {
    pub(crate) fn start() -> Self {
        Self::with(RedisServer::start())
    }

    /// With data that outlive Redis.
    pub(crate) fn durable() -> Self {
        Self::with(RedisServer::builder().append_only().start())
    }

    pub(crate) fn with(redis: RedisServer) -> Self {
        let s3 = S3Server::start();
        Self { redis, s3 }
    }

    /// A worker of this region.
    pub(crate) fn builder(&self) -> WorkerBuilder {
        WorkerProcess::builder().redis(&self.redis).s3(&self.s3)
    }

    pub(crate) async fn worker(&self) -> Worker {
        Worker::start(self.builder()).await
    }
}

/// A worker that must not write a secret, whatever it goes through.
#[derive(Debug)]
pub(crate) struct Worker {
    process: WorkerProcess,
    /// What earlier runs of it wrote.
    earlier: Mutex<Vec<LogLine>>,
}

impl Worker {
    pub(crate) async fn start(builder: WorkerBuilder) -> Self {
        Self {
            process: builder.start().await,
            earlier: Mutex::default(),
        }
    }

    /// Starts it again after it has ended.
    pub(crate) async fn start_again(&self) {
        self.earlier.lock().unwrap().extend(self.process.logs());
        self.process.start_again().await;
    }

    /// Runs one that must end by itself.
    pub(crate) async fn refused(builder: WorkerBuilder) -> Finished {
        let finished = builder.run_to_exit(Duration::from_secs(20)).await;
        assert_no_secret(&finished.log);
        finished
    }

    /// Lines of all its runs.
    pub(crate) fn all_logs(&self) -> Vec<LogLine> {
        let mut lines = self.earlier.lock().unwrap().clone();
        lines.extend(self.process.logs());
        lines
    }
}

impl Deref for Worker {
    type Target = WorkerProcess;

    fn deref(&self) -> &WorkerProcess {
        &self.process
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_no_secret(&self.all_logs());
        }
    }
}

/// Looks for every secret that these tests use, and for tokens by how they all begin (`{"` in base64url).
fn assert_no_secret(lines: &[LogLine]) {
    let secrets = [
        token::SECRET,
        "test-secret-key",
        REDIS_PASSWORD,
        QUERY_VALUE,
        "eyJ",
    ];
    for line in lines {
        for secret in secrets {
            assert!(
                !line.text.contains(secret),
                "the worker wrote `{secret}`: {}",
                line.text
            );
        }
    }
}
