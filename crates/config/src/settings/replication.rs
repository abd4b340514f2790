//! Other regions.

use std::time::Duration;

use crate::{
    keys,
    parse::{boolean, choice, line, millis_within},
    reader::{Checked, Reader},
    service_url::ServiceUrl,
    settings::Storage,
};

/// Every target has a cursor and connections of its own.
const MAX_TARGETS: usize = 64;
/// It becomes part of tokens, records and log lines.
const MAX_NAME_BYTES: usize = 128;
/// More often a comparison would overtake the one before it; more seldom it would repair nothing in time.
const REPAIR_MS: std::ops::RangeInclusive<u64> = 1000..=24 * 60 * 60 * 1000;

/// Other regions, and who delivers to them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Replication {
    /// Name of this instance. `None`: replication is off.
    pub name: Option<String>,
    /// Where changes are sent, each once. Empty: receive-only.
    pub urls: Vec<ServiceUrl>,
    /// Who delivers.
    pub delivery: Delivery,
    /// Whether an asset that a record names and the store lacks is fetched from another region.
    pub read_through: bool,
    /// How often this region is compared with each other one.
    pub repair_every: Duration,
}

/// Who delivers changes to other regions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The workers do.
    Worker,
    /// `favonius-relay` does.
    Relay,
}

impl Replication {
    pub(super) fn read(reader: &mut Reader<'_>) -> Checked<Self> {
        let name = reader.optional(keys::REPLICA_NAME, line(MAX_NAME_BYTES));
        let urls = read_urls(reader);
        let delivery = reader.value(
            keys::REPLICATION,
            choice(&[("worker", Delivery::Worker), ("relay", Delivery::Relay)]),
        );
        let read_through = reader.value(keys::READ_THROUGH, boolean);
        let repair_every = reader.value(keys::REPAIR_INTERVAL_MS, millis_within(REPAIR_MS));
        let this = Self {
            name: name?,
            urls: urls?,
            delivery: delivery?,
            read_through: read_through?,
            repair_every: repair_every?,
        };
        if this.name.is_none() {
            this.warn_that_it_is_off(reader);
        }
        Ok(this)
    }

    fn warn_that_it_is_off(&self, reader: &mut Reader<'_>) {
        let off = "has no effect: without ZE_WORKER_REPLICA_NAME replication is off";
        if !self.urls.is_empty() {
            reader.warn(keys::REPLICAS_URLS, off);
        }
        if self.delivery == Delivery::Relay {
            reader.warn(keys::REPLICATION, off);
        }
        for key in [keys::READ_THROUGH, keys::REPAIR_INTERVAL_MS] {
            if reader.is_set(key) {
                reader.warn(key, off);
            }
        }
    }

    /// Whether there is somebody who can deliver: a relay is a process of its own, and an embedded database is open in one
    /// process only.
    pub(super) fn check_storage(&self, storage: &Storage, reader: &mut Reader<'_>) -> Checked<()> {
        let is_embedded = matches!(storage, Storage::Embedded { .. });
        if is_embedded && self.name.is_some() && self.delivery == Delivery::Relay {
            return Err(reader.conflict(
                keys::REPLICATION,
                "is relay, which cannot read the storage that ZE_WORKER_STORAGE=embedded keeps to one process",
            ));
        }
        Ok(())
    }
}

fn read_urls(reader: &mut Reader<'_>) -> Checked<Vec<ServiceUrl>> {
    let key = keys::REPLICAS_URLS;
    // A region is a name in logs and figures, and tokens say who sends: there is no place for credentials.
    let listed = reader.list(key, ServiceUrl::parse_without_credentials)?;
    let mut urls = Vec::<ServiceUrl>::with_capacity(listed.len());
    for url in listed {
        // A change must be sent to a region once, however often it is listed.
        if urls.iter().any(|other| is_same(other, &url)) {
            reader.warn(key, format!("names {url} more than once"));
        } else {
            urls.push(url);
        }
    }
    if urls.len() > MAX_TARGETS {
        return Err(reader.conflict(key, format!("names more than {MAX_TARGETS} regions")));
    }
    Ok(urls)
}

fn is_same(left: &ServiceUrl, right: &ServiceUrl) -> bool {
    let trimmed = |url: &ServiceUrl| url.url().as_str().trim_end_matches('/').to_owned();
    trimmed(left) == trimmed(right)
}
