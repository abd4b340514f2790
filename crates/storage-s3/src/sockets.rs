//! How many requests may be in flight.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use object_store::client::{HttpError, HttpErrorKind, HttpResponseBody};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};

/// Least time between two warnings.
const WARNING_INTERVAL: Duration = Duration::from_mins(1);
/// A request that gives up in the queue is worth a warning when it stood there this long.
const GAVE_UP_AFTER: Duration = Duration::from_secs(1);

/// The sockets of a worker. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Sockets(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    free: Arc<Semaphore>,
    most: usize,
    warn_after: Duration,
    warned: Mutex<Option<Instant>>,
}

impl Sockets {
    pub(crate) fn new(most: usize, warn_after: Duration) -> Self {
        let most = most.min(Semaphore::MAX_PERMITS);
        Self(Arc::new(Shared {
            free: Arc::new(Semaphore::new(most)),
            most,
            warn_after,
            warned: Mutex::new(None),
        }))
    }

    /// Waits for a free one, first come, first served. Without a time limit of its own: the operation has one.
    pub(crate) async fn acquire(&self) -> Result<OwnedSemaphorePermit, HttpError> {
        let free = &self.0.free;
        if let Ok(permit) = Arc::clone(free).try_acquire_owned() {
            return Ok(permit);
        }
        let mut queued = Queued {
            sockets: &self.0,
            since: Instant::now(),
            over: false,
        };
        let mut acquire = std::pin::pin!(Arc::clone(free).acquire_owned());
        let permit = if let Ok(permit) = timeout(self.0.warn_after, &mut acquire).await {
            permit
        } else {
            queued.over = true;
            self.0.warn(queued.since.elapsed());
            acquire.await
        };
        queued.over = true;
        permit.map_err(|closed| HttpError::new(HttpErrorKind::Unknown, closed))
    }
}

impl Shared {
    fn warn(&self, waited: Duration) {
        {
            // What is in there is whole whoever panicked.
            let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            if warned.is_some_and(|at| now.duration_since(at) < WARNING_INTERVAL) {
                return;
            }
            *warned = Some(now);
        }
        tracing::warn!(
            s3.max_sockets = self.most,
            s3.waited_ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX),
            "S3 requests wait for a socket: S3 is slow, or ZE_WORKER_S3_MAX_SOCKETS is too low"
        );
    }
}

/// A request in the queue; one that leaves it without a socket is worth a warning too.
struct Queued<'a> {
    sockets: &'a Shared,
    since: Instant,
    over: bool,
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        let waited = self.since.elapsed();
        if !self.over && waited >= GAVE_UP_AFTER.min(self.sockets.warn_after) {
            self.sockets.warn(waited);
        }
    }
}

/// The body of an answer; its socket is free again when the last byte is here, or when it is dropped.
pub(crate) struct Held {
    body: HttpResponseBody,
    permit: Option<OwnedSemaphorePermit>,
}

impl Held {
    pub(crate) fn new(body: HttpResponseBody, permit: OwnedSemaphorePermit) -> Self {
        let permit = (!body.is_end_stream()).then_some(permit);
        Self { body, permit }
    }
}

impl Body for Held {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) || self.body.is_end_stream() {
            self.permit = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
