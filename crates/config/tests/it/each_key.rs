//! One row for each key: its default, its value from the environment and from the file, the file
//! winning, and what is said of a bad value.

use std::collections::BTreeSet;

use favonius_config::{
    RedisSettings, S3Credentials, S3Settings, Secret, ServiceUrl, Settings, SignalExport, Storage,
    keys,
};

use crate::{JWT_SECRET, REQUIRED, Setup};

struct Row {
    key: &'static str,
    /// What else has to be set for the key to be read, besides what is required.
    besides: &'static [(&'static str, &'static str)],
    get: fn(&Settings) -> String,
    /// What holds when nothing sets it; `None` when that is a problem.
    default: Option<&'static str>,
    /// Two other values as written and as they are understood.
    values: [(&'static str, &'static str); 2],
    /// A value that is not taken, and what is wrong with it; `None` when every text is taken.
    bad: Option<(&'static str, &'static str)>,
}

fn s3(settings: &Settings) -> &S3Settings {
    match &settings.storage {
        Storage::S3Redis { s3, .. } => s3,
        Storage::Embedded { .. } => panic!("embedded"),
    }
}

fn redis(settings: &Settings) -> &RedisSettings {
    match &settings.storage {
        Storage::S3Redis { redis, .. } => redis,
        Storage::Embedded { .. } => panic!("embedded"),
    }
}

fn static_keys(settings: &Settings) -> (&str, &str) {
    match &s3(settings).credentials {
        S3Credentials::Static {
            access_key_id,
            secret_access_key,
        } => (access_key_id.expose(), secret_access_key.expose()),
        S3Credentials::Environment => panic!("not static"),
    }
}

fn exposed(secret: Option<&Secret>) -> String {
    secret.map_or("none", Secret::expose).to_owned()
}

fn url(url: Option<&ServiceUrl>) -> String {
    url.map_or("none", |url| url.url().as_str()).to_owned()
}

fn endpoint(export: Option<&SignalExport>) -> String {
    url(export.map(|export| &export.endpoint))
}

fn headers(export: Option<&SignalExport>) -> String {
    let headers = export.iter().flat_map(|export| &export.headers);
    let shown = headers.map(|(name, value)| format!("{name}: {}", value.expose()));
    shown.collect::<Vec<_>>().join("; ")
}

fn attributes(settings: &Settings) -> String {
    let pairs = settings.telemetry.resource_attributes.iter();
    pairs
        .map(|(key, value)| format!("{key}={value}"))
        .collect::<Vec<_>>()
        .join("; ")
}

const PORT: &str = "is not a port number from 0 to 65535";
const BOOL: &str = "is neither true nor false";
const MS: &str = "is not a whole number from 1 to 3600000 (milliseconds)";
const NO_URL: &str = "is not a URL that starts with http:// or https://";
const MISSING: &str = "cannot be read: No such file or directory (os error 2)";
const NO_TEXT: [(&str, &str); 0] = [];
const REPLICA: &[(&str, &str)] = &[("ZE_WORKER_REPLICA_NAME", "eu")];
const TO_COLLECTOR: &[(&str, &str)] = &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c")];

#[rustfmt::skip] // a table
fn replication() -> [Row; 5] {
    [
        Row { key: "ZE_WORKER_REPLICA_NAME", besides: &[], get: |s| format!("{:?}", s.replication.name), default: Some("None"), values: [("eu-1", "Some(\"eu-1\")"), ("7", "Some(\"7\")")], bad: Some(("a\u{1}b", "holds a control character")) },
        Row { key: "ZE_WORKER_REPLICAS_URLS", besides: REPLICA, get: |s| format!("{:?}", s.replication.urls), default: Some("[]"), values: [("https://a.example, http://b:1/x", "[https://a.example/, http://b:1/x]"), ("http://c", "[http://c/]")], bad: Some(("a.example", NO_URL)) },
        Row { key: "ZE_WORKER_REPLICATION", besides: REPLICA, get: |s| format!("{:?}", s.replication.delivery), default: Some("Worker"), values: [("relay", "Relay"), ("worker", "Worker")], bad: Some(("off", "is none of: worker relay")) },
        Row { key: "ZE_WORKER_READ_THROUGH", besides: REPLICA, get: |s| s.replication.read_through.to_string(), default: Some("true"), values: [("true", "true"), ("0", "false")], bad: Some(("yes", BOOL)) },
        Row { key: "ZE_WORKER_REPAIR_INTERVAL_MS", besides: REPLICA, get: |s| format!("{:?}", s.replication.repair_every), default: Some("600s"), values: [("1000", "1s"), ("86400000", "86400s")], bad: Some(("999", "is not a whole number from 1000 to 86400000 (milliseconds)")) },
    ]
}

/// Every key.
fn rows() -> Vec<Row> {
    let mut rows = rows_but_replication();
    rows.extend(replication());
    rows
}

#[rustfmt::skip] // a table
fn rows_but_replication() -> Vec<Row> {
    let row = |key, get, default, values, bad| Row { key, besides: &NO_TEXT, get, default: Some(default), values, bad };
    let flag = |key, get, default| row(key, get, default, [("true", "true"), ("0", "false")], Some(("yes", BOOL)));
    let millis = |key, get, default| row(key, get, default, [("1", "1ms"), ("90000", "90s")], Some(("0", MS)));
    vec![
        Row { key: "ZE_WORKER_JWT_SECRET", besides: &[], get: |s| s.jwt.secret.expose().to_owned(), default: None, values: [("a secret", "a secret"), ("12345678", "12345678")], bad: None },
        row("ZE_WORKER_JWT_SECRET_PREVIOUS", |s| exposed(s.jwt.previous.as_ref()), "none", [("old", "old"), ("older", "older")], None),
        flag("ZE_WORKER_JWT_REQUIRE_APPLICATION", |s| s.jwt.require_application.to_string(), "true"),
        row("ZE_WORKER_HOST", |s| format!("{:?}", s.server.host), "DualStack", [("127.0.0.1", "Address(127.0.0.1)"), ("::1", "Address(::1)")], Some(("localhost", "is not an IP address"))),
        row("ZE_WORKER_PORT", |s| s.server.port.to_string(), "8080", [("1", "1"), ("0", "0")], Some(("65536", PORT))),
        Row { key: "ZE_WORKER_TLS_CERT_FILE", besides: &[("ZE_WORKER_TLS_KEY_FILE", "$DIR/tls.key")], get: |s| s.server.tls.as_ref().unwrap().cert.display().to_string(), default: None, values: [("$DIR/tls.crt", "$DIR/tls.crt"), ("$DIR/ca.pem", "$DIR/ca.pem")], bad: Some(("$DIR/none", MISSING)) },
        Row { key: "ZE_WORKER_TLS_KEY_FILE", besides: &[("ZE_WORKER_TLS_CERT_FILE", "$DIR/tls.crt")], get: |s| s.server.tls.as_ref().unwrap().key.display().to_string(), default: None, values: [("$DIR/tls.key", "$DIR/tls.key"), ("$DIR/./tls.key", "$DIR/./tls.key")], bad: Some(("$DIR/tls.crt", "is a file without a PEM block `-----BEGIN PRIVATE KEY-----`")) },
        row("ZE_WORKER_PUBLIC_URL", |s| url(s.server.public_url.as_ref()), "none", [("https://e.example", "https://e.example/"), ("http://e:81/", "http://e:81/")], Some(("https://e.example/x", "is a URL with a path; only scheme, host and port are used"))),
        row("ZE_WORKER_DELIMITER", |s| s.server.delimiter.as_char().to_string(), "-", [(".", "."), ("_", "_")], Some(("--", "is none of: - . _"))),
        row("ZE_WORKER_LOG_LEVEL", |s| s.server.log_level.to_string(), "info", [("fatal", "fatal"), ("TRACE", "trace")], Some(("loud", "is none of: trace debug info warn error fatal"))),
        flag("ZE_WORKER_ACCESS_LOG", |s| s.server.access_log.to_string(), "false"),
        row("ZE_WORKER_SHUTDOWN_GRACE_MS", |s| format!("{:?}", s.server.shutdown_grace), "25s", [("0", "0ns"), ("3600000", "3600s")], Some(("3600001", "is not a whole number from 0 to 3600000 (milliseconds)"))),
        row("ZE_WORKER_UPLOAD_MAX_BYTES", |s| s.server.upload_max_bytes.to_string(), "268435456", [("1", "1"), ("5368709120", "5368709120")], Some(("0", "is not a whole number from 1 to 5368709120"))),
        row("ZE_WORKER_SNAPSHOT_MAX_BYTES", |s| s.server.snapshot_max_bytes.to_string(), "33554432", [("1", "1"), ("1073741824", "1073741824")], Some(("1 MB", "is not a whole number from 1 to 1073741824"))),
        row("ZE_WORKER_ASSET_HASH", |s| format!("{:?}", s.server.asset_hash), "Strict", [("warn", "Warn"), ("off", "Off")], Some(("no", "is none of: strict warn off"))),
        row("ZE_WORKER_CACHE_BYTES", |s| s.server.cache_bytes.to_string(), "268435456", [("0", "0"), ("1000", "1000")], Some(("-1", "is not a whole number from 0 to 1099511627776"))),
        row("ZE_WORKER_READYZ", |s| format!("{:?}", s.server.readyz), "Strict", [("serving", "Serving"), ("Strict", "Strict")], Some(("loose", "is none of: strict serving"))),
        row("ZE_WORKER_METRICS_PORT", |s| format!("{:?}", s.server.metrics.port), "None", [("9090", "Some(9090)"), ("0", "Some(0)")], Some(("metrics", PORT))),
        row("ZE_WORKER_METRICS_TOKEN", |s| exposed(s.server.metrics.token.as_ref()), "none", [("abc", "abc"), (" 123 ", "123")], Some(("a b", "holds white space or characters that are not printable ASCII"))),
        row("ZE_WORKER_STORAGE", |s| if matches!(s.storage, Storage::Embedded { .. }) { "embedded" } else { "s3-redis" }.to_owned(), "s3-redis", [("embedded", "embedded"), ("s3-redis", "s3-redis")], Some(("disk", "is none of: s3-redis embedded"))),
        Row { key: "ZE_WORKER_DATA_DIR", besides: &[("ZE_WORKER_STORAGE", "embedded")], get: |s| match &s.storage { Storage::Embedded { data_dir, .. } => data_dir.display().to_string(), Storage::S3Redis { .. } => panic!("not embedded") }, default: Some("./favonius-data"), values: [("$DIR", "$DIR"), ("$DIR/new", "$DIR/new")], bad: Some(("$DIR/ca.pem", "is not a directory")) },
        Row { key: "ZE_WORKER_S3_ENDPOINT", besides: &[], get: |s| url(Some(&s3(s).endpoint)), default: None, values: [("https://s3.example/x", "https://s3.example/x"), ("http://[::1]:9000", "http://[::1]:9000/")], bad: Some(("minio:9000", NO_URL)) },
        Row { key: "ZE_WORKER_S3_BUCKET", besides: &[], get: |s| s3(s).bucket.clone(), default: None, values: [("my-bucket.eu", "my-bucket.eu"), ("123", "123")], bad: Some(("s3://b", "is not 3 to 255 letters, digits and . - _, beginning with a letter or digit")) },
        row("ZE_WORKER_S3_CREDENTIALS", |s| if matches!(s3(s).credentials, S3Credentials::Environment) { "environment" } else { "static" }.to_owned(), "static", [("environment", "environment"), ("static", "static")], Some(("iam", "is none of: static environment"))),
        Row { key: "ZE_WORKER_S3_ACCESS_KEY_ID", besides: &[], get: |s| static_keys(s).0.to_owned(), default: None, values: [("AKIA1", "AKIA1"), ("1234\n", "1234")], bad: Some(("a b", "holds white space or characters that are not printable ASCII")) },
        Row { key: "ZE_WORKER_S3_SECRET_ACCESS_KEY", besides: &[], get: |s| static_keys(s).1.to_owned(), default: None, values: [("a/b+c=", "a/b+c="), ("1234", "1234")], bad: Some(("\u{e9}", "holds white space or characters that are not printable ASCII")) },
        row("ZE_WORKER_S3_REGION", |s| s3(s).region.clone(), "us-east-1", [("eu-central-1", "eu-central-1"), ("garage", "garage")], Some(("eu central", "is not 1 to 64 letters, digits and - _, beginning with a letter or digit"))),
        flag("ZE_WORKER_S3_FORCE_PATH_STYLE", |s| s3(s).force_path_style.to_string(), "true"),
        row("ZE_WORKER_S3_CA_FILE", |s| format!("{:?}", s3(s).ca_file), "None", [("$DIR/ca.pem", "Some(\"$DIR/ca.pem\")"), ("$DIR/tls.crt", "Some(\"$DIR/tls.crt\")")], Some(("$DIR/none", MISSING))),
        millis("ZE_WORKER_S3_CONNECTION_TIMEOUT_MS", |s| format!("{:?}", s3(s).connect_timeout), "5s"),
        millis("ZE_WORKER_S3_REQUEST_TIMEOUT_MS", |s| format!("{:?}", s3(s).request_timeout), "30s"),
        millis("ZE_WORKER_S3_UPLOAD_REQUEST_TIMEOUT_MS", |s| format!("{:?}", s3(s).upload_timeout), "60s"),
        row("ZE_WORKER_S3_MAX_SOCKETS", |s| s3(s).max_sockets.to_string(), "200", [("1", "1"), ("65535", "65535")], Some(("0", "is not a whole number from 1 to 65535"))),
        millis("ZE_WORKER_S3_SOCKET_ACQUISITION_WARNING_TIMEOUT_MS", |s| format!("{:?}", s3(s).socket_wait_warning), "35s"),
        Row { key: "ZE_WORKER_REDIS_HOST", besides: &[], get: |s| format!("{:?}", redis(s).topology), default: None, values: [("10.0.0.1", "Single(HostPort { host: \"10.0.0.1\", port: 6379 })"), ("r:1", "Single(HostPort { host: \"r\", port: 1 })")], bad: Some(("redis://r", "is a URL; only the host belongs here, the rest has its own keys")) },
        row("ZE_WORKER_REDIS_PORT", |s| format!("{:?}", redis(s).topology), "Single(HostPort { host: \"redis\", port: 6379 })", [("1", "Single(HostPort { host: \"redis\", port: 1 })"), ("2", "Single(HostPort { host: \"redis\", port: 2 })")], Some(("0", "is not a port number from 1 to 65535"))),
        row("ZE_WORKER_REDIS_MODE", |s| format!("{:?}", redis(s).topology), "Single(HostPort { host: \"redis\", port: 6379 })", [("cluster", "Cluster { seeds: [HostPort { host: \"redis\", port: 6379 }] }"), ("single", "Single(HostPort { host: \"redis\", port: 6379 })")], Some(("proxy", "is none of: single cluster sentinel"))),
        Row { key: "ZE_WORKER_REDIS_SENTINEL_MASTER", besides: &[("ZE_WORKER_REDIS_MODE", "sentinel")], get: |s| format!("{:?}", redis(s).topology), default: None, values: [("m", "Sentinel { sentinels: [HostPort { host: \"redis\", port: 26379 }], master: \"m\" }"), ("n", "Sentinel { sentinels: [HostPort { host: \"redis\", port: 26379 }], master: \"n\" }")], bad: Some(("a b", "is not 1 to 255 letters, digits and - _ ., beginning with a letter or digit")) },
        row("ZE_WORKER_REDIS_USERNAME", |s| format!("{:?}", redis(s).username), "None", [("u", "Some(\"u\")"), ("42", "Some(\"42\")")], Some(("a\u{1}b", "holds a control character"))),
        row("ZE_WORKER_REDIS_PASSWORD", |s| exposed(redis(s).password.as_ref()), "none", [("p w", "p w"), ("1234", "1234")], None),
        flag("ZE_WORKER_REDIS_TLS", |s| redis(s).tls.to_string(), "false"),
        row("ZE_WORKER_REDIS_CA_FILE", |s| format!("{:?}", redis(s).ca_file), "None", [("$DIR/ca.pem", "Some(\"$DIR/ca.pem\")"), ("$DIR/tls.crt", "Some(\"$DIR/tls.crt\")")], Some(("$DIR", "is not a regular file"))),
        row("ZE_WORKER_REDIS_DB", |s| redis(s).db.to_string(), "0", [("1", "1"), ("15", "15")], Some(("one", "is not a whole number from 0 to 2147483647"))),
        row("ZE_WORKER_REDIS_PREFIX_ENVS", |s| redis(s).prefix_envs.clone(), "{ze-k8s-worker}:envs:", [("{x}:e:", "{x}:e:"), ("e:", "e:")], Some(("a\u{1}b", "holds a control character"))),
        row("ZE_WORKER_REDIS_PREFIX_SNAPSHOTS", |s| redis(s).prefix_snapshots.clone(), "{ze-k8s-worker}:snapshots:", [("{x}:s:", "{x}:s:"), ("s:", "s:")], Some(("a\u{1}b", "holds a control character"))),
        Row { key: "OTEL_SDK_DISABLED", besides: TO_COLLECTOR, get: |s| format!("{} {}", s.telemetry.disabled, s.telemetry.is_exporting()), default: Some("false true"), values: [("true", "true false"), ("false", "false true")], bad: Some(("yes", BOOL)) },
        row("OTEL_SERVICE_NAME", |s| s.telemetry.service_name.clone(), "ze-k8s-workers", [("edge", "edge"), ("42", "42")], Some(("a\u{1}b", "holds a control character"))),
        row("OTEL_RESOURCE_ATTRIBUTES", attributes, "deployment.environment.name=production", [("a=b%20c", "a=b c; deployment.environment.name=production"), ("deployment.environment.name=x", "deployment.environment.name=x")], Some(("a=b,c", "is wrong in pair 2: there is no `=`"))),
        row("NODE_ENV", attributes, "deployment.environment.name=production", [("staging", "deployment.environment.name=staging"), ("1", "deployment.environment.name=1")], Some(("a\u{1}b", "holds a control character"))),
        row("OTEL_EXPORTER_OTLP_ENDPOINT", |s| endpoint(s.telemetry.logs.as_ref()), "none", [("http://c:4318", "http://c:4318/v1/logs"), ("http://c/otlp/", "http://c/otlp/v1/logs")], Some(("c:4318", NO_URL))),
        row("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", |s| endpoint(s.telemetry.traces.as_ref()), "none", [("http://c/t", "http://c/t"), ("http://c?x=1", "http://c/?x=1")], Some(("grpc://c", NO_URL))),
        row("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", |s| endpoint(s.telemetry.metrics.as_ref()), "none", [("http://c/m", "http://c/m"), ("http://d/m", "http://d/m")], Some(("c", NO_URL))),
        row("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", |s| endpoint(s.telemetry.logs.as_ref()), "none", [("http://c/l", "http://c/l"), ("http://d/l", "http://d/l")], Some(("c", NO_URL))),
        row("OTEL_TRACES_EXPORTER", |s| endpoint(s.telemetry.traces.as_ref()), "none", [("otlp", "http://localhost:4318/v1/traces"), ("none", "none")], Some(("console", "is none of: otlp none"))),
        row("OTEL_METRICS_EXPORTER", |s| endpoint(s.telemetry.metrics.as_ref()), "none", [("otlp", "http://localhost:4318/v1/metrics"), ("none", "none")], Some(("prometheus", "is none of: otlp none"))),
        row("OTEL_LOGS_EXPORTER", |s| endpoint(s.telemetry.logs.as_ref()), "none", [("otlp", "http://localhost:4318/v1/logs"), ("none", "none")], Some(("true", "is none of: otlp none"))),
        Row { key: "OTEL_EXPORTER_OTLP_HEADERS", besides: TO_COLLECTOR, get: |s| headers(s.telemetry.logs.as_ref()), default: Some(""), values: [("A=b,c=d%20e", "a: b; c: d e"), ("x=y", "x: y")], bad: Some(("token", "is wrong in header 1: there is no `=`")) },
        Row { key: "OTEL_EXPORTER_OTLP_TRACES_HEADERS", besides: TO_COLLECTOR, get: |s| headers(s.telemetry.traces.as_ref()), default: Some(""), values: [("a=b", "a: b"), ("x=y", "x: y")], bad: Some(("=v", "is wrong in header 1: what stands before `=` is no header name")) },
        Row { key: "OTEL_EXPORTER_OTLP_METRICS_HEADERS", besides: TO_COLLECTOR, get: |s| headers(s.telemetry.metrics.as_ref()), default: Some(""), values: [("a=b", "a: b"), ("x=y", "x: y")], bad: Some(("a=%ff", "is wrong in header 1: the value is not percent-encoded")) },
        Row { key: "OTEL_EXPORTER_OTLP_LOGS_HEADERS", besides: TO_COLLECTOR, get: |s| headers(s.telemetry.logs.as_ref()), default: Some(""), values: [("a=b", "a: b"), ("x=y", "x: y")], bad: Some(("a=%0a", "is wrong in header 1: the value holds characters that are not printable ASCII")) },
        millis("OTEL_METRIC_EXPORT_INTERVAL", |s| format!("{:?}", s.telemetry.metric_interval), "60s"),
        row("OTEL_TRACES_SAMPLER", |s| format!("{:?}", s.telemetry.sampler), "ParentOrAlwaysOn", [("always_off", "AlwaysOff"), ("traceidratio", "Ratio(1.0)")], Some(("jaeger_remote", "is none of: always_on always_off traceidratio parentbased_always_on parentbased_always_off parentbased_traceidratio"))),
        Row { key: "OTEL_TRACES_SAMPLER_ARG", besides: &[("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")], get: |s| format!("{:?}", s.telemetry.sampler), default: Some("ParentOrRatio(1.0)"), values: [("0.25", "ParentOrRatio(0.25)"), ("0", "ParentOrRatio(0.0)")], bad: Some(("1.1", "is not a number from 0 to 1")) },
        millis("OTEL_BSP_SCHEDULE_DELAY", |s| format!("{:?}", s.telemetry.span_batch.schedule_delay), "5s"),
        millis("OTEL_BSP_EXPORT_TIMEOUT", |s| format!("{:?}", s.telemetry.span_batch.export_timeout), "30s"),
        row("OTEL_BSP_MAX_QUEUE_SIZE", |s| s.telemetry.span_batch.max_queue_size.to_string(), "2048", [("512", "512"), ("4096", "4096")], Some(("0", "is not a whole number from 1 to 1048576"))),
        row("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", |s| s.telemetry.span_batch.max_export_batch_size.to_string(), "512", [("1", "1"), ("2048", "2048")], Some(("0", "is not a whole number from 1 to 1048576"))),
        millis("OTEL_BLRP_SCHEDULE_DELAY", |s| format!("{:?}", s.telemetry.log_batch.schedule_delay), "1s"),
        millis("OTEL_BLRP_EXPORT_TIMEOUT", |s| format!("{:?}", s.telemetry.log_batch.export_timeout), "30s"),
        row("OTEL_BLRP_MAX_QUEUE_SIZE", |s| s.telemetry.log_batch.max_queue_size.to_string(), "2048", [("512", "512"), ("4096", "4096")], Some(("0", "is not a whole number from 1 to 1048576"))),
        row("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", |s| s.telemetry.log_batch.max_export_batch_size.to_string(), "512", [("1", "1"), ("2048", "2048")], Some(("0", "is not a whole number from 1 to 1048576"))),
    ]
}

fn setup(row: &Row) -> Setup {
    Setup::s3_redis().without(row.key).with_all(row.besides)
}

/// JSON of one key on line 2, the value as a string.
fn file(key: &str, value: &str) -> String {
    let escaped: String = value.chars().flat_map(char::escape_default).collect();
    let escaped = escaped
        .replace("\\'", "'")
        .replace("\\u{1}", "\\u0001")
        .replace("\\u{e9}", "\u{e9}");
    format!("{{\n  \"{key}\": \"{escaped}\",\n}}")
}

#[test]
fn every_key_has_a_row() {
    let rows: BTreeSet<_> = rows().iter().map(|row| row.key).collect();
    let named: BTreeSet<_> = keys::all().map(|key| key.name).collect();
    let missing: Vec<_> = named.difference(&rows).collect();
    assert_eq!(
        missing,
        [&"ZE_WORKER_CONFIG_JSON"],
        "the rows of `sources` are about that one"
    );
    assert_eq!(rows.difference(&named).count(), 0);
}

#[test]
fn defaults_hold_when_nothing_sets_a_key() {
    for row in rows() {
        let setup = setup(&row);
        if let Some(default) = row.default {
            assert_eq!((row.get)(&setup.loaded().settings), default, "{}", row.key);
        } else {
            let problems = setup.problems();
            let start = format!("{} (not set): is required", row.key);
            assert!(problems[0].starts_with(&start), "{problems:?}");
            assert_eq!(problems.len(), 1, "{problems:?}");
        }
    }
}

#[test]
fn values_come_from_the_environment_and_the_file_and_the_file_wins() {
    for row in rows() {
        let [(one, one_understood), (other, other_understood)] = row.values;
        let read = |setup: &Setup| {
            let value = (row.get)(&setup.loaded().settings);
            setup.without_paths(&value)
        };
        let by_environment = setup(&row).with(row.key, one);
        assert_eq!(read(&by_environment), one_understood, "{} = {one}", row.key);
        let by_file = setup(&row).with_file(&file(row.key, one));
        assert_eq!(
            read(&by_file),
            one_understood,
            "{} = {one} in the file",
            row.key
        );
        let by_both = setup(&row)
            .with(row.key, one)
            .with_file(&file(row.key, other));
        assert_eq!(
            read(&by_both),
            other_understood,
            "{} = {other} over {one}",
            row.key
        );
    }
}

#[test]
fn numbers_and_booleans_of_the_file_need_no_quotes() {
    let mut bare = 0;
    for row in rows() {
        for (value, understood) in row.values {
            let is_literal = matches!(value, "true" | "false")
                || (value.parse::<u32>().is_ok() && !value.starts_with("0."));
            if is_literal {
                bare += 1;
                let setup = setup(&row).with_file(&format!("{{\"{}\": {value}}}", row.key));
                assert_eq!(
                    (row.get)(&setup.loaded().settings),
                    understood,
                    "{} = {value}",
                    row.key
                );
            }
        }
    }
    assert!(bare > 50, "{bare}");
}

#[test]
fn bad_values_are_named_with_their_source_and_an_example() {
    for row in rows() {
        let Some((bad, reason)) = row.bad else {
            continue;
        };
        let key = keys::find(row.key).unwrap();
        let expected = |origin: &str| {
            let shown = bad.replace('\u{1}', "\\u{1}");
            let subject = if key.secret {
                "the value".to_owned()
            } else {
                format!("\"{shown}\"")
            };
            format!(
                "{} ({origin}): {subject} {reason}; example: {}",
                key.name, key.example
            )
        };
        let problems = setup(&row).with(row.key, bad).problems();
        assert_eq!(problems, [expected("environment")]);
        let problems = setup(&row).with_file(&file(row.key, bad)).problems();
        assert_eq!(problems, [expected("file $FILE line 2")]);
    }
}

#[test]
fn what_is_no_text_number_or_boolean_is_a_problem_for_every_key() {
    for row in rows() {
        for (json, reason) in [
            ("null", "is null; remove the key to leave it unset"),
            ("{}", "is an object; the file is flat"),
            ("[1]", "is an array of other things than strings"),
            ("[\"x://y\"]", "is an array, which this key does not take"),
        ] {
            if row.key == "ZE_WORKER_REPLICAS_URLS" && json.contains('x') {
                continue; // takes arrays; the bad URL in it is another test's
            }
            let setup = setup(&row).with_file(&format!("{{\"{}\": {json}}}", row.key));
            let problems = setup.problems();
            let start = format!("{} (file $FILE line 1): {reason}; example: ", row.key);
            assert_eq!(problems.len(), 1, "{} = {json}: {problems:?}", row.key);
            assert!(problems[0].starts_with(&start), "{problems:?}");
        }
    }
}

#[test]
fn every_example_of_the_table_is_taken() {
    for row in rows() {
        let key = keys::find(row.key).unwrap();
        let is_file = key.name.ends_with("_FILE");
        if !key.secret && !is_file {
            let loaded = setup(&row).with(row.key, key.example).load();
            assert!(loaded.is_ok(), "{} = {}: {loaded:?}", key.name, key.example);
        }
    }
}

#[test]
fn the_required_are_those_of_the_contract() {
    let required: BTreeSet<_> = keys::all()
        .filter(|key| key.default == keys::Fallback::Required)
        .map(|key| key.name)
        .collect();
    assert_eq!(required, REQUIRED.map(|(key, _)| key).into());
    assert!(JWT_SECRET.len() > 32);
}
