//! Assets: content-addressed bytes in any object store.

use std::{collections::HashSet, fmt, ops::Range, sync::Arc, time::Duration};

use bytes::Bytes;
use favonius_contract::{AssetHash, AssetRef};
use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use object_store::{
    GetOptions, GetRange, GetResult, ObjectMeta, ObjectStore, ObjectStoreExt, path::Path,
};
use quick_cache::sync::Cache;
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

use crate::{
    ErrorKind, StorageError,
    error::{absent_or, object_error},
    upload::UploadMemory,
};

/// Look-ups at once when the assets of a whole snapshot are checked.
const CHECKS_AT_ONCE: usize = 64;
/// How many assets are remembered as present.
const CONFIRMED_LIMIT: usize = 100_000;
/// For how long: a bucket may lose objects behind our back.
const CONFIRMED_FOR: Duration = Duration::from_mins(1);
/// How long a store may take to say why it did not give a range.
const EXPLANATION: Duration = Duration::from_secs(2);

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
    pub(crate) upload_memory: UploadMemory,
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
            upload_memory: UploadMemory::default(),
            confirmed: Arc::new(Cache::new(CONFIRMED_LIMIT)),
        }
    }

    /// Whether the store has this asset. A recent answer may be used again.
    pub async fn contains(&self, asset: AssetRef) -> Result<bool, StorageError> {
        let confirmed = self.confirmed.get(&asset);
        if confirmed.is_some_and(|at| at.elapsed() < CONFIRMED_FOR) {
            return Ok(true);
        }
        self.look_up(asset).await
    }

    /// Asks the store whether it has this asset.
    pub(crate) async fn look_up(&self, asset: AssetRef) -> Result<bool, StorageError> {
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

    /// Which of these assets the store lacks: each once, at most `limit` of them.
    pub async fn missing(
        &self,
        assets: impl IntoIterator<Item = AssetRef>,
        limit: usize,
    ) -> Result<Vec<AssetRef>, StorageError> {
        let assets: HashSet<_> = assets.into_iter().collect();
        stream::iter(assets)
            .map(async |asset| Ok((asset, self.contains(asset).await?)))
            .buffer_unordered(CHECKS_AT_ONCE)
            .try_filter_map(async |(asset, found)| Ok((!found).then_some(asset)))
            .take(limit)
            .try_collect()
            .await
    }

    /// Opens an asset, or the given bytes of it. `None` when the store lacks it.
    ///
    /// An object of another length than the asset's is [`ErrorKind::Corrupt`].
    pub async fn open(
        &self,
        asset: AssetRef,
        range: Option<Range<u64>>,
    ) -> Result<Option<AssetBody>, StorageError> {
        let range = range.unwrap_or(0..asset.size);
        if range.start > range.end || range.end > asset.size {
            let why = format!("it has {} bytes, not those of {range:?}", asset.size);
            return Err(
                StorageError::new(ErrorKind::Internal, "read asset", asset.to_string())
                    .because(why),
            );
        }
        let mut corrupt = None;
        for key in [AssetKey::Asset(asset), AssetKey::Legacy(asset.hash)] {
            let path = key.path();
            match self.fetch(&path, asset.size, &range).await? {
                Fetched::Bytes(found) => return Ok(Some(body(found, range, path))),
                Fetched::OfSize(size) if matches!(key, AssetKey::Asset(_)) => {
                    let why = format!("it has {size} bytes");
                    corrupt = Some(
                        StorageError::new(ErrorKind::Corrupt, "read asset", path.as_ref())
                            .because(why),
                    );
                }
                // What another worker stored by the hash alone may be another asset.
                Fetched::OfSize(_) | Fetched::Nothing => {}
            }
        }
        // So that it can be uploaded again at once.
        self.confirmed.remove(&asset);
        corrupt.map_or(Ok(None), Err)
    }

    /// Asks for bytes of an object that should have this size.
    async fn fetch(
        &self,
        path: &Path,
        size: u64,
        range: &Range<u64>,
    ) -> Result<Fetched, StorageError> {
        let whole = *range == (0..size);
        let options = GetOptions {
            // Stores do not give a range of an empty object, nor an empty range of another.
            range: (!whole && !range.is_empty()).then(|| GetRange::Bounded(range.clone())),
            head: range.is_empty(),
            ..GetOptions::default()
        };
        let result = self.store.get_opts(path, options).await;
        match absent_or(result, "read asset", path) {
            Ok(None) => Ok(Fetched::Nothing),
            Ok(Some(found)) if found.meta.size == size => Ok(Fetched::Bytes(found)),
            Ok(Some(found)) => Ok(Fetched::OfSize(found.meta.size)),
            Err(error) => {
                // Of an object that is too short a range cannot be had, for which each store has its own error.
                if !whole
                    && error.kind() != ErrorKind::Denied
                    && let Ok(Ok(meta)) = timeout(EXPLANATION, self.store.head(path)).await
                    && meta.size != size
                {
                    return Ok(Fetched::OfSize(meta.size));
                }
                Err(error)
            }
        }
    }

    /// Whether the store answers and lets us look. A bucket that does not exist is an error.
    pub async fn check(&self) -> Result<(), StorageError> {
        // A listing of nothing: to look for one object would not tell a missing bucket from a missing object.
        let path = Path::from(".favonius-check");
        let first = self.store.list(Some(&path)).next().await;
        absent_or(first.transpose(), "reach the bucket with", &path).map(drop)
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

    /// All assets of the bucket, in no order. One that stands there under the hash alone as well comes twice.
    pub fn list(&self) -> BoxStream<'static, Result<AssetRef, StorageError>> {
        self.store
            .list(None)
            .map_err(|error| object_error(error, "list", &Path::default()))
            .try_filter_map(async |meta| Ok(listed(&meta)))
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

/// What a store has under a key.
enum Fetched {
    Nothing,
    /// Something of another size.
    OfSize(u64),
    /// The bytes that were asked for.
    Bytes(GetResult),
}

/// The asset that an object is, by its name.
fn listed(meta: &ObjectMeta) -> Option<AssetRef> {
    let name = meta.location.as_ref();
    let legacy = |hash| AssetRef {
        hash,
        size: meta.size,
    };
    name.parse().ok().or_else(|| name.parse().ok().map(legacy))
}

/// Passes the bytes on and fails where there are fewer or more than there must be: a body that ends early must not look
/// whole.
fn body(found: GetResult, range: Range<u64>, path: Path) -> AssetBody {
    let expected = range.end.saturating_sub(range.start);
    let bytes = if expected == 0 {
        stream::empty().boxed()
    } else {
        found.into_stream()
    };
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
