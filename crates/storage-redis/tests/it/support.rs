//! What the tests are made of.

use std::time::Duration;

use favonius_contract::{ApplicationUid, DeploymentName, SnapshotDocument};
use favonius_storage::{
    Applied, Change, ChangeEvent, CommitError, Order, Publish, RecordStore, Rejection, Remove,
};
use favonius_storage_redis::{Endpoint, RedisOptions, RedisRecords, RedisTopology, TlsOptions};
use favonius_testing::RedisServer;
use futures::{StreamExt, stream::BoxStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Long enough for a machine that has other things to do, too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// Every call answers within this, whatever happens.
pub(crate) const LIMIT: Duration = Duration::from_secs(2);

pub(crate) fn endpoint(server: &RedisServer) -> Endpoint {
    Endpoint::new(server.host(), server.port())
}

pub(crate) fn options(server: &RedisServer) -> RedisOptions {
    let mut options = RedisOptions::new(RedisTopology::Single(endpoint(server)));
    options.tls = server.ca_file().map(|file| TlsOptions {
        ca_file: Some(file),
    });
    options
}

pub(crate) fn connect_with(options: &RedisOptions) -> RedisRecords {
    RedisRecords::connect(options, &TaskTracker::new(), &CancellationToken::new()).unwrap()
}

pub(crate) fn connect(server: &RedisServer) -> RedisRecords {
    connect_with(&options(server))
}

/// Tells other regions.
pub(crate) fn announcing(server: &RedisServer) -> RedisRecords {
    let mut options = options(server);
    options.announce = true;
    connect_with(&options)
}

pub(crate) fn app(text: &str) -> ApplicationUid {
    text.parse().unwrap()
}

pub(crate) fn name(text: &str) -> DeploymentName {
    text.parse().unwrap()
}

/// A snapshot of the application `a.b.c`.
pub(crate) fn document(version: &str) -> SnapshotDocument {
    document_of("a.b.c", version)
}

pub(crate) fn document_of(application: &str, version: &str) -> SnapshotDocument {
    let json = format!(
        r#"{{"application_uid":"{application}","snapshot_id":"{version}.{application}","createdAt":5,"assets":{{}},"odd":1.50}}"#
    );
    SnapshotDocument::parse(json.into_bytes()).unwrap()
}

pub(crate) fn text_of(document: &SnapshotDocument) -> &str {
    str::from_utf8(document.json()).unwrap()
}

pub(crate) fn stored(document: &SnapshotDocument) -> Change {
    Change::SnapshotStored(document.clone())
}

pub(crate) fn publish(to: &str, document: &SnapshotDocument, now_ms: u64) -> Publish {
    Publish {
        name: name(to),
        application: document.snapshot().application_uid.clone(),
        snapshot_id: document.snapshot().snapshot_id.clone(),
        order: Order::Local {
            now_ms,
            replica: "eu".into(),
        },
        manifest: None,
        version: false,
        takeover: false,
    }
}

pub(crate) fn published(to: &str, document: &SnapshotDocument, now_ms: u64) -> Change {
    Change::Published(publish(to, document, now_ms))
}

/// A publish that the replica `us` of another region took.
pub(crate) fn replicated(
    to: &str,
    document: &SnapshotDocument,
    published_at: u64,
    repair: bool,
) -> Change {
    Change::Published(Publish {
        order: from_elsewhere(published_at, repair),
        ..publish(to, document, 0)
    })
}

fn from_elsewhere(published_at: u64, repair: bool) -> Order {
    Order::Replicated {
        published_at,
        replica: "us".into(),
        repair,
    }
}

/// A removal by the application `a.b.c` that the replica `us` of another region took.
pub(crate) fn removed(of: &str, published_at: u64, repair: bool) -> Change {
    Change::Removed(Remove {
        order: from_elsewhere(published_at, repair),
        ..remove(of, 0)
    })
}

/// A removal by the application `a.b.c`.
pub(crate) fn remove(of: &str, now_ms: u64) -> Remove {
    Remove {
        name: name(of),
        application: app("a.b.c"),
        order: Order::Local {
            now_ms,
            replica: "eu".into(),
        },
        takeover: false,
    }
}

pub(crate) async fn commit(
    store: &RedisRecords,
    changes: impl IntoIterator<Item = Change>,
) -> Vec<Applied> {
    store.commit(changes.into_iter().collect()).await.unwrap()
}

pub(crate) async fn refused(
    store: &RedisRecords,
    changes: impl IntoIterator<Item = Change>,
) -> Rejection {
    match store.commit(changes.into_iter().collect()).await {
        Err(CommitError::Rejected(rejection)) => rejection,
        other => panic!("not refused but {other:?}"),
    }
}

/// Which snapshot a name answers with.
pub(crate) async fn answer(store: &RedisRecords, to: &str) -> Option<String> {
    let deployment = store.deployment(&name(to)).await.unwrap();
    deployment.map(|deployment| deployment.snapshot.snapshot_id.to_string())
}

/// Waits for an event and returns what came before it.
pub(crate) async fn until(
    changes: &mut BoxStream<'static, ChangeEvent>,
    wanted: &ChangeEvent,
) -> Vec<ChangeEvent> {
    let mut before = Vec::new();
    let wait = async {
        loop {
            match changes.next().await {
                Some(event) if event == *wanted => return,
                Some(event) => before.push(event),
                None => panic!("the changes end"),
            }
        }
    };
    let outcome = tokio::time::timeout(PATIENCE, wait).await;
    assert!(outcome.is_ok(), "{wanted:?} does not come, but {before:?}");
    before
}

/// A store's changes from when it is connected.
pub(crate) async fn connected(store: &RedisRecords) -> BoxStream<'static, ChangeEvent> {
    let mut changes = store.changes();
    until(&mut changes, &ChangeEvent::Connected).await;
    changes
}
