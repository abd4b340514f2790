//! Values that follow from other keys or from the surroundings, and the listing of what is in effect.

use favonius_config::{Sampler, Settings, keys};

use crate::Setup;

#[test]
fn the_cache_takes_a_quarter_of_the_memory_limit() {
    const MIB: u64 = 1 << 20;
    let setup = Setup::embedded();
    for (limit, expected) in [
        (512 * MIB, 128 * MIB),
        (4096 * MIB, 1024 * MIB),
        (65_536 * MIB, 1024 * MIB),
        (3, 0),
    ] {
        let loaded = Settings::load(&setup.environment().with_memory_limit(limit)).unwrap();
        assert_eq!(loaded.settings.server.cache_bytes, expected, "{limit}");
        assert!(loaded.warnings.is_empty(), "{limit}");
    }
    let shown = setup.effective("ZE_WORKER_CACHE_BYTES");
    assert_eq!(shown.as_deref(), Some("268435456 (default)"));
    let setup = setup.with("ZE_WORKER_CACHE_BYTES", "1000");
    let loaded = Settings::load(&setup.environment().with_memory_limit(1000)).unwrap();
    let warning = loaded.warnings[0].to_string();
    assert!(warning.contains("memory limit of 1000 bytes"), "{warning}");
}

#[test]
fn the_service_name_may_stand_among_the_attributes() {
    let setup = Setup::embedded().with("OTEL_RESOURCE_ATTRIBUTES", "team=web,service.name=among");
    let telemetry = setup.loaded().settings.telemetry;
    assert_eq!(telemetry.service_name, "among");
    let pairs = telemetry.resource_attributes.iter();
    let pairs: Vec<_> = pairs.map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(
        pairs,
        ["team=web", "deployment.environment.name=production"]
    );
    let shown = setup.effective("OTEL_SERVICE_NAME");
    assert_eq!(shown.as_deref(), Some("among (environment)"));
    let setup = setup.with("OTEL_SERVICE_NAME", "own");
    assert_eq!(setup.loaded().settings.telemetry.service_name, "own");
}

#[test]
fn the_environment_name_comes_from_node_env() {
    let setup = Setup::embedded().with_file(r#"{"NODE_ENV": "staging"}"#);
    let shown = setup.effective("OTEL_RESOURCE_ATTRIBUTES");
    assert_eq!(
        shown.as_deref(),
        Some("deployment.environment.name=staging (default)")
    );
}

#[test]
fn samplers_and_their_argument() {
    let setup = |sampler: &str, argument: &str| {
        Setup::embedded()
            .with("OTEL_TRACES_SAMPLER", sampler)
            .with("OTEL_TRACES_SAMPLER_ARG", argument)
    };
    for (sampler, argument, expected) in [
        ("always_on", "", Sampler::AlwaysOn),
        ("always_off", "", Sampler::AlwaysOff),
        ("traceidratio", "", Sampler::Ratio(1.0)),
        ("traceidratio", "0.5", Sampler::Ratio(0.5)),
        (
            "parentbased_always_on",
            "ignored",
            Sampler::ParentOrAlwaysOn,
        ),
        ("parentbased_always_off", "", Sampler::ParentOrAlwaysOff),
        (
            "parentbased_traceidratio",
            "0.1",
            Sampler::ParentOrRatio(0.1),
        ),
    ] {
        let telemetry = setup(sampler, argument).loaded().settings.telemetry;
        assert_eq!(telemetry.sampler, expected, "{sampler} {argument}");
    }
    for bad in ["-0.1", "NaN", "inf", "half"] {
        let problems = setup("traceidratio", bad).problems();
        let start = "OTEL_TRACES_SAMPLER_ARG (environment)";
        assert!(
            problems.len() == 1 && problems[0].starts_with(start),
            "{problems:?}"
        );
    }
}

#[test]
fn a_batch_is_never_larger_than_its_queue() {
    let setup = Setup::embedded().with("OTEL_BLRP_MAX_QUEUE_SIZE", "100");
    let batch = setup.loaded().settings.telemetry.log_batch;
    assert_eq!(
        (batch.max_queue_size, batch.max_export_batch_size),
        (100, 100)
    );
    let shown = setup.effective("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE");
    assert_eq!(shown.as_deref(), Some("100 (default)"));
    assert!(setup.warnings().is_empty(), "nobody asked for the default");
}

fn listed(setup: &Setup) -> Vec<String> {
    let effective = setup.loaded().effective;
    let entries = effective.entries().iter();
    entries.map(|entry| entry.key().to_owned()).collect()
}

#[test]
fn the_listing_leaves_out_what_embedded_storage_does_not_read() {
    let listed = listed(&Setup::embedded().with("OTEL_ANYTHING", "x"));
    let is_back_end = |key: &String| key.contains("_S3_") || key.contains("_REDIS_");
    assert!(!listed.iter().any(is_back_end), "{listed:?}");
    assert_eq!(listed.last().map(String::as_str), Some("OTEL_ANYTHING"));
}

#[test]
fn the_listing_has_everything_else_in_the_order_of_the_table() {
    let setup = Setup::s3_redis()
        .with("ZE_WORKER_REDIS_MODE", "sentinel")
        .with("ZE_WORKER_REDIS_SENTINEL_MASTER", "m")
        .with("OTEL_TRACES_SAMPLER", "traceidratio");
    let expected = keys::all().map(|key| key.name);
    let expected: Vec<_> = expected
        .filter(|name| *name != "ZE_WORKER_DATA_DIR")
        .collect();
    assert_eq!(listed(&setup), expected);
    let printed = setup.loaded().effective.to_string();
    assert_eq!(printed.lines().count(), expected.len());
    assert!(
        printed.contains("\nZE_WORKER_PORT = 8080 (default)\n"),
        "{printed}"
    );
}
