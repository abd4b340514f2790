//! Records on their way to the collector.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::losses::{Losses, Signal};

/// Most bytes that the records of one signal take while they wait, however few they are.
const MOST_BYTES: usize = 8 << 20;

/// Records that wait, bounded in number and size. What does not fit is dropped and counted.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    /// There is a whole batch.
    filled: Notify,
    most: usize,
    batch: usize,
    signal: Signal,
    losses: Arc<Losses>,
}

#[derive(Debug)]
struct State<T> {
    records: VecDeque<(T, usize)>,
    bytes: usize,
    closed: bool,
}

impl<T> Queue<T> {
    /// For so many records, of which so many at once are sent.
    pub(crate) fn new(most: usize, batch: usize, signal: Signal, losses: Arc<Losses>) -> Self {
        let most = most.max(1);
        Self {
            state: Mutex::new(State {
                records: VecDeque::new(),
                bytes: 0,
                closed: false,
            }),
            filled: Notify::new(),
            most,
            batch: batch.clamp(1, most),
            signal,
            losses,
        }
    }

    /// Puts a record of about this size in, if there is room. Never waits for the collector.
    pub(crate) fn push(&self, record: T, bytes: usize) {
        let mut state = self.lock();
        let fits = state.records.len() < self.most && state.bytes + bytes <= MOST_BYTES;
        if state.closed || !fits {
            drop(state);
            self.losses
                .add(self.signal, 1, || "the queue is full".into());
            return;
        }
        state.bytes += bytes;
        state.records.push_back((record, bytes));
        let is_batch = state.records.len() == self.batch;
        drop(state);
        if is_batch {
            self.filled.notify_one();
        }
    }

    /// Takes up to a batch.
    pub(crate) fn take(&self) -> Vec<T> {
        let mut state = self.lock();
        let count = state.records.len().min(self.batch);
        let batch: Vec<_> = state.records.drain(..count).collect();
        state.bytes -= batch.iter().map(|(_, bytes)| bytes).sum::<usize>();
        drop(state);
        batch.into_iter().map(|(record, _)| record).collect()
    }

    /// Waits for a batch.
    pub(crate) async fn filled(&self) {
        while self.lock().records.len() < self.batch {
            self.filled.notified().await;
        }
    }

    /// Takes no more. Gives up what is there, counted.
    pub(crate) fn abandon(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.bytes = 0;
        let left = std::mem::take(&mut state.records).len();
        drop(state);
        self.losses.add(self.signal, left as u64, || {
            "there was no time left at the end".into()
        });
    }

    pub(crate) fn signal(&self) -> Signal {
        self.signal
    }

    pub(crate) fn losses(&self) -> &Losses {
        &self.losses
    }

    /// Each change under the lock is whole, so a panic elsewhere spoils nothing.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_counted() {
        let losses = Arc::new(Losses::default());
        let queue = Queue::new(3, 2, Signal::Logs, Arc::clone(&losses));
        for n in 0..5 {
            queue.push(n, 1);
        }
        assert_eq!(losses.of(Signal::Logs), 2);
        assert_eq!(queue.take(), [0, 1]);
        queue.push(5, MOST_BYTES);
        assert_eq!(losses.of(Signal::Logs), 3, "too large beside another");
        assert_eq!(queue.take(), [2]);
        queue.push(6, MOST_BYTES);
        assert_eq!(queue.take(), [6], "room is given back");
        queue.push(7, 1);
        queue.abandon();
        queue.push(8, 1);
        assert_eq!(losses.of(Signal::Logs), 5);
        assert_eq!(losses.of(Signal::Traces), 0);
        assert!(queue.take().is_empty());
    }
}
