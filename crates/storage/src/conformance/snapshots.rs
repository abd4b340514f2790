//! Snapshots and the versions of an application.

use std::fmt::Write;

use favonius_contract::{SnapshotDocument, SnapshotId};

use super::{
    Store,
    sample::{app, apply, commit, id_of, name, publish, refused, snapshot, stored, with_field},
};
use crate::{Applied, Change, Rejection, VersionEntry};

/// With fields, spaces and numbers as the client wrote them, also by way of a name's record.
pub async fn a_snapshot_is_kept_byte_for_byte(store: Store) {
    let deep = format!("{}{}", "[".repeat(300), "]".repeat(300));
    let bodies = [
        ("plain", String::new()),
        (
            "numbers",
            r#","n":[1.50,1e3,-0,12345678901234567890]"#.into(),
        ),
        ("escapes", r#","s":"\u00e9\/\"\\ é 𝄞 \ud834\udd1e""#.into()),
        ("half a surrogate pair", r#","s":"\ud834""#.into()),
        ("field that comes twice", r#","x":1,"x":2"#.into()),
        (
            "look-alike of ours",
            r#","x":{"favonius":{"version":true}}"#.into(),
        ),
        (
            "look-alike of ours at the end",
            r#","x":{"y":1,"favonius":{"application_uid":"x.y.z","published_at":9}}"#.into(),
        ),
        ("deep", format!(r#","x":{deep}"#)),
        ("spaces", " , \"x\" :\t[ ]\r\n ".into()),
    ];
    for (number, (case, body)) in bodies.into_iter().enumerate() {
        for (end, after) in [("nothing", ""), ("line break", "\r\n"), ("spaces", "   ")] {
            let id = format!("u-{number}-{}.a.b.c", after.len());
            let json = format!(
                r#"{{"application_uid":"a.b.c","snapshot_id":"{id}","assets":{{}}{body}}}{after}"#
            );
            let document = SnapshotDocument::parse(json.clone().into_bytes()).unwrap();
            let to_name = publish(&id, &document, 5);
            assert_eq!(
                commit(&store, [stored(&document), to_name.clone().into()]).await,
                [Applied::Done, Applied::Done],
                "case `{case}`, {end} after it"
            );
            let read = store.snapshot(&id_of(&document)).await.unwrap().unwrap();
            assert_eq!(
                String::from_utf8_lossy(read.json()),
                json,
                "case `{case}`, {end} after it"
            );
            assert_eq!(read, document, "case `{case}`, {end} after it");
            // The name's record is found again for what it is.
            assert_eq!(
                apply(&store, to_name).await,
                Applied::Unchanged,
                "case `{case}`, {end} after it"
            );
            let deployment = store.deployment(&name(&id)).await.unwrap().unwrap();
            assert_eq!(&deployment.snapshot, document.snapshot(), "case `{case}`");
            assert_eq!(deployment.publication.unwrap().published_at, 5);
        }
    }
}

/// An empty store has nothing, and says so without an error.
pub async fn what_is_absent_is_none(store: Store) {
    let id: SnapshotId = "u-1.a.b.c".parse().unwrap();
    assert!(store.snapshot(&id).await.unwrap().is_none());
    assert!(store.deployment(&name("nowhere")).await.unwrap().is_none());
    assert_eq!(store.history(&name("nowhere")).await.unwrap(), []);
    assert_eq!(store.names(&app("a.b.c")).await.unwrap(), []);
    assert_eq!(store.versions(&app("a.b.c"), 10).await.unwrap(), []);
    assert_eq!(store.known_assets(&app("a.b.c")).await.unwrap(), []);
}

/// Uploads are repeated.
pub async fn the_same_bytes_again_change_nothing(store: Store) {
    let document = snapshot("a.b.c", "u-1", 5);
    assert_eq!(
        commit(&store, [stored(&document), stored(&document)]).await,
        [Applied::Done, Applied::Unchanged]
    );
    assert_eq!(apply(&store, stored(&document)).await, Applied::Unchanged);
    assert_eq!(store.versions(&app("a.b.c"), 9).await.unwrap().len(), 1);
}

/// A version is what it is.
pub async fn other_bytes_under_the_same_id_are_refused(store: Store) {
    let document = snapshot("a.b.c", "u-1", 5);
    let differ = [
        ("one more field", with_field(&document, r#""x":1"#)),
        ("as long", {
            let json = String::from_utf8(document.json().to_vec()).unwrap();
            let json = json.replace("index.html", "jndex.html");
            SnapshotDocument::parse(json.into_bytes()).unwrap()
        }),
    ];
    let exists = Rejection::SnapshotExists(id_of(&document));
    for (case, other) in &differ {
        let both = [stored(&document), stored(other)];
        assert_eq!(refused(&store, both).await, exists, "{case}, in one commit");
    }
    assert!(store.snapshot(&id_of(&document)).await.unwrap().is_none());
    apply(&store, stored(&document)).await;
    for (case, other) in &differ {
        assert_eq!(refused(&store, [stored(other)]).await, exists, "{case}");
    }
    let kept = store.snapshot(&id_of(&document)).await.unwrap().unwrap();
    assert_eq!(kept, document);
}

/// The largest applications have documents of megabytes.
pub async fn a_large_snapshot_is_served_whole(store: Store) {
    const BYTES: usize = 5_000_000;
    let mut field = String::with_capacity(BYTES + 100);
    field.push_str(r#""mfConfigs":["#);
    for number in 0_u32.. {
        if field.len() > BYTES {
            break;
        }
        write!(
            field,
            r#"{{"remote":"remote-{number}","shared":["react","\u0065"]}},"#
        )
        .unwrap();
    }
    field.push_str("null]");
    let document = with_field(&snapshot("a.b.c", "u-1", 5), &field);
    let names = ["one", "two", "three"];
    let mut changes = vec![stored(&document)];
    changes.extend(names.map(|name| Change::from(publish(name, &document, 5))));
    assert_eq!(commit(&store, changes).await, vec![Applied::Done; 4]);

    let read = store.snapshot(&id_of(&document)).await.unwrap().unwrap();
    assert!(read == document, "its bytes changed");
    for to in names {
        let deployment = store.deployment(&name(to)).await.unwrap().unwrap();
        assert!(
            &deployment.snapshot == document.snapshot(),
            "`{to}` differs"
        );
        let again = apply(&store, publish(to, &document, 9)).await;
        assert_eq!(again, Applied::Unchanged, "`{to}`");
    }
}

/// By the time of their build, the greater id first where that is the same.
pub async fn versions_come_newest_first(store: Store) {
    let built = [
        ("u-2", 2_000),
        ("u-1", 1_000),
        ("never", 0),
        ("u-3", 1_700_000_000_123),
        ("b-same", 1_700_000_000_000),
        ("B-same", 1_700_000_000_000),
        ("a-same", 1_700_000_000_000),
        ("far", u64::MAX),
    ];
    for (version, at) in built {
        apply(&store, stored(&snapshot("a.b.c", version, at))).await;
    }
    for other in ["a.b.cc", "a.b.c-", "aa.b.c"] {
        apply(&store, stored(&snapshot(other, "x-1", 3_000))).await;
    }
    let entry = |(version, at): (&str, u64)| VersionEntry {
        snapshot_id: format!("{version}.a.b.c").parse().unwrap(),
        created_at_ms: at,
    };
    let expected: Vec<VersionEntry> = [7, 3, 4, 6, 5, 0, 1, 2]
        .map(|index| entry(built[index]))
        .into();
    for limit in [0, 1, 3, 8, 1_000, usize::MAX] {
        let versions = store.versions(&app("a.b.c"), limit).await.unwrap();
        let most = limit.min(expected.len());
        assert_eq!(versions, expected[..most], "limit {limit}");
    }
    assert_eq!(store.versions(&app("a.b.cc"), 9).await.unwrap().len(), 1);
}
