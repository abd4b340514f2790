//! How many requests may be in flight.
//!
//! A request holds its socket until the last byte of its answer is read. A reader may be as slow as it likes while there are
//! others: but one that has taken nothing for [`AWAY_AFTER`] gives its socket to a request that waits for one. When it comes
//! back the rest is asked for again, as after a break; like those no more than a few times. Otherwise a few hundred clients
//! that ask for a large file and read nothing would keep everybody else from the store.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
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

/// A reader that has taken nothing for so long is away.
const AWAY_AFTER: Duration = Duration::from_secs(2);
/// How often a request that waits looks for readers that are away.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How the sockets to a bucket are used. Clones read the same.
#[derive(Debug, Clone)]
pub struct SocketUse(Sockets);

impl SocketUse {
    pub(crate) fn new(sockets: Sockets) -> Self {
        Self(sockets)
    }

    /// How many carry a request.
    pub fn used(&self) -> usize {
        let shared = &self.0.0;
        shared.most.saturating_sub(shared.free.available_permits())
    }

    /// How many requests wait for one.
    pub fn waiting(&self) -> usize {
        self.0.0.waiting.load(Relaxed)
    }

    /// How many there may be.
    pub fn limit(&self) -> usize {
        self.0.0.most
    }
}

/// The sockets of a worker. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Sockets(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    free: Arc<Semaphore>,
    /// One more, for a listing.
    spare: Arc<Semaphore>,
    most: usize,
    waiting: AtomicUsize,
    warn_after: Duration,
    warned: Mutex<Option<Instant>>,
    /// The bodies that hold sockets, and some that are gone.
    bodies: Mutex<Vec<Weak<Mutex<Reading>>>>,
}

impl Sockets {
    pub(crate) fn new(most: usize, warn_after: Duration) -> Self {
        let most = most.min(Semaphore::MAX_PERMITS);
        Self(Arc::new(Shared {
            free: Arc::new(Semaphore::new(most)),
            spare: Arc::new(Semaphore::new(1)),
            most,
            waiting: AtomicUsize::new(0),
            warn_after,
            warned: Mutex::new(None),
            bodies: Mutex::default(),
        }))
    }

    /// The body of an answer that came over this socket.
    pub(crate) fn hold(&self, body: HttpResponseBody, permit: OwnedSemaphorePermit) -> Held {
        let ended = body.is_end_stream();
        let reading = Arc::new(Mutex::new(Reading {
            body: Some(body),
            permit: (!ended).then_some(permit),
            idle_since: Some(Instant::now()),
        }));
        if !ended {
            let mut bodies = lock(&self.0.bodies);
            // No more than there are sockets are alive.
            if bodies.len() >= self.0.most.saturating_mul(2) {
                bodies.retain(|body| body.strong_count() > 0);
            }
            bodies.push(Arc::downgrade(&reading));
        }
        Held(reading)
    }

    /// The one that is kept for listings, when it is free. Readiness lists, and a store whose sockets are all in use is busy, not
    /// gone: a worker that were not ready then would leave its load to the others.
    pub(crate) fn spare(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0.spare).try_acquire_owned().ok()
    }

    /// Waits for a free one, first come, first served. Without a time limit of its own: the operation has one.
    pub(crate) async fn acquire(&self) -> Result<OwnedSemaphorePermit, HttpError> {
        let free = &self.0.free;
        if let Ok(permit) = Arc::clone(free).try_acquire_owned() {
            return Ok(permit);
        }
        self.0.waiting.fetch_add(1, Relaxed);
        let mut queued = Queued {
            sockets: &self.0,
            since: Instant::now(),
            over: false,
        };
        let acquire = async {
            let mut acquire = std::pin::pin!(Arc::clone(free).acquire_owned());
            loop {
                match timeout(LOOK_EVERY, &mut acquire).await {
                    Ok(permit) => return permit,
                    Err(_) => self.0.take_from_one_who_is_away(),
                }
            }
        };
        let mut acquire = std::pin::pin!(acquire);
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
    /// Frees the socket of the reader that has been away longest, if one is away.
    fn take_from_one_who_is_away(&self) {
        let longest = {
            let mut bodies = lock(&self.bodies);
            bodies.retain(|body| body.strong_count() > 0);
            let alive = bodies.iter().filter_map(Weak::upgrade);
            let away = alive.filter_map(|body| {
                let away = lock(&body).away()?;
                Some((away, body))
            });
            away.max_by_key(|(away, _)| *away)
        };
        if let Some((away, body)) = longest {
            lock(&body).give_up();
            tracing::debug!(
                away_ms = u64::try_from(away.as_millis()).unwrap_or(u64::MAX),
                "A reader that takes nothing gave its S3 socket to a request that waits"
            );
        }
    }

    fn warn(&self, waited: Duration) {
        {
            let mut warned = lock(&self.warned);
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
        self.sockets.waiting.fetch_sub(1, Relaxed);
        let waited = self.since.elapsed();
        if !self.over && waited >= GAVE_UP_AFTER.min(self.sockets.warn_after) {
            self.sockets.warn(waited);
        }
    }
}

/// A reader was away too long, and somebody else needed its socket.
#[derive(Debug, thiserror::Error)]
#[error("the reader was away while others waited for a socket")]
struct GaveUp;

/// A body that is read.
#[derive(Debug)]
struct Reading {
    /// `None` when it was given up.
    body: Option<HttpResponseBody>,
    permit: Option<OwnedSemaphorePermit>,
    /// Since when the reader could come for more; `None` while it waits for the server.
    idle_since: Option<Instant>,
}

impl Reading {
    /// How long the reader has been away, when it is and holds a socket.
    fn away(&self) -> Option<Duration> {
        let idle = self.idle_since.filter(|_| self.permit.is_some())?.elapsed();
        (idle >= AWAY_AFTER).then_some(idle)
    }

    fn give_up(&mut self) {
        // The connection first: it is the socket.
        self.body = None;
        self.permit = None;
    }

    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let Some(body) = &mut self.body else {
            let gave_up = HttpError::new(HttpErrorKind::Interrupted, GaveUp);
            return Poll::Ready(Some(Err(gave_up)));
        };
        self.idle_since = None;
        let frame = ready!(Pin::new(&mut *body).poll_frame(cx));
        self.idle_since = Some(Instant::now());
        if !matches!(frame, Some(Ok(_))) || body.is_end_stream() {
            self.permit = None;
        }
        Poll::Ready(frame)
    }
}

/// The body of an answer; its socket is free again when the last byte is here, or when it is dropped.
pub(crate) struct Held(Arc<Mutex<Reading>>);

impl Body for Held {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        lock(&self.0).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        let reading = lock(&self.0);
        reading.body.as_ref().is_some_and(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let reading = lock(&self.0);
        reading
            .body
            .as_ref()
            .map(Body::size_hint)
            .unwrap_or_default()
    }
}

/// What is in there is whole whoever panicked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
