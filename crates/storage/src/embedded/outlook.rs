//! The records as they would be after a part of a commit.

use std::collections::HashMap;

use favonius_contract::{
    ApplicationUid, AssetRef, DeploymentName, SnapshotDocument, SnapshotId, replication::NameState,
};
use redb::ReadableTable;

use super::tables::Tables;
use crate::{HistoryEntry, Order};

/// The records as they would be after the steps so far.
pub(super) struct Outlook<'t, 'a> {
    tables: &'a Tables<'t>,
    assets: HashMap<(ApplicationUid, AssetRef), bool>,
    snapshots: HashMap<SnapshotId, SnapshotDocument>,
    names: HashMap<DeploymentName, Standing>,
}

/// What stands for a name.
#[derive(Clone)]
pub(super) enum Standing {
    /// Nothing was ever written, or it was forgotten.
    Nothing,
    /// Its entry cannot be read: it belongs to nobody, and the next change mends it.
    Unreadable,
    /// What was written last.
    State(NameState),
}

/// A change's place among those of the same name.
pub(super) struct Place {
    pub(super) published_at: u64,
    pub(super) replica: String,
    pub(super) is_local: bool,
}

impl Standing {
    /// Where a change that is to be the newest belongs; none if something newer, or the same, stands.
    pub(super) fn place(&self, order: Order) -> Option<Place> {
        let standing = match self {
            Self::State(state) => Some(state.order()),
            Self::Nothing | Self::Unreadable => None,
        };
        match order {
            Order::Local { now_ms, replica } => {
                let after = standing.map_or(0, |(at, _)| at.saturating_add(1));
                Some(Place {
                    published_at: now_ms.max(after),
                    replica,
                    is_local: true,
                })
            }
            // Nothing is written here by hand, so there is nothing that repair has to leave alone.
            Order::Replicated {
                published_at,
                replica,
                repair: _,
            } => standing
                .is_none_or(|standing| (published_at, replica.as_str()) > standing)
                .then_some(Place {
                    published_at,
                    replica,
                    is_local: false,
                }),
        }
    }

    /// What the name answers with.
    pub(super) fn entry(self) -> Option<HistoryEntry> {
        match self {
            Self::State(NameState::Published(entry)) => Some(entry),
            Self::State(NameState::Removed(_)) | Self::Nothing | Self::Unreadable => None,
        }
    }

    /// Whether the name answers with nothing, not even with an error.
    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Self::Nothing | Self::State(NameState::Removed(_)))
    }
}

impl<'t, 'a> Outlook<'t, 'a> {
    pub(super) fn new(tables: &'a Tables<'t>) -> Self {
        Self {
            tables,
            assets: HashMap::new(),
            snapshots: HashMap::new(),
            names: HashMap::new(),
        }
    }

    /// Makes an asset known to an application or not, and tells whether it was.
    pub(super) fn know_asset(
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

    pub(super) fn snapshot_exists(&self, id: &SnapshotId) -> Result<bool, redb::Error> {
        Ok(self.snapshots.contains_key(id) || self.tables.snapshots.get(id.as_str())?.is_some())
    }

    /// Whether a snapshot is stored with the same bytes; none if it is not stored.
    pub(super) fn has_bytes(
        &self,
        document: &SnapshotDocument,
    ) -> Result<Option<bool>, redb::Error> {
        let id = &document.snapshot().snapshot_id;
        if let Some(known) = self.snapshots.get(id) {
            return Ok(Some(known.json() == document.json()));
        }
        let found = self.tables.snapshots.get(id.as_str())?;
        Ok(found.map(|known| known.value() == document.json()))
    }

    pub(super) fn add_snapshot(&mut self, document: SnapshotDocument) {
        let id = document.snapshot().snapshot_id.clone();
        self.snapshots.insert(id, document);
    }

    pub(super) fn name(&self, name: &DeploymentName) -> Result<Standing, redb::Error> {
        if let Some(standing) = self.names.get(name) {
            return Ok(standing.clone());
        }
        if let Some(found) = self.tables.names.get(name.as_str())? {
            let entry = serde_json::from_slice(found.value());
            return Ok(entry.map_or(Standing::Unreadable, |entry| {
                Standing::State(NameState::Published(entry))
            }));
        }
        let removal = self.tables.removals.get(name.as_str())?;
        let removal = removal.and_then(|found| serde_json::from_slice(found.value()).ok());
        Ok(removal.map_or(Standing::Nothing, |removal| {
            Standing::State(NameState::Removed(removal))
        }))
    }

    pub(super) fn set_name(&mut self, name: DeploymentName, state: NameState) {
        self.names.insert(name, Standing::State(state));
    }
}
