//! Liveness, readiness and start-up, for Kubernetes.
//!
//! The checks run in the background; a probe only reads their latest result, so that a storm of probes costs the back
//! ends nothing.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use favonius_storage::{Assets, ErrorKind, RecordStore, StorageError};
use favonius_telemetry::{
    Reporter,
    instruments::{Check, Outcome as Measured},
    record_error,
};
use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use serde_json::json;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument as _, field::Empty};

use crate::{body::Payload, deployments::Deployments};

/// How often the back ends are checked.
const EVERY: Duration = Duration::from_secs(2);
/// How long one check may take.
const AT_MOST: Duration = Duration::from_secs(2);
/// Failures in a row after which a back end counts as down; one success makes it up again.
const FAILURES: u32 = 3;

/// When a worker counts as ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReadyWhen {
    /// All back ends answer.
    #[default]
    Strict,
    /// All back ends answer, or the worker can serve deployments from memory: then an outage of the record store does not
    /// take all workers out of a Service at once.
    Serving,
}

/// The latest result of one check.
#[derive(Debug, Clone, Serialize)]
struct Outcome {
    name: &'static str,
    #[serde(rename = "outcome")]
    word: &'static str,
    duration_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
    #[serde(skip)]
    failures: u32,
    #[serde(skip)]
    passed_once: bool,
}

impl Outcome {
    fn unknown(check: Check) -> Self {
        Self {
            name: check.as_str(),
            word: "unknown",
            duration_ms: 0,
            error: None,
            failures: 0,
            passed_once: false,
        }
    }

    fn is_up(&self) -> bool {
        self.passed_once && self.failures < FAILURES
    }

    fn take(&mut self, result: Result<(), ErrorKind>, took: Duration) {
        self.duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        match result {
            Ok(()) => {
                self.word = "ok";
                self.error = None;
                self.failures = 0;
                self.passed_once = true;
            }
            Err(kind) => {
                self.word = "failed";
                self.error = Some(kind.as_str());
                self.failures = self.failures.saturating_add(1);
            }
        }
    }
}

/// The state that the probes tell. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Probes(Arc<State>);

#[derive(Debug)]
struct State {
    ready_when: ReadyWhen,
    outcomes: Mutex<[Outcome; 2]>,
    started: AtomicBool,
    draining: AtomicBool,
}

impl Probes {
    /// Checks the back ends until `stop`.
    pub(crate) fn start(
        ready_when: ReadyWhen,
        (assets, records): (Assets, Arc<dyn RecordStore>),
        reporter: Reporter,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let this = Self(Arc::new(State {
            ready_when,
            outcomes: Mutex::new([Check::Assets, Check::Records].map(Outcome::unknown)),
            started: AtomicBool::new(false),
            draining: AtomicBool::new(false),
        }));
        let prober = this.clone();
        tasks.spawn(async move {
            let rounds = async {
                let mut ticks = tokio::time::interval(EVERY);
                ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
                loop {
                    ticks.tick().await;
                    let (one, two) = tokio::join!(
                        timed(&reporter, Check::Assets, assets.check()),
                        timed(&reporter, Check::Records, records.check()),
                    );
                    prober.take([one, two]);
                }
            };
            let _: Option<()> = stop.run_until_cancelled(rounds).await;
        });
        this
    }

    fn take(&self, results: [(Result<(), ErrorKind>, Duration); 2]) {
        let mut outcomes = self
            .0
            .outcomes
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for (outcome, (result, took)) in outcomes.iter_mut().zip(results) {
            let was_up = outcome.is_up();
            outcome.take(result, took);
            match (was_up, outcome.is_up()) {
                (false, true) => tracing::info!(check = outcome.name, "Back end is up"),
                (true, false) => tracing::warn!(
                    check = outcome.name,
                    error.type = outcome.error.unwrap_or_default(),
                    "Back end is down"
                ),
                _ => {}
            }
        }
        self.0.started.store(true, SeqCst);
    }

    /// From now on the worker is not ready: it is about to stop.
    pub(crate) fn drain(&self) {
        self.0.draining.store(true, SeqCst);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.0.draining.load(SeqCst)
    }

    pub(crate) fn healthz() -> Response<Payload> {
        answer(StatusCode::OK, &json!({"status": "ok"}))
    }

    pub(crate) fn startupz(&self) -> Response<Payload> {
        if self.0.started.load(SeqCst) {
            answer(StatusCode::OK, &json!({"status": "started"}))
        } else {
            answer(
                StatusCode::SERVICE_UNAVAILABLE,
                &json!({"status": "starting"}),
            )
        }
    }

    /// Whether `/readyz` would say yes.
    pub(crate) fn is_ready(&self, deployments: &Deployments) -> bool {
        self.readiness(deployments).0 == StatusCode::OK
    }

    pub(crate) fn readyz(&self, deployments: &Deployments) -> Response<Payload> {
        let (status, word, checks) = self.readiness(deployments);
        answer(status, &json!({"status": word, "checks": checks}))
    }

    fn readiness(&self, deployments: &Deployments) -> (StatusCode, &'static str, [Outcome; 2]) {
        let outcomes = self
            .0
            .outcomes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let up = outcomes.iter().all(Outcome::is_up);
        let warm = self.0.ready_when == ReadyWhen::Serving
            && outcomes.iter().all(|outcome| outcome.passed_once)
            && deployments.has_any();
        let (status, word) = match (self.is_draining(), up, warm) {
            (true, ..) => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
            (_, true, _) => (StatusCode::OK, "ready"),
            (_, _, true) => (StatusCode::OK, "serving"),
            _ => (StatusCode::SERVICE_UNAVAILABLE, "not ready"),
        };
        (status, word, outcomes)
    }
}

/// Runs a check within its time, and tells of it.
async fn timed(
    reporter: &Reporter,
    check: Check,
    work: impl Future<Output = Result<(), StorageError>>,
) -> (Result<(), ErrorKind>, Duration) {
    let span = reporter.traces.background(|| {
        tracing::info_span!(
            "readiness check",
            favonius.check = check.as_str(),
            otel.status_code = Empty,
            "error.type" = Empty,
        )
    });
    let begun = Instant::now();
    let work = tokio::time::timeout(AT_MOST, work).instrument(span.clone());
    let result = match work.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "Readiness check failed"
            );
            Err(error.kind())
        }
        Err(_) => Err(ErrorKind::Unavailable),
    };
    let took = begun.elapsed();
    if let Err(kind) = &result {
        record_error(&span, kind.as_str());
    }
    let outcome = result.map_or_else(Measured::from, |()| Measured::Ok);
    reporter.instruments.readiness_check(check, outcome, took);
    (result, took)
}

fn answer(status: StatusCode, body: &serde_json::Value) -> Response<Payload> {
    let mut response = Response::new(Payload::from(bytes::Bytes::from(body.to_string())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_failures_are_down_and_one_success_is_up() {
        let mut outcome = Outcome::unknown(Check::Records);
        assert!(!outcome.is_up(), "not before the first success");
        let steps = [
            (Ok(()), true),
            (Err(ErrorKind::Unavailable), true),
            (Err(ErrorKind::Unavailable), true),
            (Err(ErrorKind::Unavailable), false),
            (Err(ErrorKind::Unavailable), false),
            (Ok(()), true),
        ];
        for (step, (result, expected)) in steps.into_iter().enumerate() {
            outcome.take(result, Duration::ZERO);
            assert_eq!(outcome.is_up(), expected, "step {step}");
        }
    }
}
