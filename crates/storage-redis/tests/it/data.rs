//! What stands in Redis, and what it refuses.

use favonius_contract::{AssetHash, AssetRef, Deployment};
use favonius_storage::{
    Applied, Change, CommitError, ErrorKind, HISTORY_LIMIT, Publish, RecordStore,
};
use favonius_testing::RedisServer;

use crate::support::{
    answer, app, commit, connect, connect_with, document, document_of, name, options, publish,
    published, refused, stored, text_of,
};

fn asset_stored(number: u64) -> Change {
    let hash = AssetHash::of(&number.to_be_bytes(), "x");
    Change::AssetStored {
        application: app("a.b.c"),
        asset: AssetRef { hash, size: number },
    }
}

fn kind_of(outcome: Result<Vec<Applied>, CommitError>) -> ErrorKind {
    match outcome {
        Err(CommitError::Storage(error)) => error.kind(),
        other => panic!("no error of the store but {other:?}"),
    }
}

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn the_keys_are_those_that_operators_know() {
    let server = RedisServer::start();
    let document = document("ada-1");
    for (envs, snapshots, stem) in [
        (
            "{ze-k8s-worker}:envs:",
            "{ze-k8s-worker}:snapshots:",
            "{ze-k8s-worker}:",
        ),
        ("test:envs:", "elsewhere/", "test:"),
    ] {
        server.cli(&["FLUSHALL"]);
        let mut options = options(&server);
        options.envs_prefix = envs.into();
        options.snapshots_prefix = snapshots.into();
        let store = connect_with(&options);
        let version = Publish {
            version: true,
            ..publish("v1", &document, 1_795_246_541_123)
        };
        let changes = [
            asset_stored(7),
            stored(&document),
            Change::Published(version),
        ];
        commit(&store, changes).await;

        let key = |family: &str, rest: &str| format!("{stem}{family}:{rest}");
        let name_key = format!("{envs}v1");
        let snapshot_key = format!("{snapshots}ada-1.a.b.c");
        let mut keys: Vec<String> = server.cli(&["KEYS", "*"]).lines().map(Into::into).collect();
        keys.sort_unstable();
        let hashes = key("hashes", "a.b.c");
        let history = key("history", "v1");
        let hosts = key("hosts", "a.b.c");
        let versions = key("versions", "a.b.c");
        let states = format!("{stem}states");
        let mut expected = [
            &states,
            &name_key,
            &snapshot_key,
            &hashes,
            &history,
            &hosts,
            &versions,
        ];
        expected.sort_unstable();
        assert_eq!(keys.iter().collect::<Vec<_>>(), expected);

        let entry = r#"{"snapshot_id":"ada-1.a.b.c","application_uid":"a.b.c","published_at":1795246541123,"replica":"eu","version":true}"#;
        let open = text_of(&document).strip_suffix('}').unwrap();
        let values = [
            (vec!["GET", &*snapshot_key], text_of(&document).to_owned()),
            (
                vec!["GET", &*name_key],
                format!(r#"{open},"favonius":{entry}}}"#),
            ),
            (vec!["LRANGE", &*history, "0", "-1"], entry.into()),
            (vec!["SMEMBERS", &*hosts], "v1".into()),
            (vec!["HGET", &*states, "s:ada-1.a.b.c"], String::new()),
            (
                vec!["HGET", &*states, "n:v1"],
                format!(r#"{{"published":{entry}}}"#),
            ),
            (
                vec!["ZRANGE", &*versions, "0", "-1", "WITHSCORES"],
                "ada-1.a.b.c\n5".into(),
            ),
            (
                vec!["SMEMBERS", &*hashes],
                format!("{}.7", AssetHash::of(&7_u64.to_be_bytes(), "x")),
            ),
        ];
        for (command, expected) in values {
            assert_eq!(server.cli(&command), expected, "{command:?}");
        }
        let record = server.cli(&["GET", &name_key]);
        let deployment = Deployment::parse(record.as_bytes()).unwrap();
        assert_eq!(
            store.deployment(&name("v1")).await.unwrap(),
            Some(deployment)
        );
    }
}

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn all_workers_of_a_region_share_one_truth() {
    let server = RedisServer::start();
    let (one, other) = (connect(&server), connect(&server));
    let document = document("u-1");
    commit(&one, [stored(&document), published("www", &document, 10)]).await;
    let again = commit(&other, [stored(&document), published("www", &document, 20)]).await;
    assert_eq!(again, [Applied::Unchanged, Applied::Unchanged]);
    let theirs = document_of("d.e.f", "u-1");
    let both = [stored(&theirs), published("www", &theirs, 30)];
    assert!(refused(&other, both).await.to_string().contains("`a.b.c`"));
    assert_eq!(answer(&other, "www").await.unwrap(), "u-1.a.b.c");
}

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_history_does_not_grow_for_ever() {
    let server = RedisServer::start();
    let store = connect(&server);
    let documents = [document("u-1"), document("u-2")];
    commit(&store, documents.iter().map(stored)).await;
    for (document, at) in documents.iter().cycle().zip(0..30) {
        commit(&store, [published("www", document, at)]).await;
    }
    let kept = server.cli(&["LLEN", "{ze-k8s-worker}:history:www"]);
    assert_eq!(kept, HISTORY_LIMIT.to_string());
}

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_forgotten_script_is_sent_again() {
    let server = RedisServer::start();
    let store = connect(&server);
    let documents = [document("u-1"), document("u-2"), document("u-3")];
    for document in &documents {
        assert_eq!(commit(&store, [stored(document)]).await, [Applied::Done]);
        server.cli(&["SCRIPT", "FLUSH"]);
    }
    assert_eq!(store.versions(&app("a.b.c"), 9).await.unwrap().len(), 3);
}

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_full_server_says_so_and_keeps_what_it_has() {
    let server = RedisServer::start();
    let store = connect(&server);
    let (old, new) = (document("u-1"), document("u-2"));
    commit(
        &store,
        [asset_stored(1), stored(&old), published("www", &old, 10)],
    )
    .await;
    server.cli(&["CONFIG", "SET", "maxmemory", "1mb"]);
    let lost = match asset_stored(1) {
        Change::AssetStored { application, asset } => Change::AssetLost { application, asset },
        other => other,
    };
    let commits = [
        vec![stored(&new)],
        vec![asset_stored(2)],
        vec![
            published("www", &old, 20),
            stored(&new),
            published("www", &new, 20),
        ],
    ];
    for changes in commits {
        let shown = format!("{changes:?}");
        assert_eq!(
            kind_of(store.commit(changes).await),
            ErrorKind::Full,
            "{shown}"
        );
    }
    assert_eq!(store.check().await.unwrap_err().kind(), ErrorKind::Full);
    // What takes no room is allowed, and then all of the commit.
    let applied = commit(&store, [lost, stored(&new)]).await;
    assert_eq!(applied, [Applied::Done, Applied::Done]);
    assert_eq!(
        store.snapshot(&new.snapshot().snapshot_id).await.unwrap(),
        Some(new.clone())
    );
    assert_eq!(answer(&store, "www").await.unwrap(), "u-1.a.b.c");

    server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    store.check().await.unwrap();
    assert_eq!(
        commit(&store, [published("www", &new, 20)]).await,
        [Applied::Done]
    );
}

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn who_may_not_is_told_so() {
    let server = RedisServer::builder().password("right").start();
    server.cli(&[
        "ACL", "SETUSER", "reader", "on", ">r", "~*", "+@all", "-@write",
    ]);
    server.cli(&[
        "ACL",
        "SETUSER",
        "worker",
        "on",
        ">w",
        "~{ze-k8s-worker}:*",
        "+@all",
    ]);
    let logins = [
        ("no password", None, None, false, false),
        ("wrong password", None, Some("wrong"), false, false),
        ("unknown user", Some("nobody"), Some("right"), false, false),
        ("may only read", Some("reader"), Some("r"), true, false),
        ("a user", Some("worker"), Some("w"), true, true),
        ("password only", None, Some("right"), true, true),
    ];
    for (case, username, password, reads, writes) in logins {
        let mut options = options(&server);
        options.username = username.map(Into::into);
        options.password = password.map(Into::into);
        let store = connect_with(&options);
        let denied = |allowed: bool| (!allowed).then_some(ErrorKind::Denied);
        let outcome = store.deployment(&name("www")).await;
        assert_eq!(outcome.map_err(|e| e.kind()).err(), denied(reads), "{case}");
        let outcome = store.check().await;
        assert_eq!(
            outcome.map_err(|e| e.kind()).err(),
            denied(writes),
            "{case}"
        );
        let outcome = store.commit(vec![stored(&document("u-1"))]).await;
        match outcome {
            Ok(_) => assert!(writes, "{case}"),
            outcome => assert_eq!(Some(kind_of(outcome)), denied(writes), "{case}"),
        }
    }
}

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_hundred_thousand_assets_are_listed() {
    const FILL: &str = "for i = 1, 100000 do \
        local hash = (redis.sha1hex(i) .. redis.sha1hex(-i)):sub(1, 64) \
        redis.call('SADD', KEYS[1], hash .. '.' .. i) end";
    let server = RedisServer::start();
    let key = "{ze-k8s-worker}:hashes:a.b.c";
    server.cli(&["EVAL", FILL, "1", key]);
    server.cli(&["SADD", key, "not an asset"]);
    let store = connect(&server);
    let assets = store.known_assets(&app("a.b.c")).await.unwrap();
    assert_eq!(assets.len(), 100_000);
    assert!(store.knows_asset(&app("a.b.c"), assets[77]).await.unwrap());
}

/// It says so, and is asked again: it may become the master.
#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_replica_is_not_written_to() {
    let (master, replica) = (RedisServer::start(), RedisServer::start());
    let port = master.port().to_string();
    replica.cli(&["REPLICAOF", master.host(), &port]);
    let store = connect(&replica);
    let error = store.check().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let outcome = store.commit(vec![stored(&document("u-1"))]).await;
    assert_eq!(kind_of(outcome), ErrorKind::Unavailable);
    // It is made the master, as a fail-over does.
    replica.cli(&["REPLICAOF", "NO", "ONE"]);
    store.check().await.unwrap();
    commit(&store, [stored(&document("u-1"))]).await;
}
