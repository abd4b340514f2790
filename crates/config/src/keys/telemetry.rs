//! Keys of OpenTelemetry that are checked here. Every other `OTEL_*` key is handed on as it is.

use super::{
    Fallback::{Derived, Unset, Value},
    keys,
};

keys! { TELEMETRY:

    SDK_DISABLED {
        name: "OTEL_SDK_DISABLED", section: Telemetry, default: Unset, secret: false,
        example: "true",
        about: "`true` exports nothing, whatever else is set.",
    }
    SERVICE_NAME {
        name: "OTEL_SERVICE_NAME", section: Telemetry, default: Value("ze-k8s-workers"), secret: false,
        example: "edge-eu",
        about: "`service.name`. Wins over one in `OTEL_RESOURCE_ATTRIBUTES`, which wins over the default.",
    }
    RESOURCE_ATTRIBUTES {
        name: "OTEL_RESOURCE_ATTRIBUTES", section: Telemetry,
        default: Derived("deployment.environment.name from NODE_ENV, else production"), secret: false,
        example: "deployment.environment.name=staging,team=web",
        about: "Further resource attributes, `key=value,key=value`, percent-encoded. `deployment.environment.name` is added unless it is among them.",
    }
    NODE_ENV {
        name: "NODE_ENV", section: Telemetry, default: Value("production"), secret: false,
        example: "staging",
        about: "Value of `deployment.environment.name` unless `OTEL_RESOURCE_ATTRIBUTES` has it.",
    }
    EXPORTER_ENDPOINT {
        name: "OTEL_EXPORTER_OTLP_ENDPOINT", section: Telemetry, default: Unset, secret: false,
        example: "http://otel-collector:4318",
        about: "Base URL of an OTLP/HTTP receiver. Turns all signals on; they go to `/v1/traces`, `/v1/metrics` and `/v1/logs` under it.",
    }
    TRACES_ENDPOINT {
        name: "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", section: Telemetry, default: Unset, secret: false,
        example: "http://otel-collector:4318/v1/traces",
        about: "Whole URL for traces. Turns traces on, and wins over the base URL.",
    }
    METRICS_ENDPOINT {
        name: "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", section: Telemetry, default: Unset, secret: false,
        example: "http://otel-collector:4318/v1/metrics",
        about: "Whole URL for metrics. Turns metrics on, and wins over the base URL.",
    }
    LOGS_ENDPOINT {
        name: "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", section: Telemetry, default: Unset, secret: false,
        example: "http://otel-collector:4318/v1/logs",
        about: "Whole URL for logs. Turns logs on, and wins over the base URL.",
    }
    TRACES_EXPORTER {
        name: "OTEL_TRACES_EXPORTER", section: Telemetry, default: Unset, secret: false,
        example: "none",
        about: "`otlp` turns traces on (to `http://localhost:4318/v1/traces` when no URL is set), `none` off.",
    }
    METRICS_EXPORTER {
        name: "OTEL_METRICS_EXPORTER", section: Telemetry, default: Unset, secret: false,
        example: "none",
        about: "`otlp` turns metrics on (to `http://localhost:4318/v1/metrics` when no URL is set), `none` off.",
    }
    LOGS_EXPORTER {
        name: "OTEL_LOGS_EXPORTER", section: Telemetry, default: Unset, secret: false,
        example: "none",
        about: "`otlp` turns logs on (to `http://localhost:4318/v1/logs` when no URL is set), `none` off.",
    }
    EXPORTER_HEADERS {
        name: "OTEL_EXPORTER_OTLP_HEADERS", section: Telemetry, default: Unset, secret: true,
        example: "authorization=Bearer%20<token>,x-tenant=web",
        about: "Headers to send with every signal, `key=value,key=value`, values percent-encoded. Treated as a secret.",
    }
    TRACES_HEADERS {
        name: "OTEL_EXPORTER_OTLP_TRACES_HEADERS", section: Telemetry, default: Unset, secret: true,
        example: "authorization=Bearer%20<token>",
        about: "Headers for traces, added to those for every signal; of two with one name this one is sent.",
    }
    METRICS_HEADERS {
        name: "OTEL_EXPORTER_OTLP_METRICS_HEADERS", section: Telemetry, default: Unset, secret: true,
        example: "authorization=Bearer%20<token>",
        about: "Headers for metrics, in the same way.",
    }
    LOGS_HEADERS {
        name: "OTEL_EXPORTER_OTLP_LOGS_HEADERS", section: Telemetry, default: Unset, secret: true,
        example: "authorization=Bearer%20<token>",
        about: "Headers for logs, in the same way.",
    }
    METRIC_EXPORT_INTERVAL {
        name: "OTEL_METRIC_EXPORT_INTERVAL", section: Telemetry, default: Value("60000"), secret: false,
        example: "60000",
        about: "Time between two exports of metrics, in milliseconds.",
    }
    TRACES_SAMPLER {
        name: "OTEL_TRACES_SAMPLER", section: Telemetry, default: Value("parentbased_always_on"), secret: false,
        example: "parentbased_traceidratio",
        about: "Which traces are kept: `always_on`, `always_off`, `traceidratio`, or one of these after `parentbased_`, which follows the caller's decision where there is one.",
    }
    TRACES_SAMPLER_ARG {
        name: "OTEL_TRACES_SAMPLER_ARG", section: Telemetry, default: Value("1.0"), secret: false,
        example: "0.1",
        about: "Share of traces that the two `traceidratio` samplers keep, from 0 to 1.",
    }
    BSP_SCHEDULE_DELAY {
        name: "OTEL_BSP_SCHEDULE_DELAY", section: Telemetry, default: Value("5000"), secret: false,
        example: "5000",
        about: "Longest wait before spans are sent, in milliseconds.",
    }
    BSP_EXPORT_TIMEOUT {
        name: "OTEL_BSP_EXPORT_TIMEOUT", section: Telemetry, default: Value("30000"), secret: false,
        example: "30000",
        about: "Longest time for sending spans, in milliseconds.",
    }
    BSP_MAX_QUEUE_SIZE {
        name: "OTEL_BSP_MAX_QUEUE_SIZE", section: Telemetry, default: Value("2048"), secret: false,
        example: "2048",
        about: "Most spans that wait to be sent; further ones are dropped and counted.",
    }
    BSP_MAX_EXPORT_BATCH_SIZE {
        name: "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", section: Telemetry, default: Value("512"), secret: false,
        example: "512",
        about: "Most spans sent at once. Never more than the queue holds.",
    }
    BLRP_SCHEDULE_DELAY {
        name: "OTEL_BLRP_SCHEDULE_DELAY", section: Telemetry, default: Value("1000"), secret: false,
        example: "1000",
        about: "Longest wait before log records are sent, in milliseconds.",
    }
    BLRP_EXPORT_TIMEOUT {
        name: "OTEL_BLRP_EXPORT_TIMEOUT", section: Telemetry, default: Value("30000"), secret: false,
        example: "30000",
        about: "Longest time for sending log records, in milliseconds.",
    }
    BLRP_MAX_QUEUE_SIZE {
        name: "OTEL_BLRP_MAX_QUEUE_SIZE", section: Telemetry, default: Value("2048"), secret: false,
        example: "2048",
        about: "Most log records that wait to be sent; further ones are dropped and counted.",
    }
    BLRP_MAX_EXPORT_BATCH_SIZE {
        name: "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", section: Telemetry, default: Value("512"), secret: false,
        example: "512",
        about: "Most log records sent at once. Never more than the queue holds.",
    }
}
