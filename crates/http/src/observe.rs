//! What is told of each request: a span, a measurement, a line of the access log.
//!
//! A request ends with the last byte of its answer, so what is told goes with the body. Where the client goes away before, the
//! body, or what was to become of it, is dropped, and that is told.

use std::{fmt, sync::Arc, time::Instant};

use favonius_storage::StorageError;
use favonius_telemetry::{
    Access, Reporter, TraceIds,
    instruments::{Ending, Request as Measured, Route},
    record_answer, record_error,
};
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use tracing::Span;

use crate::{edge::Shared, request_id::RequestId};

/// A request that is told of when this is dropped.
pub(crate) struct Observed {
    edge: Arc<Shared>,
    begun: Instant,
    method: Method,
    route: Route,
    /// There is one where something is told later that names it: a line of the access log, or that a stream broke off.
    id: Option<Box<RequestId>>,
    /// There is none of a request that is not traced.
    span: Option<Box<Span>>,
    status: Option<StatusCode>,
    content: u64,
    ending: Ending,
    /// What only the access log wants to know.
    asked: Option<Box<Asked>>,
}

struct Asked {
    uri: Uri,
    host: Option<HeaderValue>,
    trace: Option<TraceIds>,
}

impl Observed {
    pub(crate) fn begin<B>(
        edge: &Arc<Shared>,
        request: &Request<B>,
        route: Route,
        id: &RequestId,
    ) -> Self {
        let begun = Instant::now();
        let Reporter {
            instruments,
            traces,
            ..
        } = &edge.options.reporter;
        let headers = request.headers();
        let span = traces.request(request.method(), route, headers, id.as_str());
        let asked = edge.options.access_log.then(|| {
            Box::new(Asked {
                uri: request.uri().clone(),
                host: headers.get(header::HOST).cloned(),
                trace: span.ids(),
            })
        });
        instruments.request_begun();
        Self {
            edge: Arc::clone(edge),
            begun,
            method: request.method().clone(),
            route,
            id: asked.is_some().then(|| Box::new(id.clone())),
            span: (!span.span.is_none()).then(|| Box::new(span.span)),
            status: None,
            content: 0,
            ending: Ending::Cancelled,
            asked,
        }
    }

    /// What comes may fail, and is to be told of with the id of the request.
    pub(crate) fn remember(&mut self, id: &RequestId) {
        self.id = Some(Box::new(id.clone()));
    }

    fn id(&self) -> &str {
        self.id.as_deref().map_or("", RequestId::as_str)
    }

    /// Whether there is a span.
    pub(crate) fn is_traced(&self) -> bool {
        self.span.is_some()
    }

    /// The span to do the work in.
    pub(crate) fn span(&self) -> Span {
        self.span.as_deref().map_or_else(Span::none, Span::clone)
    }

    /// Does a part of the work on the body in the span.
    pub(crate) fn within<T>(&self, work: impl FnOnce() -> T) -> T {
        match &self.span {
            Some(span) => span.in_scope(work),
            None => work(),
        }
    }

    /// There is an answer, whose body is still to come.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
        if let Some(span) = &self.span {
            record_answer(span, status);
        }
    }

    /// So much of the body was given to the connection.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.content += bytes as u64;
    }

    /// All of the body was.
    pub(crate) fn complete(&mut self) {
        self.ending = Ending::Whole;
    }

    /// The rest of the body cannot be had. The client finds a broken connection, so that it is told here and nowhere else.
    pub(crate) fn broken(&mut self, error: &StorageError) {
        self.ending = Ending::Broken;
        self.within(|| {
            tracing::error!(
                http.response.status_code = self.status.map(|status| status.as_u16()),
                error.type = self.ending.as_str(),
                error = error as &dyn std::error::Error,
                request_id = self.id(),
                "Request failed"
            );
        });
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        let reporter = &self.edge.options.reporter;
        let request = Measured {
            method: &self.method,
            route: self.route,
            status: self.status,
            ending: self.ending,
            took: self.begun.elapsed(),
        };
        reporter.instruments.request_ended(&request, self.content);
        if let Some(span) = &self.span {
            // The last that happens in it, and so its end.
            span.in_scope(|| {
                if self.ending == Ending::Broken {
                    record_error(span, self.ending.as_str());
                }
            });
        }
        if let Some(asked) = &self.asked {
            reporter.access_log.write(&Access {
                request,
                host: asked.host(),
                path: asked.uri.path(),
                content: self.content,
                request_id: self.id(),
                trace: asked.trace,
            });
        }
    }
}

impl fmt::Debug for Observed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observed")
            .field("route", &self.route)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

impl Asked {
    /// The host without what may stand around it: a port, and a name and password.
    fn host(&self) -> &str {
        if let Some(host) = self.uri.host() {
            return host;
        }
        let host = self.host.as_ref().and_then(|host| host.to_str().ok());
        let host = host.unwrap_or_default();
        let (_, host) = host.rsplit_once('@').unwrap_or(("", host));
        match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_comes_alone() {
        let cases = [
            ("/", Some("www.test"), "www.test"),
            ("/", Some("www.test:8080"), "www.test"),
            ("/", Some("name:password@www.test:80"), "www.test"),
            ("/", Some("[::1]:80"), "[::1]"),
            ("/", Some("[::1]"), "[::1]"),
            ("/", None, ""),
            (
                "http://name:password@other.test/x",
                Some("www.test"),
                "other.test",
            ),
        ];
        for (uri, host, expected) in cases {
            let asked = Asked {
                uri: uri.parse().unwrap(),
                host: host.map(|host| host.parse().unwrap()),
                trace: None,
            };
            assert_eq!(asked.host(), expected, "{uri} {host:?}");
        }
    }
}
