//! Assets: content-addressed bytes in any object store.

use std::{collections::HashSet, fmt, ops::Range, sync::Arc, time::Duration};

use bytes::Bytes;
use favonius_contract::{AssetHash, AssetRef};
use futures::{Stream, StreamExt, TryStreamExt, stream, stream::BoxStream};
use object_store::{
    GetOptions, GetRange, GetResult, ObjectMeta, ObjectStore, ObjectStoreExt, path::Path,
};
use quick_cache::sync::Cache;
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

use crate::{
    ErrorKind, StorageError,
    error::{absent_or, object_error},
    upload_memory::UploadMemory,
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
    /// Under which key an asset was found, and when.
    confirmed: Arc<Cache<AssetRef, (AssetKey, Instant)>>,
}

/// The bytes of an asset, or of a range of it, while they come in.
pub struct AssetBody {
    /// Under which key the object stands.
    pub key: AssetKey,
    /// Which bytes these are.
    pub range: Range<u64>,
    /// The bytes: exactly as many as the range has, or an error at the end.
    pub bytes: BoxStream<'static, Result<Bytes, StorageError>>,
}

impl fmt::Debug for AssetBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AssetBody")
            .field("key", &self.key)
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

    /// Bounds the memory that the bodies of all uploads under way take together; 256 MiB by default, and 8 MiB
    /// at least. When it is all taken, one upload at a time may go on beyond it, by 8 MiB at most.
    #[must_use]
    pub fn with_upload_memory(self, bytes: usize) -> Self {
        Self {
            upload_memory: UploadMemory::new(bytes),
            ..self
        }
    }

    /// Whether the store has this asset. A recent answer may be used again.
    pub async fn contains(&self, asset: AssetRef) -> Result<bool, StorageError> {
        Ok(self.locate(asset).await?.is_some())
    }

    /// Under which key the store has this asset. A recent answer may be used again.
    pub async fn locate(&self, asset: AssetRef) -> Result<Option<AssetKey>, StorageError> {
        match self.remembered(asset) {
            Some(key) => Ok(Some(key)),
            None => self.look_up(asset).await,
        }
    }

    /// Under which key the store had this asset a moment ago.
    pub(crate) fn remembered(&self, asset: AssetRef) -> Option<AssetKey> {
        let (key, at) = self.confirmed.get(&asset)?;
        (at.elapsed() < CONFIRMED_FOR).then_some(key)
    }

    /// Asks the store under which key it has this asset.
    pub(crate) async fn look_up(&self, asset: AssetRef) -> Result<Option<AssetKey>, StorageError> {
        for key in [AssetKey::Asset(asset), AssetKey::Legacy(asset.hash)] {
            if self.look_up_under(asset, key).await? {
                return Ok(Some(key));
            }
        }
        Ok(None)
    }

    /// Asks the store whether it has this asset under this key.
    pub(crate) async fn look_up_under(
        &self,
        asset: AssetRef,
        key: AssetKey,
    ) -> Result<bool, StorageError> {
        let path = key.path();
        let found = absent_or(self.store.head(&path).await, "look up asset", &path)?;
        let found = found.is_some_and(|meta| meta.size == asset.size);
        if found {
            self.confirm(asset, key);
        }
        Ok(found)
    }

    /// Whether the store has this asset under its hash alone, where another worker left it for every application.
    pub async fn is_shared(&self, asset: AssetRef) -> Result<bool, StorageError> {
        self.look_up_under(asset, AssetKey::Legacy(asset.hash))
            .await
    }

    /// Under which keys the store has these assets, each once, in no order.
    pub async fn locate_all(
        &self,
        assets: impl IntoIterator<Item = AssetRef>,
    ) -> Result<Vec<(AssetRef, Option<AssetKey>)>, StorageError> {
        self.located(assets).try_collect().await
    }

    /// Which of these an application lacks that uploaded `own` itself: what the store does not have, and what is there for others
    /// only. What another worker stored by the hash alone has no owner on record and is there for everybody; an asset may be there
    /// both ways.
    pub async fn lacking(
        &self,
        assets: impl IntoIterator<Item = AssetRef>,
        own: &HashSet<AssetRef>,
    ) -> Result<HashSet<AssetRef>, StorageError> {
        let assets: HashSet<_> = assets.into_iter().collect();
        stream::iter(assets)
            .map(async |asset| {
                let is_lacking = match self.locate(asset).await? {
                    None => true,
                    Some(AssetKey::Legacy(_)) => false,
                    Some(AssetKey::Asset(_)) => {
                        !own.contains(&asset) && !self.is_shared(asset).await?
                    }
                };
                Ok(is_lacking.then_some(asset))
            })
            .buffer_unordered(CHECKS_AT_ONCE)
            .try_filter_map(async |lacking| Ok(lacking))
            .try_collect()
            .await
    }

    /// Which of these assets the store lacks: each once, at most `limit` of them.
    pub async fn missing(
        &self,
        assets: impl IntoIterator<Item = AssetRef>,
        limit: usize,
    ) -> Result<Vec<AssetRef>, StorageError> {
        self.located(assets)
            .try_filter_map(async |(asset, key)| Ok(key.is_none().then_some(asset)))
            .take(limit)
            .try_collect()
            .await
    }

    fn located(
        &self,
        assets: impl IntoIterator<Item = AssetRef>,
    ) -> impl Stream<Item = Result<(AssetRef, Option<AssetKey>), StorageError>> {
        let assets: HashSet<_> = assets.into_iter().collect();
        stream::iter(assets)
            .map(async |asset| Ok((asset, self.locate(asset).await?)))
            .buffer_unordered(CHECKS_AT_ONCE)
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
                Fetched::Bytes(found) => return Ok(Some(body(found, range, key))),
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

    /// Removes an asset and its forms; what is not there is removed already.
    pub async fn remove(&self, asset: AssetRef) -> Result<(), StorageError> {
        self.confirmed.remove(&asset);
        // First: without their asset nobody would come back for them.
        self.remove_derived(asset).await?;
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

    pub(crate) fn confirm(&self, asset: AssetRef, key: AssetKey) {
        self.confirmed.insert(asset, (key, Instant::now()));
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

fn body(found: GetResult, range: Range<u64>, key: AssetKey) -> AssetBody {
    let expected = range.end.saturating_sub(range.start);
    let bytes = if expected == 0 {
        stream::empty().boxed()
    } else {
        found.into_stream()
    };
    AssetBody {
        key,
        range,
        bytes: counted(bytes, expected, "read asset", key.path()).boxed(),
    }
}

/// Passes the bytes on and fails where there are fewer or more than there must be: a body that ends early must not look
/// whole.
pub(crate) fn counted(
    bytes: BoxStream<'static, object_store::Result<Bytes>>,
    expected: u64,
    op: &'static str,
    path: Path,
) -> impl Stream<Item = Result<Bytes, StorageError>> + Send + 'static {
    stream::try_unfold(
        (bytes, expected, path),
        move |(mut bytes, left, path)| async move {
            match bytes.next().await {
                Some(Ok(piece)) => match left.checked_sub(piece.len() as u64) {
                    Some(left) => Ok(Some((piece, (bytes, left, path)))),
                    None => Err(wrong_length(op, &path, "more")),
                },
                Some(Err(error)) => Err(object_error(error, op, &path)),
                None if left == 0 => Ok(None),
                None => Err(wrong_length(op, &path, "fewer")),
            }
        },
    )
}

fn wrong_length(op: &'static str, path: &Path, more_or_fewer: &str) -> StorageError {
    StorageError::new(ErrorKind::Corrupt, op, path.as_ref())
        .because(format!("the store gave {more_or_fewer} bytes than it has"))
}

#[cfg(test)]
mod tests {
    use favonius_contract::AssetHash;
    use object_store::memory::InMemory;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_says_under_which_key_an_asset_stands() {
        let assets = Assets::new(Arc::new(InMemory::new()), TaskTracker::new());
        let asset = |content: &[u8]| AssetRef {
            hash: AssetHash::of(content, "x"),
            size: content.len() as u64,
        };
        let (new, old, gone) = (asset(b"new"), asset(b"old"), asset(b"gone"));
        for (key, content) in [
            (AssetKey::Asset(new), "new"),
            (AssetKey::Legacy(old.hash), "old"),
            (AssetKey::Legacy(gone.hash), "of another size"),
        ] {
            assets.store.put(&key.path(), content.into()).await.unwrap();
        }
        for (name, asset, expected) in [
            ("new", new, Some(AssetKey::Asset(new))),
            ("old", old, Some(AssetKey::Legacy(old.hash))),
            ("gone", gone, None),
        ] {
            for time in ["asked", "remembered"] {
                let found = assets.locate(asset).await.unwrap();
                assert_eq!(found, expected, "case `{name}`, {time}");
            }
            let opened = assets.open(asset, None).await.unwrap();
            assert_eq!(opened.map(|body| body.key), expected, "case `{name}`");
            let all = assets.locate_all([asset, asset]).await.unwrap();
            assert_eq!(all, [(asset, expected)], "case `{name}`");
        }

        // What is there under its own key is there for who uploaded it.
        for (own, expected) in [
            (HashSet::from([new]), HashSet::from([gone])),
            (HashSet::new(), HashSet::from([new, gone])),
        ] {
            let lacking = assets.lacking([new, old, gone], &own).await.unwrap();
            assert_eq!(lacking, expected, "of {own:?}");
        }

        let stronger = AssetKey::Asset(old);
        assets
            .store
            .put(&stronger.path(), "old".into())
            .await
            .unwrap();
        let remembered = assets.locate(old).await.unwrap();
        assert_eq!(remembered, Some(AssetKey::Legacy(old.hash)));
        tokio::time::advance(CONFIRMED_FOR).await;
        assert_eq!(assets.locate(old).await.unwrap(), Some(stronger));
    }
}
