//! What an edge says of its replication to an operator.

use std::collections::BTreeMap;

use favonius_contract::replication::TargetRegion;
use favonius_storage::EventId;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Edge, EdgeError, TIMEOUT};

/// How a region that is sent to stands.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TargetState {
    pub(crate) target: String,
    pub(crate) waiting: u64,
    pub(crate) lag_seconds: f64,
    pub(crate) buried: u64,
    /// These three are of the process that answers, since it began.
    #[serde(default)]
    pub(crate) delivered: u64,
    #[serde(default)]
    pub(crate) retried: u64,
    #[serde(default)]
    pub(crate) sent_bytes: u64,
    pub(crate) last_success_ms: Option<u64>,
    pub(crate) last_error: Option<String>,
}

/// A change that a region refused for good.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Letter {
    pub(crate) id: String,
    /// What happened, as JSON or as a text that holds JSON.
    pub(crate) event: Value,
    pub(crate) reason: String,
    pub(crate) queued_at_ms: u64,
    pub(crate) buried_at_ms: u64,
}

/// What the process that answers got from other regions since it began.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ReceivedState {
    pub(crate) applied: u64,
    pub(crate) known: u64,
    pub(crate) older: u64,
    pub(crate) by_hand: u64,
    pub(crate) incomplete: u64,
    pub(crate) refused: u64,
    pub(crate) failed: u64,
    /// What was refused, by the name of the error.
    pub(crate) refused_by: BTreeMap<String, u64>,
    /// Tokens of replicas that were not taken, by reason.
    pub(crate) rejected: BTreeMap<String, u64>,
}

/// How the replication of a region stands.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ReplicationState {
    pub(crate) targets: Vec<TargetState>,
    #[serde(default)]
    pub(crate) received: ReceivedState,
}

#[derive(Deserialize)]
struct Letters {
    letters: Vec<Letter>,
}

#[derive(Deserialize)]
struct Retried {
    retried: u64,
}

#[derive(Deserialize)]
struct Message {
    message: String,
}

const STATUS: &str = "/__favonius/replication";

impl Edge {
    /// How each region that is sent to stands, and what came from others.
    pub(crate) async fn replication_status(&self) -> Result<ReplicationState, EdgeError> {
        let what = "ask how replication stands";
        let body = self
            .send(what, TIMEOUT, async || {
                Ok(self.signed(Method::GET, STATUS, &[]))
            })
            .await?;
        self.read(what, &body)
    }

    /// What a region refused for good, oldest first.
    pub(crate) async fn dead_letters(
        &self,
        target: &TargetRegion,
        limit: u32,
    ) -> Result<Vec<Letter>, EdgeError> {
        let what = "list the dead letters";
        let (target, limit) = (target.to_string(), limit.to_string());
        let query = [("target", target.as_str()), ("limit", &limit)];
        let path = format!("{STATUS}/dead-letters");
        let body = self
            .send(what, TIMEOUT, async || {
                Ok(self.signed(Method::GET, &path, &query))
            })
            .await?;
        Ok(self.read::<Letters>(what, &body)?.letters)
    }

    /// Queues dead letters again: these, or all when none is named. Tells how many.
    pub(crate) async fn retry_letters(
        &self,
        target: &TargetRegion,
        letters: &[EventId],
    ) -> Result<u64, EdgeError> {
        let what = "queue the dead letters again";
        let target = target.to_string();
        let mut query = vec![("target", target.as_str())];
        query.extend(letters.iter().map(|id| ("id", id.as_str())));
        let path = format!("{STATUS}/retry");
        let body = self
            .send(what, TIMEOUT, async || Ok(self.write(&path, &query)))
            .await?;
        Ok(self.read::<Retried>(what, &body)?.retried)
    }

    /// Asks for a comparison with a region, or with all, and gives what the edge says to that.
    pub(crate) async fn request_repair(
        &self,
        target: Option<&TargetRegion>,
    ) -> Result<String, EdgeError> {
        let what = "ask for a comparison of the regions";
        let target = target.map(ToString::to_string);
        let query: Vec<_> = target.iter().map(|url| ("target", url.as_str())).collect();
        let path = format!("{STATUS}/repair");
        let body = self
            .send(what, TIMEOUT, async || Ok(self.write(&path, &query)))
            .await?;
        Ok(self.read::<Message>(what, &body)?.message)
    }
}
