//! What is removed from the outbox.

use favonius_storage::ReplicatedRecords;
use favonius_testing::RedisServer;

use crate::{
    regions::{OUTBOX, announce, eu, event, events, ids, take, us, waiting},
    support::{announcing, connect},
};

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn what_every_target_has_is_removed() {
    let server = RedisServer::start();
    let store = announcing(&server);
    assert_eq!(store.trim(0).await.unwrap(), []);
    announce(&store, 0..4).await;
    assert_eq!(store.trim(0).await.unwrap(), []);
    assert_eq!(server.cli(&["XLEN", OUTBOX]), "4", "a queue may be opened");
    store.open_queue(&eu()).await.unwrap();
    store.open_queue(&us()).await.unwrap();

    let eus = ids(&take(&store, &eu(), "t").await);
    let uss = ids(&store.take(&us(), "t", 2).await.unwrap());
    let steps = [
        ("eu has the first", &eu(), &eus[..1], "4"),
        ("us has the second", &us(), &uss[1..], "4"),
        ("us has the first", &us(), &uss[..1], "3"),
        ("eu has all but the third", &eu(), &eus[3..], "3"),
        ("eu has the third", &eu(), &eus[2..3], "3"),
        ("eu has the second", &eu(), &eus[1..2], "2"),
    ];
    for (step, target, acknowledged, left) in steps {
        store.acknowledge(target, acknowledged).await.unwrap();
        assert_eq!(store.trim(0).await.unwrap(), [], "{step}");
        assert_eq!(server.cli(&["XLEN", OUTBOX]), left, "{step}");
    }
    let rest = take(&store, &us(), "t").await;
    assert_eq!(events(rest.clone()), [event(2), event(3)]);
    store.acknowledge(&us(), &ids(&rest)).await.unwrap();
    store.trim(0).await.unwrap();
    assert_eq!(server.cli(&["XLEN", OUTBOX]), "0");
    assert_eq!(store.queues().await.unwrap(), [eu(), us()]);
    announce(&store, 4..5).await;
    assert_eq!(events(take(&store, &us(), "t").await), [event(4)]);
}

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn what_is_too_old_is_removed_and_told_of() {
    let server = RedisServer::start();
    let store = connect(&server);
    store.open_queue(&eu()).await.unwrap();
    store.open_queue(&us()).await.unwrap();
    let json = serde_json::to_string(&event(0)).unwrap();
    for number in 1..=450 {
        let id = format!("{}-{}", 1_000 + number / 50, number % 50 + 1);
        server.cli(&["XADD", OUTBOX, &id, "event", &json]);
    }
    server.cli(&[
        "XADD",
        OUTBOX,
        "1009-9",
        "event",
        &json,
        "only",
        "https://us.test",
    ]);
    server.cli(&["XADD", OUTBOX, "2000-0", "event", &json]);
    let eus = ids(&store.take(&eu(), "t", 10).await.unwrap());
    store.acknowledge(&eu(), &eus[..4]).await.unwrap();
    assert_eq!(
        store.trim(1_002).await.unwrap(),
        [(eu(), 99 - 4), (us(), 99)]
    );
    // Pending events that are gone are nobody's any more.
    assert_eq!(waiting(&store, &eu()).await, 352);
    assert_eq!(waiting(&store, &us()).await, 353);
    assert_eq!(store.trim(2_000).await.unwrap(), [(eu(), 351), (us(), 352)]);
    assert_eq!(server.cli(&["XLEN", OUTBOX]), "1");
    assert_eq!(waiting(&store, &eu()).await, 1);
    assert_eq!(store.trim(u64::MAX).await.unwrap(), [(eu(), 1), (us(), 1)]);
    assert_eq!(waiting(&store, &eu()).await, 0);

    // What comes afterwards is told, although it was said to be too old already.
    store.enqueue(&eu(), vec![event(1)]).await.unwrap();
    assert_eq!(events(take(&store, &eu(), "t").await), [event(1)]);
}

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn takers_that_are_gone_are_forgotten() {
    let server = RedisServer::start();
    let store = announcing(&server);
    store.open_queue(&eu()).await.unwrap();
    announce(&store, 0..2).await;
    let taken = store.take(&eu(), "busy", 1).await.unwrap();
    take(&store, &eu(), "lost its event").await;
    store.trim(0).await.unwrap();
    let consumers = || server.cli(&["XINFO", "CONSUMERS", OUTBOX, "https://eu.test"]);
    assert!(consumers().contains("busy") && consumers().contains("lost its event"));
    // By hand, too, an event may go that somebody has.
    server.cli(&["XDEL", OUTBOX, taken[0].id.as_str()]);
    store.trim(0).await.unwrap();
    assert_eq!(waiting(&store, &eu()).await, 1);
}
