//! `favonius completions`

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::{cli::Cli, output};

/// Print a completion script for a shell
#[derive(Args)]
#[command(
    after_help = "Example:\n  favonius completions bash > ~/.local/share/bash-completion/completions/favonius"
)]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "favonius", &mut script);
        output::print(&String::from_utf8(script)?)?;
        Ok(())
    }
}
