//! What one worker of a region does for all.

use std::{sync::Arc, time::Duration};

use tokio::task::JoinSet;

use super::ReplicatedStore;

const LONG: Duration = Duration::from_hours(1);
const SHORT: Duration = Duration::from_millis(100);

/// Any text is a name.
pub async fn a_one_time_name_is_used_once(store: ReplicatedStore) {
    let names = ["a", "A", "a b", "é", "a:b", "\u{10ffff}", ""];
    for name in names {
        assert!(store.use_once(name, LONG).await.unwrap(), "{name:?}");
    }
    for name in names {
        assert!(!store.use_once(name, LONG).await.unwrap(), "{name:?}");
    }
}

/// Also when all come at once.
pub async fn one_of_many_uses_a_name(store: ReplicatedStore) {
    let mut tasks = JoinSet::new();
    for _ in 0..50 {
        let store = Arc::clone(&store);
        tasks.spawn(async move { store.use_once("name", LONG).await.unwrap() });
    }
    let uses = tasks.join_all().await;
    assert_eq!(uses.iter().filter(|first| **first).count(), 1);
}

/// And can be used again then.
pub async fn a_one_time_name_is_forgotten_in_time(store: ReplicatedStore) {
    assert!(store.use_once("long", LONG).await.unwrap());
    assert!(store.use_once("short", SHORT).await.unwrap());
    tokio::time::sleep(SHORT * 3).await;
    assert!(store.use_once("short", LONG).await.unwrap());
    assert!(!store.use_once("short", LONG).await.unwrap());
    assert!(!store.use_once("long", LONG).await.unwrap());
}

/// Until its time is over; who has it may go on.
pub async fn one_at_a_time_has_a_role(store: ReplicatedStore) {
    let lease = async |role, holder, duration| store.lease(role, holder, duration).await.unwrap();
    assert!(lease("role", "one", LONG).await);
    assert!(!lease("role", "other", LONG).await);
    assert!(lease("another", "other", LONG).await);
    assert!(!lease("another", "one", LONG).await);
    assert!(lease("role", "one", SHORT).await, "who has it may renew it");
    tokio::time::sleep(SHORT * 3).await;
    assert!(lease("role", "other", LONG).await);
    assert!(!lease("role", "one", LONG).await);
}
