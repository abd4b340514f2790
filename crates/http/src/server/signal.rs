//! Something that happens once, and that every connection waits for.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::Poll,
};

use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

/// A [`CancellationToken`] that costs a task nothing while nothing happens. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Signal {
    token: CancellationToken,
    given: Arc<AtomicBool>,
}

impl Signal {
    /// Tells all who wait.
    pub(super) fn give(&self) {
        // First what is looked at, then what wakes those who look.
        self.given.store(true, SeqCst);
        self.token.cancel();
    }

    /// Waits for it.
    pub(super) fn given(&self) -> WaitForCancellationFuture<'_> {
        self.token.cancelled()
    }

    /// Does a task's work until it is done, or until the signal is given: then there is nothing.
    ///
    /// The future must stay with the task that polls it first. That one is woken; to ask the token again whenever the work goes on,
    /// which takes a lock each time, would tell it nothing new.
    pub(super) async fn until<F: Future>(&self, work: F) -> Option<F::Output> {
        let mut given = pin!(self.token.cancelled());
        let mut work = pin!(work);
        let mut is_waiting = false;
        poll_fn(|cx| {
            if !is_waiting || self.given.load(SeqCst) {
                is_waiting = true;
                if given.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(None);
                }
            }
            work.as_mut().poll(cx).map(Some)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{Instant, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn work_ends_with_the_signal() {
        let signal = Signal::default();
        let early = signal.until(sleep(Duration::from_secs(1))).await;
        assert!(early.is_some());
        let begun = Instant::now();
        let waiting = async {
            let work = async {
                loop {
                    sleep(Duration::from_secs(7)).await;
                }
            };
            signal.until(work).await
        };
        let giving = async {
            sleep(Duration::from_secs(10)).await;
            signal.give();
        };
        let (ended, ()) = tokio::join!(waiting, giving);
        assert!(ended.is_none() && begun.elapsed() == Duration::from_secs(10));
        assert!(signal.until(std::future::pending::<()>()).await.is_none());
    }
}
