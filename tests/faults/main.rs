//! The worker as a process on its bad days: forged tokens, dead back ends, slow clients, signals, mistakes in its settings.
//!
//! Everything goes over sockets to the program itself, with a Redis and an S3 server of its own behind it. What is measured is
//! printed: `cargo test -p favonius-tests --test faults -- --nocapture` shows it. Tests that take long for a reason (a time-out
//! of the product) say which.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code: what goes wrong here is a failed test"
)]

mod clients;
mod crash;
mod logs;
mod memory;
mod other_backends;
mod publishing;
mod redis_down;
mod relay;
mod rollback_by_hand;
mod s3_down;
mod settings;
mod shutdown;
mod startup;
#[path = "../support/mod.rs"]
mod support;
mod tls;
mod tokens;
