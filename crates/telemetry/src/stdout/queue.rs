//! Lines on their way to the output.
//!
//! Standard output may be a pipe that nobody empties. So lines are put into a buffer of bounded size, and a thread of
//! its own writes what it finds there, all of it at once. A lock is only ever held to copy bytes, never to write them.
//! Lines that are in no hurry do not wake the thread one by one: it waits for more of them for a moment.

use std::{
    fmt,
    io::{self, ErrorKind, Write},
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use super::line::Renderer;
use crate::Level;

/// Room for what ends the process, when all other room is taken.
const RESERVE: usize = 64 * 1024;
/// How much room a buffer keeps when it has become empty.
const KEPT_ROOM: usize = 256 * 1024;
/// How long lines that are in no hurry are gathered, unless they have become so many bytes.
const GATHER: Duration = Duration::from_millis(50);
const GATHERED: usize = 64 * 1024;
/// How long to wait for an output that takes nothing just now.
const PAUSE: Duration = Duration::from_millis(10);

/// Lines on their way to the output. Clones share them.
#[derive(Clone)]
pub(crate) struct Queue(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// There is something to write, or nothing will come any more.
    filled: Condvar,
    /// All is written.
    emptied: Condvar,
    most_bytes: usize,
    /// So many bytes are worth to be written.
    worthwhile: usize,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    /// Whether something is in a hurry.
    urgent: bool,
    /// Lines that are lost and not reported yet.
    unreported: u64,
    /// Lines that are lost, since the start.
    lost: u64,
    /// Whether the thread has lines that it has not written yet.
    writing: bool,
    life: Life,
}

/// How far the queue has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Life {
    #[default]
    Open,
    /// No more lines are taken.
    Closed,
    /// The thread has ended.
    Ended,
}

impl State {
    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.unreported == 0 && !self.writing
    }

    /// Whether it is worth to wait for more.
    fn gathers(&self, worthwhile: usize) -> bool {
        !self.urgent && self.life == Life::Open && self.waiting.len() < worthwhile
    }
}

impl Queue {
    /// Starts the thread that writes.
    pub(crate) fn start(
        writer: Box<dyn Write + Send>,
        renderer: Arc<Renderer>,
        most_bytes: usize,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            filled: Condvar::new(),
            emptied: Condvar::new(),
            most_bytes,
            worthwhile: GATHERED.min(most_bytes / 2),
        });
        let queue = Self(Arc::clone(&shared));
        thread::Builder::new()
            .name("log-writer".into())
            .spawn(move || shared.write_all(writer, &renderer))?;
        Ok(queue)
    }

    /// Puts a line in, if there is room. Never waits for the output.
    pub(crate) fn push(&self, level: Level, line: &[u8]) {
        let reserve = if level == Level::Fatal { RESERVE } else { 0 };
        let mut state = self.0.lock();
        self.put(&mut state, line, reserve);
        state.urgent = true;
        drop(state);
        self.0.filled.notify_one();
    }

    /// The same for a line of which there are many: it may be written a moment later, together with others.
    pub(crate) fn push_unhurried(&self, line: &[u8]) {
        let mut state = self.0.lock();
        let before = state.waiting.len();
        self.put(&mut state, line, 0);
        let worthwhile = self.0.worthwhile;
        let wakes = before == 0 || before < worthwhile && state.waiting.len() >= worthwhile;
        drop(state);
        if wakes {
            self.0.filled.notify_one();
        }
    }

    fn put(&self, state: &mut State, line: &[u8], reserve: usize) {
        let most_bytes = self.0.most_bytes.saturating_add(reserve);
        if state.life != Life::Open {
            state.lost += 1;
        } else if state.waiting.len() + line.len() > most_bytes {
            state.lost += 1;
            state.unreported += 1;
        } else {
            state.waiting.extend_from_slice(line);
        }
    }

    /// How many lines were lost.
    pub(crate) fn lost(&self) -> u64 {
        self.0.lock().lost
    }

    /// Waits until all is written, but no longer than this; says whether it is.
    pub(crate) fn flush(&self, longest: Duration) -> bool {
        let busy = |state: &mut State| !state.is_idle() && state.life != Life::Ended;
        let mut state = self.0.lock();
        state.urgent = true;
        self.0.filled.notify_one();
        let (state, _) = self
            .0
            .emptied
            .wait_timeout_while(state, longest, busy)
            .unwrap_or_else(PoisonError::into_inner);
        state.is_idle()
    }

    /// Takes no more lines, and waits for the rest as [`flush`](Self::flush) does.
    pub(crate) fn close(&self, longest: Duration) {
        let mut state = self.0.lock();
        state.life = state.life.max(Life::Closed);
        drop(state);
        self.0.filled.notify_one();
        self.flush(longest);
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.lock();
        f.debug_struct("Queue")
            .field("waiting_bytes", &state.waiting.len())
            .field("lost", &state.lost)
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// Each change under the lock is whole, so a panic elsewhere spoils nothing.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread: writes until the queue is closed and empty.
    fn write_all(&self, mut writer: Box<dyn Write + Send>, renderer: &Renderer) {
        let _ended = Ended(self);
        let mut batch = Vec::new();
        while let Some(dropped) = self.next(&mut batch) {
            if dropped > 0 {
                batch.extend_from_slice(&renderer.dropped(dropped));
            }
            let unwritten = write(&mut *writer, &batch);
            let mut state = self.lock();
            // Not to be reported where nothing arrives.
            state.lost += unwritten;
            state.writing = false;
            let idle = state.is_idle();
            drop(state);
            if idle {
                self.emptied.notify_all();
            }
            batch.clear();
            batch.shrink_to(KEPT_ROOM);
        }
    }

    /// Waits for lines and takes all of them; returns how many were dropped since the last time, or nothing at the
    /// end.
    fn next(&self, batch: &mut Vec<u8>) -> Option<u64> {
        let idle = |state: &mut State| state.is_idle() && state.life == Life::Open;
        let state = self
            .filled
            .wait_while(self.lock(), idle)
            .unwrap_or_else(PoisonError::into_inner);
        if state.is_idle() {
            return None;
        }
        let (mut state, _) = self
            .filled
            .wait_timeout_while(state, GATHER, |state| state.gathers(self.worthwhile))
            .unwrap_or_else(PoisonError::into_inner);
        state.urgent = false;
        mem::swap(&mut state.waiting, batch);
        state.writing = true;
        Some(mem::take(&mut state.unreported))
    }
}

/// Says that the thread has ended, also when the writer panicked: nobody shall wait for it then.
struct Ended<'a>(&'a Shared);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.lock().life = Life::Ended;
        self.0.emptied.notify_all();
    }
}

/// Writes lines; returns how many could not be.
fn write(writer: &mut dyn Write, lines: &[u8]) -> u64 {
    let mut rest = lines;
    while !rest.is_empty() {
        match writer.write(rest) {
            Ok(0) => break,
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(error) if is_passing(&error) => {}
            Err(_) => break,
        }
    }
    loop {
        match writer.flush() {
            Err(error) if is_passing(&error) => {}
            Ok(()) | Err(_) => break,
        }
    }
    rest.iter().map(|byte| u64::from(*byte == b'\n')).sum()
}

/// Whether to try again. Somebody who shares our standard output may have made it non-blocking.
fn is_passing(error: &io::Error) -> bool {
    match error.kind() {
        ErrorKind::Interrupted => true,
        ErrorKind::WouldBlock => {
            thread::sleep(PAUSE);
            true
        }
        _ => false,
    }
}
