//! HTML pages that the edge adds an import map to: worked out once for each page and deployment, not per request.
//!
//! Builds read environment variables by importing `env:vars:<application uid>` as JSON, and newer ones write no import
//! map that says where that is. Without it a browser shows nothing.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use favonius_contract::{AssetRef, MANIFEST_FILE};
use favonius_telemetry::instruments::{Cache as Kept, Lookup};
use futures::TryStreamExt;
use quick_cache::{Weighter, sync::Cache};

use super::{asset::Found, html};
use crate::{deployments::cache, edge::Shared, failure::Failure};

/// Largest page that is looked into, in bytes. Larger ones are served as they are.
const LARGEST: u64 = 4 * 1024 * 1024;
/// Pages that the cache is laid out for; its bound is their size.
const EXPECTED: usize = 1024;

/// What a page becomes.
#[derive(Clone)]
enum Page {
    /// Nothing is to be added.
    AsIs,
    Changed(Bytes),
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    asset: AssetRef,
    /// Application and place of the manifest: all that goes into the import map.
    map: Arc<(String, String)>,
}

#[derive(Clone)]
struct BySize;

impl Weighter<Key, Page> for BySize {
    fn weight(&self, key: &Key, page: &Page) -> u64 {
        let bytes = match page {
            Page::AsIs => 0,
            Page::Changed(bytes) => bytes.len(),
        };
        (bytes + key.map.0.len() + key.map.1.len() + 128) as u64
    }
}

/// The pages in memory.
pub(crate) struct Pages(Cache<Key, Page, BySize>);

impl Pages {
    pub(crate) fn new(memory_bytes: u64) -> Self {
        Self(cache(EXPECTED, memory_bytes, BySize))
    }

    /// How much memory they take.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.0.weight()
    }

    /// The page with what the edge adds; `None` when it is served as it is.
    pub(super) async fn get(
        &self,
        edge: &Shared,
        found: &Found<'_>,
    ) -> Result<Option<Bytes>, Failure> {
        let deployment = &found.live.deployment;
        let snapshot = &deployment.snapshot;
        let has_manifest = snapshot.manifest_path().is_some()
            || deployment
                .publication
                .as_ref()
                .is_some_and(|p| p.manifest.is_some());
        if !has_manifest || snapshot.is_sealed() || found.asset.size > LARGEST {
            return Ok(None);
        }
        let application = snapshot.application_uid.as_str();
        let manifest_url = format!("{}/{MANIFEST_FILE}", found.prefix);
        let key = Key {
            asset: found.asset,
            map: Arc::new((application.to_owned(), manifest_url)),
        };
        let mut lookup = Lookup::Hit;
        let page = self
            .0
            .get_or_insert_async(&key, async {
                lookup = Lookup::Miss;
                let html = read(edge, found).await?;
                Ok::<_, Failure>(
                    match html::insert_import_map(&html, application, &key.map.1) {
                        Some(changed) => Page::Changed(changed.into()),
                        None => Page::AsIs,
                    },
                )
            })
            .await;
        let instruments = &edge.options.reporter.instruments;
        instruments.cache_lookup(Kept::Pages, lookup);
        Ok(match page? {
            Page::AsIs => None,
            Page::Changed(bytes) => Some(bytes),
        })
    }
}

async fn read(edge: &Shared, found: &Found<'_>) -> Result<Bytes, Failure> {
    let body = found.open(edge, None).await?;
    let room = usize::try_from(found.asset.size).unwrap_or_default();
    let whole = body
        .bytes
        .try_fold(BytesMut::with_capacity(room), async |mut all, piece| {
            all.extend_from_slice(&piece);
            Ok(all)
        });
    Ok(whole.await?.freeze())
}
