//! What regions compare.

use std::collections::HashMap;

use favonius_contract::{
    DeploymentName, SnapshotId,
    replication::{NameRecord, NameState},
};
use futures::StreamExt;

use super::{
    ReplicatedStore,
    sample::{
        apply, asset, commit, id_of, publish, published_record, records, remove, removed_record,
        replicated, replicated_removal, snapshot, stored,
    },
};
use crate::{Applied, Change, Publish, Remove, StateEntry};

/// Checks that these are all states, whatever their order and however often they come.
async fn assert_states(store: &ReplicatedStore, snapshots: &[SnapshotId], names: &[NameRecord]) {
    let mut found_snapshots: Vec<SnapshotId> = Vec::new();
    let mut found: HashMap<DeploymentName, NameState> = HashMap::new();
    let mut states = store.states();
    while let Some(state) = states.next().await {
        match state.unwrap() {
            StateEntry::Snapshot(id) => found_snapshots.push(id),
            StateEntry::Name(record) => {
                let before = found.insert(record.name.clone(), record.state.clone());
                let same = before.is_none_or(|before| before == record.state);
                assert!(same, "`{}` has two states", record.name);
            }
        }
    }
    found_snapshots.sort_unstable();
    found_snapshots.dedup();
    let mut snapshots = snapshots.to_vec();
    snapshots.sort_unstable();
    assert_eq!(found_snapshots, snapshots);
    assert_eq!(found.len(), names.len(), "{found:?}");
    for record in names {
        let state = found.get(&record.name);
        assert_eq!(state, Some(&record.state), "`{}`", record.name);
    }
}

/// As it stands, and nothing of what was before.
pub async fn everything_that_was_written_is_a_state(store: ReplicatedStore) {
    let records = records(&store);
    assert_states(&store, &[], &[]).await;
    let documents = [snapshot("a.b.c", "u-1", 1), snapshot("a.b.c", "u-2", 2)];
    let ids = [id_of(&documents[0]), id_of(&documents[1])];
    commit(&records, documents.iter().map(stored)).await;
    assert_states(&store, &ids, &[]).await;

    let version = Publish {
        version: true,
        manifest: Some(asset(1)),
        ..publish("v1", &documents[0], 10)
    };
    let moved = publish("www", &documents[1], 5);
    let (removal, forgotten) = (remove("gone", "a.b.c", 20), remove("back", "a.b.c", 20));
    let back = publish("back", &documents[0], 3);
    let changes: [Change; 8] = [
        version.clone().into(),
        publish("www", &documents[0], 10).into(),
        moved.clone().into(),
        publish("gone", &documents[0], 10).into(),
        publish("back", &documents[0], 10).into(),
        removal.clone().into(),
        forgotten.into(),
        back.clone().into(),
    ];
    for change in changes {
        assert_eq!(apply(&records, change).await, Applied::Done);
    }
    let expected = [
        published_record(&version, 10),
        published_record(&moved, 11),
        removed_record(&removal, 20),
        published_record(&back, 21),
    ];
    assert_states(&store, &ids, &expected).await;
}

/// So that both regions have the same.
pub async fn what_another_region_told_is_a_state_as_it_was_told(store: ReplicatedStore) {
    let document = snapshot("a.b.c", "u-1", 1);
    let version = Publish {
        version: true,
        manifest: Some(asset(1)),
        ..replicated("www", &document, 10, "there")
    };
    let plain = replicated("www", &document, 11, "");
    let never = replicated_removal("never", "a.b.c", 1 << 53, "there");
    let other = Remove {
        takeover: true,
        ..replicated_removal("taken", "d.e.f", 20, "there")
    };
    let changes: Vec<Change> = vec![
        stored(&document),
        version.into(),
        plain.clone().into(),
        replicated("taken", &document, 10, "there").into(),
        never.clone().into(),
        other.clone().into(),
    ];
    let applied = store.commit_replicated(changes).await.unwrap();
    assert_eq!(applied, vec![Applied::Done; 6]);
    let expected = [
        published_record(&plain, 11),
        removed_record(&never, 1 << 53),
        removed_record(&other, 20),
    ];
    assert_states(&store, &[id_of(&document)], &expected).await;
}

/// More than a store reads at once.
pub async fn many_states_are_all_told(store: ReplicatedStore) {
    const COMMITS: u64 = 5;
    const NAMES: u64 = 300;
    let mut snapshots = Vec::new();
    let mut expected = Vec::new();
    for number in 0..COMMITS {
        let document = snapshot("a.b.c", &format!("u-{number}"), 1);
        let mut changes = vec![stored(&document)];
        for name in 0..NAMES {
            let name = format!("name-{number}-{name}");
            let publish = publish(&name, &document, 10);
            changes.push(publish.clone().into());
            let gone = replicated_removal(&format!("gone-{name}"), "a.b.c", 10, "there");
            changes.push(gone.clone().into());
            expected.push(published_record(&publish, 10));
            expected.push(removed_record(&gone, 10));
        }
        snapshots.push(id_of(&document));
        store.commit_replicated(changes).await.unwrap();
    }
    assert_states(&store, &snapshots, &expected).await;
}

/// Then nothing stands in the way of what is older.
pub async fn removals_are_forgotten_by_their_age(store: ReplicatedStore) {
    let records = records(&store);
    let document = snapshot("a.b.c", "u-1", 1);
    apply(&records, stored(&document)).await;
    for (at, name) in [(99, "old"), (100, "young"), (20, "older"), (1_000, "new")] {
        let removal = replicated_removal(name, "a.b.c", at, "there");
        assert_eq!(apply(&records, removal).await, Applied::Done);
    }
    let standing = publish("www", &document, 10);
    apply(&records, standing.clone()).await;

    assert_eq!(store.forget_removals(20).await.unwrap(), 0);
    assert_eq!(store.forget_removals(100).await.unwrap(), 2);
    assert_eq!(store.forget_removals(100).await.unwrap(), 0);
    let kept = [
        published_record(&standing, 10),
        removed_record(&replicated_removal("young", "a.b.c", 100, "there"), 100),
        removed_record(&replicated_removal("new", "a.b.c", 1_000, "there"), 1_000),
    ];
    assert_states(&store, &[id_of(&document)], &kept).await;
    for (name, expected) in [("old", Applied::Done), ("young", Applied::Superseded)] {
        let late = replicated(name, &document, 1, "there");
        assert_eq!(apply(&records, late).await, expected, "{name}");
    }
}
