//! The commands, one file each.

mod application;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod deploy;
pub(crate) mod dev;
pub(crate) mod publish;
pub(crate) mod replication;
pub(crate) mod token;
pub(crate) mod unpublish;

use std::process::ExitCode;

use anyhow::Context as _;

use crate::{cli::Command, output::Output};

impl Command {
    /// Does it, and gives the exit status.
    pub(crate) fn run(&self, output: Output) -> anyhow::Result<ExitCode> {
        match self {
            Self::Dev(dev) => block_on(dev.run(output))?,
            Self::Deploy(deploy) => block_on(deploy.run(output))?,
            Self::Publish(publish) => block_on(publish.run(output))?,
            Self::Unpublish(unpublish) => block_on(unpublish.run(output))?,
            Self::Replication(replication) => block_on(replication.run(output))?,
            Self::Token(token) => token.run(output)?,
            Self::Config(config) => return config.run(output),
            Self::Completions(completions) => completions.run()?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn block_on(command: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("could not start the runtime")?;
    runtime.block_on(Box::pin(command))
}
