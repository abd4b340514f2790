//! Which requests are traced: decided before anything is made for their traces.
//!
//! A span costs even when it is not sampled. So the sampler is asked first, with the trace that the request's headers name or
//! with the id that a new trace would have; only what it keeps becomes a span. Operations of back ends have spans only within
//! others (see the filter), so that a request that is not kept leaves nothing behind.

use std::{cell::Cell, fmt, sync::Arc};

use http::{HeaderMap, Method, StatusCode};
use opentelemetry::{
    Context,
    trace::{SpanId, SpanKind, TraceContextExt as _, TraceId},
};
use opentelemetry_sdk::trace::{
    IdGenerator, RandomIdGenerator, Sampler, SamplingDecision, ShouldSample as _,
};
use tracing::{Span, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::{
    instruments::{Route, method_label},
    propagation::parent_of,
    trace::TraceIds,
};

thread_local! {
    /// The id of the trace that is about to begin on this thread.
    static NEXT: Cell<Option<TraceId>> = const { Cell::new(None) };
}

/// Gives a new trace the id that its sampling was decided with.
#[derive(Debug, Default)]
pub(crate) struct Ids(RandomIdGenerator);

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        NEXT.take().unwrap_or_else(|| self.0.new_trace_id())
    }

    fn new_span_id(&self) -> SpanId {
        self.0.new_span_id()
    }
}

/// Makes the spans that traces begin with here. Clones do the same.
///
/// The default makes a span for everything, for whatever subscriber there is.
#[derive(Clone, Default)]
pub struct Traces(Option<Arc<Sampling>>);

#[derive(Debug)]
struct Sampling {
    sampler: Sampler,
    /// Whether a trace that nobody has begun before is never kept: then there is nothing to ask.
    only_by_parent: bool,
}

/// The span of a request, and what lines about it are to name.
#[derive(Debug)]
pub struct RequestSpan {
    /// Disabled when the request is not traced.
    pub span: Span,
    /// The trace that headers name.
    parent: Option<Context>,
}

impl RequestSpan {
    /// The trace that lines about the request are to name: also of a request that is not traced here, when its headers name one.
    pub fn ids(&self) -> Option<TraceIds> {
        if self.span.is_disabled() {
            self.parent.as_ref().and_then(TraceIds::of_context)
        } else {
            TraceIds::of_context(&self.span.context())
        }
    }
}

impl Traces {
    pub(crate) fn sampled(sampler: Sampler, only_by_parent: bool) -> Self {
        Self(Some(Arc::new(Sampling {
            sampler,
            only_by_parent,
        })))
    }

    /// The span of a request that has come in, in the trace that its headers name (W3C Trace Context).
    ///
    /// Its name has the kind of route, never the path. Do the request's work in it (`Instrument::instrument`), and end with
    /// [`record_answer`].
    pub fn request(
        &self,
        method: &Method,
        route: Route,
        headers: &HeaderMap,
        request_id: &str,
    ) -> RequestSpan {
        let method = method_label(method);
        let route = route.as_str();
        // A method that is not known is not a part of a name.
        let verb = if method == "_OTHER" { "HTTP" } else { method };
        let make = || {
            tracing::info_span!(
                "request",
                otel.name = format_args!("{verb} {route}"),
                otel.kind = "server",
                otel.status_code = Empty,
                http.request.method = method,
                http.route = route,
                http.response.status_code = Empty,
                favonius.request_id = request_id,
                "error.type" = Empty,
            )
        };
        let parent = parent_of(headers);
        let span = self.begin(parent.as_ref(), make);
        // Without traces of ours lines name none.
        let parent = parent.filter(|_| self.0.is_some());
        RequestSpan { span, parent }
    }

    /// A span that something begins with that nobody asked for, such as a readiness check, if its trace is kept.
    pub fn background(&self, make: impl FnOnce() -> Span) -> Span {
        self.begin(None, make)
    }

    fn begin(&self, parent: Option<&Context>, make: impl FnOnce() -> Span) -> Span {
        // Within a span of the program around us there is nothing to decide, and it has its parent.
        if !Span::current().is_none() {
            return make();
        }
        let Some(sampling) = &self.0 else {
            let span = make();
            if let Some(parent) = parent
                && !span.is_disabled()
            {
                // Without a layer that exports traces there is nothing to continue.
                span.set_parent(parent.clone()).unwrap_or_default();
            }
            return span;
        };
        if parent.is_none() && sampling.only_by_parent {
            return Span::none();
        }
        let parent = parent.cloned().unwrap_or_default();
        let remote = parent.span().span_context().clone();
        let trace_id = if remote.is_valid() {
            remote.trace_id()
        } else {
            RandomIdGenerator::default().new_trace_id()
        };
        let (sampler, kind) = (&sampling.sampler, SpanKind::Server);
        let asked = sampler.should_sample(Some(&parent), trace_id, "", &kind, &[], &[]);
        if asked.decision != SamplingDecision::RecordAndSample {
            return Span::none();
        }
        let span = make();
        if span.is_disabled() {
            return span;
        }
        // As above.
        span.set_parent(parent).unwrap_or_default();
        NEXT.set(Some(trace_id));
        // This starts it, with the id.
        let _context = span.context();
        NEXT.set(None);
        span
    }
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Traces").field(&self.0).finish()
    }
}

/// Notes in the span of a request how it was answered. Only the server's own failures are errors.
pub fn record_answer(span: &Span, status: StatusCode) {
    if span.is_disabled() {
        return;
    }
    let code = i64::from(status.as_u16());
    span.record("http.response.status_code", code);
    if status.is_server_error() {
        record_error(span, status.as_str());
    }
}

/// Notes in the span of a request that it failed, with a fixed name of the failure.
pub fn record_error(span: &Span, error: &str) {
    span.record("otel.status_code", "error");
    span.record("error.type", error);
}
