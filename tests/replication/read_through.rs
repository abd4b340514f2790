//! A file that the bucket of a region has lost is fetched from another region when somebody asks for it.

use favonius_testing::asset_hash;
use futures::future::join_all;

use crate::common::{APP, Build, Site};
use crate::support::{Mesh, Plan, Region};
use crate::watch::ARRIVAL;

const READERS: usize = 50;

/// Two regions that have a build, whose script nobody has asked for in `us` yet.
async fn deployed(plan: Plan) -> (Mesh, Build) {
    let mesh = plan.workers(1).start().await;
    let build = mesh["eu"].site(APP).ship(1, &["www.test"]).await;
    mesh.equal(ARRIVAL).await;
    (mesh, build)
}

/// Takes the script of a build out of the bucket of a region.
fn lose_script(region: &Region, build: &Build) {
    let script = build.app.file(&build.chunk).unwrap();
    let hash = asset_hash(script, &build.chunk);
    let keys = region.s3.keys().into_iter();
    let lost: Vec<String> = keys.filter(|key| key.contains(&hash)).collect();
    assert_eq!(lost.len(), 1, "{lost:?}");
    region.s3.remove_object(&lost[0]);
}

async fn fetched(region: &Region) -> u64 {
    let labels = [("outcome", "fetched")];
    region
        .metric("favonius_replication_read_through_total", &labels)
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn many_readers_of_a_lost_file_cause_one_fetch() {
    let (mesh, build) = deployed(Plan::of(&["eu", "us"])).await;
    let (eu, us) = (&mesh["eu"], &mesh["us"]);
    lose_script(us, &build);
    eu.s3.forget();
    us.s3.forget();
    let readers: Vec<Site> = (0..READERS).map(|_| us.site(APP)).collect();
    let path = build.chunk_path();
    let replies = readers.iter().map(|reader| reader.get("www.test", &path));
    let script = build.app.file(&build.chunk).unwrap();
    for reply in join_all(replies).await {
        let reply = reply.expect_status(200);
        assert_eq!(&reply.body[..], script);
    }
    assert_eq!(fetched(us).await, 1);
    assert_eq!(eu.s3.count("GET"), 1, "{:?}", eu.s3.requests());
    assert_eq!(us.s3.count("PUT"), 1, "{:?}", us.s3.requests());
    // It is there again.
    mesh.equal(ARRIVAL).await;
    let _again = readers[0].get("www.test", &path).await.expect_status(200);
    assert_eq!(fetched(us).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn nothing_is_fetched_where_that_is_turned_off() {
    let plan = Plan::of(&["eu", "us"]).set_in("us", "ZE_WORKER_READ_THROUGH", "false");
    let (mesh, build) = deployed(plan).await;
    let us = &mesh["us"];
    lose_script(us, &build);
    let reader = us.site(APP);
    for _ in 0..2 {
        let reply = reader.get("www.test", &build.chunk_path()).await;
        let _pending = reply.expect_status(503);
    }
    assert_eq!(fetched(us).await, 0);
    assert_eq!(reader.shown("www.test").await, Some(1));
}
