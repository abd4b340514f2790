//! What the cases are made of.

use std::time::Duration;

use favonius_contract::{
    ApplicationUid, AssetHash, AssetRef, DeploymentName, Publication, SnapshotDocument, SnapshotId,
    replication::{NameRecord, NameState, RegionEvent, Removal, TargetRegion},
};
use futures::{StreamExt, stream::BoxStream};

use super::{ReplicatedStore, Store};
use crate::{
    Applied, Change, ChangeEvent, CommitError, EventId, HistoryEntry, Order, Publish, QueuedEvent,
    RecordStore, Rejection, Remove,
};

/// Long enough for a machine that has other things to do, too.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) fn app(text: &str) -> ApplicationUid {
    text.parse().unwrap()
}

pub(super) fn name(text: &str) -> DeploymentName {
    text.parse().unwrap()
}

pub(super) fn asset(number: u64) -> AssetRef {
    AssetRef {
        hash: AssetHash::of(&number.to_be_bytes(), "file.js"),
        size: number,
    }
}

/// A snapshot of an application, by its own name within the application and the time of its build.
pub(super) fn snapshot(application: &str, version: &str, created_at_ms: u64) -> SnapshotDocument {
    let id = format!("{version}.{application}");
    let json = serde_json::json!({
        "application_uid": application,
        "snapshot_id": id,
        "createdAt": created_at_ms,
        "assets": {"index.html": {
            "path": "index.html",
            "hash": AssetHash::of(id.as_bytes(), "index.html").to_string(),
            "size": id.len(),
        }},
    });
    SnapshotDocument::parse(serde_json::to_vec(&json).unwrap()).unwrap()
}

/// The same with one more field in its JSON.
pub(super) fn with_field(document: &SnapshotDocument, field: &str) -> SnapshotDocument {
    let json = std::str::from_utf8(document.json()).unwrap();
    let open = json.trim_end().strip_suffix('}').unwrap();
    SnapshotDocument::parse(format!("{open},{field}}}").into_bytes()).unwrap()
}

pub(super) fn id_of(document: &SnapshotDocument) -> SnapshotId {
    document.snapshot().snapshot_id.clone()
}

pub(super) fn stored(document: &SnapshotDocument) -> Change {
    Change::SnapshotStored(document.clone())
}

/// A publish by the snapshot's own application, here and now.
pub(super) fn publish(to: &str, document: &SnapshotDocument, now_ms: u64) -> Publish {
    Publish {
        name: name(to),
        application: document.snapshot().application_uid.clone(),
        snapshot_id: id_of(document),
        order: Order::Local {
            now_ms,
            replica: "here".into(),
        },
        manifest: None,
        version: false,
        takeover: false,
    }
}

/// A publish that was made in another region.
pub(super) fn replicated(
    to: &str,
    document: &SnapshotDocument,
    published_at: u64,
    replica: &str,
) -> Publish {
    Publish {
        order: Order::Replicated {
            published_at,
            replica: replica.into(),
            repair: false,
        },
        ..publish(to, document, 0)
    }
}

/// A removal by an application, here and now.
pub(super) fn remove(from: &str, application: &str, now_ms: u64) -> Remove {
    Remove {
        name: name(from),
        application: app(application),
        order: Order::Local {
            now_ms,
            replica: "here".into(),
        },
        takeover: false,
    }
}

/// A removal that was made in another region.
pub(super) fn replicated_removal(
    from: &str,
    application: &str,
    published_at: u64,
    replica: &str,
) -> Remove {
    Remove {
        order: Order::Replicated {
            published_at,
            replica: replica.into(),
            repair: false,
        },
        ..remove(from, application, 0)
    }
}

/// What regions are told of a publish that took effect at this time.
pub(super) fn published_record(publish: &Publish, at: u64) -> NameRecord {
    NameRecord {
        name: publish.name.clone(),
        state: NameState::Published(entry(publish, at)),
    }
}

/// What regions are told of a removal that took effect at this time.
pub(super) fn removed_record(remove: &Remove, at: u64) -> NameRecord {
    let (Order::Local { replica, .. } | Order::Replicated { replica, .. }) = &remove.order;
    NameRecord {
        name: remove.name.clone(),
        state: NameState::Removed(Removal {
            application_uid: remove.application.clone(),
            published_at: at,
            replica: replica.clone(),
        }),
    }
}

/// What a name's history says after a publish that took effect at this time.
pub(super) fn entry(publish: &Publish, at: u64) -> HistoryEntry {
    let (Order::Local { replica, .. } | Order::Replicated { replica, .. }) = &publish.order;
    HistoryEntry {
        snapshot_id: publish.snapshot_id.clone(),
        publication: Publication {
            application_uid: publish.application.clone(),
            published_at: at,
            replica: replica.clone(),
            manifest: publish.manifest,
            version: publish.version,
        },
    }
}

/// A commit that is allowed.
pub(super) async fn commit(
    store: &Store,
    changes: impl IntoIterator<Item = Change>,
) -> Vec<Applied> {
    let changes: Vec<Change> = changes.into_iter().collect();
    let shown = format!("{changes:?}");
    store
        .commit(changes)
        .await
        .unwrap_or_else(|error| panic!("{error}: {shown}"))
}

/// One change that is allowed.
pub(super) async fn apply(store: &Store, change: impl Into<Change>) -> Applied {
    let mut applied = commit(store, [change.into()]).await;
    assert_eq!(applied.len(), 1, "one outcome for each change");
    applied.remove(0)
}

/// A commit that is not allowed.
pub(super) async fn refused(store: &Store, changes: impl IntoIterator<Item = Change>) -> Rejection {
    let changes: Vec<Change> = changes.into_iter().collect();
    let shown = format!("{changes:?}");
    match store.commit(changes).await {
        Err(CommitError::Rejected(rejection)) => rejection,
        other => panic!("not refused but {other:?}: {shown}"),
    }
}

impl From<Publish> for Change {
    fn from(publish: Publish) -> Self {
        Self::Published(publish)
    }
}

impl From<Remove> for Change {
    fn from(remove: Remove) -> Self {
        Self::Removed(remove)
    }
}

/// The store, for the cases of all stores.
pub(super) fn records(store: &ReplicatedStore) -> Store {
    store.clone()
}

pub(super) fn target(text: &str) -> TargetRegion {
    format!("https://{text}.test").parse().unwrap()
}

/// An event that tells of one snapshot, which need not be stored.
pub(super) fn event(version: &str) -> RegionEvent {
    RegionEvent {
        snapshots: vec![id_of(&snapshot("a.b.c", version, 1))],
        ..RegionEvent::default()
    }
}

/// Stores the snapshots that these events tell of, each in a commit of its own.
pub(super) async fn announce(store: &ReplicatedStore, versions: &[&str]) -> Vec<RegionEvent> {
    for version in versions {
        let document = snapshot("a.b.c", version, 1);
        let applied = apply(&records(store), stored(&document)).await;
        assert_eq!(applied, Applied::Done);
    }
    versions.iter().map(|version| event(version)).collect()
}

/// Takes what a target is to be told of next.
pub(super) async fn take(
    store: &ReplicatedStore,
    target: &TargetRegion,
    taker: &str,
    limit: usize,
) -> Vec<QueuedEvent> {
    store.take(target, taker, limit).await.unwrap()
}

pub(super) fn content(taken: &[QueuedEvent]) -> Vec<RegionEvent> {
    taken.iter().map(|taken| taken.event.clone()).collect()
}

pub(super) fn ids(taken: &[QueuedEvent]) -> Vec<EventId> {
    taken.iter().map(|taken| taken.id.clone()).collect()
}

/// Checks that a name answers with nothing, and that nobody has it.
pub(super) async fn assert_gone(store: &Store, name: &DeploymentName, owners: &[&str]) {
    let deployment = store.deployment(name).await.unwrap();
    assert_eq!(deployment, None, "`{name}`");
    assert_eq!(store.history(name).await.unwrap(), [], "`{name}`");
    for owner in owners {
        let names = store.names(&app(owner)).await.unwrap();
        assert!(!names.contains(name), "`{name}` is still {owner}'s");
    }
}

/// Checks that a name answers with this snapshot, published like this.
pub(super) async fn assert_answers(
    store: &Store,
    name: &DeploymentName,
    document: &SnapshotDocument,
    entry: &HistoryEntry,
) {
    let deployment = store.deployment(name).await.unwrap();
    let deployment = deployment.unwrap_or_else(|| panic!("`{name}` answers with nothing"));
    assert_eq!(&deployment.snapshot, document.snapshot(), "`{name}`");
    assert_eq!(
        deployment.publication.as_ref(),
        Some(&entry.publication),
        "`{name}`"
    );
    let history = store.history(name).await.unwrap();
    assert_eq!(history.first(), Some(entry), "`{name}`");
}

/// A store's changes from when it is connected.
pub(super) async fn connected(store: &dyn RecordStore) -> BoxStream<'static, ChangeEvent> {
    let mut changes = store.changes();
    until(&mut changes, &ChangeEvent::Connected).await;
    changes
}

/// Waits for an event and returns what came before it.
pub(super) async fn until(
    changes: &mut BoxStream<'static, ChangeEvent>,
    wanted: &ChangeEvent,
) -> Vec<ChangeEvent> {
    let mut before = Vec::new();
    let wait = async {
        while let Some(event) = changes.next().await {
            if event == *wanted {
                return;
            }
            before.push(event);
        }
        panic!("the changes end");
    };
    let outcome = tokio::time::timeout(PATIENCE, wait).await;
    assert!(outcome.is_ok(), "{wanted:?} does not come, but {before:?}");
    before
}
