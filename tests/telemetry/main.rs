//! What operators see: what is exported and to whom, metrics and who may read them, lines, and that none of it costs much or tells a
//! secret.
//!
//! The worker runs as a process. What it exports goes to an agent of somebody else's and to a collector in this process; its metrics
//! go to a real Prometheus.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code: what goes wrong here is a failed test"
)]

mod bad_collectors;
mod decode;
mod level;
mod metrics_page;
mod monitoring;
mod receiver;
mod secrets;
mod series;
mod signals;
#[path = "../support/mod.rs"]
#[expect(dead_code, unused_imports, reason = "shared with other test programs")]
mod support;
