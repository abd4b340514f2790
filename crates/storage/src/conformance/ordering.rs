//! Which of several publishes of one name stands.

use favonius_contract::SnapshotDocument;
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};

use super::{
    Store,
    sample::{
        apply, assert_answers, asset, commit, entry, publish, refused, replicated, snapshot, stored,
    },
};
use crate::{Applied, Order, Publish, Rejection};

/// A clock that was ahead, or two publishes within a millisecond, do not matter.
pub async fn local_time_never_goes_back(store: Store) {
    let documents = [snapshot("a.b.c", "u-1", 1), snapshot("a.b.c", "u-2", 2)];
    commit(&store, documents.iter().map(stored)).await;
    let steps = [
        (1_000, 1_000),
        (1_000, 1_001),
        (500, 1_002),
        (0, 1_003),
        (9_999, 9_999),
        (10_000, 10_000),
        (1, 10_001),
    ];
    for (step, (now, expected)) in steps.into_iter().enumerate() {
        let document = &documents[step % 2];
        let publish = publish("www", document, now);
        assert_eq!(apply(&store, publish.clone()).await, Applied::Done);
        assert_answers(&store, &publish.name, document, &entry(&publish, expected)).await;
    }
}

/// No publish is lost to rounding, and none overflows.
pub async fn times_beyond_any_clock_stay_exact(store: Store) {
    let documents = [snapshot("a.b.c", "u-1", 1), snapshot("a.b.c", "u-2", 2)];
    commit(&store, documents.iter().map(stored)).await;
    let exact = 1_u64 << 53;
    let steps = [
        ("local at nines", 999_999_999, 1, 999_999_999, false),
        ("local after nines", 5, 0, 1_000_000_000, false),
        ("replicated", exact, 1, exact, true),
        ("replicated, one more", exact + 1, 0, exact + 1, true),
        ("local after it", 5, 1, exact + 2, false),
        ("replicated", u64::MAX - 1, 0, u64::MAX - 1, true),
        ("local after it", 5, 1, u64::MAX, false),
        ("local at the end of time", 5, 0, u64::MAX, false),
    ];
    for (step, time, document, expected, is_replicated) in steps {
        let document = &documents[document];
        let publish = if is_replicated {
            replicated("www", document, time, "there")
        } else {
            publish("www", document, time)
        };
        assert_eq!(
            apply(&store, publish.clone()).await,
            Applied::Done,
            "{step}"
        );
        assert_answers(&store, &publish.name, document, &entry(&publish, expected)).await;
    }
}

/// By its time, then by the bytes of its replica's name.
pub async fn a_replicated_publish_counts_only_if_newer(store: Store) {
    use Applied::{Done, Superseded};
    let documents = [snapshot("a.b.c", "u-1", 1), snapshot("a.b.c", "u-2", 2)];
    commit(&store, documents.iter().map(stored)).await;
    let steps = [
        ("first", 100, "m", Done),
        ("the same again", 100, "m", Superseded),
        ("older", 99, "z", Superseded),
        ("fewer digits", 20, "z", Superseded),
        ("same time, lesser name", 100, "a", Superseded),
        ("same time, no name", 100, "", Superseded),
        ("same time, upper case is less", 100, "N", Superseded),
        ("same time, greater name", 100, "n", Done),
        ("same time, longer name", 100, "n1", Done),
        ("same time, shorter name", 100, "n", Superseded),
        ("same time, beyond ASCII", 100, "é", Done),
        ("same time, ASCII again", 100, "zz", Superseded),
        ("later, lesser name", 101, "a", Done),
        ("more digits", 1_000, "a", Done),
    ];
    let mut standing = None;
    for (step, (case, at, replica, expected)) in steps.into_iter().enumerate() {
        let document = &documents[step % 2];
        let publish = replicated("www", document, at, replica);
        assert_eq!(apply(&store, publish.clone()).await, expected, "{case}");
        if expected == Done {
            standing = Some((document, publish, at));
        }
        let (document, publish, at) = standing.as_ref().unwrap();
        assert_answers(&store, &publish.name, document, &entry(publish, *at)).await;
    }
    let history = store.history(&"www".parse().unwrap()).await.unwrap();
    assert_eq!(history.len(), 6, "a dropped publish is not remembered");

    // A local one is the newest by definition.
    let publish = publish("www", &documents[0], 5);
    assert_eq!(apply(&store, publish.clone()).await, Done);
    assert_answers(
        &store,
        &publish.name,
        &documents[0],
        &entry(&publish, 1_001),
    )
    .await;
}

/// An old message from another region is no reason for an alarm, whatever has become of the name.
pub async fn a_superseded_publish_is_dropped_before_anything_else_is_asked(store: Store) {
    let (mine, next) = (snapshot("a.b.c", "u-1", 1), snapshot("a.b.c", "u-2", 2));
    let theirs = snapshot("d.e.f", "u-1", 1);
    commit(&store, [&mine, &next, &theirs].map(stored)).await;
    let version = Publish {
        version: true,
        ..publish("v1", &mine, 100)
    };
    commit(&store, [version.into(), publish("www", &mine, 100).into()]).await;
    let late = [
        ("another owner", replicated("www", &theirs, 100, "a")),
        ("another version", replicated("v1", &next, 99, "z")),
    ];
    for (case, publish) in late {
        assert_eq!(apply(&store, publish).await, Applied::Superseded, "{case}");
    }
    // But the snapshot must be there: it is asked for first, so that the sender sends it.
    let unknown = snapshot("a.b.c", "u-9", 9);
    let rejection = refused(&store, [replicated("www", &unknown, 1, "a").into()]).await;
    assert!(
        matches!(rejection, Rejection::SnapshotUnknown(_)),
        "{rejection}"
    );
}

/// Regions hear of publishes in different orders, and agree all the same.
pub async fn every_order_of_arrival_ends_the_same(store: Store) {
    const PUBLISHES: usize = 4;
    let documents: Vec<SnapshotDocument> = ["a.b.c", "d.e.f", "g.h.i"]
        .iter()
        .flat_map(|uid| [snapshot(uid, "u-1", 1), snapshot(uid, "u-2", 2)])
        .collect();
    commit(&store, documents.iter().map(stored)).await;

    let times = prop_oneof![0..4_u64, 999_998..1_000_002_u64, any::<u64>()];
    let one = (
        times,
        "[a-cA-C]{0,2}",
        0..documents.len(),
        proptest::option::of(0..3_u64),
    );
    let several = proptest::collection::hash_map((one.0, one.1), (one.2, one.3), PUBLISHES);
    let mut runner = TestRunner::default();
    for round in 0..8 {
        let drawn = several.new_tree(&mut runner).unwrap().current();
        let publishes: Vec<(Publish, usize)> = drawn
            .into_iter()
            .map(|((at, replica), (document, manifest))| {
                let publish = Publish {
                    manifest: manifest.map(asset),
                    takeover: true,
                    ..replicated("to be named", &documents[document], at, &replica)
                };
                (publish, document)
            })
            .collect();
        let order_of = |publish: &Publish| match &publish.order {
            Order::Replicated {
                published_at,
                replica,
                ..
            } => (*published_at, replica.clone()),
            Order::Local { .. } => panic!("all are replicated"),
        };
        let newest = publishes
            .iter()
            .max_by_key(|(publish, _)| order_of(publish));
        let (newest, document) = newest.unwrap();
        for (number, arrival) in permutations(PUBLISHES).into_iter().enumerate() {
            let to: favonius_contract::DeploymentName =
                format!("name-{round}-{number}").parse().unwrap();
            for index in &arrival {
                let publish = Publish {
                    name: to.clone(),
                    ..publishes[*index].0.clone()
                };
                let applied = apply(&store, publish).await;
                assert_ne!(applied, Applied::Unchanged, "{arrival:?} of {publishes:?}");
            }
            let expected = entry(newest, order_of(newest).0);
            assert_answers(&store, &to, &documents[*document], &expected).await;
            for uid in ["a.b.c", "d.e.f", "g.h.i"] {
                let names = store.names(&uid.parse().unwrap()).await.unwrap();
                let owns = newest.application.as_str() == uid;
                assert_eq!(names.contains(&to), owns, "{arrival:?} of {publishes:?}");
            }
        }
    }
}

/// All orders of the numbers below `count`.
pub(super) fn permutations(count: usize) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new()];
    for number in 0..count {
        all = all
            .into_iter()
            .flat_map(|shorter: Vec<usize>| {
                (0..=shorter.len()).map(move |place| {
                    let mut longer = shorter.clone();
                    longer.insert(place, number);
                    longer
                })
            })
            .collect();
    }
    all
}
