//! Stages on which the published client deploys, and eyes that look at what came of it.

pub(crate) mod assets;
mod browser;
mod build;
mod control;
mod edge;
mod script;
mod stage;

pub(crate) use browser::{Page, Visit};
pub(crate) use build::{Asset, Build};
pub(crate) use control::Control;
pub(crate) use edge::{Edge, host_of, url_path};
pub(crate) use stage::Stage;

/// Prints a line that `--nocapture` shows.
#[expect(clippy::print_stderr, reason = "the figures of a test")]
pub(crate) fn show(what: impl std::fmt::Display) {
    eprintln!("genuine: {what}");
}
