//! The emergency: an operator copies a snapshot's record over a hostname's with `redis-cli`, and the host must follow.

use std::time::{Duration, Instant};

use favonius_testing::{RedisCluster, RedisServer, S3Server, WorkerProcess};

use crate::support::{
    APP, Build, Figures, Region, Resp, Site, Worker, env_key, show, snapshot_key,
};

const HOST: &str = "www.test";
const TIMES: usize = 20;

/// Copies records back and forth and times how long the host goes on to show the one before.
async fn roll_back_and_forth(test: &str, site: &Site, redis: &RedisServer, builds: &[Build; 2]) {
    let target = env_key(HOST);
    let mut connection = Resp::open(redis).await;
    let (mut copied, mut set) = (Figures::default(), Figures::default());
    assert_eq!(site.shown(HOST).await, Some(2));
    for round in 0..TIMES * 2 {
        let build = &builds[round % 2];
        let source = snapshot_key(&build.snapshot_id);
        let answered = if round < TIMES {
            let copy = ["COPY", &source, &target, "REPLACE"];
            let (reply, answered) = connection.command(&copy).await;
            assert_eq!(reply, ":1");
            answered
        } else {
            let record = connection.bulk(&["GET", &source]).await;
            let (reply, answered) = connection.command(&["SET", &target, &record]).await;
            assert_eq!(reply, "+OK");
            answered
        };
        let took = until_shown(site, build.number, answered).await;
        if round < TIMES {
            copied.add(took);
        } else {
            set.add(took);
        }
        // It stays so.
        assert_eq!(site.shown(HOST).await, Some(build.number), "round {round}");
    }
    show(
        test,
        format!("from the reply to COPY to the first answer of the other build: {copied}"),
    );
    show(
        test,
        format!("from the reply to SET to the first answer of the other build: {set}"),
    );
    for (name, figures) in [("COPY", &copied), ("SET", &set)] {
        assert_eq!(figures.count(), TIMES);
        assert!(figures.max() < Duration::from_secs(1), "{name}: {figures}");
    }
}

/// Waits until the host shows this build, or none: a write by hand is told to the worker, which takes a moment on a busy
/// machine.
async fn soon_shown(site: &Site, host: &str, build: Option<u32>) {
    let since = Instant::now();
    while site.shown(host).await != build {
        assert!(
            since.elapsed() < Duration::from_secs(10),
            "{host} never shows build {build:?}"
        );
    }
}

async fn until_shown(site: &Site, build: u32, since: Instant) -> Duration {
    loop {
        if site.named(HOST).await == Some(build) {
            return since.elapsed();
        }
        assert!(
            since.elapsed() < Duration::from_secs(10),
            "the host never shows build {build}"
        );
    }
}

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_copied_record_is_served_by_the_next_request() {
    let region = Region::start();
    let worker = region.worker().await;
    let site = Site::new(&worker, APP);
    let builds = [site.ship(1, &[HOST]).await, site.ship(2, &[HOST]).await];
    roll_back_and_forth("by hand, one server", &site, &region.redis, &builds).await;

    // As an operator types it: with the program, for a host that nobody has asked for in an hour.
    let source = snapshot_key(&builds[0].snapshot_id);
    region
        .redis
        .cli(&["COPY", &source, &env_key("dusty.test"), "REPLACE"]);
    assert_eq!(site.shown("dusty.test").await, Some(1));
    region
        .redis
        .cli(&["COPY", &source, &env_key(HOST), "REPLACE"]);
    soon_shown(&site, HOST, Some(1)).await;
    region.redis.cli(&["DEL", &env_key("dusty.test")]);
    soon_shown(&site, "dusty.test", None).await;
    // And what is published afterwards holds again.
    let _published = site.publish(&builds[1], &[HOST]).await.expect_status(200);
    assert_eq!(site.shown(HOST).await, Some(2));
}

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_copied_record_is_served_by_the_next_request_on_a_cluster() {
    let (cluster, s3) = (RedisCluster::start(), S3Server::start());
    let worker = Worker::start(WorkerProcess::builder().redis(&cluster).s3(&s3)).await;
    let site = Site::new(&worker, APP);
    let builds = [site.ship(1, &[HOST]).await, site.ship(2, &[HOST]).await];
    let node = cluster.node_of(&env_key(HOST));
    roll_back_and_forth("by hand, cluster", &site, node, &builds).await;
    let source = snapshot_key(&builds[0].snapshot_id);
    cluster.cli(&["COPY", &source, &env_key(HOST), "REPLACE"]);
    soon_shown(&site, HOST, Some(1)).await;
}

/// A value that is no record must not take the worker down, nor be shown as if the host did not exist.
#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_mistyped_record_is_an_error_of_that_host_alone() {
    let region = Region::start();
    let worker = region.worker().await;
    let site = Site::new(&worker, APP);
    let build = site.ship(1, &[HOST, "other.test"]).await;
    for value in ["", "{", "null", "{\"snapshot_id\":1}"] {
        region.redis.cli(&["SET", &env_key(HOST), value]);
        let reply = site.get(HOST, "/").await;
        assert!(
            reply.status.is_server_error(),
            "value `{value}`: {}",
            reply.status
        );
        assert_eq!(site.shown("other.test").await, Some(1), "value `{value}`");
    }
    region.redis.cli(&["DEL", &env_key(HOST)]);
    region.redis.cli(&["LPUSH", &env_key(HOST), "x"]);
    let reply = site.get(HOST, "/").await;
    assert!(reply.status.is_server_error(), "a list: {}", reply.status);
    region.redis.cli(&["DEL", &env_key(HOST)]);
    region
        .redis
        .cli(&["COPY", &snapshot_key(&build.snapshot_id), &env_key(HOST)]);
    assert_eq!(site.shown(HOST).await, Some(1));
}
