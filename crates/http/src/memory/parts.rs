//! Reading of what is not held whole.
//!
//! A reader holds no connection to the store and none of what it reads, whatever its client's speed: it takes small copies out of
//! parts that are in memory for all readers of the asset. With many readers parts are small, so that what they read still fits.

use std::{
    ops::Range,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use bytes::Bytes;
use favonius_contract::AssetRef;
use favonius_storage::{AssetKey, ErrorKind, StorageError};
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};

use super::{Held, Key, LEAST, Loaded, Memory};

/// What one step gives, in bytes. A connection holds a few.
const PIECE: u64 = 16 * 1024;
/// Parts have between 2^16 and 2^20 bytes.
const SMALLEST: u32 = 16;
const LARGEST: u32 = 20;

/// Bytes of an asset while they are read.
pub(crate) struct Opened {
    /// Under which key the store has the asset.
    pub(crate) key: AssetKey,
    pub(crate) bytes: BoxStream<'static, Result<Bytes, StorageError>>,
}

struct Reader {
    memory: Memory,
    asset: AssetRef,
    /// What is still to be read.
    left: Range<u64>,
    /// The part that holds its beginning.
    part: Range<u64>,
    /// Whether that was asked for already. One reader that goes through it must not look like many.
    is_entered: bool,
}

impl Memory {
    /// Opens bytes of an asset, of which it is sure then that they are there. `None` when the store lacks it.
    pub(crate) async fn open(
        &self,
        asset: AssetRef,
        range: Range<u64>,
    ) -> Result<Option<Opened>, Arc<StorageError>> {
        if self.0.limit < LEAST || range.is_empty() {
            let body = self.0.assets.open(asset, Some(range)).await?;
            return Ok(body.map(|body| Opened {
                key: body.key,
                bytes: body.bytes,
            }));
        }
        let reader = Reader::new(self.clone(), asset, range);
        let Some((held, _)) = reader.current().await? else {
            return Ok(None);
        };
        let key = held.key;
        let pieces = stream::try_unfold(reader, async |mut reader| {
            Ok(reader.piece().await?.map(|piece| (piece, reader)))
        });
        Ok(Some(Opened {
            key,
            bytes: pieces.boxed(),
        }))
    }

    async fn part(&self, asset: AssetRef, part: &Range<u64>) -> Loaded {
        let key = Key::Part(asset, part.start, part.end);
        if let Some(held) = self.0.held.get(&key) {
            return Ok(Some(held));
        }
        let range = part.clone();
        self.load(
            key,
            || tracing::debug_span!("load part"),
            move |this| async move { this.fetch(asset, range, key).await },
        )
        .await
    }

    /// How large parts may be so that those of all readers fit into half of the memory, as an exponent of two.
    pub(super) fn part_size(&self) -> u32 {
        let readers = self.0.readers.load(Relaxed).max(1) as u64;
        (self.0.limit / 2 / readers)
            .max(1)
            .ilog2()
            .clamp(SMALLEST, LARGEST)
    }
}

impl Reader {
    fn new(memory: Memory, asset: AssetRef, left: Range<u64>) -> Self {
        memory.0.readers.fetch_add(1, Relaxed);
        let mut this = Self {
            part: left.start..left.start,
            memory,
            asset,
            left,
            is_entered: false,
        };
        this.enter();
        this
    }

    /// Turns to the part that holds the beginning of what is left: no more of it than was asked for.
    fn enter(&mut self) {
        let size = 1 << self.memory.part_size();
        let start = self.left.start / size * size;
        self.part = start.max(self.left.start)..(start + size).min(self.left.end);
        self.is_entered = false;
    }

    /// What holds the beginning of what is left, and at which offset of the asset it begins.
    async fn current(&self) -> Result<Option<(Arc<Held>, u64)>, Arc<StorageError>> {
        let held = &self.memory.0.held;
        if let Some(held) = held.peek(&Key::Asset(self.asset)) {
            return Ok(Some((held, 0)));
        }
        let key = Key::Part(self.asset, self.part.start, self.part.end);
        if self.is_entered
            && let Some(held) = held.peek(&key)
        {
            return Ok(Some((held, self.part.start)));
        }
        let held = self.memory.part(self.asset, &self.part).await?;
        Ok(held.map(|held| (held, self.part.start)))
    }

    async fn piece(&mut self) -> Result<Option<Bytes>, StorageError> {
        if self.left.is_empty() {
            return Ok(None);
        }
        if !self.part.contains(&self.left.start) {
            self.enter();
        }
        let broken = |kind| StorageError::new(kind, "read asset", self.asset.to_string());
        let (held, offset) = match self.current().await {
            Ok(Some(found)) => found,
            Ok(None) => return Err(broken(ErrorKind::Corrupt).because("it is gone")),
            Err(error) => return Err(broken(error.kind()).because(error)),
        };
        self.is_entered = true;
        let until = (self.left.start + PIECE).min(self.part.end);
        let at = |position: u64| usize::try_from(position - offset).unwrap_or(usize::MAX);
        // A copy: a slice would hold on to the whole part for as long as the client takes.
        let piece = held
            .bytes
            .get(at(self.left.start)..at(until))
            .map(Bytes::copy_from_slice)
            .ok_or_else(|| broken(ErrorKind::Internal))?;
        self.left.start = until;
        Ok(Some(piece))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.memory.0.readers.fetch_sub(1, Relaxed);
    }
}
