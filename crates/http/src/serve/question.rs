//! What a request for a deployment asks.

use http::{HeaderMap, Method, Request, Uri};

/// A request without its body, and whether its answer may be waited for.
///
/// Nearly all answers are in memory. So a request is first answered without waiting, on the spot; only where that leads to a store,
/// it begins again as a task that may wait. Before anything that waits stands [`wait`](Self::wait), which ends the attempt.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
    may_wait: bool,
    is_repeated: bool,
}

impl<'a> Question<'a> {
    /// One that is answered on the spot or not at all.
    pub(crate) fn at_once<B>(request: &'a Request<B>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            may_wait: false,
            is_repeated: false,
        }
    }

    /// One whose answer may be waited for; it may have been tried at once before.
    pub(crate) fn patient<B>(request: &'a Request<B>, is_repeated: bool) -> Self {
        Self {
            may_wait: true,
            is_repeated,
            ..Self::at_once(request)
        }
    }

    /// Whether what is found in memory was found before for the same request.
    pub(crate) fn is_repeated(&self) -> bool {
        self.is_repeated
    }

    /// Stands before what waits for a store. Where that may not be it never resolves, so that nothing is begun and left.
    pub(crate) async fn wait(&self) {
        if !self.may_wait {
            std::future::pending::<()>().await;
        }
    }
}
