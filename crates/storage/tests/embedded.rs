//! The embedded back end keeps the promises of a record store, in memory and in a file, and after it was opened again.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    future::{Ready, ready},
    path::PathBuf,
};

use favonius_contract::{
    ApplicationUid, AssetHash, AssetRef, DeploymentName, SnapshotDocument, SnapshotId,
};
use favonius_storage::{
    Applied, Change, CommitError, EmbeddedRecords, ErrorKind, Order, Publish, RecordStore,
};
use futures::FutureExt;
use tempfile::TempDir;

mod in_memory {
    use super::*;

    fn fresh() -> Ready<(EmbeddedRecords, ())> {
        ready((EmbeddedRecords::in_memory().unwrap(), ()))
    }

    favonius_storage::record_store_suite!(fresh);
}

mod in_memory_announcing {
    use super::*;

    fn fresh() -> Ready<(EmbeddedRecords, ())> {
        ready((EmbeddedRecords::in_memory().unwrap().announcing(), ()))
    }

    favonius_storage::replicated_store_suite!(fresh);
}

mod inline {
    use super::*;

    fn fresh() -> Ready<(EmbeddedRecords, ())> {
        ready((EmbeddedRecords::inline().unwrap().announcing(), ()))
    }

    favonius_storage::record_store_suite!(fresh);
    favonius_storage::replicated_store_suite!(fresh);
}

mod in_a_file {
    use super::*;

    fn fresh() -> Ready<(EmbeddedRecords, TempDir)> {
        let dir = TempDir::new().unwrap();
        let store = EmbeddedRecords::open(&file_in(&dir)).unwrap();
        ready((store, dir))
    }

    favonius_storage::record_store_suite!(fresh);
}

mod in_a_file_announcing {
    use super::*;

    fn fresh() -> Ready<(EmbeddedRecords, TempDir)> {
        let dir = TempDir::new().unwrap();
        let store = EmbeddedRecords::open(&file_in(&dir)).unwrap().announcing();
        ready((store, dir))
    }

    favonius_storage::replicated_store_suite!(fresh);
}

fn file_in(dir: &TempDir) -> PathBuf {
    dir.path().join("records.redb")
}

fn open(dir: &TempDir) -> EmbeddedRecords {
    EmbeddedRecords::open(&file_in(dir)).unwrap()
}

fn application() -> ApplicationUid {
    "a.b.c".parse().unwrap()
}

fn document(version: &str) -> SnapshotDocument {
    let json = format!(
        r#"{{"application_uid":"a.b.c","snapshot_id":"{version}.a.b.c","createdAt":5,"assets":{{}},"odd":1.50}}"#
    );
    SnapshotDocument::parse(json.into_bytes()).unwrap()
}

fn publish(application: ApplicationUid, document: &SnapshotDocument) -> Publish {
    Publish {
        name: "www".parse().unwrap(),
        application,
        snapshot_id: document.snapshot().snapshot_id.clone(),
        order: Order::Local {
            now_ms: 7,
            replica: "eu".into(),
        },
        manifest: None,
        version: false,
        takeover: false,
    }
}

#[tokio::test]
async fn what_was_committed_is_there_after_opening_again() {
    let dir = TempDir::new().unwrap();
    let document = document("u-1");
    let id: SnapshotId = document.snapshot().snapshot_id.clone();
    let name: DeploymentName = "www".parse().unwrap();
    let asset = AssetRef {
        hash: AssetHash::of(b"x", "y"),
        size: 1,
    };
    let changes = vec![
        Change::AssetStored {
            application: application(),
            asset,
        },
        Change::SnapshotStored(document.clone()),
        Change::Published(publish(application(), &document)),
    ];
    let before = open(&dir);
    let applied = before.commit(changes.clone()).await.unwrap();
    assert_eq!(applied, [Applied::Done, Applied::Done, Applied::Done]);
    let (deployment, history) = (
        before.deployment(&name).await.unwrap(),
        before.history(&name).await.unwrap(),
    );
    assert!(deployment.is_some());
    drop(before);

    let after = open(&dir);
    assert_eq!(after.snapshot(&id).await.unwrap(), Some(document));
    assert_eq!(after.deployment(&name).await.unwrap(), deployment);
    assert_eq!(after.history(&name).await.unwrap(), history);
    assert_eq!(after.names(&application()).await.unwrap(), [name]);
    assert_eq!(after.known_assets(&application()).await.unwrap(), [asset]);
    assert_eq!(after.versions(&application(), 9).await.unwrap().len(), 1);
    let again = after.commit(changes).await.unwrap();
    assert_eq!(again, vec![Applied::Unchanged; 3]);
}

/// Whoever opens it next neither waits nor repairs, also when a commit was under way that nobody waited for.
#[tokio::test]
async fn a_database_is_closed_when_its_last_store_is_dropped() {
    let dir = TempDir::new().unwrap();
    for n in 0..20 {
        let store = open(&dir);
        let changes = store.changes();
        let stored = Change::SnapshotStored(document(&format!("u-{n}")));
        let unheard = Change::SnapshotStored(document(&format!("v-{n}")));
        store.commit(vec![stored]).await.unwrap();
        // Nobody waits for this one; a quick writer may be done with it already.
        drop(store.commit(vec![unheard]).now_or_never());
        drop(store.clone());
        drop(store);
        let error = EmbeddedRecords::open(&file_in(&dir)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "its changes are read");
        drop(changes);
        let db = redb::Database::builder()
            .set_repair_callback(|_| panic!("it was not closed"))
            .open(file_in(&dir));
        drop(db.unwrap());
    }
    let store = open(&dir);
    assert_eq!(store.versions(&application(), 99).await.unwrap().len(), 40);
}

#[tokio::test]
async fn one_process_at_a_time_has_the_file_open() {
    let dir = TempDir::new().unwrap();
    let _open = open(&dir);
    let error = EmbeddedRecords::open(&file_in(&dir)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

/// Its snapshot or its own entry may have been damaged; whoever publishes next gets the name.
#[tokio::test]
async fn a_record_that_cannot_be_read_is_an_error_until_the_next_publish_mends_it() {
    const NAMES: redb::TableDefinition<'_, &str, &[u8]> = redb::TableDefinition::new("names");
    const HISTORY: redb::TableDefinition<'_, &str, &[u8]> = redb::TableDefinition::new("history");
    let dir = TempDir::new().unwrap();
    let document = document("u-1");
    let stored = vec![
        Change::SnapshotStored(document.clone()),
        Change::Published(publish("x.y.z".parse().unwrap(), &document)),
    ];
    let store = open(&dir);
    store.commit(stored).await.unwrap();
    let mend = Change::Published(publish(application(), &document));
    let owned = store.commit(vec![mend.clone()]).await;
    assert!(matches!(owned, Err(CommitError::Rejected(_))), "{owned:?}");
    drop(store);

    let db = redb::Database::create(file_in(&dir)).unwrap();
    let damage = db.begin_write().unwrap();
    for table in [NAMES, HISTORY] {
        let mut table = damage.open_table(table).unwrap();
        assert!(table.insert("www", b"{".as_slice()).unwrap().is_some());
    }
    damage.commit().unwrap();
    drop(db);

    let store = open(&dir);
    let name: DeploymentName = "www".parse().unwrap();
    let error = store.deployment(&name).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    let error = store.history(&name).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert_eq!(store.commit(vec![mend]).await.unwrap(), [Applied::Done]);
    let mended = store.deployment(&name).await.unwrap().unwrap();
    assert_eq!(mended.owner(), &application());
    assert_eq!(store.history(&name).await.unwrap().len(), 1);
}
