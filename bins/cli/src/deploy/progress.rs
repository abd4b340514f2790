//! What somebody who waits for uploads gets to see.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output::Output;

/// A bar on a terminal, nothing elsewhere. Clones show on the same bar.
#[derive(Clone)]
pub(crate) struct Progress {
    bar: ProgressBar,
    output: Output,
}

impl Progress {
    pub(crate) fn new(output: Output) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        Self { bar, output }
    }

    /// Uploading begins.
    pub(crate) fn begin(&self, bytes: u64) {
        if !self.output.is_watched() {
            return;
        }
        self.bar.set_length(bytes);
        self.bar.reset();
        let template = "Uploading {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
        self.bar.set_draw_target(ProgressDrawTarget::stderr());
    }

    /// Bytes have left this machine.
    pub(crate) fn sent(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    /// Bytes have left in vain.
    pub(crate) fn take_back(&self, bytes: u64) {
        self.bar.dec(bytes);
    }

    /// Uploading is over, well or not.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
        self.bar.set_draw_target(ProgressDrawTarget::hidden());
    }

    /// Says something without tearing the bar.
    pub(crate) fn note(&self, text: &str) {
        self.bar.suspend(|| self.output.note(text));
    }
}
