//! `/__favonius/replication`: how what is sent to other regions stands, and what an operator can do about it.

use favonius_contract::replication::TargetRegion;
use favonius_replication::Replicator;
use favonius_storage::{DeadLetter, EventId};
use http::{Method, Response, StatusCode, request::Parts};
use serde_json::{Value, json};

use super::{operator, reads, wrong_method};
use crate::{
    body::Payload,
    edge::Shared,
    failure::Failure,
    upload::{Query, answer as json_answer},
};

/// How many dead letters are listed when nobody says.
const LISTED: usize = 100;
/// Most dead letters in one answer.
const MOST_LISTED: usize = 1000;

/// What an operator wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    /// To see how each target stands.
    Status,
    /// To see what a target refused for good.
    DeadLetters,
    /// To have it sent again.
    Retry,
    /// To have regions compared at once.
    Repair,
}

impl Task {
    pub(super) fn of(path: &str) -> Option<Self> {
        match path {
            "/__favonius/replication" => Some(Self::Status),
            "/__favonius/replication/dead-letters" => Some(Self::DeadLetters),
            "/__favonius/replication/retry" => Some(Self::Retry),
            "/__favonius/replication/repair" => Some(Self::Repair),
            _ => None,
        }
    }

    fn check(self, method: &Method) -> Result<(), Failure> {
        match self {
            Self::Status | Self::DeadLetters if !reads(method) => Err(wrong_method(
                "GET, HEAD",
                "How replication stands is read with GET",
            )),
            Self::Retry | Self::Repair if *method != Method::POST => Err(wrong_method(
                "POST",
                "What is to be done about replication is asked for with POST",
            )),
            _ => Ok(()),
        }
    }
}

pub(super) async fn answer(
    edge: &Shared,
    request: &Parts,
    task: Task,
) -> Result<Response<Payload>, Failure> {
    let token = operator(edge, request)?;
    task.check(&request.method)?;
    let replication = edge.replication.as_ref().ok_or_else(off)?;
    let query = Query::parse(request.uri.query());
    let user = token.username.as_deref().unwrap_or_default();
    let (status, told) = match task {
        Task::Status => {
            let targets = replication.status().await?;
            let received = edge.received.read();
            (
                StatusCode::OK,
                json!({"targets": targets, "received": received}),
            )
        }
        Task::DeadLetters => {
            let target = target(replication, query.required("target")?)?;
            let letters = replication.dead_letters(&target, limit(&query)?).await?;
            let letters: Vec<Value> = letters.iter().map(letter).collect();
            (StatusCode::OK, json!({"letters": letters}))
        }
        Task::Retry => {
            let target = target(replication, query.required("target")?)?;
            let ids: Vec<EventId> = query.all("id").map(EventId::new).collect();
            let ids = (!ids.is_empty()).then_some(ids);
            let retried = replication.retry(&target, ids.as_deref()).await?;
            tracing::info!(target_region = %target, retried, user, "Dead letters are sent again");
            (StatusCode::OK, json!({"retried": retried}))
        }
        Task::Repair => {
            let named = query.get("target");
            let target = named.map(|text| target(replication, text)).transpose()?;
            replication.request_repair(target.as_ref());
            let message = match &target {
                Some(target) => format!("{target} is compared with this region in a moment"),
                None => "All regions are compared with this one in a moment".to_owned(),
            };
            tracing::info!(user, "A comparison of regions was asked for");
            (StatusCode::ACCEPTED, json!({"message": message}))
        }
    };
    Ok(json_answer(status, &told))
}

fn off() -> Failure {
    Failure::new(
        StatusCode::NOT_FOUND,
        "not_found",
        "This edge does not replicate: give it a name with ZE_WORKER_REPLICA_NAME",
    )
}

/// A region that is sent to.
fn target(replication: &Replicator, text: &str) -> Result<TargetRegion, Failure> {
    let known = &replication.options().targets;
    let asked: Option<TargetRegion> = text.parse().ok();
    if let Some(asked) = asked
        && known.contains(&asked)
    {
        return Ok(asked);
    }
    let names: Vec<&str> = known.iter().map(TargetRegion::as_str).collect();
    let message = if names.is_empty() {
        "No region is sent to: ZE_WORKER_REPLICAS_URLS names none".to_owned()
    } else {
        format!("No such region is sent to. These are: {}", names.join(", "))
    };
    let failure = Failure::new(StatusCode::NOT_FOUND, "unknown_target", message);
    Err(failure.with("targets", json!(names)))
}

fn limit(query: &Query<'_>) -> Result<usize, Failure> {
    let Some(text) = query.get("limit") else {
        return Ok(LISTED);
    };
    let limit = text.parse().ok();
    limit
        .filter(|limit| (1..=MOST_LISTED).contains(limit))
        .ok_or_else(|| {
            Failure::bad_request(
                "invalid_parameter",
                format!("`limit` in the query is a number from 1 to {MOST_LISTED}"),
            )
            .with("field", json!("limit"))
        })
}

fn letter(letter: &DeadLetter) -> Value {
    // One that could not be read was buried for just that.
    let event =
        serde_json::from_str(&letter.event).unwrap_or_else(|_| Value::String(letter.event.clone()));
    json!({
        "id": letter.id.as_str(),
        "event": event,
        "reason": letter.reason,
        "queued_at_ms": letter.queued_at_ms,
        "buried_at_ms": letter.buried_at_ms,
    })
}
