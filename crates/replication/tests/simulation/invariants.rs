//! What must be so after every step, and at the end.

use std::collections::BTreeMap;

use favonius_contract::{DeploymentName, replication::NameState};
use favonius_storage::{ChangeEvent, RecordStore};
use futures::{FutureExt, StreamExt, stream::BoxStream};

use crate::{
    deployer::Ledger,
    regions::{Region, now},
};

/// Watches a region.
pub(crate) struct Watch {
    region: Region,
    changes: BoxStream<'static, ChangeEvent>,
    /// The newest state of each name that was ever seen here.
    seen: BTreeMap<DeploymentName, NameState>,
}

impl Watch {
    pub(crate) fn new(region: &Region) -> Self {
        Self {
            changes: region.records.changes(),
            region: region.clone(),
            seen: BTreeMap::new(),
        }
    }

    /// Looks at what has changed since the last look.
    pub(crate) fn look(&mut self) -> Result<(), String> {
        let mut has_changed = false;
        while let Some(Some(change)) = self.changes.next().now_or_never() {
            has_changed = true;
            if let ChangeEvent::Name(name) = change {
                self.is_whole(&name)?;
            }
        }
        if has_changed {
            self.never_goes_back()?;
        }
        Ok(())
    }

    /// A name answers with a deployment that is all there, or with none.
    fn is_whole(&self, name: &DeploymentName) -> Result<(), String> {
        let region = &self.region;
        let found = now(region.records.deployment(name))
            .map_err(|error| format!("{}: {name} cannot be read: {error}", region.name))?;
        let Some(deployment) = found else {
            return Ok(());
        };
        let application = &deployment.snapshot.application_uid;
        for (path, asset) in deployment.snapshot.assets() {
            if !region.has_bytes(asset) {
                return Err(format!("{}: {name} lacks {path}", region.name));
            }
            if !now(region.records.knows_asset(application, asset)).unwrap() {
                return Err(format!("{}: {name} does not own {path}", region.name));
            }
        }
        Ok(())
    }

    /// What becomes of a name is newer than what was.
    fn never_goes_back(&mut self) -> Result<(), String> {
        let (_, names) = self.region.states();
        for (name, was) in &self.seen {
            let is = names
                .get(name)
                .ok_or_else(|| format!("{}: {name} was forgotten", self.region.name))?;
            if was.is_newer_than(is) {
                return Err(format!(
                    "{}: {name} went back from {was:?} to {is:?}",
                    self.region.name
                ));
            }
        }
        self.seen = names;
        Ok(())
    }
}

/// Whether all regions have the same, which is all that was acknowledged. `Err` says what is not so.
pub(crate) fn are_equal(regions: &[Region], ledger: &Ledger) -> Result<(), String> {
    let all: Vec<_> = regions.iter().map(Region::states).collect();
    let (snapshots, names) = &all[0];
    for (region, (other_snapshots, other_names)) in regions.iter().zip(&all).skip(1) {
        for name in names.keys().chain(other_names.keys()) {
            if names.get(name) != other_names.get(name) {
                return Err(format!(
                    "{name} is {:?} in {} and {:?} in {}",
                    names.get(name),
                    regions[0].name,
                    other_names.get(name),
                    region.name
                ));
            }
        }
        if snapshots != other_snapshots {
            return Err(format!("{} has other snapshots", region.name));
        }
    }
    for (name, acknowledged) in &ledger.names {
        let is = names.get(name);
        if is.is_none_or(|is| acknowledged.is_newer_than(is)) {
            return Err(format!(
                "{name} is {is:?}, and {acknowledged:?} was acknowledged"
            ));
        }
    }
    for id in &ledger.snapshots {
        if !snapshots.contains(&id.to_string()) {
            return Err(format!("snapshot {id} was acknowledged and is gone"));
        }
    }
    for region in regions {
        let waiting = region.waiting();
        if waiting > 0 {
            return Err(format!("{waiting} events wait in {}", region.name));
        }
    }
    Ok(())
}
