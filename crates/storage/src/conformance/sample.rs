//! What the cases are made of.

use std::time::Duration;

use favonius_contract::{
    ApplicationUid, AssetHash, AssetRef, DeploymentName, Publication, SnapshotDocument, SnapshotId,
};
use futures::{StreamExt, stream::BoxStream};

use super::Store;
use crate::{
    Applied, Change, ChangeEvent, CommitError, HistoryEntry, Order, Publish, RecordStore, Rejection,
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
        },
        ..publish(to, document, 0)
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
