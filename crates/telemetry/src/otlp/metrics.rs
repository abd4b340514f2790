//! Sends the values of all metrics, now and then.

use std::time::Duration;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use prost::Message as _;
use tokio::{sync::watch, time::timeout};

use super::{
    client::Client,
    losses::{Losses, Signal},
    settings::Endpoint,
};
use crate::metrics::Reader;

/// Longest time for one export, further attempts included.
const WITHIN: Duration = Duration::from_secs(30);

/// Sends metrics.
#[derive(Debug)]
pub(crate) struct MetricExport {
    pub(crate) reader: Reader,
    pub(crate) endpoint: Endpoint,
    pub(crate) interval: Duration,
    pub(crate) losses: std::sync::Arc<Losses>,
}

impl MetricExport {
    pub(crate) async fn run(&self, client: &Client, mut closing: watch::Receiver<bool>) {
        loop {
            let end = closing.wait_for(|closing| *closing);
            let close = timeout(self.interval, end).await.is_ok();
            let mut metrics = ResourceMetrics::default();
            if self.reader.read(&mut metrics) {
                let body = ExportMetricsServiceRequest::from(&metrics).encode_to_vec();
                let sent = client
                    .send(
                        &self.endpoint,
                        body.into(),
                        WITHIN.min(self.interval),
                        &mut closing,
                    )
                    .await;
                if let Err(failure) = sent {
                    self.losses.add(Signal::Metrics, 1, || failure.reason());
                }
            }
            if close {
                return;
            }
        }
    }
}
