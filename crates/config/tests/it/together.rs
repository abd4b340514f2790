//! Keys that have to fit each other, and what is odd about some combinations.

use crate::{JWT_SECRET, Setup};

/// Name, what is set besides the required, and the beginnings of the lines expected.
type Case = (
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static [&'static str],
);

const CERT: (&str, &str) = ("ZE_WORKER_TLS_CERT_FILE", "$DIR/tls.crt");
const KEY: (&str, &str) = ("ZE_WORKER_TLS_KEY_FILE", "$DIR/tls.key");
const CLUSTER: (&str, &str) = ("ZE_WORKER_REDIS_MODE", "cluster");
const SENTINEL: (&str, &str) = ("ZE_WORKER_REDIS_MODE", "sentinel");
const SEEDS: (&str, &str) = ("ZE_WORKER_REDIS_HOST", "a:1,b,[::1]:2");
const REPLICA: (&str, &str) = ("ZE_WORKER_REPLICA_NAME", "eu");

#[track_caller]
fn assert_lines(name: &str, lines: &[String], expected: &[&str]) {
    let fits = lines.len() == expected.len()
        && lines
            .iter()
            .zip(expected)
            .all(|(line, start)| line.starts_with(start));
    assert!(fits, "case `{name}`: {lines:#?}\nis not\n{expected:#?}");
}

#[rustfmt::skip] // a table
const CONTRADICTIONS: &[Case] = &[
    ("certificate without key", &[CERT], &["ZE_WORKER_TLS_KEY_FILE (not set): is required with ZE_WORKER_TLS_CERT_FILE"]),
    ("key without certificate", &[KEY], &["ZE_WORKER_TLS_CERT_FILE (not set): is required with ZE_WORKER_TLS_KEY_FILE"]),
    ("both", &[CERT, KEY], &[]),
    ("metrics on the HTTP port", &[("ZE_WORKER_METRICS_PORT", "8080")], &["ZE_WORKER_METRICS_PORT (environment): is the HTTP port"]),
    ("both on any port", &[("ZE_WORKER_METRICS_PORT", "0"), ("ZE_WORKER_PORT", "0")], &[]),
    ("a list of hosts for one server", &[SEEDS], &["ZE_WORKER_REDIS_HOST (environment): is a list"]),
    ("Sentinels without a master", &[SENTINEL, SEEDS], &["ZE_WORKER_REDIS_SENTINEL_MASTER (not set): is required when ZE_WORKER_REDIS_MODE is sentinel"]),
    ("database of a cluster", &[CLUSTER, ("ZE_WORKER_REDIS_DB", "1")], &["ZE_WORKER_REDIS_DB (environment): is not 0"]),
    ("database of a server", &[("ZE_WORKER_REDIS_DB", "1")], &[]),
    ("cluster", &[CLUSTER, SEEDS], &[]),
    ("no hash tags in a cluster", &[CLUSTER, ("ZE_WORKER_REDIS_PREFIX_ENVS", "e:"), ("ZE_WORKER_REDIS_PREFIX_SNAPSHOTS", "s:")], &["ZE_WORKER_REDIS_PREFIX_ENVS (environment): has no hash tag", "ZE_WORKER_REDIS_PREFIX_SNAPSHOTS (environment): has no hash tag"]),
    ("no hash tags elsewhere", &[("ZE_WORKER_REDIS_PREFIX_ENVS", "e:"), ("ZE_WORKER_REDIS_PREFIX_SNAPSHOTS", "s:")], &[]),
    ("an empty hash tag", &[CLUSTER, ("ZE_WORKER_REDIS_PREFIX_ENVS", "{}{x}:")], &["ZE_WORKER_REDIS_PREFIX_ENVS (environment): has no hash tag"]),
    ("two hash tags", &[CLUSTER, ("ZE_WORKER_REDIS_PREFIX_SNAPSHOTS", "{other}:s:")], &["ZE_WORKER_REDIS_PREFIX_SNAPSHOTS (environment): has another hash tag"]),
    ("two hash tags, the other changed", &[CLUSTER, ("ZE_WORKER_REDIS_PREFIX_ENVS", "{other}:e:")], &["ZE_WORKER_REDIS_PREFIX_ENVS (environment): has another hash tag"]),
    ("equal prefixes", &[("ZE_WORKER_REDIS_PREFIX_ENVS", "{ze-k8s-worker}:snapshots:")], &["ZE_WORKER_REDIS_PREFIX_ENVS (environment): begins with the other prefix"]),
    ("nested prefixes", &[("ZE_WORKER_REDIS_PREFIX_SNAPSHOTS", "{ze-k8s-worker}:envs:s:")], &["ZE_WORKER_REDIS_PREFIX_SNAPSHOTS (environment): begins with the other prefix"]),
    ("bad storage, and what is set is still checked", &[("ZE_WORKER_STORAGE", "x"), ("ZE_WORKER_REDIS_PORT", "x"), ("ZE_WORKER_S3_REGION", "-")], &["ZE_WORKER_STORAGE (environment): \"x\" is none of", "ZE_WORKER_S3_REGION (environment)", "ZE_WORKER_REDIS_PORT (environment)"]),
    ("bad mode, and the hosts are still checked", &[("ZE_WORKER_REDIS_MODE", "x"), ("ZE_WORKER_REDIS_HOST", "a b")], &["ZE_WORKER_REDIS_MODE (environment)", "ZE_WORKER_REDIS_HOST (environment): \"a b\" is not a host name or address"]),
    ("bad URLs among good ones", &[REPLICA, ("ZE_WORKER_REPLICAS_URLS", "http://a,b,http://c,ftp://d")], &["ZE_WORKER_REPLICAS_URLS (environment): \"b\" is not a URL", "ZE_WORKER_REPLICAS_URLS (environment): \"ftp://d\" is not a URL"]),
    ("a bad base does not hide the rest", &[("OTEL_EXPORTER_OTLP_ENDPOINT", "c"), ("OTEL_LOGS_EXPORTER", "x")], &["OTEL_EXPORTER_OTLP_ENDPOINT (environment)", "OTEL_LOGS_EXPORTER (environment)"]),
    ("service links of Kubernetes", &[("ZE_WORKER_REDIS_PORT", "tcp://10.0.0.1:6379")], &["ZE_WORKER_REDIS_PORT (environment): \"tcp://10.0.0.1:6379\" is not a port number but what Kubernetes sets"]),
];

#[test]
fn keys_that_contradict_each_other_are_problems() {
    for (name, variables, expected) in CONTRADICTIONS {
        let setup = Setup::s3_redis().with_all(variables);
        let problems = if expected.is_empty() {
            let loaded = setup.load();
            assert!(loaded.is_ok(), "case `{name}`: {loaded:?}");
            Vec::new()
        } else {
            setup.problems()
        };
        assert_lines(name, &problems, expected);
    }
}

#[test]
fn a_relay_cannot_share_embedded_storage() {
    let relay = ("ZE_WORKER_REPLICATION", "relay");
    let setup = Setup::embedded().with_all(&[REPLICA, relay]);
    let expected = "ZE_WORKER_REPLICATION (environment): is relay, which cannot read the storage";
    assert_lines("relay", &setup.problems(), &[expected]);
    assert!(Setup::embedded().with_all(&[relay]).load().is_ok());
    assert!(Setup::embedded().with_all(&[REPLICA]).load().is_ok());
}

#[test]
fn missing_keys_are_not_reported_while_it_is_open_whether_they_are_needed() {
    for (key, value) in [
        ("ZE_WORKER_STORAGE", "x"),
        ("ZE_WORKER_CONFIG_JSON", "$DIR/none"),
    ] {
        let setup = Setup::new(&[("ZE_WORKER_JWT_SECRET", JWT_SECRET)]).with(key, value);
        assert_lines(key, &setup.problems(), &[&format!("{key} (environment)")]);
    }
    let setup = Setup::s3_redis()
        .without("ZE_WORKER_S3_ACCESS_KEY_ID")
        .with("ZE_WORKER_S3_CREDENTIALS", "x");
    assert_lines(
        "credentials",
        &setup.problems(),
        &["ZE_WORKER_S3_CREDENTIALS (environment)"],
    );
    // What holds in every mode is still reported.
    let setup = Setup::new(&[("ZE_WORKER_STORAGE", "x")]);
    let expected = [
        "ZE_WORKER_JWT_SECRET (not set)",
        "ZE_WORKER_STORAGE (environment)",
    ];
    assert_lines("secret", &setup.problems(), &expected);
}

#[rustfmt::skip] // a table
const ODDITIES: &[Case] = &[
    ("nothing", &[], &[]),
    ("short secret", &[("ZE_WORKER_JWT_SECRET", "0123456789012345678901234567890")], &["ZE_WORKER_JWT_SECRET (environment): is shorter than 32 bytes"]),
    ("secret of 32 bytes", &[("ZE_WORKER_JWT_SECRET", "01234567890123456789012345678901")], &[]),
    ("short previous secret", &[("ZE_WORKER_JWT_SECRET_PREVIOUS", "x")], &["ZE_WORKER_JWT_SECRET_PREVIOUS (environment): is shorter"]),
    ("PEM", &[("ZE_WORKER_JWT_SECRET", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")], &[]),
    ("same secret", &[("ZE_WORKER_JWT_SECRET_PREVIOUS", JWT_SECRET)], &["ZE_WORKER_JWT_SECRET_PREVIOUS (environment): is the same as"]),
    ("space in a password", &[("ZE_WORKER_REDIS_PASSWORD", "p ")], &["ZE_WORKER_REDIS_PASSWORD (environment): begins or ends with white space"]),
    ("user without password", &[("ZE_WORKER_REDIS_USERNAME", "u")], &["ZE_WORKER_REDIS_USERNAME (environment): has no effect"]),
    ("CA without TLS", &[("ZE_WORKER_REDIS_CA_FILE", "$DIR/ca.pem")], &["ZE_WORKER_REDIS_CA_FILE (environment): has no effect"]),
    ("CA with TLS", &[("ZE_WORKER_REDIS_CA_FILE", "$DIR/ca.pem"), ("ZE_WORKER_REDIS_TLS", "1")], &[]),
    ("CA without https", &[("ZE_WORKER_S3_CA_FILE", "$DIR/ca.pem")], &["ZE_WORKER_S3_CA_FILE (environment): has no effect"]),
    ("CA with https", &[("ZE_WORKER_S3_CA_FILE", "$DIR/ca.pem"), ("ZE_WORKER_S3_ENDPOINT", "https://s3")], &[]),
    ("master without Sentinels", &[("ZE_WORKER_REDIS_SENTINEL_MASTER", "m")], &["ZE_WORKER_REDIS_SENTINEL_MASTER (environment): has no effect"]),
    ("keys beside other credentials", &[("ZE_WORKER_S3_CREDENTIALS", "environment")], &["ZE_WORKER_S3_ACCESS_KEY_ID (environment): has no effect", "ZE_WORKER_S3_SECRET_ACCESS_KEY (environment): has no effect"]),
    ("URLs without a name", &[("ZE_WORKER_REPLICAS_URLS", "http://a")], &["ZE_WORKER_REPLICAS_URLS (environment): has no effect"]),
    ("relay without a name", &[("ZE_WORKER_REPLICATION", "relay")], &["ZE_WORKER_REPLICATION (environment): has no effect"]),
    ("the rest of replication without a name", &[("ZE_WORKER_READ_THROUGH", "true"), ("ZE_WORKER_REPAIR_INTERVAL_MS", "1000")], &["ZE_WORKER_READ_THROUGH (environment): has no effect", "ZE_WORKER_REPAIR_INTERVAL_MS (environment): has no effect"]),
    ("all of replication", &[REPLICA, ("ZE_WORKER_REPLICATION", "relay"), ("ZE_WORKER_READ_THROUGH", "false"), ("ZE_WORKER_REPAIR_INTERVAL_MS", "1000")], &[]),
    ("a URL twice", &[REPLICA, ("ZE_WORKER_REPLICAS_URLS", "http://a/x,http://b,http://A/x/")], &["ZE_WORKER_REPLICAS_URLS (environment): names http://a/x/ more than once"]),
    ("directory without embedded storage", &[("ZE_WORKER_DATA_DIR", "/x")], &["ZE_WORKER_STORAGE (default): is s3-redis, so nothing reads ZE_WORKER_DATA_DIR"]),
    ("back ends with embedded storage", &[("ZE_WORKER_STORAGE", "embedded")], &["ZE_WORKER_STORAGE (environment): is embedded, so nothing reads ZE_WORKER_S3_ENDPOINT, ZE_WORKER_S3_BUCKET,"]),
    ("gRPC", &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4317"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")], &["OTEL_EXPORTER_OTLP_PROTOCOL (environment): is ignored: only http/protobuf is spoken"]),
    ("gRPC for a signal that is off", &[("OTEL_LOGS_EXPORTER", "otlp"), ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc"), ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "http/protobuf")], &[]),
    ("batch over queue", &[("OTEL_BSP_MAX_QUEUE_SIZE", "10"), ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "11")], &["OTEL_BSP_MAX_EXPORT_BATCH_SIZE (environment): is more than OTEL_BSP_MAX_QUEUE_SIZE allows; 10 is used"]),
];

#[test]
fn what_is_odd_is_a_warning() {
    for (name, variables, expected) in ODDITIES {
        let warnings = Setup::s3_redis().with_all(variables).warnings();
        assert_lines(name, &warnings, expected);
    }
}

#[test]
fn replicas_may_be_listed_in_every_way() {
    let key = "ZE_WORKER_REPLICAS_URLS";
    let by_environment = |value: &str| {
        Setup::embedded()
            .with(REPLICA.0, REPLICA.1)
            .with(key, value)
    };
    let by_file =
        |json: &str| by_environment("http://x").with_file(&format!("{{\"{key}\": {json}}}"));
    for (name, setup) in [
        ("commas", by_environment(" http://a , http://b/x ,")),
        (
            "array in a string",
            by_environment(r#"["http://a", "http://b/x"]"#),
        ),
        (
            "array in the file",
            by_file(r#"["http://a", "http://b/x",]"#),
        ),
        ("string in the file", by_file(r#""http://a,http://b/x""#)),
        (
            "array in a string in the file",
            by_file(r#""[\"http://a\",\"http://b/x\"]""#),
        ),
    ] {
        let urls = setup.loaded().settings.replication.urls;
        let urls: Vec<_> = urls.iter().map(|url| url.url().as_str()).collect();
        assert_eq!(urls, ["http://a/", "http://b/x"], "case `{name}`");
    }
    for (name, setup) in [
        ("blank", by_environment("")),
        ("empty array", by_environment("[]")),
        ("array of a blank", by_environment(r#"[""]"#)),
        ("emptied by the file", by_file("[]")),
    ] {
        let urls = setup.loaded().settings.replication.urls;
        assert!(urls.is_empty(), "case `{name}`: {urls:?}");
    }
    let many: Vec<_> = (0..65).map(|n| format!("http://r{n}")).collect();
    assert_lines(
        "many",
        &by_environment(&many.join(",")).problems(),
        &["ZE_WORKER_REPLICAS_URLS (environment): names more than 64"],
    );
}
