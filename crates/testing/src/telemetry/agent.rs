//! An OpenTelemetry agent that is not ours.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::poll::wait_blocking;
use crate::ports::ReservedPort;
use crate::process::{Running, command};
use crate::telemetry::Collector;
use crate::tools::require_tool;

const START_DEADLINE: Duration = Duration::from_secs(30);

/// `rotel` (an OpenTelemetry agent, from Python's package index), which takes OTLP over HTTP and sends what it understood of it on
/// to a [`Collector`], in its own words. Dropping it kills it.
#[derive(Debug)]
pub struct OtelAgent {
    running: Running,
    port: ReservedPort,
    _grpc: ReservedPort,
}

impl OtelAgent {
    /// Starts it and waits until it listens.
    ///
    /// # Panics
    /// If it is not installed or does not start; its log is shown.
    pub fn start(to: &Collector) -> Self {
        let (port, grpc) = (ReservedPort::new(), ReservedPort::new());
        let mut command = command(&require_tool("rotel"));
        command.args(["start", "--otlp-http-endpoint", &port.address().to_string()]);
        command.args(["--otlp-grpc-endpoint", &grpc.address().to_string()]);
        command.args(["--exporter", "otlp", "--otlp-exporter-protocol", "http"]);
        command.args(["--otlp-exporter-endpoint", &to.url("")]);
        command.args([
            "--otlp-exporter-compression",
            "none",
            "--batch-timeout",
            "50ms",
        ]);
        let running = Running::start("rotel", command);
        wait_blocking("rotel listens", START_DEADLINE, || {
            if let Some(status) = running.exited() {
                return Err(status.to_string());
            }
            Ok(TcpStream::connect(port.address()).ok().map(drop))
        })
        .unwrap_or_else(|why| panic!("rotel: {why}; its log:\n{}", running.log_text()));
        Self {
            running,
            port,
            _grpc: grpc,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// The base URL to send to.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// What it wrote.
    pub fn log_text(&self) -> String {
        self.running.log_text()
    }
}
