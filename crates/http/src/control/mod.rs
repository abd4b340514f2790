//! Control routes for operators, below `/__favonius/`. All of them ask for an operator's token.

mod log_level;
mod replication;

use favonius_auth::{Scope, WriteToken};
use http::{HeaderValue, Method, Response, StatusCode, header, request::Parts};

use crate::{body::Payload, edge::Shared, failure::Failure, upload::authenticate};

/// Answers a request below `/__favonius/`.
pub(crate) async fn control(edge: &Shared, request: &Parts) -> Result<Response<Payload>, Failure> {
    match (request.uri.path(), &edge.options.reporter.level) {
        (log_level::PATH, Some(level)) => log_level::answer(edge, request, level),
        (path, _) => match replication::Task::of(path) {
            Some(task) => replication::answer(edge, request, task).await,
            None => Err(unknown()),
        },
    }
}

pub(crate) fn unknown() -> Failure {
    Failure::new(
        StatusCode::NOT_FOUND,
        "not_found",
        "There is no such control route on this edge",
    )
}

/// The operator who sends a request; nobody else may.
fn operator(edge: &Shared, request: &Parts) -> Result<WriteToken, Failure> {
    let token = authenticate(edge, &request.headers)?;
    if token.scope == Scope::Operator {
        return Ok(token);
    }
    Err(Failure::new(
        StatusCode::FORBIDDEN,
        "forbidden",
        "Only an operator's permission reaches this: make one with favonius token --operator",
    ))
}

fn reads(method: &Method) -> bool {
    *method == Method::GET || *method == Method::HEAD
}

fn wrong_method(allowed: &'static str, message: &'static str) -> Failure {
    Failure::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        message,
    )
    .header(header::ALLOW, HeaderValue::from_static(allowed))
}
