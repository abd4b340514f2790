//! What a token with a good signature says.

use serde_json::Value;

use crate::{
    Forbidden, Refusal, Scope, Unauthenticated, VerifierOptions, WriteToken,
    object::Object,
    write_token::{is_replica_name, is_token_id},
};

/// By how many seconds the clocks of workers and of whoever mints may differ.
pub const LEEWAY_S: u64 = 5;
/// The end of the year 9999. A later time is a mistake, most often milliseconds, and would never come.
pub const LATEST_TIME_S: u64 = 253_402_300_799;

/// `application_uid` of a token for every application.
pub(crate) const EVERY_APPLICATION: &str = "*";

/// Checks the claims at a time (seconds since 1970) and reads what they allow.
///
/// Times come first: only while they hold is anything else in a token worth knowing, and only they are a matter of
/// authentication.
pub(crate) fn check(
    claims: &Object,
    options: VerifierOptions,
    now_s: u64,
) -> Result<WriteToken, Refusal> {
    let expires_at_s = check_times(claims, now_s)?;
    if claims.get("can_write") != Some(&Value::Bool(true)) {
        return Err(Forbidden::NotWritable.into());
    }
    let scope = scope(claims, options)?;
    let (token_id, request) = match &scope {
        Scope::Replica { .. } => one_time(claims)?,
        // A control plane may put ids of its own into the tokens of people. They mean nothing here.
        Scope::Application(_) | Scope::Any | Scope::Operator => (None, None),
    };
    Ok(WriteToken {
        scope,
        username: person(claims, "username")?,
        user_uuid: person(claims, "user_uuid")?,
        token_id,
        request,
        expires_at_s,
        // It is no reason to refuse anybody but a replica, so it may be of any form.
        issued_at_s: claims.get("iat").and_then(Value::as_u64),
    })
}

/// Gives the time at which the token expires.
fn check_times(claims: &Object, now_s: u64) -> Result<u64, Unauthenticated> {
    let expires = seconds(claims.get("exp").ok_or(Unauthenticated::NoExpiry)?)?;
    if now_s >= expires.saturating_add(LEEWAY_S) {
        return Err(Unauthenticated::Expired);
    }
    if let Some(starts) = claims.get("nbf")
        && seconds(starts)? > now_s.saturating_add(LEEWAY_S)
    {
        return Err(Unauthenticated::NotYetValid);
    }
    Ok(expires)
}

fn seconds(value: &Value) -> Result<u64, Unauthenticated> {
    value
        .as_u64()
        .filter(|time| *time <= LATEST_TIME_S)
        .ok_or(Unauthenticated::BadTime)
}

fn scope(claims: &Object, options: VerifierOptions) -> Result<Scope, Forbidden> {
    let replica = match claims.get("replica") {
        None => None,
        Some(Value::String(name)) if is_replica_name(name) => Some(name.clone()),
        Some(_) => return Err(Forbidden::BadReplica),
    };
    match (claims.get("application_uid"), replica) {
        (Some(Value::String(uid)), None) if uid == EVERY_APPLICATION => Ok(Scope::Operator),
        (Some(Value::String(uid)), Some(name)) if uid == EVERY_APPLICATION => {
            Ok(Scope::Replica { name })
        }
        // A replica that is bound to one application would be taken for a person, and what it sends be sent on.
        (_, Some(_)) => Err(Forbidden::BadReplica),
        (Some(Value::String(uid)), None) => uid
            .parse()
            .map(Scope::Application)
            .map_err(|_| Forbidden::BadApplication),
        (Some(_), None) => Err(Forbidden::BadApplication),
        (None, None) if options.require_application => Err(Forbidden::NoApplication),
        (None, None) => Ok(Scope::Any),
    }
}

/// What makes a replica's token one for a single request: its id, and the request.
fn one_time(claims: &Object) -> Result<(Option<String>, Option<String>), Forbidden> {
    let text = |name| match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) if is_token_id(text) => Ok(Some(text.clone())),
        Some(_) => Err(Forbidden::BadOneTime),
    };
    match (text("jti")?, text("req")?) {
        // Without an id it would count as one for any request.
        (None, Some(_)) => Err(Forbidden::BadOneTime),
        both => Ok(both),
    }
}

fn person(claims: &Object, name: &str) -> Result<Option<String>, Forbidden> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Forbidden::BadUser),
    }
}
