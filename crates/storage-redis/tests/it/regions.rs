//! What the tests of queues are made of.

use favonius_contract::replication::{RegionEvent, TargetRegion};
use favonius_storage::{Applied, EventId, QueuedEvent, ReplicatedRecords};
use favonius_storage_redis::RedisRecords;

use crate::support::{commit, document, stored};

pub(crate) const OUTBOX: &str = "{ze-k8s-worker}:outbox";

pub(crate) fn region(url: &str) -> TargetRegion {
    url.parse().unwrap()
}

pub(crate) fn eu() -> TargetRegion {
    region("https://eu.test")
}

pub(crate) fn us() -> TargetRegion {
    region("https://us.test")
}

pub(crate) fn event(number: usize) -> RegionEvent {
    RegionEvent {
        snapshots: vec![format!("u-{number}.a.b.c").parse().unwrap()],
        ..RegionEvent::default()
    }
}

pub(crate) fn ids(events: &[QueuedEvent]) -> Vec<EventId> {
    events.iter().map(|event| event.id.clone()).collect()
}

pub(crate) fn events(taken: Vec<QueuedEvent>) -> Vec<RegionEvent> {
    taken.into_iter().map(|event| event.event).collect()
}

/// Appends events for every target.
pub(crate) async fn announce(store: &RedisRecords, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let change = stored(&document(&format!("u-{number}")));
        assert_eq!(commit(store, [change]).await, [Applied::Done]);
    }
}

pub(crate) async fn take(
    store: &RedisRecords,
    target: &TargetRegion,
    taker: &str,
) -> Vec<QueuedEvent> {
    store.take(target, taker, 100).await.unwrap()
}

pub(crate) async fn waiting(store: &RedisRecords, target: &TargetRegion) -> u64 {
    store.queue_state(target).await.unwrap().waiting
}
