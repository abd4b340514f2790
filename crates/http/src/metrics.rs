//! The metrics page: `GET /metrics`.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use bytes::Bytes;
use favonius_telemetry::MetricsFormat;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use crate::{bearer::bearer, body::Payload, edge::Shared, failure::Failure};

/// What a request has to bring as `Authorization: Bearer` (RFC 6750). `Debug` does not show it.
#[derive(Clone)]
pub struct BearerToken(Box<str>);

impl BearerToken {
    /// It must not be empty, and of printable ASCII without spaces, since it travels in a header: nobody could send it else.
    pub fn new(token: impl Into<Box<str>>) -> Self {
        Self(token.into())
    }

    fn is_in(&self, headers: &HeaderMap) -> bool {
        bearer(headers).is_some_and(|given| {
            verify_slices_are_equal(given.trim_ascii(), self.0.as_bytes()).is_ok()
        })
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BearerToken(***)")
    }
}

/// Who may see metrics, and where.
#[derive(Debug, Clone, Default)]
pub struct MetricsOptions {
    /// Whether they are on a port of their own only ([`Edge::metrics`](crate::Edge::metrics)).
    pub apart: bool,
    /// What a request for them has to bring, if anything.
    pub token: Option<BearerToken>,
}

/// Answers with all metrics as they are now.
pub(crate) async fn page(edge: &Shared, headers: &HeaderMap) -> Result<Response<Payload>, Failure> {
    let token = edge.options.metrics.token.as_ref();
    if token.is_some_and(|token| !token.is_in(headers)) {
        let challenge = HeaderValue::from_static("Bearer realm=\"metrics\"");
        let refusal = Failure::new(
            StatusCode::UNAUTHORIZED,
            "unauthenticated",
            "Metrics are for who knows ZE_WORKER_METRICS_TOKEN: send it as Authorization: Bearer",
        );
        return Err(refusal.header(header::WWW_AUTHENTICATE, challenge));
    }
    let Some(prometheus) = edge.options.reporter.prometheus.clone() else {
        return Err(Failure::new(
            StatusCode::NOT_FOUND,
            "not_found",
            "Nothing is measured here",
        ));
    };
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok());
    let format = MetricsFormat::accepted_by(accept);
    let is_ready = edge.probes.is_ready(&edge.deployments);
    // It is never closed.
    let _turn = edge.metrics_turn.acquire().await.ok();
    // It reads files of the system, which may take a moment where many are open.
    let text = edge
        .off_thread(move || prometheus.text(format, is_ready))
        .await?;
    let mut response = Response::new(Payload::from(Bytes::from(text)));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(format.content_type()),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_token_is_one() {
        let token = BearerToken::new("s3cret");
        let cases = [
            (Some("Bearer s3cret"), true),
            (Some("bearer s3cret"), true),
            (Some("Bearer  s3cret "), true),
            (Some("Bearer s3cre"), false),
            (Some("Bearer s3crets"), false),
            (Some("Bearer "), false),
            (Some("Bearer"), false),
            (Some("Basic s3cret"), false),
            (Some("s3cret"), false),
            (Some(""), false),
            (None, false),
        ];
        for (given, expected) in cases {
            let mut headers = HeaderMap::new();
            if let Some(given) = given {
                headers.insert(header::AUTHORIZATION, given.parse().unwrap());
            }
            assert_eq!(token.is_in(&headers), expected, "{given:?}");
        }
        assert!(!format!("{token:?}").contains("s3cret"));
    }
}
