//! What the worker writes: one JSON object a line, its fields in order, and no secret at any level.

use std::time::Duration;

use favonius_testing::{RedisServer, Source, token};
use serde_json::{Value, json};

use crate::support::{APP, QUERY_VALUE, REDIS_PASSWORD, Region, Site, Worker, live_a_day, show};

/// The names in a JSON object, in the order in which they stand there.
fn names(line: &str) -> Vec<String> {
    // `Value` sorts names, so the order is read from the text: each name stands where the first character after it is a colon.
    let object: Value =
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let mut names: Vec<(usize, String)> = object
        .as_object()
        .unwrap_or_else(|| panic!("no object: {line}"))
        .keys()
        .map(|name| {
            (
                line.find(&format!("{}:", json!(name))).unwrap(),
                name.clone(),
            )
        })
        .collect();
    names.sort();
    names.into_iter().map(|(_, name)| name).collect()
}

fn assert_is_log(line: &str, replica: &str) {
    let record: Value =
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let names = names(line);
    assert_eq!(
        names[..4],
        ["timestamp", "level", "service", "replica"],
        "{line}"
    );
    // Libraries have events without a message.
    assert!(
        record.get("message").is_none() || names[4] == "message",
        "{line}"
    );
    let timestamp = record["timestamp"].as_str().unwrap();
    // 2026-11-21T10:43:02.117Z
    let shape: String = timestamp
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    assert_eq!(shape, "0000-00-00T00:00:00.000Z", "{line}");
    let level = record["level"].as_str().unwrap();
    assert!(
        ["trace", "debug", "info", "warn", "error", "fatal"].contains(&level),
        "{line}"
    );
    assert_eq!(
        (&record["service"], &record["replica"]),
        (&"ze-k8s-workers".into(), &replica.into()),
        "{line}"
    );
    let last = names.iter().skip_while(|name| *name != "trace_id").count();
    assert!(
        last == 0 || names.ends_with(&["trace_id".into(), "span_id".into()]),
        "{line}"
    );
    for value in record.as_object().unwrap().values() {
        assert!(
            !value.is_object() && !value.is_array(),
            "keys are flat: {line}"
        );
    }
}

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn standard_output_is_one_object_a_line() {
    let region = Region::start();
    let worker = Worker::start(
        region
            .builder()
            .env("ZE_WORKER_ACCESS_LOG", true)
            .env("ZE_WORKER_SHUTDOWN_GRACE_MS", 2_000),
    )
    .await;
    live_a_day(&worker).await;
    region.redis.stop();
    let site = Site::new(&worker, APP);
    let _refused = site
        .client
        .upload_file(&site.token, "b.txt", b"b")
        .await
        .expect_status(503);
    let down = worker.wait_for_log(
        "The record store does not answer; known deployments keep being served",
        Duration::from_secs(10),
    );
    let unknown = site.get("other.test", "/");
    let (_, unknown) = tokio::join!(down, unknown);
    assert_eq!(unknown.status, 503);
    worker.sigterm();
    assert_eq!(
        worker.wait_exit(Duration::from_secs(20)).await.code(),
        Some(0)
    );

    let listening: Vec<Value> = worker
        .log_records()
        .into_iter()
        .filter(|record| record["message"] == "Worker listening")
        .collect();
    assert_eq!(listening.len(), 1, "{listening:?}");
    assert_eq!(listening[0]["server.port"], json!(worker.address().port()));
    assert_eq!(listening[0]["otel.enabled"], json!(false));
    assert_eq!(listening[0]["level"], "info");
    let lines = worker.logs();
    let requests = lines
        .iter()
        .filter(|line| line.text.contains("\"message\":\"Request\""))
        .count();
    assert!(requests > 10, "{requests} lines of the access log");
    for line in &lines {
        assert_eq!(
            line.source,
            Source::Stdout,
            "only the log is written: {}",
            line.text
        );
        assert_is_log(&line.text, "primary");
    }
    show(
        "logs",
        format!("{} lines, each a JSON object in order", lines.len()),
    );
}

/// Libraries are talkative at these levels, and see everything.
#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn no_secret_is_written_at_any_level() {
    for level in ["debug", "trace"] {
        let region = Region::with(RedisServer::builder().password(REDIS_PASSWORD).start());
        let builder = region
            .builder()
            .env("ZE_WORKER_LOG_LEVEL", level)
            .env("ZE_WORKER_SHUTDOWN_GRACE_MS", 2_000)
            .env("ZE_WORKER_ACCESS_LOG", true)
            .env(
                "ZE_WORKER_JWT_SECRET_PREVIOUS",
                format!("{} of last year", token::SECRET),
            )
            .env(
                "ZE_WORKER_METRICS_TOKEN",
                format!("{QUERY_VALUE}-of-metrics"),
            )
            .env("ZE_WORKER_REPLICA_NAME", "eu");
        let worker = Worker::start(builder).await;
        live_a_day(&worker).await;
        region.redis.stop();
        region.s3.stop();
        let site = Site::new(&worker, APP);
        let _refused = site.client.upload_file(&site.token, "b.txt", b"b").await;
        worker.sigterm();
        worker.wait_exit(Duration::from_secs(20)).await;
        let lines = worker.logs();
        for line in &lines {
            assert_is_log(&line.text, "eu");
        }
        show("logs", format!("level {level}: {} lines", lines.len()));
        // Dropping the worker reads all of them for secrets.
        drop(worker);
    }
}
