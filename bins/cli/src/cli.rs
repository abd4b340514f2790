//! What can be typed.

use clap::{Parser, Subcommand};

use crate::commands::{
    completions::Completions, config::Config, deploy::Deploy, dev::Dev, publish::Publish,
    replication::Replication, token::Token, unpublish::Unpublish,
};

/// The open edge worker for web applications: deploy a build, publish it, serve it.
///
/// Exit status: 0 done; 1 failed; 2 wrong usage or configuration.
#[derive(Parser)]
#[command(
    name = "favonius",
    version,
    after_help = "Example:\n  favonius dev dist"
)]
pub(crate) struct Cli {
    /// Print one JSON object on standard output instead of text, also when the command fails
    #[arg(long, global = true, display_order = 900)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    Dev(Box<Dev>),
    Deploy(Box<Deploy>),
    Publish(Box<Publish>),
    Unpublish(Box<Unpublish>),
    Replication(Box<Replication>),
    Token(Token),
    Config(Config),
    Completions(Completions),
}

#[cfg(test)]
mod tests {
    use clap::{Arg, CommandFactory as _};

    use super::*;

    const DOCUMENTATION: &str = include_str!("../../../docs/cli.md");

    #[test]
    fn the_definition_holds_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_an_example_and_every_option_is_documented() {
        fn look_at(command: &clap::Command, path: &str) {
            if command.has_subcommands() {
                for inner in command.get_subcommands() {
                    look_at(inner, &format!("{path} {}", inner.get_name()));
                }
                return;
            }
            let help = command
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            assert!(
                help.contains(path),
                "`{path}` has no example in its help: {help}"
            );
            let heading = format!("## {}", path.trim_start_matches("favonius "));
            let section = DOCUMENTATION
                .split("\n## ")
                .find(|section| section.lines().next() == heading.get(3..));
            let section = section.unwrap_or_else(|| panic!("docs/cli.md has no `{heading}`"));
            for option in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
                let names = option.get_long().map(|name| format!("`--{name}"));
                let name = names.unwrap_or_else(|| format!("`{}", placeholder(option)));
                assert!(
                    section.contains(&name),
                    "docs/cli.md: `{heading}` lacks {name}`"
                );
            }
        }

        fn placeholder(arg: &Arg) -> String {
            arg.get_value_names()
                .map(|names| names[0].to_string())
                .unwrap_or_default()
        }

        look_at(&Cli::command(), "favonius");
    }
}
