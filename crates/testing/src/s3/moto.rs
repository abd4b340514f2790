//! A second S3 implementation, so that no test passes only because of one server's quirks.

use std::env;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use super::{ACCESS_KEY_ID, BUCKET, REGION, SECRET_ACCESS_KEY, worker_settings};
use crate::client::raw_http_blocking;
use crate::poll::wait_blocking;
use crate::ports::ReservedPort;
use crate::process::{Running, command, lock};
use crate::settings::Settings;
use crate::tools::{find_tool, require_tool};

const START_DEADLINE: Duration = Duration::from_mins(1);

/// `moto_server` (the Python package moto) on a port of its own. It keeps objects in memory and checks no signatures. Dropping it
/// kills it.
#[derive(Debug)]
pub struct MotoServer {
    running: Mutex<Option<Running>>,
    port: ReservedPort,
}

impl MotoServer {
    /// Whether it is installed (`FAVONIUS_TEST_MOTO` may name the program).
    pub fn available() -> bool {
        find_tool("moto_server").is_some()
    }

    /// Starts it, waits until it answers and makes the bucket.
    ///
    /// # Panics
    /// If it is not installed or does not start; its log is shown.
    pub fn start() -> Self {
        let server = Self {
            running: Mutex::new(None),
            port: ReservedPort::new(),
        };
        server.start_again();
        server
    }

    /// Its URL, without a slash at the end.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The address it listens on, for a [`FaultProxy`](crate::FaultProxy).
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// The bucket that is there.
    pub fn bucket(&self) -> &'static str {
        BUCKET
    }

    /// An access key id; it takes any.
    pub fn access_key_id(&self) -> &'static str {
        ACCESS_KEY_ID
    }

    /// The secret of that access key.
    pub fn secret_access_key(&self) -> &'static str {
        SECRET_ACCESS_KEY
    }

    /// The region of the bucket.
    pub fn region(&self) -> &'static str {
        REGION
    }

    /// Kills it. The objects are gone.
    pub fn stop(&self) {
        *lock(&self.running) = None;
    }

    /// Starts it again on the same port, with an empty bucket.
    pub fn start_again(&self) {
        let mut slot = lock(&self.running);
        assert!(slot.is_none(), "moto_server runs already");
        let mut command = command(&require_tool("moto_server"));
        command.args(["-H", "127.0.0.1", "-p", &self.port.number().to_string()]);
        // A program that pip installed for one user is found through HOME.
        command.envs(env::var_os("HOME").map(|home| ("HOME", home)));
        let running = Running::start("moto_server", command);
        wait_blocking("moto_server makes a bucket", START_DEADLINE, || {
            if let Some(status) = running.exited() {
                return Err(status.to_string());
            }
            Ok(self.make_bucket().then_some(()))
        })
        .unwrap_or_else(|why| panic!("moto_server: {why}; its log:\n{}", running.log_text()));
        *slot = Some(running);
    }

    fn make_bucket(&self) -> bool {
        let head = format!(
            "PUT /{BUCKET} HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            self.address()
        );
        let reply = raw_http_blocking(self.address(), head.as_bytes(), Duration::from_secs(10));
        reply.is_ok_and(|reply| reply.starts_with(b"HTTP/1.1 200"))
    }
}

impl Settings for MotoServer {
    fn settings(&self) -> Vec<(&'static str, String)> {
        worker_settings(self.endpoint())
    }
}
