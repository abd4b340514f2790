//! What readers are told.

use std::time::{Duration, Instant};

use favonius_storage::{ChangeEvent, RecordStore};
use favonius_storage_redis::{RedisOptions, RedisRecords, RedisTopology};
use favonius_testing::{FaultProxy, RedisServer};
use futures::{StreamExt, stream::BoxStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::support::{
    PATIENCE, commit, connect, connect_with, connected, document, endpoint, name, options,
    published, stored, text_of, until,
};

const WWW: &str = "{ze-k8s-worker}:envs:www";

fn www() -> ChangeEvent {
    ChangeEvent::Name(name("www"))
}

/// The next event, which is to come soon.
async fn next(changes: &mut BoxStream<'static, ChangeEvent>, after: &str) -> ChangeEvent {
    let event = tokio::time::timeout(PATIENCE, changes.next()).await;
    event
        .unwrap_or_else(|_| panic!("nothing is told after {after}"))
        .unwrap()
}

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn what_is_done_by_hand_is_told_within_milliseconds() {
    let server = RedisServer::start();
    let store = connect(&server);
    let document = document("u-1");
    let snapshot = "{ze-k8s-worker}:snapshots:u-1.a.b.c";
    let mut changes = connected(&store).await;
    let snapshot_event = ChangeEvent::Snapshot(document.snapshot().snapshot_id.clone());
    let by_hand: [(&[&str], ChangeEvent); 8] = [
        (
            &["SET", snapshot, text_of(&document)],
            snapshot_event.clone(),
        ),
        (&["COPY", snapshot, WWW], www()),
        (&["DEL", WWW], www()),
        (&["RENAME", snapshot, WWW], www()),
        (&["PEXPIRE", WWW, "30"], www()),
        (&["SET", WWW, "{}", "PX", "30"], www()),
        (&["FLUSHALL"], ChangeEvent::Connected),
        (&["SET", snapshot, "x"], snapshot_event),
    ];
    let mut delays = Vec::new();
    for (command, expected) in by_hand {
        let printed = server.cli(command);
        // Including the time that redis-cli takes to end.
        let begun = Instant::now();
        until(&mut changes, &expected).await;
        delays.push((command[0], begun.elapsed()));
        assert!(
            begun.elapsed() < Duration::from_secs(2),
            "{command:?} {printed}"
        );
        if command.iter().any(|word| word.starts_with('P')) {
            // Once for the command, and once when the key is gone by itself.
            until(&mut changes, &www()).await;
        }
    }
    println!("told after: {delays:?}");
}

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn what_other_workers_do_is_told_and_nothing_else() {
    let server = RedisServer::start();
    let (store, other) = (connect(&server), connect(&server));
    let mut changes = connected(&store).await;
    let document = document("u-1");
    for unrelated in [
        "{ze-k8s-worker}:envs",
        "envs:www",
        "{ze-k8s-worker}:hosts:a.b.c",
    ] {
        server.cli(&["SET", unrelated, "x"]);
    }
    server.cli(&["DEL", "{ze-k8s-worker}:hosts:a.b.c"]);
    server.cli(&["SET", "{ze-k8s-worker}:envs:not/a/name", "x"]);
    commit(&other, [stored(&document), published("www", &document, 10)]).await;
    let snapshot = ChangeEvent::Snapshot(document.snapshot().snapshot_id.clone());
    let told = [
        next(&mut changes, "a commit").await,
        next(&mut changes, "a commit").await,
    ];
    assert!(
        told.contains(&snapshot) && told.contains(&www()),
        "{told:?}"
    );
}

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_store_may_be_there_before_its_server() {
    let server = RedisServer::start();
    server.stop();
    let store = connect(&server);
    let mut changes = store.changes();
    assert_eq!(
        next(&mut changes, "the start").await,
        ChangeEvent::Disconnected
    );
    assert!(store.check().await.is_err());
    server.start_again();
    assert_eq!(
        next(&mut changes, "its start").await,
        ChangeEvent::Connected
    );
    server.cli(&["SET", WWW, "x"]);
    assert_eq!(next(&mut changes, "a write").await, www());
    assert_eq!(
        next(&mut store.changes(), "it is there").await,
        ChangeEvent::Connected
    );
}

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_lost_connection_is_told_and_made_again() {
    let server = RedisServer::start();
    let store = connect(&server);
    let mut changes = connected(&store).await;
    for round in 0..3 {
        let begun = Instant::now();
        if round == 0 {
            server.cli(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        } else {
            server.stop();
        }
        assert_eq!(next(&mut changes, "a cut").await, ChangeEvent::Disconnected);
        println!(
            "round {round}: told of the loss after {:?}",
            begun.elapsed()
        );
        if round > 0 {
            assert_eq!(
                next(&mut store.changes(), "a cut").await,
                ChangeEvent::Disconnected
            );
            server.start_again();
        }
        let begun = Instant::now();
        assert_eq!(
            next(&mut changes, "its return").await,
            ChangeEvent::Connected
        );
        println!("round {round}: connected again after {:?}", begun.elapsed());
        server.cli(&["SET", WWW, "x"]);
        assert_eq!(next(&mut changes, "a write").await, www());
    }
}

/// A firewall that forgets a connection tells nobody.
#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_connection_that_dies_in_silence_is_noticed() {
    let server = RedisServer::start();
    let proxy = FaultProxy::start(server.address());
    let mut through_proxy = endpoint(&server);
    through_proxy.port = proxy.port();
    let store = connect_with(&RedisOptions::new(RedisTopology::Single(through_proxy)));
    let mut changes = connected(&store).await;

    proxy.stall();
    let begun = Instant::now();
    assert_eq!(
        next(&mut changes, "silence").await,
        ChangeEvent::Disconnected
    );
    println!("told of the silence after {:?}", begun.elapsed());
    proxy.pass();
    assert_eq!(next(&mut changes, "its end").await, ChangeEvent::Connected);
    server.cli(&["SET", WWW, "x"]);
    until(&mut changes, &www()).await;

    // The same when the server itself hangs.
    server.pause();
    until(&mut changes, &ChangeEvent::Disconnected).await;
    server.resume();
    until(&mut changes, &ChangeEvent::Connected).await;
}

/// A server that is not the master any more is told of writes late, or not at all.
#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_server_that_became_a_replica_is_left() {
    let (server, other) = (RedisServer::start(), RedisServer::start());
    let store = connect(&server);
    let mut changes = connected(&store).await;
    let port = other.port().to_string();
    server.cli(&["REPLICAOF", other.host(), &port]);
    until(&mut changes, &ChangeEvent::Disconnected).await;
    server.cli(&["REPLICAOF", "NO", "ONE"]);
    until(&mut changes, &ChangeEvent::Connected).await;
}

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn no_task_is_left_behind() {
    let server = RedisServer::start();
    for cancel in [false, true] {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let store = RedisRecords::connect(&options(&server), &tasks, &stop).unwrap();
        let mut changes = connected(&store).await;
        store.check().await.unwrap();
        assert!(tasks.len() >= 3, "the watcher and two connections");
        tasks.close();
        if cancel {
            stop.cancel();
            tokio::time::timeout(PATIENCE, tasks.wait()).await.unwrap();
            until(&mut changes, &ChangeEvent::Disconnected).await;
            assert!(store.check().await.is_err());
        } else {
            drop(store);
            // Readers keep it alive.
            server.cli(&["SET", WWW, "x"]);
            until(&mut changes, &www()).await;
            drop(changes);
            tokio::time::timeout(PATIENCE, tasks.wait()).await.unwrap();
        }
    }
}
