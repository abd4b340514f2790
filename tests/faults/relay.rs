//! The relay, as a process: it sends what workers leave to it, and serves nobody.

use std::time::Duration;

use favonius_testing::{WorkerBuilder, WorkerProcess, eventually, workspace_binary};
use serde_json::{Value, json};

use crate::support::{APP, Region, Site, Worker};

/// The same program with all settings, started as a relay.
fn relay(builder: WorkerBuilder) -> WorkerBuilder {
    builder.binary(workspace_binary("favonius-relay", "favonius-relay"))
}

fn in_region(builder: WorkerBuilder, name: &str) -> WorkerBuilder {
    builder.env("ZE_WORKER_REPLICA_NAME", name)
}

fn messages(worker: &WorkerProcess) -> Vec<Value> {
    let records = worker.log_records().into_iter();
    records.map(|record| record["message"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_relay_sends_what_a_worker_leaves_to_it_and_serves_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let us = in_region(WorkerProcess::builder().embedded(dir.path()), "us");
    let us = us.start().await;
    let eu = Region::start();
    let to_us = |builder| {
        in_region(builder, "eu")
            .env(
                "ZE_WORKER_REPLICAS_URLS",
                format!("http://{}", us.address()),
            )
            .env("ZE_WORKER_REPLICATION", "relay")
    };
    let worker = Worker::start(to_us(eu.builder())).await;
    let site = Site::new(&worker, APP);
    let build = site.ship(1, &["www.test"]).await;
    // Nobody sends yet.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let over_there = Site::new(&us, APP);
    assert_eq!(over_there.named("www.test").await, None);

    let relay = relay(to_us(eu.builder())).start().await;
    let arrived = async || match over_there.shown("www.test").await {
        Some(number) if number == build.number => Ok(()),
        shown => Err(format!("{shown:?}")),
    };
    eventually(
        "the other region serves it",
        Duration::from_secs(20),
        arrived,
    )
    .await;

    let told = messages(&relay);
    for message in [
        "Replica mode enabled",
        "Replica fan-out configured",
        "Relay listening",
    ] {
        assert!(told.contains(&json!(message)), "{message}: {told:?}");
    }
    // What it takes from other regions it takes from nobody else, and it serves nothing.
    let through_relay = Site::new(&relay, APP);
    assert_eq!(through_relay.get("www.test", "/").await.status, 404);
    let upload = through_relay.client.upload_file(&site.token, "b.txt", b"b");
    let refused = upload.await;
    assert!(
        matches!(refused.status.as_u16(), 401 | 403 | 404),
        "{refused:?}"
    );
    let _metrics = relay
        .client()
        .get("/metrics")
        .send()
        .await
        .expect_status(200);
}

#[tokio::test]
async fn how_it_replicates_is_told_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let builder = || WorkerProcess::builder().embedded(dir.path());
    let off = builder().start().await;
    let of_replicas = |told: &[Value]| {
        told.iter()
            .filter(|message| message.as_str().is_some_and(|text| text.contains("eplica")))
            .count()
    };
    assert_eq!(of_replicas(&messages(&off)), 0);
    drop(off);

    let receives = in_region(builder(), "eu").start().await;
    let told = messages(&receives);
    assert_eq!(of_replicas(&told), 2, "{told:?}");
    let expected = "No replica URLs configured; receive-only mode enabled";
    assert!(told.contains(&json!(expected)), "{told:?}");
    drop(receives);

    let urls = "http://127.0.0.1:9/,http://127.0.0.1:10/in";
    let sends = in_region(builder(), "eu").env("ZE_WORKER_REPLICAS_URLS", urls);
    let sends = sends.start().await;
    let within = Duration::from_secs(5);
    let enabled = sends.wait_for_log("Replica mode enabled", within).await;
    assert_eq!(enabled["zephyr.replica"], "eu");
    assert_eq!(enabled["level"], "info");
    let fan_out = sends.wait_for_log("Replica fan-out configured", within);
    let fan_out = fan_out.await;
    assert_eq!(fan_out["zephyr.replica.count"], 2);
    let shown = "http://127.0.0.1:9,http://127.0.0.1:10/in";
    assert_eq!(fan_out["zephyr.replica.urls"], shown);
    assert_eq!(fan_out["level"], "info");
}

#[tokio::test]
async fn a_relay_that_could_do_nothing_says_why_and_ends() {
    let dir = tempfile::tempdir().unwrap();
    let embedded = || WorkerProcess::builder().embedded(dir.path());
    let public = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
    let sends = in_region(embedded(), "eu").env("ZE_WORKER_REPLICAS_URLS", "http://127.0.0.1:9");
    for (name, builder, expected) in [
        (
            "no name",
            relay(embedded()),
            "ZE_WORKER_REPLICA_NAME is not set",
        ),
        (
            "embedded",
            relay(in_region(embedded(), "eu")),
            "ZE_WORKER_STORAGE is embedded",
        ),
        (
            "a worker that cannot sign",
            sends.env("ZE_WORKER_JWT_SECRET", public),
            "ZE_WORKER_JWT_SECRET has to be a shared secret",
        ),
    ] {
        let finished = builder.run_to_exit(Duration::from_secs(10)).await;
        assert_eq!(finished.status.code(), Some(1), "case `{name}`");
        let log: Vec<_> = finished.log.iter().map(|line| line.text.clone()).collect();
        assert!(
            log.iter().any(|line| line.contains(expected)),
            "case `{name}`: {log:?}"
        );
    }
}
