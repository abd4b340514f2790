//! `GET /__favonius/log-level` tells the level of what is logged, `PUT /__favonius/log-level?level=debug` changes it until the
//! process ends or it is changed again.

use favonius_telemetry::{Level, LevelHandle};
use http::{Method, Response, StatusCode, request::Parts};
use serde_json::json;

use super::{operator, wrong_method};
use crate::{
    body::Payload,
    edge::Shared,
    failure::Failure,
    upload::{Query, answer as json_answer},
};

pub(super) const PATH: &str = "/__favonius/log-level";

pub(super) fn answer(
    edge: &Shared,
    request: &Parts,
    level: &LevelHandle,
) -> Result<Response<Payload>, Failure> {
    let token = operator(edge, request)?;
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
            return Err(wrong_method(
                "GET, HEAD, PUT",
                "The log level is read with GET and changed with PUT",
            ));
        }
    }
    Ok(json_answer(
        StatusCode::OK,
        &json!({"level": level.get().as_str(), "before": before.as_str()}),
    ))
}
