//! Names that are removed, and what is remembered of them.

use std::time::Duration;

use favonius_storage::{
    Applied, Change, ChangeEvent, RecordStore, Rejection, Remove, ReplicatedRecords, StateEntry,
};
use favonius_storage_redis::RedisRecords;
use favonius_testing::RedisServer;
use futures::TryStreamExt;

use crate::support::{
    answer, app, commit, connect, connected, document, document_of, name, published, refused,
    remove, removed, replicated, stored, until,
};

const STATES: &str = "{ze-k8s-worker}:states";

async fn states(store: &RedisRecords) -> Vec<String> {
    let states: Vec<StateEntry> = store.states().try_collect().await.unwrap();
    let mut shown: Vec<String> = states
        .into_iter()
        .map(|state| match state {
            StateEntry::Snapshot(id) => id.to_string(),
            StateEntry::Name(record) => serde_json::to_string(&record).unwrap(),
        })
        .collect();
    shown.sort_unstable();
    shown
}

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_removed_name_leaves_only_its_removal() {
    let server = RedisServer::start();
    let store = connect(&server);
    let one = document("u-1");
    let absent = commit(&store, [Change::Removed(remove("www", 5))]).await;
    assert_eq!(absent, [Applied::Unchanged]);
    commit(&store, [stored(&one), published("www", &one, 10)]).await;
    let mut changes = connected(&store).await;
    let done = commit(&store, [Change::Removed(remove("www", 5))]).await;
    assert_eq!(done, [Applied::Done]);
    until(&mut changes, &ChangeEvent::Name(name("www"))).await;

    assert_eq!(answer(&store, "www").await, None);
    assert_eq!(store.history(&name("www")).await.unwrap(), []);
    assert_eq!(store.names(&app("a.b.c")).await.unwrap(), []);
    let expected = [
        "u-1.a.b.c",
        r#"{"name":"www","removed":{"application_uid":"a.b.c","published_at":11,"replica":"eu"}}"#,
    ];
    assert_eq!(states(&store).await, expected);
    let again = commit(&store, [Change::Removed(remove("www", 50))]).await;
    assert_eq!(again, [Applied::Unchanged]);

    let steps = [
        (
            "older",
            replicated("www", &one, 10, false),
            Applied::Superseded,
        ),
        (
            "an older removal",
            removed("www", 10, false),
            Applied::Superseded,
        ),
        ("a newer removal", removed("www", 20, true), Applied::Done),
        ("published here", published("www", &one, 5), Applied::Done),
    ];
    for (step, change, expected) in steps {
        assert_eq!(commit(&store, [change]).await, [expected], "{step}");
    }
    let history = store.history(&name("www")).await.unwrap();
    let times: Vec<u64> = history.iter().map(|e| e.publication.published_at).collect();
    assert_eq!(times, [21]);
}

/// So that a publish that comes later, but was made earlier, does not bring it back.
#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_removal_is_remembered_even_of_what_never_was() {
    let server = RedisServer::start();
    let store = connect(&server);
    let one = document("u-1");
    let changes = vec![stored(&one), removed("www", 10, true)];
    let applied = store.commit_replicated(changes).await.unwrap();
    assert_eq!(applied, [Applied::Done, Applied::Done]);
    for (at, expected) in [(10, Applied::Superseded), (11, Applied::Done)] {
        let applied = commit(&store, [replicated("www", &one, at, false)]).await;
        assert_eq!(applied, [expected], "{at}");
    }

    // It is forgotten in time, and what stands is not.
    let two = [removed("old", 10, false), removed("new", 20, false)];
    commit(&store, two).await;
    assert_eq!(store.forget_removals(10).await.unwrap(), 0);
    assert_eq!(store.forget_removals(20).await.unwrap(), 1);
    let left = states(&store).await;
    assert_eq!(left.len(), 3, "{left:?}");
    let applied = commit(&store, [replicated("old", &one, 9, false)]).await;
    assert_eq!(applied, [Applied::Done]);
}

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn only_the_owner_removes_a_name_unless_it_is_taken() {
    let server = RedisServer::start();
    let store = connect(&server);
    let (mine, theirs) = (document("u-1"), document_of("d.e.f", "u-1"));
    let begin = [&mine, &theirs].map(stored);
    commit(&store, begin).await;
    commit(&store, [published("www", &theirs, 10)]).await;
    let owned = Rejection::NameOwned {
        name: name("www"),
        owner: app("d.e.f"),
    };
    assert_eq!(
        refused(&store, [Change::Removed(remove("www", 20))]).await,
        owned
    );
    assert_eq!(refused(&store, [removed("www", 20, false)]).await, owned);
    let takeover = Remove {
        takeover: true,
        ..remove("www", 20)
    };
    let applied = commit(&store, [Change::Removed(takeover)]).await;
    assert_eq!(applied, [Applied::Done]);
    assert_eq!(store.names(&app("d.e.f")).await.unwrap(), []);
    // Now it is nobody's.
    let at_once = [
        published("www", &mine, 30),
        Change::Removed(remove("www", 30)),
        published("www", &theirs, 30),
    ];
    assert_eq!(commit(&store, at_once).await, [const { Applied::Done }; 3]);
    assert_eq!(answer(&store, "www").await.unwrap(), "u-1.d.e.f");
    assert_eq!(store.names(&app("a.b.c")).await.unwrap(), []);
    assert_eq!(store.names(&app("d.e.f")).await.unwrap(), [name("www")]);

    // Who lost the name to somebody's hand does not keep it in the list of names.
    server.cli(&["DEL", "{ze-k8s-worker}:envs:www"]);
    commit(&store, [published("www", &mine, 40)]).await;
    assert_eq!(store.names(&app("d.e.f")).await.unwrap(), []);
    server.cli(&["DEL", "{ze-k8s-worker}:envs:www"]);
    let applied = commit(&store, [Change::Removed(remove("www", 50))]).await;
    assert_eq!(applied, [Applied::Done], "that is to be told");
    assert_eq!(store.names(&app("a.b.c")).await.unwrap(), []);
}

/// Also over a name that stands for one version for ever: all regions must end on the same.
#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn what_another_region_took_later_wins() {
    let server = RedisServer::start();
    let store = connect(&server);
    let (one, two) = (document("u-1"), document("u-2"));
    commit(&store, [&one, &two].map(stored)).await;
    let version = favonius_storage::Publish {
        version: true,
        ..crate::support::publish("v1", &one, 10)
    };
    commit(&store, [Change::Published(version)]).await;
    let taken = refused(&store, [published("v1", &two, 20)]).await;
    assert!(matches!(taken, Rejection::NameTaken { .. }), "{taken}");
    let applied = commit(&store, [replicated("v1", &two, 20, true)]).await;
    assert_eq!(applied, [Applied::Done]);
    assert_eq!(answer(&store, "v1").await.unwrap(), "u-2.a.b.c");
}

/// More than one page, and fields that nobody can read.
#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn all_states_are_listed() {
    let server = RedisServer::start();
    let store = connect(&server);
    assert_eq!(states(&store).await, [""; 0]);
    let removals = (0..3_000).map(|number| removed(&format!("name-{number}"), number, false));
    commit(&store, removals).await;
    for field in ["n:damaged", "x", "n:a/b", "s:"] {
        server.cli(&["HSET", STATES, field, "{}"]);
    }
    let mut states = states(&store).await;
    states.dedup();
    assert_eq!(states.len(), 3_000);
    assert_eq!(store.forget_removals(1_000).await.unwrap(), 1_000);
    assert_eq!(store.forget_removals(u64::MAX).await.unwrap(), 2_000);
    assert_eq!(server.cli(&["HLEN", STATES]), "4");
}

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_one_time_name_is_used_once_by_all_workers() {
    let server = RedisServer::start();
    let (one, other) = (connect(&server), connect(&server));
    let long = Duration::from_mins(10);
    assert!(one.use_once("a", long).await.unwrap());
    assert!(!other.use_once("a", long).await.unwrap());
    assert!(!one.use_once("a", long).await.unwrap());
    assert!(other.use_once("b", Duration::MAX).await.unwrap());
    assert!(one.use_once("c", Duration::ZERO).await.unwrap());
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(other.use_once("c", long).await.unwrap());
}

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_role_has_one_holder() {
    let server = RedisServer::start();
    let (one, other) = (connect(&server), connect(&server));
    let (long, short) = (Duration::from_mins(10), Duration::from_millis(20));
    assert!(one.lease("comparing", "one", long).await.unwrap());
    assert!(!other.lease("comparing", "other", long).await.unwrap());
    assert!(other.lease("trimming", "other", long).await.unwrap());
    assert!(one.lease("comparing", "one", short).await.unwrap());
    tokio::time::sleep(short * 3).await;
    assert!(other.lease("comparing", "other", long).await.unwrap());
    assert!(!one.lease("comparing", "one", long).await.unwrap());
}
