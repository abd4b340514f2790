//! The suite that every record store must pass: each case by itself on a server of its own, and all of them on servers
//! of other kinds.

use std::sync::atomic::{AtomicUsize, Ordering};

use favonius_storage::conformance;
use favonius_storage_redis::{RedisOptions, RedisRecords, RedisTopology};
use favonius_testing::{RedisCluster, RedisSentinel, RedisServer};

use crate::support::{announcing, connect, connect_with, endpoint, options};

mod one_server {
    use std::future::{Ready, ready};

    use super::*;

    fn fresh() -> Ready<(RedisRecords, RedisServer)> {
        let server = RedisServer::start();
        ready((connect(&server), server))
    }

    favonius_storage::record_store_suite!(
        #[cfg_attr(
            not(has_redis),
            ignore = "redis-server is not installed: run scripts/setup-tests"
        )]
        fresh
    );

    fn announcing_store() -> Ready<(RedisRecords, RedisServer)> {
        let server = RedisServer::start();
        ready((announcing(&server), server))
    }

    favonius_storage::replicated_store_suite!(
        #[cfg_attr(
            not(has_redis),
            ignore = "redis-server is not installed: run scripts/setup-tests"
        )]
        announcing_store
    );
}

/// Runs all cases on the same server, each with keys of its own.
async fn run_all(options: RedisOptions) {
    let count = AtomicUsize::new(0);
    let fresh = async || {
        let number = count.fetch_add(1, Ordering::Relaxed);
        let mut options = options.clone();
        options.envs_prefix = format!("{{case-{number}}}:envs:");
        options.snapshots_prefix = format!("{{case-{number}}}:snapshots:");
        options.announce = true;
        connect_with(&options)
    };
    conformance::run_all(fresh).await;
    conformance::run_all_replicated(fresh).await;
    assert!(count.into_inner() > 30, "the cases have run");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn with_tls_password_and_database() {
    let server = RedisServer::builder()
        .tls()
        .password("s3cret \"pass")
        .start();
    let mut options = options(&server);
    options.password = Some("s3cret \"pass".into());
    options.db = 3;
    run_all(options).await;
    assert_eq!(server.cli(&["-n", "0", "DBSIZE"]), "0");
    assert_ne!(server.cli(&["-n", "3", "DBSIZE"]), "0");
}

/// Different hash tags are on different nodes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn in_a_cluster() {
    let cluster = RedisCluster::start();
    let seeds = cluster.nodes().iter().map(endpoint).collect();
    run_all(RedisOptions::new(RedisTopology::Cluster { seeds })).await;
    for node in cluster.nodes() {
        assert_ne!(node.cli(&["DBSIZE"]), "0", "each node has a share");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn with_sentinels() {
    let servers = RedisSentinel::start();
    run_all(RedisOptions::new(RedisTopology::Sentinel {
        sentinels: vec![endpoint(servers.sentinel())],
        master: RedisSentinel::MASTER.into(),
    }))
    .await;
}

/// A store that shares one connection among all who call must be none the worse.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn over_one_connection() {
    let server = RedisServer::start();
    let mut options = options(&server);
    options.pool_size = 1;
    run_all(options).await;
}
