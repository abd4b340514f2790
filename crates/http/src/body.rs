//! The body of an answer.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use favonius_storage::StorageError;
use futures::stream::BoxStream;
use http_body::{Body, Frame, SizeHint};

use crate::observe::Observed;

/// What an answer carries: some bytes, or an asset that streams from the store.
pub(crate) struct Payload(Content);

enum Content {
    Bytes(Bytes),
    Stream {
        bytes: BoxStream<'static, Result<Bytes, StorageError>>,
        left: u64,
    },
}

impl Content {
    fn is_given(&self) -> bool {
        self.left() == 0
    }

    /// How many bytes are still to come.
    fn left(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Stream { left, .. } => *left,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, StorageError>>> {
        match self {
            Self::Bytes(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Bytes(bytes) => Poll::Ready(Some(Ok(std::mem::take(bytes)))),
            Self::Stream { bytes, left } => {
                let piece = ready!(bytes.as_mut().poll_next(cx));
                if let Some(Ok(piece)) = &piece {
                    *left = left.saturating_sub(piece.len() as u64);
                }
                Poll::Ready(piece)
            }
        }
    }
}

impl Payload {
    pub(crate) fn empty() -> Self {
        Self(Content::Bytes(Bytes::new()))
    }

    pub(crate) fn stream(
        bytes: BoxStream<'static, Result<Bytes, StorageError>>,
        size: u64,
    ) -> Self {
        Self(Content::Stream { bytes, left: size })
    }

    pub(crate) fn is_stream(&self) -> bool {
        matches!(self.0, Content::Stream { .. })
    }

    /// How many bytes it has.
    pub(crate) fn length(&self) -> u64 {
        self.0.left()
    }

    /// As the body of an answer, of which this is told what becomes of it.
    pub(crate) fn observed(self, mut observed: Observed) -> EdgeBody {
        if self.0.is_given() {
            observed.complete();
        }
        EdgeBody {
            content: self.0,
            observed,
        }
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Self(Content::Bytes(bytes))
    }
}

/// The body of an answer.
///
/// Where it cannot be had to its end, the connection ends: a body never ends as if it were whole.
pub struct EdgeBody {
    content: Content,
    observed: Observed,
}

impl Body for EdgeBody {
    type Data = Bytes;
    type Error = StorageError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StorageError>>> {
        let Self { content, observed } = &mut *self;
        // The span of a request ends where it was left last.
        let piece = ready!(observed.within(|| content.poll(cx)));
        match &piece {
            Some(Ok(piece)) => observed.sent(piece.len()),
            Some(Err(error)) => observed.broken(error),
            None => {}
        }
        if content.is_given() && !matches!(piece, Some(Err(_))) {
            observed.complete();
        }
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.content, Content::Bytes(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.content.left())
    }
}

impl fmt::Debug for EdgeBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EdgeBody({} bytes left)", self.content.left())
    }
}
