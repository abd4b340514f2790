//! The built command line, run as people and CI jobs run it.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test support"
)]

mod config;
mod deploy;
mod dev;
mod publish;
mod replication;
mod stub;
mod support;
mod token;
mod trouble;
mod usage;
