//! Runs the program.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use favonius_testing::{Client, Reply};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

/// No command of a test takes as long.
const DEADLINE: Duration = Duration::from_mins(1);

/// A run that has ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    /// Its standard output, which is one JSON object.
    pub(crate) fn json(&self) -> Value {
        let value = serde_json::from_str(&self.stdout);
        value.unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    /// The same run, after a look at its status.
    pub(crate) fn expect(self, status: i32) -> Self {
        assert_eq!(self.status, status, "{self:#?}");
        self
    }
}

/// The program with nothing in its environment.
pub(crate) fn program<A: AsRef<std::ffi::OsStr>>(
    arguments: impl IntoIterator<Item = A>,
) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_favonius"));
    command
        .args(arguments)
        .env_clear()
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Runs the program to its end.
pub(crate) async fn run(command: &mut Command) -> Finished {
    let output = timeout(DEADLINE, command.output())
        .await
        .expect("it ends in time")
        .unwrap();
    Finished {
        status: output.status.code().expect("no signal ends it"),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A directory with these files.
pub(crate) fn site(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, content) in files {
        write(dir.path(), path, content);
    }
    dir
}

/// Writes a file below a directory.
pub(crate) fn write(root: &Path, path: &str, content: &str) {
    let file = root.join(path);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, content).unwrap();
}

/// `favonius dev`, which has announced itself.
pub(crate) struct Dev {
    child: Child,
    /// What it announced.
    pub(crate) json: Value,
    pub(crate) address: SocketAddr,
    client: Client,
    /// Where it makes its temporary directory, which stays when a test kills it.
    _temporary: TempDir,
}

impl Dev {
    /// Serves a directory on a free port.
    pub(crate) async fn start(directory: &Path, arguments: &[&str]) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let mut command = program(["--json", "dev", "--port=0"]);
        command.env("TMPDIR", temporary.path());
        command
            .arg(directory)
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        timeout(DEADLINE, stdout.read_line(&mut line))
            .await
            .expect("it announces itself")
            .unwrap();
        let Ok(json) = serde_json::from_str::<Value>(&line) else {
            let mut log = String::new();
            child
                .stderr
                .take()
                .unwrap()
                .read_to_string(&mut log)
                .await
                .unwrap();
            panic!("favonius dev says `{line}` and {log}");
        };
        let port = json["edge_url"]
            .as_str()
            .unwrap()
            .rsplit(':')
            .next()
            .unwrap()
            .parse()
            .unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self {
            child,
            json,
            address,
            client: Client::new(address),
            _temporary: temporary,
        }
    }

    /// A text of what it announced.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.json[name]
            .as_str()
            .unwrap_or_else(|| panic!("no {name} in {}", self.json))
    }

    pub(crate) fn token_file(&self) -> PathBuf {
        self.text("token_file").into()
    }

    /// Gets a URL of this edge, whatever its hostname resolves to.
    pub(crate) async fn get(&self, url: &str) -> Reply {
        let rest = url.strip_prefix("http://").unwrap();
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        self.client.get(&format!("/{path}")).host(host).send().await
    }

    /// The text behind a URL that is served.
    pub(crate) async fn page(&self, url: &str) -> String {
        let reply = self.get(url).await.expect_status(200);
        String::from_utf8(reply.body.to_vec()).unwrap()
    }

    /// A command with this edge and its token, and `--json`.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program(arguments);
        command
            .arg("--json")
            .arg("--url")
            .arg(self.text("edge_url"));
        command.arg("--token-file").arg(self.token_file());
        command
    }

    /// Deploys a directory as the application `shop.web.acme`.
    pub(crate) async fn deploy(&self, directory: &Path, arguments: &[&str]) -> Finished {
        let mut command = self.command(&["deploy", "--app=shop", "--project=web", "--org=acme"]);
        run(command.arg(directory).args(arguments)).await
    }

    /// Asks it to end and gives its exit status.
    pub(crate) async fn stop(mut self, signal: Signal) -> Option<i32> {
        let pid = Pid::from_raw(self.child.id().unwrap().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
        let status = timeout(DEADLINE, self.child.wait())
            .await
            .expect("it ends")
            .unwrap();
        status.code()
    }
}
