//! Watches a connection: how long a request head takes, how long nothing happens, how long nothing can be written.

use std::{
    cell::RefCell,
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

/// The first bytes of an HTTP/2 connection (RFC 9113, section 3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0";
/// Up to so many bytes are written in one piece, although they stand in several: to copy them costs less than it costs the kernel
/// to gather them.
const SMALL: usize = 8 * 1024;

thread_local! {
    /// Where they are put together. It is in use for one write only, below which there is no other guard.
    static SMALL_WRITE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

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
    /// Each request that is under way has a share in it.
    under_way: Arc<()>,
    requests: AtomicU64,
    http2: AtomicBool,
    /// Whether idle connections are to end.
    closing: AtomicBool,
}

/// A request that is under way, until this is dropped.
#[derive(Debug)]
pub(super) struct Busy(#[expect(dead_code, reason = "it counts by being there")] Arc<()>);

impl Activity {
    pub(super) fn new() -> Self {
        Self {
            under_way: Arc::default(),
            requests: AtomicU64::new(0),
            http2: AtomicBool::new(false),
            closing: AtomicBool::new(false),
        }
    }

    /// From now on the connection ends when it is idle for a moment.
    pub(super) fn close(&self) {
        self.closing.store(true, SeqCst);
    }

    pub(super) fn begin(&self) -> Busy {
        self.requests.fetch_add(1, SeqCst);
        Busy(Arc::clone(&self.under_way))
    }

    /// A stream of HTTP/2 may end on another thread while this looks, which is then seen at the next look. Requests of HTTP/1.1 begin
    /// and end on the thread that asks.
    fn is_busy(&self) -> bool {
        Arc::strong_count(&self.under_way) > 1
    }

    pub(super) fn is_http2(&self) -> bool {
        self.http2.load(SeqCst)
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
    /// Whether the timer will wake the connection.
    armed: bool,
    write_timer: Pin<Box<Sleep>>,
    writing: bool,
}

/// The wait for a request head.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    /// Not known before somebody asks: most heads are whole at once, and the time need not be looked at for them.
    until: Option<Instant>,
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
                until: Some(now + limits.head),
                head_begun: true,
                closing: false,
            }),
            read_timer: Box::pin(tokio::time::sleep_until(now + limits.head)),
            armed: false,
            write_timer: Box::pin(tokio::time::sleep_until(now + limits.write)),
            writing: false,
        }
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
        if self.activity.is_busy() || self.activity.is_http2() {
            return;
        }
        match &mut self.waiting {
            Some(waiting) if waiting.head_begun => {}
            Some(waiting) => {
                waiting.head_begun = true;
                waiting.until = None;
            }
            None => {
                self.waiting = Some(Waiting {
                    until: None,
                    head_begun: true,
                    closing: false,
                });
            }
        }
    }

    /// Until when the next request must have come; `None` while one is under way.
    ///
    /// A request is over for its service when its last bytes are given away, and for its peer when they are taken.
    fn deadline(&mut self) -> Option<Instant> {
        let requests = self.activity.requests.load(SeqCst);
        if self.writing || self.activity.is_busy() {
            self.seen = requests;
            self.waiting = None;
            return None;
        }
        if requests != self.seen {
            self.seen = requests;
            self.waiting = None;
        }
        let waiting = self.waiting.get_or_insert(Waiting {
            until: None,
            head_begun: false,
            closing: false,
        });
        let limit = if waiting.head_begun {
            self.limits.head
        } else {
            self.limits.idle
        };
        let mut until = waiting.until.unwrap_or_else(|| Instant::now() + limit);
        // HTTP/2 ends by itself when its streams have, which may be later than we know of.
        let is_closing = self.activity.closing.load(SeqCst) && !self.activity.is_http2();
        if is_closing && !waiting.closing {
            waiting.closing = true;
            if !waiting.head_begun || requests == 0 {
                until = until.min(Instant::now() + CLOSING_IDLE);
            }
        }
        waiting.until = Some(until);
        Some(until)
    }

    /// Sees to it that the connection is woken when the next request must have come; `Ready` if it must have by now.
    ///
    /// A timer that comes too early is set again when it comes, and not with every request.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(until) = self.deadline() else {
            return Poll::Pending;
        };
        if self.read_timer.deadline() > until {
            self.read_timer.as_mut().reset(until);
        }
        while self.read_timer.as_mut().poll(cx).is_ready() {
            if until <= Instant::now() {
                self.armed = false;
                return Poll::Ready(());
            }
            self.read_timer.as_mut().reset(until);
        }
        self.armed = true;
        Poll::Pending
    }

    /// An answer is written. The reader is not asked again before something comes, so that the wait for it begins here.
    fn written(&mut self, cx: &mut Context<'_>) {
        // It may have gone off in the middle of a long answer, when there was no deadline.
        let is_armed = self.armed && !self.read_timer.is_elapsed();
        if self.activity.is_http2() || self.deadline().is_none() || is_armed {
            return;
        }
        if self.poll_deadline(cx).is_ready() {
            // The reader fails with it.
            cx.waker().wake_by_ref();
        }
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
                let head_goes_on = this.waiting.is_some_and(|waiting| waiting.head_begun);
                this.received(new);
                // Bytes that trickle in must not put the end off.
                if head_goes_on
                    && let Some(until) = this.deadline()
                    && until <= Instant::now()
                {
                    return Poll::Ready(Err(timed_out("the request head took too long")));
                }
            }
            return read;
        }
        if this.poll_deadline(cx).is_ready() {
            return Poll::Ready(Err(timed_out("no request came in time")));
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
            if self.activity.is_http2() {
                // Streams may go on at the pace of their peer long after their requests are over for us.
                self.waiting = None;
            }
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
        let flushed = self.watch(cx, AsyncWrite::poll_flush);
        if flushed.is_ready() {
            self.written(cx);
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.watch(cx, AsyncWrite::poll_shutdown)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length: usize = slices.iter().map(|slice| slice.len()).sum();
        if slices.len() == 1 || length > SMALL {
            return self.watch(cx, |inner, cx| inner.poll_write_vectored(cx, slices));
        }
        SMALL_WRITE.with_borrow_mut(|buffer| {
            buffer.clear();
            for slice in slices {
                buffer.extend_from_slice(slice);
            }
            self.watch(cx, |inner, cx| inner.poll_write(cx, buffer))
        })
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn what_is_written_in_pieces_arrives_in_order() {
        let limits = Limits {
            head: Duration::from_mins(1),
            idle: Duration::from_mins(1),
            write: Duration::from_mins(1),
        };
        // A peer that takes all at once, and one that takes a little at a time.
        for room in [64 * 1024, 1000] {
            for length in [0, 1, SMALL - 7, SMALL - 6, 3 * SMALL] {
                let (near, mut far) = tokio::io::duplex(room);
                let mut guard = Guard::new(near, limits, Arc::new(Activity::new()));
                let head = *b"head: x";
                let body: Vec<_> = (0..=u8::MAX).cycle().take(length).collect();
                let expected = [&head[..], &body].concat();
                let write = async {
                    let mut written = 0;
                    while written < expected.len() {
                        let in_head = written.min(head.len());
                        let pieces = [
                            IoSlice::new(&head[in_head..]),
                            IoSlice::new(&body[written - in_head..]),
                        ];
                        written += guard.write_vectored(&pieces).await.unwrap();
                    }
                    guard.shutdown().await.unwrap();
                };
                let mut read = Vec::new();
                let ((), received) = tokio::join!(write, far.read_to_end(&mut read));
                received.unwrap();
                assert!(read == expected, "{length} bytes, {room} at a time");
            }
        }
    }
}
