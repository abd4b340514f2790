//! Traces that begin before us and go on after us (W3C Trace Context).

use std::sync::LazyLock;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{
    Context,
    propagation::{Extractor, Injector, TextMapPropagator as _},
    trace::TraceContextExt as _,
};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";
const PARENT: HeaderName = HeaderName::from_static(TRACEPARENT);
/// What is passed on of `tracestate`, at most; the standard asks for as much at least.
const MOST_STATE: usize = 512;

static PROPAGATOR: LazyLock<TraceContextPropagator> = LazyLock::new(TraceContextPropagator::new);

/// Makes a span a part of the trace that a request belongs to, if its headers name one.
///
/// It has to be called right after the span was made, before it is entered and before anything is logged in it. Headers
/// that are not as the standard has them are ignored, and the span begins a trace.
pub fn continue_trace(span: &Span, headers: &HeaderMap) {
    if span.is_disabled() {
        return;
    }
    if let Some(parent) = parent_of(headers) {
        // Without a layer that exports traces there is nothing to continue.
        span.set_parent(parent).unwrap_or_default();
    }
}

/// The trace that headers name, if they name one.
pub(crate) fn parent_of(headers: &HeaderMap) -> Option<Context> {
    // Most requests have a few headers and not this one: to compare names costs less than to hash one.
    if !headers.keys().any(|name| *name == PARENT) {
        return None;
    }
    let parent = PROPAGATOR.extract_with_context(&Context::new(), &Incoming::new(headers));
    parent.has_active_span().then_some(parent)
}

/// Names the trace of a span in the headers of a request that is made within it.
pub fn pass_on_trace(span: &Span, headers: &mut HeaderMap) {
    PROPAGATOR.inject_context(&span.context(), &mut Outgoing(headers));
}

struct Incoming<'a> {
    parent: Option<&'a str>,
    state: Option<String>,
}

impl<'a> Incoming<'a> {
    fn new(headers: &'a HeaderMap) -> Self {
        let mut parents = headers.get_all(TRACEPARENT).iter();
        let parent = match (parents.next(), parents.next()) {
            (Some(only), None) => only.to_str().ok(),
            _ => None,
        };
        // It may come in several headers, as any list.
        let states = headers.get_all(TRACESTATE).iter();
        let states: Vec<_> = states.filter_map(|state| state.to_str().ok()).collect();
        let state = Some(states.join(",")).filter(|state| state.len() <= MOST_STATE);
        Self { parent, state }
    }
}

impl Extractor for Incoming<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            TRACEPARENT => self.parent,
            TRACESTATE => self.state.as_deref(),
            _ => None,
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT, TRACESTATE]
    }
}

struct Outgoing<'a>(&'a mut HeaderMap);

impl Injector for Outgoing<'_> {
    fn set(&mut self, key: &str, value: String) {
        let name = match key {
            TRACEPARENT => HeaderName::from_static(TRACEPARENT),
            TRACESTATE => HeaderName::from_static(TRACESTATE),
            _ => return,
        };
        if value.is_empty() {
            return;
        }
        // Ids are hexadecimal, and the state came in a header.
        if let Ok(value) = HeaderValue::try_from(value) {
            self.0.insert(name, value);
        }
    }
}
