//! Requests and their bodies, as the guard of their connection counts them.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::Service as HyperService;

use super::{
    guard::{self, Activity},
    untaken,
};
use crate::{
    body::EdgeBody,
    edge::{Edge, EdgeFuture},
};

/// Tells the guard of the connection which requests are under way.
pub(super) struct Counted {
    pub(super) edge: Edge,
    pub(super) activity: Arc<Activity>,
}

impl HyperService<Request<Incoming>> for Counted {
    type Response = Response<CountedBody>;
    type Error = Infallible;
    type Future = CountedFuture;

    fn call(&self, request: Request<Incoming>) -> CountedFuture {
        let busy = self.activity.begin();
        CountedFuture {
            answer: self.edge.answer(request),
            busy: Some(busy),
        }
    }
}

pin_project_lite::pin_project! {
    /// The answer to come, of a request that counts.
    pub(super) struct CountedFuture {
        #[pin]
        answer: EdgeFuture,
        busy: Option<guard::Busy>,
    }
}

impl Future for CountedFuture {
    type Output = Result<Response<CountedBody>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        this.answer.poll(cx).map(|answer| {
            let busy = this.busy.take();
            answer.map(|answer| answer.map(|body| CountedBody { body, _busy: busy }))
        })
    }
}

pin_project_lite::pin_project! {
    /// A body whose request counts as under way until it is gone.
    pub(super) struct CountedBody {
        #[pin]
        body: EdgeBody,
        _busy: Option<guard::Busy>,
    }
}

impl Body for CountedBody {
    type Data = bytes::Bytes;
    type Error = favonius_storage::StorageError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<bytes::Bytes>, Self::Error>>> {
        let frame = self.project().body.poll_frame(cx);
        untaken::note(matches!(frame, Poll::Ready(Some(Ok(_)))));
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
