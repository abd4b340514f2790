//! The file, the environment, the defaults, and which of them wins.

use std::{ffi::OsString, os::unix::ffi::OsStringExt as _};

use favonius_config::{Environment, Settings, Storage};

use crate::{EMBEDDED, JWT_SECRET, Setup};

const NOT_SET: &str = "the environment does not set it, and ZE_WORKER_CONFIG_JSON names no file";

#[test]
fn defaults_alone_lack_what_is_required() {
    let problems = Setup::new(&[]).problems();
    let expected = [
        (
            "ZE_WORKER_JWT_SECRET",
            "the output of `openssl rand -base64 48`",
        ),
        (
            "ZE_WORKER_S3_ENDPOINT",
            "https://s3.eu-central-1.amazonaws.com",
        ),
        ("ZE_WORKER_S3_BUCKET", "favonius-assets"),
        (
            "ZE_WORKER_S3_ACCESS_KEY_ID",
            "the id your S3 service made with the secret key",
        ),
        (
            "ZE_WORKER_S3_SECRET_ACCESS_KEY",
            "the secret your S3 service showed with the key id",
        ),
        ("ZE_WORKER_REDIS_HOST", "redis.example.com"),
    ]
    .map(|(key, example)| {
        format!("{key} (not set): is required, but {NOT_SET}; example: {example}")
    });
    assert_eq!(problems, expected);
}

#[test]
fn embedded_storage_requires_the_jwt_secret_only() {
    assert!(matches!(
        Setup::embedded().loaded().settings.storage,
        Storage::Embedded { .. }
    ));
    let problems = Setup::embedded().without("ZE_WORKER_JWT_SECRET").problems();
    assert_eq!(problems.len(), 1, "{problems:?}");
}

#[test]
fn the_file_wins_over_the_environment_key_by_key() {
    let setup = Setup::embedded()
        .with("ZE_WORKER_PORT", "1111")
        .with("ZE_WORKER_LOG_LEVEL", "debug")
        .with_file("{\n  \"ZE_WORKER_PORT\": 2222, // the file's\n}");
    let server = setup.loaded().settings.server;
    assert_eq!((server.port, server.log_level.as_str()), (2222, "debug"));
    for (key, expected) in [
        ("ZE_WORKER_CONFIG_JSON", "$FILE (environment)"),
        ("ZE_WORKER_PORT", "2222 (file $FILE line 2)"),
        ("ZE_WORKER_LOG_LEVEL", "debug (environment)"),
        ("ZE_WORKER_DELIMITER", "- (default)"),
        ("ZE_WORKER_TLS_CERT_FILE", "(unset) (default)"),
        ("ZE_WORKER_JWT_SECRET", "*** (environment)"),
    ] {
        assert_eq!(setup.effective(key).as_deref(), Some(expected), "{key}");
    }
}

#[test]
fn a_file_alone_is_enough() {
    let setup = Setup::new(&[]).with_file(&format!(
        r#"{{"ZE_WORKER_JWT_SECRET": "{JWT_SECRET}", "ZE_WORKER_STORAGE": "embedded"}}"#
    ));
    assert_eq!(setup.loaded().settings.jwt.secret.expose(), JWT_SECRET);
}

#[test]
fn blank_values_set_nothing() {
    let setup = Setup::embedded()
        .with("ZE_WORKER_PORT", "1111")
        .with("ZE_WORKER_LOG_LEVEL", "")
        .with("ZE_WORKER_REPLICA_NAME", "  ")
        .with_file(r#"{"ZE_WORKER_PORT": "", "ZE_WORKER_DELIMITER": " "}"#);
    let settings = setup.loaded().settings;
    assert_eq!(
        settings.server.port, 1111,
        "the environment shows through a blank in the file"
    );
    assert_eq!(settings.server.log_level.as_str(), "info");
    assert_eq!(settings.server.delimiter.as_char(), '-');
    assert_eq!(settings.replication.name, None);
    let blank_file = Setup::embedded().with("ZE_WORKER_CONFIG_JSON", "");
    assert!(blank_file.load().is_ok());
    let secret = Setup::embedded()
        .with("ZE_WORKER_JWT_SECRET", " ")
        .problems();
    assert!(secret[0].contains("is required"), "{secret:?}");
}

#[test]
fn space_around_values_does_not_count_but_in_secrets() {
    let setup = Setup::embedded()
        .with("ZE_WORKER_PORT", " 1111\n")
        .with("ZE_WORKER_JWT_SECRET", &format!("{JWT_SECRET}\n"));
    let settings = setup.loaded().settings;
    assert_eq!(settings.server.port, 1111);
    assert_eq!(settings.jwt.secret.expose(), format!("{JWT_SECRET}\n"));
    let warning = "ZE_WORKER_JWT_SECRET (environment): begins or ends with white space, which counts \
                   as part of it";
    assert_eq!(setup.warnings(), [warning]);
}

#[test]
fn a_broken_file_is_one_problem_and_hides_no_other() {
    let setup = Setup::new(&[("ZE_WORKER_PORT", "http")])
        .with_file("{\n  \"ZE_WORKER_JWT_SECRET\": \"x\"\n  \"ZE_WORKER_REDIS_HOST\": \"y\"\n}");
    let expected = [
        "ZE_WORKER_CONFIG_JSON (environment): \"$FILE\" is not valid JSON: line 2 column 30: expected \
         comma; example: /etc/favonius/config.json",
        "ZE_WORKER_PORT (environment): \"http\" is not a port number from 0 to 65535; example: 8080",
    ];
    assert_eq!(
        setup.problems(),
        expected,
        "what the file may set is not missing"
    );
}

#[test]
fn what_is_no_path_of_a_file_is_a_problem() {
    for (name, value, expected) in [
        (
            "missing",
            "$DIR/none",
            "\"$DIR/none\" cannot be read: No such file or directory (os error 2)",
        ),
        ("a directory", "$DIR", "\"$DIR\" is not a regular file"),
        (
            "a PEM file",
            "$DIR/ca.pem",
            "\"$DIR/ca.pem\" is not valid JSON: line 1 column 2: expected digit following negative sign",
        ),
        (
            "JSON itself",
            "{\"ZE_WORKER_PORT\": 1}",
            "holds JSON; put that into a file and its path here",
        ),
        (
            "JSON after blanks",
            "\n {}",
            "holds JSON; put that into a file and its path here",
        ),
    ] {
        let problems = Setup::embedded()
            .with("ZE_WORKER_CONFIG_JSON", value)
            .problems();
        let expected = format!(
            "ZE_WORKER_CONFIG_JSON (environment): {expected}; example: /etc/favonius/config.json"
        );
        assert_eq!(problems, [expected], "case `{name}`");
    }
}

#[test]
fn five_mistakes_are_five_lines() {
    let setup = Setup::s3_redis()
        .with("ZE_WORKER_PORT", "80800")
        .with("ZE_WORKER_S3_ENDPOINT", "minio:9000")
        .without("ZE_WORKER_REDIS_HOST")
        .with_file("{\n\"ZE_WORKER_LOG_LEVEL\": \"loud\",\n\"ZE_WORKER_S3_MAX_SOCKETS\": 0,\n}");
    let expected = [
        "ZE_WORKER_PORT (environment): \"80800\" is not a port number from 0 to 65535; example: 8080",
        "ZE_WORKER_LOG_LEVEL (file $FILE line 2): \"loud\" is none of: trace debug info warn error \
         fatal; example: info",
        "ZE_WORKER_S3_ENDPOINT (environment): \"minio:9000\" is not a URL that starts with http:// or \
         https://; example: https://s3.eu-central-1.amazonaws.com",
        "ZE_WORKER_S3_MAX_SOCKETS (file $FILE line 3): \"0\" is not a whole number from 1 to 65535; \
         example: 200",
        "ZE_WORKER_REDIS_HOST (not set): is required, but neither file $FILE nor the environment sets \
         it; example: redis.example.com",
    ];
    assert_eq!(setup.problems(), expected);
}

#[test]
fn an_unknown_name_is_a_warning_with_the_nearest_known_one() {
    let setup = Setup::embedded().with("ZE_WORKER_PROT", "1").with("OTEL_UNKNOWN", "1").with_file(
        "{\n\"ZE_WORKER_LOGLEVEL\": \"warn\",\n\"redis_password\": \"x\",\n\"comment\": \"y\",\n\
         \"ze_worker_port\": 1,\n\"NODE_ENV\": \"test\",\n\"OTEL_OTHER\": 1,\n\
         \"ZE_WORKER_CONFIG_JSON\": \"z\"}",
    );
    let expected = [
        "ZE_WORKER_CONFIG_JSON (file $FILE line 8): has no effect in the file: the environment names \
         the file",
        "ZE_WORKER_LOGLEVEL (file $FILE line 2): is not a setting and is ignored; the nearest is \
         ZE_WORKER_LOG_LEVEL",
        "comment (file $FILE line 4): is not a setting and is ignored",
        "redis_password (file $FILE line 3): is not a setting and is ignored",
        "ze_worker_port (file $FILE line 5): is not a setting and is ignored; the nearest is \
         ZE_WORKER_PORT",
        "ZE_WORKER_PROT (environment): is not a setting and is ignored; the nearest is \
         ZE_WORKER_PORT",
    ];
    assert_eq!(setup.warnings(), expected);
}

#[test]
fn a_misspelt_name_explains_a_missing_key() {
    let setup = Setup::embedded()
        .without("ZE_WORKER_JWT_SECRET")
        .with("ZE_WORKER_JWT_SECERT", "x");
    let problems = setup.load().unwrap_err();
    let line = problems.to_string();
    assert!(line.contains("is required"), "{line}");
    assert!(line.contains("is ZE_WORKER_JWT_SECERT misspelt?"), "{line}");
    assert_eq!(problems.warnings().len(), 1);
}

#[test]
fn a_key_that_stands_in_the_file_twice_is_a_problem() {
    let setup = Setup::embedded()
        .with_file("{\n\"ZE_WORKER_PORT\": 1,\n\"X\\n\": 1,\n\"ZE_WORKER_PORT\": 1, \"X\\n\": 1}");
    let expected = [
        "X\\n (file $FILE line 3): stands in the file again, on line 4; remove one of the two",
        "ZE_WORKER_PORT (file $FILE line 2): stands in the file again, on line 4; remove one of the two",
    ];
    assert_eq!(setup.problems(), expected);
}

#[test]
fn a_variable_that_is_not_unicode_is_a_problem_only_when_it_counts() {
    let bytes = || OsString::from_vec(b"80\xff".to_vec());
    let variables = |key: &'static str| -> Environment {
        let fixed = EMBEDDED.map(|(key, value)| (key, OsString::from(value)));
        fixed.into_iter().chain([(key, bytes())]).collect()
    };
    let problems = Settings::load(&variables("ZE_WORKER_PORT"))
        .unwrap_err()
        .to_string();
    assert_eq!(
        problems,
        "ZE_WORKER_PORT (environment): is not valid UTF-8; example: 8080"
    );
    let problems = Settings::load(&variables("ZE_WORKER_CONFIG_JSON"))
        .unwrap_err()
        .to_string();
    assert!(problems.contains("is not valid UTF-8"), "{problems}");
    assert!(Settings::load(&variables("ZE_WORKER_UNKNOWN")).is_ok());
}

#[test]
fn telemetry_keys_come_from_both_sources() {
    let setup = Setup::embedded()
        .with("OTEL_SERVICE_NAME", "from-environment")
        .with("OTEL_PROPAGATORS", "tracecontext")
        .with_file(
            "{\"OTEL_SERVICE_NAME\": \"from-file\",\n\"OTEL_BSP_OTHER\": 7, \"OTEL_X\": \"\"}",
        );
    let telemetry = setup.loaded().settings.telemetry;
    assert_eq!(telemetry.service_name, "from-file");
    let keys: Vec<_> = telemetry.keys.iter().collect();
    let expected = [
        ("OTEL_BSP_OTHER", "7"),
        ("OTEL_PROPAGATORS", "tracecontext"),
        ("OTEL_SERVICE_NAME", "from-file"),
    ];
    assert_eq!(keys, expected);
    assert_eq!(telemetry.keys.get("OTEL_BSP_OTHER"), Some("7"));
    assert_eq!(telemetry.keys.get("OTEL_X"), None);
    assert_eq!(
        setup.effective("OTEL_BSP_OTHER").as_deref(),
        Some("*** (file $FILE line 2)")
    );
    let setup = Setup::embedded().with_file(r#"{"OTEL_BSP_OTHER": [], "OTEL_X": null}"#);
    let expected = [
        "OTEL_BSP_OTHER (file $FILE line 1): is an array, which this key does not take",
        "OTEL_X (file $FILE line 1): is null; remove the key to leave it unset",
    ];
    assert_eq!(setup.problems(), expected);
}
