//! What Prometheus reads.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    collections::BTreeSet,
    io::{self, Write as _},
    process::{Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use favonius_telemetry::{
    Instruments, MetricsFormat, Prometheus, Telemetry, TelemetryGuard, TelemetrySettings,
    instruments::{
        Backend, Cache, Check, Delivery, Ending, Intake, Lookup, Operation, Outcome, ReadThrough,
        Reading, Receipt, Received, Repair, ReplicaRejection, Request, Route, TargetReading,
        Upload,
    },
    stdout::Output,
};
use http::{Method, StatusCode};
use tracing_subscriber::Registry;

fn start() -> (TelemetryGuard, Instruments, Prometheus) {
    let settings = TelemetrySettings::new("edge").prometheus();
    let (_, guard) = Telemetry::layer::<Registry>(&settings, Output::to(io::sink())).unwrap();
    let instruments = guard.instruments();
    let prometheus = guard.prometheus().unwrap();
    (guard, instruments, prometheus)
}

/// Measures everything once.
fn measure(instruments: &Instruments) {
    let took = Duration::from_millis(3);
    serve(instruments, &request(&Method::GET, 200), 500);
    instruments.storage(Backend::Redis, Operation::Commit, Outcome::Ok, took);
    instruments.readiness_check(Check::Assets, Outcome::Unavailable, took);
    instruments.cache_lookup(Cache::Deployments, Lookup::Hit);
    instruments.upload(Upload::Asset, Intake::Stored);
    instruments.stored(1000);
    instruments.publish(Intake::Rejected);
    instruments.served_stale();
    instruments.asset_pending();
    instruments.auth_refusal("expired");
    instruments.watch_cache(Cache::Pages, 100, || Some(7));
    for reading in WATCHED {
        instruments.watch(reading, || 7);
    }
    replicate(instruments);
}

/// Measures everything of replication once.
fn replicate(instruments: &Instruments) {
    instruments.expect_replication(&["https://us.test/"]);
    instruments.replication_event("https://us.test", Delivery::Delivered);
    instruments.replication_events("https://us.test", Delivery::Trimmed, 4);
    instruments.replication_sent("https://us.test", 1000);
    instruments.repair("https://us.test", Repair::Different);
    instruments.received(Received::Name, Receipt::Older);
    instruments.replica_rejected(ReplicaRejection::Replayed);
    instruments.read_through(ReadThrough::Fetched);
    instruments.watch_replication("https://us.test", || {
        Some(TargetReading {
            waiting: 3,
            lag_s: 1.5,
            buried: 2,
            last_success_s: Some(1_800_000_000),
            up: Some(true),
        })
    });
}

/// What others than the instruments themselves tell.
const WATCHED: [Reading; 10] = [
    Reading::Connections,
    Reading::S3SocketsUsed,
    Reading::S3SocketsWaiting,
    Reading::S3SocketsLimit,
    Reading::MemoryLimit,
    Reading::RuntimeWorkers,
    Reading::RuntimeTasks,
    Reading::RuntimeQueue,
    Reading::RuntimeBusy,
    Reading::CertificateNotAfter,
];

fn serve(instruments: &Instruments, request: &Request<'_>, content: u64) {
    instruments.request_begun();
    instruments.request_ended(request, content);
}

fn request(method: &Method, status: u16) -> Request<'_> {
    Request {
        method,
        route: Route::Deployment,
        status: StatusCode::from_u16(status).ok(),
        ending: Ending::Whole,
        took: Duration::from_millis(3),
    }
}

fn series(text: &str) -> BTreeSet<String> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| line.rsplit_once(' ').unwrap().0.to_owned())
        .collect()
}

#[test]
fn text_format() {
    let (_guard, instruments, prometheus) = start();
    measure(&instruments);
    let text = prometheus.text(MetricsFormat::Text, true);
    let request = r#"http_request_method="GET",http_response_status_code="200",http_route="/*""#;
    let storage = r#"backend="redis",operation="commit",outcome="ok""#;
    let expected = [
        "# TYPE favonius_up gauge".to_owned(),
        "favonius_up 1".into(),
        "favonius_ready 1".into(),
        format!(
            r#"favonius_build_info{{version="{}"}} 1"#,
            env!("CARGO_PKG_VERSION")
        ),
        "# TYPE http_server_request_duration_seconds histogram".into(),
        format!(r#"http_server_request_duration_seconds_bucket{{{request},le="0.005"}} 1"#),
        format!(r#"http_server_request_duration_seconds_bucket{{{request},le="10"}} 1"#),
        format!(r#"http_server_request_duration_seconds_bucket{{{request},le="+Inf"}} 1"#),
        format!("http_server_request_duration_seconds_sum{{{request}}} 0.003"),
        format!("http_server_request_duration_seconds_count{{{request}}} 1"),
        format!(r#"favonius_storage_operation_duration_seconds_bucket{{{storage},le="0.0025"}} 0"#),
        "# HELP favonius_cache_lookups_total Things that were looked up in a cache.".into(),
        "# TYPE favonius_cache_lookups_total counter".into(),
        r#"favonius_cache_lookups_total{cache="deployments",outcome="hit"} 1"#.into(),
        r#"favonius_cache_lookups_total{cache="pages",outcome="miss"} 0"#.into(),
        r#"favonius_uploads_total{kind="asset",outcome="stored"} 1"#.into(),
        r#"favonius_uploads_total{kind="snapshot",outcome="failed"} 0"#.into(),
        "favonius_upload_size_bytes_total 1000".into(),
        r#"favonius_publishes_total{outcome="rejected"} 1"#.into(),
        "favonius_served_stale_total 1".into(),
        "favonius_assets_pending_total 1".into(),
        r#"favonius_auth_refusals_total{reason="expired"} 1"#.into(),
        "favonius_http_response_size_bytes_total 500".into(),
        "http_server_active_requests 0".into(),
        "favonius_s3_sockets_waiting 7".into(),
        r#"favonius_cache_used_bytes{cache="pages"} 7"#.into(),
        r#"favonius_cache_limit_bytes{cache="pages"} 100"#.into(),
        "favonius_runtime_busy_seconds_total 0.007".into(),
        "favonius_tls_certificate_not_after_seconds 7".into(),
        "favonius_log_lines_dropped_total 0".into(),
        r#"favonius_telemetry_dropped_total{signal="logs"} 0"#.into(),
    ];
    for line in expected {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
    let not_ready = prometheus.text(MetricsFormat::Text, false);
    assert!(not_ready.contains("\nfavonius_ready 0\n"));
}

#[test]
fn replication_by_target() {
    let (_guard, instruments, prometheus) = start();
    let text = prometheus.text(MetricsFormat::Text, true);
    assert!(!text.contains("target="), "replication is off\n{text}");
    for line in [
        r#"favonius_replication_received_total{kind="asset",outcome="incomplete"} 0"#,
        r#"favonius_replication_rejected_total{reason="own_replica"} 0"#,
        r#"favonius_replication_read_through_total{outcome="busy"} 0"#,
    ] {
        assert!(text.contains(&format!("\n{line}\n")), "{line} in\n{text}");
    }
    replicate(&instruments);
    // One that has never been reached, and one that cannot be told of now.
    instruments.watch_replication("https://ap.test:8443/in", || Some(TargetReading::default()));
    instruments.watch_replication("https://sa.test", || None);
    let text = prometheus.text(MetricsFormat::Text, true);
    for line in [
        r#"favonius_replication_events_total{outcome="delivered",target="us.test"} 1"#,
        r#"favonius_replication_events_total{outcome="trimmed",target="us.test"} 4"#,
        r#"favonius_replication_events_total{outcome="buried",target="us.test"} 0"#,
        r#"favonius_replication_sent_bytes_total{target="us.test"} 1000"#,
        r#"favonius_replication_repairs_total{outcome="different",target="us.test"} 1"#,
        r#"favonius_replication_repairs_total{outcome="failed",target="us.test"} 0"#,
        r#"favonius_replication_waiting{target="us.test"} 3"#,
        r#"favonius_replication_lag_seconds{target="us.test"} 1.5"#,
        r#"favonius_replication_buried{target="us.test"} 2"#,
        r#"favonius_replication_last_success_seconds{target="us.test"} 1800000000"#,
        r#"favonius_replication_up{target="us.test"} 1"#,
        r#"favonius_replication_waiting{target="ap.test:8443/in"} 0"#,
        r#"favonius_replication_lag_seconds{target="ap.test:8443/in"} 0"#,
        r#"favonius_replication_received_total{kind="name",outcome="older"} 1"#,
        r#"favonius_replication_rejected_total{reason="replayed"} 1"#,
        r#"favonius_replication_read_through_total{outcome="fetched"} 1"#,
    ] {
        assert!(text.contains(&format!("\n{line}\n")), "{line} in\n{text}");
    }
    assert!(!text.contains("sa.test"), "{text}");
    assert!(
        !text.contains(r#"replication_up{target="ap.test"#),
        "{text}"
    );
}

#[test]
fn open_metrics() {
    let (_guard, instruments, prometheus) = start();
    measure(&instruments);
    let text = prometheus.text(MetricsFormat::OpenMetrics, true);
    let expected = [
        "# TYPE favonius_cache_lookups counter",
        r#"favonius_cache_lookups_total{cache="deployments",outcome="hit"} 1"#,
        "# UNIT http_server_request_duration_seconds seconds",
        "# UNIT favonius_upload_size_bytes bytes",
    ];
    for line in expected {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
    assert!(text.contains(r#"le="10.0"}"#), "{text}");
    assert!(text.ends_with("\n# EOF\n"));
}

#[test]
fn values_add_up_and_are_read_when_asked_for() {
    static OPEN: AtomicU64 = AtomicU64::new(3);
    let (_guard, instruments, prometheus) = start();
    instruments.watch(Reading::Connections, || OPEN.load(Ordering::Relaxed));
    for expected in 1..4 {
        instruments.served_stale();
        OPEN.store(expected * 10, Ordering::Relaxed);
        instruments.request_begun();
        let text = prometheus.text(MetricsFormat::Text, true);
        instruments.request_ended(&request(&Method::GET, 200), 0);
        for line in [
            format!("favonius_served_stale_total {expected}"),
            format!("favonius_http_connections {expected}0"),
            "http_server_active_requests 1".into(),
        ] {
            assert!(text.contains(&format!("\n{line}\n")), "{line} in\n{text}");
        }
    }
}

#[test]
fn what_fails_is_told_apart() {
    let (_guard, instruments, prometheus) = start();
    let ok = request(&Method::GET, 200);
    for request in [
        request(&Method::POST, 503),
        Request {
            ending: Ending::Broken,
            ..ok
        },
        Request {
            status: None,
            ending: Ending::Cancelled,
            ..ok
        },
    ] {
        serve(&instruments, &request, 0);
    }
    let text = prometheus.text(MetricsFormat::Text, true);
    let count = "http_server_request_duration_seconds_count";
    for line in [
        r#"{error_type="503",http_request_method="POST",http_response_status_code="503",http_route="/*"} 1"#,
        r#"{error_type="broken",http_request_method="GET",http_response_status_code="200",http_route="/*"} 1"#,
        r#"{error_type="cancelled",http_request_method="GET",http_route="/*"} 1"#,
    ] {
        assert!(
            text.contains(&format!("\n{count}{line}\n")),
            "{line} in\n{text}"
        );
    }
}

#[test]
fn ten_thousand_kinds_of_requests_do_not_add_a_series() {
    let (_guard, instruments, prometheus) = start();
    let answer = |method: &str, status| {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        serve(&instruments, &request(&method, status), 0);
    };
    answer("INVENTED", 200);
    let before = series(&prometheus.text(MetricsFormat::Text, true));
    for n in 0..10_000 {
        answer(&format!("INVENTED{n}"), 210 + n % 16);
    }
    let after = series(&prometheus.text(MetricsFormat::Text, true));
    let added: Vec<_> = after.difference(&before).collect();
    // 226 has a meaning of its own; all others of them count as 200.
    assert_eq!(added, Vec::<&String>::new());
}

#[test]
fn every_label_at_once_is_not_too_much() {
    let (_guard, instruments, prometheus) = start();
    let backends = Backend::ALL.iter();
    for (backend, operation) in backends.flat_map(|b| Operation::ALL.iter().map(move |o| (b, o))) {
        for outcome in Outcome::ALL {
            instruments.storage(*backend, *operation, *outcome, Duration::ZERO);
        }
    }
    let text = prometheus.text(MetricsFormat::Text, true);
    assert!(
        !text.contains("overflow"),
        "the limit of the SDK is reached"
    );
    let sums = text
        .lines()
        .filter(|line| line.starts_with("favonius_storage_operation_duration_seconds_sum"));
    let expected = Backend::ALL.len() * Operation::ALL.len() * Outcome::ALL.len();
    assert_eq!(sums.count(), expected);
}

#[test]
fn nothing_is_measured_where_nothing_reads_it() {
    let settings = TelemetrySettings::new("edge");
    let (_, guard) = Telemetry::layer::<Registry>(&settings, Output::to(io::sink())).unwrap();
    assert!(guard.prometheus().is_none());
    assert!(!guard.instruments().is_enabled());
    measure(&guard.instruments());
}

/// The linter of Prometheus.
#[test]
#[cfg_attr(
    not(has_prometheus),
    ignore = "promtool is not installed: run scripts/setup-tests"
)]
fn promtool_has_no_complaint() {
    let (_guard, instruments, prometheus) = start();
    measure(&instruments);
    let text = prometheus.text(MetricsFormat::Text, true);
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = promtool.stdin.take().unwrap();
    stdin.write_all(text.as_bytes()).unwrap();
    drop(stdin);
    let said = promtool.wait_with_output().unwrap();
    let complaint = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.status.success(), "{complaint}\n{text}");
    assert_eq!(complaint, "");
}
