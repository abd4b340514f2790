//! Which trace a line belongs to.

use opentelemetry::{Context as OtelContext, trace::TraceContextExt as _};
use tracing::{Event, Subscriber, dispatcher::WeakDispatch};
use tracing_opentelemetry::get_otel_context;
use tracing_subscriber::{layer::Context, registry::LookupSpan};

/// The ids of a trace and of a span in it (W3C Trace Context).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceIds {
    /// Written with 32 hexadecimal digits.
    pub(crate) trace_id: u128,
    /// Written with 16 hexadecimal digits.
    pub(crate) span_id: u64,
    pub(crate) flags: u8,
}

impl TraceIds {
    /// The ids of the span that the event is in, or of the nearest one around it that has any.
    ///
    /// It starts the span, if that has not been done: its parent must have been set before.
    pub(crate) fn of_event<S>(
        event: &Event<'_>,
        ctx: &Context<'_, S>,
        dispatch: &WeakDispatch,
    ) -> Option<Self>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        let mut scope = ctx.event_scope(event)?;
        let dispatch = dispatch.upgrade()?;
        scope.find_map(|span| Self::of_context(&get_otel_context(&span.id(), &dispatch)?))
    }

    /// The ids of the span of a context, if it has any.
    pub(crate) fn of_context(context: &OtelContext) -> Option<Self> {
        let span = context.span();
        let ids = span.span_context();
        ids.is_valid().then(|| Self {
            trace_id: u128::from_be_bytes(ids.trace_id().to_bytes()),
            span_id: u64::from_be_bytes(ids.span_id().to_bytes()),
            flags: ids.trace_flags().to_u8(),
        })
    }
}
