//! Two and three regions that replicate: processes, each region with a Redis and an S3 server of its own, and a network between them that
//! can fail.
//!
//! What is measured is printed: `cargo test -p favonius-tests --test replication -- --nocapture` shows it. Tests that go in rounds go
//! as many as `FAVONIUS_TEST_ROUNDS` says, else fewer.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code: what goes wrong here is a failed test"
)]

mod alone;
#[path = "../support/mod.rs"]
#[expect(dead_code, unused_imports, reason = "shared with other test programs")]
mod common;
mod cut;
mod kill;
mod lag;
mod letters;
mod modes;
mod races;
mod read_through;
mod repair;
mod sharing;
mod support;
mod tokens;
mod watch;
