//! How a command fails: what is said, and with which status it ends.

use std::{error::Error as StdError, process::ExitCode};

use anyhow::Error;
use serde_json::{Map, Value, json};

use crate::{
    edge::EdgeError,
    output::{self, Output},
};

/// Exit status for a command that failed.
const FAILED: u8 = 1;
/// Exit status for a command that was given something that cannot be right.
const USAGE: u8 = 2;

/// What was asked for cannot be right: trying again will not help.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

/// An error that ends the command with the status for wrong usage.
pub(crate) fn usage(message: impl Into<String>) -> Error {
    Usage(message.into()).into()
}

/// Says why the command failed, and gives its exit status.
pub(crate) fn report(error: &Error, output: Output) -> ExitCode {
    if output.is_json() {
        output::print(&format!("{}\n", as_json(error))).ok();
    } else {
        output::to_stderr(&format!("error: {error:#}"));
    }
    ExitCode::from(status(error))
}

fn status(error: &Error) -> u8 {
    let wrong = error.chain().any(<dyn StdError>::is::<Usage>);
    if wrong { USAGE } else { FAILED }
}

/// The edge's own answer is passed on as far as it helps: `error`, `status`, `request_id`, `missing` and so on.
fn as_json(error: &Error) -> Value {
    let mut fields = Map::new();
    let refusal = error.chain().find_map(|cause| match cause.downcast_ref()? {
        EdgeError::Refused(refusal) => Some(refusal),
        _ => None,
    });
    if let Some(refusal) = refusal {
        fields.extend(refusal.details.clone());
        fields.insert("status".into(), json!(refusal.status));
    }
    let name = match refusal {
        Some(refusal) => refusal.error.as_deref().unwrap_or("refused"),
        None if status(error) == USAGE => "usage",
        None if error.chain().any(<dyn StdError>::is::<EdgeError>) => "no_answer",
        None => "failed",
    };
    fields.insert("error".into(), json!(name));
    fields.insert("message".into(), json!(format!("{error:#}")));
    Value::Object(fields)
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn wrong_usage_is_told_from_failure() {
        let wrong = usage("no such directory").context("could not deploy");
        assert_eq!(status(&wrong), USAGE);
        assert_eq!(as_json(&wrong)["error"], "usage");
        assert_eq!(
            as_json(&wrong)["message"],
            "could not deploy: no such directory"
        );
        let failed = anyhow!("the disk is full");
        assert_eq!(status(&failed), FAILED);
        assert_eq!(as_json(&failed)["error"], "failed");
    }
}
