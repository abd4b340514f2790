//! An agent that is not ours takes all three signals, and a trace leads from the caller through the worker to its back ends.

use std::collections::BTreeMap;
use std::time::Duration;

use favonius_testing::{Collector, Manner, OtelAgent, RawConnection, WorkerProcess, eventually};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

use crate::decode::{attributes, hex, metrics, records, resources, spans, text};
use crate::support::{APP, Region, Site, Worker};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(all(has_redis, has_rotel)),
    ignore = "redis-server or rotel is not installed: run scripts/setup-tests"
)]
async fn a_trace_leads_from_the_caller_to_the_back_ends() {
    let collector = Collector::start(Manner::Takes);
    let agent = OtelAgent::start(&collector);
    let region = Region::start();
    let worker = Worker::start(
        region
            .builder()
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", agent.url())
            .env("OTEL_METRIC_EXPORT_INTERVAL", 200)
            .env("OTEL_BSP_SCHEDULE_DELAY", 50)
            .env("OTEL_BLRP_SCHEDULE_DELAY", 50)
            .env("OTEL_RESOURCE_ATTRIBUTES", "team=web")
            .env("NODE_ENV", "staging")
            .env("ZE_WORKER_REPLICA_NAME", "eu")
            .env("ZE_WORKER_ACCESS_LOG", true),
    )
    .await;
    let site = Site::new(&worker, APP);
    site.ship(1, &["www.test"]).await;
    let _page = site
        .client
        .get("/?q=1")
        .host("www.test")
        .header("traceparent", format!("00-{TRACE}-{PARENT}-01"))
        .header("tracestate", "vendor=1")
        .send()
        .await
        .expect_status(200);

    let of_trace = eventually("the spans of the request", PATIENCE, async || {
        let all = spans(&collector);
        let of_trace: Vec<Span> = all
            .into_iter()
            .filter(|span| hex(&span.trace_id) == TRACE)
            .collect();
        let has = |prefix: &str| of_trace.iter().any(|span| span.name.starts_with(prefix));
        if has("GET /*") && has("redis ") && has("s3 ") {
            Ok(of_trace)
        } else {
            Err(of_trace)
        }
    })
    .await;
    let request = of_trace.iter().find(|span| span.name == "GET /*").unwrap();
    assert_eq!(hex(&request.parent_span_id), PARENT);
    assert_eq!(request.kind(), SpanKind::Server);
    assert_eq!(request.trace_state, "vendor=1");
    let about = attributes(&request.attributes);
    assert_eq!(about["http.request.method"], "GET");
    assert_eq!(about["http.route"], "/*");
    assert_eq!(about["http.response.status_code"], "200");
    // Records and files are read for whoever else may wait for them, too.
    let loads: Vec<&Span> = of_trace
        .iter()
        .filter(|span| span.name.starts_with("load "))
        .collect();
    let load = |name| *loads.iter().find(|span| span.name == name).unwrap();
    for span in &loads {
        assert_eq!(span.parent_span_id, request.span_id, "{}", span.name);
    }
    let parents: Vec<_> = loads.iter().map(|span| &span.span_id).collect();
    let operations = of_trace
        .iter()
        .filter(|span| span.span_id != request.span_id && !parents.contains(&&span.span_id));
    for span in operations {
        let parent = &span.parent_span_id;
        assert!(
            *parent == request.span_id || parents.contains(&parent),
            "{}",
            span.name
        );
        assert_eq!(span.kind(), SpanKind::Client, "{}", span.name);
    }
    let record = of_trace
        .iter()
        .find(|span| span.name == "redis GET")
        .unwrap();
    assert_eq!(record.parent_span_id, load("load deployment").span_id);
    assert_eq!(attributes(&record.attributes)["db.system.name"], "redis");
    let bytes = of_trace.iter().find(|span| span.name == "s3 get").unwrap();
    assert_eq!(attributes(&bytes.attributes)["rpc.method"], "GetObject");
    assert_eq!(bytes.parent_span_id, load("load asset").span_id);

    // The line of the request, on standard output and exported, names the trace and the span.
    let ids = (TRACE.to_owned(), hex(&request.span_id));
    let line = eventually("the line of the request", PATIENCE, async || {
        let lines = worker.log_records().into_iter();
        let mut lines = lines.filter(|line| line["trace_id"] == TRACE);
        lines.next().ok_or("none")
    })
    .await;
    assert_eq!(line["message"], "Request");
    assert_eq!(line["span_id"], ids.1.as_str());
    assert_eq!(line["request_id"], about["favonius.request_id"].as_str());
    let record = eventually("the record of the request", PATIENCE, async || {
        let records = records(&collector).into_iter();
        let mut records = records.filter(|record| hex(&record.trace_id) == TRACE);
        records.next().ok_or("none")
    })
    .await;
    assert_eq!(text(record.body.as_ref()), "Request");
    assert_eq!(hex(&record.span_id), ids.1);
    assert_eq!(attributes(&record.attributes)["server.address"], "www.test");

    // What nobody asked for has traces of its own.
    let check = eventually("a readiness check", PATIENCE, async || {
        let all = spans(&collector);
        let check = all
            .iter()
            .find(|span| span.name == "readiness check")
            .cloned();
        let check = check.ok_or("none")?;
        let children = all
            .iter()
            .filter(|span| span.parent_span_id == check.span_id);
        match children.cloned().collect::<Vec<_>>() {
            children if children.is_empty() => Err("without a child"),
            _ => Ok(check),
        }
    })
    .await;
    assert_eq!(hex(&check.parent_span_id), "");

    let names = eventually("the metrics", PATIENCE, async || {
        let names = metrics(&collector);
        let has = |name: &str| names.contains(name);
        if has("http.server.request.duration") && has("favonius.storage.operation.duration") {
            Ok(names)
        } else {
            Err(names)
        }
    })
    .await;
    for name in ["process.memory.usage", "favonius.s3.sockets.limit"] {
        assert!(names.contains(name), "{name} in {names:?}");
    }
    let expected = [
        ("deployment.environment.name", "staging"),
        ("favonius.replica", "eu"),
        ("service.name", "ze-k8s-workers"),
        ("team", "web"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let resource = resources(&collector).remove(0);
    let sdk = |name: &String| name.starts_with("telemetry.sdk.");
    let resource: BTreeMap<_, _> = resource
        .into_iter()
        .filter(|(name, _)| !sdk(name))
        .collect();
    assert_eq!(resource, BTreeMap::from(expected));
    drop(agent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_span_lasts_until_the_last_byte() {
    const PAUSE: Duration = Duration::from_secs(1);
    let collector = Collector::start(Manner::Takes);
    let dir = tempfile::tempdir().unwrap();
    let worker = Worker::start(
        WorkerProcess::builder()
            .embedded(dir.path())
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url(""))
            .env("OTEL_BSP_SCHEDULE_DELAY", 50),
    )
    .await;
    let site = Site::new(&worker, APP);
    // More than the sockets between hold.
    let large = vec![7; 32 << 20];
    let build = site.build_with(1, &[("large.bin", large)]);
    site.deploy(&build).await;
    let _published = site.publish(&build, &["www.test"]).await.expect_status(200);
    let mut reader = RawConnection::open(worker.address()).await.unwrap();
    let head = format!(
        "GET /large.bin HTTP/1.1\r\nHost: www.test\r\ntraceparent: 00-{TRACE}-{PARENT}-01\r\n\r\n"
    );
    reader.send(head).await.unwrap();
    let _head = reader.read_until(b"\r\n\r\n", PATIENCE).await.unwrap();
    tokio::time::sleep(PAUSE).await;
    let content = reader.read_exact(32 << 20, PATIENCE).await.unwrap();
    assert_eq!(content.len(), 32 << 20);
    let span = eventually("the span of the request", PATIENCE, async || {
        let spans = spans(&collector).into_iter();
        let mut spans = spans.filter(|span| hex(&span.trace_id) == TRACE && span.name == "GET /*");
        spans.next().ok_or("none")
    })
    .await;
    let lasted = span.end_time_unix_nano - span.start_time_unix_nano;
    assert!(u128::from(lasted) >= PAUSE.as_nanos(), "{lasted} ns");
}
