//! Which trace a line belongs to.

use tracing_subscriber::registry::Extensions;

/// The ids of a trace and of a span in it (W3C Trace Context).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceIds {
    /// Written with 32 hexadecimal digits.
    pub trace_id: u128,
    /// Written with 16 hexadecimal digits.
    pub span_id: u64,
}

/// Finds the ids that another layer has given to a span.
///
/// It is asked for the span that an event is in, then for that span's parents, until one has ids. It is called while
/// the span's extensions are locked, so it must not log.
pub trait TraceLookup: Send + Sync + 'static {
    /// The ids among what layers keep with a span.
    fn ids(&self, span: &Extensions<'_>) -> Option<TraceIds>;
}

impl<F> TraceLookup for F
where
    F: Fn(&Extensions<'_>) -> Option<TraceIds> + Send + Sync + 'static,
{
    fn ids(&self, span: &Extensions<'_>) -> Option<TraceIds> {
        self(span)
    }
}
