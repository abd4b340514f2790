//! Collectors that are absent, refuse, hang or are slow: nobody waits for them.

use std::time::{Duration, Instant};

use favonius_testing::{Collector, Manner, ReservedPort};

use crate::support::{APP, Region, Site, Worker, show};

/// More than the queues hold, of spans and of lines.
const REQUESTS: usize = 6_000;
/// What telemetry that nobody takes may take of memory.
const MOST_MEMORY: u64 = 20 << 20;
/// How long a worker may take to end, all in all.
const GRACE_MS: u64 = 20_000;

/// Serves, with what is exported going there. Gives the memory that was resident at the end.
async fn serve(region: &Region, name: &str, endpoint: Option<&str>) -> u64 {
    let mut builder = region
        .builder()
        .env("ZE_WORKER_ACCESS_LOG", true)
        .env("ZE_WORKER_SHUTDOWN_GRACE_MS", GRACE_MS);
    if let Some(endpoint) = endpoint {
        builder = builder
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
            .env("OTEL_METRIC_EXPORT_INTERVAL", 500);
    }
    let worker = Worker::start(builder).await;
    let site = Site::new(&worker, APP);
    site.ship(1, &["www.test"]).await;
    let readers = (0..8).map(|_| async {
        for _ in 0..REQUESTS / 8 {
            let page = site.client.head("/").host("www.test").send().await;
            let _page = page.expect_status(200);
        }
    });
    futures::future::join_all(readers).await;
    let memory = worker.rss_bytes();

    // All that waits is given up in time.
    let asked = Instant::now();
    worker.sigterm();
    let status = worker.wait_exit(Duration::from_secs(30)).await;
    let took = asked.elapsed();
    assert_eq!(status.code(), Some(0), "{name}");
    assert!(took < Duration::from_millis(GRACE_MS), "{name}: {took:?}");
    let told = worker.log_records().into_iter().filter(|line| {
        let message = line["message"].as_str().unwrap_or_default();
        message.starts_with("Telemetry dropped")
    });
    let told = told.count();
    show(
        "bad_collectors",
        format!(
            "{name}: {} MiB, {told} warnings, ended within {took:.1?}",
            memory >> 20
        ),
    );
    // One when it began and one at the end: all of this takes less than a minute.
    if endpoint.is_some() {
        assert!((1..=2).contains(&told), "{name}: {told}");
    } else {
        assert_eq!(told, 0, "{name}");
    }
    memory
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_collector_that_takes_nothing_costs_little() {
    let region = Region::start();
    // Nobody listens there.
    let absent = ReservedPort::new();
    let refusing = Collector::start(Manner::Refuses(503));
    let hanging = Collector::start(Manner::Hangs);
    let slow = Collector::start(Manner::Slow(Duration::from_secs(2)));
    let cases = [
        ("absent", format!("http://{}", absent.address())),
        ("refusing", refusing.url("")),
        ("hanging", hanging.url("")),
        ("slow", slow.url("")),
    ];
    let bad = cases
        .iter()
        .map(|(name, endpoint)| serve(&region, name, Some(endpoint)));
    let (without, bad) =
        futures::join!(serve(&region, "none", None), futures::future::join_all(bad));
    for ((name, _), memory) in cases.iter().zip(bad) {
        let more = memory.saturating_sub(without);
        assert!(more < MOST_MEMORY, "{name}: {more} bytes more than without");
    }
}
