//! Lines on the real standard output of a process.

use std::{env, process::Command};

use favonius_telemetry::{Level, Telemetry, TelemetrySettings, fatal};

/// Not a test: what the process of the test below does.
#[test]
#[ignore = "run by `a_pipe_gets_json_up_to_the_last_line`"]
fn child() {
    let settings = TelemetrySettings::new("edge").level(Level::Warn);
    let guard = Telemetry::init(&settings).unwrap();
    tracing::info!("below the level");
    for n in 0..5000 {
        tracing::warn!(n, "x");
    }
    fatal!("the end");
    drop(guard);
}

#[test]
fn a_pipe_gets_json_up_to_the_last_line() {
    let this = env::current_exe().unwrap();
    let child = ["--ignored", "--exact", "child", "--nocapture", "--quiet"];
    let output = Command::new(this).args(child).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    // The test harness has a line or two of its own.
    let lines: Vec<&str> = text.lines().filter(|line| line.starts_with('{')).collect();
    assert_eq!(lines.len(), 5001);
    let levels = |level: &str| {
        let level = format!(r#","level":"{level}","service":"edge","replica":"primary","#);
        lines.iter().filter(|line| line.contains(&level)).count()
    };
    assert_eq!((levels("warn"), levels("fatal")), (5000, 1));
    assert!(
        lines
            .last()
            .is_some_and(|line| line.ends_with(r#""message":"the end"}"#))
    );
}
