//! Mistakes in the settings: all of them at once, in words, before anything is opened, and without a secret.

use std::net::TcpStream;
use std::time::Duration;

use favonius_testing::{Finished, RedisServer, ReservedPort, WorkerBuilder, WorkerProcess, token};

use crate::support::{QUERY_VALUE, REDIS_PASSWORD, Worker, show};

/// Settings that are right, for servers that are not there.
fn right() -> WorkerBuilder {
    WorkerProcess::builder()
        .env("ZE_WORKER_S3_ENDPOINT", "http://127.0.0.1:9")
        .env("ZE_WORKER_S3_ACCESS_KEY_ID", "id")
        .env("ZE_WORKER_S3_SECRET_ACCESS_KEY", "test-secret-key")
        .env("ZE_WORKER_S3_BUCKET", "assets")
        .env("ZE_WORKER_REDIS_HOST", "127.0.0.1")
}

/// Runs it to its end, which must be a refusal.
async fn refusal(builder: WorkerBuilder) -> (Finished, Vec<String>) {
    let finished = Worker::refused(builder).await;
    let stderr = finished.stderr();
    assert_eq!(
        finished.status.code(),
        Some(2),
        "{stderr}\n{}",
        finished.stdout()
    );
    assert_eq!(finished.stdout(), "", "nothing was started");
    let lines = stderr.lines().map(str::to_owned).collect();
    (finished, lines)
}

#[tokio::test]
async fn five_mistakes_are_five_lines() {
    let secret_url = format!("http://user:test-secret-key@127.0.0.1:9/?x={QUERY_VALUE}");
    let builder = right()
        .without("ZE_WORKER_JWT_SECRET")
        .env("ZE_WORKER_PORT", "80800")
        .env("ZE_WORKER_LOG_LEVEL", "loud")
        .env("ZE_WORKER_S3_ENDPOINT", secret_url)
        .env("ZE_WORKER_SHUTDOWN_GRACE_MS", "25s")
        .env("ZE_WORKER_REDIS_PASSWORD", REDIS_PASSWORD);
    let (_, lines) = refusal(builder).await;
    show("settings", format!("{lines:#?}"));
    assert_eq!(lines.len(), 5, "{lines:#?}");
    for key in [
        "ZE_WORKER_JWT_SECRET (not set)",
        "ZE_WORKER_PORT (environment)",
        "ZE_WORKER_LOG_LEVEL (environment)",
        "ZE_WORKER_S3_ENDPOINT (environment)",
        "ZE_WORKER_SHUTDOWN_GRACE_MS (environment)",
    ] {
        let about = lines.iter().filter(|line| line.starts_with(key)).count();
        assert_eq!(about, 1, "{key} in {lines:#?}");
    }
    assert!(
        lines.iter().all(|line| line.contains("; example: ")),
        "{lines:#?}"
    );
}

#[tokio::test]
async fn all_that_is_required_and_missing_is_named() {
    let builder = WorkerProcess::builder().without("ZE_WORKER_JWT_SECRET");
    let (_, lines) = refusal(builder).await;
    for key in [
        "ZE_WORKER_JWT_SECRET",
        "ZE_WORKER_S3_ENDPOINT",
        "ZE_WORKER_S3_ACCESS_KEY_ID",
        "ZE_WORKER_S3_SECRET_ACCESS_KEY",
        "ZE_WORKER_S3_BUCKET",
        "ZE_WORKER_REDIS_HOST",
    ] {
        let start = format!("{key} (not set): is required");
        assert!(
            lines.iter().any(|line| line.starts_with(&start)),
            "{key} in {lines:#?}"
        );
    }
    assert_eq!(lines.len(), 6, "{lines:#?}");
}

#[tokio::test]
async fn a_file_that_cannot_be_used() {
    let dir = tempfile::tempdir().unwrap();
    let secret = token::SECRET;
    let second = format!("  \"ZE_WORKER_JWT_SECRET\": \"{secret}\"");
    let no_comma = format!("is not valid JSON: line 2 column {}", second.len() + 1);
    let cases: [(&str, String, &[&str]); 6] = [
        (
            "a comma is missing",
            format!("{{\n{second}\n  \"ZE_WORKER_PORT\": 1\n}}"),
            &[&no_comma],
        ),
        (
            "it ends in the middle",
            format!("{{\n{second},\n  \"ZE_WORKER_PORT\""),
            &["is not valid JSON: line 3 column"],
        ),
        (
            "it is a list",
            "[1]".to_owned(),
            &["ZE_WORKER_CONFIG_JSON (environment): "],
        ),
        (
            "it is empty",
            String::new(),
            &["ZE_WORKER_CONFIG_JSON (environment): "],
        ),
        (
            "a key twice",
            format!(
                "{{\n\"ZE_WORKER_JWT_SECRET\": \"{secret}\",\n\"ZE_WORKER_JWT_SECRET\": \"{secret} 2\"\n}}"
            ),
            &[
                "ZE_WORKER_JWT_SECRET (file ",
                " line 2): stands in the file again, on line 3",
            ],
        ),
        (
            "a bad value",
            format!(
                "{{\n\"ZE_WORKER_JWT_SECRET\": \"{secret}\",\n\"ZE_WORKER_DELIMITER\": \"+\",\n}}"
            ),
            &["ZE_WORKER_DELIMITER (file ", " line 3): \"+\""],
        ),
    ];
    for (name, content, expected) in cases {
        let file = dir.path().join("config.json");
        std::fs::write(&file, content).unwrap();
        let (finished, _) = refusal(right().env("ZE_WORKER_CONFIG_JSON", file.display())).await;
        for part in expected {
            assert!(
                finished.stderr().contains(part),
                "case `{name}`: {part} in {}",
                finished.stderr()
            );
        }
    }
    let absent = dir.path().join("absent.json");
    let (finished, lines) = refusal(right().env("ZE_WORKER_CONFIG_JSON", absent.display())).await;
    assert!(finished.stderr().contains("cannot be read"), "{lines:#?}");
    assert!(finished.stderr().contains("absent.json"), "{lines:#?}");
}

/// The port stays closed all the time that the process runs, not only when it has ended.
#[tokio::test]
async fn no_port_is_opened_before_the_settings_are_right() {
    let port = ReservedPort::new();
    let address = port.address();
    let builder = right()
        .env("ZE_WORKER_PORT", port.number())
        .env("ZE_WORKER_S3_MAX_SOCKETS", "none");
    let run = refusal(builder);
    let watch = async {
        let mut tries = 0;
        loop {
            assert!(
                TcpStream::connect(address).is_err(),
                "try {tries} found a port open"
            );
            tries += 1;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        _ = run => {}
        () = watch => {}
    }
}

#[tokio::test]
async fn what_is_odd_is_a_warning() {
    let dir = tempfile::tempdir().unwrap();
    let builder = WorkerProcess::builder()
        .embedded(dir.path())
        .env("ZE_WORKER_LOG_LEVL", "debug")
        .env("ZE_WORKER_JWT_SECRET", "short");
    let worker = Worker::start(builder).await;
    let warnings: Vec<String> = worker
        .log_records()
        .iter()
        .filter(|record| record["level"] == "warn")
        .map(|record| record["message"].as_str().unwrap().to_owned())
        .collect();
    assert!(
        warnings.iter().any(|text| text.contains("ZE_WORKER_LOG_LEVL") && text.contains("ZE_WORKER_LOG_LEVEL")),
        "{warnings:#?}"
    );
    assert!(
        warnings
            .iter()
            .any(|text| text.contains("ZE_WORKER_JWT_SECRET")),
        "{warnings:#?}"
    );
    assert!(
        warnings.iter().all(|text| !text.contains("short\"")),
        "{warnings:#?}"
    );
}

/// Mistakes that only show when the things are opened: one line that names the setting, and status 1.
#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn what_cannot_be_opened_ends_the_worker_with_a_reason() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let redis = RedisServer::builder().password(REDIS_PASSWORD).start();
    let no_pem = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(no_pem.path(), "no certificate").unwrap();
    let no_pem = no_pem.path().display().to_string();
    let tls = |builder: WorkerBuilder| {
        builder
            .env("ZE_WORKER_TLS_CERT_FILE", &no_pem)
            .env("ZE_WORKER_TLS_KEY_FILE", &no_pem)
    };
    let cases = [
        (
            "the port is taken",
            right().redis(&redis).env("ZE_WORKER_PORT", port),
            port.to_string(),
        ),
        ("no certificate", tls(right()), no_pem.clone()),
        (
            "no authority",
            right().env("ZE_WORKER_S3_CA_FILE", "/no/such/file.pem"),
            "/no/such/file.pem".to_owned(),
        ),
    ];
    for (name, builder, part) in cases {
        let finished = Worker::refused(builder).await;
        let output = format!("{}{}", finished.stdout(), finished.stderr());
        assert!(
            matches!(finished.status.code(), Some(1 | 2)),
            "case `{name}`: {}\n{output}",
            finished.status
        );
        assert!(output.contains(&part), "case `{name}`: {part} in {output}");
        show(
            "settings",
            format!("{name}: {}, {}", finished.status, output.trim_end()),
        );
    }
}
