//! `/upload` and its kin: what clients and control planes send.

mod file;
mod hash_list;
mod incoming;
mod manifest;
mod publish;
mod snapshot;

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use favonius_auth::{Unauthenticated, WriteToken};
use favonius_telemetry::instruments::{Intake, Upload};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde_json::Value;

pub(crate) use self::incoming::Incoming;
use crate::{bearer::bearer, body::EdgeBody, edge::Shared, failure::Failure};

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

    fn required(&self, name: &'static str) -> Result<&str, Failure> {
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

/// `POST /upload`
pub(crate) async fn upload(
    edge: &Shared,
    query: &Query<'_>,
    headers: &HeaderMap,
    body: &mut Incoming<'_>,
) -> Result<Response<EdgeBody>, Failure> {
    match query.get("type") {
        Some("file") => {
            let stored = file::store(edge, query, headers, body).await;
            count(edge, Upload::Asset, stored)
        }
        Some("snapshot") => {
            let stored = snapshot::store(edge, query, headers, body).await;
            count(edge, Upload::Snapshot, stored)
        }
        Some("envs") => publish(edge, headers, body).await,
        Some(_) => Err(Failure::new(
            StatusCode::NOT_IMPLEMENTED,
            "unsupported_upload_type",
            "This edge takes uploads of type file, snapshot and envs",
        )),
        None => Err(Failure::bad_request(
            "missing_parameter",
            "The query has no `type`: it is one of file, snapshot and envs",
        )),
    }
}

/// `POST /publish`
pub(crate) async fn publish(
    edge: &Shared,
    headers: &HeaderMap,
    body: &mut Incoming<'_>,
) -> Result<Response<EdgeBody>, Failure> {
    let published = publish::publish(edge, headers, body).await;
    let intake = published.as_ref().map_or_else(failed, |_| Intake::Stored);
    edge.options.reporter.instruments.publish(intake);
    published
}

/// Counts an upload by what came of it.
fn count(
    edge: &Shared,
    upload: Upload,
    stored: Result<(Response<EdgeBody>, Intake), Failure>,
) -> Result<Response<EdgeBody>, Failure> {
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
) -> Result<Response<EdgeBody>, Failure> {
    hash_list::answer_hashes(edge, query).await
}

/// Verifies who sends a request.
pub(crate) fn authenticate(edge: &Shared, headers: &HeaderMap) -> Result<WriteToken, Failure> {
    let given = ["can_write_jwt", "can-write-jwt"]
        .into_iter()
        .find_map(|name| headers.get(name));
    let token = match given {
        Some(value) => Some(value.as_bytes()),
        None => bearer(headers),
    };
    let Some(token) = token else {
        return Err(Failure::new(
            StatusCode::UNAUTHORIZED,
            "unauthenticated",
            "The request has no can_write_jwt header. The usual cause is a proxy that drops headers with an underscore: \
             allow them there, or send can-write-jwt or Authorization: Bearer",
        )
        .refusal(Unauthenticated::Missing.as_str()));
    };
    // What is no text is no token: the verifier refuses it like any other wrong one.
    let token = str::from_utf8(token).unwrap_or_default();
    Ok(edge
        .verifier
        .verify(token.trim(), edge.clock.now_ms() / 1000)?)
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
pub(crate) fn answer(status: StatusCode, body: &Value) -> Response<EdgeBody> {
    let mut response = Response::new(EdgeBody::from(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
