//! Watches a connection: how long a request head takes, how long nothing happens, how long nothing can be written.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};
use tokio_util::sync::CancellationToken;

/// The first bytes of an HTTP/2 connection (RFC 9113, section 3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0";
/// How long a connection may be idle once the server is closing.
const CLOSING_IDLE: Duration = Duration::from_secs(1);

/// How long things may take on a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// From the first byte of a request head to its last; for the first request, from the connection's start.
    pub(super) head: Duration,
    /// Between requests.
    pub(super) idle: Duration,
    /// For a peer to take more of what is sent to it.
    pub(super) write: Duration,
}

/// What happens on a connection, as its service sees it.
#[derive(Debug)]
pub(super) struct Activity {
    busy: AtomicUsize,
    requests: AtomicU64,
    http2: AtomicBool,
    closing: CancellationToken,
}

/// A request that is under way, until this is dropped.
#[derive(Debug)]
pub(super) struct Busy(Arc<Activity>);

impl Activity {
    pub(super) fn new(closing: CancellationToken) -> Self {
        Self {
            busy: AtomicUsize::new(0),
            requests: AtomicU64::new(0),
            http2: AtomicBool::new(false),
            closing,
        }
    }

    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, SeqCst);
        self.requests.fetch_add(1, SeqCst);
        Busy(Arc::clone(self))
    }

    pub(super) fn is_http2(&self) -> bool {
        self.http2.load(SeqCst)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, SeqCst);
    }
}

/// A connection that fails with `TimedOut` when it takes too long.
#[derive(Debug)]
pub(super) struct Guard<S> {
    inner: S,
    limits: Limits,
    activity: Arc<Activity>,
    /// What of the HTTP/2 preface has not come yet; `None` once something else came.
    preface: Option<&'static [u8]>,
    /// How many requests had begun when the wait for the next began.
    seen: u64,
    waiting: Option<Waiting>,
    read_timer: Pin<Box<Sleep>>,
    write_timer: Pin<Box<Sleep>>,
    writing: bool,
}

/// The wait for a request head.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    until: Instant,
    head_begun: bool,
    closing: bool,
}

impl<S> Guard<S> {
    pub(super) fn new(inner: S, limits: Limits, activity: Arc<Activity>) -> Self {
        let now = Instant::now();
        Self {
            inner,
            limits,
            activity,
            preface: Some(HTTP2_PREFACE),
            seen: 0,
            waiting: Some(Waiting {
                until: now + limits.head,
                head_begun: true,
                closing: false,
            }),
            read_timer: Box::pin(tokio::time::sleep_until(now + limits.head)),
            write_timer: Box::pin(tokio::time::sleep_until(now + limits.write)),
            writing: false,
        }
    }

    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    /// Compares the first bytes of the connection, which may come one by one, with those of HTTP/2.
    fn look_for_preface(&mut self, bytes: &[u8]) {
        let Some(expected) = self.preface.filter(|rest| !rest.is_empty()) else {
            return;
        };
        let n = expected.len().min(bytes.len());
        self.preface = match (expected.split_at_checked(n), bytes.get(..n)) {
            (Some((first, rest)), Some(read)) if first == read => Some(rest),
            _ => None,
        };
        if self.preface.is_some_and(<[u8]>::is_empty) {
            self.activity.http2.store(true, SeqCst);
        }
    }

    /// Something was read: the first bytes of a head begin its time.
    fn received(&mut self, bytes: &[u8]) {
        self.look_for_preface(bytes);
        if self.activity.busy.load(SeqCst) > 0 || self.activity.is_http2() {
            return;
        }
        match &mut self.waiting {
            Some(waiting) if !waiting.head_begun => {
                waiting.head_begun = true;
                waiting.until = Instant::now() + self.limits.head;
            }
            Some(_) => {}
            None => {
                let until = Instant::now() + self.limits.head;
                self.waiting = Some(Waiting {
                    until,
                    head_begun: true,
                    closing: false,
                });
            }
        }
    }

    /// Until when the next request must have come; `None` while one is under way.
    fn deadline(&mut self) -> Option<Instant> {
        let requests = self.activity.requests.load(SeqCst);
        if self.activity.busy.load(SeqCst) > 0 {
            self.seen = requests;
            self.waiting = None;
            return None;
        }
        if requests != self.seen {
            self.seen = requests;
            self.waiting = None;
        }
        let idle = self.limits.idle;
        let waiting = self.waiting.get_or_insert_with(|| Waiting {
            until: Instant::now() + idle,
            head_begun: false,
            closing: false,
        });
        if self.activity.closing.is_cancelled() && !waiting.closing {
            waiting.closing = true;
            if !waiting.head_begun || requests == 0 {
                waiting.until = waiting.until.min(Instant::now() + CLOSING_IDLE);
            }
        }
        Some(waiting.until)
    }
}

fn timed_out(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

impl<S: AsyncRead + Unpin> AsyncRead for Guard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.inner).poll_read(cx, buffer);
        if read.is_ready() {
            let new = buffer.filled().get(before..).unwrap_or_default();
            if !new.is_empty() {
                this.received(new);
                // Bytes that trickle in must not put the end off.
                if let Some(until) = this.deadline()
                    && until <= Instant::now()
                {
                    return Poll::Ready(Err(timed_out("the request head took too long")));
                }
            }
            return read;
        }
        if let Some(until) = this.deadline() {
            if this.read_timer.deadline() != until {
                this.read_timer.as_mut().reset(until);
            }
            if this.read_timer.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(timed_out("no request came in time")));
            }
        }
        Poll::Pending
    }
}

impl<S: AsyncWrite + Unpin> Guard<S> {
    /// Passes a write on, and fails it when the peer takes nothing for too long.
    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let written = write(Pin::new(&mut self.inner), cx);
        if written.is_ready() {
            self.writing = false;
            return written;
        }
        if !self.writing {
            self.writing = true;
            self.write_timer
                .as_mut()
                .reset(Instant::now() + self.limits.write);
        }
        if self.write_timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(timed_out("the peer takes nothing of the answer")));
        }
        Poll::Pending
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.watch(cx, |inner, cx| inner.poll_write(cx, bytes))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.watch(cx, AsyncWrite::poll_flush)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.watch(cx, AsyncWrite::poll_shutdown)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.watch(cx, |inner, cx| inner.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
