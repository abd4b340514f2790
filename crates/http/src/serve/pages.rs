//! HTML pages that the edge adds an import map to: worked out once for each page and deployment, not per request.
//!
//! Builds read environment variables by importing `env:vars:<application uid>` as JSON, and newer ones write no import
//! map that says where that is. Without it a browser shows nothing.

use std::{hash::Hash, sync::Arc};

use favonius_contract::{AssetHash, AssetRef, MANIFEST_FILE};
use favonius_storage::StorageError;
use favonius_telemetry::instruments::{Cache as Kept, Lookup};
use quick_cache::{Equivalent, Weighter, sync::Cache};
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::{conditional, found::Found, html};
use crate::{
    deployments::cache,
    edge::Shared,
    failure::Failure,
    flight::{Flights, part_of_request},
    memory::Held,
};

/// Largest page that is looked into, in bytes. Larger ones are served as they are.
const LARGEST: u64 = 4 * 1024 * 1024;
/// Pages that the cache is laid out for; its bound is their size.
const EXPECTED: usize = 1024;

/// A page that the edge made of an asset.
#[derive(Debug, Clone)]
pub(super) struct Page {
    /// What its forms and validators are known by: what an asset of its bytes would be.
    pub(super) id: AssetRef,
    pub(super) held: Arc<Held>,
}

/// A page, if anything is to be added to it.
pub(super) type Made = Option<Page>;
/// Nothing when the store lacks the asset.
type Loaded = Result<Option<Made>, Arc<StorageError>>;

/// The page, and all that goes into the import map.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    asset: AssetRef,
    application: String,
    prefix: String,
}

/// The same, borrowed: it must have the same hash.
#[derive(Hash)]
pub(super) struct Asked<'a> {
    asset: AssetRef,
    application: &'a str,
    prefix: &'a str,
}

impl Equivalent<Key> for Asked<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.asset == key.asset && self.application == key.application && self.prefix == key.prefix
    }
}

#[derive(Clone)]
struct BySize;

impl Weighter<Key, Made> for BySize {
    fn weight(&self, key: &Key, page: &Made) -> u64 {
        let bytes = page.as_ref().map_or(0, |page| page.held.bytes.len());
        (bytes + key.application.len() + key.prefix.len() + 256) as u64
    }
}

/// The pages in memory.
pub(crate) struct Pages {
    kept: Arc<Cache<Key, Made, BySize>>,
    flights: Flights<Key, Loaded>,
}

impl Pages {
    pub(crate) fn new(memory_bytes: u64, tasks: TaskTracker) -> Self {
        Self {
            kept: Arc::new(cache(EXPECTED, memory_bytes, BySize)),
            flights: Flights::new(tasks),
        }
    }

    /// How much memory they take.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.kept.weight()
    }

    /// What to look for, where an asset may have a page.
    pub(super) fn may_have<'a>(found: &Found<'a>) -> Option<Asked<'a>> {
        let snapshot = found.live.snapshot();
        let has_manifest = snapshot.manifest_path().is_some() || found.live.manifest().is_some();
        if !has_manifest || snapshot.is_sealed() || found.asset.size > LARGEST {
            return None;
        }
        Some(Asked {
            asset: found.asset,
            application: snapshot.application_uid.as_str(),
            prefix: found.prefix,
        })
    }

    /// What is in memory, if anything is known. It does not count before [`count_hit`](Self::count_hit).
    pub(super) fn kept(&self, asked: &Asked<'_>) -> Option<Made> {
        self.kept.get(asked)
    }

    /// Counts that a request found in memory what it wants.
    pub(super) fn count_hit(edge: &Shared, found: &Found<'_>) {
        if !found.question.is_repeated() {
            let instruments = &edge.options.reporter.instruments;
            instruments.cache_lookup(Kept::Pages, Lookup::Hit);
        }
    }

    /// The page with what the edge adds; `None` when it is served as it is.
    pub(super) async fn get(
        &self,
        edge: &Shared,
        found: &Found<'_>,
    ) -> Result<Option<Page>, Failure> {
        let Some(asked) = Self::may_have(found) else {
            return Ok(None);
        };
        if let Some(page) = self.kept(&asked) {
            Self::count_hit(edge, found);
            return Ok(page);
        }
        found.question.wait().await;
        let instruments = &edge.options.reporter.instruments;
        instruments.cache_lookup(Kept::Pages, Lookup::Miss);
        Box::pin(self.make(edge, &asked))
            .await?
            .ok_or_else(Found::pending)
    }

    async fn make(&self, edge: &Shared, asked: &Asked<'_>) -> Loaded {
        let key = Key {
            asset: asked.asset,
            application: asked.application.to_owned(),
            prefix: asked.prefix.to_owned(),
        };
        let begin = || {
            let (memory, kept, key) = (edge.memory.clone(), Arc::clone(&self.kept), key.clone());
            let make = async move {
                let Some(html) = memory.asset(key.asset).await? else {
                    return Ok(None);
                };
                let page = with_import_map(&html, &key);
                kept.insert(key, page.clone());
                Ok(Some(page))
            };
            make.instrument(part_of_request(|| tracing::debug_span!("make page")))
        };
        let kept = || self.kept.peek(asked).map(|page| Ok(Some(page)));
        self.flights.join(&key, kept, begin).get().await
    }
}

fn with_import_map(html: &Held, key: &Key) -> Made {
    let manifest_url = format!("{}/{MANIFEST_FILE}", key.prefix);
    let page = html::insert_import_map(&html.bytes, &key.application, &manifest_url)?;
    let id = AssetRef {
        hash: AssetHash::of(&page, "import-map"),
        size: page.len() as u64,
    };
    let held = Held::new(page.into(), conditional::etag(id, None), html.key);
    Some(Page { id, held })
}
