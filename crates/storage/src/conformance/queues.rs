//! Queues: each target is told of everything, by whoever takes it.

use std::{collections::HashSet, sync::Arc};

use favonius_contract::replication::RegionEvent;
use tokio::task::JoinSet;

use super::{
    ReplicatedStore,
    sample::{announce, content, event, ids, take, target},
};
use crate::{EventId, QueueState};

/// What one was told of, the other one was not.
pub async fn each_target_has_its_own_queue(store: ReplicatedStore) {
    let (eu, us) = (target("eu"), target("us"));
    for target in [&us, &eu, &us] {
        store.open_queue(target).await.unwrap();
    }
    let queues = store.queues().await.unwrap();
    assert_eq!(queues, [eu.clone(), us.clone()]);
    let events = announce(&store, &["u-1", "u-2", "u-3"]).await;

    let first = take(&store, &eu, "taker", 2).await;
    assert_eq!(content(&first), events[..2]);
    store.acknowledge(&eu, &ids(&first)).await.unwrap();
    let second = take(&store, &eu, "taker", 100).await;
    assert_eq!(content(&second), events[2..]);

    let all = take(&store, &us, "taker", 100).await;
    assert_eq!(content(&all), events);
    store.acknowledge(&us, &ids(&all)).await.unwrap();
    let state = store.queue_state(&eu).await.unwrap();
    assert_eq!(state.waiting, 1);
    let state = store.queue_state(&us).await.unwrap();
    assert_eq!(state, QueueState::default());
}

/// Of what the others have not all been told of yet.
pub async fn a_target_that_is_opened_later_is_told_of_what_is_kept(store: ReplicatedStore) {
    let (eu, us) = (target("eu"), target("us"));
    store.open_queue(&eu).await.unwrap();
    let mut events = announce(&store, &["u-1", "u-2"]).await;
    store.open_queue(&us).await.unwrap();
    events.extend(announce(&store, &["u-3"]).await);
    for target in [&us, &eu] {
        let taken = take(&store, target, "taker", 100).await;
        assert_eq!(content(&taken), events, "{target}");
    }
    // To open it again does not fill it again.
    store.open_queue(&us).await.unwrap();
    assert_eq!(take(&store, &us, "another", 100).await, []);
    let state = store.queue_state(&us).await.unwrap();
    assert_eq!(state.waiting, 3);
}

/// That is no error.
pub async fn nothing_is_in_a_queue_that_is_not_open(store: ReplicatedStore) {
    let nobody = target("nobody");
    announce(&store, &["u-1"]).await;
    assert_eq!(store.queues().await.unwrap(), []);
    assert_eq!(take(&store, &nobody, "taker", 100).await, []);
    let state = store.queue_state(&nobody).await.unwrap();
    assert_eq!(state, QueueState::default());
    let letters = store.dead_letters(&nobody, 100).await.unwrap();
    assert_eq!(letters, []);
    assert_eq!(store.retry(&nobody, None).await.unwrap(), 0);
}

/// Each event is one's own, and none is left.
pub async fn two_takers_share_a_queue(store: ReplicatedStore) {
    let eu = target("eu");
    store.open_queue(&eu).await.unwrap();
    let versions: Vec<String> = (0..30).map(|number| format!("u-{number}")).collect();
    let events = versions.iter().map(|version| event(version)).collect();
    store.enqueue(&eu, events).await.unwrap();
    let mut tasks = JoinSet::new();
    for taker in ["one", "other"] {
        let (store, eu) = (Arc::clone(&store), eu.clone());
        tasks.spawn(async move {
            let mut all: Vec<EventId> = Vec::new();
            loop {
                let taken = take(&store, &eu, taker, 3).await;
                assert!(taken.len() <= 3);
                if taken.is_empty() {
                    return all;
                }
                all.extend(ids(&taken));
            }
        });
    }
    let all = tasks.join_all().await.concat();
    let different: HashSet<&EventId> = all.iter().collect();
    assert_eq!((all.len(), different.len()), (30, 30));
}

/// Until it is released by who took it.
pub async fn what_was_taken_is_given_to_nobody_else(store: ReplicatedStore) {
    let eu = target("eu");
    store.open_queue(&eu).await.unwrap();
    let events = announce(&store, &["u-1", "u-2", "u-3"]).await;
    let taken = take(&store, &eu, "one", 2).await;
    let all = ids(&taken);
    store.hold(&eu, "one", &all).await.unwrap();
    let rest = take(&store, &eu, "other", 100).await;
    assert_eq!(content(&rest), events[2..]);
    for taker in ["one", "other", "third"] {
        assert_eq!(take(&store, &eu, taker, 100).await, [], "{taker}");
    }
    // What somebody else has cannot be held or released.
    store.hold(&eu, "other", &all).await.unwrap();
    store.release(&eu, "other", &all).await.unwrap();
    assert_eq!(take(&store, &eu, "third", 100).await, []);

    store.release(&eu, "one", &all[..1]).await.unwrap();
    let again = take(&store, &eu, "third", 100).await;
    assert_eq!(again, taken[..1]);
    store.release(&eu, "third", &all[..1]).await.unwrap();
    store.release(&eu, "one", &all[1..]).await.unwrap();
    let again = take(&store, &eu, "one", 100).await;
    assert_eq!(again, taken, "oldest first");
}

/// Whoever acknowledges it, and how often.
pub async fn what_is_acknowledged_is_gone(store: ReplicatedStore) {
    let eu = target("eu");
    store.open_queue(&eu).await.unwrap();
    let events = announce(&store, &["u-1", "u-2", "u-3"]).await;
    let taken = take(&store, &eu, "one", 2).await;
    let all = ids(&taken);
    for _ in 0..2 {
        store.acknowledge(&eu, &all[1..]).await.unwrap();
    }
    store.acknowledge(&eu, &[]).await.unwrap();
    store.release(&eu, "one", &all).await.unwrap();
    let left = take(&store, &eu, "other", 100).await;
    assert_eq!(content(&left), [events[0].clone(), events[2].clone()]);
    store.acknowledge(&eu, &ids(&left)).await.unwrap();
    let state = store.queue_state(&eu).await.unwrap();
    assert_eq!(state, QueueState::default());

    // An id does not come again: somebody may still hold it.
    announce(&store, &["u-4"]).await;
    let next = take(&store, &eu, "other", 100).await;
    assert_eq!(next.len(), 1);
    assert!(!all.contains(&next[0].id), "{:?}", next[0].id);
}

/// And the reason. Other targets are told all the same.
pub async fn a_dead_letter_keeps_its_event(store: ReplicatedStore) {
    let (eu, us) = (target("eu"), target("us"));
    for target in [&eu, &us] {
        store.open_queue(target).await.unwrap();
    }
    let events = announce(&store, &["u-1", "u-2", "u-3"]).await;
    let taken = take(&store, &eu, "taker", 100).await;
    for (taken, reason) in taken[..2].iter().zip(["no \"space\"", "é"]) {
        store.bury(&eu, taken, reason).await.unwrap();
    }
    store.release(&eu, "taker", &ids(&taken)).await.unwrap();
    let left = take(&store, &eu, "taker", 100).await;
    assert_eq!(content(&left), events[2..]);

    let letters = store.dead_letters(&eu, 100).await.unwrap();
    let reasons: Vec<&str> = letters.iter().map(|letter| &*letter.reason).collect();
    assert_eq!(reasons, ["no \"space\"", "é"]);
    for (letter, taken) in letters.iter().zip(&taken) {
        let event: RegionEvent = serde_json::from_str(&letter.event).unwrap();
        assert_eq!(event, taken.event);
        assert_eq!(letter.queued_at_ms, taken.queued_at_ms);
        assert!(letter.buried_at_ms >= letter.queued_at_ms);
    }
    let first = store.dead_letters(&eu, 1).await.unwrap();
    assert_eq!(first, letters[..1]);
    let state = store.queue_state(&eu).await.unwrap();
    assert_eq!((state.waiting, state.buried), (1, 2));

    assert_eq!(store.dead_letters(&us, 100).await.unwrap(), []);
    let all = take(&store, &us, "taker", 100).await;
    assert_eq!(content(&all), events);
}

/// These, or all; then they wait like others.
pub async fn dead_letters_can_be_retried(store: ReplicatedStore) {
    let (eu, us) = (target("eu"), target("us"));
    for target in [&eu, &us] {
        store.open_queue(target).await.unwrap();
    }
    let events = announce(&store, &["u-1", "u-2", "u-3"]).await;
    let taken = take(&store, &us, "taker", 100).await;
    store.acknowledge(&us, &ids(&taken)).await.unwrap();
    for taken in take(&store, &eu, "taker", 100).await {
        store.bury(&eu, &taken, "no space").await.unwrap();
    }
    let letters = store.dead_letters(&eu, 100).await.unwrap();
    let second = [letters[1].id.clone()];
    assert_eq!(store.retry(&eu, Some(&[])).await.unwrap(), 0);
    assert_eq!(store.retry(&eu, Some(&second)).await.unwrap(), 1);
    assert_eq!(store.retry(&eu, Some(&second)).await.unwrap(), 0);
    let again = take(&store, &eu, "taker", 100).await;
    assert_eq!(content(&again), events[1..2]);
    store.acknowledge(&eu, &ids(&again)).await.unwrap();

    assert_eq!(store.retry(&eu, None).await.unwrap(), 2);
    let again = take(&store, &eu, "taker", 100).await;
    assert_eq!(content(&again), [events[0].clone(), events[2].clone()]);
    // One that was retried can be buried again.
    store.bury(&eu, &again[0], "still no space").await.unwrap();
    let letters = store.dead_letters(&eu, 100).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].reason, "still no space");
    assert_eq!(take(&store, &us, "taker", 100).await, []);
}

/// Also a repair's.
pub async fn what_is_queued_for_one_target_is_for_no_other(store: ReplicatedStore) {
    let (eu, us) = (target("eu"), target("us"));
    for target in [&eu, &us] {
        store.open_queue(target).await.unwrap();
    }
    let mut events = announce(&store, &["u-1"]).await;
    let repair = RegionEvent {
        repair: true,
        ..event("u-2")
    };
    let queued = vec![repair, event("u-3")];
    store.enqueue(&eu, queued.clone()).await.unwrap();
    store.enqueue(&eu, Vec::new()).await.unwrap();
    let taken = take(&store, &us, "taker", 100).await;
    assert_eq!(content(&taken), events);
    events.extend(queued);
    let taken = take(&store, &eu, "taker", 100).await;
    assert_eq!(content(&taken), events);
    store.acknowledge(&eu, &ids(&taken)).await.unwrap();
    let state = store.queue_state(&eu).await.unwrap();
    assert_eq!(state, QueueState::default());
}

/// What is taken waits, too.
pub async fn a_queue_tells_how_it_stands(store: ReplicatedStore) {
    let eu = target("eu");
    store.open_queue(&eu).await.unwrap();
    let state = async || store.queue_state(&eu).await.unwrap();
    assert_eq!(state().await, QueueState::default());
    announce(&store, &["u-1", "u-2", "u-3"]).await;
    let before = state().await;
    let taken = take(&store, &eu, "taker", 2).await;
    let expected = QueueState {
        waiting: 3,
        oldest_ms: Some(taken[0].queued_at_ms),
        buried: 0,
    };
    assert_eq!(before, expected);
    assert_eq!(state().await, expected);
    store.bury(&eu, &taken[0], "no space").await.unwrap();
    let expected = QueueState {
        waiting: 2,
        oldest_ms: Some(taken[1].queued_at_ms),
        buried: 1,
    };
    assert_eq!(state().await, expected);
    store.acknowledge(&eu, &ids(&taken[1..])).await.unwrap();
    let rest = take(&store, &eu, "taker", 2).await;
    store.acknowledge(&eu, &ids(&rest)).await.unwrap();
    let expected = QueueState {
        waiting: 0,
        oldest_ms: None,
        buried: 1,
    };
    assert_eq!(state().await, expected);
}

/// When it is trimmed.
pub async fn what_nobody_needs_is_not_lost(store: ReplicatedStore) {
    let (eu, us) = (target("eu"), target("us"));
    // Queued when there was nobody to tell.
    announce(&store, &["u-0"]).await;
    assert_eq!(store.trim(u64::MAX).await.unwrap(), []);
    for target in [&eu, &us] {
        store.open_queue(target).await.unwrap();
        assert_eq!(take(&store, target, "taker", 100).await, []);
    }
    let events = announce(&store, &["u-1", "u-2"]).await;
    let taken = take(&store, &eu, "taker", 100).await;
    store.acknowledge(&eu, &ids(&taken)).await.unwrap();
    assert_eq!(store.trim(0).await.unwrap(), []);
    let taken = take(&store, &us, "taker", 100).await;
    assert_eq!(content(&taken), events);
    store.acknowledge(&us, &ids(&taken[..1])).await.unwrap();
    store.bury(&us, &taken[1], "no space").await.unwrap();
    let after_all = taken[1].queued_at_ms + 1;
    assert_eq!(store.trim(after_all).await.unwrap(), []);
    // A dead letter stays until somebody has seen to it.
    assert_eq!(store.retry(&us, None).await.unwrap(), 1);
    let taken = take(&store, &us, "taker", 100).await;
    assert_eq!(content(&taken), events[1..]);
}

/// And whoever trims is told who is not told of how much.
pub async fn what_is_too_old_is_lost(store: ReplicatedStore) {
    let (eu, us) = (target("eu"), target("us"));
    for target in [&eu, &us] {
        store.open_queue(target).await.unwrap();
    }
    announce(&store, &["u-1", "u-2", "u-3"]).await;
    let taken = take(&store, &eu, "taker", 100).await;
    store.acknowledge(&eu, &ids(&taken[1..])).await.unwrap();
    let after_all = taken[2].queued_at_ms + 1;
    let mut lost = store.trim(after_all).await.unwrap();
    lost.sort_unstable();
    assert_eq!(lost, [(eu.clone(), 1), (us.clone(), 3)]);
    assert_eq!(store.trim(after_all).await.unwrap(), []);
    for target in [&eu, &us] {
        assert_eq!(take(&store, target, "another", 100).await, []);
        let state = store.queue_state(target).await.unwrap();
        assert_eq!(state, QueueState::default(), "{target}");
    }
    // Who still has one of them may say what became of it.
    store.hold(&eu, "taker", &ids(&taken)).await.unwrap();
    store.release(&eu, "taker", &ids(&taken)).await.unwrap();
    store.acknowledge(&eu, &ids(&taken)).await.unwrap();
    let events = announce(&store, &["u-4"]).await;
    for target in [&eu, &us] {
        let taken = take(&store, target, "taker", 100).await;
        assert_eq!(content(&taken), events, "{target}");
    }
}
