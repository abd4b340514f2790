//! Prometheus itself.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::client::{Client, raw_http_blocking};
use crate::poll::wait_blocking;
use crate::ports::ReservedPort;
use crate::process::{Running, command};
use crate::tools::require_tool;

const START_DEADLINE: Duration = Duration::from_secs(30);

/// `prometheus` on a port and in a directory of its own. Dropping it kills it and removes the directory.
#[derive(Debug)]
pub struct PrometheusServer {
    running: Running,
    port: ReservedPort,
    _dir: TempDir,
}

impl PrometheusServer {
    /// Starts it with this configuration (YAML), the files of rules that this names among them, and waits until it is ready.
    ///
    /// # Panics
    /// If it is not installed or does not start; its log is shown.
    pub fn start(configuration: &str) -> Self {
        let dir = TempDir::with_prefix("favonius-prometheus-").expect("a directory can be made");
        let file = dir.path().join("prometheus.yaml");
        fs::write(&file, configuration).expect("its configuration can be written");
        let port = ReservedPort::new();
        let mut command = command(&require_tool("prometheus"));
        let flag = |name: &str, value: &Path| format!("--{name}={}", value.display());
        command.arg(flag("config.file", &file));
        command.arg(flag("storage.tsdb.path", &dir.path().join("data")));
        command.arg(format!("--web.listen-address={}", port.address()));
        let running = Running::start("prometheus", command);
        let head = format!(
            "GET /-/ready HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            port.address()
        );
        wait_blocking("prometheus is ready", START_DEADLINE, || {
            if let Some(status) = running.exited() {
                return Err(status.to_string());
            }
            let reply = raw_http_blocking(port.address(), head.as_bytes(), Duration::from_secs(5));
            let ready = reply.is_ok_and(|reply| reply.starts_with(b"HTTP/1.1 200"));
            Ok(ready.then_some(()))
        })
        .unwrap_or_else(|why| panic!("prometheus: {why}; its log:\n{}", running.log_text()));
        Self {
            running,
            port,
            _dir: dir,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// What a call of its API answers (`/api/v1/<call>`), as its `data`; an error as its words.
    pub async fn ask(&self, call: &str, parameters: &[(&str, &str)]) -> Result<Value, String> {
        let query: String = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(parameters)
            .finish();
        let target = format!("/api/v1/{call}?{query}");
        let reply = Client::new(self.address()).get(&target).send().await;
        let mut answer = reply.json();
        match answer.get_mut("data") {
            Some(data) if reply.status == 200 => Ok(data.take()),
            _ => Err(reply.text()),
        }
    }

    /// The result of a query at this moment.
    pub async fn query(&self, query: &str) -> Result<Value, String> {
        let mut data = self.ask("query", &[("query", query)]).await?;
        let result = data.get_mut("result").map(Value::take);
        result.ok_or_else(|| format!("no result in {data}"))
    }

    /// What it wrote.
    pub fn log_text(&self) -> String {
        self.running.log_text()
    }
}
