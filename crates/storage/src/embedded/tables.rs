//! The tables of the embedded database, and how they are read.

use favonius_contract::{AssetRef, DeploymentName};
use redb::{Database, ReadTransaction, Table, TableDefinition, WriteTransaction};

use crate::{ErrorKind, HistoryEntry, StorageError, VersionEntry};

/// Snapshot id -> JSON as it was uploaded.
pub(super) const SNAPSHOTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("snapshots");
/// Name -> `HistoryEntry` of what it answers with.
pub(super) const NAMES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("names");
/// Name -> list of `HistoryEntry`, newest first.
const HISTORY: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("history");
/// (application, asset)
const ASSETS: TableDefinition<'_, (&str, &str), ()> = TableDefinition::new("assets");
/// (application, built at, snapshot id)
const VERSIONS: TableDefinition<'_, (&str, u64, &str), ()> = TableDefinition::new("versions");
/// (application, name)
const HOSTS: TableDefinition<'_, (&str, &str), ()> = TableDefinition::new("hosts");
/// Name -> `Removal`, for names that have no entry.
pub(super) const REMOVALS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("removals");
/// Number -> (when it was queued, whether it is for one target only, `RegionEvent`).
pub(super) const OUTBOX: TableDefinition<'_, u64, Queued> = TableDefinition::new("outbox");
/// (target, number in the outbox)
pub(super) const QUEUE: TableDefinition<'_, (&str, u64), ()> = TableDefinition::new("queue");
/// Targets whose queues are open.
pub(super) const TARGETS: TableDefinition<'_, &str, ()> = TableDefinition::new("targets");
/// (target, number that the event had in the outbox) -> (when it was queued, when it was buried, why, `RegionEvent`).
pub(super) const LETTERS: TableDefinition<'_, (&str, u64), Letter> =
    TableDefinition::new("letters");
/// "event" -> the number of the next event: none comes twice, as somebody may still hold the one before.
const NEXT: TableDefinition<'_, &str, u64> = TableDefinition::new("next");
/// One-time name -> until when it is remembered.
const ONCE: TableDefinition<'_, &str, u64> = TableDefinition::new("once");
/// (until when it is remembered, one-time name)
const ONCE_UNTIL: TableDefinition<'_, (u64, &str), ()> = TableDefinition::new("once_until");

pub(super) type Queued = (u64, bool, &'static [u8]);
pub(super) type Letter = (u64, u64, &'static str, &'static [u8]);

/// All tables, open for writing.
pub(super) struct Tables<'t> {
    pub(super) snapshots: Table<'t, &'static str, &'static [u8]>,
    pub(super) names: Table<'t, &'static str, &'static [u8]>,
    pub(super) history: Table<'t, &'static str, &'static [u8]>,
    pub(super) assets: Table<'t, (&'static str, &'static str), ()>,
    pub(super) versions: Table<'t, (&'static str, u64, &'static str), ()>,
    pub(super) hosts: Table<'t, (&'static str, &'static str), ()>,
    pub(super) removals: Table<'t, &'static str, &'static [u8]>,
    pub(super) outbox: Table<'t, u64, Queued>,
    pub(super) queue: Table<'t, (&'static str, u64), ()>,
    pub(super) targets: Table<'t, &'static str, ()>,
    pub(super) letters: Table<'t, (&'static str, u64), Letter>,
    pub(super) next: Table<'t, &'static str, u64>,
    pub(super) once: Table<'t, &'static str, u64>,
    pub(super) once_until: Table<'t, (u64, &'static str), ()>,
}

impl<'t> Tables<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            snapshots: transaction.open_table(SNAPSHOTS)?,
            names: transaction.open_table(NAMES)?,
            history: transaction.open_table(HISTORY)?,
            assets: transaction.open_table(ASSETS)?,
            versions: transaction.open_table(VERSIONS)?,
            hosts: transaction.open_table(HOSTS)?,
            removals: transaction.open_table(REMOVALS)?,
            outbox: transaction.open_table(OUTBOX)?,
            queue: transaction.open_table(QUEUE)?,
            targets: transaction.open_table(TARGETS)?,
            letters: transaction.open_table(LETTERS)?,
            next: transaction.open_table(NEXT)?,
            once: transaction.open_table(ONCE)?,
            once_until: transaction.open_table(ONCE_UNTIL)?,
        })
    }
}

/// Makes the tables that are not there yet: a reader finds them all.
pub(super) fn create(db: &Database) -> Result<(), StorageError> {
    let create = || -> Result<(), redb::Error> {
        let transaction = db.begin_write()?;
        Tables::open(&transaction)?;
        transaction.commit()?;
        Ok(())
    };
    create().map_err(|error| redb_error("prepare", "the database", error))
}

/// A name's entry, and the JSON of the snapshot that it names.
type NameAndSnapshot = (Vec<u8>, Option<Vec<u8>>);

pub(super) fn deployment(
    view: &ReadTransaction,
    name: &str,
) -> Result<Option<NameAndSnapshot>, redb::Error> {
    let Some(entry) = view
        .open_table(NAMES)?
        .get(name)?
        .map(|found| found.value().to_vec())
    else {
        return Ok(None);
    };
    let json = match serde_json::from_slice::<HistoryEntry>(&entry) {
        Ok(parsed) => snapshot(view, parsed.snapshot_id.as_str())?,
        Err(_) => None,
    };
    Ok(Some((entry, json)))
}

pub(super) fn snapshot(view: &ReadTransaction, id: &str) -> Result<Option<Vec<u8>>, redb::Error> {
    Ok(view
        .open_table(SNAPSHOTS)?
        .get(id)?
        .map(|found| found.value().to_vec()))
}

pub(super) fn history(view: &ReadTransaction, name: &str) -> Result<Option<Vec<u8>>, redb::Error> {
    Ok(view
        .open_table(HISTORY)?
        .get(name)?
        .map(|found| found.value().to_vec()))
}

pub(super) fn knows_asset(
    view: &ReadTransaction,
    application: &str,
    asset: AssetRef,
) -> Result<bool, redb::Error> {
    Ok(view
        .open_table(ASSETS)?
        .get((application, asset.to_string().as_str()))?
        .is_some())
}

pub(super) fn known_assets(
    view: &ReadTransaction,
    application: &str,
) -> Result<Vec<AssetRef>, redb::Error> {
    let mut found = Vec::new();
    for row in view.open_table(ASSETS)?.range((application, "")..)? {
        let (key, ()) = row.map(|(key, unit)| (key, unit.value()))?;
        let (owner, asset) = key.value();
        if owner != application {
            break;
        }
        found.extend(asset.parse::<AssetRef>().ok());
    }
    Ok(found)
}

pub(super) fn names(
    view: &ReadTransaction,
    application: &str,
) -> Result<Vec<DeploymentName>, redb::Error> {
    let mut found = Vec::new();
    for row in view.open_table(HOSTS)?.range((application, "")..)? {
        let (key, ()) = row.map(|(key, unit)| (key, unit.value()))?;
        let (owner, name) = key.value();
        if owner != application {
            break;
        }
        found.extend(name.parse::<DeploymentName>().ok());
    }
    Ok(found)
}

pub(super) fn versions(
    view: &ReadTransaction,
    application: &str,
    limit: usize,
) -> Result<Vec<VersionEntry>, redb::Error> {
    let mut found = Vec::new();
    let table = view.open_table(VERSIONS)?;
    // No snapshot id reaches the character after all others, so this range holds the whole application.
    let all = (application, 0, "")..=(application, u64::MAX, "\u{10ffff}");
    for row in table.range(all)?.rev().take(limit) {
        let (key, _) = row?;
        let (_, created_at_ms, id) = key.value();
        if let Ok(snapshot_id) = id.parse() {
            found.push(VersionEntry {
                snapshot_id,
                created_at_ms,
            });
        }
    }
    Ok(found)
}

pub(super) fn parse_history(
    name: &str,
    json: Option<&[u8]>,
) -> Result<Vec<HistoryEntry>, StorageError> {
    json.map_or(Ok(Vec::new()), serde_json::from_slice)
        .map_err(|error| StorageError::new(ErrorKind::Corrupt, "read history", name).because(error))
}

/// Sorts the database's errors.
pub(super) fn redb_error(op: &'static str, key: &str, error: redb::Error) -> StorageError {
    use std::io::ErrorKind as Io;
    let kind = match &error {
        redb::Error::Io(io) if matches!(io.kind(), Io::StorageFull | Io::QuotaExceeded) => {
            ErrorKind::Full
        }
        redb::Error::Io(io) if io.kind() == Io::PermissionDenied => ErrorKind::Denied,
        redb::Error::DatabaseAlreadyOpen => ErrorKind::Unavailable,
        redb::Error::Corrupted(_) | redb::Error::UpgradeRequired(_) => ErrorKind::Corrupt,
        _ => ErrorKind::Internal,
    };
    StorageError::new(kind, op, key).because(error)
}
