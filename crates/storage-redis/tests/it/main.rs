//! The store against real servers.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests"
)]

mod changes;
mod data;
mod hand_made;
mod outages;
mod outbox;
mod queues;
mod regions;
mod removals;
mod repair;
mod suite;
mod support;
mod topologies;
mod trimming;
