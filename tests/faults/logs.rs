//! What the worker writes: one JSON object a line, its fields in order, and no secret at any level.

use std::time::Duration;

use favonius_testing::token::{self, forge, write_claims};
use favonius_testing::{Client, RedisServer, Source, raw_http};
use serde_json::{Value, json};

use crate::support::{APP, QUERY_VALUE, REDIS_PASSWORD, Region, Site, Worker, show};

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

/// Everything that a day brings: good and bad uploads, pages, errors, strange requests.
async fn live_a_day(worker: &Worker) {
    let site = Site::new(worker, APP);
    let build = site.ship(1, &["www.test"]).await;
    let query = format!("/?q={QUERY_VALUE}");
    let _page = site.get("www.test", &query).await.expect_status(200);
    let _page = site.get("unknown.test", &query).await.expect_status(404);
    let cookie = format!("session={}", site.token);
    let page = site.client.get("/x.png").host("www.test");
    let _page = page
        .header("cookie", cookie)
        .send()
        .await
        .expect_status(404);

    let bad = forge(&json!({"alg": "none"}), &write_claims(APP), |_| Vec::new());
    for (token, status) in [(&bad, 401), (&token::write_token("a.b.c"), 200)] {
        let reply = site.client.upload_file(token, "a.txt", b"a").await;
        assert_eq!(reply.status, status, "{}", reply.text());
    }
    let hash = "0".repeat(64);
    let incomplete = json!({"app_version": {"application_uid": APP}, "jwt": site.token});
    let posts = [
        (format!("type=file&hash={hash}&filename={QUERY_VALUE}"), 422),
        (format!("type={QUERY_VALUE}"), 501),
        (format!("type=envs&q={QUERY_VALUE}"), 400),
    ];
    for (query, status) in posts {
        let request = site
            .client
            .post(&format!("/upload?{query}"))
            .token(&site.token);
        let reply = request.json(&incomplete).send().await;
        assert_eq!(reply.status, status, "{}", reply.text());
    }
    let list = format!("/__get_application_hash_list__?application_uid={QUERY_VALUE}");
    let _refused = site.client.get(&list).send().await.expect_status(400);
    let never_uploaded = "ada-9.shop.web.acme";
    let reply = site
        .client
        .publish(&site.token, APP, never_uploaded, &["www.test"]);
    let _refused = reply.await.expect_status(404);

    // By HTTP/2, and what is not HTTP at all.
    let http2 = Client::http2(worker.address());
    let page = http2.get(&query).host("www.test").token(&site.token);
    let _page = page.send().await.expect_status(200);
    let token = &site.token;
    for nonsense in [
        format!("GET {query} HTTP/1.1\r\ncan_write_jwt {token}\r\n\r\n"),
        format!("{token} {QUERY_VALUE}\r\n\r\n"),
        format!(
            "GET http://www.test{query} HTTP/1.1\r\nHost: www.test\r\nAuthorization: Bearer {token}\r\n\r\n"
        ),
    ] {
        drop(raw_http(worker.address(), nonsense).await);
    }
    assert_eq!(site.shown("www.test").await, Some(build.number));
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
