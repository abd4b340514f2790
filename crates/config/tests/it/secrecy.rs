//! Secrets show in no output, whether what surrounds them is right or wrong.

use favonius_config::{Environment, Settings, keys};
use proptest::prelude::*;

use crate::{JWT_SECRET, Setup};

/// In every secret below, and in nothing else.
const MARK: &str = "HUNTER2";

/// Sets every secret there is to something with the mark in it.
fn with_secrets(mut setup: Setup) -> Setup {
    for key in keys::all().filter(|key| key.secret) {
        let value = match key.name {
            name if name.ends_with("_HEADERS") => format!("authorization=Bearer%20{MARK}"),
            _ => format!("{MARK}-{JWT_SECRET}"),
        };
        setup = setup.with(key.name, &value);
    }
    setup
        .with("ZE_WORKER_REPLICA_NAME", "eu")
        .with("ZE_WORKER_REPLICAS_URLS", "https://a.example,https://b/")
        .with(
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            &format!("https://me:{MARK}@otel.example/"),
        )
        .with(
            "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
            &format!("https://logs.example/?key={MARK}"),
        )
        .with("OTEL_VENDOR_TOKEN", MARK)
        .with("ZE_WORKER_UNKNOWN_SECRET", MARK)
}

/// Everything that anyone could print of a load.
fn outputs(setup: &Setup) -> String {
    let environment = setup.environment();
    let result = Settings::load(&environment);
    let mut all = format!("{environment:?}\n{environment:#?}\n{result:?}\n{result:#?}\n");
    match result {
        Ok(loaded) => {
            all.push_str(&loaded.effective.to_string());
            all.extend(loaded.warnings.iter().map(|warning| format!("{warning}\n")));
        }
        Err(problems) => {
            all.push_str(&problems.to_string());
            all.extend(
                problems
                    .warnings()
                    .iter()
                    .map(|warning| format!("{warning}\n")),
            );
        }
    }
    all
}

#[track_caller]
fn assert_hidden(setup: &Setup) -> String {
    let outputs = outputs(setup);
    assert!(!outputs.contains(MARK), "{outputs}");
    outputs
}

#[test]
fn right_secrets_are_hidden() {
    let setup = with_secrets(Setup::s3_redis());
    let loaded = setup.loaded();
    assert!(
        loaded.settings.jwt.secret.expose().contains(MARK),
        "the test sets what it looks for"
    );
    let outputs = assert_hidden(&setup);
    for key in keys::all().filter(|key| key.secret) {
        assert!(
            outputs.contains(&format!("{} = *** (environment)", key.name)),
            "{}",
            key.name
        );
    }
    for line in [
        "ZE_WORKER_REPLICAS_URLS = [https://a.example, https://b/] (environment)",
        "OTEL_EXPORTER_OTLP_ENDPOINT = https://***@otel.example/ (environment)",
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT = https://logs.example/?*** (environment)",
        "OTEL_VENDOR_TOKEN = *** (environment)",
        "ZE_WORKER_UNKNOWN_SECRET (environment): is not a setting and is ignored",
    ] {
        assert!(outputs.contains(line), "{line}\nis not in\n{outputs}");
    }
}

#[test]
fn secrets_of_the_file_are_hidden() {
    let json: Vec<_> = keys::all()
        .filter(|key| key.secret && !key.name.ends_with("_HEADERS"))
        .map(|key| format!("\"{}\": \"{MARK}-{JWT_SECRET}\"", key.name))
        .collect();
    let setup = Setup::s3_redis().with_file(&format!("{{{}}}", json.join(",\n")));
    let outputs = assert_hidden(&setup);
    assert!(
        outputs.contains("ZE_WORKER_REDIS_PASSWORD = *** (file "),
        "{outputs}"
    );
}

#[test]
fn secrets_are_hidden_while_something_else_is_wrong() {
    let setup = with_secrets(Setup::s3_redis()).with("ZE_WORKER_PORT", "x");
    assert_eq!(setup.problems().len(), 1);
    assert_hidden(&setup);
}

#[test]
fn wrong_secrets_are_hidden() {
    let cases = [
        ("ZE_WORKER_METRICS_TOKEN", format!("{MARK} x")),
        ("ZE_WORKER_S3_ACCESS_KEY_ID", format!("{MARK}\n{MARK}")),
        ("ZE_WORKER_S3_SECRET_ACCESS_KEY", format!("{MARK}\u{e9}")),
        ("OTEL_EXPORTER_OTLP_HEADERS", MARK.to_owned()),
        ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", format!("a b={MARK}")),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", format!("{MARK}=%ff")),
        (
            "ZE_WORKER_REDIS_HOST",
            format!("redis://:{MARK}@redis:6379"),
        ),
        ("ZE_WORKER_REDIS_HOST", format!("{MARK}@redis")),
        (
            "ZE_WORKER_S3_ENDPOINT",
            format!("https://me:{MARK}@s3.example"),
        ),
        ("ZE_WORKER_S3_ENDPOINT", format!("me:{MARK}@s3.example")),
        (
            "ZE_WORKER_S3_ENDPOINT",
            format!("https://s3.example/?key={MARK}"),
        ),
        (
            "ZE_WORKER_PUBLIC_URL",
            format!("https://me:{MARK}@edge.example"),
        ),
        (
            "ZE_WORKER_REPLICAS_URLS",
            format!("ftp://me:{MARK}@a.example"),
        ),
        (
            "ZE_WORKER_REPLICAS_URLS",
            format!("https://me:{MARK}@a.example,https://b/"),
        ),
        (
            "ZE_WORKER_REPLICAS_URLS",
            format!("[\"https://me:{MARK}@a.example\""),
        ),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            format!("https://me:{MARK}@a b"),
        ),
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            format!("https://a/?key={MARK}"),
        ),
        (
            "ZE_WORKER_CONFIG_JSON",
            format!("{{\"ZE_WORKER_JWT_SECRET\": \"{MARK}\"}}"),
        ),
        (
            "ZE_WORKER_CONFIG_JSON",
            format!("// x\n{{\"ZE_WORKER_JWT_SECRET\": \"{MARK}\"}}"),
        ),
    ];
    for (key, value) in cases {
        let setup = Setup::s3_redis().with(key, &value);
        assert_eq!(setup.problems().len(), 1, "{key}");
        assert_hidden(&setup);
    }
}

#[test]
fn a_password_with_a_comma_is_not_taken_for_a_public_url() {
    let urls = format!("https://me:{MARK},{MARK}@a.example");
    let setup = Setup::embedded().with("ZE_WORKER_REPLICAS_URLS", &urls);
    let problems = setup.problems();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].contains("item 1 is not a URL"), "{problems:?}");
    assert_hidden(&setup);
}

#[test]
fn a_header_value_in_the_place_of_its_name_is_hidden() {
    let setup = Setup::embedded()
        .with("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector")
        .with("OTEL_EXPORTER_OTLP_HEADERS", &format!("{MARK}=="));
    assert!(setup.load().is_ok());
    let outputs = assert_hidden(&setup).to_lowercase();
    assert!(!outputs.contains(&MARK.to_lowercase()), "{outputs}");
}

#[test]
fn a_broken_file_is_not_quoted() {
    for json in [
        format!("{{\"ZE_WORKER_JWT_SECRET\": \"{MARK}"),
        format!("{{\"ZE_WORKER_JWT_SECRET\": {MARK}}}"),
        format!("{{\"ZE_WORKER_JWT_SECRET\": \"\\{MARK}\"}}"),
        format!("{{\"ZE_WORKER_JWT_SECRET\": \"x\" \"{MARK}\"}}"),
        format!("{{\"ZE_WORKER_JWT_SECRET\": [\"{MARK}\"]}}"),
        format!("{{\"ZE_WORKER_JWT_SECRET\": {{\"{MARK}\": \"{MARK}\"}}}}"),
        format!("{{\"ZE_WORKER_JWT_SECRET\": \"{MARK}\", \"ZE_WORKER_JWT_SECRET\": \"{MARK}\"}}"),
        format!("\"{MARK}\""),
        MARK.to_owned(),
    ] {
        let setup = Setup::s3_redis().with_file(&json);
        assert_eq!(setup.problems().len(), 1, "{json}");
        assert_hidden(&setup);
    }
}

proptest! {
    /// Whatever the values are: no panic, a line for each problem, and no secret in any of them.
    #[test]
    fn any_values_are_loaded_or_explained(
        values in proptest::collection::vec((0..keys::all().count(), ".{0,30}"), 0..8),
    ) {
        let known: Vec<_> = keys::all().collect();
        // The file is read for real, which other tests are about.
        let readable = |key: &&keys::Key| key.name != "ZE_WORKER_CONFIG_JSON";
        let chosen = values.iter().map(|(index, value)| (known[*index], value));
        let chosen: Vec<_> = chosen.filter(|(key, _)| readable(key)).collect();
        let environment: Environment = chosen
            .iter()
            .map(|(key, value)| {
                let mark = if key.secret { MARK } else { "" };
                (key.name, format!("{value}{mark}"))
            })
            .collect();
        let printed = match Settings::load(&environment) {
            Ok(loaded) => format!("{loaded:?}\n{}", loaded.effective),
            Err(problems) => {
                let lines = problems.to_string();
                prop_assert_eq!(lines.split('\n').count(), problems.problems().len(), "{}", lines);
                format!("{problems:?}\n{lines}")
            }
        };
        prop_assert!(!printed.contains(MARK), "{}", printed);
    }
}
