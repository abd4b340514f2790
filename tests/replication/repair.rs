//! Regions end up the same whatever one of them has lost, and what an operator did by hand stands.

use favonius_testing::RedisServer;
use serde_json::json;

use crate::common::{APP, Build, Site, env_key, snapshot_key};
use crate::support::{Mesh, Plan};
use crate::watch::{ARRIVAL, repair, sent, shows};

const OUTBOX: &str = "{ze-k8s-worker}:outbox";

async fn pair() -> Mesh {
    Plan::of(&["eu", "us"]).workers(1).start().await
}

/// Keeps what a Redis has, for later.
fn back_up(redis: &RedisServer) {
    redis.cli(&["SAVE"]);
}

/// Replaces what a Redis has by what it had then.
fn restore(redis: &RedisServer) {
    redis.cli(&["DEBUG", "RELOAD", "NOSAVE"]);
}

async fn remove(site: &Site, name: &str) {
    let body = json!({"application_uid": site.application, "names": [name]});
    let removal = site.client.post("/upload?type=removal");
    let removed = removal.token(&site.token).json(&body).send().await;
    let _removed = removed.expect_status(200);
}

async fn ship(site: &Site, number: u32, host: &str) -> Build {
    site.ship(number, &[host]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_region_that_was_restored_from_an_old_copy_catches_up() {
    let mesh = pair().await;
    let (eu, us) = (&mesh["eu"], &mesh["us"]);
    let (from, to) = (eu.site(APP), us.site(APP));
    ship(&from, 1, "www.test").await;
    ship(&from, 2, "old.test").await;
    mesh.equal(ARRIVAL).await;
    back_up(&us.redis);
    ship(&from, 3, "www.test").await;
    ship(&from, 4, "new.test").await;
    remove(&from, "old.test").await;
    // It is lost with the copy, but for what the other region has of it.
    ship(&to, 5, "us.test").await;
    mesh.equal(ARRIVAL).await;

    restore(&us.redis);
    assert_eq!(us.redis.cli(&["EXISTS", &env_key("us.test")]), "0");
    repair(eu).await;
    shows(&to, "www.test", Some(3)).await;
    shows(&to, "new.test", Some(4)).await;
    shows(&to, "us.test", Some(5)).await;
    shows(&to, "old.test", None).await;
    let content = mesh.equal(ARRIVAL).await;
    assert!(content.records.contains_key("envs:us.test"));
    assert!(!content.records.contains_key("envs:old.test"));

    // Nor does the region that was restored bring anything back.
    repair(us).await;
    mesh.equal(ARRIVAL).await;
    shows(&from, "old.test", None).await;
    shows(&from, "www.test", Some(3)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_region_that_was_emptied_is_filled_again_by_itself() {
    let every = "1000";
    let plan = Plan::of(&["eu", "us"]).set("ZE_WORKER_REPAIR_INTERVAL_MS", every);
    let mesh = plan.start().await;
    let (eu, us) = (&mesh["eu"], &mesh["us"]);
    let (from, to) = (eu.site(APP), us.site(APP));
    for number in 1..=5 {
        ship(&from, number, &format!("a{number}.test")).await;
    }
    let before = mesh.equal(ARRIVAL).await;
    let labels = [("kind", "asset"), ("outcome", "applied")];
    let files = us.metric("favonius_replication_received_total", &labels);
    assert_eq!(files.await, before.objects.len() as u64);
    us.redis.cli(&["FLUSHALL"]);
    let after = mesh.equal(ARRIVAL).await;
    assert_eq!(before.records.len(), after.records.len());
    for number in 1..=5 {
        shows(&to, &format!("a{number}.test"), Some(number)).await;
    }
    // The bytes were there.
    let files = us.metric("favonius_replication_received_total", &labels);
    assert_eq!(files.await, before.objects.len() as u64);

    // And it can send.
    ship(&to, 6, "a1.test").await;
    shows(&from, "a1.test", Some(6)).await;
    mesh.equal(ARRIVAL).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn what_is_written_by_hand_stands_until_the_next_publish() {
    let mesh = pair().await;
    let (eu, us) = (&mesh["eu"], &mesh["us"]);
    let (from, to) = (eu.site(APP), us.site(APP));
    let first = ship(&from, 1, "www.test").await;
    ship(&from, 2, "www.test").await;
    mesh.equal(ARRIVAL).await;
    let source = snapshot_key(&first.snapshot_id);
    let copied = us
        .redis
        .cli(&["COPY", &source, &env_key("www.test"), "REPLACE"]);
    assert_eq!(copied, "1");
    shows(&to, "www.test", Some(1)).await;
    repair(eu).await;
    sent(eu).await;
    assert_eq!(to.named("www.test").await, Some(1));

    // A publish that only the comparison tells of.
    let link = mesh.link("eu", "us");
    link.cut();
    ship(&from, 3, "www.test").await;
    eu.redis.cli(&["DEL", OUTBOX]);
    link.pass();
    let by_hand = [("kind", "name"), ("outcome", "by_hand")];
    let counted = us.metric("favonius_replication_received_total", &by_hand);
    assert_eq!(counted.await, 0);
    repair(eu).await;
    sent(eu).await;
    assert_eq!(to.named("www.test").await, Some(1));
    let counted = us.metric("favonius_replication_received_total", &by_hand);
    assert!(counted.await >= 1);

    ship(&from, 4, "www.test").await;
    shows(&to, "www.test", Some(4)).await;
    mesh.equal(ARRIVAL).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_name_that_was_removed_does_not_come_back() {
    let mesh = Plan::of(&["eu", "us", "ap"]).workers(1).start().await;
    let [eu, us, ap] = ["eu", "us", "ap"].map(|name| &mesh[name]);
    let sites = [eu, us, ap].map(|region| region.site(APP));
    let [from, remover, late] = &sites;
    let link = mesh.link("eu", "ap");
    link.cut();
    ship(from, 1, "www.test").await;
    shows(remover, "www.test", Some(1)).await;
    back_up(&us.redis);
    remove(remover, "www.test").await;
    sent(us).await;
    for site in &sites {
        shows(site, "www.test", None).await;
    }
    // The publish comes after its removal.
    link.pass();
    mesh.equal(ARRIVAL).await;
    assert_eq!(late.named("www.test").await, None);
    let older = [("kind", "name"), ("outcome", "older")];
    let older = ap.metric("favonius_replication_received_total", &older);
    assert_eq!(older.await, 1);

    // The region that removed it is restored from a copy of before.
    restore(&us.redis);
    for region in [us, eu, ap] {
        repair(region).await;
        sent(region).await;
    }
    mesh.equal(ARRIVAL).await;
    for site in &sites {
        shows(site, "www.test", None).await;
    }
    // It can be published again.
    ship(late, 2, "www.test").await;
    for site in &sites {
        shows(site, "www.test", Some(2)).await;
    }
    mesh.equal(ARRIVAL).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn what_is_lost_from_the_outbox_is_found_by_comparing() {
    let mesh = pair().await;
    let (eu, us) = (&mesh["eu"], &mesh["us"]);
    let (from, to) = (eu.site(APP), us.site(APP));
    ship(&from, 1, "a.test").await;
    mesh.equal(ARRIVAL).await;
    let link = mesh.link("eu", "us");
    let target = mesh.url("eu", "us");
    let trimmed: [&[&[&str]]; 3] = [
        &[&["DEL", OUTBOX]],
        &[&["XTRIM", OUTBOX, "MAXLEN", "0"]],
        &[
            &["XTRIM", OUTBOX, "MAXLEN", "0"],
            &["XGROUP", "SETID", OUTBOX, &target, "$"],
        ],
    ];
    for (number, commands) in (1..).zip(trimmed) {
        link.cut();
        let (a, b) = (number * 10, number * 10 + 1);
        ship(&from, a, "a.test").await;
        ship(&from, b, &format!("b{number}.test")).await;
        remove(&from, &format!("b{}.test", number - 1)).await;
        for command in commands {
            eu.redis.cli(command);
        }
        link.pass();
        assert_ne!(to.named("a.test").await, Some(a));
        repair(eu).await;
        shows(&to, "a.test", Some(a)).await;
        shows(&to, &format!("b{number}.test"), Some(b)).await;
        mesh.equal(ARRIVAL).await;
    }
    // Nothing is wrong with the queue afterwards.
    ship(&from, 99, "a.test").await;
    shows(&to, "a.test", Some(99)).await;
}
