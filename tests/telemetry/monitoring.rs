//! The monitoring kit fits what a worker really exposes: the linters of Prometheus have no complaint, and every query of the rules
//! and of the dashboard asks for metrics that are there.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use favonius_testing::{PrometheusServer, WorkerBuilder, eventually, require_tool};
use serde_json::Value;

use crate::support::{APP, Region, Site, Worker, live_a_day, show};

/// What only some workers have: those whose control group is limited, and those that have reached another region.
const NOT_EVERYWHERE: [&str; 2] = [
    "favonius_memory_limit_bytes",
    "favonius_replication_last_success_seconds",
];
const TOKEN: &str = "token-for-metrics";

fn kit(file: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    root.join("deploy/monitoring").join(file)
}

/// Runs promtool; gives what it says.
fn promtool(arguments: &[&str], input: &[u8]) -> String {
    let mut child = Command::new(require_tool("promtool"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
    said
}

#[test]
#[cfg_attr(
    not(has_prometheus),
    ignore = "promtool is not installed: run scripts/setup-tests"
)]
fn rules_are_right_and_fire_when_they_should() {
    let rules = kit("rules.yaml");
    let said = promtool(&["check", "rules", &rules.display().to_string()], b"");
    assert!(said.contains("SUCCESS"), "{said}");
    // It has a case in which it fires, and one in which it does not, for each alert.
    let tests = kit("rules.test.yaml");
    let said = promtool(&["test", "rules", &tests.display().to_string()], b"");
    assert!(said.contains("SUCCESS"), "{said}");
    let tests = std::fs::read_to_string(tests).unwrap();
    let rules = std::fs::read_to_string(rules).unwrap();
    let alerts: BTreeSet<&str> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    assert!(alerts.len() > 15, "{alerts:?}");
    let guide = std::fs::read_to_string(kit("../../docs/operations/telemetry.md")).unwrap();
    for alert in alerts {
        let cases: Vec<&str> = tests
            .split(&format!("alertname: {alert}\n"))
            .skip(1)
            .collect();
        let expected = |case: &&&str| {
            let (_, next) = case.split_once("exp_alerts:").unwrap();
            !next.starts_with(" []")
        };
        assert!(
            cases.iter().any(|case| expected(&case)),
            "{alert} never fires"
        );
        assert!(
            cases.iter().any(|case| !expected(&case)),
            "{alert} is never silent"
        );
        assert!(
            guide.contains(&format!("\n### {alert}\n")),
            "the guide does not say what to do for {alert}"
        );
    }
}

/// Every query of the dashboard, with its variables replaced as Grafana does it.
fn dashboard() -> Vec<String> {
    fn collect(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    match member {
                        Value::String(text) if name == "expr" => found.push(text.clone()),
                        member => collect(member, found),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
            _ => {}
        }
    }
    let json = std::fs::read_to_string(kit("dashboard.json")).unwrap();
    let mut found = Vec::new();
    collect(&serde_json::from_str(&json).unwrap(), &mut found);
    let replaced = found.into_iter().map(|query| {
        query
            .replace("$__rate_interval", "1m")
            .replace("$job", ".*")
            .replace("$instance", ".*")
    });
    replaced.collect()
}

/// The metrics that a query asks for.
fn asked_for(query: &str) -> BTreeSet<&str> {
    // What stands in braces are labels.
    let outside = query
        .split('{')
        .enumerate()
        .map(|(index, part)| match part.split_once('}') {
            Some((_labels, after)) if index > 0 => after,
            _ => part,
        });
    let words = outside
        .flat_map(|part| part.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':'));
    let is_metric = |word: &&str| {
        let ours = ["favonius_", "http_server_", "process_"];
        *word == "up"
            || word.contains(":favonius_")
            || ours.iter().any(|begin| word.starts_with(begin))
    };
    words.filter(is_metric).collect()
}

/// The labels that a query asks our metrics for, each with its metric.
fn labels_asked_for(query: &str) -> BTreeSet<(&str, &str)> {
    let mut found = BTreeSet::new();
    let mut parts = query.split('{');
    let mut before = parts.next().unwrap_or_default();
    for part in parts {
        let (labels, after) = part.split_once('}').unwrap();
        let metric = before.rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
        let metric = metric.into_iter().next().unwrap_or_default();
        let names = labels
            .split(',')
            .filter_map(|label| label.split(['=', '!']).next());
        let names = names.map(str::trim).filter(|name| !name.is_empty());
        // Those of the target are Prometheus's own.
        let names = names.filter(|name| !["job", "instance", "namespace", "le"].contains(name));
        found.extend(names.map(|name| (metric, name)));
        before = after;
    }
    found
}

#[test]
fn labels_are_found_in_queries() {
    let query = r#"sum by (le) (rate(a_b{http_route="/*", job=~".*", c!~"x|y"}[5m])) / b{d=""}"#;
    let expected = [("a_b", "c"), ("a_b", "http_route"), ("b", "d")];
    assert_eq!(labels_asked_for(query), BTreeSet::from(expected));
}

#[test]
fn metrics_are_found_in_queries() {
    let cases: [(&str, &[&str]); 3] = [
        ("up == 0", &["up"]),
        (
            r#"sum by (le, http_route) (rate(http_server_x_bucket{http_route="/*", favonius_x="up"}[5m])) / favonius_y"#,
            &["favonius_y", "http_server_x_bucket"],
        ),
        (
            "job:favonius_x:rate5m > 14.4 * 0.001",
            &["job:favonius_x:rate5m"],
        ),
    ];
    for (query, expected) in cases {
        let found: Vec<_> = asked_for(query).into_iter().collect();
        assert_eq!(found, expected, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(all(has_redis, has_prometheus)),
    ignore = "redis-server or prometheus is not installed: run scripts/setup-tests"
)]
async fn every_query_asks_for_what_is_there() {
    let region = Region::start();
    // Only one that terminates TLS has a certificate to tell of.
    let with_tls = scraped(region.builder().tls()).await;
    // Nobody listens there, which is enough for everything to be counted.
    let sends = region
        .builder()
        .env("ZE_WORKER_REPLICA_NAME", "eu")
        .env("ZE_WORKER_REPLICAS_URLS", "http://127.0.0.1:9");
    let worker = scraped(sends).await;
    let mut targets = Vec::new();
    for worker in [&worker, &with_tls] {
        let line = worker
            .wait_for_log("Worker listening", Duration::from_secs(5))
            .await;
        targets.push(format!("'127.0.0.1:{}'", line["metrics.port"]));
    }
    let prometheus = PrometheusServer::start(&format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
         rule_files: [{}]\n\
         scrape_configs:\n\
         - job_name: favonius\n  \
           authorization: {{credentials: {TOKEN}}}\n  \
           static_configs: [{{targets: [{}]}}]\n",
        kit("rules.yaml").display(),
        targets.join(", ")
    ));
    use_it(&worker).await;

    let rules = evaluated_rules(&prometheus).await;
    let queries: Vec<String> = rules
        .iter()
        .map(|rule| rule["query"].as_str().unwrap().to_owned())
        .chain(dashboard())
        .collect();
    assert!(queries.len() > 80, "{}", queries.len());

    // A machine that is busy may miss a scrape, each of which has a second.
    eventually("both are scraped", Duration::from_secs(30), async || {
        let up = prometheus.query("up").await?;
        if [0, 1].iter().all(|index| up[*index]["value"][1] == "1") {
            Ok(())
        } else {
            Err(up.to_string())
        }
    })
    .await;
    let mut known: BTreeSet<String> = names(&prometheus).await;
    // What rules record is there when something was recorded, which may need more than this test's time.
    let recorded = rules.iter().filter(|rule| rule["type"] == "recording");
    known.extend(recorded.map(|rule| rule["name"].as_str().unwrap().to_owned()));
    known.extend(NOT_EVERYWHERE.map(String::from));
    assert_documented(&known);
    let mut with_data = 0;
    for query in &queries {
        let result = prometheus.query(query).await;
        let result = result.unwrap_or_else(|error| panic!("{query}: {error}"));
        with_data += usize::from(is_data(&result));
        assert_asks_for_what_is_there(&prometheus, &known, query).await;
    }
    // What is a rate needs two scrapes, which take their time on a busy machine.
    eventually("most have data", Duration::from_mins(1), async || {
        let mut with = 0;
        for query in &queries {
            with += usize::from(is_data(&prometheus.query(query).await?));
        }
        with_data = with_data.max(with);
        if with_data > 40 {
            Ok(())
        } else {
            Err(format!("{with_data} have"))
        }
    })
    .await;
    show(
        "monitoring",
        format!(
            "{} queries, {with_data} with data, the others without an error",
            queries.len()
        ),
    );
}

/// All rules, when every one has been evaluated and none failed.
async fn evaluated_rules(prometheus: &PrometheusServer) -> Vec<Value> {
    let ask = async || {
        let groups = prometheus.ask("rules", &[]).await?;
        let groups = groups["groups"].as_array().unwrap();
        let rules = groups
            .iter()
            .flat_map(|group| group["rules"].as_array().unwrap());
        let rules: Vec<Value> = rules.cloned().collect();
        match rules.iter().find(|rule| rule["health"] != "ok") {
            Some(rule) => Err(format!("{}: {}", rule["name"], rule["lastError"])),
            None => Ok(rules),
        }
    };
    eventually("all rules are evaluated", Duration::from_secs(90), ask).await
}

fn is_data(result: &Value) -> bool {
    result.as_array().is_some_and(|values| !values.is_empty())
}

/// A worker that shows its metrics to who knows the token.
async fn scraped(builder: WorkerBuilder) -> Worker {
    Worker::start(
        builder
            .env("ZE_WORKER_METRICS_PORT", 0)
            .env("ZE_WORKER_METRICS_TOKEN", TOKEN),
    )
    .await
}

/// The guide names every metric, and none that is not there.
fn assert_documented(known: &BTreeSet<String>) {
    let guide = std::fs::read_to_string(kit("../../docs/operations/telemetry.md")).unwrap();
    let (_, guide) = guide.split_once("## What each metric means").unwrap();
    let (table, _) = guide.split_once("\n## ").unwrap();
    let mut documented = BTreeSet::new();
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let first = row.split('|').nth(1).unwrap();
        let mut stem = "";
        for name in first.split('`').skip(1).step_by(2) {
            if name.starts_with('_') {
                let (begin, _) = stem.rsplit_once('_').unwrap();
                documented.insert(format!("{begin}{name}"));
            } else {
                stem = name;
                documented.insert(name.to_owned());
            }
        }
    }
    let of_worker = known.iter().filter(|name| {
        let of_prometheus = ["scrape_", "up", "ALERTS"];
        !name.contains(':') && !of_prometheus.iter().any(|begin| name.starts_with(begin))
    });
    let of_worker: BTreeSet<String> = of_worker
        .map(|name| {
            // A histogram is one metric.
            let parts = ["_bucket", "_sum", "_count"];
            let stem = parts.iter().find_map(|part| name.strip_suffix(part));
            stem.unwrap_or(name).to_owned()
        })
        .collect();
    assert_eq!(documented, of_worker);
}

async fn names(prometheus: &PrometheusServer) -> BTreeSet<String> {
    let names = prometheus.ask("label/__name__/values", &[]).await.unwrap();
    let names = names.as_array().unwrap().iter();
    names
        .map(|name| name.as_str().unwrap().to_owned())
        .collect()
}

/// Whether a query asks for metrics that are known, by labels that they have.
async fn assert_asks_for_what_is_there(
    prometheus: &PrometheusServer,
    known: &BTreeSet<String>,
    query: &str,
) {
    let asked_for = asked_for(query);
    assert!(!asked_for.is_empty(), "{query} asks for nothing");
    for name in asked_for {
        assert!(known.contains(name), "{name} is not exposed: {query}");
    }
    for (metric, label) in labels_asked_for(query) {
        let is_ours = metric.starts_with("favonius_") || metric.starts_with("http_server_");
        if is_ours && !NOT_EVERYWHERE.contains(&metric) {
            let has = format!("count({metric}{{{label}!=\"\"}})");
            let has = prometheus.query(&has).await.unwrap();
            assert_ne!(
                has,
                Value::Array(Vec::new()),
                "no {metric} has {label}: {query}"
            );
        }
    }
}

/// Makes everything happen that is counted, for long enough that Prometheus sees it.
async fn use_it(worker: &Worker) {
    live_a_day(worker).await;
    let site = Site::new(worker, APP);
    for _ in 0..30 {
        let _page = site.get("www.test", "/").await.expect_status(200);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
#[cfg_attr(
    not(all(has_redis, has_prometheus)),
    ignore = "redis-server or promtool is not installed: run scripts/setup-tests"
)]
async fn the_page_of_a_worker_that_did_everything_passes_the_linter() {
    let region = Region::start();
    let worker = region.worker().await;
    live_a_day(&worker).await;
    let page = worker
        .client()
        .get("/metrics")
        .send()
        .await
        .expect_status(200);
    let said = promtool(&["check", "metrics"], page.text().as_bytes());
    assert_eq!(said, "");
}
