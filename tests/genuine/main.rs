//! The published bundler plugins deploy to a real worker, and a real browser opens what they deployed.
//!
//! The programs are those of `tests/client` (see its README): sample applications, a control plane, chromium. Each test starts its
//! own worker with its own back ends and stops all of it. What is measured is printed:
//! `cargo test -p favonius-tests --test genuine -- --nocapture` shows it.
#![expect(
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code: what goes wrong here is a failed test"
)]

mod base;
mod federation;
mod many_files;
mod odd_names;
mod publishing;
mod refusals;
mod rollback;
mod skew;
mod support;
mod variables;
mod vite;
