//! Taking assets in: bytes are hashed while they stream, and become visible only when they are what was claimed.

use std::{error::Error, sync::Arc};

use bytes::{Bytes, BytesMut};
use favonius_contract::{AssetHash, AssetHasher, AssetRef};
use futures::{Stream, StreamExt};
use object_store::{
    Error as ObjectError, MultipartUpload, ObjectStoreExt, PutMode, PutPayload, path::Path,
};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{AssetKey, Assets, StorageError, error::object_error};

/// Up to this size an asset is held in memory and stored by one request; larger ones are stored in parts of this size.
/// S3 takes no part below 5 MiB but the last.
const PART: usize = 8 * 1024 * 1024;
/// Memory for the bodies of all uploads that are under way.
const UPLOAD_MEMORY_KIB: usize = 256 * 1024;

/// What an uploader says that the bytes are.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// Hash and size.
    pub asset: AssetRef,
    /// The path that went into the hash, exactly as the client hashed it.
    pub path: &'a str,
    /// Whether a hash of the content alone is taken too.
    pub content_hash_too: bool,
    /// What to do when the bytes are something else.
    pub check: HashCheck,
}

/// What happens to bytes whose hash is not the claimed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HashCheck {
    /// They are refused.
    #[default]
    Strict,
    /// They are stored, and a warning is logged.
    Warn,
    /// They are stored.
    Off,
}

/// What came of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// The asset is new.
    New,
    /// The store had it; nothing was written.
    Known,
}

/// Why an upload was not stored. `E` is the error of the body that was read.
#[derive(Debug, thiserror::Error)]
pub enum PutError<E: Error + 'static> {
    /// The store could not.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The body could not be read to its end.
    #[error("the body could not be read to its end")]
    Body(#[source] E),
    /// The bytes are not those that the hash stands for.
    #[error("the bytes have the hash {actual}")]
    WrongHash {
        /// The hash of what came, under the claimed path.
        actual: AssetHash,
    },
    /// There are more or fewer bytes than claimed.
    #[error("{received} bytes came")]
    WrongSize {
        /// How many came before we stopped to read.
        received: u64,
    },
}

impl Assets {
    /// Stores the bytes of `body` if they are what the claim says.
    ///
    /// The body is read to its end also when the asset is known, so that wrong bytes are never acknowledged. Memory is
    /// bounded over all uploads: one that must wait for room is read more slowly. How long it may take is up to the
    /// caller: dropping the future at any time leaves nothing visible behind.
    pub async fn put<S, E>(&self, claim: Claim<'_>, body: S) -> Result<Stored, PutError<E>>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: Error + Send + 'static,
    {
        let mut incoming = Incoming::new(claim, Box::pin(body));
        // Asked anew: what was there a minute ago may be gone, and what is acknowledged must be there.
        let (stored, proof) = if self.look_up(claim.asset).await? {
            while incoming.next().await?.is_some() {}
            (Stored::Known, incoming.verify()?)
        } else if claim.asset.size <= PART as u64 {
            self.put_whole(incoming).await?
        } else {
            self.put_in_parts(incoming).await?
        };
        if let Proof::Other(actual) = proof
            && claim.check == HashCheck::Warn
        {
            tracing::warn!(
                asset = %claim.asset, actual = %actual, stored = ?stored,
                "An upload's bytes do not have its hash (ZE_WORKER_ASSET_HASH=warn)"
            );
        }
        if stored == Stored::New {
            self.confirm(claim.asset);
        }
        Ok(stored)
    }

    /// Stores bytes of our own making under the hash that a client would give them.
    pub async fn put_own(&self, content: Bytes, path: &str) -> Result<AssetRef, StorageError> {
        let asset = AssetRef {
            hash: AssetHash::of(&content, path),
            size: content.len() as u64,
        };
        if !self.look_up(asset).await? {
            let key = AssetKey::Asset(asset).path();
            let result = self.store.put(&key, PutPayload::from_bytes(content)).await;
            result.map_err(|error| object_error(error, "store asset", &key))?;
            self.confirm(asset);
        }
        Ok(asset)
    }

    async fn put_whole<S, E>(
        &self,
        mut incoming: Incoming<'_, S, E>,
    ) -> Result<(Stored, Proof), PutError<E>>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + Unpin,
        E: Error + Send + 'static,
    {
        let asset = incoming.claim.asset;
        let size = usize::try_from(asset.size).unwrap_or(PART);
        let _room = self.upload_memory.room(size).await;
        let mut whole = BytesMut::with_capacity(size);
        while let Some(piece) = incoming.next().await? {
            whole.extend_from_slice(&piece);
        }
        let proof = incoming.verify()?;
        let path = AssetKey::Asset(asset).path();
        let payload = PutPayload::from_bytes(whole.freeze());
        if incoming.claim.check == HashCheck::Strict {
            // All who get here bring the same bytes.
            let put = self.store.put(&path, payload).await;
            put.map_err(|error| object_error(error, "store asset", &path))?;
            return Ok((Stored::New, proof));
        }
        Ok((self.put_first(asset, &path, payload).await?, proof))
    }

    /// Stores bytes that others may bring differently: the first ones stay.
    async fn put_first(
        &self,
        asset: AssetRef,
        path: &Path,
        payload: PutPayload,
    ) -> Result<Stored, StorageError> {
        let create = PutMode::Create.into();
        match self.store.put_opts(path, payload.clone(), create).await {
            Ok(_) => return Ok(Stored::New),
            Err(ObjectError::AlreadyExists { .. }) if self.look_up(asset).await? => {
                return Ok(Stored::Known);
            }
            // An object of a wrong length is replaced. A store that cannot create without replacing was asked before.
            Err(ObjectError::AlreadyExists { .. } | ObjectError::NotImplemented { .. }) => {}
            Err(error) => return Err(object_error(error, "store asset", path)),
        }
        let put = self.store.put(path, payload).await;
        put.map_err(|error| object_error(error, "store asset", path))?;
        Ok(Stored::New)
    }

    async fn put_in_parts<S, E>(
        &self,
        mut incoming: Incoming<'_, S, E>,
    ) -> Result<(Stored, Proof), PutError<E>>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + Unpin,
        E: Error + Send + 'static,
    {
        let Claim { asset, check, .. } = incoming.claim;
        let path = AssetKey::Asset(asset).path();
        let _room = self.upload_memory.room(PART).await;
        let upload = self.store.put_multipart(&path).await;
        let upload = upload.map_err(|error| object_error(error, "store asset", &path))?;
        let mut upload = Unfinished {
            assets: self,
            upload: Some(upload),
        };
        let mut part = BytesMut::with_capacity(PART);
        while let Some(mut piece) = incoming.next().await? {
            while part.len() + piece.len() >= PART {
                part.extend_from_slice(&piece.split_to(PART - part.len()));
                // Sent before the next one takes memory: only one is held.
                upload.part(part.split().freeze(), &path).await?;
                part.reserve(PART);
            }
            part.extend_from_slice(&piece);
        }
        let proof = incoming.verify()?;
        if !part.is_empty() {
            upload.part(part.freeze(), &path).await?;
        }
        // Parts always replace what is there, so others may not have been faster.
        if check != HashCheck::Strict && self.look_up(asset).await? {
            return Ok((Stored::Known, proof));
        }
        match upload.complete().await {
            Ok(()) => Ok((Stored::New, proof)),
            // It was completed by an attempt whose answer was lost.
            Err(ObjectError::NotFound { .. }) if self.look_up(asset).await? => {
                Ok((Stored::New, proof))
            }
            Err(error) => Err(object_error(error, "complete asset", &path).into()),
        }
    }
}

/// Bounds the memory that the bodies of uploads take. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct UploadMemory {
    free: Arc<Semaphore>,
    kib: usize,
}

impl UploadMemory {
    pub(crate) fn new(kib: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(kib)),
            kib,
        }
    }

    /// Waits until the bodies under way leave room for `bytes` more.
    async fn room(&self, bytes: usize) -> Option<SemaphorePermit<'_>> {
        let kib = bytes.div_ceil(1024).clamp(1, self.kib);
        // The semaphore is never closed; were it, an upload without a permit is still bounded by `PART`.
        self.free
            .acquire_many(u32::try_from(kib).unwrap_or(u32::MAX))
            .await
            .ok()
    }
}

impl Default for UploadMemory {
    fn default() -> Self {
        Self::new(UPLOAD_MEMORY_KIB)
    }
}

/// An upload in parts that is given up, unless it is completed: also when its future is dropped half way.
struct Unfinished<'a> {
    assets: &'a Assets,
    upload: Option<Box<dyn MultipartUpload>>,
}

impl Unfinished<'_> {
    async fn part(&mut self, bytes: Bytes, path: &Path) -> Result<(), StorageError> {
        if let Some(upload) = &mut self.upload {
            let sent = upload.put_part(PutPayload::from_bytes(bytes)).await;
            sent.map_err(|error| object_error(error, "store a part of asset", path))?;
        }
        Ok(())
    }

    async fn complete(mut self) -> Result<(), ObjectError> {
        if let Some(upload) = &mut self.upload {
            upload.complete().await?;
        }
        self.upload = None;
        Ok(())
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if let Some(mut upload) = self.upload.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            self.assets.tasks.spawn_on(
                async move {
                    match upload.abort().await {
                        Ok(()) | Err(ObjectError::NotFound { .. }) => {}
                        Err(error) => tracing::warn!(
                            error = &error as &dyn Error,
                            "Could not remove the parts of an unfinished upload; a bucket lifecycle rule should"
                        ),
                    }
                },
                &runtime,
            );
        }
    }
}

/// A body that is counted and hashed while it is read.
struct Incoming<'a, S, E> {
    claim: Claim<'a>,
    body: S,
    hasher: AssetHasher,
    error: std::marker::PhantomData<fn() -> E>,
}

impl<'a, S, E> Incoming<'a, S, E>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Error + 'static,
{
    fn new(claim: Claim<'a>, body: S) -> Self {
        Self {
            claim,
            body,
            hasher: AssetHasher::default(),
            error: std::marker::PhantomData,
        }
    }

    async fn next(&mut self) -> Result<Option<Bytes>, PutError<E>> {
        let piece = self.body.next().await.transpose().map_err(PutError::Body)?;
        if let Some(piece) = &piece {
            self.hasher.update(piece);
            if self.hasher.size() > self.claim.asset.size {
                return Err(PutError::WrongSize {
                    received: self.hasher.size(),
                });
            }
        }
        Ok(piece)
    }

    /// Whether all came, and what it is. Bytes that are not as claimed pass only where the claim lets them.
    fn verify(&mut self) -> Result<Proof, PutError<E>> {
        let Claim {
            asset,
            path,
            content_hash_too,
            check,
        } = self.claim;
        let received = self.hasher.size();
        if received != asset.size {
            return Err(PutError::WrongSize { received });
        }
        let hasher = std::mem::take(&mut self.hasher);
        if content_hash_too && hasher.clone().finish_content_only() == asset.hash {
            return Ok(Proof::AsClaimed);
        }
        let actual = hasher.finish(path);
        if actual == asset.hash {
            return Ok(Proof::AsClaimed);
        }
        match check {
            HashCheck::Strict => Err(PutError::WrongHash { actual }),
            HashCheck::Warn | HashCheck::Off => Ok(Proof::Other(actual)),
        }
    }
}

/// What the bytes of an upload are.
#[derive(Debug, Clone, Copy)]
enum Proof {
    AsClaimed,
    /// They have another hash.
    Other(AssetHash),
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use futures::{future, stream};
    use object_store::memory::InMemory;
    use tokio_util::task::TaskTracker;

    use super::*;

    /// Uploads of this size at once, with this much memory; how many bodies were read at once at most.
    async fn most_at_once(memory_kib: usize, size: usize, uploads: u32) -> usize {
        let mut assets = Assets::new(Arc::new(InMemory::new()), TaskTracker::new());
        assets.upload_memory = UploadMemory::new(memory_kib);
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (assets, now, most) = (&assets, &now, &most);
        let uploads = (0..uploads).map(|n| async move {
            let mut content = vec![0; size];
            content.extend_from_slice(&n.to_be_bytes());
            let claim = Claim {
                asset: AssetRef {
                    hash: AssetHash::of(&content, "x"),
                    size: content.len() as u64,
                },
                path: "x",
                content_hash_too: false,
                check: HashCheck::Strict,
            };
            let body = stream::once(async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_secs(1)).await;
                now.fetch_sub(1, Ordering::SeqCst);
                Ok::<_, Infallible>(Bytes::from(content))
            });
            assert_eq!(assets.put(claim, body).await.unwrap(), Stored::New);
        });
        future::join_all(uploads).await;
        assert_eq!(assets.upload_memory.free.available_permits(), memory_kib);
        most.load(Ordering::SeqCst)
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_wait_until_there_is_room_for_them() {
        let cases = [
            ("two and a half fit", 100, 40_000, 20, 2),
            ("all fit", 1000, 40_000, 20, 20),
            ("small ones take a little, too", 10, 0, 40, 10),
            ("larger than everything: alone", 100, 1_000_000, 5, 1),
            ("large ones count with one part", 17 * 1024, PART + 1, 5, 2),
        ];
        for (name, memory_kib, size, uploads, expected) in cases {
            let most = most_at_once(memory_kib, size, uploads).await;
            assert_eq!(most, expected, "case `{name}`");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_waiting_gives_the_room_back() {
        let mut assets = Assets::new(Arc::new(InMemory::new()), TaskTracker::new());
        assets.upload_memory = UploadMemory::new(1);
        let claim = Claim {
            asset: AssetRef {
                hash: AssetHash::of(b"a", "x"),
                size: 1,
            },
            path: "x",
            content_hash_too: false,
            check: HashCheck::Strict,
        };
        let stuck = || assets.put(claim, stream::pending::<Result<_, Infallible>>());
        let second = tokio::time::timeout(Duration::from_secs(1), stuck());
        let first = tokio::time::timeout(Duration::from_secs(2), stuck());
        let (first, second) = tokio::join!(first, second);
        assert!(first.is_err() && second.is_err());
        let body = stream::once(async { Ok::<_, Infallible>(Bytes::from_static(b"a")) });
        assert_eq!(assets.put(claim, body).await.unwrap(), Stored::New);
    }
}
