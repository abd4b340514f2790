//! Regions whose others are not there, those that only receive, and those that do not take part.

use std::time::Duration;

use favonius_testing::eventually;
use futures::future::join_all;

use crate::common::{APP, Site, Worker};
use crate::support::{OUTBOX, Plan};

/// How long everything may take to arrive.
const ARRIVAL: Duration = Duration::from_mins(5);
/// Within this time what is not sent at all would have arrived.
const A_WHILE: Duration = Duration::from_secs(3);

async fn arrives(site: &Site, host: &str, number: u32) {
    eventually("it is shown", ARRIVAL, async || {
        match site.shown(host).await {
            Some(shown) if shown == number => Ok(()),
            shown => Err(shown),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_region_starts_and_takes_deployments_before_the_others_are_there() {
    let mesh = Plan::of(&["eu", "us"]).start().await;
    for region in &mesh.regions {
        for worker in &region.workers {
            worker.sigkill();
            let _status = worker.wait_exit(ARRIVAL).await;
        }
    }
    mesh.cut_off("us");
    let (eu, us) = (&mesh["eu"], &mesh["us"]);
    join_all(eu.workers.iter().map(Worker::start_again)).await;
    let build = eu.site(APP).ship(1, &["www.test"]).await;
    assert_eq!(eu.site(APP).shown("www.test").await, Some(build.number));
    eventually("the failure is told of", ARRIVAL, async || {
        let target = eu.targets().await.remove(0);
        let waits =
            target["waiting"].as_u64() > Some(0) && target["lag_seconds"].as_f64() > Some(0.0);
        if waits && target["last_error"].is_string() {
            Ok(())
        } else {
            Err(target)
        }
    })
    .await;

    join_all(us.workers.iter().map(Worker::start_again)).await;
    mesh.join("us");
    mesh.equal(ARRIVAL).await;
    arrives(&us.site(APP), "www.test", build.number).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_region_without_urls_only_receives() {
    let plan = Plan::of(&["eu", "us"]).set_in("us", "ZE_WORKER_REPLICAS_URLS", "");
    let mesh = plan.start().await;
    let (eu, us) = (&mesh["eu"], &mesh["us"]);
    let message = "No replica URLs configured; receive-only mode enabled";
    us.workers[0].wait_for_log(message, ARRIVAL).await;
    let sent = eu.site(APP).ship(1, &["www.test"]).await;
    mesh.equal(ARRIVAL).await;
    arrives(&us.site(APP), "www.test", sent.number).await;

    let kept = us.site(APP).ship(2, &["www.test"]).await;
    arrives(&us.site(APP), "www.test", kept.number).await;
    tokio::time::sleep(A_WHILE).await;
    assert_eq!(eu.site(APP).shown("www.test").await, Some(sent.number));
    assert_eq!(us.redis.cli(&["EXISTS", OUTBOX]), "0");
    assert_eq!(us.targets().await, Vec::<serde_json::Value>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_region_without_a_name_neither_sends_nor_receives() {
    let plan = Plan::of(&["eu", "us"]).set_in("us", "ZE_WORKER_REPLICA_NAME", "");
    let mesh = plan.start().await;
    let (eu, us) = (&mesh["eu"], &mesh["us"]);
    let kept = us.site(APP).ship(1, &["www.test"]).await;
    let refused = eu.site(APP).ship(2, &["www.test"]).await;
    // It may be given a name later: what is for it waits until then.
    eventually("the refusal is told of", ARRIVAL, async || {
        let target = eu.targets().await.remove(0);
        let error = target["last_error"].as_str().unwrap_or_default();
        let is_told = error.contains("give it a name with ZE_WORKER_REPLICA_NAME");
        if is_told && target["waiting"].as_u64() > Some(0) && target["buried"] == 0 {
            Ok(())
        } else {
            Err(target)
        }
    })
    .await;
    for (region, build) in [(eu, refused), (us, kept)] {
        let shown = region.site(APP).shown("www.test").await;
        assert_eq!(shown, Some(build.number), "{}", region.name);
    }
    assert_eq!(us.redis.cli(&["EXISTS", OUTBOX]), "0");
}
