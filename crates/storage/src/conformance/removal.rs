//! Names that are to answer with nothing any more.

use favonius_contract::{DeploymentName, SnapshotDocument};

use super::{
    Store,
    ordering::permutations,
    sample::{
        app, apply, assert_answers, assert_gone, asset, commit, connected, entry, id_of, name,
        publish, refused, remove, replicated, replicated_removal, snapshot, stored, until,
    },
};
use crate::{Applied, Change, ChangeEvent, Order, Publish, Rejection, Remove};

/// And whoever reads is told. Its snapshot and other names stay.
pub async fn a_removed_name_answers_with_nothing(store: Store) {
    let document = snapshot("a.b.c", "u-1", 1);
    let kept = publish("kept", &document, 5);
    let setup = [
        stored(&document),
        publish("www", &document, 5).into(),
        kept.clone().into(),
    ];
    commit(&store, setup).await;
    let mut changes = connected(&*store).await;
    let removal = remove("www", "a.b.c", 10);
    assert_eq!(apply(&store, removal.clone()).await, Applied::Done);
    until(&mut changes, &ChangeEvent::Name(name("www"))).await;
    assert_gone(&store, &removal.name, &["a.b.c"]).await;
    assert_answers(&store, &kept.name, &document, &entry(&kept, 5)).await;
    let names = store.names(&app("a.b.c")).await.unwrap();
    assert_eq!(names, [name("kept")]);
    let still = store.snapshot(&id_of(&document)).await.unwrap();
    assert_eq!(still, Some(document.clone()));

    // Its history does not come back with the name.
    let again = publish("www", &document, 20);
    assert_eq!(apply(&store, again.clone()).await, Applied::Done);
    let history = store.history(&again.name).await.unwrap();
    assert_eq!(history, [entry(&again, 20)]);
}

/// Neither where nothing ever was, nor where it was removed, whoever asks.
pub async fn removing_what_is_not_there_changes_nothing(store: Store) {
    let document = snapshot("a.b.c", "u-1", 1);
    let never = remove("never", "a.b.c", 10);
    assert_eq!(apply(&store, never.clone()).await, Applied::Unchanged);
    // So it does not stand in the way of what is older.
    apply(&store, stored(&document)).await;
    let old = replicated("never", &document, 5, "there");
    assert_eq!(apply(&store, old).await, Applied::Done);

    assert_eq!(apply(&store, never).await, Applied::Done);
    for (application, now) in [("a.b.c", 20), ("d.e.f", 30)] {
        let again = remove("never", application, now);
        assert_eq!(apply(&store, again).await, Applied::Unchanged);
    }
    // Nor did the repetition make the removal younger.
    let between = replicated("never", &document, 15, "there");
    assert_eq!(apply(&store, between).await, Applied::Done);
}

/// Unless it is taken over, or what answers is not theirs but was published by them.
pub async fn only_its_owner_removes_a_name(store: Store) {
    let (mine, theirs) = (snapshot("a.b.c", "u-1", 1), snapshot("a.b.cc", "u-1", 1));
    let standing = publish("www", &mine, 10);
    let setup = [stored(&mine), stored(&theirs), standing.clone().into()];
    commit(&store, setup).await;
    let owned = Rejection::NameOwned {
        name: name("www"),
        owner: app("a.b.c"),
    };
    let attempts = [
        remove("www", "a.b.cc", 20),
        replicated_removal("www", "a.b.cc", 20, "there"),
    ];
    for attempt in attempts {
        assert_eq!(refused(&store, [attempt.into()]).await, owned);
    }
    assert_answers(&store, &standing.name, &mine, &entry(&standing, 10)).await;

    for at in [20, 30] {
        let order = if at == 20 {
            remove("www", "a.b.cc", at).order
        } else {
            replicated_removal("www", "a.b.cc", at, "there").order
        };
        let takeover = Remove {
            order,
            takeover: true,
            ..remove("www", "a.b.cc", at)
        };
        assert_eq!(apply(&store, takeover).await, Applied::Done);
        assert_gone(&store, &standing.name, &["a.b.c", "a.b.cc"]).await;
        assert_eq!(
            apply(&store, publish("www", &mine, 25)).await,
            Applied::Done
        );
    }
    let borrowed = Publish {
        application: app("a.b.c"),
        ..publish("borrowed", &theirs, 10)
    };
    apply(&store, borrowed).await;
    let removal = remove("borrowed", "a.b.c", 20);
    assert_eq!(apply(&store, removal).await, Applied::Done);
    assert_gone(&store, &name("borrowed"), &["a.b.c", "a.b.cc"]).await;
}

/// Who publishes first has it then, and it may stand for another version.
pub async fn a_removed_name_belongs_to_nobody(store: Store) {
    let (mine, theirs) = (snapshot("a.b.c", "u-1", 1), snapshot("d.e.f", "u-1", 1));
    let version = Publish {
        version: true,
        ..publish("v1", &mine, 10)
    };
    commit(&store, [stored(&mine), stored(&theirs), version.into()]).await;
    assert_eq!(
        apply(&store, remove("v1", "a.b.c", 20)).await,
        Applied::Done
    );
    let next = publish("v1", &theirs, 30);
    assert_eq!(apply(&store, next.clone()).await, Applied::Done);
    assert_answers(&store, &next.name, &theirs, &entry(&next, 30)).await;
    let names = store.names(&app("d.e.f")).await.unwrap();
    assert_eq!(names, [name("v1")]);
    let rejection = refused(&store, [remove("v1", "a.b.c", 40).into()]).await;
    assert!(
        matches!(rejection, Rejection::NameOwned { .. }),
        "{rejection}"
    );
}

/// A clock that was ahead does not bring a name back, and does not keep it away.
pub async fn local_time_never_goes_back_over_a_removal(store: Store) {
    let document = snapshot("a.b.c", "u-1", 1);
    let first = publish("www", &document, 1_000);
    commit(&store, [stored(&document), first.into()]).await;
    let removal = remove("www", "a.b.c", 5);
    assert_eq!(apply(&store, removal.clone()).await, Applied::Done);
    for (at, replica) in [(1_000, "zzz"), (1_001, "a"), (1_001, "here")] {
        let late = replicated("www", &document, at, replica);
        assert_eq!(apply(&store, late).await, Applied::Superseded, "{at}");
    }
    assert_gone(&store, &removal.name, &["a.b.c"]).await;

    let again = publish("www", &document, 6);
    assert_eq!(apply(&store, again.clone()).await, Applied::Done);
    assert_answers(&store, &again.name, &document, &entry(&again, 1_002)).await;

    let far = replicated_removal("www", "a.b.c", 1 << 53, "there");
    assert_eq!(apply(&store, far).await, Applied::Done);
    assert_eq!(apply(&store, again.clone()).await, Applied::Done);
    assert_answers(
        &store,
        &again.name,
        &document,
        &entry(&again, (1 << 53) + 1),
    )
    .await;
}

/// By its time, then by the bytes of its replica's name, as publishes are.
pub async fn a_replicated_removal_counts_only_if_newer(store: Store) {
    use Applied::{Done, Superseded};
    let document = snapshot("a.b.c", "u-1", 1);
    apply(&store, stored(&document)).await;
    let publish = |at, replica| Change::from(replicated("www", &document, at, replica));
    let remove = |at, replica| Change::from(replicated_removal("www", "a.b.c", at, replica));
    let steps = [
        ("a publish", publish(100, "m"), Done, true),
        ("an older removal", remove(99, "z"), Superseded, true),
        ("fewer digits", remove(20, "z"), Superseded, true),
        ("the same time, lesser", remove(100, "a"), Superseded, true),
        ("the same", remove(100, "m"), Superseded, true),
        ("the same time, greater", remove(100, "n"), Done, false),
        ("the same again", remove(100, "n"), Superseded, false),
        ("the publish again", publish(100, "m"), Superseded, false),
        ("an older publish", publish(99, "z"), Superseded, false),
        ("as new a publish", publish(100, "n"), Superseded, false),
        ("a newer publish", publish(100, "o"), Done, true),
        ("the removal again", remove(100, "n"), Superseded, true),
        ("a later removal", remove(101, "a"), Done, false),
        ("a removal of what is gone", remove(102, ""), Done, false),
        ("a publish between", publish(101, "z"), Superseded, false),
        ("more digits", publish(1_000, "a"), Done, true),
    ];
    for (case, change, expected, answers) in steps {
        assert_eq!(apply(&store, change).await, expected, "{case}");
        if answers {
            let found = store.deployment(&name("www")).await.unwrap();
            assert!(found.is_some(), "{case}");
        } else {
            assert_gone(&store, &name("www"), &["a.b.c"]).await;
        }
    }
}

/// The removal may come before the publish that it removes.
pub async fn a_removal_is_remembered_where_there_was_no_name(store: Store) {
    let document = snapshot("a.b.c", "u-1", 1);
    let removal = replicated_removal("www", "a.b.c", 100, "there");
    assert_eq!(apply(&store, removal.clone()).await, Applied::Done);
    assert_eq!(apply(&store, removal.clone()).await, Applied::Superseded);
    apply(&store, stored(&document)).await;
    let late = replicated("www", &document, 99, "there");
    assert_eq!(apply(&store, late).await, Applied::Superseded);
    assert_gone(&store, &removal.name, &["a.b.c"]).await;
    let newer = replicated("www", &document, 101, "there");
    assert_eq!(apply(&store, newer.clone()).await, Applied::Done);
    assert_answers(&store, &newer.name, &document, &entry(&newer, 101)).await;
}

/// In their order.
pub async fn changes_of_one_commit_see_removals(store: Store) {
    use Applied::{Done, Superseded, Unchanged};
    let (mine, theirs) = (snapshot("a.b.c", "u-1", 1), snapshot("d.e.f", "u-1", 1));
    let last = publish("www", &theirs, 7);
    let gone = remove("gone", "a.b.c", 5);
    let changes: [Change; 9] = [
        stored(&mine),
        stored(&theirs),
        publish("www", &mine, 5).into(),
        remove("www", "a.b.c", 5).into(),
        remove("www", "a.b.c", 5).into(),
        replicated("www", &mine, 5, "zzz").into(),
        last.clone().into(),
        publish("gone", &mine, 5).into(),
        gone.clone().into(),
    ];
    let expected = [
        Done, Done, Done, Done, Unchanged, Superseded, Done, Done, Done,
    ];
    assert_eq!(commit(&store, changes).await, expected);
    assert_answers(&store, &last.name, &theirs, &entry(&last, 7)).await;
    assert_eq!(store.history(&last.name).await.unwrap().len(), 1);
    assert_eq!(store.names(&app("a.b.c")).await.unwrap(), []);
    assert_gone(&store, &gone.name, &["a.b.c"]).await;
}

/// And remembers no removal.
pub async fn a_refused_commit_removes_nothing(store: Store) {
    let (mine, theirs) = (snapshot("a.b.c", "u-1", 1), snapshot("d.e.f", "u-1", 1));
    let standing = publish("www", &mine, 10);
    let setup = [
        stored(&mine),
        stored(&theirs),
        standing.clone().into(),
        publish("theirs", &theirs, 10).into(),
    ];
    commit(&store, setup).await;
    let not_allowed: [Change; 2] = [
        remove("theirs", "a.b.c", 20).into(),
        publish("theirs", &mine, 20).into(),
    ];
    for change in not_allowed {
        let changes = [
            remove("www", "a.b.c", 20).into(),
            replicated_removal("never", "a.b.c", 20, "there").into(),
            change,
        ];
        refused(&store, changes).await;
        assert_answers(&store, &standing.name, &mine, &entry(&standing, 10)).await;
        let names = store.names(&app("a.b.c")).await.unwrap();
        assert_eq!(names, [name("www")]);
    }
    let old = replicated("never", &mine, 19, "there");
    assert_eq!(apply(&store, old).await, Applied::Done);
}

/// Regions hear of them in different orders, and agree all the same.
pub async fn publishes_and_removals_end_the_same_in_every_order(store: Store) {
    let documents = [snapshot("a.b.c", "u-1", 1), snapshot("d.e.f", "u-1", 1)];
    commit(&store, documents.iter().map(stored)).await;
    for set in 0..2 {
        for (number, arrival) in permutations(4).into_iter().enumerate() {
            let to = format!("name-{set}-{number}");
            let changes = &told_of(&to, &documents)[set];
            for index in &arrival {
                let applied = apply(&store, changes[*index].clone()).await;
                assert_ne!(applied, Applied::Unchanged, "{arrival:?} of {changes:?}");
            }
            assert_is_so(&store, &name(&to), changes.last().unwrap(), &documents[0]).await;
        }
    }
}

/// What regions may be told of a name, oldest first.
fn told_of(to: &str, [mine, theirs]: &[SnapshotDocument; 2]) -> [Vec<Change>; 2] {
    let publish = |document, at, replica, version| {
        Change::from(Publish {
            version,
            takeover: true,
            manifest: version.then(|| asset(at)),
            ..replicated(to, document, at, replica)
        })
    };
    let removal = |application, at, replica| {
        Change::from(Remove {
            takeover: true,
            ..replicated_removal(to, application, at, replica)
        })
    };
    [
        vec![
            publish(mine, 10, "m", true),
            removal("a.b.c", 10, "n"),
            publish(theirs, 11, "a", false),
            removal("d.e.f", 11, "b"),
        ],
        vec![
            removal("a.b.c", 9, "z"),
            publish(theirs, 10, "a", true),
            removal("d.e.f", 999, "z"),
            publish(mine, 1_000, "", false),
        ],
    ]
}

async fn assert_is_so(
    store: &Store,
    name: &DeploymentName,
    newest: &Change,
    document: &SnapshotDocument,
) {
    match newest {
        Change::Published(publish) => {
            let Order::Replicated { published_at, .. } = publish.order else {
                panic!("all are replicated");
            };
            assert_answers(store, name, document, &entry(publish, published_at)).await;
            let names = store.names(&app("d.e.f")).await.unwrap();
            assert!(!names.contains(name), "`{name}`");
        }
        _ => assert_gone(store, name, &["a.b.c", "d.e.f"]).await,
    }
}
