//! What is made of assets and kept beside them: their compressed forms.
//!
//! 1. A form can be made again at any time, so to lose one loses nothing. What is stored last stays.
//! 2. Forms stand below a prefix of their own, where no asset can stand: they are not listed as assets.
//! 3. A form goes with its asset when that is removed. Forms of what is made of assets (pages) stay until somebody deletes them.
//!
//! # Assumptions
//! An asset's bytes do not change. Where hashes are not checked they may, once the right ones come; forms of the others
//! stay.

use std::fmt;

use bytes::Bytes;
use favonius_contract::AssetRef;
use futures::{StreamExt, future, stream::BoxStream};
use object_store::{ObjectStoreExt, PutPayload, path::Path};

use crate::{
    Assets, StorageError,
    assets::counted,
    error::{absent_or, object_error},
};

/// A content coding of HTTP (RFC 9110, section 8.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Coding {
    /// Brotli, RFC 7932.
    Brotli,
    /// Zstandard, RFC 8878. For HTTP its window is at most 8 MiB (RFC 9659).
    Zstd,
    /// gzip, RFC 1952.
    Gzip,
}

impl Coding {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Brotli, Self::Zstd, Self::Gzip];

    /// Its token in `Content-Encoding` and `Accept-Encoding`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }
}

impl fmt::Display for Coding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A form of an asset while it comes in.
pub struct DerivedBody {
    /// How many bytes it has.
    pub size: u64,
    /// The bytes: exactly so many, or an error at the end.
    pub bytes: BoxStream<'static, Result<Bytes, StorageError>>,
}

impl fmt::Debug for DerivedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DerivedBody")
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// Where a form stands in the bucket.
fn path(coding: Coding, of: AssetRef) -> Path {
    Path::from(format!(".favonius/coded/{coding}/{of}"))
}

impl Assets {
    /// Opens this form of an asset. `None` when the store lacks it.
    pub async fn open_derived(
        &self,
        coding: Coding,
        of: AssetRef,
    ) -> Result<Option<DerivedBody>, StorageError> {
        let path = path(coding, of);
        let found = absent_or(self.store.get(&path).await, "read a form of asset", &path)?;
        Ok(found.map(|found| {
            let size = found.meta.size;
            let bytes = counted(found.into_stream(), size, "read a form of asset", path);
            DerivedBody {
                size,
                bytes: bytes.boxed(),
            }
        }))
    }

    /// Stores this form of an asset, in the place of what is there. It is seen as a whole or not at all.
    pub async fn put_derived(
        &self,
        coding: Coding,
        of: AssetRef,
        bytes: Bytes,
    ) -> Result<(), StorageError> {
        let path = path(coding, of);
        let put = self.store.put(&path, PutPayload::from_bytes(bytes)).await;
        put.map(drop)
            .map_err(|error| object_error(error, "store a form of asset", &path))
    }

    /// How many bytes this form of an asset has. `None` when the store lacks it.
    pub async fn derived_size(
        &self,
        coding: Coding,
        of: AssetRef,
    ) -> Result<Option<u64>, StorageError> {
        let path = path(coding, of);
        let found = self.store.head(&path).await;
        let found = absent_or(found, "look up a form of asset", &path)?;
        Ok(found.map(|meta| meta.size))
    }

    /// Removes all forms of an asset; what is not there is removed already.
    pub async fn remove_derived(&self, of: AssetRef) -> Result<(), StorageError> {
        let removals = Coding::ALL.map(async |coding| {
            let path = path(coding, of);
            let removed = self.store.delete(&path).await;
            absent_or(removed, "remove a form of asset", &path).map(drop)
        });
        future::try_join_all(removals).await.map(drop)
    }
}
