//! What names answer with.

use favonius_contract::SnapshotId;

use super::{
    Store,
    sample::{
        app, apply, assert_answers, asset, commit, entry, id_of, name, publish, refused, snapshot,
        stored,
    },
};
use crate::{Applied, Change, HISTORY_LIMIT, Order, Publish, Rejection};

/// At once, and as long as nothing else is published.
pub async fn a_name_answers_with_what_was_published(store: Store) {
    let (first, second) = (snapshot("a.b.c", "u-1", 1), snapshot("a.b.c", "u-2", 2));
    commit(&store, [stored(&first), stored(&second)]).await;
    assert!(store.deployment(&name("www")).await.unwrap().is_none());

    let one = publish("www", &first, 1_795_246_541_000);
    assert_eq!(apply(&store, one.clone()).await, Applied::Done);
    assert_answers(&store, &one.name, &first, &entry(&one, 1_795_246_541_000)).await;

    let two = publish("www", &second, 1_795_246_541_001);
    assert_eq!(apply(&store, two.clone()).await, Applied::Done);
    assert_answers(&store, &two.name, &second, &entry(&two, 1_795_246_541_001)).await;
    assert!(store.deployment(&name("ww")).await.unwrap().is_none());
}

/// With the snapshot itself, if it comes along.
pub async fn all_names_of_a_commit_change_together(store: Store) {
    let document = snapshot("a.b.c", "u-1", 1);
    let publishes: Vec<Publish> = ["b", "a", "B", "c-1"]
        .map(|to| publish(to, &document, 77))
        .into();
    let mut changes = vec![stored(&document)];
    changes.extend(publishes.iter().cloned().map(Change::from));
    assert_eq!(commit(&store, changes).await, vec![Applied::Done; 5]);
    for publish in &publishes {
        assert_answers(&store, &publish.name, &document, &entry(publish, 77)).await;
    }
    let names = store.names(&app("a.b.c")).await.unwrap();
    assert_eq!(
        names,
        ["B", "a", "b", "c-1"].map(name),
        "in alphabetical order"
    );
    assert_eq!(store.names(&app("a.b.cc")).await.unwrap(), []);
}

/// Nor one that is stored only later in the commit.
pub async fn an_unknown_snapshot_cannot_be_published(store: Store) {
    let document = snapshot("a.b.c", "u-1", 1);
    let to_name = publish("www", &document, 5);
    let unknown = Rejection::SnapshotUnknown(id_of(&document));
    assert_eq!(refused(&store, [to_name.clone().into()]).await, unknown);
    let wrong_order = [to_name.clone().into(), stored(&document)];
    assert_eq!(refused(&store, wrong_order).await, unknown);
    assert!(store.snapshot(&id_of(&document)).await.unwrap().is_none());

    apply(&store, stored(&document)).await;
    let missing: SnapshotId = "u-9.a.b.c".parse().unwrap();
    let other = Publish {
        snapshot_id: missing.clone(),
        ..to_name
    };
    let unknown = Rejection::SnapshotUnknown(missing);
    assert_eq!(refused(&store, [other.into()]).await, unknown);
    assert!(store.deployment(&name("www")).await.unwrap().is_none());
}

/// Control planes send the same publish several times, and another replica may take the next one.
pub async fn publishing_the_same_again_changes_nothing(store: Store) {
    let document = snapshot("a.b.c", "u-1", 1);
    let first = publish("www", &document, 100);
    commit(&store, [stored(&document), first.clone().into()]).await;
    let elsewhere = Publish {
        order: Order::Local {
            now_ms: 200,
            replica: "there".into(),
        },
        ..first.clone()
    };
    let allowed_to_take = Publish {
        takeover: true,
        ..first.clone()
    };
    let again = [
        first.clone(),
        elsewhere,
        allowed_to_take,
        publish("www", &document, 50),
    ];
    for publish in again {
        let shown = format!("{publish:?}");
        assert_eq!(apply(&store, publish).await, Applied::Unchanged, "{shown}");
    }
    assert_answers(&store, &first.name, &document, &entry(&first, 100)).await;
    assert_eq!(store.history(&first.name).await.unwrap().len(), 1);
}

/// Another manifest, or none any more, is another publish.
pub async fn a_manifest_belongs_to_one_publish(store: Store) {
    let document = snapshot("a.b.c", "u-1", 1);
    apply(&store, stored(&document)).await;
    let same_hash = asset(1);
    let manifests = [
        (Some(asset(1)), Applied::Done),
        (Some(asset(1)), Applied::Unchanged),
        (Some(asset(2)), Applied::Done),
        (Some(same_hash), Applied::Done),
        (
            Some(favonius_contract::AssetRef {
                size: 3,
                ..same_hash
            }),
            Applied::Done,
        ),
        (None, Applied::Done),
        (None, Applied::Unchanged),
        (Some(asset(1)), Applied::Done),
    ];
    let mut at = 0;
    for (step, (manifest, expected)) in manifests.into_iter().enumerate() {
        let publish = Publish {
            manifest,
            ..publish("www", &document, 10)
        };
        assert_eq!(
            apply(&store, publish.clone()).await,
            expected,
            "step {step}"
        );
        if expected == Applied::Done {
            at = if at == 0 { 10 } else { at + 1 };
        }
        assert_answers(&store, &publish.name, &document, &entry(&publish, at)).await;
    }
}

/// That is how one rolls back.
pub async fn an_older_snapshot_can_be_published_again(store: Store) {
    let (old, new) = (snapshot("a.b.c", "u-1", 1), snapshot("a.b.c", "u-2", 2));
    commit(&store, [stored(&old), stored(&new)]).await;
    for (at, document) in [(10, &old), (20, &new), (30, &old), (40, &new)] {
        let publish = publish("www", document, at);
        assert_eq!(apply(&store, publish.clone()).await, Applied::Done, "{at}");
        assert_answers(&store, &publish.name, document, &entry(&publish, at)).await;
    }
    let history = store.history(&name("www")).await.unwrap();
    let times: Vec<u64> = history.iter().map(|e| e.publication.published_at).collect();
    assert_eq!(times, [40, 30, 20, 10]);
}

/// Of each name by itself.
pub async fn history_is_newest_first_and_bounded(store: Store) {
    let documents = [snapshot("a.b.c", "u-1", 1), snapshot("a.b.c", "u-2", 2)];
    commit(&store, documents.iter().map(stored)).await;
    let mut expected = Vec::new();
    for step in 0..HISTORY_LIMIT + 5 {
        let at = 1_000 + u64::try_from(step).unwrap();
        let publish = Publish {
            manifest: Some(asset(at)),
            ..publish("www", &documents[step % 2], at)
        };
        apply(&store, publish.clone()).await;
        expected.insert(0, entry(&publish, at));
        expected.truncate(HISTORY_LIMIT);
        if step == 1 {
            assert_eq!(store.history(&publish.name).await.unwrap(), expected);
        }
    }
    let other = publish("other", &documents[0], 5);
    apply(&store, other.clone()).await;
    assert_eq!(store.history(&name("www")).await.unwrap(), expected);
    let history = store.history(&other.name).await.unwrap();
    assert_eq!(history, [entry(&other, 5)]);
}

/// In the commit as between commits.
pub async fn later_changes_see_earlier_ones(store: Store) {
    use Applied::{Done, Unchanged};
    let (one, two) = (snapshot("a.b.c", "u-1", 1), snapshot("a.b.c", "u-2", 2));
    let other = snapshot("d.e.f", "u-1", 1);
    let (to_one, to_two) = (publish("www", &one, 10), publish("www", &two, 10));
    let taken = Publish {
        takeover: true,
        ..publish("www", &other, 10)
    };
    let applied = commit(
        &store,
        [
            stored(&one),
            stored(&two),
            stored(&other),
            to_one.clone().into(),
            to_one.clone().into(),
            to_two.clone().into(),
            taken.clone().into(),
        ],
    )
    .await;
    assert_eq!(applied, [Done, Done, Done, Done, Unchanged, Done, Done]);
    assert_answers(&store, &taken.name, &other, &entry(&taken, 12)).await;
    let history = store.history(&name("www")).await.unwrap();
    let expected = [entry(&taken, 12), entry(&to_two, 11), entry(&to_one, 10)];
    assert_eq!(history, expected);
    assert_eq!(store.names(&app("a.b.c")).await.unwrap(), []);
    assert_eq!(store.names(&app("d.e.f")).await.unwrap(), [name("www")]);

    // Not allowed because of what the same commit did before.
    let first_come = [
        publish("new", &one, 10).into(),
        publish("new", &other, 20).into(),
    ];
    let owned = Rejection::NameOwned {
        name: name("new"),
        owner: app("a.b.c"),
    };
    assert_eq!(refused(&store, first_come).await, owned);
    assert!(store.deployment(&name("new")).await.unwrap().is_none());
}

/// Nothing to do is done.
pub async fn an_empty_commit_is_allowed(store: Store) {
    assert_eq!(commit(&store, []).await, []);
}
