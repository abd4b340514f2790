//! `/upload` and its kin: what clients and control planes send.

mod file;
mod hash_list;
mod incoming;
mod manifest;
mod publish;
mod region;
mod removal;
mod sender;
mod snapshot;

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use favonius_telemetry::instruments::{Intake, Upload};
use http::{HeaderValue, Response, StatusCode, header, request::Parts};
use serde_json::Value;

pub(crate) use self::{incoming::Incoming, sender::authenticate};
use crate::{body::Payload, edge::Shared, failure::Failure, regions::note_rejected};

/// How long the stores may take for a snapshot or a publish, all in all.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// The parameters of a request's query, decoded.
pub(crate) struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    pub(crate) fn parse(query: Option<&'a str>) -> Self {
        Self(form_urlencoded::parse(query.unwrap_or_default().as_bytes()).collect())
    }

    /// The first value of a parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| &**value)
    }

    /// All values of a parameter.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let named = self.0.iter().filter(move |(key, _)| key == name);
        named.map(|(_, value)| &**value)
    }

    pub(crate) fn required(&self, name: &'static str) -> Result<&str, Failure> {
        self.get(name)
            .filter(|value| !value.is_empty())
            .ok_or_else(|| {
                Failure::bad_request(
                    "missing_parameter",
                    format!("The query has no `{name}`: see the protocol for POST /upload"),
                )
                .with("field", Value::from(name))
            })
    }
}

/// `POST /upload`, of everybody or of other regions only.
pub(crate) async fn upload(
    edge: &Shared,
    only_regions: bool,
    request: &Parts,
    body: &mut Incoming<'_>,
) -> Result<Response<Payload>, Failure> {
    let query = Query::parse(request.uri.query());
    let guarded = if only_regions {
        sender::refuse_people(edge, &request.headers)
    } else {
        Ok(())
    };
    let answered = match guarded {
        Ok(()) => upload_of(edge, request, &query, body).await,
        Err(failure) => Err(failure),
    };
    let by_region = query.get("type").and_then(region::Kind::of).is_some();
    note_rejected(edge, by_region, &answered);
    answered
}

async fn upload_of(
    edge: &Shared,
    request: &Parts,
    query: &Query<'_>,
    body: &mut Incoming<'_>,
) -> Result<Response<Payload>, Failure> {
    match query.get("type") {
        Some("file") => {
            let stored = file::store(edge, request, query, body).await;
            count(edge, Upload::Asset, stored)
        }
        Some("snapshot") => {
            let stored = snapshot::store(edge, request, query, body).await;
            count(edge, Upload::Snapshot, stored)
        }
        Some("envs") => {
            let published = publish::publish(edge, request, body).await;
            count_publish(edge, published)
        }
        Some("removal") => {
            let removed = removal::remove(edge, request, body).await;
            count_publish(edge, removed)
        }
        Some(kind) => match region::Kind::of(kind) {
            Some(kind) => region::answer(edge, kind, request, body).await,
            None => Err(Failure::new(
                StatusCode::NOT_IMPLEMENTED,
                "unsupported_upload_type",
                "This edge takes uploads of type file, snapshot, envs and removal",
            )),
        },
        None => Err(Failure::bad_request(
            "missing_parameter",
            "The query has no `type`: it is one of file, snapshot, envs and removal",
        )),
    }
}

/// `POST /publish`
pub(crate) async fn publish(
    edge: &Shared,
    request: &Parts,
    body: &mut Incoming<'_>,
) -> Result<Response<Payload>, Failure> {
    let published = publish::publish(edge, request, body).await;
    note_rejected(edge, false, &published);
    count_publish(edge, published)
}

/// Counts a publish or a removal by what came of it.
fn count_publish(
    edge: &Shared,
    published: Result<Response<Payload>, Failure>,
) -> Result<Response<Payload>, Failure> {
    let intake = published.as_ref().map_or_else(failed, |_| Intake::Stored);
    edge.options.reporter.instruments.publish(intake);
    published
}

/// Counts an upload by what came of it.
fn count(
    edge: &Shared,
    upload: Upload,
    stored: Result<(Response<Payload>, Intake), Failure>,
) -> Result<Response<Payload>, Failure> {
    let intake = stored.as_ref().map_or_else(failed, |(_, intake)| *intake);
    edge.options.reporter.instruments.upload(upload, intake);
    stored.map(|(response, _)| response)
}

/// Whose fault it was.
fn failed(failure: &Failure) -> Intake {
    if failure.status.is_server_error() {
        Intake::Failed
    } else {
        Intake::Rejected
    }
}

/// `GET /__get_application_hash_list__`
pub(crate) async fn hash_list(
    edge: &Shared,
    query: &Query<'_>,
) -> Result<Response<Payload>, Failure> {
    hash_list::answer_hashes(edge, query).await
}

/// Gives up before the client does: it waits 30 s, and part of them went with the body.
async fn in_time<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    match tokio::time::timeout(ANSWER_WITHIN, work).await {
        Ok(result) => result,
        Err(_) => Err(Failure::unavailable(
            "storage_unavailable",
            "The store behind this edge did not answer in time: try again in a moment",
        )),
    }
}

/// A JSON answer.
pub(crate) fn answer(status: StatusCode, body: &Value) -> Response<Payload> {
    let mut response = Response::new(Payload::from(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
