//! Writes what was decided.

use std::collections::HashSet;

use favonius_contract::{
    ApplicationUid, AssetRef, DeploymentName, SnapshotDocument,
    replication::{NameRecord, NameState, RegionEvent, Removal},
};
use redb::ReadableTable;

use super::tables::Tables;
use crate::{ChangeEvent, HISTORY_LIMIT, HistoryEntry};

/// One thing that a commit writes.
pub(super) enum Step {
    KnowAsset(ApplicationUid, AssetRef),
    ForgetAsset(ApplicationUid, AssetRef),
    AddSnapshot(SnapshotDocument),
    Point {
        name: DeploymentName,
        entry: HistoryEntry,
        loser: Option<ApplicationUid>,
    },
    Unpoint {
        name: DeploymentName,
        removal: Removal,
        owner: ApplicationUid,
    },
}

/// What other regions are to be told of these steps: each name once, as it is after them. None if there is nothing to tell.
pub(super) fn announcement(steps: &[Step]) -> Option<RegionEvent> {
    let mut event = RegionEvent::default();
    let mut seen = HashSet::new();
    for step in steps.iter().rev() {
        let (name, state) = match step {
            Step::KnowAsset(..) | Step::ForgetAsset(..) => continue,
            Step::AddSnapshot(document) => {
                let id = document.snapshot().snapshot_id.clone();
                event.snapshots.push(id);
                continue;
            }
            Step::Point { name, entry, .. } => (name, NameState::Published(entry.clone())),
            Step::Unpoint { name, removal, .. } => (name, NameState::Removed(removal.clone())),
        };
        if seen.insert(name) {
            let name = name.clone();
            event.names.push(NameRecord { name, state });
        }
    }
    event.snapshots.reverse();
    event.names.reverse();
    (event != RegionEvent::default()).then_some(event)
}

/// Makes the steps, and adds which names and snapshots they changed.
pub(super) fn write(
    steps: Vec<Step>,
    tables: &mut Tables<'_>,
    told: &mut Vec<ChangeEvent>,
) -> Result<(), redb::Error> {
    for step in steps {
        match step {
            Step::KnowAsset(application, asset) => {
                let asset = asset.to_string();
                let key = (application.as_str(), asset.as_str());
                tables.assets.insert(key, ())?;
            }
            Step::ForgetAsset(application, asset) => {
                let asset = asset.to_string();
                let key = (application.as_str(), asset.as_str());
                tables.assets.remove(key)?;
            }
            Step::AddSnapshot(document) => {
                let snapshot = document.snapshot();
                let id = snapshot.snapshot_id.as_str();
                tables.snapshots.insert(id, document.json())?;
                let version = (
                    snapshot.application_uid.as_str(),
                    snapshot.created_at_ms,
                    id,
                );
                tables.versions.insert(version, ())?;
                told.push(ChangeEvent::Snapshot(snapshot.snapshot_id.clone()));
            }
            Step::Point { name, entry, loser } => {
                point(tables, &name, &entry, loser.as_ref())?;
                told.push(ChangeEvent::Name(name));
            }
            Step::Unpoint {
                name,
                removal,
                owner,
            } => {
                unpoint(tables, &name, &removal, &owner)?;
                told.push(ChangeEvent::Name(name));
            }
        }
    }
    Ok(())
}

/// Makes a name answer with the entry, and remembers it.
fn point(
    tables: &mut Tables<'_>,
    name: &DeploymentName,
    entry: &HistoryEntry,
    loser: Option<&ApplicationUid>,
) -> Result<(), redb::Error> {
    let known = tables
        .history
        .get(name.as_str())?
        .map(|found| found.value().to_vec());
    // A history that cannot be read is begun anew: it must not stand in the way of a publish.
    let mut history: Vec<HistoryEntry> = known
        .and_then(|json| serde_json::from_slice(&json).ok())
        .unwrap_or_default();
    history.insert(0, entry.clone());
    history.truncate(HISTORY_LIMIT);
    tables.names.insert(name.as_str(), json(entry).as_slice())?;
    tables
        .history
        .insert(name.as_str(), json(&history).as_slice())?;
    tables.removals.remove(name.as_str())?;
    let owner = entry.publication.application_uid.as_str();
    tables.hosts.insert((owner, name.as_str()), ())?;
    if let Some(loser) = loser {
        tables.hosts.remove((loser.as_str(), name.as_str()))?;
    }
    Ok(())
}

/// Makes a name answer with nothing, and remembers that.
fn unpoint(
    tables: &mut Tables<'_>,
    name: &DeploymentName,
    removal: &Removal,
    owner: &ApplicationUid,
) -> Result<(), redb::Error> {
    tables.names.remove(name.as_str())?;
    tables.history.remove(name.as_str())?;
    tables.hosts.remove((owner.as_str(), name.as_str()))?;
    tables
        .removals
        .insert(name.as_str(), json(removal).as_slice())?;
    Ok(())
}

/// The JSON of one of our own types.
pub(super) fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain fields and string keys always serialise")
}
