//! What a collector gets, and what becomes of telemetry that it does not take.
#![expect(
    clippy::unwrap_used,
    reason = "tests, and the collector that they talk to"
)]

use std::{
    collections::BTreeMap,
    io::{self, Write},
    process::Command,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use favonius_telemetry::{
    Access, Batch, Endpoint, Sampler, Signal, Telemetry, TelemetryGuard, TelemetrySettings,
    continue_trace, fatal,
    instruments::{Cache, Ending, Request, Route},
    pass_on_trace, record_answer,
    stdout::Output,
};
use favonius_testing::{Collector, Manner, Post};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use opentelemetry_proto::tonic::{
    collector::{
        logs::v1::ExportLogsServiceRequest, metrics::v1::ExportMetricsServiceRequest,
        trace::v1::ExportTraceServiceRequest,
    },
    common::v1::{AnyValue, KeyValue, any_value::Value},
    logs::v1::LogRecord,
    metrics::v1::{metric::Data, number_data_point::Value as Number},
    trace::v1::{Span, span::SpanKind, status::StatusCode as StatusCodeOf},
};
use prost::Message;
use tracing_subscriber::{Registry, layer::SubscriberExt as _};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Sink {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn endpoint(url: &str) -> Endpoint {
    Endpoint::new(url).unwrap()
}

fn settings() -> TelemetrySettings {
    TelemetrySettings::new("edge")
}

/// Runs this with telemetry, up to the end of it; returns the lines.
fn run(settings: &TelemetrySettings, log: impl FnOnce(&TelemetryGuard)) -> String {
    let sink = Sink::default();
    let output = Output::to(sink.clone()).clock(|| 5);
    let (layer, guard) = Telemetry::layer::<Registry>(settings, output).unwrap();
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::with_default(subscriber, || log(&guard));
    drop(guard);
    sink.text()
}

fn traceparent(flags: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let value = HeaderValue::try_from(format!("00-{TRACE}-{PARENT}-{flags}"));
    headers.insert("traceparent", value.unwrap());
    headers
}

fn decoded<M: Message + Default>(post: &Post) -> M {
    M::decode(&post.body[..]).unwrap()
}

fn spans(collector: &Collector, path: &str) -> Vec<Span> {
    let posts = collector.at(path).into_iter();
    posts
        .flat_map(|post| decoded::<ExportTraceServiceRequest>(&post).resource_spans)
        .flat_map(|resource| resource.scope_spans)
        .flat_map(|scope| scope.spans)
        .collect()
}

fn records(collector: &Collector, path: &str) -> Vec<LogRecord> {
    let posts = collector.at(path).into_iter();
    posts
        .flat_map(|post| decoded::<ExportLogsServiceRequest>(&post).resource_logs)
        .flat_map(|resource| resource.scope_logs)
        .flat_map(|scope| scope.log_records)
        .collect()
}

fn shown(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        Some(Value::BoolValue(truth)) => truth.to_string(),
        other => format!("{other:?}"),
    }
}

fn attributes(list: &[KeyValue]) -> BTreeMap<&str, String> {
    let pairs = list.iter();
    pairs
        .map(|pair| (pair.key.as_str(), shown(pair.value.as_ref())))
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from_digit(digit.into(), 16).unwrap());
    digits.collect()
}

#[test]
fn a_request_with_its_spans_and_lines() {
    let collector = Collector::start(Manner::Takes);
    let to = |path| {
        let endpoint = endpoint(&collector.url(path));
        endpoint.header("x-token", "s3cret").unwrap()
    };
    let settings = settings()
        .replica("eu")
        .attribute("deployment.environment.name", "test")
        .traces(to("/base/t"), Sampler::ParentOrAlwaysOff, Batch::default())
        .logs(to("/l"), Batch::default());
    let mut passed_on = HeaderMap::new();
    let lines = run(&settings, |guard| {
        let traces = guard.reporter().traces;
        let request = traces.request(&Method::GET, Route::Deployment, &traceparent("01"), "r-1");
        let request = request.span;
        request.in_scope(|| {
            let storage = back_end();
            pass_on_trace(&storage, &mut passed_on);
            storage.in_scope(|| tracing::warn!(n = 7, big = u64::MAX, "within"));
            record_answer(&request, StatusCode::OK);
        });
        tracing::info_span!(target: "hyper", "of a library").in_scope(|| {});
        tracing::trace_span!("too small").in_scope(|| {});
        fatal!("outside");
        tracing::debug!("below the level");
    });

    let spans = spans(&collector, "/base/t");
    let [storage, request] = &spans[..] else {
        panic!("{spans:?}");
    };
    assert_eq!(
        (request.name.as_str(), request.kind()),
        ("GET /*", SpanKind::Server)
    );
    assert_eq!(hex(&request.trace_id), TRACE);
    assert_eq!(hex(&request.parent_span_id), PARENT);
    let found = attributes(&request.attributes);
    let expected = [
        ("http.request.method", "GET".to_owned()),
        ("http.response.status_code", "200".into()),
        ("favonius.request_id", "r-1".into()),
        ("http.route", "/*".into()),
    ];
    assert_eq!(found, BTreeMap::from(expected));
    assert_eq!(
        (storage.name.as_str(), storage.kind()),
        ("redis", SpanKind::Client)
    );
    assert_eq!(storage.parent_span_id, request.span_id);
    let storage_id = hex(&storage.span_id);
    assert_eq!(
        passed_on["traceparent"],
        format!("00-{TRACE}-{storage_id}-01")
    );

    let records = records(&collector, "/l");
    let [within, outside] = &records[..] else {
        panic!("{records:?}");
    };
    assert_eq!(shown(within.body.as_ref()), "within");
    assert_eq!(within.severity_text, "warn");
    assert_eq!(within.time_unix_nano, 5_000_000);
    assert_eq!(hex(&within.trace_id), TRACE);
    assert_eq!(hex(&within.span_id), storage_id);
    let found = attributes(&within.attributes);
    assert_eq!(found["n"], "7");
    assert_eq!(found["big"], u64::MAX.to_string());
    assert_eq!(
        (outside.severity_number, outside.trace_id.len()),
        (21, 0),
        "fatal, in no trace"
    );

    assert_eq!(lines.lines().count(), 2, "{lines}");
    let ids = format!(r#","trace_id":"{TRACE}","span_id":"{storage_id}"}}"#);
    assert!(lines.lines().next().unwrap().ends_with(&ids), "{lines}");

    for post in collector.posts() {
        assert_eq!(post.headers["x-token"], "s3cret");
        assert_eq!(post.headers["content-type"], "application/x-protobuf");
        assert_eq!(post.headers.get("x-from-environment"), None);
    }
    let post = collector.at("/l").remove(0);
    let logs: ExportLogsServiceRequest = decoded(&post);
    let resource = logs.resource_logs[0].resource.clone().unwrap();
    let found = attributes(&resource.attributes);
    assert_eq!(found["service.name"], "edge");
    assert_eq!(found["favonius.replica"], "eu");
    assert_eq!(found["deployment.environment.name"], "test");
    assert_eq!(found.get("from"), None);
}

#[test]
fn variables_of_the_process_do_not_count() {
    let elsewhere = "http://127.0.0.1:1";
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_request_with_its_spans_and_lines"])
        .env("OTEL_SDK_DISABLED", "true")
        .env("OTEL_SERVICE_NAME", "other")
        .env("OTEL_RESOURCE_ATTRIBUTES", "from=environment")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", elsewhere)
        .env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", elsewhere)
        .env("OTEL_EXPORTER_OTLP_HEADERS", "x-from-environment=1")
        .env("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
        .env("OTEL_TRACES_SAMPLER", "always_off")
        .env("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "0")
        .env("OTEL_BSP_MAX_QUEUE_SIZE", "0")
        .env("HTTP_PROXY", elsewhere)
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn spans_of_requests() {
    let collector = Collector::start(Manner::Takes);
    let to = endpoint(&collector.url("/t"));
    let settings = settings().traces(to, Sampler::AlwaysOn, Batch::default());
    let cases = [
        (
            "GET",
            Route::Healthz,
            404,
            "GET /healthz",
            StatusCodeOf::Unset,
        ),
        (
            "POST",
            Route::Upload,
            503,
            "POST /upload",
            StatusCodeOf::Error,
        ),
        (
            "BREW",
            Route::Deployment,
            405,
            "HTTP /*",
            StatusCodeOf::Unset,
        ),
    ];
    run(&settings, |guard| {
        let traces = guard.reporter().traces;
        for (method, route, status, _, _) in cases {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let span = traces.request(&method, route, &HeaderMap::new(), "").span;
            record_answer(&span, StatusCode::from_u16(status).unwrap());
        }
    });
    let spans = spans(&collector, "/t");
    assert_eq!(spans.len(), cases.len());
    for (span, (.., name, expected)) in spans.iter().zip(cases) {
        assert_eq!(span.name, name);
        assert_eq!(span.status.as_ref().unwrap().code(), expected, "{name}");
        let error = attributes(&span.attributes).remove("error.type");
        assert_eq!(error.is_some(), expected == StatusCodeOf::Error, "{name}");
    }
}

#[test]
fn samplers() {
    let sampled = Some("01");
    let unsampled = Some("00");
    let cases = [
        (Sampler::AlwaysOn, None, true),
        (Sampler::AlwaysOn, unsampled, true),
        (Sampler::AlwaysOff, sampled, false),
        (Sampler::Ratio(0.0), sampled, false),
        (Sampler::Ratio(1.0), unsampled, true),
        (Sampler::ParentOrAlwaysOn, None, true),
        (Sampler::ParentOrAlwaysOn, unsampled, false),
        (Sampler::ParentOrAlwaysOff, None, false),
        (Sampler::ParentOrAlwaysOff, sampled, true),
        (Sampler::ParentOrRatio(0.0), None, false),
        (Sampler::ParentOrRatio(0.0), sampled, true),
        (Sampler::ParentOrRatio(1.0), None, true),
        (Sampler::ParentOrRatio(1.0), unsampled, false),
    ];
    for (sampler, parent, expected) in cases {
        let collector = Collector::start(Manner::Takes);
        let to = endpoint(&collector.url("/t"));
        let settings = settings().traces(to, sampler, Batch::default());
        let headers = parent.map(traceparent).unwrap_or_default();
        run(&settings, |guard| {
            // Spans of the program around us ...
            let span = tracing::info_span!("theirs");
            continue_trace(&span, &headers);
            drop(span);
            // ... and those of requests, which are not made in vain.
            let traces = guard.reporter().traces;
            let request = traces.request(&Method::GET, Route::Deployment, &headers, "r-1");
            assert_eq!(request.span.is_disabled(), !expected, "{sampler:?}");
            request.span.in_scope(|| {
                drop(back_end());
                tracing::warn!("within");
            });
        });
        let kept = spans(&collector, "/t");
        let mut names: Vec<_> = kept.iter().map(|span| span.name.as_str()).collect();
        names.sort_unstable();
        let all = ["GET /*", "redis", "theirs"];
        let expected_names = if expected { &all[..] } else { &[] };
        assert_eq!(names, expected_names, "{sampler:?}, parent {parent:?}");
        if parent.is_some() {
            assert!(kept.iter().all(|span| hex(&span.trace_id) == TRACE));
        }
    }
}

/// The span of an operation of a back end.
fn back_end() -> tracing::Span {
    tracing::debug_span!(target: "favonius_storage_redis", "redis", otel.kind = "client")
}

#[test]
fn a_share_of_traces_is_kept_by_their_ids() {
    let collector = Collector::start(Manner::Takes);
    let to = endpoint(&collector.url("/t"));
    let settings = settings().traces(to, Sampler::ParentOrRatio(0.25), Batch::default());
    let mut kept = 0;
    run(&settings, |guard| {
        let traces = guard.reporter().traces;
        for _ in 0..1000 {
            let request = traces.request(&Method::GET, Route::Deployment, &HeaderMap::new(), "r-1");
            kept += usize::from(!request.span.is_disabled());
            request.span.in_scope(|| drop(back_end()));
        }
        // Nobody's.
        drop(back_end());
        let check = traces.background(|| tracing::info_span!("check"));
        check.in_scope(|| drop(back_end()));
        kept += usize::from(!check.is_disabled());
    });
    assert!((100..500).contains(&kept), "{kept}");
    let spans = spans(&collector, "/t");
    assert_eq!(spans.len(), kept * 2);
    for span in spans {
        // Whoever else samples by this share keeps them too: the specification of `TraceIdRatioBased` in the SDK.
        let low = u64::from_be_bytes(span.trace_id[8..].try_into().unwrap());
        assert!((low >> 1) < (1 << 63) / 4, "{}", hex(&span.trace_id));
    }
}

#[test]
fn lines_of_requests() {
    let collector = Collector::start(Manner::Takes);
    let to = |path: &str| endpoint(&collector.url(path));
    let settings = settings()
        .traces(to("/t"), Sampler::ParentOrAlwaysOff, Batch::default())
        .logs(to("/l"), Batch::default());
    let lines = run(&settings, |guard| {
        let reporter = guard.reporter();
        for flags in ["01", "00"] {
            let headers = traceparent(flags);
            let request = Request {
                method: &Method::GET,
                route: Route::Deployment,
                status: Some(StatusCode::NOT_FOUND),
                ending: Ending::Whole,
                took: Duration::from_micros(1500),
            };
            let span = reporter
                .traces
                .request(request.method, request.route, &headers, "r-1");
            reporter.access_log.write(&Access {
                request,
                host: "www.test",
                path: "/x",
                content: 3,
                request_id: "r-1",
                trace: span.ids(),
            });
        }
    });
    let spans = spans(&collector, "/t");
    assert_eq!(spans.len(), 1);
    let records = records(&collector, "/l");
    assert_eq!(records.len(), 2);
    // The one names its own span, the other, which was not kept, that of its caller.
    for (record, span_id) in records.iter().zip([hex(&spans[0].span_id), PARENT.into()]) {
        assert_eq!(shown(record.body.as_ref()), "Request");
        assert_eq!(record.severity_text, "info");
        assert_eq!(hex(&record.trace_id), TRACE);
        assert_eq!(hex(&record.span_id), span_id);
        let found = attributes(&record.attributes);
        let expected = [
            ("duration_ms", "1.5"),
            ("http.request.method", "GET"),
            ("http.response.body.size", "3"),
            ("http.response.status_code", "404"),
            ("http.route", "/*"),
            ("request_id", "r-1"),
            ("server.address", "www.test"),
            ("url.path", "/x"),
        ]
        .map(|(key, value)| (key, value.to_owned()));
        assert_eq!(found, BTreeMap::from(expected));
        let ids = format!(r#""trace_id":"{TRACE}","span_id":"{span_id}""#);
        assert!(lines.contains(&ids), "{ids} in {lines}");
    }
}

#[test]
fn parents_that_are_none() {
    let collector = Collector::start(Manner::Takes);
    let to = endpoint(&collector.url("/t"));
    let settings = settings().traces(to, Sampler::ParentOrAlwaysOn, Batch::default());
    let mut twice = traceparent("01");
    twice.append("traceparent", twice["traceparent"].clone());
    let mut wrong = HeaderMap::new();
    wrong.insert("traceparent", HeaderValue::from_static("00-0-0-01"));
    run(&settings, |_| {
        for headers in [twice, wrong, HeaderMap::new()] {
            continue_trace(&tracing::info_span!("request"), &headers);
        }
    });
    let spans = spans(&collector, "/t");
    assert_eq!(spans.len(), 3);
    for span in spans {
        assert_eq!(hex(&span.parent_span_id), "");
        assert_ne!(hex(&span.trace_id), TRACE);
    }
}

#[test]
fn signals_go_their_own_ways() {
    let collector = Collector::start(Manner::Takes);
    let to = endpoint(&collector.url("/l"));
    let lines = run(&settings().logs(to, Batch::default()), |_| {
        tracing::info_span!("s").in_scope(|| tracing::info!("x"));
    });
    assert!(!lines.contains("trace_id"), "{lines}");
    assert_eq!(collector.posts().len(), collector.at("/l").len());
    assert_eq!(records(&collector, "/l").len(), 1);
    run(&settings(), |_| tracing::info!("nowhere"));
    assert_eq!(records(&collector, "/l").len(), 1);
}

#[test]
fn metrics() {
    let collector = Collector::start(Manner::Takes);
    let to = |path| {
        endpoint(&collector.url(path))
            .header("x-token", "s3cret")
            .unwrap()
    };
    let often = settings().metrics(to("/often"), Duration::from_millis(20));
    run(&often, |_| collector.wait_for(2));
    let seldom = settings().metrics(to("/seldom"), Duration::from_mins(10));
    run(&seldom, |guard| {
        let instruments = guard.instruments();
        for _ in 0..3 {
            let request = Request {
                method: &Method::GET,
                route: Route::Deployment,
                status: Some(StatusCode::OK),
                ending: Ending::Whole,
                took: Duration::from_millis(30),
            };
            instruments.request_begun();
            instruments.request_ended(&request, 1);
        }
        instruments.watch_cache(Cache::Pages, 100, || Some(77));
    });
    let posts = collector.at("/seldom");
    assert_eq!(posts.len(), 1, "at the end");
    assert_eq!(posts[0].headers["x-token"], "s3cret");
    let request: ExportMetricsServiceRequest = decoded(&posts[0]);
    let resource = request.resource_metrics[0].resource.clone().unwrap();
    assert_eq!(attributes(&resource.attributes)["service.name"], "edge");
    let metrics = &request.resource_metrics[0].scope_metrics[0].metrics;
    let named = |name: &str| {
        let found = metrics.iter().find(|metric| metric.name == name);
        found.and_then(|metric| metric.data.clone()).unwrap()
    };
    let Data::Histogram(requests) = named("http.server.request.duration") else {
        panic!("{metrics:?}");
    };
    let point = &requests.data_points[0];
    assert_eq!(point.count, 3);
    assert_eq!(requests.aggregation_temporality, 2, "cumulative");
    let found = attributes(&point.attributes);
    assert_eq!(found["http.route"], "/*");
    assert_eq!(found["http.response.status_code"], "200");
    let Data::Gauge(used) = named("favonius.cache.used") else {
        panic!("{metrics:?}");
    };
    assert_eq!(used.data_points[0].value, Some(Number::AsInt(77)));
}

#[test]
fn batches_leave_when_they_are_full_or_old() {
    let collector = Collector::start(Manner::Takes);
    let batch = |delay, size| Batch {
        schedule_delay: delay,
        max_export_batch_size: size,
        ..Batch::default()
    };
    let (long, short) = (Duration::from_mins(10), Duration::from_millis(20));
    let full = settings().logs(endpoint(&collector.url("/full")), batch(long, 3));
    run(&full, |_| {
        for n in 0..3 {
            tracing::info!(n, "x");
        }
        collector.wait_for(1);
    });
    let old = settings().logs(endpoint(&collector.url("/old")), batch(short, 512));
    run(&old, |_| {
        tracing::info!("x");
        collector.wait_for(2);
    });
    assert_eq!(records(&collector, "/full").len(), 3);
    assert_eq!(records(&collector, "/old").len(), 1);
}

#[test]
fn what_is_refused_for_now_is_sent_again() {
    let collector = Collector::start(Manner::RefusesOnce(503));
    let to = endpoint(&collector.url("/l"));
    let batch = Batch {
        schedule_delay: Duration::from_millis(10),
        ..Batch::default()
    };
    run(&settings().logs(to, batch), |guard| {
        tracing::info!("x");
        collector.wait_for(2);
        assert_eq!(guard.lost_telemetry(Signal::Logs), 0);
    });
    assert_eq!(records(&collector, "/l").len(), 2, "the same one twice");
}

#[test]
fn a_collector_that_asks_for_a_pause_of_ages_ends_nothing() {
    let collector = Collector::start(Manner::Postpones("18446744073709551615"));
    let to = endpoint(&collector.url("/l"));
    let batch = Batch {
        schedule_delay: Duration::from_millis(10),
        ..Batch::default()
    };
    run(&settings().logs(to, batch), |guard| {
        for expected in 1..=3 {
            tracing::info!("x");
            let begun = Instant::now();
            while guard.lost_telemetry(Signal::Logs) < expected {
                assert!(begun.elapsed() < Duration::from_secs(30), "no more is sent");
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    });
}

#[test]
fn collectors_that_do_not_take_anything() {
    let refusing = Collector::start(Manner::Refuses(503));
    let forbidding = Collector::start(Manner::Refuses(403));
    let hanging = Collector::start(Manner::Hangs);
    let slow = Collector::start(Manner::Slow(Duration::from_secs(1)));
    // Nobody listens there, and nobody answers there (RFC 5737).
    let cases = [
        ("absent", "http://127.0.0.1:1".to_owned()),
        ("unreachable", "http://192.0.2.1:4318".to_owned()),
        ("unknown", "http://collector.invalid:4318".to_owned()),
        ("refusing", refusing.url("")),
        ("forbidding", forbidding.url("")),
        ("hanging", hanging.url("")),
        ("slow", slow.url("")),
    ];
    let batch = Batch {
        schedule_delay: Duration::from_millis(10),
        max_queue_size: 100,
        max_export_batch_size: 50,
        ..Batch::default()
    };
    for (name, url) in cases {
        let settings = settings()
            .traces(endpoint(&url), Sampler::AlwaysOn, batch)
            .metrics(endpoint(&url), Duration::from_mins(10))
            .logs(endpoint(&url), batch);
        let mut ending = Instant::now();
        let lines = run(&settings, |guard| {
            for n in 0..2000 {
                tracing::info_span!("s").in_scope(|| tracing::info!(n, "x"));
            }
            assert!(guard.lost_telemetry(Signal::Logs) > 0, "{name}");
            assert!(guard.lost_telemetry(Signal::Traces) > 0, "{name}");
            ending = Instant::now();
        });
        // The promise is five seconds; a busy machine may take longer to wake up.
        assert!(ending.elapsed() < Duration::from_secs(9), "{name}");
        assert_eq!(lines.matches(r#""message":"x""#).count(), 2000, "{name}");
    }
}
