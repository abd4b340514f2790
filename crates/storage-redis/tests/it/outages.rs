//! Servers and networks that fail: what can be done is done, and every answer comes in time.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use favonius_storage::{Applied, CommitError, ErrorKind, RecordStore, StorageError};
use favonius_storage_redis::{RedisOptions, RedisRecords, RedisTopology};
use favonius_testing::{FaultProxy, RedisServer, eventually};
use tokio::task::JoinSet;

use crate::support::{
    LIMIT, PATIENCE, answer, app, commit, connect, connect_with, document, endpoint, name,
    published, stored,
};

/// Makes each kind of call and checks that it fails in time.
async fn assert_all_fail_in_time(store: &RedisRecords) {
    let application = app("a.b.c");
    let www = name("www");
    let id = document("u-1").snapshot().snapshot_id.clone();
    let asset = ("0".repeat(64) + ".5").parse().unwrap();
    let commit = async {
        match store.commit(vec![stored(&document("u-9"))]).await {
            Err(CommitError::Storage(error)) => Err(error),
            outcome => panic!("{outcome:?}"),
        }
    };
    let calls = futures::join!(
        timed(store.deployment(&www)),
        timed(store.snapshot(&id)),
        timed(store.known_assets(&application)),
        timed(store.knows_asset(&application, asset)),
        timed(store.versions(&application, 5)),
        timed(store.names(&application)),
        timed(store.history(&www)),
        timed(store.check()),
        timed::<()>(commit),
    );
    println!("failed after {calls:?}");
}

async fn timed<T: std::fmt::Debug>(
    call: impl Future<Output = Result<T, StorageError>>,
) -> Duration {
    let begun = Instant::now();
    let error = call.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.is_transient());
    let took = begun.elapsed();
    assert!(took < LIMIT, "{error} after {took:?}");
    took
}

fn through(proxy: &FaultProxy, server: &RedisServer) -> RedisRecords {
    let mut to = endpoint(server);
    to.port = proxy.port();
    connect_with(&RedisOptions::new(RedisTopology::Single(to)))
}

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_server_that_is_gone_fails_calls_in_time_and_is_found_again() {
    let server = RedisServer::builder().append_only().start();
    let store = connect(&server);
    let document = document("u-1");
    commit(&store, [stored(&document), published("www", &document, 10)]).await;
    for _ in 0..2 {
        server.stop();
        assert_all_fail_in_time(&store).await;
        server.start_again();
        let begun = Instant::now();
        assert_eq!(answer(&store, "www").await.unwrap(), "u-1.a.b.c", "at once");
        println!("answers {:?} after its start", begun.elapsed());
        let again = commit(&store, [stored(&document)]).await;
        assert_eq!(again, [Applied::Unchanged]);
    }
}

/// No call but those that were under way notices.
#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_short_restart_is_not_noticed() {
    let server = RedisServer::builder().append_only().start();
    let store = Arc::new(connect(&server));
    let document = document("u-1");
    commit(&store, [stored(&document), published("www", &document, 10)]).await;
    // Several connections are in the pool by now, all of them dead after this.
    let reads = (0..8).map(|_| answer(&store, "www"));
    futures::future::join_all(reads).await;
    server.stop();
    server.start_again();
    let reads = (0..32).map(|_| answer(&store, "www"));
    for answer in futures::future::join_all(reads).await {
        assert_eq!(answer.unwrap(), "u-1.a.b.c");
    }
}

/// It hangs: connections stay open, new ones are accepted, and nothing is answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_server_that_hangs_fails_calls_in_time() {
    let server = RedisServer::start();
    let store = connect(&server);
    let document = document("u-1");
    commit(&store, [stored(&document), published("www", &document, 10)]).await;
    server.pause();
    assert_all_fail_in_time(&store).await;
    // More calls than connections: also who waits for one is answered in time.
    let mut calls = JoinSet::new();
    for _ in 0..100 {
        let store = store.clone();
        calls.spawn(async move { timed(store.deployment(&name("www"))).await });
    }
    while let Some(outcome) = calls.join_next().await {
        outcome.unwrap();
    }
    server.resume();
    eventually("it answers again", PATIENCE, async || store.check().await).await;
    assert_eq!(answer(&store, "www").await.unwrap(), "u-1.a.b.c");
}

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_server_that_loads_its_data_is_waited_for_in_time() {
    let server = RedisServer::builder()
        .append_only()
        .setting("key-load-delay", "2000")
        .setting("loading-process-events-interval-bytes", "1024")
        .start();
    let server = Arc::new(server);
    let store = connect(&server);
    for number in 0..1_000 {
        commit(&store, [stored(&document(&format!("u-{number}")))]).await;
    }
    server.cli(&["BGREWRITEAOF"]);
    eventually("its data are on disk", PATIENCE, async || {
        let info = server.cli(&["INFO", "persistence"]);
        let done = info.contains("aof_rewrite_in_progress:0")
            && info.contains("aof_last_bgrewrite_status:ok");
        if done { Ok(()) } else { Err(info) }
    })
    .await;
    server.stop();
    let id = document("u-1").snapshot().snapshot_id.clone();
    let starting = tokio::task::spawn_blocking({
        let server = Arc::clone(&server);
        move || server.start_again()
    });
    let mut waited = 0;
    while !starting.is_finished() {
        let begun = Instant::now();
        let outcome = store.snapshot(&id).await;
        assert!(begun.elapsed() < LIMIT);
        if let Err(error) = outcome {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
            waited += 1;
        }
    }
    starting.await.unwrap();
    println!("{waited} calls failed while it loaded its data");
    assert!(store.snapshot(&id).await.unwrap().is_some());
}

/// The connections in the pool were forgotten by a firewall while nobody used them.
#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn idle_connections_that_died_in_silence_are_not_used() {
    let server = RedisServer::start();
    let proxy = FaultProxy::start(server.address());
    let store = through(&proxy, &server);
    let checks = (0..8).map(|_| store.check());
    futures::future::join_all(checks).await;
    let before = proxy.accepted();
    proxy.stall();
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(
        store.check().await.unwrap_err().kind(),
        ErrorKind::Unavailable
    );
    proxy.pass();
    store.check().await.unwrap();
    assert!(proxy.accepted() > before, "on a new connection");
}

/// In the middle of an answer, again and again.
#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_connection_that_breaks_is_replaced() {
    let server = RedisServer::start();
    let proxy = FaultProxy::start(server.address());
    let store = through(&proxy, &server);
    let document = document("u-1");
    let id = document.snapshot().snapshot_id.clone();
    commit(&store, [stored(&document)]).await;
    for _ in 0..10 {
        proxy.reset();
        assert!(store.snapshot(&id).await.unwrap().is_some());
        let again = commit(&store, [stored(&document)]).await;
        assert_eq!(again, [Applied::Unchanged]);
    }
    // From within the log-in to within the answer itself.
    for bytes in [20, 180, 280] {
        proxy.break_after(bytes);
        proxy.reset();
        let error = store.snapshot(&id).await.unwrap_err();
        assert_eq!(
            error.kind(),
            ErrorKind::Unavailable,
            "after {bytes} bytes: {error:?}"
        );
    }
    proxy.pass();
    assert!(store.snapshot(&id).await.unwrap().is_some());
}

/// A publish that Redis made, but whose answer was lost, is made again without harm.
#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_commit_whose_answer_is_lost_is_made_once() {
    let server = RedisServer::start();
    let proxy = FaultProxy::start(server.address());
    let store = through(&proxy, &server);
    let document = document("u-1");
    server.pause();
    let changes = vec![stored(&document), published("www", &document, 10)];
    let lost = store.commit(changes.clone()).await;
    assert!(lost.is_err(), "{lost:?}");
    server.resume();
    eventually("it answers again", PATIENCE, async || store.check().await).await;
    commit(&store, changes).await;
    let history = store.history(&name("www")).await.unwrap();
    assert_eq!(history.len(), 1, "{history:?}");
}
