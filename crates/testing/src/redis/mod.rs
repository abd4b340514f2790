//! Real Redis servers.

mod cluster;
mod sentinel;

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::poll::wait_blocking;
use crate::ports::ReservedPort;
use crate::process::{Running, command, lock, run};
use crate::settings::Settings;
use crate::tls::TestCa;
use crate::tools::require_tool;

pub use cluster::RedisCluster;
pub use sentinel::RedisSentinel;

const START_DEADLINE: Duration = Duration::from_secs(20);
const CLI_DEADLINE: Duration = Duration::from_secs(10);

/// A `redis-server` on a port and in a directory of its own. Dropping it kills it and removes the directory.
///
/// It keeps nothing on disk unless told so: started again it is empty, as after a loss. Its calls block; they work in and out of
/// a runtime.
#[derive(Debug)]
pub struct RedisServer {
    options: RedisBuilder,
    process: Mutex<Option<Running>>,
    port: ReservedPort,
    dir: TempDir,
}

/// How a [`RedisServer`] shall be.
#[derive(Debug, Default, Clone)]
pub struct RedisBuilder {
    tls: bool,
    password: Option<String>,
    append_only: bool,
    args: Vec<OsString>,
    /// What a Sentinel's configuration file says besides its port; a Redis server has none.
    sentinel: Option<String>,
}

impl RedisBuilder {
    /// Takes TLS connections only, with a certificate for `localhost` and 127.0.0.1 of a new authority, and asks clients for none.
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Asks for this password (of the user `default`).
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self
    }

    /// Keeps its data in an append-only file, so that they survive [`RedisServer::stop`].
    #[must_use]
    pub fn append_only(mut self) -> Self {
        self.append_only = true;
        self
    }

    /// Passes a setting of `redis.conf`, such as `setting("maxmemory", "1mb")`.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.args.extend([format!("--{name}").into(), value.into()]);
        self
    }

    /// Starts it and waits until it answers.
    ///
    /// # Panics
    /// If `redis-server` is not installed or does not start; its log is shown.
    pub fn start(self) -> RedisServer {
        let dir = TempDir::with_prefix("favonius-redis-").expect("a directory can be made");
        if self.tls {
            TestCa::new().write_files(dir.path());
        }
        let mut server = RedisServer {
            options: self,
            process: Mutex::new(None),
            port: ReservedPort::new(),
            dir,
        };
        for attempt in 1.. {
            server.write_config();
            match server.launch() {
                Ok(()) => break,
                Err(why) if attempt < 5 && why.contains("Address already in use") => {
                    server.port = ReservedPort::new();
                }
                Err(why) => panic!("redis-server does not start: {why}"),
            }
        }
        server
    }
}

impl RedisServer {
    /// One without TLS, password or persistence.
    pub fn start() -> Self {
        RedisBuilder::default().start()
    }

    /// One with TLS, see [`RedisBuilder::tls`].
    pub fn start_tls() -> Self {
        Self::builder().tls().start()
    }

    /// One as one wishes.
    pub fn builder() -> RedisBuilder {
        RedisBuilder::default()
    }

    /// The address it listens on.
    pub fn host(&self) -> &'static str {
        "127.0.0.1"
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Both, for a [`FaultProxy`](crate::FaultProxy).
    pub fn address(&self) -> std::net::SocketAddr {
        self.port.address()
    }

    /// `redis://[:password@]127.0.0.1:port/0`, with `rediss` for TLS.
    pub fn url(&self) -> String {
        let scheme = if self.options.tls { "rediss" } else { "redis" };
        let login = self
            .options
            .password
            .as_ref()
            .map(|password| format!(":{password}@"));
        format!(
            "{scheme}://{}{}/0",
            login.unwrap_or_default(),
            self.address()
        )
    }

    /// The certificate of its authority, when it has TLS.
    pub fn ca_file(&self) -> Option<PathBuf> {
        self.options.tls.then(|| self.dir.path().join("ca.pem"))
    }

    /// Kills it (`SIGKILL`). Data are lost unless it is [`append_only`](RedisBuilder::append_only).
    pub fn stop(&self) {
        *lock(&self.process) = None;
    }

    /// Lets it end in order (`SIGTERM`).
    pub fn shut_down(&self) {
        if let Some(process) = lock(&self.process).take() {
            process.terminate(Duration::from_secs(10));
        }
    }

    /// Starts it again on the same port and directory after [`stop`](Self::stop) or [`shut_down`](Self::shut_down).
    pub fn start_again(&self) {
        // The old process's port may take a moment to become free.
        let started = wait_blocking("the port is free", Duration::from_secs(5), || {
            match self.launch() {
                Err(why) if why.contains("Address already in use") => Ok(None),
                outcome => outcome.map(Some),
            }
        });
        started.unwrap_or_else(|why| panic!("redis-server does not start again: {why}"));
    }

    /// Stops it in its tracks (`SIGSTOP`): connections stay open and new ones are accepted by the kernel, but nothing is answered.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Runs `redis-cli` with a command, such as `cli(&["SET", "key", "value"])`, and returns the reply as it prints it.
    ///
    /// # Panics
    /// If the reply is an error or does not come within 10 s.
    pub fn cli(&self, args: &[&str]) -> String {
        self.try_cli(args)
            .unwrap_or_else(|why| panic!("redis-cli {args:?}: {why}"))
    }

    /// The same, with the error (of the server or of the connection) as a value.
    pub fn try_cli(&self, args: &[&str]) -> Result<String, String> {
        let mut command = command(&require_tool("redis-cli"));
        command.args(["-e", "-h", self.host(), "-p", &self.port().to_string()]);
        if let Some(ca) = self.ca_file() {
            command.arg("--tls").arg("--cacert").arg(ca);
        }
        if let Some(password) = &self.options.password {
            command.env("REDISCLI_AUTH", password);
        }
        command.args(args);
        let ended = run("redis-cli", command, CLI_DEADLINE)?;
        if ended.status.success() {
            Ok(ended.stdout.trim_end_matches('\n').to_owned())
        } else {
            Err(format!("{}{}", ended.stdout, ended.stderr)
                .trim_end()
                .to_owned())
        }
    }

    /// What it has logged since it was last started.
    pub fn log(&self) -> String {
        lock(&self.process)
            .as_ref()
            .map(Running::log_text)
            .unwrap_or_default()
    }

    fn signal(&self, signal: Signal) {
        lock(&self.process)
            .as_ref()
            .expect("redis-server runs")
            .signal(signal);
    }

    /// A Sentinel reads a file, which it also writes its state to; a Redis server takes everything as arguments.
    fn write_config(&self) {
        if let Some(directives) = &self.options.sentinel {
            let (host, port) = (self.host(), self.port());
            let config = format!("bind {host}\nport {port}\nprotected-mode no\n{directives}");
            fs::write(self.dir.path().join("sentinel.conf"), config)
                .unwrap_or_else(|error| panic!("could not write sentinel.conf: {error}"));
        }
    }

    fn command(&self) -> Command {
        let mut command = command(&require_tool("redis-server"));
        let port = self.port().to_string();
        command.current_dir(self.dir.path());
        if self.options.sentinel.is_some() {
            command.args(["sentinel.conf", "--sentinel"]);
            return command;
        }
        command.args(["--bind", self.host(), "--save", "", "--daemonize", "no"]);
        command.args(["--protected-mode", "no", "--enable-debug-command", "yes"]);
        command.args([
            "--appendonly",
            if self.options.append_only {
                "yes"
            } else {
                "no"
            },
        ]);
        if self.options.tls {
            command.args([
                "--port",
                "0",
                "--tls-port",
                &port,
                "--tls-auth-clients",
                "no",
            ]);
            command.args([
                "--tls-cert-file",
                "server.pem",
                "--tls-key-file",
                "server.key",
            ]);
            command.args(["--tls-ca-cert-file", "ca.pem"]);
        } else {
            command.args(["--port", &port]);
        }
        if let Some(password) = &self.options.password {
            command.args(["--requirepass", password, "--masterauth", password]);
        }
        command.args(&self.options.args);
        command
    }

    /// Starts the process and waits for it.
    fn launch(&self) -> Result<(), String> {
        let mut process = lock(&self.process);
        assert!(process.is_none(), "redis-server runs already");
        let running = Running::start("redis-server", self.command());
        wait_blocking("redis-server answers PING", START_DEADLINE, || {
            if let Some(status) = running.exited() {
                return Err(format!("{status}:\n{}", running.log_text()));
            }
            Ok((self.try_cli(&["PING"]).as_deref() == Ok("PONG")).then_some(()))
        })
        .map_err(|why| format!("{why}:\n{}", running.log_text()))?;
        // The answer may have come from another server that had the port before us.
        if let Some(status) = running.exited() {
            return Err(format!("{status}:\n{}", running.log_text()));
        }
        *process = Some(running);
        Ok(())
    }
}

impl Settings for RedisServer {
    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = vec![
            ("ZE_WORKER_REDIS_HOST", self.host().to_owned()),
            ("ZE_WORKER_REDIS_PORT", self.port().to_string()),
        ];
        if let Some(password) = &self.options.password {
            settings.push(("ZE_WORKER_REDIS_PASSWORD", password.clone()));
        }
        if let Some(ca) = self.ca_file() {
            settings.push(("ZE_WORKER_REDIS_TLS", "true".to_owned()));
            settings.push(("ZE_WORKER_REDIS_CA_FILE", ca.display().to_string()));
        }
        settings
    }
}
