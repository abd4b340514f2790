//! Taking assets in: bytes are hashed while they stream, and become visible only when they are what was claimed.

use std::error::Error;

use bytes::{Bytes, BytesMut};
use favonius_contract::{AssetHash, AssetHasher, AssetRef};
use futures::{Stream, StreamExt};
use object_store::{MultipartUpload, ObjectStoreExt, PutPayload, path::Path};
use tokio::sync::SemaphorePermit;

use crate::{AssetKey, Assets, StorageError, assets::UPLOAD_MEMORY_KIB, error::object_error};

/// Up to this size an asset is held in memory and stored by one request; larger ones are stored in parts of this size.
/// S3 takes no part below 5 MiB but the last.
const PART: usize = 8 * 1024 * 1024;

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
    /// bounded over all uploads: one that must wait for room is read more slowly.
    pub async fn put<S, E>(&self, claim: Claim<'_>, body: S) -> Result<Stored, PutError<E>>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: Error + Send + 'static,
    {
        let mut incoming = Incoming::new(claim, Box::pin(body));
        if self.contains(claim.asset).await? {
            while incoming.next().await?.is_some() {}
            incoming.verify()?;
            return Ok(Stored::Known);
        }
        let path = AssetKey::Asset(claim.asset).path();
        let held = usize::try_from(claim.asset.size).unwrap_or(PART).min(PART);
        let _room = self.room(held).await;
        if claim.asset.size <= PART as u64 {
            let mut whole = BytesMut::with_capacity(held);
            while let Some(piece) = incoming.next().await? {
                whole.extend_from_slice(&piece);
            }
            incoming.verify()?;
            let result = self
                .store
                .put(&path, PutPayload::from_bytes(whole.freeze()))
                .await;
            result.map_err(|error| object_error(error, "store asset", &path))?;
        } else {
            self.put_in_parts(&path, incoming).await?;
        }
        self.confirm(claim.asset);
        Ok(Stored::New)
    }

    /// Stores bytes of our own making under the hash that a client would give them.
    pub async fn put_own(&self, content: Bytes, path: &str) -> Result<AssetRef, StorageError> {
        let asset = AssetRef {
            hash: AssetHash::of(&content, path),
            size: content.len() as u64,
        };
        if !self.contains(asset).await? {
            let key = AssetKey::Asset(asset).path();
            let result = self.store.put(&key, PutPayload::from_bytes(content)).await;
            result.map_err(|error| object_error(error, "store asset", &key))?;
            self.confirm(asset);
        }
        Ok(asset)
    }

    async fn put_in_parts<S, E>(
        &self,
        path: &Path,
        mut incoming: Incoming<'_, S, E>,
    ) -> Result<(), PutError<E>>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + Unpin,
        E: Error + Send + 'static,
    {
        let upload = self.store.put_multipart(path).await;
        let upload = upload.map_err(|error| object_error(error, "store asset", path))?;
        let mut upload = Unfinished {
            assets: self,
            upload: Some(upload),
        };
        let mut part = BytesMut::with_capacity(PART);
        while let Some(mut piece) = incoming.next().await? {
            while part.len() + piece.len() >= PART {
                part.extend_from_slice(&piece.split_to(PART - part.len()));
                let full = std::mem::replace(&mut part, BytesMut::with_capacity(PART));
                upload.part(full.freeze(), path).await?;
            }
            part.extend_from_slice(&piece);
        }
        incoming.verify()?;
        if !part.is_empty() {
            upload.part(part.freeze(), path).await?;
        }
        Ok(upload.complete(path).await?)
    }

    /// Waits until the bodies under way leave room for `bytes` more.
    async fn room(&self, bytes: usize) -> Option<SemaphorePermit<'_>> {
        let kib = bytes.div_ceil(1024).clamp(1, UPLOAD_MEMORY_KIB);
        // The semaphore is never closed; were it, an upload without a permit is still bounded by `PART`.
        self.upload_memory
            .acquire_many(u32::try_from(kib).unwrap_or(u32::MAX))
            .await
            .ok()
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

    async fn complete(mut self, path: &Path) -> Result<(), StorageError> {
        if let Some(upload) = &mut self.upload {
            let done = upload.complete().await;
            done.map_err(|error| object_error(error, "complete asset", path))?;
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
                    if let Err(error) = upload.abort().await {
                        tracing::warn!(
                            error = &error as &dyn Error,
                            "Could not remove the parts of an unfinished upload; a bucket lifecycle rule should"
                        );
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

    fn verify(&mut self) -> Result<(), PutError<E>> {
        let Claim {
            asset,
            path,
            content_hash_too,
            check,
        } = self.claim;
        if self.hasher.size() != asset.size {
            return Err(PutError::WrongSize {
                received: self.hasher.size(),
            });
        }
        let hasher = std::mem::take(&mut self.hasher);
        if content_hash_too && hasher.clone().finish_content_only() == asset.hash {
            return Ok(());
        }
        let actual = hasher.finish(path);
        if actual == asset.hash {
            return Ok(());
        }
        match check {
            HashCheck::Strict => return Err(PutError::WrongHash { actual }),
            HashCheck::Warn => tracing::warn!(
                asset = %asset, actual = %actual,
                "Stored an asset whose bytes do not have its hash (ZE_WORKER_ASSET_HASH=warn)"
            ),
            HashCheck::Off => {}
        }
        Ok(())
    }
}
