//! The body of a request: bounded in size, and in how slowly it may come.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures::{Stream, StreamExt, stream::BoxStream};
use http::{HeaderMap, StatusCode, header};
use http_body::Body;
use serde_json::json;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep},
};

use crate::failure::Failure;

/// A body must be faster than this on average, or it is given up ...
const SLOWEST_BYTES_PER_S: u64 = 1024;
/// ... after this time, which also is how long nothing may come.
const PATIENCE: Duration = Duration::from_secs(15);
/// What is left of a body after a refusal is read up to this size, so that a client that only reads the answer after it
/// has sent everything gets to see it.
const DRAINED: u64 = 8 * 1024 * 1024;

/// For how long it is read.
const DRAIN_FOR: Duration = Duration::from_secs(3);
/// Memory is taken in pieces of this size.
const STEP: usize = 64 * 1024;
/// How long a body waits for memory.
const ROOM_WITHIN: Duration = Duration::from_secs(10);

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the body comes too slowly")]
    TooSlow,
    #[error("the connection broke while the body came")]
    Broken(#[source] Cause),
}

impl From<BodyError> for Failure {
    fn from(error: BodyError) -> Self {
        let message = match error {
            BodyError::TooSlow => "The body comes too slowly: the edge stopped to wait for it",
            BodyError::Broken(_) => "The connection broke before the body was complete",
        };
        Self::new(StatusCode::REQUEST_TIMEOUT, "body_incomplete", message)
    }
}

/// The body of a request.
pub(crate) struct Incoming<'a> {
    bytes: BoxStream<'a, Result<Bytes, BodyError>>,
    length: Option<u64>,
    taken: u64,
    ended: bool,
    failed: bool,
}

/// A body that was read whole, and the memory that it counts for until it is dropped.
pub(crate) struct Document {
    pub(crate) json: Vec<u8>,
    pub(crate) room: Option<OwnedSemaphorePermit>,
}

impl<'a> Incoming<'a> {
    pub(crate) fn new<B>(headers: &HeaderMap, body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'a,
        B::Error: Into<Cause>,
    {
        let length = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok())
            .and_then(|length| length.parse().ok())
            .or_else(|| body.size_hint().exact());
        let paced = Paced {
            body: Box::pin(body),
            received: 0,
            waited: Duration::ZERO,
            waiting_since: None,
            patience: Box::pin(tokio::time::sleep(PATIENCE)),
        };
        Self {
            bytes: paced.boxed(),
            length,
            taken: 0,
            ended: false,
            failed: false,
        }
    }

    /// How long the body is, which a request must say before it sends any.
    pub(crate) fn length(&self) -> Result<u64, Failure> {
        self.length.ok_or_else(|| {
            Failure::new(
                StatusCode::LENGTH_REQUIRED,
                "length_required",
                "The request has no Content-Length: send the body with its length",
            )
        })
    }

    /// The length, when it is within the limit.
    pub(crate) fn length_within(&self, limit: u64) -> Result<u64, Failure> {
        let length = self.length()?;
        if length > limit {
            return Err(Failure::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                format!("The body has {length} bytes, and this edge takes {limit}"),
            )
            .with("limit", json!(limit)));
        }
        Ok(length)
    }

    /// The whole body, which must be within the limit. It takes room in `memory` (KiB) as it comes, so that a body that
    /// drips in keeps nobody else waiting; bodies that wait for each other are given up.
    pub(crate) async fn whole(
        &mut self,
        limit: u64,
        memory: &Arc<Semaphore>,
    ) -> Result<Document, Failure> {
        let length = usize::try_from(self.length_within(limit)?).unwrap_or(usize::MAX);
        let mut json = Vec::new();
        let mut room: Option<OwnedSemaphorePermit> = None;
        while let Some(piece) = self.next().await.transpose()? {
            // The connection delivers no more than its length; this holds for bodies of embedders too.
            let after = json.len() + piece.len();
            if after > length {
                return Err(Failure::bad_request(
                    "wrong_length",
                    "The body is longer than its Content-Length",
                ));
            }
            if after > json.capacity() {
                let more = (after - json.capacity())
                    .max(STEP)
                    .min(length - json.capacity());
                let taken = take(memory, more).await?;
                match &mut room {
                    Some(room) => room.merge(taken),
                    None => room = Some(taken),
                }
                json.reserve_exact(json.capacity() + more - json.len());
            }
            json.extend_from_slice(&piece);
        }
        Ok(Document { json, room })
    }

    /// Reads what is left, if it is not much.
    pub(crate) async fn drain(&mut self) {
        if self
            .length
            .is_none_or(|length| length.saturating_sub(self.taken) > DRAINED)
        {
            return;
        }
        let rest = async { while let Some(Ok(_)) = self.next().await {} };
        // Who sends more slowly than that reads the answer early, or not at all.
        drop(tokio::time::timeout(DRAIN_FOR, rest).await);
    }

    /// How many bytes of it were read.
    pub(crate) fn taken(&self) -> u64 {
        self.taken
    }

    /// Whether any of it was read.
    pub(crate) fn is_begun(&self) -> bool {
        self.taken > 0
    }

    /// Whether it was read to its end: not when it was given up.
    pub(crate) fn is_read(&self) -> bool {
        !self.failed
            && self
                .length
                .map_or(self.ended, |length| length == self.taken)
    }
}

impl Stream for Incoming<'_> {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let piece = ready!(self.bytes.poll_next_unpin(cx));
        match &piece {
            Some(Ok(piece)) => self.taken += piece.len() as u64,
            Some(Err(_)) => (self.ended, self.failed) = (true, true),
            None => self.ended = true,
        }
        Poll::Ready(piece)
    }
}

/// Takes room for so many bytes.
async fn take(memory: &Arc<Semaphore>, bytes: usize) -> Result<OwnedSemaphorePermit, Failure> {
    let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
    let taken = Arc::clone(memory).acquire_many_owned(kib);
    match tokio::time::timeout(ROOM_WITHIN, taken).await {
        Ok(Ok(taken)) => Ok(taken),
        // The semaphore is never closed, so this is the time being over.
        Ok(Err(_)) | Err(_) => Err(Failure::unavailable(
            "busy",
            "This edge reads as many large documents as it can: try again in a moment",
        )),
    }
}

/// A body that is given up when it comes too slowly. Only the time in which we wait for it counts, not that in which we
/// do something else.
struct Paced<B> {
    body: Pin<Box<B>>,
    received: u64,
    waited: Duration,
    waiting_since: Option<Instant>,
    patience: Pin<Box<Sleep>>,
}

impl<B> Stream for Paced<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Cause>,
{
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            let Poll::Ready(frame) = this.body.as_mut().poll_frame(cx) else {
                if this.waiting_since.is_none() {
                    let now = Instant::now();
                    this.waiting_since = Some(now);
                    let earned = Duration::from_secs(this.received / SLOWEST_BYTES_PER_S);
                    let left = (PATIENCE + earned)
                        .saturating_sub(this.waited)
                        .min(PATIENCE);
                    this.patience.as_mut().reset(now + left);
                }
                ready!(this.patience.as_mut().poll(cx));
                return Poll::Ready(Some(Err(BodyError::TooSlow)));
            };
            if let Some(since) = this.waiting_since.take() {
                this.waited += since.elapsed();
            }
            return Poll::Ready(match frame {
                Some(Ok(frame)) => {
                    // Trailers carry nothing for us.
                    let Ok(piece) = frame.into_data() else {
                        continue;
                    };
                    this.received += piece.len() as u64;
                    Some(Ok(piece))
                }
                Some(Err(error)) => Some(Err(BodyError::Broken(error.into()))),
                None => None,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use http_body::Frame;
    use http_body_util::StreamBody;

    use super::*;

    /// A body of pieces of one size, one every so often.
    fn dripping(every: Duration, size: usize, pieces: usize) -> Incoming<'static> {
        let frames = stream::iter(0..pieces).then(move |_| async move {
            tokio::time::sleep(every).await;
            Ok::<_, std::io::Error>(Frame::data(Bytes::from(vec![b'x'; size])))
        });
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_LENGTH, (size * pieces).into());
        Incoming::new(&headers, StreamBody::new(frames))
    }

    #[tokio::test(start_paused = true)]
    async fn slow_bodies_are_given_up() {
        let cases = [
            ("a byte a second", Duration::from_secs(1), 1, 1000, false),
            (
                "2 KiB a second for long",
                Duration::from_secs(1),
                2048,
                600,
                true,
            ),
            (
                "nothing for 16 s",
                Duration::from_secs(16),
                1 << 20,
                2,
                false,
            ),
            (
                "a little, but soon over",
                Duration::from_secs(1),
                1,
                10,
                true,
            ),
        ];
        for (name, every, size, pieces, complete) in cases {
            let mut body = dripping(every, size, pieces);
            let result = body
                .whole(u64::MAX, &Arc::new(Semaphore::new(1 << 20)))
                .await;
            assert_eq!(result.is_ok(), complete, "case `{name}`");
            assert_eq!(body.is_read(), complete, "case `{name}`");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn our_own_pauses_do_not_count() {
        let mut body = dripping(Duration::from_secs(1), 10, 100);
        for _ in 0..3 {
            body.next().await.unwrap().unwrap();
            tokio::time::sleep(Duration::from_secs(100)).await;
        }
        assert!(body.next().await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn limits_hold_before_anything_is_read() {
        let mut body = dripping(Duration::ZERO, 10, 10);
        let failure = body
            .whole(99, &Arc::new(Semaphore::new(64)))
            .await
            .err()
            .unwrap();
        assert_eq!(failure.status, StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(body.taken, 0);
    }
}
