//! Assets in memory.
//!
//! 1. What they take is bounded by bytes: those that are kept, those that are on their way here, and those that slow clients
//!    still read although they are not kept any more.
//! 2. Each is fetched once for all who wait for it, and the fetch goes on when they leave.
//! 3. One look at every asset (a crawler, a backup) does not push out what is asked for all the time: the cache tells what was
//!    asked for once from what was asked for again.
//! 4. Large assets are never held whole. They are read in parts, which many readers share.

mod lent;
mod parts;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize},
    },
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use favonius_contract::AssetRef;
use favonius_storage::{AssetKey, Assets, Coding, ErrorKind, StorageError};
use favonius_telemetry::{
    Instruments,
    instruments::{Cache as Kept, Lookup},
};
use futures::{TryStreamExt, stream::BoxStream};
use http::HeaderValue;
use quick_cache::{
    DefaultHashBuilder, OptionsBuilder, Weighter,
    sync::{Cache, DefaultLifecycle},
};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::task::TaskTracker;
use tracing::{Instrument as _, Span};

use crate::{
    flight::{Flights, part_of_request},
    serve::etag,
};

/// Largest asset that is held whole, in bytes.
pub(crate) const LARGEST_HELD: u64 = 4 * 1024 * 1024;
/// Less memory than this, in bytes, is of no use: assets then stream from the store, every time.
const LEAST: u64 = 8 * 1024 * 1024;
/// What an entry takes beside its bytes.
const OVERHEAD: u64 = 256;
/// Entries that the cache is laid out for; its bound is their size.
const EXPECTED: usize = 16_384;
/// How long a fetch waits for room.
const ROOM_WITHIN: Duration = Duration::from_secs(5);
/// How long it is remembered that a coded form is not there. Another worker may make it.
const NO_FORM_FOR: Duration = Duration::from_secs(30);
/// The same where it would be of no use.
const OF_NO_USE_FOR: Duration = Duration::from_mins(10);
/// The same where the store would not say.
const NO_ANSWER_FOR: Duration = Duration::from_secs(5);
/// Of how many forms it is remembered that they are not there.
const NO_FORM_LIMIT: usize = 65_536;

/// Something that can be in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    /// A whole asset.
    Asset(AssetRef),
    /// A form of something, which is known by what an asset of the same bytes would be.
    Form(AssetRef, Coding),
    /// Bytes of a large asset, from here to there.
    Part(AssetRef, u64, u64),
}

/// Bytes in memory, with what their answers have in common.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) bytes: Bytes,
    pub(crate) etag: HeaderValue,
    /// The length, as `Content-Length` has it.
    pub(crate) length: HeaderValue,
    /// Under which key the store has it; forms are always the edge's own.
    pub(crate) key: AssetKey,
    /// How many answers with it are being sent.
    lenders: AtomicUsize,
}

impl Held {
    pub(crate) fn new(bytes: Bytes, etag: HeaderValue, key: AssetKey) -> Arc<Self> {
        Arc::new(Self {
            length: bytes.len().into(),
            bytes,
            etag,
            key,
            lenders: AtomicUsize::new(0),
        })
    }

    pub(crate) fn size(&self) -> u64 {
        self.bytes.len() as u64
    }
}

#[derive(Clone)]
struct BySize;

impl Weighter<Key, Arc<Held>> for BySize {
    fn weight(&self, _: &Key, held: &Arc<Held>) -> u64 {
        held.size() + OVERHEAD
    }
}

/// What comes of a look into the store: nothing when it lacks the asset.
type Loaded = Result<Option<Arc<Held>>, Arc<StorageError>>;

/// What is known of a form of an asset.
pub(crate) enum Form {
    Held(Arc<Held>),
    /// It is not there, or not worth to be there.
    Absent,
    /// Nobody looked, or long ago.
    Unknown,
}

/// The assets in memory. Clones share them.
#[derive(Clone)]
pub(crate) struct Memory(Arc<Inner>);

struct Inner {
    assets: Assets,
    held: Cache<Key, Arc<Held>, BySize>,
    flights: Flights<Key, Loaded>,
    /// Forms that are not there, and until when that need not be asked again.
    no_form: Cache<(AssetRef, Coding), Instant>,
    /// Kibibytes for what is on its way here.
    room: Semaphore,
    limit: u64,
    /// Bytes that are being sent, each counted once however many send them.
    lent: AtomicU64,
    /// How many large assets are being read.
    readers: AtomicUsize,
    instruments: Instruments,
}

impl Memory {
    /// Takes at most about `bytes` of memory. `tasks` is what runs fetches.
    pub(crate) fn new(
        assets: Assets,
        bytes: u64,
        instruments: Instruments,
        tasks: TaskTracker,
    ) -> Self {
        let room = usize::try_from((bytes / 8).max(LEAST) / 1024).unwrap_or(usize::MAX);
        Self(Arc::new(Inner {
            assets,
            held: cache(bytes),
            flights: Flights::new(tasks),
            no_form: Cache::new(NO_FORM_LIMIT),
            room: Semaphore::new(room.min(Semaphore::MAX_PERMITS)),
            limit: bytes,
            lent: AtomicU64::new(0),
            readers: AtomicUsize::new(0),
            instruments,
        }))
    }

    /// Largest asset that is held whole, in bytes. 0 when nothing is kept in memory.
    pub(crate) fn largest(&self) -> u64 {
        if self.0.limit < LEAST {
            return 0;
        }
        LARGEST_HELD.min(self.0.limit / 8)
    }

    /// How much memory is taken, without what is on its way.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.0.held.weight()
    }

    /// A whole asset, if it is in memory.
    pub(crate) fn held(&self, asset: AssetRef) -> Option<Arc<Held>> {
        self.0.held.get(&Key::Asset(asset))
    }

    /// The same, and it is no use of it.
    pub(crate) fn peek(&self, asset: AssetRef) -> Option<Arc<Held>> {
        self.0.held.peek(&Key::Asset(asset))
    }

    /// A whole asset, if it is in memory, and it counts, unless it did before for the same request.
    pub(crate) fn hit(&self, asset: AssetRef, is_repeated: bool) -> Option<Arc<Held>> {
        let held = self.held(asset)?;
        self.found(is_repeated);
        Some(held)
    }

    /// Counts that a request found in memory what it wants.
    pub(crate) fn found(&self, is_repeated: bool) {
        if !is_repeated {
            self.looked_up(Lookup::Hit);
        }
    }

    /// A whole asset that is not too large to be held.
    pub(crate) async fn asset(&self, asset: AssetRef) -> Loaded {
        if let Some(held) = self.hit(asset, false) {
            return Ok(Some(held));
        }
        self.looked_up(Lookup::Miss);
        let key = Key::Asset(asset);
        self.load(
            key,
            || tracing::debug_span!("load asset"),
            move |this| async move { this.fetch(asset, 0..asset.size, key).await },
        )
        .await
    }

    /// What is known of a form, without looking for it.
    pub(crate) fn form(&self, of: AssetRef, coding: Coding) -> Form {
        if let Some(held) = self.0.held.get(&Key::Form(of, coding)) {
            return Form::Held(held);
        }
        match self.0.no_form.get(&(of, coding)) {
            Some(until) if Instant::now() < until => Form::Absent,
            _ => Form::Unknown,
        }
    }

    /// Looks for a form, and brings it into memory if it is there. A store that does not answer is an error; one that does not
    /// let us look has no forms.
    pub(crate) async fn load_form(&self, of: AssetRef, coding: Coding) -> Loaded {
        let key = Key::Form(of, coding);
        self.looked_up(Lookup::Miss);
        self.load(key, || tracing::debug_span!("load form"), move |this| async move {
            match this.fetch_form(of, coding).await {
                Ok(found) => Ok(found),
                Err(error) => {
                    this.remember_absence(of, coding, NO_ANSWER_FOR);
                    if error.is_transient() {
                        return Err(error);
                    }
                    tracing::debug!(
                        asset = %of, coding = coding.as_str(), error = &*error as &dyn std::error::Error,
                        "A coded form cannot be read"
                    );
                    Ok(None)
                }
            }
        })
        .await
    }

    /// Somebody looks for a form: nobody else need until that takes too long.
    pub(crate) fn expect_answer(&self, of: AssetRef, coding: Coding) {
        self.remember_absence(of, coding, NO_ANSWER_FOR);
    }

    /// A form was made, or found to be of no use.
    pub(crate) fn made(&self, of: AssetRef, coding: Coding, form: Option<Bytes>) {
        let Some(bytes) = form.filter(|bytes| bytes.len() as u64 <= LARGEST_HELD) else {
            self.remember_absence(of, coding, OF_NO_USE_FOR);
            return;
        };
        self.0.no_form.remove(&(of, coding));
        // What nobody asks for needs no room in memory.
        if self.0.held.peek(&Key::Asset(of)).is_some() {
            self.keep_form(of, coding, bytes);
        }
    }

    fn keep_form(&self, of: AssetRef, coding: Coding, bytes: Bytes) -> Arc<Held> {
        let held = Held::new(bytes, etag(of, Some(coding.as_str())), AssetKey::Asset(of));
        self.0.held.insert(Key::Form(of, coding), Arc::clone(&held));
        held
    }

    fn remember_absence(&self, of: AssetRef, coding: Coding, time: Duration) {
        self.0.no_form.insert((of, coding), Instant::now() + time);
    }

    /// What the store gives, once for all who wait for it.
    async fn load<F>(&self, key: Key, span: fn() -> Span, fetch: impl FnOnce(Self) -> F) -> Loaded
    where
        F: Future<Output = Loaded> + Send + 'static,
    {
        let begin = || fetch(self.clone()).instrument(part_of_request(span));
        let kept = || self.0.held.peek(&key).map(|held| Ok(Some(held)));
        self.0.flights.join(&key, kept, begin).get().await
    }

    async fn fetch(&self, asset: AssetRef, range: std::ops::Range<u64>, key: Key) -> Loaded {
        let length = range.end - range.start;
        let _room = self.room(length).await?;
        let Some(body) = self.0.assets.open(asset, Some(range)).await? else {
            return Ok(None);
        };
        let bytes = whole(body.bytes, length).await?;
        let held = Held::new(bytes, etag(asset, None), body.key);
        self.0.held.insert(key, Arc::clone(&held));
        Ok(Some(held))
    }

    async fn fetch_form(&self, of: AssetRef, coding: Coding) -> Loaded {
        let Some(form) = self.0.assets.open_derived(coding, of).await? else {
            self.remember_absence(of, coding, NO_FORM_FOR);
            return Ok(None);
        };
        // One of no bytes says that the form is not worth to be there.
        if form.size == 0 || form.size > LARGEST_HELD {
            self.remember_absence(of, coding, OF_NO_USE_FOR);
            return Ok(None);
        }
        let _room = self.room(form.size).await?;
        let bytes = whole(form.bytes, form.size).await?;
        Ok(Some(self.keep_form(of, coding, bytes)))
    }

    /// Waits until so many bytes may be fetched.
    async fn room(&self, bytes: u64) -> Result<SemaphorePermit<'_>, Arc<StorageError>> {
        let kibibytes = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        match tokio::time::timeout(ROOM_WITHIN, self.0.room.acquire_many(kibibytes)).await {
            Ok(Ok(permit)) => Ok(permit),
            // The semaphore is never closed.
            Ok(Err(_)) | Err(_) => Err(Arc::new(
                StorageError::new(ErrorKind::Unavailable, "read", "asset")
                    .because("there is no room in memory: too much is being fetched at once"),
            )),
        }
    }

    fn looked_up(&self, lookup: Lookup) {
        self.0.instruments.cache_lookup(Kept::Assets, lookup);
    }
}

/// A cache of three quarters of this size. The rest is for what comes in and goes out.
fn cache(bytes: u64) -> Cache<Key, Arc<Held>, BySize> {
    let bytes = if bytes < LEAST { 0 } else { bytes / 4 * 3 };
    // What is larger than its share of a shard is not kept.
    let shards = bytes / (LARGEST_HELD * 4);
    let options = OptionsBuilder::new()
        .shards(usize::try_from(shards).unwrap_or(1).clamp(1, 64))
        .estimated_items_capacity(EXPECTED)
        .weight_capacity(bytes)
        .build()
        .expect("both capacities are set");
    Cache::with_options(
        options,
        BySize,
        DefaultHashBuilder::default(),
        DefaultLifecycle::default(),
    )
}

/// All bytes of a stream that has so many, in one piece of memory that is no larger.
pub(crate) async fn whole(
    bytes: BoxStream<'static, Result<Bytes, StorageError>>,
    length: u64,
) -> Result<Bytes, StorageError> {
    let room = BytesMut::with_capacity(usize::try_from(length).unwrap_or_default());
    let all = bytes.try_fold(room, async |mut all, piece| {
        all.extend_from_slice(&piece);
        Ok(all)
    });
    Ok(all.await?.freeze())
}

#[cfg(test)]
mod tests;
