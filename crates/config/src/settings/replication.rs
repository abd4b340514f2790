//! Other regions.

use crate::{
    keys,
    parse::{choice, line},
    reader::{Checked, Reader},
    service_url::ServiceUrl,
};

/// Every target has a cursor and connections of its own.
const MAX_TARGETS: usize = 64;
/// It becomes part of tokens, records and log lines.
const MAX_NAME_BYTES: usize = 128;

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
        let this = Self {
            name: name?,
            urls: urls?,
            delivery: delivery?,
        };
        if this.name.is_none() {
            let off = "has no effect: without ZE_WORKER_REPLICA_NAME replication is off";
            if !this.urls.is_empty() {
                reader.warn(keys::REPLICAS_URLS, off);
            }
            if this.delivery == Delivery::Relay {
                reader.warn(keys::REPLICATION, off);
            }
        }
        Ok(this)
    }
}

fn read_urls(reader: &mut Reader<'_>) -> Checked<Vec<ServiceUrl>> {
    let key = keys::REPLICAS_URLS;
    let listed = reader.list(key, ServiceUrl::parse_base)?;
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
