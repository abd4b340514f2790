//! The queues in which events wait for each target.

use std::collections::HashSet;

use favonius_contract::replication::{RegionEvent, TargetRegion};
use favonius_storage::{EventId, QueueState, ReplicatedRecords};
use favonius_testing::RedisServer;

use crate::{
    regions::{OUTBOX, announce, eu, event, events, ids, take, us, waiting},
    support::{announcing, connect},
};

/// Makes an event look as if its taker had been silent for so long.
fn let_be_silent(server: &RedisServer, target: &TargetRegion, taker: &str, id: &EventId, ms: u32) {
    let (target, idle) = (target.as_str(), ms.to_string());
    let arguments = [
        "XCLAIM",
        OUTBOX,
        target,
        taker,
        "0",
        id.as_str(),
        "IDLE",
        &idle,
        "JUSTID",
    ];
    assert_eq!(server.cli(&arguments), id.as_str());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn takers_share_the_events_of_a_target() {
    let server = RedisServer::start();
    let store = announcing(&server);
    // Those that were there before the queue was opened are in it as well.
    announce(&store, 0..30).await;
    assert_eq!(store.queues().await.unwrap(), []);
    assert_eq!(take(&store, &us(), "t").await, []);
    store.open_queue(&us()).await.unwrap();
    store.open_queue(&eu()).await.unwrap();
    assert_eq!(store.queues().await.unwrap(), [eu(), us()]);
    announce(&store, 30..60).await;

    let worker = async |taker: &str| {
        let store = connect(&server);
        let mut all = Vec::new();
        loop {
            let taken = store.take(&eu(), taker, 7).await.unwrap();
            if taken.is_empty() {
                return all;
            }
            store.acknowledge(&eu(), &ids(&taken)).await.unwrap();
            all.extend(taken);
        }
    };
    let (one, other) = futures::join!(worker("one"), worker("other"));
    let both: HashSet<&EventId> = one.iter().chain(&other).map(|event| &event.id).collect();
    assert_eq!((one.len() + other.len(), both.len()), (60, 60));
    assert_eq!(
        store.queue_state(&eu()).await.unwrap(),
        QueueState::default()
    );
    assert_eq!(store.take(&us(), "one", 0).await.unwrap(), []);
    let state = store.queue_state(&us()).await.unwrap();
    let taken = take(&store, &us(), "one").await;
    assert_eq!((state.waiting, state.buried), (60, 0));
    assert_eq!(state.oldest_ms, Some(taken[0].queued_at_ms));
    assert_eq!(events(taken), (0..60).map(event).collect::<Vec<_>>());
    assert_eq!(store.queue_state(&us()).await.unwrap(), state);
}

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn the_events_of_a_silent_taker_are_given_to_others() {
    let server = RedisServer::start();
    let store = announcing(&server);
    store.open_queue(&eu()).await.unwrap();
    announce(&store, 0..3).await;
    let taken = ids(&take(&store, &eu(), "one").await);
    assert_eq!(take(&store, &eu(), "other").await, []);
    let_be_silent(&server, &eu(), "one", &taken[0], 29_000);
    assert_eq!(take(&store, &eu(), "other").await, []);
    for id in &taken[..2] {
        let_be_silent(&server, &eu(), "one", id, 31_000);
    }
    // It says that it has the first one still.
    store.hold(&eu(), "one", &taken[..1]).await.unwrap();
    announce(&store, 3..4).await;
    let others = take(&store, &eu(), "other").await;
    assert_eq!(events(others.clone()), [event(1), event(3)]);

    // Who has lost an event cannot hold it, nor give it away; who has it can.
    let_be_silent(&server, &eu(), "other", &taken[1], 31_000);
    store.hold(&eu(), "one", &taken).await.unwrap();
    assert_eq!(ids(&take(&store, &eu(), "other").await), taken[1..2]);
    store.release(&eu(), "one", &taken[1..2]).await.unwrap();
    assert_eq!(take(&store, &eu(), "third").await, []);
    store.release(&eu(), "other", &ids(&others)).await.unwrap();
    assert_eq!(take(&store, &eu(), "third").await, others);

    // Whoever had it, it is done with when the target has it.
    store.acknowledge(&eu(), &taken).await.unwrap();
    assert_eq!(waiting(&store, &eu()).await, 1);
}

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn events_for_one_target_are_for_no_other() {
    let server = RedisServer::start();
    let store = announcing(&server);
    store.open_queue(&eu()).await.unwrap();
    announce(&store, 0..1).await;
    let many: Vec<RegionEvent> = (1..500).map(event).collect();
    store.enqueue(&us(), many.clone()).await.unwrap();
    announce(&store, 500..501).await;
    assert_eq!(waiting(&store, &us()).await, 501);
    let taken = store.take(&eu(), "t", 2).await.unwrap();
    assert_eq!(events(taken), [event(0), event(500)]);
    assert_eq!(waiting(&store, &eu()).await, 2);

    let taken = store.take(&us(), "t", 1_000).await.unwrap();
    assert_eq!(
        events(taken.clone()),
        (0..501).map(event).collect::<Vec<_>>()
    );
    store.acknowledge(&us(), &ids(&taken)).await.unwrap();
    assert_eq!(server.cli(&["XLEN", OUTBOX]), "2");
    assert_eq!(
        store.queue_state(&us()).await.unwrap(),
        QueueState::default()
    );
}

/// However many there are; of very many about as many as there are is told.
#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn what_waits_is_counted() {
    let server = RedisServer::start();
    let store = connect(&server);
    assert_eq!(
        store.queue_state(&eu()).await.unwrap(),
        QueueState::default()
    );
    store.open_queue(&us()).await.unwrap();
    store
        .enqueue(&eu(), (0..2_000).map(event).collect())
        .await
        .unwrap();
    assert_eq!(waiting(&store, &eu()).await, 2_000);
    let taken = store.take(&eu(), "t", 700).await.unwrap();
    assert_eq!(waiting(&store, &eu()).await, 2_000);
    store.acknowledge(&eu(), &ids(&taken)).await.unwrap();
    assert_eq!(waiting(&store, &eu()).await, 1_300);
    // None of the others' are counted where they can be looked at.
    store
        .enqueue(&us(), (0..5).map(event).collect())
        .await
        .unwrap();
    let taken = store.take(&eu(), "t", 1_290).await.unwrap();
    store.acknowledge(&eu(), &ids(&taken)).await.unwrap();
    assert_eq!(waiting(&store, &eu()).await, 10);
    assert_eq!(take(&store, &us(), "t").await.len(), 5);
    assert_eq!(waiting(&store, &us()).await, 5);
}

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn what_is_refused_is_put_aside_and_can_be_sent_again() {
    let server = RedisServer::start();
    let store = announcing(&server);
    store.open_queue(&eu()).await.unwrap();
    store.open_queue(&us()).await.unwrap();
    announce(&store, 0..3).await;
    let taken = take(&store, &eu(), "t").await;
    for event in &taken {
        store.bury(&eu(), event, "no \"room\"").await.unwrap();
        store.bury(&eu(), event, "again").await.unwrap();
    }
    let state = store.queue_state(&eu()).await.unwrap();
    assert_eq!((state.waiting, state.buried, state.oldest_ms), (0, 3, None));
    let letters = store.dead_letters(&eu(), 2).await.unwrap();
    assert_eq!(letters.len(), 2);
    assert_eq!(letters[0].event, serde_json::to_string(&event(0)).unwrap());
    assert_eq!(letters[0].reason, "no \"room\"");
    assert_eq!(letters[0].queued_at_ms, taken[0].queued_at_ms);
    assert!(letters[0].buried_at_ms >= letters[0].queued_at_ms);
    assert_eq!(store.dead_letters(&us(), 9).await.unwrap(), []);

    // Letters that there are not are none; one of them, then all.
    let some = ["nonsense", "5-5", letters[1].id.as_str()].map(EventId::new);
    assert_eq!(store.retry(&eu(), Some(&some)).await.unwrap(), 1);
    assert_eq!(store.retry(&eu(), Some(&some)).await.unwrap(), 0);
    let again = take(&store, &eu(), "t").await;
    assert_eq!(events(again.clone()), [event(1)]);
    store.bury(&eu(), &again[0], "still").await.unwrap();
    assert_eq!(store.retry(&eu(), None).await.unwrap(), 3);
    assert_eq!(store.retry(&eu(), None).await.unwrap(), 0);
    let again = events(take(&store, &eu(), "t").await);
    assert_eq!(again, [event(0), event(2), event(1)]);
    let all = events(take(&store, &us(), "t").await);
    assert_eq!(all, [event(0), event(1), event(2)]);
}
