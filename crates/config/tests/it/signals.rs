//! Which signal goes where, for every way to turn one on or off.

use favonius_config::SignalExport;

use crate::Setup;

const BASE: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://base:4318");
const DISABLED: (&str, &str) = ("OTEL_SDK_DISABLED", "true");
const OWN_TRACES: (&str, &str) = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://own/t");
const OWN_METRICS: (&str, &str) = ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://own/m");
const OWN_LOGS: (&str, &str) = ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://own/l");
const TRACES_OTLP: (&str, &str) = ("OTEL_TRACES_EXPORTER", "otlp");
const METRICS_OTLP: (&str, &str) = ("OTEL_METRICS_EXPORTER", "otlp");
const LOGS_OTLP: (&str, &str) = ("OTEL_LOGS_EXPORTER", "otlp");
const TRACES_NONE: (&str, &str) = ("OTEL_TRACES_EXPORTER", "none");
const METRICS_NONE: (&str, &str) = ("OTEL_METRICS_EXPORTER", "none");
const LOGS_NONE: (&str, &str) = ("OTEL_LOGS_EXPORTER", "none");

/// Where traces, metrics and logs go; empty for nowhere.
type Plan = [&'static str; 3];
/// Name, what is set, and the plan that follows.
type Case = (&'static str, &'static [(&'static str, &'static str)], Plan);

const NOWHERE: Plan = ["", "", ""];
const TO_BASE: Plan = [
    "http://base:4318/v1/traces",
    "http://base:4318/v1/metrics",
    "http://base:4318/v1/logs",
];
const TO_OWN: Plan = ["http://own/t", "http://own/m", "http://own/l"];
const TO_LOCAL: Plan = [
    "http://localhost:4318/v1/traces",
    "http://localhost:4318/v1/metrics",
    "http://localhost:4318/v1/logs",
];

const fn only(plan: Plan, index: usize) -> Plan {
    let mut only = NOWHERE;
    only[index] = plan[index];
    only
}

#[rustfmt::skip] // a table
const CASES: &[Case] = &[
    ("nothing set", &[], NOWHERE),
    ("base", &[BASE], TO_BASE),
    ("base, disabled", &[BASE, DISABLED], NOWHERE),
    ("base, not disabled", &[BASE, ("OTEL_SDK_DISABLED", "false")], TO_BASE),
    ("base, disabled unset by a blank", &[BASE, ("OTEL_SDK_DISABLED", "")], TO_BASE),
    ("base with a slash", &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://base:4318/")], TO_BASE),
    ("only traces", &[OWN_TRACES], only(TO_OWN, 0)),
    ("only metrics", &[OWN_METRICS], only(TO_OWN, 1)),
    ("only logs", &[OWN_LOGS], only(TO_OWN, 2)),
    ("all their own", &[OWN_TRACES, OWN_METRICS, OWN_LOGS], TO_OWN),
    ("all their own, disabled", &[OWN_TRACES, OWN_METRICS, OWN_LOGS, DISABLED], NOWHERE),
    ("own wins over base", &[BASE, OWN_METRICS], [TO_BASE[0], TO_OWN[1], TO_BASE[2]]),
    ("own, but none", &[OWN_TRACES, TRACES_NONE], NOWHERE),
    ("own, other none", &[OWN_TRACES, LOGS_NONE], only(TO_OWN, 0)),
    ("base, no traces", &[BASE, TRACES_NONE], ["", TO_BASE[1], TO_BASE[2]]),
    ("base, no metrics", &[BASE, METRICS_NONE], [TO_BASE[0], "", TO_BASE[2]]),
    ("base, no logs", &[BASE, LOGS_NONE], [TO_BASE[0], TO_BASE[1], ""]),
    ("base, nothing wanted", &[BASE, TRACES_NONE, METRICS_NONE, LOGS_NONE], NOWHERE),
    ("none without endpoint", &[TRACES_NONE], NOWHERE),
    ("otlp traces without endpoint", &[TRACES_OTLP], only(TO_LOCAL, 0)),
    ("otlp metrics without endpoint", &[METRICS_OTLP], only(TO_LOCAL, 1)),
    ("otlp logs without endpoint", &[LOGS_OTLP], only(TO_LOCAL, 2)),
    ("otlp everywhere", &[TRACES_OTLP, METRICS_OTLP, LOGS_OTLP], TO_LOCAL),
    ("otlp everywhere, disabled", &[TRACES_OTLP, METRICS_OTLP, LOGS_OTLP, DISABLED], NOWHERE),
    ("otlp with base", &[BASE, LOGS_OTLP], TO_BASE),
    ("otlp with own", &[OWN_LOGS, LOGS_OTLP], only(TO_OWN, 2)),
    ("otlp beside own", &[OWN_LOGS, TRACES_OTLP], [TO_LOCAL[0], "", TO_OWN[2]]),
    ("otlp and none", &[TRACES_OTLP, LOGS_NONE], only(TO_LOCAL, 0)),
    ("own, none, base", &[BASE, OWN_LOGS, LOGS_NONE], [TO_BASE[0], TO_BASE[1], ""]),
    ("headers turn nothing on", &[("OTEL_EXPORTER_OTLP_HEADERS", "a=b")], NOWHERE),
];

#[test]
fn signals_go_where_the_keys_say() {
    for (name, variables, expected) in CASES {
        // The file must work as well as the environment.
        let pairs = variables
            .iter()
            .map(|(key, value)| format!("\"{key}\": \"{value}\""));
        let json = format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "));
        for (source, setup) in [
            ("environment", Setup::embedded().with_all(variables)),
            ("file", Setup::embedded().with_file(&json)),
        ] {
            let telemetry = setup.loaded().settings.telemetry;
            let plan = [&telemetry.traces, &telemetry.metrics, &telemetry.logs];
            let plan = plan.map(|export| endpoint(export.as_ref()));
            assert_eq!(plan, *expected, "case `{name}` by {source}");
            let exporting = telemetry.is_exporting();
            assert_eq!(exporting, *expected != NOWHERE, "case `{name}` by {source}");
        }
    }
}

fn endpoint(export: Option<&SignalExport>) -> &str {
    export.map_or("", |export| export.endpoint.url().as_str())
}

#[test]
fn a_signal_sends_the_common_headers_and_its_own() {
    let telemetry = Setup::embedded()
        .with(BASE.0, BASE.1)
        .with(
            "OTEL_EXPORTER_OTLP_HEADERS",
            "authorization=Bearer%20a,x-tenant=t",
        )
        .with(
            "OTEL_EXPORTER_OTLP_LOGS_HEADERS",
            "Authorization=Bearer%20b,x-set=s",
        )
        .loaded()
        .settings
        .telemetry;
    let headers = |export: Option<SignalExport>| {
        let headers = export.unwrap().headers;
        let shown = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.expose()));
        shown.collect::<Vec<_>>()
    };
    let common = ["authorization: Bearer a", "x-tenant: t"];
    assert_eq!(headers(telemetry.traces), common);
    assert_eq!(headers(telemetry.metrics), common);
    let logs = ["x-tenant: t", "authorization: Bearer b", "x-set: s"];
    assert_eq!(headers(telemetry.logs), logs);
}
