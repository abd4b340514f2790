//! The scripts of `tests/client` as child processes that print JSON lines.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use favonius_testing::require_tool;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// A script that runs. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Script {
    name: &'static str,
    child: Child,
    /// Closing it tells a script that its caller is gone.
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    stderr: Arc<Mutex<Vec<u8>>>,
    reader: JoinSet<()>,
}

/// A script that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// The JSON lines that were not read before.
    pub(crate) lines: Vec<Value>,
    pub(crate) stderr: String,
}

impl Script {
    /// Starts it with node. Nothing but `PATH` is in its environment.
    pub(crate) fn start(name: &'static str, args: &[String]) -> Self {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("client");
        let mut command = Command::new(require_tool("node"));
        command
            .arg(dir.join(name))
            .args(args)
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("could not start {name}: {error}"));
        let stderr = Arc::<Mutex<Vec<u8>>>::default();
        let mut reader = JoinSet::new();
        if let Some(mut pipe) = child.stderr.take() {
            let stderr = Arc::clone(&stderr);
            reader.spawn(async move {
                let mut piece = [0; 4096];
                while let Ok(read @ 1..) = pipe.read(&mut piece).await {
                    let bytes = piece.get(..read).unwrap_or_default();
                    let mut stderr = stderr.lock().unwrap_or_else(PoisonError::into_inner);
                    stderr.extend_from_slice(bytes);
                }
            });
        }
        let stdout = child.stdout.take().expect("it was asked to be piped");
        Self {
            name,
            stdin: child.stdin.take(),
            child,
            stdout: BufReader::new(stdout),
            stderr,
            reader,
        }
    }

    /// The next JSON line that it prints; `None` when there will be none.
    ///
    /// # Panics
    /// If neither comes in time, or the line is no JSON; what the script wrote beside it is shown.
    pub(crate) async fn next(&mut self, deadline: Duration) -> Option<Value> {
        let mut line = String::new();
        let read = timeout(deadline, self.stdout.read_line(&mut line)).await;
        let value = match read {
            Ok(Ok(0)) => return None,
            Ok(Ok(_)) => serde_json::from_str(&line).map_err(|error| error.to_string()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(elapsed) => Err(elapsed.to_string()),
        };
        match value {
            Ok(value) => Some(value),
            Err(why) => panic!("{}: {why}; its line {line:?}\n{}", self.name, self.stderr()),
        }
    }

    /// Sends it a line.
    pub(crate) async fn line(&mut self) {
        let stdin = self.stdin.as_mut().expect("it is open until the end");
        let sent = async {
            stdin.write_all(b"\n").await?;
            stdin.flush().await
        };
        sent.await
            .unwrap_or_else(|error| panic!("{} takes no line: {error}", self.name));
    }

    /// Closes its stdin and waits until it has ended by itself.
    ///
    /// # Panics
    /// If it does not.
    pub(crate) async fn end(mut self, deadline: Duration) -> Ended {
        drop(self.stdin.take());
        self.wait(deadline).await
    }

    /// Waits until it has ended by itself.
    ///
    /// # Panics
    /// If it does not.
    pub(crate) async fn wait(mut self, deadline: Duration) -> Ended {
        let mut lines = Vec::new();
        while let Some(line) = self.next(deadline).await {
            lines.push(line);
        }
        let ended = timeout(deadline, async {
            let status = self.child.wait().await;
            self.reader.join_next().await;
            status
        });
        match ended.await {
            Ok(Ok(status)) => Ended {
                status,
                lines,
                stderr: self.stderr(),
            },
            outcome => panic!("{} does not end: {outcome:?}\n{}", self.name, self.stderr()),
        }
    }

    fn stderr(&self) -> String {
        let stderr = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&stderr).into_owned()
    }
}
