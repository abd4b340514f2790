//! Which signal goes where, from the environment and from the file, seen from the collector.

use std::collections::BTreeSet;
use std::time::Duration;

use favonius_testing::{Collector, Manner, WorkerProcess};
use futures::{StreamExt as _, stream};
use serde_json::{Value, json};

/// How many workers run at once.
const AT_ONCE: usize = 6;

const BASE: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "{}");
const BELOW: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "{}/below/");
const DISABLED: (&str, &str) = ("OTEL_SDK_DISABLED", "true");
const OWN_TRACES: (&str, &str) = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "{}/own/t");
const OWN_METRICS: (&str, &str) = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "{}/own/m");
const OWN_LOGS: (&str, &str) = ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "{}/own/l");
const TRACES_OTLP: (&str, &str) = ("OTEL_TRACES_EXPORTER", "otlp");
const METRICS_OTLP: (&str, &str) = ("OTEL_METRICS_EXPORTER", "otlp");
const LOGS_OTLP: (&str, &str) = ("OTEL_LOGS_EXPORTER", "otlp");
const TRACES_NONE: (&str, &str) = ("OTEL_TRACES_EXPORTER", "none");
const METRICS_NONE: (&str, &str) = ("OTEL_METRICS_EXPORTER", "none");
const LOGS_NONE: (&str, &str) = ("OTEL_LOGS_EXPORTER", "none");
const ALWAYS_OFF: (&str, &str) = ("OTEL_TRACES_SAMPLER", "always_off");

/// What is set, and where something comes then.
type Case = (
    &'static [(&'static str, &'static str)],
    &'static [&'static str],
);

const T: &str = "/v1/traces";
const M: &str = "/v1/metrics";
const L: &str = "/v1/logs";

#[rustfmt::skip] // a table
const CASES: &[Case] = &[
    (&[], &[]),
    (&[BASE], &[T, M, L]),
    (&[BELOW], &["/below/v1/traces", "/below/v1/metrics", "/below/v1/logs"]),
    (&[BASE, DISABLED], &[]),
    (&[BASE, ("OTEL_SDK_DISABLED", "false")], &[T, M, L]),
    (&[OWN_TRACES], &["/own/t"]),
    (&[OWN_METRICS], &["/own/m"]),
    (&[OWN_LOGS], &["/own/l"]),
    (&[OWN_TRACES, OWN_METRICS, OWN_LOGS], &["/own/t", "/own/m", "/own/l"]),
    (&[OWN_TRACES, OWN_METRICS, OWN_LOGS, DISABLED], &[]),
    (&[BASE, OWN_TRACES], &["/own/t", M, L]),
    (&[BASE, OWN_METRICS], &[T, "/own/m", L]),
    (&[BASE, OWN_LOGS], &[T, M, "/own/l"]),
    (&[BASE, TRACES_NONE], &[M, L]),
    (&[BASE, METRICS_NONE], &[T, L]),
    (&[BASE, LOGS_NONE], &[T, M]),
    (&[BASE, TRACES_NONE, METRICS_NONE, LOGS_NONE], &[]),
    (&[OWN_TRACES, TRACES_NONE], &[]),
    (&[OWN_TRACES, LOGS_NONE], &["/own/t"]),
    (&[BASE, TRACES_OTLP, METRICS_OTLP, LOGS_OTLP], &[T, M, L]),
    (&[OWN_LOGS, LOGS_OTLP], &["/own/l"]),
    (&[BASE, OWN_LOGS, LOGS_NONE], &[T, M]),
    (&[BASE, ALWAYS_OFF], &[M, L]),
    (&[("OTEL_EXPORTER_OTLP_HEADERS", "a=b")], &[]),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signals_go_where_the_keys_say() {
    let runs = CASES.iter().flat_map(|case| [(case, false), (case, true)]);
    let runs = stream::iter(runs).map(|((keys, expected), by_file)| async move {
        let collector = Collector::start(Manner::Takes);
        export_once(&collector, keys, by_file).await;
        let came: BTreeSet<String> = collector
            .posts()
            .into_iter()
            .map(|post| post.path)
            .collect();
        let expected: BTreeSet<String> = expected.iter().map(ToString::to_string).collect();
        assert_eq!(came, expected, "{keys:?} by file: {by_file}");
    });
    assert_eq!(
        runs.buffer_unordered(AT_ONCE).count().await,
        2 * CASES.len()
    );
}

/// Runs a worker for one request.
async fn export_once(collector: &Collector, keys: &[(&str, &str)], by_file: bool) {
    let dir = tempfile::tempdir().unwrap();
    let value = |value: &str| value.replace("{}", &collector.url(""));
    let mut builder = WorkerProcess::builder()
        .embedded(&dir.path().join("data"))
        .env("ZE_WORKER_SHUTDOWN_GRACE_MS", 0);
    if by_file {
        let pairs = keys
            .iter()
            .map(|(key, text)| ((*key).to_owned(), json!(value(text))));
        let file = dir.path().join("config.json");
        let object = Value::Object(pairs.collect());
        std::fs::write(&file, object.to_string()).unwrap();
        builder = builder.env("ZE_WORKER_CONFIG_JSON", file.display());
    } else {
        for (key, text) in keys {
            builder = builder.env(key, value(text));
        }
    }
    let worker = builder.start().await;
    let page = worker.client().get("/").host("www.test").send().await;
    let _page = page.expect_status(404);
    worker.sigterm();
    let status = worker.wait_exit(Duration::from_secs(20)).await;
    assert_eq!(status.code(), Some(0));
}
