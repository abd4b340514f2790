//! `favonius config check`

use std::fs;

use crate::support::{program, run};

const SECRET: &str = "a secret for tests that is long enough for HS256";

#[tokio::test]
async fn five_mistakes_are_five_lines() {
    let mut command = program(["config", "check"]);
    command
        .env("ZE_WORKER_STORAGE", "embedded")
        .env("ZE_WORKER_PORT", "80a")
        .env("ZE_WORKER_LOG_LEVEL", "loud")
        .env("ZE_WORKER_DELIMITER", "+")
        .env("ZE_WORKER_PUBLIC_URL", "edge");
    let finished = run(&mut command).await.expect(2);
    assert_eq!(finished.stdout, "");
    let lines: Vec<_> = finished.stderr.lines().collect();
    assert_eq!(lines.len(), 5, "{finished:#?}");
    for key in ["JWT_SECRET", "PORT", "LOG_LEVEL", "DELIMITER", "PUBLIC_URL"] {
        let begin = format!("ZE_WORKER_{key} (");
        assert!(
            lines.iter().any(|line| line.starts_with(&begin)),
            "{key}: {lines:#?}"
        );
    }

    let json = run(command.arg("--json")).await.expect(2);
    assert_eq!(json.stderr, "");
    let json = json.json();
    assert_eq!(json["valid"], false);
    assert_eq!(json["problems"].as_array().unwrap().len(), 5);
    assert_eq!(json["problems"][0]["key"], "ZE_WORKER_JWT_SECRET");
}

#[tokio::test]
async fn what_is_in_effect_is_shown_without_secrets() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.json");
    let text = format!("{{\n\"ZE_WORKER_JWT_SECRET\": \"{SECRET}\",\n\"ZE_WORKER_PROT\": 1\n}}");
    fs::write(&file, text).unwrap();
    let mut command = program(["config", "check", "--file"]);
    command
        .arg(&file)
        .env("ZE_WORKER_STORAGE", "embedded")
        .env("ZE_WORKER_CONFIG_JSON", "/none");
    let finished = run(&mut command).await.expect(0);
    let row = |key: &str| {
        let line = finished
            .stdout
            .lines()
            .find(|line| line.split_whitespace().next() == Some(key));
        line.unwrap_or_else(|| panic!("no {key} in {finished:#?}"))
            .split_whitespace()
            .skip(1)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let place = format!("file {} line 2", file.display());
    assert_eq!(row("ZE_WORKER_JWT_SECRET"), format!("*** {place}"));
    assert_eq!(row("ZE_WORKER_STORAGE"), "embedded environment");
    assert_eq!(row("ZE_WORKER_PORT"), "8080 default");
    assert!(
        finished.stderr.contains("warning: ZE_WORKER_PROT"),
        "{finished:#?}"
    );
    assert!(!finished.stdout.contains(SECRET) && !finished.stderr.contains(SECRET));

    let json = run(command.arg("--json")).await.expect(0).json();
    assert_eq!(json["valid"], true);
    assert_eq!(json["warnings"][0]["key"], "ZE_WORKER_PROT");
    let settings = json["settings"].as_array().unwrap();
    let port = settings
        .iter()
        .find(|setting| setting["key"] == "ZE_WORKER_PORT")
        .unwrap();
    assert_eq!(
        (&port["value"], &port["source"]),
        (&"8080".into(), &"default".into())
    );
}

#[tokio::test]
async fn a_key_that_a_worker_could_not_use_is_found() {
    let mut command = program(["config", "check"]);
    command.env("ZE_WORKER_STORAGE", "embedded").env(
        "ZE_WORKER_JWT_SECRET",
        "-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----",
    );
    let finished = run(&mut command).await.expect(2);
    assert_eq!(finished.stderr.lines().count(), 1, "{finished:#?}");
    assert!(
        finished
            .stderr
            .starts_with("ZE_WORKER_JWT_SECRET (environment): "),
        "{finished:#?}"
    );
}
