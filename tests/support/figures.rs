//! What was measured, for people to read.

use std::time::Duration;

/// Prints a line that `--nocapture` shows.
#[expect(clippy::print_stderr, reason = "the figures of a test")]
pub(crate) fn show(test: &str, what: impl std::fmt::Display) {
    eprintln!("{test}: {what}");
}

/// Times that were taken.
#[derive(Debug, Default, Clone)]
pub(crate) struct Figures(Vec<Duration>);

impl Figures {
    pub(crate) fn add(&mut self, took: Duration) {
        self.0.push(took);
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn max(&self) -> Duration {
        self.0.iter().max().copied().unwrap_or_default()
    }

    /// The value that this share of all is not above.
    pub(crate) fn quantile(&self, percent: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let index = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
        sorted.get(index).copied().unwrap_or_default()
    }
}

impl Extend<Duration> for Figures {
    fn extend<T: IntoIterator<Item = Duration>>(&mut self, times: T) {
        self.0.extend(times);
    }
}

impl FromIterator<Duration> for Figures {
    fn from_iter<T: IntoIterator<Item = Duration>>(times: T) -> Self {
        Self(times.into_iter().collect())
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "median {:.1?}, 99 % {:.1?}, max {:.1?} of {}",
            self.quantile(50),
            self.quantile(99),
            self.max(),
            self.count()
        )
    }
}
