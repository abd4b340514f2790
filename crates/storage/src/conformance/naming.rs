//! Names and ids hold any text that the contract allows: none may be taken for another, or for syntax.

use favonius_contract::{DeploymentName, SnapshotDocument, SnapshotId};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};

use super::{
    Store,
    sample::{
        app, apply, assert_answers, commit, connected, entry, id_of, name, publish, refused,
        replicated, snapshot, stored, until,
    },
};
use crate::{Applied, Change, ChangeEvent, Publish, Rejection};

const ODD: &[&str] = &[
    "plain",
    "Plain",
    "with space",
    " leading",
    "trailing ",
    "*",
    "?",
    "[a-z]",
    "{tag}",
    "}{",
    "a:b",
    ":",
    "::",
    "envs:x",
    "quote\"s",
    "quote's",
    "`ticks`",
    "%00",
    "%s %d",
    "$1",
    "dollar$",
    "comma,",
    ",\"favonius\":{",
    "}",
    "\"}",
    "null",
    "0",
    "-1",
    "--version",
    "é",
    "e\u{301}",
    "日本語",
    "𝄞",
    "\u{10ffff}",
    "\u{feff}",
    "\u{2028}",
    "#",
    "&",
    "a&b=c",
    "name.with.dots",
    "UPPER",
    "<b>",
    "~",
    "^$",
    "..a",
    "a..",
    "\u{202e}rtl",
];

/// Route keys are free text.
pub async fn odd_names_stay_apart(store: Store) {
    let document = snapshot("a.b.c", "u-1", 1);
    apply(&store, stored(&document)).await;
    let mut changes = connected(&*store).await;
    let long = "x".repeat(512);
    let mut expected: Vec<DeploymentName> = ODD.iter().copied().chain([&*long]).map(name).collect();
    for (step, to) in expected.iter().enumerate() {
        let at = u64::try_from(step).unwrap();
        let publish = publish(to.as_str(), &document, at);
        assert_eq!(
            apply(&store, publish.clone()).await,
            Applied::Done,
            "`{to}`"
        );
        until(&mut changes, &ChangeEvent::Name(to.clone())).await;
    }
    for (step, to) in expected.iter().enumerate() {
        let at = u64::try_from(step).unwrap();
        let publish = publish(to.as_str(), &document, at);
        assert_answers(&store, to, &document, &entry(&publish, at)).await;
        let history = store.history(to).await.unwrap();
        assert_eq!(history, [entry(&publish, at)], "`{to}`");
    }
    expected.sort_unstable();
    assert_eq!(store.names(&app("a.b.c")).await.unwrap(), expected);
}

/// Their first part is a user's name.
pub async fn odd_snapshot_ids_stay_apart(store: Store) {
    let mut changes = connected(&*store).await;
    let odd: Vec<SnapshotDocument> = ODD
        .iter()
        .chain(&["back\\slash", "\\\"", "\\u0041", "a/b", "../up"])
        .map(|user| snapshot("a.b.c", &format!("{user}-1"), 1))
        .collect();
    for document in &odd {
        let id = id_of(document);
        let version = Publish {
            version: true,
            ..publish("to be named", document, 10)
        };
        let to_name = Publish {
            name: name(&format!("v-{}", id.as_str().replace(['/', '\\'], "|"))),
            ..version
        };
        let both = [stored(document), to_name.clone().into()];
        assert_eq!(
            commit(&store, both).await,
            [Applied::Done, Applied::Done],
            "`{id}`"
        );
        until(&mut changes, &ChangeEvent::Snapshot(id.clone())).await;
        assert_eq!(store.snapshot(&id).await.unwrap().as_ref(), Some(document));
        assert_answers(&store, &to_name.name, document, &entry(&to_name, 10)).await;
        assert_eq!(
            apply(&store, to_name.clone()).await,
            Applied::Unchanged,
            "`{id}`"
        );
        let other = Publish {
            snapshot_id: id_of(&odd[0]),
            ..to_name.clone()
        };
        if id != other.snapshot_id {
            let taken = Rejection::NameTaken {
                name: to_name.name,
                snapshot_id: id,
            };
            assert_eq!(refused(&store, [Change::from(other)]).await, taken);
        }
    }
    let mut ids: Vec<SnapshotId> = odd.iter().map(id_of).collect();
    ids.sort_unstable_by(|one, other| other.cmp(one));
    let versions = store.versions(&app("a.b.c"), 1_000).await.unwrap();
    let listed: Vec<SnapshotId> = versions.into_iter().map(|v| v.snapshot_id).collect();
    assert_eq!(listed, ids);
}

/// They decide between publishes of the same time.
pub async fn odd_replica_names_are_kept(store: Store) {
    let documents = [snapshot("a.b.c", "u-1", 1), snapshot("a.b.c", "u-2", 2)];
    commit(&store, documents.iter().map(stored)).await;
    let long = "r".repeat(10_000);
    let mut replicas: Vec<&str> = ODD.to_vec();
    replicas.extend([
        "",
        "back\\slash",
        "line\nbreak",
        "\u{0}",
        "\u{1f}\u{7f}",
        "\",\"published_at\":99,\"x\":\"",
        "\"}}",
        ",\"favonius\":{\"application_uid\":\"d.e.f\",\"published_at\":99}",
        &long,
    ]);
    for (number, replica) in replicas.iter().enumerate() {
        let document = &documents[number % 2];
        let local = Publish {
            order: crate::Order::Local {
                now_ms: 5,
                replica: (*replica).into(),
            },
            ..publish(&format!("local-{number}"), document, 5)
        };
        assert_eq!(
            apply(&store, local.clone()).await,
            Applied::Done,
            "{replica:?}"
        );
        assert_answers(&store, &local.name, document, &entry(&local, 5)).await;
        assert_eq!(
            apply(&store, local).await,
            Applied::Unchanged,
            "{replica:?}"
        );
    }
    replicas.sort_unstable();
    for (number, replica) in replicas.iter().enumerate() {
        let document = &documents[number % 2];
        let publish = replicated("www", document, 5, replica);
        assert_eq!(
            apply(&store, publish.clone()).await,
            Applied::Done,
            "{replica:?}"
        );
        assert_answers(&store, &publish.name, document, &entry(&publish, 5)).await;
        let again = apply(&store, publish).await;
        assert_eq!(again, Applied::Superseded, "{replica:?}");
    }
}

/// Names that nobody would think of.
pub async fn made_up_names_are_kept(store: Store) {
    let mut runner = TestRunner::default();
    let names =
        any::<String>().prop_filter_map("not a name", |text| text.parse::<DeploymentName>().ok());
    let users = any::<String>().prop_filter_map("not an id", |user| {
        format!("{user}-1.a.b.c").parse::<SnapshotId>().ok()
    });
    for _ in 0..40 {
        let to = names.new_tree(&mut runner).unwrap().current();
        let id = users.new_tree(&mut runner).unwrap().current();
        let version = id.as_str().strip_suffix(".a.b.c").unwrap();
        let document = snapshot("a.b.c", version, 1);
        assert_eq!(id_of(&document), id);
        let publish = publish(to.as_str(), &document, 10);
        let applied = commit(&store, [stored(&document), publish.clone().into()]).await;
        // Drawn twice is fine: the same name then moves on by a millisecond.
        assert_ne!(applied[1], Applied::Superseded, "`{to}`, `{id}`");
        let at = store.history(&to).await.unwrap()[0]
            .publication
            .published_at;
        assert_answers(&store, &to, &document, &entry(&publish, at)).await;
        assert!(
            store.names(&app("a.b.c")).await.unwrap().contains(&to),
            "`{to}`"
        );
        assert_eq!(
            apply(&store, publish).await,
            Applied::Unchanged,
            "`{to}`, `{id}`"
        );
    }
}
