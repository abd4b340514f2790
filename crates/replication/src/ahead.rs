//! Sends what many events need with few requests, before each is seen to on its own: so a region that was cut off catches up
//! quickly, however far away it is.

use std::collections::BTreeMap;

use favonius_contract::{ApplicationUid, replication::RegionEvent};
use futures::FutureExt;

use crate::{
    cargo::Cargo,
    courier::{Courier, EVENTS_AT_ONCE, Undelivered, until_down},
};

/// Bytes of snapshots that are in memory for that.
const IN_MEMORY: usize = 16 * 1024 * 1024;

impl Courier {
    /// Fails when the region does not answer. What does not work otherwise is found out again for the event that needs it.
    pub(crate) async fn send_ahead(&self, events: &[RegionEvent]) -> Result<(), Undelivered> {
        if events.len() < 2 {
            return Ok(());
        }
        let mut applications: BTreeMap<ApplicationUid, Cargo> = BTreeMap::new();
        let mut bytes = 0;
        for event in events {
            // What is not all here is not for now.
            let Ok(cargo) = Cargo::of(&self.stores, event).await else {
                continue;
            };
            let Some(application) = cargo.application().cloned() else {
                continue;
            };
            bytes += cargo.bytes();
            applications.entry(application).or_default().merge(cargo);
            if bytes > IN_MEMORY {
                self.send_all(std::mem::take(&mut applications)).await?;
                bytes = 0;
            }
        }
        self.send_all(applications).await
    }

    async fn send_all(
        &self,
        applications: BTreeMap<ApplicationUid, Cargo>,
    ) -> Result<(), Undelivered> {
        let work = applications
            .into_values()
            .map(|cargo| async move { self.send(&cargo, false).await }.boxed());
        let sent = until_down(work.collect(), EVENTS_AT_ONCE).await;
        let mut failed = sent.into_iter().filter_map(Result::err);
        let down = failed.find(|error| matches!(error, Undelivered::Unavailable { .. }));
        down.map_or(Ok(()), Err)
    }
}
