//! `docs/configuration.md` says what the table of keys says.

use std::fs;

use favonius_config::keys::{self, Fallback, Key};

use crate::Setup;

fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    fs::read_to_string(path).unwrap()
}

/// The row of a key in the tables of the page.
fn row(key: &Key) -> String {
    let default = match key.default {
        Fallback::Value(value) => format!("`{value}`"),
        Fallback::Derived(words) => words.to_owned(),
        Fallback::Unset => "unset".to_owned(),
        Fallback::Required => "**required**".to_owned(),
    };
    format!("| `{}` | {default} | {} |", key.name, key.about)
}

#[test]
fn the_page_has_every_key_under_its_heading_and_nothing_else() {
    let mut expected = Vec::new();
    let mut section = None;
    for key in keys::all() {
        if section != Some(key.section) {
            section = Some(key.section);
            expected.push(format!("### {}", key.section.title()));
        }
        expected.push(row(key));
    }
    let page = page();
    let actual: Vec<_> = page
        .lines()
        .skip_while(|line| *line != "## Keys")
        .filter(|line| line.starts_with("### ") || line.starts_with("| `"))
        .collect();
    let should = expected.join("\n");
    assert_eq!(
        actual, expected,
        "docs/configuration.md should say\n{should}"
    );
}

#[test]
fn every_name_on_the_page_is_a_key() {
    let page = page();
    let names = page
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| {
            (word.starts_with("ZE_WORKER_") || word.starts_with("OTEL_")) && !word.ends_with('_')
        });
    let unknown: Vec<_> = names.filter(|name| keys::find(name).is_none()).collect();
    // Names that the page brings up because they are no keys.
    let expected = ["OTEL_EXPORTER_OTLP_PROTOCOL", "ZE_WORKER_JWT_SECERT"];
    let unknown: std::collections::BTreeSet<_> = unknown.into_iter().collect();
    assert_eq!(unknown.into_iter().collect::<Vec<_>>(), expected);
}

/// The fenced block of that kind after `heading`.
fn block(heading: &str, kind: &str) -> String {
    let page = page();
    let (_, rest) = page.split_once(&format!("\n{heading}\n")).expect(heading);
    let (_, rest) = rest.split_once(&format!("```{kind}\n")).expect(kind);
    rest.split_once("```")
        .expect("the end of the block")
        .0
        .to_owned()
}

#[test]
fn the_example_file_is_taken_without_a_warning() {
    let setup = Setup::new(&[]).with_file(&block("## The file", "jsonc"));
    assert_eq!(setup.warnings(), [""; 0]);
}

#[test]
fn the_example_of_errors_is_what_is_printed() {
    let setup = Setup::s3_redis()
        .with("ZE_WORKER_PORT", "80800")
        .without("ZE_WORKER_JWT_SECRET")
        .with("ZE_WORKER_JWT_SECERT", "x")
        .with_file("{\n\"ZE_WORKER_LOG_LEVEL\": \"loud\",\n\"ZE_WORKER_METRICS_TOKEN\": \"a b\"}");
    let printed = setup
        .problems()
        .join("\n")
        .replace("$FILE", "/etc/favonius/config.json");
    assert_eq!(
        block("## When something is wrong", "text").trim_end(),
        printed
    );
}
