//! Carries what the workers of a region take in to other regions, apart from serving. It reads the same settings as a worker.

use std::process::ExitCode;

use favonius_worker::{Role, process};

fn main() -> ExitCode {
    process::run(Role::Relay)
}
