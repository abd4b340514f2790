//! The body of an answer.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use favonius_storage::StorageError;
use futures::stream::BoxStream;
use http_body::{Body, Frame, SizeHint};

/// The body of an answer: some bytes, or an asset that streams from the store.
///
/// A stream that fails ends the connection: a body never ends as if it were whole.
pub struct EdgeBody(Inner);

enum Inner {
    Bytes(Bytes),
    Stream {
        bytes: BoxStream<'static, Result<Bytes, StorageError>>,
        left: u64,
    },
}

impl EdgeBody {
    pub(crate) fn empty() -> Self {
        Self(Inner::Bytes(Bytes::new()))
    }

    pub(crate) fn stream(
        bytes: BoxStream<'static, Result<Bytes, StorageError>>,
        size: u64,
    ) -> Self {
        Self(Inner::Stream { bytes, left: size })
    }
}

impl From<Bytes> for EdgeBody {
    fn from(bytes: Bytes) -> Self {
        Self(Inner::Bytes(bytes))
    }
}

impl Body for EdgeBody {
    type Data = Bytes;
    type Error = StorageError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StorageError>>> {
        match &mut self.0 {
            Inner::Bytes(bytes) if bytes.is_empty() => Poll::Ready(None),
            Inner::Bytes(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Inner::Stream { bytes, left } => bytes.as_mut().poll_next(cx).map(|piece| {
                piece.map(|piece| {
                    piece.map(|piece| {
                        *left = left.saturating_sub(piece.len() as u64);
                        Frame::data(piece)
                    })
                })
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.0, Inner::Bytes(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match &self.0 {
            Inner::Bytes(bytes) => bytes.len() as u64,
            Inner::Stream { left, .. } => *left,
        })
    }
}

impl fmt::Debug for EdgeBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EdgeBody({} bytes left)", self.size_hint().lower())
    }
}
