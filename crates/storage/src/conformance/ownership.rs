//! Whose a name is, and what may become of it.

use super::{
    Store,
    sample::{
        app, apply, assert_answers, commit, entry, id_of, name, publish, refused, replicated,
        snapshot, stored,
    },
};
use crate::{Applied, Publish, Rejection};

/// Wherever the other publish comes from.
pub async fn a_name_belongs_to_who_published_first(store: Store) {
    let (mine, next) = (snapshot("a.b.c", "u-1", 1), snapshot("a.b.c", "u-2", 1));
    let theirs = snapshot("a.b.cc", "u-1", 1);
    commit(&store, [&mine, &next, &theirs].map(stored)).await;
    let first = publish("www", &mine, 10);
    apply(&store, first.clone()).await;

    let owned = Rejection::NameOwned {
        name: name("www"),
        owner: app("a.b.c"),
    };
    let attempts = [
        publish("www", &theirs, 20),
        replicated("www", &theirs, 20, "there"),
        Publish {
            version: true,
            ..publish("www", &theirs, 20)
        },
        // Their snapshot in my name is mine to publish, mine in theirs is not theirs.
        Publish {
            application: app("a.b.cc"),
            ..publish("www", &next, 20)
        },
        Publish {
            application: app("a.b.cc"),
            ..publish("www", &mine, 20)
        },
    ];
    for attempt in attempts {
        let shown = format!("{attempt:?}");
        assert_eq!(refused(&store, [attempt.into()]).await, owned, "{shown}");
    }
    assert_answers(&store, &first.name, &mine, &entry(&first, 10)).await;
    assert_eq!(store.names(&app("a.b.cc")).await.unwrap(), []);

    let borrowed = Publish {
        application: app("a.b.c"),
        ..publish("www", &theirs, 20)
    };
    assert_eq!(apply(&store, borrowed.clone()).await, Applied::Done);
    assert_answers(&store, &first.name, &theirs, &entry(&borrowed, 20)).await;
}

/// From one application's names to the other's, and back.
pub async fn a_takeover_moves_a_name(store: Store) {
    let documents = [snapshot("a.b.c", "u-1", 1), snapshot("d.e.f", "u-1", 1)];
    commit(&store, documents.iter().map(stored)).await;
    apply(&store, publish("kept", &documents[0], 1)).await;
    apply(&store, publish("www", &documents[0], 10)).await;
    let owners = ["a.b.c", "d.e.f"];
    for (at, winner, loser) in [(20, 1, 0), (30, 0, 1), (40, 1, 0)] {
        let publish = Publish {
            takeover: true,
            ..publish("www", &documents[winner], at)
        };
        assert_eq!(apply(&store, publish.clone()).await, Applied::Done);
        assert_answers(
            &store,
            &publish.name,
            &documents[winner],
            &entry(&publish, at),
        )
        .await;
        let names_of = async |index: usize| store.names(&app(owners[index])).await.unwrap();
        assert!(names_of(winner).await.contains(&name("www")), "{at}");
        assert!(!names_of(loser).await.contains(&name("www")), "{at}");
    }
    assert_eq!(store.names(&app("a.b.c")).await.unwrap(), [name("kept")]);

    // The same snapshot with another owner is no repetition.
    let mine_again = Publish {
        application: app("a.b.c"),
        takeover: true,
        ..publish("www", &documents[1], 50)
    };
    assert_eq!(apply(&store, mine_again.clone()).await, Applied::Done);
    assert_answers(&store, &name("www"), &documents[1], &entry(&mine_again, 50)).await;
}

/// Nobody can change it here, also not by a takeover.
pub async fn a_version_name_never_changes(store: Store) {
    let (mine, next) = (snapshot("a.b.c", "u-1", 1), snapshot("a.b.c", "u-2", 1));
    let theirs = snapshot("d.e.f", "u-1", 1);
    commit(&store, [&mine, &next, &theirs].map(stored)).await;
    let version = Publish {
        version: true,
        ..publish("v1", &mine, 10)
    };
    assert_eq!(apply(&store, version.clone()).await, Applied::Done);
    assert_eq!(apply(&store, version.clone()).await, Applied::Unchanged);

    let taken = Rejection::NameTaken {
        name: name("v1"),
        snapshot_id: id_of(&mine),
    };
    let attempts = [
        publish("v1", &next, 20),
        Publish {
            version: true,
            ..publish("v1", &next, 20)
        },
        Publish {
            takeover: true,
            ..publish("v1", &theirs, 20)
        },
    ];
    for attempt in attempts {
        let shown = format!("{attempt:?}");
        assert_eq!(refused(&store, [attempt.into()]).await, taken, "{shown}");
    }
    assert_answers(&store, &version.name, &mine, &entry(&version, 10)).await;

    // A name that answers with something else cannot become a version of this.
    apply(&store, publish("www", &mine, 10)).await;
    let other = Publish {
        version: true,
        ..publish("www", &next, 20)
    };
    let taken = Rejection::NameTaken {
        name: name("www"),
        snapshot_id: id_of(&mine),
    };
    assert_eq!(refused(&store, [other.into()]).await, taken);
}

/// Regions end on the same, in whatever order they are told: the newest, just as it was published there.
pub async fn a_version_name_moves_when_it_moved_elsewhere(store: Store) {
    let (mine, next) = (snapshot("a.b.c", "u-1", 1), snapshot("a.b.c", "u-2", 1));
    let theirs = snapshot("d.e.f", "u-1", 1);
    commit(&store, [&mine, &next, &theirs].map(stored)).await;
    let version = Publish {
        version: true,
        ..publish("v1", &mine, 10)
    };
    assert_eq!(apply(&store, version).await, Applied::Done);
    let moves = [
        (&next, true, replicated("v1", &next, 20, "there")),
        (&mine, false, replicated("v1", &mine, 30, "there")),
        (&next, true, replicated("v1", &next, 40, "there")),
        (&next, false, replicated("v1", &next, 50, "there")),
        (&theirs, true, replicated("v1", &theirs, 60, "there")),
    ];
    for (at, (document, version, publish)) in (20..).step_by(10).zip(moves) {
        let publish = Publish {
            version,
            takeover: true,
            ..publish
        };
        assert_eq!(apply(&store, publish.clone()).await, Applied::Done);
        assert_answers(&store, &publish.name, document, &entry(&publish, at)).await;
    }
    // From here on the name stands for what it stands for there.
    let local = Publish {
        takeover: true,
        ..publish("v1", &mine, 70)
    };
    let taken = Rejection::NameTaken {
        name: name("v1"),
        snapshot_id: id_of(&theirs),
    };
    assert_eq!(refused(&store, [local.into()]).await, taken);
}

/// Also when a later publish does not ask for it.
pub async fn a_name_that_became_a_version_stays_one(store: Store) {
    let (document, next) = (snapshot("a.b.c", "u-1", 1), snapshot("a.b.c", "u-2", 1));
    commit(&store, [&document, &next].map(stored)).await;
    let plain = publish("www", &document, 10);
    apply(&store, plain.clone()).await;
    let version = Publish {
        version: true,
        ..plain.clone()
    };
    assert_eq!(apply(&store, version.clone()).await, Applied::Done);
    assert_answers(&store, &version.name, &document, &entry(&version, 11)).await;

    assert_eq!(apply(&store, plain.clone()).await, Applied::Unchanged);
    let rejection = refused(&store, [publish("www", &next, 40).into()]).await;
    assert!(
        matches!(rejection, Rejection::NameTaken { .. }),
        "{rejection}"
    );
}
