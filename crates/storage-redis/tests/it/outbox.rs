//! What other regions are told, and the queues in which it waits.

use favonius_contract::{AssetHash, AssetRef, replication::RegionEvent};
use favonius_storage::{Applied, Change, QueueState, Rejection, ReplicatedRecords};
use favonius_testing::RedisServer;

use crate::{
    regions::{OUTBOX, announce, eu, event, events, ids, take, us, waiting},
    support::{
        announcing, app, commit, connect, connect_with, document, document_of, options, published,
        refused, remove, replicated, stored,
    },
};

fn asset_stored() -> Change {
    let hash = AssetHash::of(b"x", "y");
    Change::AssetStored {
        application: app("a.b.c"),
        asset: AssetRef { hash, size: 1 },
    }
}

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_commit_is_one_event() {
    let server = RedisServer::start();
    let store = announcing(&server);
    let (one, two, theirs) = (
        document(r#"é\"\\-1"#),
        document("u-2"),
        document_of("d.e.f", "u-1"),
    );
    store.open_queue(&eu()).await.unwrap();
    store.open_queue(&eu()).await.unwrap();
    commit(&store, [stored(&theirs), published("theirs", &theirs, 5)]).await;
    let first = take(&store, &eu(), "t").await;
    assert_eq!(first.len(), 1);
    store.acknowledge(&eu(), &ids(&first)).await.unwrap();
    let changes = [
        asset_stored(),
        stored(&one),
        stored(&two),
        published("w\"w", &one, 10),
        published("gone", &one, 10),
        published("w\"w", &two, 10),
        Change::Removed(remove("gone", 10)),
        Change::Removed(remove("never", 10)),
        replicated("theirs", &one, 1, false),
    ];
    let applied = commit(&store, changes.clone()).await;
    assert_eq!(
        applied[7..],
        [Applied::Unchanged, Applied::Superseded],
        "{applied:?}"
    );
    let expected = r#"{"snapshots":["é\"\\-1.a.b.c","u-2.a.b.c"],"names":[{"name":"w\"w","published":{"snapshot_id":"u-2.a.b.c","application_uid":"a.b.c","published_at":11,"replica":"eu"}},{"name":"gone","removed":{"application_uid":"a.b.c","published_at":11,"replica":"eu"}}]}"#;
    let taken = take(&store, &eu(), "t").await;
    assert_eq!(
        events(taken.clone()),
        [serde_json::from_str::<RegionEvent>(expected).unwrap()]
    );
    assert_eq!(serde_json::to_string(&taken[0].event).unwrap(), expected);
    let id = taken[0].id.as_str();
    let raw = server.cli(&["XRANGE", OUTBOX, id, id]);
    assert_eq!(raw, format!("{id}\nevent\n{expected}"));
    assert!(id.starts_with(&format!("{}-", taken[0].queued_at_ms)));

    // What changes nothing is not told, nor are assets by themselves, nor what is refused.
    let nothing = [
        stored(&one),
        published("w\"w", &two, 10),
        Change::Removed(remove("gone", 10)),
        asset_stored(),
    ];
    commit(&store, nothing).await;
    let forbidden = [stored(&document("u-3")), published("theirs", &one, 20)];
    let rejection = refused(&store, forbidden).await;
    assert!(matches!(rejection, Rejection::NameOwned { .. }));
    // What another region told is not told to others; nor does a store that was not asked to tell anything.
    let told = vec![
        stored(&document("u-4")),
        replicated("w\"w", &one, 50, false),
    ];
    store.commit_replicated(told).await.unwrap();
    commit(&connect(&server), [stored(&document("u-5"))]).await;
    assert_eq!(take(&store, &eu(), "t").await, []);
    assert_eq!(server.cli(&["XLEN", OUTBOX]), "2");
}

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn an_event_that_cannot_be_read_is_put_aside() {
    let server = RedisServer::start();
    let store = announcing(&server);
    store.open_queue(&eu()).await.unwrap();
    server.cli(&["XADD", OUTBOX, "*", "event", "not JSON"]);
    server.cli(&["XADD", OUTBOX, "*", "something", "else"]);
    announce(&store, 0..1).await;
    assert_eq!(events(store.take(&eu(), "t", 1).await.unwrap()), [event(0)]);
    let letters = store.dead_letters(&eu(), 9).await.unwrap();
    let shown: Vec<&str> = letters.iter().map(|letter| &*letter.event).collect();
    assert_eq!(shown, ["not JSON", ""]);
    assert!(letters[0].reason.contains("cannot be read"));
    assert_eq!(waiting(&store, &eu()).await, 1);

    // What is not what it should be is told, not mended.
    server.cli(&["SET", "{ze-k8s-worker}:outbox:dead:https://us.test", "x"]);
    server.cli(&["SET", OUTBOX, "x"]);
    let error = store.take(&eu(), "t", 1).await.unwrap_err();
    assert_eq!(error.kind(), favonius_storage::ErrorKind::Corrupt);
    let error = store.dead_letters(&us(), 1).await.unwrap_err();
    assert_eq!(error.kind(), favonius_storage::ErrorKind::Corrupt);
}

/// As after a fail-over to a server that knows nothing.
#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_queue_is_there_again_after_redis_was_emptied() {
    let server = RedisServer::start();
    let store = announcing(&server);
    store.open_queue(&eu()).await.unwrap();
    announce(&store, 0..2).await;
    let taken = take(&store, &eu(), "t").await;
    server.cli(&["FLUSHALL"]);
    store.hold(&eu(), "t", &ids(&taken)).await.unwrap();
    store.release(&eu(), "t", &ids(&taken)).await.unwrap();
    store.acknowledge(&eu(), &ids(&taken)).await.unwrap();
    store.bury(&eu(), &taken[0], "gone").await.unwrap();
    assert_eq!(store.dead_letters(&eu(), 9).await.unwrap(), []);
    assert_eq!(
        store.queue_state(&eu()).await.unwrap(),
        QueueState::default()
    );
    assert_eq!(store.trim(0).await.unwrap(), []);
    announce(&store, 0..1).await;
    assert_eq!(events(take(&store, &eu(), "t").await), [event(0)]);
    assert_eq!(store.queues().await.unwrap(), [eu()]);
}

/// What the crate's documentation asks for is enough, and no more is used.
#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_user_needs_no_more_rights_than_are_documented() {
    let server = RedisServer::start();
    let rights = [
        "@string",
        "@set",
        "@sortedset",
        "@list",
        "@hash",
        "@stream",
        "@scripting",
        "@connection",
        "del",
        "type",
    ]
    .map(|right| format!("+{right}"));
    let user = [
        "ACL",
        "SETUSER",
        "worker",
        "on",
        ">w",
        "~{ze-k8s-worker}:*",
        "-@all",
    ];
    let command: Vec<&str> = user
        .into_iter()
        .chain(rights.iter().map(String::as_str))
        .collect();
    server.cli(&command);
    let mut options = options(&server);
    options.username = Some("worker".into());
    options.password = Some("w".into());
    options.announce = true;
    let store = connect_with(&options);
    let one = document("u-1");
    store.open_queue(&eu()).await.unwrap();
    commit(&store, [stored(&one), published("www", &one, 1)]).await;
    commit(&store, [Change::Removed(remove("www", 2))]).await;
    let taken = take(&store, &eu(), "t").await;
    store.hold(&eu(), "t", &ids(&taken)).await.unwrap();
    store.bury(&eu(), &taken[0], "no").await.unwrap();
    store.acknowledge(&eu(), &ids(&taken)).await.unwrap();
    store.dead_letters(&eu(), 1).await.unwrap();
    store.retry(&eu(), None).await.unwrap();
    assert_eq!(waiting(&store, &eu()).await, 1);
    store.trim(0).await.unwrap();
    store.queues().await.unwrap();
    store.forget_removals(u64::MAX).await.unwrap();
    assert!(
        store
            .use_once("x", favonius_storage::CLAIMED_AFTER)
            .await
            .unwrap()
    );
}
