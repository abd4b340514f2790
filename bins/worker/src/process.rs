//! A worker or a relay as a process: settings, logs, signals, exit status.

use std::process::ExitCode;

use favonius_config::{Environment, Loaded, Settings};
use favonius_telemetry::{Telemetry, TelemetryGuard, fatal};
use tokio::signal::unix::{SignalKind, signal};

use crate::{Role, Worker, log};

/// Runs until SIGTERM or SIGINT, and gives the exit status: 2 for a configuration that is wrong.
#[expect(clippy::print_stderr, reason = "there is no log yet")]
pub fn run(role: Role) -> ExitCode {
    let loaded = match Settings::load(&Environment::process()) {
        Ok(loaded) => loaded,
        Err(problems) => {
            eprintln!("{problems}");
            return ExitCode::from(2);
        }
    };
    let telemetry = match telemetry(&loaded.settings) {
        Ok(telemetry) => telemetry,
        Err(error) => {
            eprintln!("{error:#}");
            return ExitCode::FAILURE;
        }
    };
    let ended = serve(role, &loaded, &telemetry);
    if let Err(error) = &ended {
        let error = format!("{error:#}");
        match role {
            Role::Worker => fatal!(error, "Worker ended"),
            Role::Relay => fatal!(error, "Relay ended"),
        }
    }
    drop(telemetry);
    if ended.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn telemetry(settings: &Settings) -> anyhow::Result<TelemetryGuard> {
    Ok(Telemetry::init(&log::settings(settings)?)?)
}

fn serve(role: Role, loaded: &Loaded, telemetry: &TelemetryGuard) -> anyhow::Result<()> {
    for warning in &loaded.warnings {
        tracing::warn!(key = warning.key(), "{warning}");
    }
    for entry in loaded.effective.entries() {
        tracing::debug!(key = entry.key(), value = entry.value(), origin = %entry.origin(), "Setting");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let worker = Worker::start_as(role, &loaded.settings, telemetry.reporter())?;
        log::started(role, &loaded.settings, &worker);
        let shutdown = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        worker.run(shutdown).await
    })
}
