//! What a request is told when it cannot be done. The only place where a failure becomes a status.

mod reader;

use std::{error::Error, sync::Arc};

use bytes::Bytes;
use favonius_auth::{Forbidden, Refusal};
use favonius_contract::{Invalid, InvalidDocument};
use favonius_replication::ReceiveError;
use favonius_storage::{CommitError, ErrorKind, Rejection, StorageError};
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use serde_json::{Map, Value, json};

pub(crate) use self::reader::Reader;
use crate::{body::Payload, request_id::RequestId};

/// A file that a deployment lists has not arrived.
pub(crate) const ASSET_PENDING: &str = "asset_pending";
/// What another region's names need is to be sent first.
pub(crate) const INCOMPLETE: &str = "incomplete";

/// A request that cannot be done: one text for the client, one cause for the log.
///
/// The genuine client cuts the word after "token", "secret", "session", "signature", "jwt" and "code" from what it
/// shows, so `message` does without those words.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    /// Name for programs.
    pub(crate) error: &'static str,
    /// What happened and what to do, for people.
    pub(crate) message: Arc<str>,
    /// A fixed name for what is wrong with who sends the request, if that is it.
    pub(crate) refusal: Option<&'static str>,
    details: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    pub(crate) fn new(
        status: StatusCode,
        error: &'static str,
        message: impl Into<Arc<str>>,
    ) -> Self {
        Self {
            status,
            error,
            message: message.into(),
            refusal: None,
            details: Map::new(),
            headers: Vec::new(),
            cause: None,
        }
    }

    pub(crate) fn bad_request(error: &'static str, message: impl Into<Arc<str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error, message)
    }

    pub(crate) fn unavailable(error: &'static str, message: impl Into<Arc<str>>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error, message)
            .header(header::RETRY_AFTER, HeaderValue::from_static("1"))
    }

    /// Adds a field that helps the client.
    pub(crate) fn with(mut self, field: &'static str, value: Value) -> Self {
        self.details.insert(field.to_owned(), value);
        self
    }

    /// Says what is wrong with who sends the request, by a fixed name.
    pub(crate) fn refusal(mut self, reason: &'static str) -> Self {
        self.refusal = Some(reason);
        self
    }

    /// Adds a header to the answer.
    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    fn because(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Makes the answer, and logs what only the operator should know: once, here.
    pub(crate) fn into_response(self, id: &RequestId, reader: Reader) -> Response<Payload> {
        self.log(id);
        let body = match reader {
            Reader::Client | Reader::Script => self.json(id),
            Reader::Person => self.page(id).into_bytes(),
        };
        let mut response = Response::new(Payload::from(Bytes::from(body)));
        *response.status_mut() = self.status;
        *response.headers_mut() = reader.head().clone();
        for (name, value) in self.headers {
            response.headers_mut().insert(name, value);
        }
        response
    }

    fn log(&self, id: &RequestId) {
        let Some(cause) = &self.cause else {
            // Files that are still to come are told of once for each, by whoever counts them.
            if self.status.is_server_error() && self.error != ASSET_PENDING {
                tracing::warn!(
                    http.response.status_code = self.status.as_u16(), error.type = self.error,
                    error = &*self.message, request_id = id.as_str(), "Request failed"
                );
                return;
            }
            tracing::debug!(
                http.response.status_code = self.status.as_u16(), error.type = self.error,
                request_id = id.as_str(), "Request refused"
            );
            return;
        };
        let error: &(dyn Error + 'static) = &**cause;
        if self.status.is_server_error() {
            tracing::error!(
                http.response.status_code = self.status.as_u16(), error.type = self.error,
                error, request_id = id.as_str(), "Request failed"
            );
        } else {
            tracing::info!(
                http.response.status_code = self.status.as_u16(), error.type = self.error,
                error, request_id = id.as_str(), "Request refused"
            );
        }
    }

    /// What programs are told.
    fn json(&self, id: &RequestId) -> Vec<u8> {
        let mut text = Vec::with_capacity(self.message.len() + 192);
        text.push(b'{');
        for (name, value) in &self.details {
            add(&mut text, name, value);
        }
        add(&mut text, "error", self.error);
        add(&mut text, "message", &*self.message);
        add(&mut text, "request_id", id.as_str());
        add(&mut text, "status", &self.status.as_u16());
        text.push(b'}');
        text
    }

    fn page(&self, id: &RequestId) -> String {
        let reason = self.status.canonical_reason().unwrap_or("Error");
        let status = self.status.as_u16();
        format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{status} {reason}</title>\
             <style>body{{font:1rem/1.5 system-ui,sans-serif;margin:15vh auto;max-width:36rem;padding:0 1rem}}\
             small{{color:#666}}</style><h1>{reason}</h1><p>{}</p><small>{status} {} &middot; {}</small></html>\n",
            escape(&self.message),
            escape(self.error),
            escape(id.as_str()),
        )
    }
}

/// Adds a field to a JSON object. Its name has nothing to escape.
fn add(text: &mut Vec<u8>, name: &str, value: &(impl Serialize + ?Sized)) {
    let before = if text.ends_with(b"{") { "\"" } else { ",\"" };
    for part in [before, name, "\":"] {
        text.extend_from_slice(part.as_bytes());
    }
    let written = serde_json::to_writer(&mut *text, value);
    debug_assert!(written.is_ok(), "text, numbers and what is JSON already");
}

/// Text for an HTML page.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        Self::of_store(error.kind()).because(error)
    }
}

impl Failure {
    fn of_store(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Unavailable => Self::unavailable(
                "storage_unavailable",
                "The store behind this edge does not answer: try again in a moment",
            ),
            ErrorKind::Full => Self::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "storage_full",
                "The store behind this edge has no room: its operator must make some",
            ),
            ErrorKind::Denied => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "storage_denied",
                "The store behind this edge refuses it: its operator must check the credentials",
            ),
            ErrorKind::Corrupt => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "storage_corrupt",
                "What the store behind this edge holds cannot be read: its operator finds more in the log",
            ),
            ErrorKind::Internal => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "Something went wrong inside this edge: its operator finds more in the log",
            ),
        }
    }
}

impl From<Arc<StorageError>> for Failure {
    fn from(error: Arc<StorageError>) -> Self {
        Self::of_store(error.kind()).because(error)
    }
}

impl From<Rejection> for Failure {
    fn from(rejection: Rejection) -> Self {
        let failure = |status, error, message: String| Self::new(status, error, message);
        match &rejection {
            Rejection::SnapshotExists(id) => failure(
                StatusCode::CONFLICT,
                "snapshot_exists",
                format!(
                    "Snapshot {id} exists with other content: build again, which makes a new id"
                ),
            ),
            Rejection::SnapshotUnknown(id) => failure(
                StatusCode::NOT_FOUND,
                "snapshot_not_found",
                format!("Snapshot {id} is not on this edge: upload it first"),
            ),
            Rejection::NameOwned { name, owner } => failure(
                StatusCode::FORBIDDEN,
                "forbidden",
                format!(
                    "{name} belongs to application {owner}: publish to another name, or have an operator move it"
                ),
            ),
            Rejection::NameTaken { name, snapshot_id } => failure(
                StatusCode::CONFLICT,
                "name_taken",
                format!(
                    "{name} stands for version {snapshot_id} for ever: publish to a tag or an environment"
                ),
            ),
        }
    }
}

impl From<CommitError> for Failure {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Storage(error) => error.into(),
            CommitError::Rejected(rejection) => rejection.into(),
        }
    }
}

impl From<ReceiveError> for Failure {
    fn from(error: ReceiveError) -> Self {
        match error {
            ReceiveError::Storage(error) => error.into(),
            ReceiveError::Rejected(rejection) => rejection.into(),
            ReceiveError::Invalid(problem) => Self::bad_request(
                "invalid_body",
                format!("The body cannot be used: {problem}"),
            ),
            ReceiveError::Missing(lacking) => Self::new(
                StatusCode::CONFLICT,
                INCOMPLETE,
                format!(
                    "No name was changed: {} snapshots and {} files have to be sent first",
                    lacking.snapshots.len(),
                    lacking.assets.len()
                ),
            )
            .with("lacking", json!(lacking)),
        }
    }
}

impl From<InvalidDocument> for Failure {
    fn from(problem: InvalidDocument) -> Self {
        let failure = Self::bad_request(
            "invalid_body",
            format!("The body cannot be used: {problem}"),
        );
        match problem {
            InvalidDocument::Field { field, .. } => failure.with("field", json!(field)),
            InvalidDocument::Json(_) => failure,
        }
    }
}

impl From<Invalid> for Failure {
    fn from(problem: Invalid) -> Self {
        Self::bad_request(
            "invalid_parameter",
            format!("The request cannot be used: {problem}"),
        )
        .with("field", json!(problem.what()))
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unauthenticated(reason) => Self::new(
                StatusCode::UNAUTHORIZED,
                "unauthenticated",
                reason.to_string(),
            )
            .refusal(reason.as_str()),
            Refusal::Forbidden(reason) => reason.into(),
        }
    }
}

impl From<Forbidden> for Failure {
    fn from(reason: Forbidden) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", reason.to_string()).refusal(reason.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_escape_what_they_show() {
        let failure = Failure::bad_request("x", "<script>alert('&')</script>");
        let page = failure.page(&RequestId::from_header(None));
        assert!(
            page.contains("&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;"),
            "{page}"
        );
    }
}
