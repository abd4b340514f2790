//! Brings events to one region: asks what it lacks, sends that, and then tells it of the names.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use favonius_contract::{
    SnapshotId,
    replication::{
        Lacking, LackingRequest, NameOutcome, NameRecord, NamesRequest, OwnedAsset, RegionEvent,
    },
};
use favonius_storage::{ErrorKind, StorageError};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use quick_cache::sync::Cache;
use tokio::sync::Semaphore;

use crate::{
    LinkError, RegionLink, ReplicationStores,
    cargo::{Cargo, Weight},
    report::Report,
    turns::Turns,
};

/// Assets on their way to one region at once.
const ASSETS_IN_FLIGHT: usize = 8;
/// Events that are made ready at once.
pub(crate) const EVENTS_AT_ONCE: usize = 8;
/// Assets that are asked for in one request.
const ASKED_AT_ONCE: usize = 5_000;
/// What is remembered to be in the region.
const REMEMBERED: usize = 200_000;
/// How often what turns out to be missing is sent before an event is put off.
const ROUNDS: usize = 3;
/// Names that are told of in one request, unless one event has more.
const NAMES_AT_ONCE: usize = 200;
/// Bytes of snapshots that one request may make the region write, unless one event makes it write more.
const WRITTEN_AT_ONCE: usize = 16 * 1024 * 1024;
/// Assets that one request may make the region look for, unless one event has more.
const LOOKED_FOR_AT_ONCE: usize = 2_000;

/// Why an event was not delivered.
#[derive(Debug, Clone)]
pub(crate) enum Undelivered {
    /// The region does not answer, or our own store: nothing else will be delivered there for now.
    Unavailable {
        why: String,
        retry_after: Option<Duration>,
    },
    /// The region answers that it cannot: that may be for this event only.
    Failed(String),
    /// It will never be taken.
    Refused(String),
    /// Not all of it is here: it may still come, or is gone.
    NotHere(String),
}

impl From<StorageError> for Undelivered {
    fn from(error: StorageError) -> Self {
        let why = format!("this region: {error}");
        match error.kind() {
            ErrorKind::Unavailable | ErrorKind::Denied | ErrorKind::Full => Self::Unavailable {
                why,
                retry_after: None,
            },
            // What cannot be read may be mended; others need not wait for it.
            ErrorKind::Corrupt | ErrorKind::Internal => Self::NotHere(why),
        }
    }
}

impl From<LinkError> for Undelivered {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Unavailable { why, retry_after } => Self::Unavailable { why, retry_after },
            LinkError::Failed(why) => Self::Failed(why),
            LinkError::Refused(reason) => Self::Refused(reason),
            LinkError::Incomplete(_) => Self::NotHere(error.to_string()),
        }
    }
}

/// What came of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivered {
    /// The region has it.
    Applied,
    /// The region has something newer, or what somebody wrote by hand.
    NotNeeded,
}

impl Weight {
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            names: self.names + other.names,
            written: self.written + other.written,
            looked_for: self.looked_for + other.looked_for,
        }
    }

    fn is_too_much(self) -> bool {
        self.names > NAMES_AT_ONCE
            || self.written > WRITTEN_AT_ONCE
            || self.looked_for > LOOKED_FOR_AT_ONCE
    }
}

/// Brings events to one region.
#[derive(Debug)]
pub(crate) struct Courier {
    pub(crate) stores: ReplicationStores,
    link: Arc<dyn RegionLink>,
    report: Arc<Report>,
    turns: Turns,
    snapshots: Cache<SnapshotId, ()>,
    assets: Cache<OwnedAsset, ()>,
    in_flight: Semaphore,
}

impl Courier {
    pub(crate) fn new(
        stores: ReplicationStores,
        link: Arc<dyn RegionLink>,
        report: Arc<Report>,
        turns: Turns,
    ) -> Self {
        Self {
            stores,
            link,
            report,
            turns,
            snapshots: Cache::new(REMEMBERED / 10),
            assets: Cache::new(REMEMBERED),
            in_flight: Semaphore::new(ASSETS_IN_FLIGHT),
        }
    }

    /// Lets others go on at once with what was given up half way.
    pub(crate) async fn leave(&self) {
        self.turns.end_all().await;
    }

    /// Brings events in their order, and tells what came of each.
    ///
    /// What they need is sent for several at once. The names of many events are told of in one request, so that a region that
    /// was cut off catches up quickly; when that does not work, each is told on its own.
    pub(crate) async fn deliver(
        &self,
        events: &[RegionEvent],
    ) -> Vec<Result<Delivered, Undelivered>> {
        let mut outcomes = Vec::with_capacity(events.len());
        let mut group: Vec<&RegionEvent> = Vec::new();
        let mut weight = Weight::default();
        for (event, ready) in events.iter().zip(self.make_all_ready(events).await) {
            let ends_group = ready.as_ref().map_or(true, |more| {
                let is_other = group.first().is_some_and(|of| of.repair != event.repair);
                is_other || weight.plus(*more).is_too_much()
            });
            if ends_group {
                outcomes.extend(self.tell(&std::mem::take(&mut group)).await);
                weight = Weight::default();
            }
            match ready {
                Ok(more) => {
                    group.push(event);
                    weight = weight.plus(more);
                }
                Err(error) => outcomes.push(Err(error)),
            }
        }
        outcomes.extend(self.tell(&group).await);
        outcomes
    }

    async fn make_all_ready(&self, events: &[RegionEvent]) -> Vec<Result<Weight, Undelivered>> {
        if let Err(down) = self.send_ahead(events).await {
            return events.iter().map(|_| Err(down.clone())).collect();
        }
        let work = events.iter().map(|event| self.make_ready(event).boxed());
        until_down(work.collect(), EVENTS_AT_ONCE).await
    }

    /// Sends what the region lacks of what an event needs. Tells what its names will cost the region.
    async fn make_ready(&self, event: &RegionEvent) -> Result<Weight, Undelivered> {
        let cargo = Cargo::of(&self.stores, event).await?;
        // Regions are compared because what one was known to have may be gone.
        self.send(&cargo, event.repair).await?;
        Ok(cargo.weight)
    }

    /// Sends what the region lacks of a cargo. It is asked for what it is not known to have, or for all.
    pub(crate) async fn send(&self, cargo: &Cargo, all: bool) -> Result<(), Undelivered> {
        let lacking = self.lacking(cargo, all).await?;
        let Some(first) = lacking.assets.first() else {
            return self.send_snapshots(cargo, &lacking).await;
        };
        let turn = self.turns.wait(&first.application_uid).await?;
        let turn = turn.ok_or_else(|| {
            Undelivered::NotHere("another process of this region is sending the same".into())
        })?;
        let work = async {
            // While we waited it may have been sent for another event.
            let lacking = self.lacking(cargo, false).await?;
            self.send_assets(cargo, &lacking).await?;
            // After its files: so that no region has a snapshot that it could not send on.
            self.send_snapshots(cargo, &lacking).await
        };
        let sent = self.turns.during(&turn, work).await;
        self.turns.end(turn).await;
        sent
    }

    /// Asks the region, for what it is not known to have, or for all.
    async fn lacking(&self, cargo: &Cargo, all: bool) -> Result<Lacking, Undelivered> {
        if all {
            cargo
                .snapshots
                .keys()
                .for_each(|id| drop(self.snapshots.remove(id)));
            cargo
                .assets()
                .for_each(|owned| drop(self.assets.remove(&owned)));
        }
        let mut snapshots: Vec<SnapshotId> = cargo
            .snapshots
            .keys()
            .filter(|id| self.snapshots.get(*id).is_none())
            .cloned()
            .collect();
        let assets: Vec<OwnedAsset> = cargo
            .assets()
            .filter(|owned| self.assets.get(owned).is_none())
            .collect();
        cargo.check_owners(&self.stores, &assets).await?;
        let mut lacking = Lacking::default();
        let mut chunks = assets.chunks(ASKED_AT_ONCE);
        while let Some(assets) = chunks.next().or((!snapshots.is_empty()).then_some(&[][..])) {
            let builds = snapshots.iter().filter_map(|id| {
                let document = cargo.snapshots.get(id)?;
                Some((id.clone(), document.build_digest()))
            });
            let request = LackingRequest {
                builds: builds.collect(),
                snapshots: std::mem::take(&mut snapshots),
                assets: assets.to_vec(),
            };
            let answer = self.link.lacking(&request).await?;
            self.remember(&request, &answer);
            lacking.snapshots.extend(answer.snapshots);
            lacking.assets.extend(answer.assets);
        }
        Ok(lacking)
    }

    fn remember(&self, asked: &LackingRequest, lacking: &Lacking) {
        let snapshots: HashSet<_> = lacking.snapshots.iter().collect();
        for id in asked.snapshots.iter().filter(|id| !snapshots.contains(id)) {
            self.snapshots.insert(id.clone(), ());
        }
        let assets: HashSet<_> = lacking.assets.iter().collect();
        for asset in asked.assets.iter().filter(|asset| !assets.contains(asset)) {
            self.assets.insert(asset.clone(), ());
        }
    }

    async fn send_snapshots(&self, cargo: &Cargo, lacking: &Lacking) -> Result<(), Undelivered> {
        let work = lacking.snapshots.iter().filter_map(|id| {
            let document = cargo.snapshots.get(id)?;
            let work = async move {
                self.link.send_snapshot(document).await?;
                self.report.sent(document.json().len() as u64);
                self.snapshots.insert(id.clone(), ());
                Ok(())
            };
            Some(work.boxed())
        });
        first_failure(until_down(work.collect(), EVENTS_AT_ONCE).await)
    }

    /// Sends the files. Those that can be sent are, also when another one cannot.
    async fn send_assets(&self, cargo: &Cargo, lacking: &Lacking) -> Result<(), Undelivered> {
        let assets = lacking.assets.iter();
        let work = assets.map(|owned| self.send_asset(cargo, owned).boxed());
        first_failure(until_down(work.collect(), ASSETS_IN_FLIGHT).await)
    }

    async fn send_asset(&self, cargo: &Cargo, owned: &OwnedAsset) -> Result<(), Undelivered> {
        let Some(path) = cargo.path(owned) else {
            return Ok(());
        };
        // Never closed: this is the wait for its turn.
        let _turn = self.in_flight.acquire().await;
        let body = self.stores.assets.open(owned.asset, None).await?;
        let body = body.ok_or_else(|| {
            Undelivered::NotHere(format!("{path} ({}) is not in this region", owned.asset))
        })?;
        self.link.send_asset(owned, path, body.bytes).await?;
        self.report.sent(owned.asset.size);
        self.assets.insert(owned.clone(), ());
        Ok(())
    }

    /// Tells of the names of events for which everything is there.
    async fn tell(&self, events: &[&RegionEvent]) -> Vec<Result<Delivered, Undelivered>> {
        if events.len() > 1
            && let Some(outcomes) = self.tell_together(events).await
        {
            return outcomes;
        }
        let mut outcomes: Vec<Result<Delivered, Undelivered>> = Vec::with_capacity(events.len());
        for event in events {
            let outcome = match outcomes.last() {
                // The others would not get through either.
                Some(Err(down @ Undelivered::Unavailable { .. })) => Err(down.clone()),
                _ => self.tell_one(event).await,
            };
            outcomes.push(outcome);
        }
        outcomes
    }

    /// Tells of the names of many events in one request. `None` when that did not work, for whichever of them.
    async fn tell_together(
        &self,
        events: &[&RegionEvent],
    ) -> Option<Vec<Result<Delivered, Undelivered>>> {
        let names: Vec<NameRecord> = events
            .iter()
            .flat_map(|event| event.names.clone())
            .collect();
        if names.is_empty() {
            return Some(events.iter().map(|_| Ok(Delivered::Applied)).collect());
        }
        let repair = events.first()?.repair;
        let request = NamesRequest { names, repair };
        let answer = match self.link.names(&request).await {
            Ok(answer) if answer.outcomes.len() == request.names.len() => answer,
            Err(error @ LinkError::Unavailable { .. }) => {
                let down = Undelivered::from(error);
                return Some(events.iter().map(|_| Err(down.clone())).collect());
            }
            Ok(_) | Err(_) => return None,
        };
        let mut outcomes = answer.outcomes.into_iter();
        let each = events
            .iter()
            .map(|event| Ok(delivered(outcomes.by_ref().take(event.names.len()))));
        Some(each.collect())
    }

    async fn tell_one(&self, event: &RegionEvent) -> Result<Delivered, Undelivered> {
        if event.names.is_empty() {
            return Ok(Delivered::Applied);
        }
        let request = NamesRequest {
            names: event.names.clone(),
            repair: event.repair,
        };
        let mut missing = Lacking::default();
        for _ in 0..ROUNDS {
            match self.link.names(&request).await {
                Ok(answer) => return Ok(delivered(answer.outcomes.into_iter())),
                Err(LinkError::Incomplete(lacking)) => {
                    // It lost what it had, or another sender is not done.
                    for id in &lacking.snapshots {
                        self.snapshots.remove(id);
                    }
                    for asset in &lacking.assets {
                        self.assets.remove(asset);
                    }
                    self.make_ready(event).await?;
                    missing = lacking;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(LinkError::Incomplete(missing).into())
    }
}

/// Does so many of these at once, and tells what came of each, in their order. Once the region does not answer for one, those that
/// have not begun are not tried.
pub(crate) async fn until_down<T: Send>(
    work: Vec<BoxFuture<'_, Result<T, Undelivered>>>,
    at_once: usize,
) -> Vec<Result<T, Undelivered>> {
    let down = AtomicBool::new(false);
    let down = &down;
    let mut numbered: Vec<BoxFuture<'_, (usize, Result<T, Undelivered>)>> = Vec::new();
    for (number, work) in work.into_iter().enumerate() {
        let unless_down = async move {
            if down.load(Relaxed) {
                let untried = Undelivered::Unavailable {
                    why: "it did not answer for something before".into(),
                    retry_after: None,
                };
                return (number, Err(untried));
            }
            let done = work.await;
            if matches!(done, Err(Undelivered::Unavailable { .. })) {
                down.store(true, Relaxed);
            }
            (number, done)
        };
        numbered.push(unless_down.boxed());
    }
    let done = stream::iter(numbered).buffer_unordered(at_once);
    let mut done: Vec<_> = done.collect().await;
    done.sort_unstable_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, done)| done).collect()
}

/// Fails with what says most: that the region does not answer, if it does not.
fn first_failure(sent: Vec<Result<(), Undelivered>>) -> Result<(), Undelivered> {
    let mut failed: Vec<Undelivered> = sent.into_iter().filter_map(Result::err).collect();
    let is_down = |error: &Undelivered| matches!(error, Undelivered::Unavailable { .. });
    match failed.iter().position(is_down) {
        Some(at) => Err(failed.swap_remove(at)),
        None => failed.into_iter().next().map_or(Ok(()), Err),
    }
}

/// What came of the names of an event, all of which are taken from `outcomes`.
fn delivered(outcomes: impl Iterator<Item = NameOutcome>) -> Delivered {
    let outcomes: Vec<NameOutcome> = outcomes.collect();
    if outcomes.is_empty() || outcomes.contains(&NameOutcome::Applied) {
        Delivered::Applied
    } else {
        Delivered::NotNeeded
    }
}
