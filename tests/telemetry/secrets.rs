//! No secret, token or query value in anything that is emitted.

use std::time::Duration;

use favonius_testing::{Collector, Manner, RedisServer, Source, token};
use serde_json::Value;

use crate::support::{APP, QUERY_VALUE, REDIS_PASSWORD, Region, Site, Worker, live_a_day, show};

const METRICS_TOKEN: &str = "metrics-token-of-these-tests";
const HEADER_VALUE: &str = "value-of-a-header-for-the-collector";
const PREVIOUS: &str = "the secret of last year, long enough to be one";

/// What must not be found; tokens by how they all begin (`{"` in base64url).
const SECRETS: [&str; 8] = [
    token::SECRET,
    PREVIOUS,
    "test-secret-key",
    REDIS_PASSWORD,
    METRICS_TOKEN,
    HEADER_VALUE,
    QUERY_VALUE,
    "eyJ",
];

fn assert_clean(what: &str, bytes: &[u8]) {
    for secret in SECRETS {
        let found = bytes
            .windows(secret.len())
            .any(|part| part == secret.as_bytes());
        assert!(
            !found,
            "`{secret}` in {what}: {}",
            String::from_utf8_lossy(bytes)
        );
    }
}

/// At every level, since libraries see everything and talk at the lowest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn nothing_that_is_emitted_holds_one() {
    for level in ["info", "debug", "trace"] {
        let collector = Collector::start(Manner::Takes);
        let region = Region::with(RedisServer::builder().password(REDIS_PASSWORD).start());
        let worker = Worker::start(
            region
                .builder()
                .env("ZE_WORKER_LOG_LEVEL", level)
                .env("ZE_WORKER_ACCESS_LOG", true)
                .env("ZE_WORKER_METRICS_TOKEN", METRICS_TOKEN)
                .env("ZE_WORKER_JWT_SECRET_PREVIOUS", PREVIOUS)
                .env("ZE_WORKER_SHUTDOWN_GRACE_MS", 2_000)
                .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url(""))
                .env(
                    "OTEL_EXPORTER_OTLP_HEADERS",
                    format!("x-key={HEADER_VALUE}"),
                )
                .env("OTEL_METRIC_EXPORT_INTERVAL", 500)
                // None shall be lost.
                .env("OTEL_BSP_MAX_QUEUE_SIZE", 100_000)
                .env("OTEL_BLRP_MAX_QUEUE_SIZE", 100_000),
        )
        .await;
        live_a_day(&worker).await;
        be_hostile(&worker).await;
        let client = worker.client();
        let metrics = client.get("/metrics");
        let bearer = format!("Bearer {METRICS_TOKEN}");
        let metrics = metrics.header("authorization", bearer).send().await;
        assert_clean("metrics", metrics.expect_status(200).text().as_bytes());
        region.redis.stop();
        region.s3.stop();
        let site = Site::new(&worker, APP);
        let _refused = site.client.upload_file(&site.token, "b.txt", b"b").await;
        worker.sigterm();
        worker.wait_exit(Duration::from_secs(20)).await;

        let lines = worker.logs();
        for line in &lines {
            assert_clean("a line", line.text.as_bytes());
            assert_eq!(line.source, Source::Stdout, "{}", line.text);
            let _object: Value = serde_json::from_str(&line.text).unwrap();
        }
        let posts = collector.posts();
        for post in &posts {
            // Text stands in these bodies as it is.
            assert_clean(&post.path, &post.body);
            assert_eq!(post.headers["x-key"], HEADER_VALUE);
        }
        for path in ["/v1/traces", "/v1/metrics", "/v1/logs"] {
            assert!(posts.iter().any(|post| post.path == path), "{path}");
        }
        let bytes: usize = posts.iter().map(|post| post.body.len()).sum();
        show(
            "secrets",
            format!(
                "level {level}: {} lines, {bytes} bytes exported",
                lines.len()
            ),
        );
    }
}

/// Puts secrets wherever a request has room for them.
async fn be_hostile(worker: &Worker) {
    let client = worker.client();
    let secret = &token::write_token(APP);
    for name in [
        "cookie",
        "referer",
        "user-agent",
        "x-forwarded-for",
        "proxy-authorization",
        "can_write_jwt",
        "baggage",
    ] {
        let request = client.get("/").host("www.test").header(name, secret);
        let _page = request.send().await.expect_status(200);
    }
    let login = format!("name:{QUERY_VALUE}@www.test");
    let _page = client.get("/").host(&login).send().await;
    // A trace of somebody else's, with more of theirs than the standard has room for.
    let long = format!("vendor={}", QUERY_VALUE.repeat(40));
    let request = client.get("/").host("www.test").header("tracestate", long);
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let _page = request
        .header("traceparent", parent)
        .send()
        .await
        .expect_status(200);
    // An id with more in it than ids have is not taken over.
    let id = format!("{QUERY_VALUE} {secret}");
    let _page = client
        .get("/")
        .host("www.test")
        .header("x-request-id", id)
        .send()
        .await
        .expect_status(200);
    let broken = format!("00-{QUERY_VALUE}-{QUERY_VALUE}-01");
    for (name, value) in [
        ("traceparent", broken.as_str()),
        ("accept", QUERY_VALUE),
        ("range", QUERY_VALUE),
        ("if-none-match", QUERY_VALUE),
        ("x-file-size", QUERY_VALUE),
        ("content-type", QUERY_VALUE),
    ] {
        let request = client.get("/").host("www.test").header(name, value);
        let _page = request.send().await.expect_status(200);
    }
    let target = format!("/__favonius/log-level?level={QUERY_VALUE}");
    let _refused = client
        .get(&target)
        .token(secret)
        .send()
        .await
        .expect_status(403);
    let wrong = client
        .get("/metrics")
        .header("authorization", format!("Bearer {secret}"));
    let _refused = wrong.send().await.expect_status(401);
}
