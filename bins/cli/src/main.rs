//! The command line: serve a directory on this machine, deploy, publish, mint tokens, check a configuration.

mod cli;
mod commands;
mod deploy;
mod edge;
mod failure;
mod files;
mod names;
mod output;

use std::process::ExitCode;

use clap::Parser as _;

use crate::{cli::Cli, output::Output};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Help and the version come this way too, with status 0.
        Err(error) => return output::show_usage(&error),
    };
    let output = Output::new(cli.json);
    match cli.command.run(output) {
        Ok(code) => code,
        Err(error) => failure::report(&error, output),
    }
}
