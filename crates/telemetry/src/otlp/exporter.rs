//! Sends records, in a thread of its own.
//!
//! The thread runs a small runtime of its own, so that neither a stalled runtime of the program nor a stalled collector
//! holds up the other. Everything that the thread logs goes to standard output alone: what it says about its own work
//! must not become more work.

use std::{
    cell::Cell,
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::Duration,
};

use tokio::{
    runtime::{Builder, Runtime},
    sync::watch,
    time::{sleep, timeout},
};

use super::{
    client::Client,
    logs::LogExport,
    losses::{Losses, Signal},
    metrics::MetricExport,
    queue::Queue,
    settings::{Batch, Endpoint},
    spans::SpanExport,
};
use crate::TelemetryError;

/// Least time between two warnings of dropped telemetry.
const WARN_EVERY: Duration = Duration::from_mins(1);

thread_local! {
    static EXPORTS: Cell<bool> = const { Cell::new(false) };
}

/// Whether this is a thread that exports.
pub(crate) fn is_exporting() -> bool {
    EXPORTS.with(Cell::get)
}

/// What is exported.
#[derive(Debug, Default)]
pub(crate) struct Work {
    pub(crate) traces: Option<SpanExport>,
    pub(crate) metrics: Option<MetricExport>,
    pub(crate) logs: Option<LogExport>,
}

impl Work {
    fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        let traces = self.traces.iter().map(|work| &work.endpoint);
        let metrics = self.metrics.iter().map(|work| &work.endpoint);
        let logs = self.logs.iter().map(|work| &work.endpoint);
        traces.chain(metrics).chain(logs)
    }

    fn abandon(&self) {
        if let Some(work) = &self.traces {
            work.queue.abandon();
        }
        if let Some(work) = &self.logs {
            work.queue.abandon();
        }
    }
}

/// The thread that sends records.
#[derive(Debug)]
pub(crate) struct Exporter {
    closing: watch::Sender<bool>,
    ended: Mutex<mpsc::Receiver<()>>,
    losses: Arc<Losses>,
}

impl Exporter {
    /// Starts the thread, if there is work for it.
    pub(crate) fn start(work: Work, losses: Arc<Losses>) -> Result<Option<Self>, TelemetryError> {
        if work.endpoints().next().is_none() {
            return Ok(None);
        }
        let plain = work.endpoints().all(Endpoint::is_plain);
        let client = Client::new(plain).map_err(TelemetryError::Client)?;
        let runtime = Builder::new_current_thread()
            .enable_all()
            // They resolve names.
            .max_blocking_threads(2)
            .on_thread_start(|| EXPORTS.set(true))
            .build()
            .map_err(TelemetryError::Thread)?;
        let (closing, is_closing) = watch::channel(false);
        let (end, ended) = mpsc::channel();
        let counted = Arc::clone(&losses);
        thread::Builder::new()
            .name("otlp-export".into())
            .spawn(move || {
                EXPORTS.set(true);
                run(&runtime, &work, &client, &counted, &is_closing);
                // A name that takes long to resolve holds nobody up.
                runtime.shutdown_background();
                drop(end);
            })
            .map_err(TelemetryError::Thread)?;
        Ok(Some(Self {
            closing,
            ended: Mutex::new(ended),
            losses,
        }))
    }

    /// How many records were lost since the start.
    pub(crate) fn lost(&self, signal: Signal) -> u64 {
        self.losses.of(signal)
    }

    /// Sends what there is, and ends the thread. Waits no longer than this.
    pub(crate) fn close(&self, longest: Duration) {
        self.closing.send_replace(true);
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        // Nothing is ever sent: the other end is dropped with the thread.
        ended.recv_timeout(longest).unwrap_or_default();
    }
}

/// Longest time that the thread takes for its last exports.
pub(crate) const LAST_EXPORTS: Duration = Duration::from_millis(3500);

fn run(
    runtime: &Runtime,
    work: &Work,
    client: &Client,
    losses: &Losses,
    closing: &watch::Receiver<bool>,
) {
    let signals = async {
        tokio::join!(
            async {
                if let Some(work) = &work.traces {
                    work.run(client, closing.clone()).await;
                }
            },
            async {
                if let Some(work) = &work.metrics {
                    work.run(client, closing.clone()).await;
                }
            },
            async {
                if let Some(work) = &work.logs {
                    work.run(client, closing.clone()).await;
                }
            },
        );
    };
    let mut is_closing = closing.clone();
    runtime.block_on(async {
        tokio::select! {
            () = signals => {}
            () = losses.report_every(WARN_EVERY) => {}
            () = async {
                // An error means that the guard is gone.
                is_closing.wait_for(|closing| *closing).await.map(drop).unwrap_or_default();
                sleep(LAST_EXPORTS).await;
            } => {}
        }
    });
    work.abandon();
    losses.report();
}

/// Sends the records of a queue, as they come, until the end.
pub(crate) async fn send_batches<T>(
    queue: &Queue<T>,
    batch: &Batch,
    (endpoint, client): (&Endpoint, &Client),
    mut closing: watch::Receiver<bool>,
    encode: impl Fn(Vec<T>) -> Vec<u8>,
    rejected: impl Fn(&[u8]) -> u64,
) {
    loop {
        let mut is_closing = closing.clone();
        let close = tokio::select! {
            _ = timeout(batch.schedule_delay, queue.filled()) => false,
            _ = is_closing.wait_for(|closing| *closing) => true,
        };
        loop {
            let records = queue.take();
            let count = records.len();
            if count == 0 {
                break;
            }
            let mut unsent = Unsent {
                queue,
                records: count as u64,
            };
            let body = encode(records).into();
            let sent = client
                .send(endpoint, body, batch.export_timeout, &mut closing)
                .await;
            unsent.records = 0;
            let losses = queue.losses();
            match sent {
                Ok(answer) => losses.add(queue.signal(), rejected(&answer), || {
                    "the collector rejected a part".into()
                }),
                Err(failure) => losses.add(queue.signal(), count as u64, || failure.reason()),
            }
            if !close && count < batch.max_export_batch_size {
                break;
            }
        }
        if close {
            return;
        }
    }
}

/// Records that are being sent. If that is given up, they are lost.
struct Unsent<'a, T> {
    queue: &'a Queue<T>,
    records: u64,
}

impl<T> Drop for Unsent<'_, T> {
    fn drop(&mut self) {
        self.queue
            .losses()
            .add(self.queue.signal(), self.records, || {
                "there was no time left at the end".into()
            });
    }
}
