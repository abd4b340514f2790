//! What a token with a good signature says.

use serde_json::Value;

use crate::{
    Forbidden, Refusal, Scope, Unauthenticated, VerifierOptions, WriteToken, object::Object,
    write_token::is_replica_name,
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
    check_times(claims, now_s)?;
    if claims.get("can_write") != Some(&Value::Bool(true)) {
        return Err(Forbidden::NotWritable.into());
    }
    Ok(WriteToken {
        scope: scope(claims, options)?,
        username: person(claims, "username")?,
        user_uuid: person(claims, "user_uuid")?,
    })
}

fn check_times(claims: &Object, now_s: u64) -> Result<(), Unauthenticated> {
    let expires = claims.get("exp").ok_or(Unauthenticated::NoExpiry)?;
    if now_s >= seconds(expires)?.saturating_add(LEEWAY_S) {
        return Err(Unauthenticated::Expired);
    }
    if let Some(starts) = claims.get("nbf")
        && seconds(starts)? > now_s.saturating_add(LEEWAY_S)
    {
        return Err(Unauthenticated::NotYetValid);
    }
    Ok(())
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

fn person(claims: &Object, name: &str) -> Result<Option<String>, Forbidden> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Forbidden::BadUser),
    }
}
