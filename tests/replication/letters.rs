//! What a region refuses for good is put aside with the reason, the queue goes on, and an operator has it sent again.

use std::process::Command;

use favonius_testing::token::{SECRET, mint, now};
use favonius_testing::{SampleApp, eventually, workspace_binary};
use serde_json::{Value, json};

use crate::common::{APP, Build, OTHER, Worker, snapshot_key};
use crate::support::{Mesh, Plan, Region};
use crate::watch::{ARRIVAL, sent, shows};

/// Asks the first worker of a region with `favonius replication`.
async fn favonius(region: &Region, arguments: &[&str]) -> Value {
    let operator = json!({"application_uid": "*", "can_write": true, "exp": now() + 600});
    let program = || workspace_binary("favonius", "favonius");
    let program = tokio::task::spawn_blocking(program).await.unwrap();
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("FAVONIUS_URL", region.workers[0].base_url())
        .env("FAVONIUS_TOKEN", mint(SECRET.as_bytes(), &operator))
        .args(["--json", "replication"])
        .args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.unwrap().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn letters(region: &Region, target: &str) -> Vec<Value> {
    let told = favonius(region, &["dead-letters", target]).await;
    told["letters"].as_array().unwrap().clone()
}

/// Waits until nothing is buried for the only target of a region, and that this is what its status says.
async fn nothing_is_buried(region: &Region) {
    eventually("no letter is left", ARRIVAL, async || {
        let status = favonius(region, &["status"]).await;
        let target = &status["targets"][0];
        if target["buried"] == 0 && target["waiting"] == 0 {
            Ok(())
        } else {
            Err(status)
        }
    })
    .await;
}

async fn pair(plan: Plan) -> (Mesh, String) {
    let mesh = plan.workers(1).start().await;
    let target = mesh.url("eu", "us");
    (mesh, target)
}

/// Publishes another build, which arrives although this one does not; gives what was put aside for this one.
async fn a_later_one_overtakes(mesh: &Mesh, target: &str, build: &Build) -> Vec<Value> {
    let eu = &mesh["eu"];
    eu.site(APP).ship(2, &["later.test"]).await;
    shows(&mesh["us"].site(APP), "later.test", Some(2)).await;
    sent(eu).await;
    let buried = letters(eu, target).await;
    assert!(!buried.is_empty());
    for letter in &buried {
        let reason = letter["reason"].as_str().unwrap();
        assert!(reason.contains(&build.snapshot_id), "{letter}");
    }
    buried
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_snapshot_that_is_another_one_there_is_put_aside() {
    let (mesh, target) = pair(Plan::of(&["eu", "us"])).await;
    let (eu, us) = (&mesh["eu"], &mesh["us"]);
    let (from, to) = (eu.site(APP), us.site(APP));
    let build = from.build(1);
    // Under the same id there is another application's build.
    let other = us.site(OTHER).build(1);
    let mut foreign = other.snapshot.clone();
    foreign["snapshot_id"] = json!(build.snapshot_id);
    let key = snapshot_key(&build.snapshot_id);
    us.redis.cli(&["SET", &key, &foreign.to_string()]);

    from.deploy(&build).await;
    let published = from.publish(&build, &["www.test"]).await;
    let _published = published.expect_status(200);
    let buried = a_later_one_overtakes(&mesh, &target, &build).await;
    for letter in &buried {
        assert!(letter["event"].to_string().contains(&build.snapshot_id));
    }
    assert_eq!(to.named("www.test").await, None);
    let status = favonius(eu, &["status"]).await;
    let shown = &status["targets"][0];
    assert_eq!(shown["target"], json!(target), "{status}");
    assert_eq!(shown["buried"], json!(buried.len()), "{status}");

    us.redis.cli(&["DEL", &key]);
    let retried = favonius(eu, &["retry", &target]).await;
    assert_eq!(retried["retried"], json!(buried.len()), "{retried}");
    shows(&to, "www.test", Some(1)).await;
    nothing_is_buried(eu).await;
    mesh.equal(ARRIVAL).await;
}

/// Two builds of the same id, of which neither region knew that there are two.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_build_that_is_another_one_there_is_put_aside() {
    let (mesh, target) = pair(Plan::of(&["eu", "us"])).await;
    let (eu, us) = (&mesh["eu"], &mesh["us"]);
    let (from, to) = (eu.site(APP), us.site(APP));
    mesh.link("eu", "us").cut();
    mesh.link("us", "eu").cut();
    let theirs = to.build_with(1, &[("theirs.txt", b"theirs".to_vec())]);
    to.deploy(&theirs).await;
    let ours = from.ship(1, &["www.test"]).await;
    assert_eq!(ours.snapshot_id, theirs.snapshot_id);
    mesh.link("eu", "us").pass();
    mesh.link("us", "eu").pass();

    a_later_one_overtakes(&mesh, &target, &ours).await;
    assert_eq!(to.named("www.test").await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_document_that_is_too_large_there_is_put_aside() {
    let limit = "ZE_WORKER_SNAPSHOT_MAX_BYTES";
    let (mesh, target) = pair(Plan::of(&["eu", "us"]).set_in("us", limit, "10000")).await;
    let (eu, us) = (&mesh["eu"], &mesh["us"]);
    let (from, to) = (eu.site(APP), us.site(APP));
    let app = SampleApp::generate(100);
    let id = format!("ada-1.{APP}");
    let snapshot = app.snapshot(APP, &id, "http://edge.test");
    from.client.deploy(&from.token, &app, &snapshot).await;
    let published = from.client.publish(&from.token, APP, &id, &["www.test"]);
    let _published = published.await.expect_status(200);
    from.ship(2, &["later.test"]).await;
    shows(&to, "later.test", Some(2)).await;
    sent(eu).await;
    let buried = letters(eu, &target).await;
    assert!(!buried.is_empty());
    for letter in &buried {
        assert!(
            letter["reason"].as_str().unwrap().contains("413"),
            "{letter}"
        );
    }
    assert_eq!(to.named("www.test").await, None);

    // Another worker takes over there, with the limit that is usual. One letter is sent first, then the rest.
    let builder = us
        .builder()
        .env("ZE_WORKER_REPLICA_NAME", "us-2")
        .env("ZE_WORKER_REPLICAS_URLS", mesh.url("us", "eu"));
    let next = Worker::start(builder).await;
    us.inlet.to([next.address()]);
    mesh.link("eu", "us").reset();
    let first = buried[0]["id"].as_str().unwrap();
    let retried = favonius(eu, &["retry", &target, first]).await;
    assert_eq!(retried["retried"], 1, "{retried}");
    sent(eu).await;
    assert_eq!(letters(eu, &target).await.len(), buried.len() - 1);
    favonius(eu, &["retry", &target]).await;
    shows(&to, "www.test", Some(1)).await;
    nothing_is_buried(eu).await;
    mesh.equal(ARRIVAL).await;
}
