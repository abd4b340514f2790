//! What other regions are told of.

use std::sync::Arc;

use favonius_contract::replication::RegionEvent;
use tokio::task::JoinSet;

use super::{
    ReplicatedStore,
    sample::{
        app, asset, commit, content, id_of, ids, publish, published_record, records, refused,
        remove, removed_record, replicated, replicated_removal, snapshot, stored, take, target,
        with_field,
    },
};
use crate::{Applied, Change, Publish};

/// Checks what a target is told of since the last time, and acknowledges it.
async fn assert_told(store: &ReplicatedStore, expected: &[RegionEvent], case: &str) {
    let target = target("eu");
    let taken = take(store, &target, "taker", 1_000).await;
    assert_eq!(content(&taken), expected, "{case}");
    store.acknowledge(&target, &ids(&taken)).await.unwrap();
}

fn uploaded(number: u64) -> Change {
    Change::AssetStored {
        application: app("a.b.c"),
        asset: asset(number),
    }
}

/// Of all that it changed, without assets.
pub async fn a_commit_is_one_event(store: ReplicatedStore) {
    let records = records(&store);
    store.open_queue(&target("eu")).await.unwrap();
    let documents = [snapshot("a.b.c", "u-1", 1), snapshot("a.b.c", "u-2", 2)];
    let [one, two] = &documents;
    let published = [publish("x", one, 10), publish("y", two, 11)];
    let setup = [
        uploaded(1),
        stored(one),
        stored(two),
        published[0].clone().into(),
        published[1].clone().into(),
    ];
    commit(&records, setup).await;
    let first = RegionEvent {
        snapshots: documents.iter().map(id_of).collect(),
        names: vec![
            published_record(&published[0], 10),
            published_record(&published[1], 11),
        ],
        repair: false,
    };
    assert_told(&store, &[first], "all kinds").await;

    let (moved, removal) = (publish("x", two, 20), remove("y", "a.b.c", 21));
    commit(&records, [moved.clone().into(), removal.clone().into()]).await;
    let second = RegionEvent {
        names: vec![published_record(&moved, 20), removed_record(&removal, 21)],
        ..RegionEvent::default()
    };
    assert_told(&store, &[second], "a move and a removal").await;
}

/// With the times that the names have, and all else that belongs to a publish.
pub async fn an_event_says_what_was_written(store: ReplicatedStore) {
    let records = records(&store);
    store.open_queue(&target("eu")).await.unwrap();
    let (mine, theirs) = (snapshot("a.b.c", "u-1", 1), snapshot("d.e.f", "u-1", 1));
    let far = publish("www", &mine, 1_000);
    let stored = [stored(&mine), stored(&theirs), far.into()];
    commit(&records, stored).await;
    let version = Publish {
        version: true,
        manifest: Some(asset(1)),
        ..publish("www", &mine, 5)
    };
    commit(&records, [version.clone().into()]).await;
    // It stays a version, whether or not the next publish says so.
    let plain = Publish {
        version: false,
        manifest: None,
        ..version.clone()
    };
    commit(&records, [plain.clone().into()]).await;
    let removal = remove("www", "a.b.c", 6);
    commit(&records, [removal.clone().into()]).await;
    let again = publish("www", &theirs, 7);
    commit(&records, [again.clone().into()]).await;
    // A store does not ask where what is committed comes from: what is not to be told is committed in another way.
    let other = replicated("www", &theirs, 5_000, "there");
    commit(&records, [other.clone().into()]).await;

    let plain = Publish {
        version: true,
        ..plain
    };
    let expected = [
        published_record(&version, 1_001),
        published_record(&plain, 1_002),
        removed_record(&removal, 1_003),
        published_record(&again, 1_004),
        published_record(&other, 5_000),
    ];
    let taken = take(&store, &target("eu"), "taker", 100).await;
    let told: Vec<_> = taken
        .iter()
        .skip(1)
        .map(|t| t.event.names.clone())
        .collect();
    assert_eq!(told, expected.map(|record| vec![record]));
}

/// Neither what is so already, nor what came too late, nor what is refused.
pub async fn what_changes_nothing_is_not_told(store: ReplicatedStore) {
    let records = records(&store);
    store.open_queue(&target("eu")).await.unwrap();
    let (mine, theirs) = (snapshot("a.b.c", "u-1", 1), snapshot("d.e.f", "u-1", 1));
    let next = snapshot("a.b.c", "u-2", 2);
    let standing = publish("www", &mine, 10);
    let setup = [stored(&mine), stored(&theirs), standing.clone().into()];
    commit(&records, setup).await;
    let taken = take(&store, &target("eu"), "taker", 100).await;
    let all = ids(&taken);
    store.acknowledge(&target("eu"), &all).await.unwrap();

    let nothing: [(&str, Vec<Change>); 7] = [
        ("no changes", vec![]),
        ("assets", vec![uploaded(1)]),
        ("the same snapshot", vec![stored(&mine)]),
        ("the same publish", vec![standing.clone().into()]),
        (
            "an older publish",
            vec![replicated("www", &theirs, 9, "z").into()],
        ),
        (
            "an older removal",
            vec![replicated_removal("www", "a.b.c", 9, "z").into()],
        ),
        (
            "a removal of nothing",
            vec![remove("never", "a.b.c", 10).into()],
        ),
    ];
    for (case, changes) in nothing {
        commit(&records, changes).await;
        assert_told(&store, &[], case).await;
    }
    let not_allowed: [Change; 3] = [
        publish("www", &theirs, 20).into(),
        remove("www", "d.e.f", 20).into(),
        stored(&with_field(&mine, r#""x":1"#)),
    ];
    for change in not_allowed {
        let case = format!("{change:?}");
        let changes = [stored(&next), publish("new", &next, 20).into(), change];
        refused(&records, changes).await;
        assert_told(&store, &[], &case).await;
    }
    // Of a commit that changes something, only that.
    let moved = publish("www", &next, 20);
    let changes = [
        stored(&mine),
        stored(&next),
        moved.clone().into(),
        moved.clone().into(),
        remove("never", "a.b.c", 20).into(),
    ];
    commit(&records, changes).await;
    let event = RegionEvent {
        snapshots: vec![id_of(&next)],
        names: vec![published_record(&moved, 20)],
        repair: false,
    };
    assert_told(&store, &[event], "some of a commit").await;
}

/// The region that it comes from tells all others itself.
pub async fn what_another_region_told_is_not_told_on(store: ReplicatedStore) {
    store.open_queue(&target("eu")).await.unwrap();
    let document = snapshot("a.b.c", "u-1", 1);
    let changes: Vec<Change> = vec![
        stored(&document),
        replicated("www", &document, 10, "there").into(),
        replicated("gone", &document, 10, "there").into(),
        replicated_removal("gone", "a.b.c", 11, "there").into(),
    ];
    let applied = store.commit_replicated(changes).await.unwrap();
    assert_eq!(applied, vec![Applied::Done; 4]);
    assert_told(&store, &[], "commit_replicated").await;
    let found = store.deployment(&"www".parse().unwrap()).await.unwrap();
    assert!(found.is_some());
}

/// Whether it is told of what was between or not.
pub async fn a_name_that_changes_twice_ends_as_it_is(store: ReplicatedStore) {
    let records = records(&store);
    store.open_queue(&target("eu")).await.unwrap();
    let documents = [snapshot("a.b.c", "u-1", 1), snapshot("a.b.c", "u-2", 2)];
    let last = publish("www", &documents[1], 7);
    let changes = [
        stored(&documents[0]),
        stored(&documents[1]),
        publish("www", &documents[0], 5).into(),
        remove("www", "a.b.c", 6).into(),
        last.clone().into(),
    ];
    commit(&records, changes).await;
    let taken = take(&store, &target("eu"), "taker", 100).await;
    assert_eq!(taken.len(), 1);
    let names = &taken[0].event.names;
    assert_eq!(names.last(), Some(&published_record(&last, 7)));
    assert!(names.iter().all(|record| record.name == last.name));
}

/// Also if they share a transaction.
pub async fn commits_at_the_same_time_are_events_of_their_own(store: ReplicatedStore) {
    store.open_queue(&target("eu")).await.unwrap();
    let mut tasks = JoinSet::new();
    for number in 0..20_u64 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            let document = snapshot("a.b.c", &format!("u-{number}"), 1);
            let publish = publish(&format!("name-{number}"), &document, number);
            let changes = vec![stored(&document), publish.clone().into()];
            store.commit(changes).await.unwrap();
            RegionEvent {
                snapshots: vec![id_of(&document)],
                names: vec![published_record(&publish, number)],
                repair: false,
            }
        });
    }
    let expected = tasks.join_all().await;
    let told = content(&take(&store, &target("eu"), "taker", 100).await);
    assert_eq!(told.len(), expected.len());
    for event in expected {
        assert!(told.contains(&event), "{event:?} is not told");
    }
}
