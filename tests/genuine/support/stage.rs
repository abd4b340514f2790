//! An edge, a control plane that sends the client to it, and directories to build in.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use super::build::Job;
use super::control::{Control, ControlPlane};
use super::edge::Edge;

/// All that a deployment takes.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) control: ControlPlane,
    pub(crate) edge: Edge,
    dir: TempDir,
}

impl Stage {
    pub(crate) async fn start(edge: Edge, control: Control) -> Self {
        Self {
            control: control.start(&edge).await,
            edge,
            dir: TempDir::with_prefix("favonius-genuine-").expect("a directory can be made"),
        }
    }

    /// A build of a sample application, in the same directory each time.
    pub(crate) fn build(&self, app: &'static str) -> Job<'_> {
        Job::new(&self.control, app, self.dir.path())
    }

    /// A directory below the stage's own.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        Path::new(self.dir.path()).join(name)
    }

    /// Ends the control plane and gives the events that there were; the rest ends when it goes.
    pub(crate) async fn end(self) -> Vec<Value> {
        self.control.end().await
    }
}
