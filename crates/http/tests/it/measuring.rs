//! What is measured and told of requests.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use favonius_auth::Scope;
use favonius_http::EdgeOptions;
use favonius_telemetry::{
    MetricsFormat, Telemetry, TelemetryGuard, TelemetrySettings, stdout::Output,
};
use http::{Request, StatusCode};
use http_body_util::Full;
use serde_json::Value;
use tower_service::Service as _;
use tracing_subscriber::Registry;

use crate::support::{APP, OTHER, TestEdge, file_uri, mint, snapshot, token, whole};

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

/// An edge that is measured and writes an access log.
struct Measured {
    edge: TestEdge,
    guard: TelemetryGuard,
    log: Sink,
}

impl Measured {
    fn new() -> Self {
        let log = Sink::default();
        let settings = TelemetrySettings::new("edge").prometheus();
        let (_layer, guard) =
            Telemetry::layer::<Registry>(&settings, Output::to(log.clone())).unwrap();
        let edge = TestEdge::with(EdgeOptions {
            access_log: true,
            reporter: guard.reporter(),
            ..EdgeOptions::default()
        });
        Self { edge, guard, log }
    }

    fn page(&self) -> String {
        let prometheus = self.guard.prometheus().unwrap();
        prometheus.text(MetricsFormat::Text, true)
    }

    /// The value of a series by its name and labels; 0 where it is not there yet.
    fn value(&self, series: &str) -> u64 {
        let page = self.page();
        let line = page.lines().find_map(|line| {
            let (found, value) = line.rsplit_once(' ')?;
            (found == series).then(|| value.to_owned())
        });
        line.map_or(0, |value| value.parse().unwrap())
    }

    fn requests(&self, labels: &str) -> u64 {
        self.value(&format!(
            "http_server_request_duration_seconds_count{{{labels}}}"
        ))
    }

    /// The lines of the access log so far.
    fn lines(&self) -> Vec<Value> {
        assert!(self.guard.flush(std::time::Duration::from_secs(10)));
        let text = String::from_utf8(self.log.0.lock().unwrap().clone()).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

#[tokio::test]
async fn requests_by_method_route_and_status() {
    let measured = Measured::new();
    let edge = &measured.edge;
    let files: [(&str, &[u8]); 1] = [("index.html", b"<p>hi")];
    edge.deploy("ada-1", &files, &["www.test"], |_| {}).await;
    for _ in 0..3 {
        edge.get("www.test", "/").await;
    }
    edge.ask("HEAD", "www.test", "/", &[]).await;
    let etag = edge.get("www.test", "/").await.header("etag").to_owned();
    edge.ask("GET", "www.test", "/", &[("if-none-match", &etag)])
        .await;
    edge.get("nobody.test", "/").await;
    edge.ask("BREW", "www.test", "/", &[]).await;
    edge.get("any.test", "/healthz").await;

    let cases = [
        ("GET", "200", "/*", 4),
        ("HEAD", "200", "/*", 1),
        ("GET", "304", "/*", 1),
        ("GET", "404", "/*", 1),
        ("_OTHER", "405", "/*", 1),
        ("GET", "200", "/healthz", 1),
        // The file, the snapshot, the publish.
        ("POST", "200", "/upload", 3),
    ];
    for (method, status, route, expected) in cases {
        let labels = format!(
            r#"http_request_method="{method}",http_response_status_code="{status}",http_route="{route}""#
        );
        assert_eq!(
            measured.requests(&labels),
            expected,
            "{labels}\n{}",
            measured.page()
        );
    }
    assert_eq!(measured.value("http_server_active_requests"), 0);
    let lines = measured.lines();
    assert_eq!(lines.len(), 12, "{lines:?}");
    let page = lines
        .iter()
        .find(|line| line["server.address"] == "www.test" && line["http.request.method"] == "GET")
        .unwrap();
    assert_eq!(page["url.path"], "/");
    assert_eq!(page["http.response.body.size"], 5);
    assert_eq!(page["http.response.status_code"], 200);
}

#[tokio::test]
async fn an_answer_that_nobody_waits_for_is_told() {
    let measured = Measured::new();
    let edge = &measured.edge;
    let files: [(&str, &[u8]); 1] = [("a.bin", &vec![7; 100_000])];
    edge.deploy("ada-1", &files, &["www.test"], |_| {}).await;
    let request = || {
        Request::get("/a.bin?q=1")
            .header("host", "www.test")
            .body(Full::<bytes::Bytes>::default())
            .unwrap()
    };
    // Before there is an answer.
    let unanswered = edge.edge.clone().call(request());
    drop(unanswered);
    let cancelled = r#"error_type="cancelled",http_request_method="GET",http_route="/*""#;
    assert_eq!(measured.requests(cancelled), 1, "{}", measured.page());

    let answer = edge.edge.clone().call(request()).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(measured.value("http_server_active_requests"), 1);
    drop(answer);
    let cancelled = r#"error_type="cancelled",http_request_method="GET",http_response_status_code="200",http_route="/*""#;
    assert_eq!(measured.requests(cancelled), 1, "{}", measured.page());
    assert_eq!(measured.value("http_server_active_requests"), 0);

    let before = measured.value("favonius_http_response_size_bytes_total");
    let answer = edge.edge.clone().call(request()).await.unwrap();
    assert_eq!(whole(answer).await.body.len(), 100_000);
    let sent = measured.value("favonius_http_response_size_bytes_total") - before;
    assert_eq!(sent, 100_000);
    assert_eq!(measured.requests(cancelled), 1);

    let lines = measured.lines();
    let of_file: Vec<_> = lines
        .iter()
        .filter(|line| line["url.path"] == "/a.bin")
        .map(|line| {
            (
                line["error.type"].as_str(),
                line["http.response.body.size"].as_u64(),
            )
        })
        .collect();
    assert_eq!(
        of_file,
        [
            (Some("cancelled"), Some(0)),
            (Some("cancelled"), Some(0)),
            (None, Some(100_000))
        ]
    );
}

#[tokio::test]
async fn uploads_and_publishes_by_what_came_of_them() {
    let measured = Measured::new();
    let edge = &measured.edge;
    let files: [(&str, &[u8]); 1] = [("a.txt", b"content")];
    for _ in 0..2 {
        edge.deploy("ada-1", &files, &["www.test"], |_| {}).await;
    }
    let wrong = file_uri(&"0".repeat(64), "a.txt");
    let refused = edge.post(&wrong, &token(APP), "other").await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    let other = snapshot(APP, "ada-1", &[("b.txt", b"b")]);
    assert_eq!(
        edge.upload_snapshot(&other).await.status,
        StatusCode::CONFLICT
    );
    let unknown = edge
        .publish(APP, "ada-9.shop.web.acme", &["www.test"])
        .await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    let cases = [
        (
            r#"favonius_uploads_total{kind="asset",outcome="stored"}"#,
            1,
        ),
        (r#"favonius_uploads_total{kind="asset",outcome="known"}"#, 1),
        (
            r#"favonius_uploads_total{kind="asset",outcome="rejected"}"#,
            1,
        ),
        (
            r#"favonius_uploads_total{kind="asset",outcome="failed"}"#,
            0,
        ),
        (
            r#"favonius_uploads_total{kind="snapshot",outcome="stored"}"#,
            1,
        ),
        (
            r#"favonius_uploads_total{kind="snapshot",outcome="known"}"#,
            1,
        ),
        (
            r#"favonius_uploads_total{kind="snapshot",outcome="rejected"}"#,
            1,
        ),
        (r#"favonius_publishes_total{outcome="stored"}"#, 2),
        (r#"favonius_publishes_total{outcome="rejected"}"#, 1),
        ("favonius_upload_size_bytes_total", 7),
    ];
    for (series, expected) in cases {
        assert_eq!(measured.value(series), expected, "{series}");
    }
}

#[tokio::test]
async fn refusals_by_their_reason() {
    let measured = Measured::new();
    let edge = &measured.edge;
    let uri = file_uri(&"0".repeat(64), "a.txt");
    let _missing = edge.ask("POST", "edge.test", &uri, &[]).await;
    for (wrong, status) in [
        ("no token", StatusCode::UNAUTHORIZED),
        (&token(OTHER), StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        assert_eq!(edge.post(&uri, wrong, "x").await.status, status);
    }
    let foreign = snapshot(APP, "ada-1", &[]);
    let body = foreign.to_string();
    let refused = edge
        .post("/upload?type=snapshot", &token(OTHER), body)
        .await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let level = "/__favonius/log-level";
    let operator = mint(Scope::Operator);
    let refused = edge
        .ask("GET", "edge.test", level, &[("can_write_jwt", "x")])
        .await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    let told = edge
        .ask("GET", "edge.test", level, &[("can_write_jwt", &operator)])
        .await;
    assert_eq!(told.json()["level"], "info");
    let cases = [("missing", 1), ("malformed", 2), ("other_application", 1)];
    for (reason, expected) in cases {
        let series = format!(r#"favonius_auth_refusals_total{{reason="{reason}"}}"#);
        assert_eq!(
            measured.value(&series),
            expected,
            "{reason}\n{}",
            measured.page()
        );
    }
}

#[tokio::test]
async fn caches_and_missing_files() {
    let measured = Measured::new();
    let edge = &measured.edge;
    let listed = snapshot(APP, "ada-1", &[("late.js", b"later")]);
    let url = edge.upload_snapshot(&listed).await.json()["urls"]["version"].clone();
    let host = url
        .as_str()
        .unwrap()
        .trim_start_matches("https://")
        .to_owned();
    let lookups = |outcome: &str| {
        measured.value(&format!(
            r#"favonius_cache_lookups_total{{cache="deployments",outcome="{outcome}"}}"#
        ))
    };
    // The first finds nothing in memory, and some more may hear of the change that the upload itself was.
    let mut asked = 0;
    while lookups("hit") == 0 {
        asked += 1;
        assert!(asked < 100, "{}", measured.page());
        let pending = edge.get(&host, "/late.js").await;
        assert_eq!(pending.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(measured.value("favonius_assets_pending_total"), asked);
        assert_eq!(lookups("miss") + lookups("hit"), asked);
        tokio::task::yield_now().await;
    }
    assert!(lookups("miss") > 0);
    let failed = r#"error_type="503",http_request_method="GET",http_response_status_code="503",http_route="/*""#;
    assert_eq!(measured.requests(failed), asked);
    let used = r#"favonius_cache_used_bytes{cache="deployments"}"#;
    let limit = r#"favonius_cache_limit_bytes{cache="deployments"}"#;
    assert!(measured.value(used) > 0);
    assert!(measured.value(used) < measured.value(limit));
}

#[tokio::test]
async fn metrics_are_the_applications_where_nothing_is_measured() {
    let edge = TestEdge::new();
    let files: [(&str, &[u8]); 1] = [("metrics", b"a page")];
    edge.deploy("ada-1", &files, &["www.test"], |_| {}).await;
    assert_eq!(edge.get("www.test", "/metrics").await.text(), "a page");
    let operator = mint(Scope::Operator);
    let headers = [("can_write_jwt", operator.as_str())];
    let level = edge
        .ask("GET", "www.test", "/__favonius/log-level", &headers)
        .await;
    assert_eq!(level.status, StatusCode::NOT_FOUND);
}
