//! The duration of operations on stores. Each kind looks for its histogram once.

use std::{sync::OnceLock, time::Duration};

use opentelemetry::{
    KeyValue,
    metrics::{BoundHistogram, Histogram},
};

use super::labels::{Backend, Operation, Outcome};

/// Measures the duration of operations.
pub(super) struct Operations {
    histogram: Histogram<f64>,
    bound: Box<[OnceLock<BoundHistogram<f64>>]>,
}

impl Operations {
    pub(super) fn new(histogram: Histogram<f64>) -> Self {
        let kinds = Backend::ALL.len() * Operation::ALL.len() * Outcome::ALL.len();
        Self {
            histogram,
            bound: (0..kinds).map(|_| OnceLock::new()).collect(),
        }
    }

    pub(super) fn record(
        &self,
        backend: Backend,
        operation: Operation,
        outcome: Outcome,
        took: Duration,
    ) {
        let bind = || {
            self.histogram.bind(&[
                KeyValue::new("backend", backend.as_str()),
                KeyValue::new("operation", operation.as_str()),
                KeyValue::new("outcome", outcome.as_str()),
            ])
        };
        let row = backend as usize * Operation::ALL.len() + operation as usize;
        let place = row * Outcome::ALL.len() + outcome as usize;
        // There is one for each kind.
        if let Some(bound) = self.bound.get(place) {
            bound.get_or_init(bind).record(took.as_secs_f64());
        }
    }
}
