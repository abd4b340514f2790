//! Decides what a commit does before anything of it is written, so that a commit that is not allowed leaves no trace.

use favonius_contract::{
    ApplicationUid, Publication, SnapshotId,
    replication::{NameState, Removal},
};

use super::{
    outlook::{Outlook, Place},
    steps::Step,
    tables::Tables,
};
use crate::{Applied, Change, HistoryEntry, Publish, Rejection, Remove};

/// A commit that is allowed.
pub(super) struct Plan {
    /// What is to be done, in this order.
    pub(super) steps: Vec<Step>,
    /// What comes of each change.
    pub(super) applied: Vec<Applied>,
}

/// The outer error is the database's.
type Decision<T> = Result<Result<T, Rejection>, redb::Error>;

impl Plan {
    /// Decides.
    pub(super) fn make(tables: &Tables<'_>, changes: Vec<Change>) -> Decision<Self> {
        let mut outlook = Outlook::new(tables);
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

    fn add(&mut self, outlook: &mut Outlook<'_, '_>, change: Change) -> Decision<Applied> {
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
                match outlook.has_bytes(&document)? {
                    Some(true) => return Ok(Ok(Applied::Unchanged)),
                    Some(false) => {
                        let id = document.snapshot().snapshot_id.clone();
                        return Ok(Err(Rejection::SnapshotExists(id)));
                    }
                    None => {}
                }
                outlook.add_snapshot(document.clone());
                self.steps.push(Step::AddSnapshot(document));
            }
            Change::Published(publish) => return self.add_publish(outlook, publish),
            Change::Removed(remove) => return self.add_removal(outlook, remove),
        }
        Ok(Ok(Applied::Done))
    }

    fn add_publish(
        &mut self,
        outlook: &mut Outlook<'_, '_>,
        publish: Publish,
    ) -> Decision<Applied> {
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
        let Some(place) = standing.place(order) else {
            return Ok(Ok(Applied::Superseded));
        };
        let is_local = place.is_local;
        let mut entry = entry(snapshot_id, application, place);
        entry.publication.manifest = manifest;
        entry.publication.version = version;
        let mut loser = None;
        if let Some(standing) = standing.entry() {
            let owner = &standing.publication.application_uid;
            if *owner != entry.publication.application_uid {
                if !takeover {
                    let owner = owner.clone();
                    return Ok(Err(Rejection::NameOwned { name, owner }));
                }
                loser = Some(owner.clone());
            }
            // Regions that were told in another order must end on the same, so only who asks here and now is bound to the
            // version that a name stands for.
            if is_local {
                entry.publication.version |= standing.publication.version;
                if entry.publication.version && standing.snapshot_id != entry.snapshot_id {
                    let snapshot_id = standing.snapshot_id;
                    return Ok(Err(Rejection::NameTaken { name, snapshot_id }));
                }
                if loser.is_none() && says_the_same(&standing, &entry) {
                    return Ok(Ok(Applied::Unchanged));
                }
            }
        }
        outlook.set_name(name.clone(), NameState::Published(entry.clone()));
        self.steps.push(Step::Point { name, entry, loser });
        Ok(Ok(Applied::Done))
    }

    fn add_removal(&mut self, outlook: &mut Outlook<'_, '_>, remove: Remove) -> Decision<Applied> {
        let Remove {
            name,
            application,
            order,
            takeover,
        } = remove;
        let standing = outlook.name(&name)?;
        let Some(place) = standing.place(order) else {
            return Ok(Ok(Applied::Superseded));
        };
        if place.is_local && standing.is_absent() {
            return Ok(Ok(Applied::Unchanged));
        }
        let owner = standing
            .entry()
            .map(|entry| entry.publication.application_uid);
        if let Some(owner) = owner.as_ref().filter(|owner| **owner != application)
            && !takeover
        {
            let owner = owner.clone();
            return Ok(Err(Rejection::NameOwned { name, owner }));
        }
        let owner = owner.unwrap_or_else(|| application.clone());
        let removal = Removal {
            application_uid: application,
            published_at: place.published_at,
            replica: place.replica,
        };
        outlook.set_name(name.clone(), NameState::Removed(removal.clone()));
        self.steps.push(Step::Unpoint {
            name,
            removal,
            owner,
        });
        Ok(Ok(Applied::Done))
    }
}

fn entry(snapshot_id: SnapshotId, application_uid: ApplicationUid, place: Place) -> HistoryEntry {
    HistoryEntry {
        snapshot_id,
        publication: Publication {
            application_uid,
            published_at: place.published_at,
            replica: place.replica,
            manifest: None,
            version: false,
        },
    }
}

/// Whether a publish would change nothing but its time.
fn says_the_same(standing: &HistoryEntry, entry: &HistoryEntry) -> bool {
    standing.snapshot_id == entry.snapshot_id
        && standing.publication.manifest == entry.publication.manifest
        && standing.publication.version == entry.publication.version
}
