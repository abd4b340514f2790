//! Serves deployments.

use std::process::ExitCode;

use favonius_worker::{Role, process};

fn main() -> ExitCode {
    process::run(Role::Worker)
}
