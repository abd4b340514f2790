//! The worker with its settings and everything, but for telemetry: nothing is measured, traced or logged. What telemetry costs is
//! what the worker itself does less than this.

use anyhow::anyhow;
use favonius_config::{Environment, Settings};
use favonius_worker::{Reporter, Worker};
use tokio::signal::unix::{SignalKind, signal};

fn main() -> anyhow::Result<()> {
    let loaded =
        Settings::load(&Environment::process()).map_err(|problems| anyhow!("{problems}"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let worker = Worker::start(&loaded.settings, Reporter::default())?;
        worker
            .run(async move {
                let _: Option<()> = terminate.recv().await;
            })
            .await
    })
}
