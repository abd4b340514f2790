//! The memory of uploads: what a body takes grows with what has come of it, and all bodies together are bounded.

use std::sync::Arc;

use bytes::Bytes;
use object_store::PutPayload;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Up to this size an asset is held in memory and stored by one request; larger ones are stored in parts of this size.
/// S3 takes no part below 5 MiB but the last.
pub(crate) const PART: usize = 8 * 1024 * 1024;
/// Memory for the bodies of all uploads that are under way.
const UPLOAD_MEMORY: usize = 256 * 1024 * 1024;
/// A body first gets room for this much, and then for as much again as it has filled: who sends slowly holds little.
const FIRST_STEP: usize = 16 * 1024;
/// But for no more than this at a time.
const LAST_STEP: usize = 256 * 1024;

/// Bounds the memory that the bodies of uploads take. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct UploadMemory {
    free: Arc<Semaphore>,
    turn: Arc<Semaphore>,
}

impl UploadMemory {
    /// Memory of this size, but never less than one part needs.
    pub(crate) fn new(bytes: usize) -> Self {
        Self::with_kib((bytes.max(PART) / 1024).min(Semaphore::MAX_PERMITS))
    }

    fn with_kib(kib: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(kib)),
            turn: Arc::new(Semaphore::new(1)),
        }
    }

    /// Takes in at most one part of a body of which so much is still to come. Takes no memory yet.
    pub(crate) fn buffer(&self, to_come: u64) -> Buffer<'_> {
        Buffer {
            memory: self,
            limit: usize::try_from(to_come).map_or(PART, |size| size.min(PART)),
            filled: 0,
            full: Vec::new(),
            open: Vec::new(),
            room: Room::default(),
        }
    }
}

impl Default for UploadMemory {
    fn default() -> Self {
        Self::new(UPLOAD_MEMORY)
    }
}

/// The right to hold memory, given back when dropped.
#[derive(Debug, Default)]
pub(crate) struct Room<'m> {
    permit: Option<SemaphorePermit<'m>>,
    turn: Option<SemaphorePermit<'m>>,
}

/// Takes in one part of a body.
#[derive(Debug)]
pub(crate) struct Buffer<'m> {
    memory: &'m UploadMemory,
    /// How many bytes it takes at most.
    limit: usize,
    filled: usize,
    // Steps are kept apart: to grow one block would copy it again and again.
    full: Vec<Bytes>,
    open: Vec<u8>,
    room: Room<'m>,
}

impl<'m> Buffer<'m> {
    /// Moves what it has room for out of the piece; waits until there is memory.
    pub(crate) async fn fill(&mut self, piece: &mut Bytes) {
        while !piece.is_empty() && !self.is_full() {
            self.make_room().await;
            let fits = piece.len().min(self.open.capacity() - self.open.len());
            let fits = fits.min(self.limit - self.filled);
            self.open.extend_from_slice(&piece.split_to(fits));
            self.filled += fits;
        }
    }

    /// Whether it takes nothing more.
    pub(crate) fn is_full(&self) -> bool {
        self.filled == self.limit
    }

    /// Waits until there is room for at least one more byte, unless it is full.
    ///
    /// Uploads that wait here hold what they have filled, so they could all wait for each other. One of them therefore
    /// has its turn: it may go on to the end of its part beyond the bound, and so always gives back what it holds. How
    /// long it may take for that is the caller's matter, who gives up an upload that makes no progress (25 s over
    /// HTTP): that drops this, and passes turn and room on.
    pub(crate) async fn make_room(&mut self) {
        let left = self.limit - self.filled;
        // What takes nothing counts a little, too: it is an upload.
        let began = self.room.permit.is_some() || self.room.turn.is_some();
        if self.open.len() < self.open.capacity() || (left == 0 && began) {
            return;
        }
        let step = self.filled.clamp(FIRST_STEP, LAST_STEP).min(left);
        if self.room.turn.is_none() {
            self.take(step).await;
        }
        let filled = std::mem::replace(&mut self.open, Vec::with_capacity(step));
        if !filled.is_empty() {
            self.full.push(filled.into());
        }
    }

    async fn take(&mut self, bytes: usize) {
        let memory = self.memory;
        let kib = u32::try_from(bytes.div_ceil(1024).max(1)).unwrap_or(u32::MAX);
        // The semaphores are never closed; were they, an upload without a permit is still bounded by `PART`.
        tokio::select! {
            biased;
            permit = memory.free.acquire_many(kib) => match (&mut self.room.permit, permit) {
                (Some(held), Ok(more)) => held.merge(more),
                (held, more) => *held = more.ok(),
            },
            turn = memory.turn.acquire() => self.room.turn = turn.ok(),
        }
    }

    /// What it took in, and the room that this needs until it is stored.
    pub(crate) fn into_payload(mut self) -> (PutPayload, Room<'m>) {
        if !self.open.is_empty() {
            self.full.push(self.open.into());
        }
        (self.full.into_iter().collect(), self.room)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use favonius_contract::{AssetHash, AssetRef};
    use futures::{Stream, StreamExt, future, stream};
    use object_store::memory::InMemory;
    use tokio::time::timeout;
    use tokio_util::task::TaskTracker;

    use super::*;
    use crate::{Assets, Claim, HashCheck, Stored};

    const PIECE: usize = 10_000;

    fn assets(kib: usize) -> Assets {
        let mut assets = Assets::new(Arc::new(InMemory::new()), TaskTracker::new());
        assets.upload_memory = UploadMemory::with_kib(kib);
        assets
    }

    fn claim(content: &[u8]) -> Claim<'static> {
        Claim {
            asset: AssetRef {
                hash: AssetHash::of(content, "x"),
                size: content.len() as u64,
            },
            path: "x",
            path_is_listed: false,
            content_hash_too: false,
            check: HashCheck::Strict,
        }
    }

    fn content(n: u32, size: usize) -> Bytes {
        let mut content = vec![0; size];
        content.extend_from_slice(&n.to_be_bytes());
        content.into()
    }

    /// Comes in pieces, between which others have their turn.
    fn pieces(content: &Bytes) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + use<> {
        let pieces: Vec<_> = content.chunks(PIECE).map(Bytes::copy_from_slice).collect();
        stream::iter(pieces).then(async |piece| {
            tokio::task::yield_now().await;
            Ok(piece)
        })
    }

    /// Takes no memory before it is sent, and then only what is bounded; all pass, however little memory there is.
    #[tokio::test(start_paused = true)]
    async fn bodies_together_hold_no_more_than_the_memory_and_one_part() {
        let cases = [
            ("some fit", 1024, 300_000, 20),
            ("all fit", 16 * 1024, 300_000, 20),
            ("small ones take a little, too", 10, 0, 40),
            ("larger than everything", 100, 1_000_000, 5),
        ];
        for (name, kib, size, uploads) in cases {
            let assets = assets(kib);
            let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let (assets, now, most) = (&assets, &now, &most);
            let uploads = (0..uploads).map(|n| async move {
                let content = content(n, size);
                let body = pieces(&content).inspect(|piece| {
                    let piece = piece.as_ref().unwrap().len();
                    most.fetch_max(
                        now.fetch_add(piece, Ordering::SeqCst) + piece,
                        Ordering::SeqCst,
                    );
                });
                let stored = assets.put(claim(&content), body).await.unwrap();
                now.fetch_sub(content.len(), Ordering::SeqCst);
                stored
            });
            let uploads: Vec<_> = uploads.collect();
            let (count, all) = (uploads.len(), uploads.len() * size);
            let stored = timeout(Duration::from_mins(1), future::join_all(uploads)).await;
            assert_eq!(stored.unwrap(), vec![Stored::New; count], "case `{name}`");
            let most = most.load(Ordering::SeqCst);
            // Of each a piece may have come for which there is no room yet.
            let bound = kib * 1024 + size + count * PIECE;
            assert!(most <= bound, "case `{name}`: {most} > {bound}");
            let expected = all.min(kib * 1024) / 2;
            assert!(most >= expected, "case `{name}`: {most} < {expected}");
            let memory = &assets.upload_memory;
            assert_eq!(memory.free.available_permits(), kib, "case `{name}`");
            assert_eq!(memory.turn.available_permits(), 1, "case `{name}`");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_in_parts_arrives_whole() {
        for (name, size) in [
            ("one part exactly", PART - 4),
            ("two parts exactly", 2 * PART - 4),
            ("two parts and a byte", 2 * PART - 3),
        ] {
            let assets = assets(1024);
            let content = content(1, size);
            let claim = claim(&content);
            let stored = assets.put(claim, pieces(&content)).await.unwrap();
            assert_eq!(stored, Stored::New, "case `{name}`");
            let body = assets.open(claim.asset, None).await.unwrap().unwrap();
            let found: Vec<Bytes> = body.bytes.map(Result::unwrap).collect().await;
            assert!(found.concat() == content, "case `{name}`");
            assert_eq!(assets.upload_memory.free.available_permits(), 1024);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn slow_uploads_of_much_do_not_keep_others_waiting() {
        let assets =
            Assets::new(Arc::new(InMemory::new()), TaskTracker::new()).with_upload_memory(PART);
        let free = || assets.upload_memory.free.available_permits();
        let before = free();
        let large = claim(&content(0, 3 * PART));
        let dripping = (0..100).map(|_| {
            let drops = stream::repeat(Bytes::from_static(b"x")).map(Ok::<_, Infallible>);
            let drops = drops.then(async |drop| {
                tokio::time::sleep(Duration::from_secs(10)).await;
                drop
            });
            timeout(Duration::from_mins(10), assets.put(large, drops))
        });
        let small = async {
            tokio::time::sleep(Duration::from_mins(1)).await;
            assert!(free() < before, "the others are under way");
            let content = content(1, 100_000);
            let put = assets.put(claim(&content), pieces(&content));
            timeout(Duration::from_secs(1), put).await.unwrap().unwrap()
        };
        let (dripping, small) = future::join(future::join_all(dripping), small).await;
        assert_eq!(small, Stored::New);
        assert!(dripping.iter().all(Result::is_err));
        assert_eq!(free(), before);
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_waiting_gives_the_room_back() {
        let assets = assets(1);
        let claim = claim(b"a");
        let stuck = |seconds| {
            let put = assets.put(claim, stream::pending::<Result<_, Infallible>>());
            timeout(Duration::from_secs(seconds), put)
        };
        // One has the room, one the turn, and one waits for either.
        let (first, second, third) = tokio::join!(stuck(2), stuck(2), stuck(1));
        assert!(first.is_err() && second.is_err() && third.is_err());
        let body = stream::once(async { Ok::<_, Infallible>(Bytes::from_static(b"a")) });
        assert_eq!(assets.put(claim, body).await.unwrap(), Stored::New);
    }
}
