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

/// The body of an answer: some bytes, or an asset that streams from the store.
///
/// A stream that fails ends the connection: a body never ends as if it were whole.
pub struct EdgeBody {
    content: Content,
    /// Whoever is told what becomes of it.
    observed: Option<Observed>,
}

enum Content {
    Bytes(Bytes),
    Stream {
        bytes: BoxStream<'static, Result<Bytes, StorageError>>,
        left: u64,
    },
}

impl Content {
    fn is_given(&self) -> bool {
        match self {
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::Stream { left, .. } => *left == 0,
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

impl EdgeBody {
    pub(crate) fn empty() -> Self {
        Self::of(Content::Bytes(Bytes::new()))
    }

    pub(crate) fn stream(
        bytes: BoxStream<'static, Result<Bytes, StorageError>>,
        size: u64,
    ) -> Self {
        Self::of(Content::Stream { bytes, left: size })
    }

    fn of(content: Content) -> Self {
        Self {
            content,
            observed: None,
        }
    }

    /// Tells this what becomes of the body.
    pub(crate) fn observe(&mut self, mut observed: Observed) {
        if self.content.is_given() {
            observed.complete();
        }
        self.observed = Some(observed);
    }
}

impl From<Bytes> for EdgeBody {
    fn from(bytes: Bytes) -> Self {
        Self::of(Content::Bytes(bytes))
    }
}

impl Body for EdgeBody {
    type Data = Bytes;
    type Error = StorageError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StorageError>>> {
        let this = &mut *self;
        let polled = match &this.observed {
            // The span of a request ends where it was left last.
            Some(observed) => observed.within(|| this.content.poll(cx)),
            None => this.content.poll(cx),
        };
        let piece = ready!(polled);
        let is_given = self.content.is_given();
        if let Some(observed) = &mut self.observed {
            match &piece {
                Some(Ok(piece)) => observed.sent(piece.len()),
                Some(Err(error)) => observed.broken(error),
                None => {}
            }
            if is_given && !matches!(piece, Some(Err(_))) {
                observed.complete();
            }
        }
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.content, Content::Bytes(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match &self.content {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::Stream { left, .. } => *left,
        })
    }
}

impl fmt::Debug for EdgeBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EdgeBody({} bytes left)", self.size_hint().lower())
    }
}
