//! Assets: content-addressed bytes in any object store.

use std::{
    fmt,
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use favonius_contract::{AssetHash, AssetRef};
use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use object_store::{GetOptions, GetRange, GetResult, ObjectStore, ObjectStoreExt, path::Path};
use quick_cache::sync::Cache;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::{
    ErrorKind, StorageError,
    error::{absent_or, object_error},
};

/// Look-ups at once when the assets of a whole snapshot are checked.
const CHECKS_AT_ONCE: usize = 64;
/// How many assets are remembered as present.
const CONFIRMED_LIMIT: usize = 100_000;
/// For how long: a bucket may lose objects behind our back.
const CONFIRMED_FOR: Duration = Duration::from_mins(1);
/// Memory for the bodies of all uploads that are under way, in KiB: a semaphore counts it.
pub(crate) const UPLOAD_MEMORY_KIB: usize = 256 * 1024;

/// Where an object stands in the bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AssetKey {
    /// An asset, by its whole identity.
    Asset(AssetRef),
    /// An asset in a bucket that another worker filled: by the hash alone.
    Legacy(AssetHash),
}

impl AssetKey {
    /// The object's key.
    pub fn path(self) -> Path {
        match self {
            Self::Asset(asset) => Path::from(asset.to_string()),
            Self::Legacy(hash) => Path::from(hash.to_string()),
        }
    }
}

/// The assets of a region. Clones share state.
#[derive(Clone)]
pub struct Assets {
    pub(crate) store: Arc<dyn ObjectStore>,
    /// Runs what must go on after a caller has left.
    pub(crate) tasks: TaskTracker,
    pub(crate) upload_memory: Arc<Semaphore>,
    confirmed: Arc<Cache<AssetRef, Instant>>,
}

/// The bytes of an asset, or of a range of it, while they come in.
pub struct AssetBody {
    /// Which bytes these are.
    pub range: Range<u64>,
    /// The bytes: exactly as many as the range has, or an error at the end.
    pub bytes: BoxStream<'static, Result<Bytes, StorageError>>,
}

impl fmt::Debug for AssetBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AssetBody")
            .field("range", &self.range)
            .finish_non_exhaustive()
    }
}

impl Assets {
    /// Keeps assets in this store. `tasks` is what shutdown waits for.
    pub fn new(store: Arc<dyn ObjectStore>, tasks: TaskTracker) -> Self {
        Self {
            store,
            tasks,
            upload_memory: Arc::new(Semaphore::new(UPLOAD_MEMORY_KIB)),
            confirmed: Arc::new(Cache::new(CONFIRMED_LIMIT)),
        }
    }

    /// Whether the store has this asset. A recent answer may be used again.
    pub async fn contains(&self, asset: AssetRef) -> Result<bool, StorageError> {
        if self
            .confirmed
            .get(&asset)
            .is_some_and(|at| at.elapsed() < CONFIRMED_FOR)
        {
            return Ok(true);
        }
        for key in [AssetKey::Asset(asset), AssetKey::Legacy(asset.hash)] {
            let path = key.path();
            let found = absent_or(self.store.head(&path).await, "look up asset", &path)?;
            if found.is_some_and(|meta| meta.size == asset.size) {
                self.confirm(asset);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Which of these assets the store lacks, at most `limit` of them.
    pub async fn missing(
        &self,
        assets: impl IntoIterator<Item = AssetRef>,
        limit: usize,
    ) -> Result<Vec<AssetRef>, StorageError> {
        let assets: Vec<_> = assets.into_iter().collect();
        stream::iter(assets)
            .map(async |asset| Ok((asset, self.contains(asset).await?)))
            .buffer_unordered(CHECKS_AT_ONCE)
            .try_filter_map(async |(asset, found)| Ok((!found).then_some(asset)))
            .take(limit)
            .try_collect()
            .await
    }

    /// Opens an asset, or the given bytes of it. `None` when the store lacks it.
    pub async fn open(
        &self,
        asset: AssetRef,
        range: Option<Range<u64>>,
    ) -> Result<Option<AssetBody>, StorageError> {
        let range = range.unwrap_or(0..asset.size);
        for key in [AssetKey::Asset(asset), AssetKey::Legacy(asset.hash)] {
            let path = key.path();
            let options = GetOptions {
                // A whole asset is asked for without a range: some stores cannot give a range of an empty object.
                range: (range != (0..asset.size)).then(|| GetRange::Bounded(range.clone())),
                ..GetOptions::default()
            };
            let result = self.store.get_opts(&path, options).await;
            let Some(found) = absent_or(result, "read asset", &path)? else {
                continue;
            };
            if found.meta.size == asset.size {
                return Ok(Some(body(found, range, path)));
            }
            if matches!(key, AssetKey::Asset(_)) {
                return Err(
                    StorageError::new(ErrorKind::Corrupt, "read asset", path.as_ref())
                        .because(format!("it has {} bytes", found.meta.size)),
                );
            }
        }
        self.confirmed.remove(&asset);
        Ok(None)
    }

    /// Whether the store answers and lets us read and list.
    pub async fn check(&self) -> Result<(), StorageError> {
        // An object that nobody stores: absence is the good answer, and it needs no right but to read.
        let path = Path::from(".favonius-check");
        absent_or(self.store.head(&path).await, "reach the bucket with", &path).map(drop)
    }

    /// Removes an asset; what is not there is removed already.
    pub async fn remove(&self, asset: AssetRef) -> Result<(), StorageError> {
        self.confirmed.remove(&asset);
        for key in [AssetKey::Asset(asset), AssetKey::Legacy(asset.hash)] {
            let path = key.path();
            absent_or(self.store.delete(&path).await, "remove asset", &path)?;
        }
        Ok(())
    }

    /// All assets of the bucket, in no order.
    pub fn list(&self) -> BoxStream<'static, Result<AssetRef, StorageError>> {
        self.store
            .list(None)
            .map_err(|error| object_error(error, "list", &Path::default()))
            .try_filter_map(async |meta| Ok(meta.location.as_ref().parse().ok()))
            .boxed()
    }

    pub(crate) fn confirm(&self, asset: AssetRef) {
        self.confirmed.insert(asset, Instant::now());
    }
}

impl fmt::Debug for Assets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Assets").field(&self.store).finish()
    }
}

/// Passes the bytes on and fails where there are fewer or more than there must be: a body that ends early must not look
/// whole.
fn body(found: GetResult, range: Range<u64>, path: Path) -> AssetBody {
    let expected = range.end.saturating_sub(range.start);
    let bytes = found.into_stream();
    let counted =
        stream::try_unfold(
            (bytes, expected, path),
            async |(mut bytes, left, path)| match bytes.next().await {
                Some(Ok(piece)) => match left.checked_sub(piece.len() as u64) {
                    Some(left) => Ok(Some((piece, (bytes, left, path)))),
                    None => Err(wrong_length(&path, "more")),
                },
                Some(Err(error)) => Err(object_error(error, "read asset", &path)),
                None if left == 0 => Ok(None),
                None => Err(wrong_length(&path, "fewer")),
            },
        );
    AssetBody {
        range,
        bytes: counted.boxed(),
    }
}

fn wrong_length(path: &Path, more_or_fewer: &str) -> StorageError {
    StorageError::new(ErrorKind::Corrupt, "read asset", path.as_ref())
        .because(format!("the store gave {more_or_fewer} bytes than it has"))
}
