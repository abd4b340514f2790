//! The edge as its clients see it, in process: embedded back ends in memory, no server but our own.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::type_complexity,
    clippy::too_many_lines,
    reason = "tests: a failed step ends the test, and tables are as long as they are"
)]

mod admission;
mod between_regions;
mod coding;
mod measuring;
mod operators;
mod properties;
mod publishing;
mod removing;
mod replication;
mod rules;
mod server;
mod serving;
mod skew;
mod support;
mod uploading;
