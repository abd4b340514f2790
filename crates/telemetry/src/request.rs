//! The span of a request, as the conventions for HTTP have it.

use http::{HeaderMap, Method, StatusCode};
use tracing::{Span, field::Empty};

use crate::{
    continue_trace,
    instruments::{Route, method_label},
};

/// The span of a request that has come in, in the trace that its headers name.
///
/// Its name has the kind of route, never the path. Where traces are not exported it is disabled and costs next to
/// nothing. Do the request's work in it (`Instrument::instrument`), and end with [`record_answer`].
pub fn request_span(method: &Method, route: Route, headers: &HeaderMap) -> Span {
    let method = method_label(method);
    let route = route.as_str();
    // A method that is not known is not a part of a name.
    let verb = if method == "_OTHER" { "HTTP" } else { method };
    let span = tracing::info_span!(
        "request",
        otel.name = format_args!("{verb} {route}"),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method,
        http.route = route,
        http.response.status_code = Empty,
        "error.type" = Empty,
    );
    continue_trace(&span, headers);
    span
}

/// Notes in the span of a request how it was answered. Only the server's own failures are errors.
pub fn record_answer(span: &Span, status: StatusCode) {
    let code = i64::from(status.as_u16());
    span.record("http.response.status_code", code);
    if status.is_server_error() {
        span.record("otel.status_code", "error");
        span.record("error.type", status.as_str());
    }
}
