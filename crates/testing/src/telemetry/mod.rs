//! Where telemetry goes: a collector of our own, an agent of somebody else's, Prometheus.

mod agent;
mod collector;
mod prometheus;

pub use agent::OtelAgent;
pub use collector::{Collector, Manner, Post};
pub use prometheus::PrometheusServer;
