//! When to try again.

use std::time::Duration;

use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::time::Instant;

/// The first wait, at most.
const FIRST: Duration = Duration::from_millis(250);
/// The longest wait.
const LONGEST: Duration = Duration::from_mins(1);

/// A wait is no longer than this part of the time that it has not worked for: what was away for a minute is tried again within
/// some seconds.
const PART: u32 = 8;

/// Waits that double up to a minute, with jitter so that many who failed together do not come back together.
#[derive(Debug)]
pub(crate) struct Backoff {
    failures: u32,
    since: Option<Instant>,
    random: StdRng,
}

impl Backoff {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            failures: 0,
            since: None,
            random: StdRng::seed_from_u64(seed),
        }
    }

    /// It worked: the next wait is a short one.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
        self.since = None;
    }

    /// Whether the last attempt failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// It failed: how long to wait, between half of the present wait and all of it.
    pub(crate) fn next(&mut self) -> Duration {
        let since = *self.since.get_or_insert_with(Instant::now);
        let wait = FIRST
            .saturating_mul(1 << self.failures.min(16))
            .min(LONGEST)
            .min((since.elapsed() / PART).max(FIRST));
        self.failures = self.failures.saturating_add(1);
        wait.mul_f64(self.random.random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_grow_to_a_minute_and_with_the_time_that_it_does_not_work() {
        let mut backoff = Backoff::new(1);
        let begun = Instant::now();
        let mut last = Duration::ZERO;
        for attempt in 0..100 {
            last = backoff.next();
            let most = (begun.elapsed() / PART).max(FIRST).min(LONGEST);
            assert!(last <= most && last >= FIRST / 2, "{attempt}: {last:?}");
            tokio::time::advance(last).await;
        }
        assert!(last >= LONGEST / 2, "{last:?}");
        assert!(backoff.is_failing());
        backoff.reset();
        assert!(!backoff.is_failing());
        assert!(backoff.next() <= FIRST);
    }
}
