//! All of a commit or nothing of it.

use std::{collections::HashSet, sync::Arc};

use favonius_contract::{AssetRef, DeploymentName, SnapshotDocument};
use tokio::task::JoinSet;

use super::{
    Store,
    sample::{
        app, apply, assert_answers, asset, commit, connected, entry, id_of, name, publish, refused,
        replicated, snapshot, stored, until, with_field,
    },
};
use crate::{Change, ChangeEvent, CommitError, Publish, Rejection};

/// Of whatever kind its changes are, and whyever it was refused.
pub async fn a_refused_commit_leaves_no_trace(store: Store) {
    let mine = snapshot("a.b.c", "u-1", 1);
    let theirs = snapshot("d.e.f", "u-1", 1);
    let new = snapshot("a.b.c", "u-2", 2);
    let version = Publish {
        version: true,
        ..publish("v1", &mine, 10)
    };
    let standing = [
        stored(&mine),
        stored(&theirs),
        version.into(),
        publish("www", &mine, 10).into(),
        publish("theirs", &theirs, 10).into(),
        asset_stored(1),
    ];
    commit(&store, standing).await;
    let mut changes = connected(&*store).await;
    // So that nothing of before is told from here on.
    let begin = publish("begin", &mine, 10);
    apply(&store, begin.clone()).await;
    until(&mut changes, &ChangeEvent::Name(begin.name)).await;

    let not_allowed = [
        stored(&with_field(&mine, r#""x":1"#)),
        publish("other", &snapshot("a.b.c", "u-9", 9), 20).into(),
        publish("www", &theirs, 30).into(),
        replicated("www", &theirs, 30, "there").into(),
        publish("v1", &new, 20).into(),
    ];
    for change in not_allowed {
        let case = format!("{change:?}");
        let taken = Publish {
            takeover: true,
            ..publish("theirs", &new, 20)
        };
        let allowed = [
            Change::AssetLost {
                application: app("a.b.c"),
                asset: asset(1),
            },
            asset_stored(2),
            stored(&new),
            publish("new", &new, 20).into(),
            publish("www", &new, 20).into(),
            taken.into(),
        ];
        let before: Vec<Change> = allowed.iter().cloned().chain([change.clone()]).collect();
        refused(&store, before).await;
        // Refused for itself, or for what it misses when it comes first.
        let after: Vec<Change> = [change].into_iter().chain(allowed).collect();
        refused(&store, after).await;
        assert_untouched(&store, &mine, &new, &case).await;
    }

    // Nobody was told of anything either. (A store may say at any time that all is to be looked at again.)
    apply(&store, publish("marker", &mine, 10)).await;
    let told = until(&mut changes, &ChangeEvent::Name(name("marker"))).await;
    let of_names = told
        .iter()
        .filter(|event| matches!(event, ChangeEvent::Name(_) | ChangeEvent::Snapshot(_)));
    assert_eq!(of_names.count(), 0, "{told:?}");
}

fn asset_stored(number: u64) -> Change {
    Change::AssetStored {
        application: app("a.b.c"),
        asset: asset(number),
    }
}

async fn assert_untouched(
    store: &Store,
    mine: &SnapshotDocument,
    new: &SnapshotDocument,
    case: &str,
) {
    let known: Vec<AssetRef> = store.known_assets(&app("a.b.c")).await.unwrap();
    assert_eq!(known, [asset(1)], "{case}");
    let stored = store.snapshot(&id_of(new)).await.unwrap();
    assert!(stored.is_none(), "{case}");
    let versions = store.versions(&app("a.b.c"), 9).await.unwrap();
    assert_eq!(versions.len(), 1, "{case}");
    let answer = store.deployment(&name("new")).await.unwrap();
    assert!(answer.is_none(), "{case}");
    let history = store.history(&name("new")).await.unwrap();
    assert_eq!(history, [], "{case}");
    let standing = publish("www", mine, 10);
    assert_answers(store, &standing.name, mine, &entry(&standing, 10)).await;
    let history = store.history(&standing.name).await.unwrap();
    assert_eq!(history.len(), 1, "{case}");
    let names = store.names(&app("a.b.c")).await.unwrap();
    assert_eq!(names, ["begin", "v1", "www"].map(name), "{case}");
    let names = store.names(&app("d.e.f")).await.unwrap();
    assert_eq!(names, [name("theirs")], "{case}");
}

/// Two names that always change together are never seen apart: their histories are the same at any time.
pub async fn commits_at_the_same_time_do_not_mix(store: Store) {
    const WRITERS: u64 = 8;
    const COMMITS: u64 = 6;
    let (left, right) = (name("left"), name("right"));
    let mut tasks = JoinSet::new();
    for writer in 0..WRITERS {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            for number in 0..COMMITS {
                let document = snapshot("a.b.c", &format!("u{writer}-{number}"), number);
                let both = [
                    stored(&document),
                    publish("left", &document, 1_000 + number).into(),
                    publish("right", &document, 1_000 + number).into(),
                ];
                commit(&store, both).await;
            }
        });
    }
    for _ in 0..2 {
        let (store, left, right) = (Arc::clone(&store), left.clone(), right.clone());
        tasks.spawn(async move {
            for _ in 0..60 {
                assert_not_apart(&store, &left, &right).await;
                assert_not_apart(&store, &right, &left).await;
            }
        });
    }
    while let Some(outcome) = tasks.join_next().await {
        outcome.unwrap();
    }

    let history = store.history(&left).await.unwrap();
    assert_eq!(history, store.history(&right).await.unwrap());
    let times: Vec<u64> = history.iter().map(|e| e.publication.published_at).collect();
    assert!(
        times.is_sorted_by(|newer, older| newer > older),
        "{times:?}"
    );
    let snapshots: HashSet<_> = history.iter().map(|entry| &entry.snapshot_id).collect();
    assert_eq!(snapshots.len(), history.len(), "each was published once");
    let present = store.deployment(&left).await.unwrap().unwrap();
    assert_eq!(present.snapshot.snapshot_id, history[0].snapshot_id);
    let versions = store.versions(&app("a.b.c"), 1_000).await.unwrap();
    assert_eq!(u64::try_from(versions.len()).unwrap(), WRITERS * COMMITS);
}

/// Two reads are not one, so only what did not change around the other read is compared.
async fn assert_not_apart(store: &Store, one: &DeploymentName, other: &DeploymentName) {
    let before = store.history(one).await.unwrap();
    let between = store.history(other).await.unwrap();
    let after = store.history(one).await.unwrap();
    if before == after {
        assert_eq!(before, between, "`{one}` and `{other}` differ");
    }
}

/// Names and snapshot ids belong to who comes first, also when many come at once.
pub async fn one_of_two_wins_an_identity(store: Store) {
    const RIVALS: usize = 8;
    for round in 0..5 {
        let to = format!("name-{round}");
        let base = snapshot("x.y.z", &format!("u-{round}"), 1);
        let rivals: Vec<(SnapshotDocument, SnapshotDocument)> = (0..RIVALS)
            .map(|rival| {
                let own = snapshot(&format!("app-{rival}.b.c"), &format!("u-{round}"), 1);
                (own, with_field(&base, &format!(r#""rival":{rival}"#)))
            })
            .collect();
        let mut tasks = JoinSet::new();
        for (rival, (own, contested)) in rivals.iter().cloned().enumerate() {
            let (store, to) = (Arc::clone(&store), to.clone());
            tasks.spawn(async move {
                let to_name = [stored(&own), publish(&to, &own, 10).into()];
                let name = match store.commit(to_name.into()).await {
                    Ok(_) => true,
                    Err(CommitError::Rejected(Rejection::NameOwned { .. })) => false,
                    Err(other) => panic!("{other}"),
                };
                let id = match store.commit(vec![stored(&contested)]).await {
                    Ok(_) => true,
                    Err(CommitError::Rejected(Rejection::SnapshotExists(_))) => false,
                    Err(other) => panic!("{other}"),
                };
                (rival, name, id)
            });
        }
        let mut outcomes = Vec::new();
        while let Some(outcome) = tasks.join_next().await {
            outcomes.push(outcome.unwrap());
        }
        let winners: Vec<usize> = outcomes.iter().filter(|o| o.1).map(|o| o.0).collect();
        assert_eq!(winners.len(), 1, "round {round}: {winners:?} have the name");
        let answer = store.deployment(&name(&to)).await.unwrap().unwrap();
        assert_eq!(&answer.snapshot, rivals[winners[0]].0.snapshot());
        for (rival, (own, _)) in rivals.iter().enumerate() {
            let won = rival == winners[0];
            let kept = store.snapshot(&id_of(own)).await.unwrap().is_some();
            assert_eq!(kept, won, "round {round}: the commit of {rival} as a whole");
        }

        let winners: Vec<usize> = outcomes.iter().filter(|o| o.2).map(|o| o.0).collect();
        assert_eq!(winners.len(), 1, "round {round}: {winners:?} have the id");
        let kept = store.snapshot(&id_of(&base)).await.unwrap().unwrap();
        assert_eq!(kept, rivals[winners[0]].1);
    }
}
