//! Real servers and processes for tests: Redis, S3, a proxy that breaks connections, the worker itself.
//!
//! A test starts what it needs, uses it and drops it; nothing is shared between tests and nothing is left behind. When
//! the test process is killed, its servers die with it (only their directories stay in the temporary directory).
//!
//! | For | Use |
//! |---|---|
//! | Redis | [`RedisServer`] (plain, TLS, password), [`RedisCluster`], [`RedisSentinel`] |
//! | S3 | [`S3Server`] (in this process, counts and faults), [`MotoServer`] (a second implementation) |
//! | a bad network | [`FaultProxy`] |
//! | the worker | [`WorkerProcess`] |
//! | telemetry | [`Collector`] (in this process), [`OtelAgent`] (somebody else's), [`PrometheusServer`] |
//! | requests | [`Client`], [`RawConnection`], [`raw_http`] |
//! | input | [`SampleApp`], [`asset_hash`], [`token`] |
//! | waiting | [`eventually`] |
//!
//! # Programs that may be absent
//!
//! `redis-server`, `moto_server` and others may not be installed (`scripts/setup-tests` does it). A test that needs one is
//! *ignored* without it, never passed: the crate's build script includes `build-support/tools.rs`, and the test says
//! `#[cfg_attr(not(has_redis), ignore = "redis-server is not installed: run scripts/setup-tests")]`. Whoever runs an ignored test
//! nevertheless gets a panic that says the same.
//!
//! # Rules
//!
//! 1. No other crate of the workspace is a dependency, so that each can have this one as a dev-dependency.
//! 2. A failure is a panic that says what was tried and shows the log of the process that failed.
//! 3. Servers are started and stopped by blocking calls that work in and out of a runtime: their work is done on threads of
//!    their own. What waits for a worker is async, because a test may serve the worker from the same runtime.
//! 4. Every wait has a deadline.
#![expect(
    clippy::missing_panics_doc,
    clippy::panic,
    reason = "test support: what goes wrong here is a failed test"
)]

mod background;
mod client;
mod poll;
mod ports;
mod process;
mod protocol;
mod proxy;
mod redis;
mod s3;
mod sample;
mod settings;
mod telemetry;
mod tls;
pub mod token;
mod tools;
mod worker;

pub use background::Background;
pub use client::{
    Client, ClientError, RawConnection, Reply, RequestBuilder, StreamingReply, raw_http,
};
pub use poll::eventually;
pub use ports::ReservedPort;
pub use process::{LogLine, Source};
pub use proxy::FaultProxy;
pub use redis::{RedisBuilder, RedisCluster, RedisSentinel, RedisServer};
pub use s3::{MotoServer, RecordedRequest, S3Builder, S3Server};
pub use sample::{SampleApp, asset_hash};
pub use settings::Settings;
pub use telemetry::{Collector, Manner, OtelAgent, Post, PrometheusServer};
pub use tls::{Identity, TestCa};
pub use tools::{find_tool, require_tool};
pub use worker::{Finished, WorkerBuilder, WorkerProcess, worker_binary, workspace_binary};
