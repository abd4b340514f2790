//! What a process says of telemetry that its collector refuses.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write},
    net::TcpListener,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use favonius_telemetry::{
    Batch, Endpoint, Level, Signal, Telemetry, TelemetrySettings, stdout::Output,
};

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Answers everything with status 403, as long as the test runs.
fn refusing() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut length = 0;
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).unwrap();
                if let Some(value) = line.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            stream.read_exact(&mut vec![0; length]).unwrap();
            let answer = "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
        }
    });
    url
}

/// One test, for a process has one telemetry.
#[test]
fn it_is_said_at_once_and_at_the_end() {
    let sink = Sink::default();
    let batch = Batch {
        schedule_delay: Duration::from_millis(10),
        ..Batch::default()
    };
    let to = Endpoint::new(&refusing()).unwrap();
    // At this level the exporter's own libraries talk, which must not become more to export.
    let settings = TelemetrySettings::new("edge")
        .level(Level::Trace)
        .logs(to, batch);
    let guard = Telemetry::init_to(&settings, Output::to(sink.clone())).unwrap();
    for sent in 1..=20 {
        tracing::info!("x");
        for _ in 0..3000 {
            if guard.lost_telemetry(Signal::Logs) >= sent {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
    // The exporter's own connections talk to the log in these moments, and are not counted.
    thread::sleep(Duration::from_millis(200));
    assert_eq!(guard.lost_telemetry(Signal::Logs), 20);
    drop(guard);
    let text = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
    let said: Vec<_> = text
        .lines()
        .filter(|line| line.contains("Telemetry dropped"))
        .collect();
    let reason = r#""reason":"the collector answered with status 403""#;
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said.iter().all(|line| line.contains(reason)), "{said:?}");
    assert!(text.contains(r#""message":"x""#));
}
