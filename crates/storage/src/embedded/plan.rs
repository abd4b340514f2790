//! Decides what a commit does before anything of it is written, so that a commit that is not allowed leaves no trace.

use std::collections::HashMap;

use favonius_contract::{
    ApplicationUid, AssetRef, DeploymentName, Publication, SnapshotDocument, SnapshotId,
};
use redb::ReadableTable;

use super::tables::Tables;
use crate::{Applied, Change, ChangeEvent, HISTORY_LIMIT, HistoryEntry, Order, Publish, Rejection};

/// A commit that is allowed.
pub(super) struct Plan {
    steps: Vec<Step>,
    applied: Vec<Applied>,
}

enum Step {
    KnowAsset(ApplicationUid, AssetRef),
    ForgetAsset(ApplicationUid, AssetRef),
    AddSnapshot(SnapshotDocument),
    Point {
        name: DeploymentName,
        entry: HistoryEntry,
        loser: Option<ApplicationUid>,
    },
}

/// The records as they would be after the steps so far.
struct Outlook<'t, 'a> {
    tables: &'a Tables<'t>,
    assets: HashMap<(ApplicationUid, AssetRef), bool>,
    snapshots: HashMap<SnapshotId, SnapshotDocument>,
    names: HashMap<DeploymentName, HistoryEntry>,
}

impl Outlook<'_, '_> {
    /// Makes an asset known to an application or not, and tells whether it was.
    fn know_asset(
        &mut self,
        application: &ApplicationUid,
        asset: AssetRef,
        known: bool,
    ) -> Result<bool, redb::Error> {
        let before = self.assets.insert((application.clone(), asset), known);
        if let Some(before) = before {
            return Ok(before);
        }
        let key = asset.to_string();
        let found = self
            .tables
            .assets
            .get((application.as_str(), key.as_str()))?;
        Ok(found.is_some())
    }

    fn snapshot_exists(&self, id: &SnapshotId) -> Result<bool, redb::Error> {
        Ok(self.snapshots.contains_key(id) || self.tables.snapshots.get(id.as_str())?.is_some())
    }

    fn has_bytes(&self, document: &SnapshotDocument) -> Result<Option<bool>, redb::Error> {
        let id = &document.snapshot().snapshot_id;
        if let Some(known) = self.snapshots.get(id) {
            return Ok(Some(known.json() == document.json()));
        }
        let found = self.tables.snapshots.get(id.as_str())?;
        Ok(found.map(|known| known.value() == document.json()))
    }

    fn name(&self, name: &DeploymentName) -> Result<Option<HistoryEntry>, redb::Error> {
        if let Some(entry) = self.names.get(name) {
            return Ok(Some(entry.clone()));
        }
        let found = self.tables.names.get(name.as_str())?;
        // An entry that cannot be read belongs to nobody: the next publish mends it.
        Ok(found.and_then(|found| serde_json::from_slice(found.value()).ok()))
    }
}

impl Plan {
    /// Decides. The outer error is the database's.
    pub(super) fn make(
        tables: &Tables<'_>,
        changes: Vec<Change>,
    ) -> Result<Result<Self, Rejection>, redb::Error> {
        let mut outlook = Outlook {
            tables,
            assets: HashMap::new(),
            snapshots: HashMap::new(),
            names: HashMap::new(),
        };
        let mut plan = Self {
            steps: Vec::new(),
            applied: Vec::new(),
        };
        for change in changes {
            match plan.add(&mut outlook, change)? {
                Ok(applied) => plan.applied.push(applied),
                Err(rejection) => return Ok(Err(rejection)),
            }
        }
        Ok(Ok(plan))
    }

    /// What comes of each change.
    pub(super) fn applied(&self) -> Vec<Applied> {
        self.applied.clone()
    }

    fn add(
        &mut self,
        outlook: &mut Outlook<'_, '_>,
        change: Change,
    ) -> Result<Result<Applied, Rejection>, redb::Error> {
        match change {
            Change::AssetStored { application, asset } => {
                if outlook.know_asset(&application, asset, true)? {
                    return Ok(Ok(Applied::Unchanged));
                }
                self.steps.push(Step::KnowAsset(application, asset));
            }
            Change::AssetLost { application, asset } => {
                if !outlook.know_asset(&application, asset, false)? {
                    return Ok(Ok(Applied::Unchanged));
                }
                self.steps.push(Step::ForgetAsset(application, asset));
            }
            Change::SnapshotStored(document) => {
                let id = document.snapshot().snapshot_id.clone();
                match outlook.has_bytes(&document)? {
                    Some(true) => return Ok(Ok(Applied::Unchanged)),
                    Some(false) => return Ok(Err(Rejection::SnapshotExists(id))),
                    None => {}
                }
                outlook.snapshots.insert(id, document.clone());
                self.steps.push(Step::AddSnapshot(document));
            }
            Change::Published(publish) => return self.add_publish(outlook, publish),
        }
        Ok(Ok(Applied::Done))
    }

    fn add_publish(
        &mut self,
        outlook: &mut Outlook<'_, '_>,
        publish: Publish,
    ) -> Result<Result<Applied, Rejection>, redb::Error> {
        let Publish {
            name,
            application,
            snapshot_id,
            order,
            manifest,
            version,
            takeover,
        } = publish;
        if !outlook.snapshot_exists(&snapshot_id)? {
            return Ok(Err(Rejection::SnapshotUnknown(snapshot_id)));
        }
        let standing = outlook.name(&name)?;
        let stands_for_ever = standing
            .as_ref()
            .is_some_and(|standing| standing.publication.version);
        let (published_at, replica, is_local) = match order {
            Order::Local { now_ms, replica } => {
                let after = standing.as_ref().map_or(0, |standing| {
                    standing.publication.published_at.saturating_add(1)
                });
                (now_ms.max(after), replica, true)
            }
            Order::Replicated {
                published_at,
                replica,
            } => (published_at, replica, false),
        };
        let entry = HistoryEntry {
            snapshot_id,
            publication: Publication {
                application_uid: application,
                published_at,
                replica,
                manifest,
                version: version || stands_for_ever,
            },
        };
        let mut loser = None;
        if let Some(standing) = standing {
            if !is_local && !entry.publication.is_newer_than(&standing.publication) {
                return Ok(Ok(Applied::Superseded));
            }
            let owner = standing.publication.application_uid.clone();
            if owner != entry.publication.application_uid {
                if !takeover {
                    return Ok(Err(Rejection::NameOwned { name, owner }));
                }
                loser = Some(owner);
            }
            if entry.publication.version && standing.snapshot_id != entry.snapshot_id {
                let snapshot_id = standing.snapshot_id;
                return Ok(Err(Rejection::NameTaken { name, snapshot_id }));
            }
            if is_local && loser.is_none() && says_the_same(&standing, &entry) {
                return Ok(Ok(Applied::Unchanged));
            }
        }
        outlook.names.insert(name.clone(), entry.clone());
        self.steps.push(Step::Point { name, entry, loser });
        Ok(Ok(Applied::Done))
    }

    /// Makes the steps, and tells which names and snapshots they changed.
    pub(super) fn write(
        self,
        tables: &mut Tables<'_>,
        events: &mut Vec<ChangeEvent>,
    ) -> Result<(), redb::Error> {
        for step in self.steps {
            match step {
                Step::KnowAsset(application, asset) => {
                    let asset = asset.to_string();
                    tables
                        .assets
                        .insert((application.as_str(), asset.as_str()), ())?;
                }
                Step::ForgetAsset(application, asset) => {
                    let asset = asset.to_string();
                    tables
                        .assets
                        .remove((application.as_str(), asset.as_str()))?;
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
                    events.push(ChangeEvent::Snapshot(snapshot.snapshot_id.clone()));
                }
                Step::Point { name, entry, loser } => {
                    point(tables, &name, &entry, loser.as_ref())?;
                    events.push(ChangeEvent::Name(name));
                }
            }
        }
        Ok(())
    }
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
    let owner = entry.publication.application_uid.as_str();
    tables.hosts.insert((owner, name.as_str()), ())?;
    if let Some(loser) = loser {
        tables.hosts.remove((loser.as_str(), name.as_str()))?;
    }
    Ok(())
}

/// Whether a publish would change nothing but its time.
fn says_the_same(standing: &HistoryEntry, entry: &HistoryEntry) -> bool {
    standing.snapshot_id == entry.snapshot_id
        && standing.publication.manifest == entry.publication.manifest
        && standing.publication.version == entry.publication.version
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain fields and string keys always serialise")
}
