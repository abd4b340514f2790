//! Taking assets in: bytes are hashed while they stream, and become visible only when they are what was claimed.
//!
//! 1. What is acknowledged is in the store: it was written, or looked up for this upload. What was seen before does not
//!    count.
//! 2. Small assets whose hash is checked are written without asking whether their key is taken: all who bring them bring
//!    the same bytes, and most uploads are new.
//! 3. An asset under the hash alone has no owner on record, so every application may use it; one under its own key
//!    belongs to who uploaded it. One may be there under both, so whoever refuses it as foreign asks
//!    [`Assets::is_shared`] first.

use std::error::Error;

use bytes::Bytes;
use favonius_contract::{AssetHash, AssetHasher, AssetRef, replication::hashed_paths};
use futures::{Stream, StreamExt};
use object_store::{
    Error as ObjectError, MultipartUpload, ObjectStoreExt, PutMode, PutPayload, path::Path,
};

use crate::{
    AssetKey, Assets, StorageError,
    error::object_error,
    upload_memory::{Buffer, PART},
};

/// What an uploader says that the bytes are.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// Hash and size.
    pub asset: AssetRef,
    /// The path that went into the hash, exactly as the client hashed it.
    pub path: &'a str,
    /// The path is not that one, but that of a snapshot's list: the hash may be over any of [`hashed_paths`].
    pub path_is_listed: bool,
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
    /// They are stored where nothing is, and a warning is logged. Checked bytes may replace them.
    Warn,
    /// They are stored where nothing is. Checked bytes may replace them.
    Off,
}

/// What came of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// It was written. It is new, as far as we know.
    New,
    /// The store had it, by an answer for this upload or less than a minute old; in the latter case it was written again.
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
    /// caller, who must give up one that makes no progress, as it keeps others waiting: dropping the future at any time leaves nothing visible behind.
    pub async fn put<S, E>(&self, claim: Claim<'_>, body: S) -> Result<Stored, PutError<E>>
    where
        S: Stream<Item = Result<Bytes, E>> + Send,
        E: Error + Send + 'static,
    {
        let mut incoming = Incoming::new(claim, Box::pin(body));
        let small = claim.asset.size <= PART as u64;
        let (stored, proof) = if small && claim.check == HashCheck::Strict {
            self.put_checked(incoming).await?
        } else if self.look_up(claim.asset).await?.is_some() {
            while incoming.next().await?.is_some() {}
            (Stored::Known, incoming.verify()?)
        } else if small {
            self.put_unchecked(incoming).await?
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
            self.confirm(claim.asset, AssetKey::Asset(claim.asset));
        }
        Ok(stored)
    }

    /// Stores bytes of our own making under the hash that a client would give them.
    pub async fn put_own(&self, content: Bytes, path: &str) -> Result<AssetRef, StorageError> {
        let asset = AssetRef {
            hash: AssetHash::of(&content, path),
            size: content.len() as u64,
        };
        self.write(asset, PutPayload::from_bytes(content)).await?;
        Ok(asset)
    }

    async fn write(&self, asset: AssetRef, payload: PutPayload) -> Result<(), StorageError> {
        let key = AssetKey::Asset(asset);
        let path = key.path();
        let put = self.store.put(&path, payload).await;
        put.map_err(|error| object_error(error, "store asset", &path))?;
        self.confirm(asset, key);
        Ok(())
    }

    async fn put_checked<S, E>(
        &self,
        incoming: Incoming<'_, S, E>,
    ) -> Result<(Stored, Proof), PutError<E>>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + Unpin,
        E: Error + Send + 'static,
    {
        let asset = incoming.claim.asset;
        let known = self.remembered(asset).is_some();
        let (whole, proof) = self.read_whole(incoming).await?;
        // Its room is held until it is stored.
        let (payload, _room) = whole.into_payload();
        self.write(asset, payload).await?;
        let stored = if known { Stored::Known } else { Stored::New };
        Ok((stored, proof))
    }

    async fn put_unchecked<S, E>(
        &self,
        incoming: Incoming<'_, S, E>,
    ) -> Result<(Stored, Proof), PutError<E>>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + Unpin,
        E: Error + Send + 'static,
    {
        let asset = incoming.claim.asset;
        let (whole, proof) = self.read_whole(incoming).await?;
        // Its room is held until it is stored.
        let (payload, _room) = whole.into_payload();
        let path = AssetKey::Asset(asset).path();
        Ok((self.put_first(asset, &path, payload).await?, proof))
    }

    /// Reads a small asset to its end.
    async fn read_whole<S, E>(
        &self,
        mut incoming: Incoming<'_, S, E>,
    ) -> Result<(Buffer<'_>, Proof), PutError<E>>
    where
        S: Stream<Item = Result<Bytes, E>> + Send + Unpin,
        E: Error + Send + 'static,
    {
        let mut whole = self.upload_memory.buffer(incoming.claim.asset.size);
        whole.make_room().await;
        while let Some(mut piece) = incoming.next().await? {
            whole.fill(&mut piece).await;
            // Nothing more is read before there is room for it.
            whole.make_room().await;
        }
        let proof = incoming.verify()?;
        Ok((whole, proof))
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
            Err(ObjectError::AlreadyExists { .. }) if self.look_up(asset).await?.is_some() => {
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
        let mut part = self.upload_memory.buffer(asset.size);
        part.make_room().await;
        let upload = self.store.put_multipart(&path).await;
        let upload = upload.map_err(|error| object_error(error, "store asset", &path))?;
        let mut upload = Unfinished {
            assets: self,
            upload: Some(upload),
        };
        let mut left = asset.size;
        while let Some(mut piece) = incoming.next().await? {
            left = left.saturating_sub(piece.len() as u64);
            part.fill(&mut piece).await;
            while part.is_full() && (left > 0 || !piece.is_empty()) {
                let next = self.upload_memory.buffer(left + piece.len() as u64);
                // Sent before the next one takes memory: only one is held.
                upload
                    .part(std::mem::replace(&mut part, next), &path)
                    .await?;
                part.fill(&mut piece).await;
            }
            part.make_room().await;
        }
        let proof = incoming.verify()?;
        upload.part(part, &path).await?;
        // Parts always replace what is there, so others may not have been faster.
        if check != HashCheck::Strict && self.look_up(asset).await?.is_some() {
            return Ok((Stored::Known, proof));
        }
        match upload.complete().await {
            Ok(()) => Ok((Stored::New, proof)),
            // It was completed by an attempt whose answer was lost.
            Err(ObjectError::NotFound { .. }) if self.look_up(asset).await?.is_some() => {
                Ok((Stored::New, proof))
            }
            Err(error) => Err(object_error(error, "complete asset", &path).into()),
        }
    }
}

/// An upload in parts that is given up, unless it is completed: also when its future is dropped half way.
struct Unfinished<'a> {
    assets: &'a Assets,
    upload: Option<Box<dyn MultipartUpload>>,
}

impl Unfinished<'_> {
    async fn part(&mut self, part: Buffer<'_>, path: &Path) -> Result<(), StorageError> {
        if let Some(upload) = &mut self.upload {
            // Its room is held until it is stored.
            let (payload, _room) = part.into_payload();
            let sent = upload.put_part(payload).await;
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
            path_is_listed,
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
        if path_is_listed
            && hashed_paths(path).any(|path| hasher.clone().finish(&path) == asset.hash)
        {
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
