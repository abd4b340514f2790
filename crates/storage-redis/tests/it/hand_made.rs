//! Records that somebody made or damaged by hand.

use favonius_contract::SnapshotDocument;
use favonius_storage::{Applied, Change, CommitError, ErrorKind, Publish, RecordStore, Rejection};
use favonius_storage_redis::RedisRecords;
use favonius_testing::RedisServer;

use crate::support::{
    announcing, answer, app, commit, connect, document, document_of, name, publish, published,
    refused, replicated, stored, text_of,
};

pub(crate) const WWW: &str = "{ze-k8s-worker}:envs:www";
const HISTORY: &str = "{ze-k8s-worker}:history:www";
pub(crate) const STATES: &str = "{ze-k8s-worker}:states";

pub(crate) fn snapshot_key(document: &SnapshotDocument) -> String {
    let id = &document.snapshot().snapshot_id;
    format!("{{ze-k8s-worker}}:snapshots:{id}")
}

/// A server with snapshots of two applications.
pub(crate) async fn begin() -> (RedisServer, RedisRecords, [SnapshotDocument; 3]) {
    let server = RedisServer::start();
    let store = connect(&server);
    let documents = [
        document("u-1"),
        document("u-2"),
        document_of("d.e.f", "u-1"),
    ];
    commit(&store, documents.iter().map(stored)).await;
    (server, store, documents)
}

async fn published_at(store: &RedisRecords) -> u64 {
    let deployment = store.deployment(&name("www")).await.unwrap().unwrap();
    deployment.publication.unwrap().published_at
}

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_copied_snapshot_is_a_record() {
    let (server, store, [one, two, theirs]) = begin().await;
    server.cli(&["COPY", &snapshot_key(&one), WWW]);
    let deployment = store.deployment(&name("www")).await.unwrap().unwrap();
    assert_eq!(&deployment.snapshot, one.snapshot());
    assert_eq!(deployment.publication, None);

    let owned = Rejection::NameOwned {
        name: name("www"),
        owner: app("a.b.c"),
    };
    assert_eq!(
        refused(&store, [published("www", &theirs, 10)]).await,
        owned
    );
    // The next publish makes it a record like others, also when it publishes the same.
    assert_eq!(
        commit(&store, [published("www", &one, 10)]).await,
        [Applied::Done]
    );
    assert_eq!(published_at(&store).await, 10);
    assert_eq!(store.names(&app("a.b.c")).await.unwrap(), [name("www")]);
    assert_eq!(
        commit(&store, [published("www", &one, 10)]).await,
        [Applied::Unchanged]
    );

    // In an emergency what is copied counts at once, whatever stood there.
    server.cli(&["COPY", &snapshot_key(&two), WWW, "REPLACE"]);
    assert_eq!(answer(&store, "www").await.unwrap(), "u-2.a.b.c");
    // But it counts as what it replaced: the next publish has that to be newer than.
    for (at, expected) in [(9, Applied::Superseded), (11, Applied::Done)] {
        let applied = commit(&store, [replicated("www", &one, at, false)]).await;
        assert_eq!(applied, [expected], "{at}");
    }
    assert_eq!(published_at(&store).await, 11);
}

/// However it was written down.
#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn whose_a_hand_made_record_is_is_found_out() {
    let (server, store, [one, _, theirs]) = begin().await;
    let bare = text_of(&one).strip_suffix('}').unwrap();
    let ours = r#""favonius":{"application_uid":"a.b.c","published_at":99,"replica":"eu"}"#;
    let long = "x".repeat(5_000);
    let records = [
        ("with a line break", format!("{bare}}}\n"), 0),
        ("with spaces", format!("\n {bare} }}\n\n "), 0),
        (
            "with a look-alike in the middle",
            format!(
                r#"{bare},"favonius2":1,"x":[{{"favonius":{{"application_uid":"d.e.f","published_at":5}}}}]}}"#
            ),
            0,
        ),
        (
            "with a look-alike at the end",
            format!(
                r#"{bare},"x":{{"y":1,"favonius":{{"application_uid":"d.e.f","snapshot_id":"u-1.d.e.f","published_at":5}}}}}}"#
            ),
            0,
        ),
        (
            "with ours, but no snapshot id",
            format!("{bare},{ours}}}"),
            99,
        ),
        (
            "with ours in front",
            text_of(&one).replacen('{', &format!("{{{ours},"), 1),
            99,
        ),
        (
            "with spaces in ours",
            format!("{bare} , {} }} ", ours.replace(':', " : ")),
            99,
        ),
        (
            "with more in ours than is looked at first",
            format!(
                "{bare},{}}}",
                ours.replace("\"eu\"", &format!("\"{long}\""))
            ),
            99,
        ),
        (
            "with nothing for ours",
            format!(r#"{bare},"favonius":null}}"#),
            0,
        ),
    ];
    for (case, record, at) in records {
        server.cli(&["DEL", STATES]);
        server.cli(&["SET", WWW, &record]);
        assert_eq!(answer(&store, "www").await.unwrap(), "u-1.a.b.c", "{case}");
        let rejection = refused(&store, [published("www", &theirs, 10)]).await;
        let owned = Rejection::NameOwned {
            name: name("www"),
            owner: app("a.b.c"),
        };
        assert_eq!(rejection, owned, "{case}");
        let other = Publish {
            version: true,
            ..publish("www", &document("u-2"), 10)
        };
        let taken = Rejection::NameTaken {
            name: name("www"),
            snapshot_id: one.snapshot().snapshot_id.clone(),
        };
        assert_eq!(
            refused(&store, [Change::Published(other)]).await,
            taken,
            "{case}"
        );
        let next = commit(&store, [published("www", &document("u-2"), 10)]).await;
        assert_eq!(next, [Applied::Done], "{case}");
        assert_eq!(published_at(&store).await, (at + 1).max(10), "{case}");
    }
}

/// It is what it was under the other name, with its owner and time.
#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_record_copied_to_another_name_is_a_record() {
    let (server, store, [one, two, theirs]) = begin().await;
    let at_once = [published("www", &one, 50), published("other", &two, 50)];
    commit(&store, at_once).await;
    server.cli(&["COPY", "{ze-k8s-worker}:envs:other", WWW, "REPLACE"]);
    assert_eq!(answer(&store, "www").await.unwrap(), "u-2.a.b.c");
    let rejection = refused(&store, [published("www", &theirs, 60)]).await;
    assert!(
        matches!(rejection, Rejection::NameOwned { .. }),
        "{rejection}"
    );
    // Although the name's own history ends in the same time with the other snapshot.
    assert_eq!(
        commit(&store, [published("www", &one, 50)]).await,
        [Applied::Done]
    );
    assert_eq!(published_at(&store).await, 51);
    assert_eq!(answer(&store, "www").await.unwrap(), "u-1.a.b.c");
}

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_record_that_cannot_be_read_belongs_to_nobody() {
    let (server, store, [one, _, theirs]) = begin().await;
    let bare = text_of(&one).strip_suffix('}').unwrap();
    let with = |ours: &str| format!("{bare},\"favonius\":{ours}}}");
    let damaged = [
        ("no JSON", "not JSON".to_owned()),
        ("nothing", String::new()),
        ("a list", "[]".into()),
        ("null", "null".into()),
        ("no fields", "{}".into()),
        ("cut off", bare.into()),
        ("no such application", text_of(&one).replace("a.b.c", "A.B")),
        ("ours is no object", with("5")),
        ("ours is empty", with("{}")),
        (
            "no owner",
            with(r#"{"application_uid":5,"published_at":5}"#),
        ),
        ("no time", with(r#"{"application_uid":"a.b.c"}"#)),
        (
            "time before time",
            with(r#"{"application_uid":"a.b.c","published_at":-5}"#),
        ),
        (
            "a part of a millisecond",
            with(r#"{"application_uid":"a.b.c","published_at":1.5}"#),
        ),
        (
            "time after time",
            with(r#"{"application_uid":"a.b.c","published_at":1e30}"#),
        ),
        (
            "time after time, in full",
            with(
                r#"{"snapshot_id":"u-1.a.b.c","application_uid":"a.b.c","published_at":99999999999999999999}"#,
            ),
        ),
    ];
    for (case, record) in damaged {
        server.cli(&["DEL", STATES]);
        server.cli(&["SET", WWW, &record]);
        let error = store.deployment(&name("www")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{case}");
        let applied = commit(&store, [published("www", &theirs, 10)]).await;
        assert_eq!(applied, [Applied::Done], "{case}");
        assert_eq!(published_at(&store).await, 10, "{case}");
        assert_eq!(answer(&store, "www").await.unwrap(), "u-1.d.e.f", "{case}");
    }

    // Nor does one that is no text at all; nor is a history that is none in the way.
    server.cli(&["DEL", WWW, HISTORY]);
    server.cli(&["LPUSH", WWW, "x"]);
    server.cli(&["SET", HISTORY, "x"]);
    assert_eq!(
        store.deployment(&name("www")).await.unwrap_err().kind(),
        ErrorKind::Corrupt
    );
    assert_eq!(
        store.history(&name("www")).await.unwrap_err().kind(),
        ErrorKind::Corrupt
    );
    assert_eq!(
        commit(&store, [published("www", &one, 10)]).await,
        [Applied::Done]
    );
    assert_eq!(answer(&store, "www").await.unwrap(), "u-1.a.b.c");
    assert_eq!(store.history(&name("www")).await.unwrap().len(), 1);

    server.cli(&["LPUSH", HISTORY, "{"]);
    assert_eq!(
        store.history(&name("www")).await.unwrap_err().kind(),
        ErrorKind::Corrupt
    );
}

/// The snapshots of a worker that kept no indexes.
#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_snapshot_that_another_worker_stored_can_be_published() {
    let server = RedisServer::start();
    let store = connect(&server);
    let document = document("u-1");
    server.cli(&["SET", &snapshot_key(&document), text_of(&document)]);
    let read = store
        .snapshot(&document.snapshot().snapshot_id)
        .await
        .unwrap();
    assert_eq!(read.as_ref(), Some(&document));
    let applied = commit(&store, [stored(&document), published("www", &document, 10)]).await;
    assert_eq!(applied, [Applied::Unchanged, Applied::Done]);
    assert_eq!(answer(&store, "www").await.unwrap(), "u-1.a.b.c");
}

/// What is in the way is named, and nothing of the commit is made.
#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn what_is_not_what_it_should_be_stops_a_commit() {
    let (server, _, [one, _, _]) = begin().await;
    let store = announcing(&server);
    let new = document("u-3");
    let cases = [
        (
            "the snapshot is damaged",
            vec!["SET", "{ze-k8s-worker}:snapshots:u-1.a.b.c", "[1]"],
        ),
        (
            "the snapshot is a list",
            vec!["LPUSH", "{ze-k8s-worker}:snapshots:u-1.a.b.c", "x"],
        ),
        (
            "the names are a text",
            vec!["SET", "{ze-k8s-worker}:hosts:a.b.c", "x"],
        ),
        (
            "the versions are a text",
            vec!["SET", "{ze-k8s-worker}:versions:a.b.c", "x"],
        ),
        (
            "the assets are a text",
            vec!["SET", "{ze-k8s-worker}:hashes:a.b.c", "x"],
        ),
        ("the states are a text", vec!["SET", STATES, "x"]),
        (
            "the outbox is a text",
            vec!["SET", "{ze-k8s-worker}:outbox", "x"],
        ),
    ];
    for (case, damage) in cases {
        server.cli(&["DEL", damage[1]]);
        server.cli(&damage);
        let asset = "0".repeat(64) + ".5";
        let changes = vec![
            published("fresh", &one, 10),
            stored(&new),
            Change::AssetStored {
                application: app("a.b.c"),
                asset: asset.parse().unwrap(),
            },
        ];
        match store.commit(changes).await {
            Err(CommitError::Storage(error)) => {
                assert_eq!(error.kind(), ErrorKind::Corrupt, "{case}");
            }
            other => panic!("{case}: {other:?}"),
        }
        assert_eq!(answer(&store, "fresh").await, None, "{case}");
        let id = &new.snapshot().snapshot_id;
        assert_eq!(store.snapshot(id).await.unwrap(), None, "{case}");
        server.cli(&["DEL", damage[1]]);
        server.cli(&["SET", &snapshot_key(&one), text_of(&one)]);
    }
}
