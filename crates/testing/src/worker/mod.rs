//! The worker as a process of its own.

mod binary;
mod builder;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Mutex;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::client::Client;
use crate::poll::eventually;
use crate::process::{LogLine, Running, Source, command, lock, text_of};
use crate::tls::TestCa;

pub use binary::{worker_binary, workspace_binary};
pub use builder::WorkerBuilder;

const READY_DEADLINE: Duration = Duration::from_secs(30);

/// A worker with its own port of 127.0.0.1, working directory and settings; nothing else is in its environment but `PATH`. Dropping it
/// kills it, and shows its log when the test has failed.
#[derive(Debug)]
pub struct WorkerProcess {
    running: Mutex<Option<Running>>,
    spec: WorkerBuilder,
    dir: TempDir,
}

/// A worker that ended by itself.
#[derive(Debug, Clone)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// Everything it wrote.
    pub log: Vec<LogLine>,
}

impl Finished {
    /// Its standard error, as one text.
    pub fn stderr(&self) -> String {
        text_of(&self.log, &[Source::Stderr])
    }

    /// Its standard output, as one text.
    pub fn stdout(&self) -> String {
        text_of(&self.log, &[Source::Stdout])
    }
}

impl WorkerProcess {
    /// A worker with nothing set but its port, its host (127.0.0.1) and the secret ([`SECRET`](crate::token::SECRET)).
    pub fn builder() -> WorkerBuilder {
        WorkerBuilder::new()
    }

    /// The address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.spec.port.address()
    }

    /// `http://localhost:<port>`: what a snapshot's `domain` is set to (https when it has TLS).
    pub fn base_url(&self) -> String {
        let scheme = if self.spec.tls.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://localhost:{}", self.spec.port.number())
    }

    /// A new client of it.
    pub fn client(&self) -> Client {
        match &self.spec.tls {
            Some(ca) => Client::tls(self.address(), ca),
            None => Client::new(self.address()),
        }
    }

    /// Its working directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The authority of its certificate, when it has TLS: it can [`issue`](TestCa::issue) the next one. The files in use are `server.pem`
    /// and `server.key` in [`dir`](Self::dir).
    pub fn ca(&self) -> Option<&TestCa> {
        self.spec.tls.as_ref()
    }

    /// Asks it to end (`SIGTERM`).
    pub fn sigterm(&self) {
        self.with_running(|running| running.signal(Signal::TERM));
    }

    /// Ends it at once (`SIGKILL`).
    pub fn sigkill(&self) {
        self.with_running(Running::kill);
    }

    /// Stops it in its tracks (`SIGSTOP`).
    pub fn pause(&self) {
        self.with_running(|running| running.signal(Signal::STOP));
    }

    /// Lets it go on (`SIGCONT`).
    pub fn resume(&self) {
        self.with_running(|running| running.signal(Signal::CONT));
    }

    /// Whether it has ended, and how.
    pub fn exit_status(&self) -> Option<ExitStatus> {
        self.with_running(Running::exited)
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    /// If it still runs at the deadline; its log is shown.
    pub async fn wait_exit(&self, deadline: Duration) -> ExitStatus {
        let end = Instant::now() + deadline;
        loop {
            if let Some(status) = self.exit_status() {
                return status;
            }
            let late = Instant::now() >= end;
            assert!(
                !late,
                "the worker still runs after {deadline:?}; its log:\n{}",
                self.log_text()
            );
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Starts it again on the same port, with the same settings and directory, after it has ended. Its log begins anew.
    ///
    /// # Panics
    /// As [`WorkerBuilder::start`], and if it has not ended.
    pub async fn start_again(&self) {
        self.spawn();
        let client = self.client();
        let end = Instant::now() + READY_DEADLINE;
        loop {
            if let Some(status) = self.exit_status() {
                panic!(
                    "the worker has ended ({status}); its log:\n{}",
                    self.log_text()
                );
            }
            let request = client
                .get(&self.spec.ready_path)
                .timeout(Duration::from_secs(5));
            let last = request.try_send().await;
            if last
                .as_ref()
                .is_ok_and(|reply| reply.status.as_u16() == 200)
            {
                return;
            }
            if Instant::now() >= end {
                let (path, log) = (&self.spec.ready_path, self.log_text());
                panic!(
                    "{path} is not 200 after {READY_DEADLINE:?}, last: {last:?}; its log:\n{log}"
                );
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// What it has written since its start.
    pub fn logs(&self) -> Vec<LogLine> {
        self.with_running(Running::log)
    }

    /// The lines on its standard output that are JSON objects: its log records.
    pub fn log_records(&self) -> Vec<Value> {
        let lines = self
            .logs()
            .into_iter()
            .filter(|line| line.source == Source::Stdout);
        let values = lines.filter_map(|line| serde_json::from_str(&line.text).ok());
        values.filter(Value::is_object).collect()
    }

    /// Waits for a log record with this `message` and returns the first.
    ///
    /// # Panics
    /// If there is none at the deadline; the messages that there were are shown.
    pub async fn wait_for_log(&self, message: &str, deadline: Duration) -> Value {
        let message_of = |record: &Value| {
            record
                .get("message")
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        eventually(
            &format!("the worker logs `{message}`"),
            deadline,
            async || {
                let records = self.log_records();
                let found = records
                    .iter()
                    .find(|record| message_of(record).as_deref() == Some(message));
                found
                    .cloned()
                    .ok_or_else(|| records.iter().filter_map(message_of).collect::<Vec<_>>())
            },
        )
        .await
    }

    /// Resident memory now, in bytes.
    pub fn rss_bytes(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The most resident memory since its start or the last [`reset_peak_rss`](Self::reset_peak_rss), in bytes.
    pub fn peak_rss_bytes(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// Begins anew with the peak.
    pub fn reset_peak_rss(&self) {
        let file = self.proc_file("clear_refs");
        fs::write(&file, "5")
            .unwrap_or_else(|error| panic!("could not write {}: {error}", file.display()));
    }

    /// How many files and sockets it has open.
    pub fn open_files(&self) -> usize {
        let dir = self.proc_file("fd");
        let entries = fs::read_dir(&dir);
        entries
            .unwrap_or_else(|error| panic!("could not list {}: {error}", dir.display()))
            .count()
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.with_running(Running::pid)
    }

    fn memory(&self, field: &str) -> u64 {
        let file = self.proc_file("status");
        let status = fs::read_to_string(&file)
            .unwrap_or_else(|error| panic!("could not read {}: {error}", file.display()));
        // `VmRSS:	   12345 kB`
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        number.unwrap_or_else(|| panic!("no {field} in {}; has the worker ended?", file.display()))
            * 1024
    }

    fn proc_file(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.pid()))
    }

    fn log_text(&self) -> String {
        self.with_running(Running::log_text)
    }

    fn spawn(&self) {
        let mut running = lock(&self.running);
        let ended = running
            .as_ref()
            .is_none_or(|running| running.exited().is_some());
        assert!(ended, "the worker runs already");
        let binary = self.spec.binary.clone().unwrap_or_else(worker_binary);
        let mut command = command(&binary);
        command
            .current_dir(self.dir.path())
            .args(&self.spec.args)
            .envs(&self.spec.env);
        *running = Some(Running::start("worker", command));
    }

    fn with_running<T>(&self, use_it: impl FnOnce(&Running) -> T) -> T {
        use_it(
            lock(&self.running)
                .as_ref()
                .expect("a worker is started when it is made"),
        )
    }
}

impl Drop for WorkerProcess {
    #[expect(clippy::print_stderr, reason = "libtest shows it beside the failure")]
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Some(running) = &*lock(&self.running)
        {
            eprintln!(
                "the log of the worker on port {}:\n{}",
                self.spec.port.number(),
                running.log_text()
            );
        }
    }
}
