//! Telemetry of a whole process: the `log` crate, changes of the level, and events within events.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    fmt,
    io::{self, Write},
    sync::{Arc, Mutex},
    time::Duration,
};

use favonius_telemetry::{Level, Telemetry, TelemetryError, TelemetrySettings, stdout::Output};
use tracing_log::log;

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

/// Logs while it is being logged.
struct Talking;

impl fmt::Debug for Talking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        tracing::info!("within");
        f.write_str("talking")
    }
}

/// One test, for a process has one telemetry.
#[test]
fn one_process() {
    let sink = Sink::default();
    let settings = TelemetrySettings::new("edge").replica("eu");
    let output = || Output::to(sink.clone()).clock(|| 0);
    let guard = Telemetry::init_to(&settings, output()).unwrap();
    assert!(matches!(
        Telemetry::init_to(&settings, output()),
        Err(TelemetryError::AlreadySet)
    ));
    let lines = |log: &dyn Fn()| -> Vec<String> {
        log();
        assert!(guard.flush(Duration::from_secs(10)));
        let text = String::from_utf8(std::mem::take(&mut *sink.0.lock().unwrap())).unwrap();
        let head = r#"{"timestamp":"1970-01-01T00:00:00.000Z","level":""#;
        let service = r#"","service":"edge","replica":"eu","message""#;
        let short = |line: &str| line.strip_prefix(head).unwrap().replace(service, "");
        text.lines().map(short).collect()
    };

    // Records of the `log` crate come as events do, without where they stand in the code of others.
    let records = || {
        log::warn!(target: "rustls::server", "bad {}", "alert");
        log::info!(target: "other", "said");
        log::debug!(target: "other", "whispered");
        log::info!(target: "rustls::server", "handshake");
        // A refused record leaves nothing behind that swallows the next event.
        tracing::info!("after");
        tracing::error!(log.target = "ours", "last");
    };
    let [warning, said] = [r#"warn:"bad alert"}"#, r#"info:"said"}"#];
    let [after, last] = [r#"info:"after"}"#, r#"error:"last","log.target":"ours"}"#];
    assert_eq!(lines(&records), [warning, said, after, last]);

    guard.level().set(Level::Error);
    assert_eq!(log::max_level(), log::LevelFilter::Error);
    assert_eq!(lines(&records), [last]);
    guard.level().set(Level::Fatal);
    assert_eq!(log::max_level(), log::LevelFilter::Off);
    assert_eq!(lines(&records), [""; 0]);
    guard.level().set(Level::Info);
    assert_eq!(lines(&records).len(), 4);

    // What a value logs while it is shown becomes a line of its own.
    assert_eq!(
        lines(&|| tracing::info!(value = ?Talking, "around")),
        [r#"info:"within"}"#, r#"info:"around","value":"talking"}"#]
    );
    assert_eq!(
        lines(&|| favonius_telemetry::fatal!(server.port = 1, "Cannot listen")),
        [r#"fatal:"Cannot listen","server.port":1}"#]
    );
}
