//! Control routes for operators, below `/__favonius/`.
//!
//! `GET /__favonius/log-level` tells the level of what is logged, `PUT /__favonius/log-level?level=debug` changes it until the
//! process ends or it is changed again. Both ask for an operator's token.

use favonius_auth::Scope;
use favonius_telemetry::{Level, LevelHandle};
use http::{HeaderValue, Method, Response, StatusCode, header, request::Parts};
use serde_json::json;

use crate::{
    body::EdgeBody,
    edge::Shared,
    failure::Failure,
    upload::{Query, answer, authenticate},
};

const LOG_LEVEL: &str = "/__favonius/log-level";

/// Answers a request below `/__favonius/`.
pub(crate) fn control(edge: &Shared, request: &Parts) -> Result<Response<EdgeBody>, Failure> {
    match (request.uri.path(), &edge.options.reporter.level) {
        (LOG_LEVEL, Some(level)) => log_level(edge, request, level),
        _ => Err(unknown()),
    }
}

pub(crate) fn unknown() -> Failure {
    Failure::new(
        StatusCode::NOT_FOUND,
        "not_found",
        "There is no such control route on this edge",
    )
}

fn log_level(
    edge: &Shared,
    request: &Parts,
    level: &LevelHandle,
) -> Result<Response<EdgeBody>, Failure> {
    let token = authenticate(edge, &request.headers)?;
    if token.scope != Scope::Operator {
        return Err(Failure::new(
            StatusCode::FORBIDDEN,
            "forbidden",
            "Only an operator's permission reaches this: make one with favonius token --operator",
        ));
    }
    let before = level.get();
    match request.method {
        Method::GET | Method::HEAD => {}
        Method::PUT => {
            let query = Query::parse(request.uri.query());
            let wanted: Level = query
                .get("level")
                .unwrap_or_default()
                .parse()
                .map_err(|_| {
                    Failure::bad_request(
                        "invalid_parameter",
                        "`level` in the query is one of trace, debug, info, warn, error and fatal",
                    )
                    .with("field", json!("level"))
                })?;
            let user = token.username.as_deref().unwrap_or_default();
            // It is worth a line whatever the levels are.
            level.set(before.min(wanted).min(Level::Warn));
            tracing::warn!(
                level.before = before.as_str(),
                level.now = wanted.as_str(),
                user,
                "The log level was changed"
            );
            level.set(wanted);
        }
        _ => {
            return Err(Failure::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "The log level is read with GET and changed with PUT",
            )
            .header(header::ALLOW, HeaderValue::from_static("GET, HEAD, PUT")));
        }
    }
    Ok(answer(
        StatusCode::OK,
        &json!({"level": level.get().as_str(), "before": before.as_str()}),
    ))
}
