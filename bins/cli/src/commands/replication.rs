//! `favonius replication`

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use favonius_contract::{
    DeploymentName, Invalid, SnapshotId,
    replication::{RegionEvent, TargetRegion},
};
use favonius_storage::{Clock, EventId};
use indicatif::HumanBytes;
use serde_json::{Value, json};

use crate::{
    deploy::Progress,
    edge::{EdgeArgs, Letter, ReceivedState, TargetState},
    output::{Output, table},
};

/// How many names of a dead letter are shown.
const SHOWN_NAMES: usize = 3;

/// Look at the replication of a region, and get it going again
///
/// Ask any worker or relay of the region that sends. This takes an operator's token (`favonius token --operator`).
#[derive(Args)]
pub(crate) struct Replication {
    #[command(subcommand)]
    command: ReplicationCommand,
}

#[derive(Subcommand)]
enum ReplicationCommand {
    Status(Status),
    DeadLetters(DeadLetters),
    Retry(Retry),
    Repair(Repair),
}

/// Show how each region that is sent to stands, and what came from others
#[derive(Args)]
#[command(after_help = "Example:\n  favonius replication status --url http://localhost:8080")]
struct Status {
    #[command(flatten)]
    edge: EdgeArgs,
}

/// List what a region refused for good, oldest first
#[derive(Args)]
#[command(after_help = "Example:\n  favonius replication dead-letters https://edge.us.example.com")]
struct DeadLetters {
    /// URL of the region, as `favonius replication status` shows it
    #[arg(value_name = "TARGET", value_parser = parse_target)]
    target: TargetRegion,

    /// How many to show at most
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,

    #[command(flatten)]
    edge: EdgeArgs,
}

/// Send what a region refused for good again
#[derive(Args)]
#[command(after_help = "Example:\n  favonius replication retry https://edge.us.example.com")]
struct Retry {
    /// URL of the region, as `favonius replication status` shows it
    #[arg(value_name = "TARGET", value_parser = parse_target)]
    target: TargetRegion,

    /// Dead letters to send, as `favonius replication dead-letters` shows them; without any, all of them
    #[arg(value_name = "ID")]
    ids: Vec<String>,

    #[command(flatten)]
    edge: EdgeArgs,
}

/// Compare this region with the others now, and send what differs
///
/// Regions are compared by themselves as well (`ZE_WORKER_REPAIR_INTERVAL_MS`). The command does not wait for the end of it.
#[derive(Args)]
#[command(after_help = "Example:\n  favonius replication repair")]
struct Repair {
    /// URL of the region to compare with, as `favonius replication status` shows it; without it, all of them
    #[arg(value_name = "TARGET", value_parser = parse_target)]
    target: Option<TargetRegion>,

    #[command(flatten)]
    edge: EdgeArgs,
}

impl Replication {
    pub(crate) async fn run(&self, output: Output) -> anyhow::Result<()> {
        match &self.command {
            ReplicationCommand::Status(status) => status.run(output).await,
            ReplicationCommand::DeadLetters(letters) => letters.run(output).await,
            ReplicationCommand::Retry(retry) => retry.run(output).await,
            ReplicationCommand::Repair(repair) => repair.run(output).await,
        }
    }
}

impl Status {
    async fn run(&self, output: Output) -> anyhow::Result<()> {
        let edge = self.edge.connect(Progress::new(output))?;
        let state = edge.replication_status().await?;
        let mut text = status_table(&state.targets, Clock::system().now_ms());
        text.push_str(&received_lines(&state.received));
        output.result(&text, &json!(state))?;
        Ok(())
    }
}

impl DeadLetters {
    async fn run(&self, output: Output) -> anyhow::Result<()> {
        let edge = self.edge.connect(Progress::new(output))?;
        let letters = edge.dead_letters(&self.target, self.limit).await?;
        let text = letters_table(&letters, Clock::system().now_ms());
        output.result(&text, &json!({"target": self.target, "letters": letters}))?;
        Ok(())
    }
}

impl Retry {
    async fn run(&self, output: Output) -> anyhow::Result<()> {
        let edge = self.edge.connect(Progress::new(output))?;
        let ids: Vec<_> = self.ids.iter().map(EventId::new).collect();
        let retried = edge.retry_letters(&self.target, &ids).await?;
        let text = format!(
            "{retried} dead letters of {} are queued again\n",
            self.target
        );
        let json = json!({"target": self.target, "retried": retried});
        output.result(&text, &json)?;
        Ok(())
    }
}

impl Repair {
    async fn run(&self, output: Output) -> anyhow::Result<()> {
        let edge = self.edge.connect(Progress::new(output))?;
        let message = edge.request_repair(self.target.as_ref()).await?;
        let json = json!({"target": self.target, "message": message});
        output.result(&format!("{message}\n"), &json)?;
        Ok(())
    }
}

fn status_table(targets: &[TargetState], now_ms: u64) -> String {
    if targets.is_empty() {
        return "This region sends to no other: it only receives\n".to_owned();
    }
    let heads = [
        "TARGET",
        "WAITING",
        "LAG",
        "DEAD LETTERS",
        "DELIVERED",
        "RETRIED",
        "SENT",
        "LAST SUCCESS",
        "LAST ERROR",
    ];
    let mut rows = vec![heads.map(str::to_owned)];
    rows.extend(targets.iter().map(|target| {
        let success = target.last_success_ms.map(|at| ago(at, now_ms));
        [
            target.target.clone(),
            target.waiting.to_string(),
            format!("{:.0} s", target.lag_seconds),
            target.buried.to_string(),
            target.delivered.to_string(),
            target.retried.to_string(),
            HumanBytes(target.sent_bytes).to_string(),
            success.unwrap_or_else(|| "-".to_owned()),
            target
                .last_error
                .as_deref()
                .map_or("-".to_owned(), one_line),
        ]
    }));
    table(&rows)
}

/// What came from other regions: what is nothing out of the common has one line.
fn received_lines(received: &ReceivedState) -> String {
    let counts = [
        ("applied", received.applied),
        ("known", received.known),
        ("older", received.older),
        ("by hand", received.by_hand),
        ("incomplete", received.incomplete),
        ("refused", received.refused),
        ("failed", received.failed),
    ];
    let counts = counts.map(|(name, count)| format!("{count} {name}"));
    let mut lines = vec![format!("Received: {}\n", counts.join(", "))];
    let by_reason = [
        ("Refused", &received.refused_by),
        ("Rejected tokens", &received.rejected),
    ];
    for (what, reasons) in by_reason {
        let reasons = some_of(reasons);
        if !reasons.is_empty() {
            lines.push(format!("{what}: {reasons}\n"));
        }
    }
    lines.concat()
}

/// Those that there were any of.
fn some_of(reasons: &BTreeMap<String, u64>) -> String {
    let some = reasons.iter().filter(|(_, count)| **count > 0);
    let some: Vec<_> = some
        .map(|(reason, count)| format!("{count} {}", one_line(reason)))
        .collect();
    some.join(", ")
}

fn letters_table(letters: &[Letter], now_ms: u64) -> String {
    if letters.is_empty() {
        return "There are no dead letters\n".to_owned();
    }
    let mut rows = vec![["ID", "QUEUED", "BURIED", "WHAT", "REASON"].map(str::to_owned)];
    rows.extend(letters.iter().map(|letter| {
        [
            letter.id.clone(),
            ago(letter.queued_at_ms, now_ms),
            ago(letter.buried_at_ms, now_ms),
            what(&letter.event),
            one_line(&letter.reason),
        ]
    }));
    table(&rows)
}

/// The names that a change is about, or the snapshots.
fn what(event: &Value) -> String {
    let event = match event {
        Value::String(text) => serde_json::from_str::<RegionEvent>(text),
        value => serde_json::from_value(value.clone()),
    };
    let Ok(event) = event else {
        return "unreadable".to_owned();
    };
    let names = event.names.iter().map(|record| &record.name);
    let mut things: Vec<_> = names.map(DeploymentName::to_string).collect();
    if things.is_empty() {
        things = event.snapshots.iter().map(SnapshotId::to_string).collect();
    }
    let more = things.len().saturating_sub(SHOWN_NAMES);
    things.truncate(SHOWN_NAMES);
    if more > 0 {
        things.push(format!("and {more} more"));
    }
    things.join(", ")
}

/// How long ago a time was, in the unit that says enough.
fn ago(at_ms: u64, now_ms: u64) -> String {
    let seconds = now_ms.saturating_sub(at_ms) / 1000;
    let (number, unit) = match seconds {
        0..120 => (seconds, "s"),
        120..7200 => (seconds / 60, "min"),
        7200..172_800 => (seconds / 3600, "h"),
        _ => (seconds / 86_400, "d"),
    };
    format!("{number} {unit} ago")
}

/// What another region said, without what could disturb a terminal.
fn one_line(text: &str) -> String {
    let shown = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(shown).collect()
}

fn parse_target(text: &str) -> Result<TargetRegion, String> {
    text.parse().map_err(|problem: Invalid| problem.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: u64 = 86_400_000;

    #[test]
    fn targets_line_up() {
        let target =
            |target: &str, lag_seconds, last_success_ms, last_error: Option<&str>| TargetState {
                target: target.to_owned(),
                waiting: 3,
                lag_seconds,
                buried: 1,
                delivered: 41,
                retried: 0,
                sent_bytes: 6000,
                last_success_ms,
                last_error: last_error.map(str::to_owned),
            };
        let targets = [
            target("https://eu.test", 0.2, Some(DAY_MS), None),
            target("https://us.example.test", 301.7, None, Some("it\nfailed")),
        ];
        let expected = "\
TARGET                   WAITING  LAG    DEAD LETTERS  DELIVERED  RETRIED  SENT      LAST SUCCESS  LAST ERROR
https://eu.test          3        0 s    1             41         0        5.86 KiB  5 s ago       -
https://us.example.test  3        302 s  1             41         0        5.86 KiB  -             it failed
";
        assert_eq!(status_table(&targets, DAY_MS + 5000), expected);
        assert!(status_table(&[], 0).contains("only receives"));
    }

    #[test]
    fn what_came_has_its_reasons_below() {
        let mut received = ReceivedState {
            applied: 7,
            refused: 2,
            ..ReceivedState::default()
        };
        let usual =
            "Received: 7 applied, 0 known, 0 older, 0 by hand, 0 incomplete, 2 refused, 0 failed\n";
        assert_eq!(received_lines(&received), usual);
        received.refused_by = BTreeMap::from([("too_large".into(), 2)]);
        received.rejected = BTreeMap::from([
            ("foreign".into(), 1),
            ("other".into(), 0),
            ("replayed".into(), 3),
        ]);
        let reasons = "Refused: 2 too_large\nRejected tokens: 1 foreign, 3 replayed\n";
        assert_eq!(received_lines(&received), format!("{usual}{reasons}"));
    }

    #[test]
    fn what_a_letter_is_about() {
        let name = |name: &str| json!({"name": name, "removed": {"application_uid": "a.b.c", "published_at": 1, "replica": "eu"}});
        let many: Vec<_> = ["a.test", "b.test", "c.test", "d.test", "e.test"]
            .map(name)
            .into();
        for (event, expected) in [
            (json!({"names": [name("a.test")]}), "a.test"),
            (json!({"names": many}), "a.test, b.test, c.test, and 2 more"),
            (json!({"snapshots": ["ada-1.a.b.c"]}), "ada-1.a.b.c"),
            (json!(r#"{"snapshots":["ada-1.a.b.c"]}"#), "ada-1.a.b.c"),
            (json!("no JSON"), "unreadable"),
            (json!(7), "unreadable"),
        ] {
            assert_eq!(what(&event), expected, "{event}");
        }
    }

    #[test]
    fn ages() {
        for (ms, expected) in [
            (0, "0 s ago"),
            (119_999, "119 s ago"),
            (120_000, "2 min ago"),
            (2 * 3_600_000, "2 h ago"),
            (2 * DAY_MS, "2 d ago"),
        ] {
            assert_eq!(ago(1000, 1000 + ms), expected);
        }
        assert_eq!(ago(5, 1), "0 s ago");
    }
}
