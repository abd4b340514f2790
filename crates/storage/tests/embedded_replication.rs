//! What the embedded back end promises about replication beyond the suite: over restarts, over time, and in simulations.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{path::PathBuf, time::Duration};

use favonius_contract::{
    SnapshotDocument,
    replication::{NameState, RegionEvent, TargetRegion},
};
use favonius_storage::{
    Applied, CLAIMED_AFTER, Change, Clock, EmbeddedRecords, EventId, Order, Publish, QueuedEvent,
    RecordStore, Remove, ReplicatedRecords, StateEntry,
};
use futures::TryStreamExt;
use tempfile::TempDir;

fn file_in(dir: &TempDir) -> PathBuf {
    dir.path().join("records.redb")
}

fn open(dir: &TempDir) -> EmbeddedRecords {
    EmbeddedRecords::open(&file_in(dir)).unwrap().announcing()
}

fn target(text: &str) -> TargetRegion {
    format!("https://{text}.test").parse().unwrap()
}

fn document(version: &str) -> SnapshotDocument {
    let json = format!(
        r#"{{"application_uid":"a.b.c","snapshot_id":"{version}.a.b.c","createdAt":5,"assets":{{}}}}"#
    );
    SnapshotDocument::parse(json.into_bytes()).unwrap()
}

fn stored(version: &str) -> Change {
    Change::SnapshotStored(document(version))
}

fn publish(to: &str, version: &str, order: Order) -> Change {
    Change::Published(Publish {
        name: to.parse().unwrap(),
        application: "a.b.c".parse().unwrap(),
        snapshot_id: document(version).snapshot().snapshot_id.clone(),
        order,
        manifest: None,
        version: false,
        takeover: false,
    })
}

fn remove(from: &str, now_ms: u64) -> Change {
    Change::Removed(Remove {
        name: from.parse().unwrap(),
        application: "a.b.c".parse().unwrap(),
        order: local(now_ms),
        takeover: false,
    })
}

fn local(now_ms: u64) -> Order {
    Order::Local {
        now_ms,
        replica: "here".into(),
    }
}

fn ids(taken: &[QueuedEvent]) -> Vec<EventId> {
    taken.iter().map(|taken| taken.id.clone()).collect()
}

fn content(taken: &[QueuedEvent]) -> Vec<RegionEvent> {
    taken.iter().map(|taken| taken.event.clone()).collect()
}

fn told_of(versions: &[&str]) -> Vec<RegionEvent> {
    let told = |version: &&str| RegionEvent {
        snapshots: vec![document(version).snapshot().snapshot_id.clone()],
        ..RegionEvent::default()
    };
    versions.iter().map(told).collect()
}

#[tokio::test]
async fn what_was_not_acknowledged_is_there_after_a_restart() {
    let dir = TempDir::new().unwrap();
    let (eu, us) = (target("eu"), target("us"));
    let before = open(&dir);
    for target in [&eu, &us] {
        before.open_queue(target).await.unwrap();
    }
    for version in ["u-1", "u-2", "u-3"] {
        before.commit(vec![stored(version)]).await.unwrap();
    }
    let order = local(7);
    let changes = vec![publish("www", "u-1", order), remove("www", 8)];
    before.commit(changes).await.unwrap();
    let taken = before.take(&eu, "taker", 3).await.unwrap();
    before.acknowledge(&eu, &ids(&taken[..1])).await.unwrap();
    before.bury(&eu, &taken[1], "no space").await.unwrap();
    let hour = Duration::from_hours(1);
    assert!(before.use_once("name", hour).await.unwrap());
    assert!(before.lease("role", "before", hour).await.unwrap());
    let states = before.states().try_collect::<Vec<_>>().await.unwrap();
    drop(before);

    let after = open(&dir);
    assert_eq!(after.queues().await.unwrap(), [eu.clone(), us.clone()]);
    // Whoever took the third event is gone, and need not be waited for.
    let again = after.take(&eu, "taker", 100).await.unwrap();
    assert_eq!(content(&again[..1]), told_of(&["u-3"]));
    assert_eq!(again[0], taken[2]);
    assert_eq!(again.len(), 2);
    let all = after.take(&us, "taker", 100).await.unwrap();
    assert_eq!(content(&all[..3]), told_of(&["u-1", "u-2", "u-3"]));
    let letters = after.dead_letters(&eu, 100).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert!(!after.use_once("name", hour).await.unwrap());
    assert!(after.lease("role", "after", hour).await.unwrap());
    let found = after.states().try_collect::<Vec<_>>().await.unwrap();
    assert_eq!(found, states);
    // Ids go on where they were.
    after.acknowledge(&us, &ids(&all)).await.unwrap();
    after.acknowledge(&eu, &ids(&again)).await.unwrap();
    drop(after);
    let third = open(&dir);
    third.commit(vec![stored("u-4")]).await.unwrap();
    let next = third.take(&us, "taker", 100).await.unwrap();
    assert_eq!(content(&next), told_of(&["u-4"]));
    assert!(!ids(&all).contains(&next[0].id));
}

#[tokio::test(start_paused = true)]
async fn what_a_silent_taker_has_is_given_to_others() {
    let store = EmbeddedRecords::inline().unwrap().announcing();
    let eu = target("eu");
    store.open_queue(&eu).await.unwrap();
    for version in ["u-1", "u-2"] {
        store.commit(vec![stored(version)]).await.unwrap();
    }
    let taken = store.take(&eu, "one", 100).await.unwrap();
    let all = ids(&taken);
    let moment = Duration::from_millis(1);
    tokio::time::advance(CLAIMED_AFTER.saturating_sub(moment)).await;
    assert_eq!(store.take(&eu, "other", 100).await.unwrap(), []);
    store.hold(&eu, "one", &all[..1]).await.unwrap();
    tokio::time::advance(moment).await;
    let lost = store.take(&eu, "other", 100).await.unwrap();
    assert_eq!(lost, taken[1..]);
    // It is the other's now, whatever the first one says.
    store.hold(&eu, "one", &all).await.unwrap();
    store.release(&eu, "one", &all[1..]).await.unwrap();
    assert_eq!(store.take(&eu, "third", 100).await.unwrap(), []);
    tokio::time::advance(CLAIMED_AFTER).await;
    assert_eq!(store.take(&eu, "third", 100).await.unwrap(), taken);
    // But delivered is delivered.
    store.acknowledge(&eu, &all[..1]).await.unwrap();
    tokio::time::advance(CLAIMED_AFTER).await;
    assert_eq!(store.take(&eu, "one", 100).await.unwrap(), taken[1..]);
}

#[tokio::test]
async fn the_time_of_day_is_the_clocks() {
    let clock = Clock::manual(1_000);
    let store = EmbeddedRecords::inline().unwrap();
    let store = store.announcing().with_clock(clock.clone());
    let eu = target("eu");
    store.open_queue(&eu).await.unwrap();
    for (version, now) in [("u-1", 1_000), ("u-2", 2_000), ("u-3", 3_000)] {
        clock.set_ms(now);
        store.commit(vec![stored(version)]).await.unwrap();
    }
    clock.set_ms(4_000);
    let state = store.queue_state(&eu).await.unwrap();
    assert_eq!((state.waiting, state.oldest_ms), (3, Some(1_000)));
    assert_eq!(store.trim(1_000).await.unwrap(), []);
    assert_eq!(store.trim(1_001).await.unwrap(), [(eu.clone(), 1)]);
    let taken = store.take(&eu, "taker", 100).await.unwrap();
    let queued: Vec<u64> = taken.iter().map(|taken| taken.queued_at_ms).collect();
    assert_eq!(queued, [2_000, 3_000]);
    store.bury(&eu, &taken[0], "no space").await.unwrap();
    let letters = store.dead_letters(&eu, 100).await.unwrap();
    let times = (letters[0].queued_at_ms, letters[0].buried_at_ms);
    assert_eq!(times, (2_000, 4_000));
    store.acknowledge(&eu, &ids(&taken)).await.unwrap();
    store.retry(&eu, None).await.unwrap();
    let again = store.take(&eu, "taker", 100).await.unwrap();
    assert_eq!(again[0].queued_at_ms, 4_000, "it was queued again");

    let second = Duration::from_secs(1);
    for number in 0..300 {
        let name = format!("name-{number}");
        assert!(store.use_once(&name, second).await.unwrap());
    }
    clock.set_ms(4_999);
    assert!(!store.use_once("name-7", second).await.unwrap());
    clock.set_ms(5_000);
    for number in (0..300).rev() {
        let name = format!("name-{number}");
        assert!(store.use_once(&name, second).await.unwrap(), "{name}");
        assert!(!store.use_once(&name, second).await.unwrap(), "{name}");
    }
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_buried() {
    const OUTBOX: redb::TableDefinition<'_, u64, (u64, bool, &[u8])> =
        redb::TableDefinition::new("outbox");
    let dir = TempDir::new().unwrap();
    let eu = target("eu");
    let store = open(&dir);
    store.open_queue(&eu).await.unwrap();
    for version in ["u-1", "u-2", "u-3"] {
        store.commit(vec![stored(version)]).await.unwrap();
    }
    drop(store);
    let db = redb::Database::create(file_in(&dir)).unwrap();
    let damage = db.begin_write().unwrap();
    {
        let mut outbox = damage.open_table(OUTBOX).unwrap();
        let damaged = (5, false, b"{\"names\":7}".as_slice());
        assert!(outbox.insert(0, damaged).unwrap().is_some());
    }
    damage.commit().unwrap();
    drop(db);

    let store = open(&dir);
    let taken = store.take(&eu, "taker", 1).await.unwrap();
    assert_eq!(content(&taken), told_of(&["u-2"]));
    let letters = store.dead_letters(&eu, 100).await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].event, "{\"names\":7}");
    assert!(letters[0].reason.contains("cannot be read"));
    let state = store.queue_state(&eu).await.unwrap();
    assert_eq!((state.waiting, state.buried), (2, 1));
    assert_eq!(store.retry(&eu, None).await.unwrap(), 1);
    let rest = store.take(&eu, "taker", 100).await.unwrap();
    assert_eq!(content(&rest), told_of(&["u-3"]));
    assert_eq!(store.dead_letters(&eu, 100).await.unwrap().len(), 1);
}

/// A file of before there was an outbox has only names.
#[tokio::test]
async fn names_of_before_are_states_and_stand() {
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let changes = vec![stored("u-1"), publish("www", "u-1", local(100))];
    store.commit(changes).await.unwrap();
    drop(store);
    let new = [
        "removals",
        "targets",
        "next",
        "outbox",
        "queue",
        "letters",
        "once",
        "once_until",
    ];
    let db = redb::Database::create(file_in(&dir)).unwrap();
    let older = db.begin_write().unwrap();
    let tables: Vec<_> = older.list_tables().unwrap().collect();
    for table in tables {
        if new.contains(&redb::TableHandle::name(&table)) {
            assert!(older.delete_table(table).unwrap());
        }
    }
    older.commit().unwrap();
    drop(db);

    let store = open(&dir);
    let states = store.states().try_collect::<Vec<_>>().await.unwrap();
    assert_eq!(states.len(), 2);
    let stands = |state: &StateEntry| matches!(state, StateEntry::Name(record) if matches!(record.state, NameState::Published(_)));
    assert!(states.iter().any(stands));
    let late = Order::Replicated {
        published_at: 100,
        replica: "a".into(),
        repair: false,
    };
    let applied = store.commit_replicated(vec![publish("www", "u-1", late)]);
    assert_eq!(applied.await.unwrap(), [Applied::Superseded]);
    let applied = store.commit(vec![remove("www", 5)]).await.unwrap();
    assert_eq!(applied, [Applied::Done]);
    let states = store.states().try_collect::<Vec<_>>().await.unwrap();
    let removed = |state: &StateEntry| matches!(state, StateEntry::Name(record) if record.state.order() == (101, "here"));
    assert!(states.iter().any(removed), "{states:?}");
}

/// One whose entry was damaged can be removed.
#[tokio::test]
async fn a_name_that_cannot_be_read_can_be_removed() {
    const NAMES: redb::TableDefinition<'_, &str, &[u8]> = redb::TableDefinition::new("names");
    let dir = TempDir::new().unwrap();
    let store = open(&dir);
    let changes = vec![stored("u-1"), publish("www", "u-1", local(100))];
    store.commit(changes).await.unwrap();
    drop(store);
    let db = redb::Database::create(file_in(&dir)).unwrap();
    let damage = db.begin_write().unwrap();
    let mut names = damage.open_table(NAMES).unwrap();
    assert!(names.insert("www", b"{".as_slice()).unwrap().is_some());
    drop(names);
    damage.commit().unwrap();
    drop(db);

    let store = open(&dir);
    let name = "www".parse().unwrap();
    store.deployment(&name).await.unwrap_err();
    // It is no state: another region tells what it was.
    let states = store.states().try_collect::<Vec<_>>().await.unwrap();
    assert_eq!(states.len(), 1);
    let applied = store.commit(vec![remove("www", 5)]).await.unwrap();
    assert_eq!(applied, [Applied::Done]);
    assert_eq!(store.deployment(&name).await.unwrap(), None);
    let names = store.names(&"a.b.c".parse().unwrap()).await.unwrap();
    assert_eq!(names, []);
}

/// Everything is done when the call returns, and no other thread has to be waited for.
#[tokio::test(start_paused = true)]
async fn a_store_for_simulations_never_waits() {
    use futures::FutureExt;
    let store = EmbeddedRecords::inline().unwrap().announcing();
    let eu = target("eu");
    store.open_queue(&eu).now_or_never().unwrap().unwrap();
    let changes = vec![stored("u-1"), publish("www", "u-1", local(7))];
    store.commit(changes).now_or_never().unwrap().unwrap();
    let name = "www".parse().unwrap();
    let deployment = store.deployment(&name).now_or_never().unwrap().unwrap();
    assert!(deployment.is_some());
    let states = store.states().try_collect::<Vec<_>>().now_or_never();
    assert_eq!(states.unwrap().unwrap().len(), 2);
    let taken = store.take(&eu, "taker", 9).now_or_never().unwrap().unwrap();
    assert_eq!(taken.len(), 1);
    let done = store.acknowledge(&eu, &ids(&taken)).now_or_never();
    done.unwrap().unwrap();
    let used = store.use_once("name", CLAIMED_AFTER).now_or_never();
    assert!(used.unwrap().unwrap());
    store.check().now_or_never().unwrap().unwrap();
}

/// A time of day that is set back must not make others wait.
#[tokio::test]
async fn roles_and_claims_end_by_the_stopwatch() {
    let (clock, stopwatch) = (Clock::manual(1_000_000), Clock::manual(0));
    let store = EmbeddedRecords::inline().unwrap().announcing();
    let store = store
        .with_clock(clock.clone())
        .with_stopwatch(stopwatch.clone());
    let eu = "https://eu.test".parse().unwrap();
    store
        .enqueue(&eu, vec![RegionEvent::default()])
        .await
        .unwrap();
    assert_eq!(store.take(&eu, "one", 9).await.unwrap().len(), 1);
    let second = Duration::from_secs(1);
    assert!(store.lease("role", "one", second).await.unwrap());
    clock.set_ms(0);
    stopwatch.set_ms(999);
    assert!(!store.lease("role", "other", second).await.unwrap());
    stopwatch.set_ms(1_000);
    assert!(store.lease("role", "other", second).await.unwrap());
    stopwatch.set_ms(29_999);
    assert_eq!(store.take(&eu, "other", 9).await.unwrap(), []);
    stopwatch.set_ms(30_000);
    assert_eq!(store.take(&eu, "other", 9).await.unwrap().len(), 1);
}
