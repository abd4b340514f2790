//! Makes the coded forms of assets, in the background.
//!
//! 1. At most so many at once, on threads of the lowest priority: who serves goes first.
//! 2. Not while the worker has more to do than it can, which shows in tasks that come late.
//! 3. What finds no place in the queue is left out. The next request for it brings it back.

use std::{
    collections::HashSet,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use favonius_contract::AssetRef;
use favonius_storage::{Assets, Coding, StorageError};
use favonius_telemetry::{Instruments, instruments::Pressed};
use futures::StreamExt;
use quick_cache::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::encode;
use crate::{
    memory::{self, Memory},
    serve::Facts,
};

/// Forms of smaller assets save less than their headers take, in bytes.
const SMALLEST: u64 = 1024;
/// Largest asset of which forms are made, in bytes: it is in memory meanwhile.
const LARGEST: u64 = 16 * 1024 * 1024;
/// How many assets wait.
const QUEUE: usize = 8192;
/// Kibibytes that pages in the queue may have: assets wait by name, and these are nowhere else.
const QUEUED_PAGES: usize = 16 * 1024;
/// For how long an asset of which all forms were there is not looked at again.
const SETTLED_FOR: Duration = Duration::from_mins(10);
/// How many of those are remembered.
const SETTLED_LIMIT: usize = 65_536;
/// How late a task comes where there is too much to do.
const LATE: Duration = Duration::from_millis(20);
/// For how long a look at that is good.
const CALM_FOR: Duration = Duration::from_millis(250);
/// How long to wait until the next look.
const PAUSE: Duration = Duration::from_secs(1);
/// In this order: the last one is looked for first, so that where it is there all of them are.
const IN_TURN: [Coding; 3] = [Coding::Gzip, Coding::Zstd, Coding::Brotli];

/// Whether forms are made of an asset of this size.
pub(crate) fn is_worth_coding(facts: &Facts, size: u64) -> bool {
    facts.is_compressible() && (SMALLEST + 1..=LARGEST).contains(&size)
}

/// Where the bytes are of which forms are to be made.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// They are the asset.
    Asset,
    /// They are these, which the edge made.
    Bytes(Bytes),
}

/// The queue. Clones share it.
#[derive(Clone)]
pub(crate) struct Press {
    jobs: mpsc::Sender<Job>,
    is_on: bool,
    state: Arc<State>,
}

struct Job {
    of: AssetRef,
    content: Content,
    /// Its part of what pages in the queue may have.
    _room: Option<OwnedSemaphorePermit>,
}

struct State {
    assets: Assets,
    memory: Memory,
    instruments: Instruments,
    queued: Mutex<HashSet<AssetRef>>,
    room: Arc<Semaphore>,
    settled: Cache<AssetRef, Instant>,
    /// Until when the last look holds by which there was not too much to do.
    calm_until: Mutex<Option<Instant>>,
}

impl Press {
    /// Works until `stop`, on at most `threads` threads; none leaves everything as it is.
    pub(crate) fn start(
        (assets, memory): (Assets, Memory),
        threads: usize,
        instruments: Instruments,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let (jobs, mut waiting) = mpsc::channel(QUEUE);
        let state = Arc::new(State {
            assets,
            memory,
            instruments,
            queued: Mutex::default(),
            room: Arc::new(Semaphore::new(QUEUED_PAGES)),
            settled: Cache::new(SETTLED_LIMIT),
            calm_until: Mutex::default(),
        });
        if threads > 0 {
            let state = Arc::clone(&state);
            let work = async move {
                futures::stream::poll_fn(|cx| waiting.poll_recv(cx))
                    .for_each_concurrent(threads, async |job: Job| {
                        state.work(job.of, job.content).await;
                    })
                    .await;
            };
            tasks.spawn(stop.run_until_cancelled_owned(work));
        }
        Self {
            jobs,
            is_on: threads > 0,
            state,
        }
    }

    /// Whether forms are made here. Where they are not, those of other times are not served either: bytes may have been replaced.
    pub(crate) fn is_on(&self) -> bool {
        self.is_on
    }

    /// Has the forms made that are not there yet, some time.
    pub(crate) fn want(&self, of: AssetRef, content: Content) {
        if !self.is_on {
            return;
        }
        let settled = self.state.settled.get(&of);
        if settled.is_some_and(|at| at.elapsed() < SETTLED_FOR) || !self.state.queued().insert(of) {
            return;
        }
        if self.queue(of, content).is_none() {
            self.state.queued().remove(&of);
            self.state.instruments.pressed(Pressed::LeftOut);
        }
    }

    /// Puts it into the queue, if there is room.
    fn queue(&self, of: AssetRef, content: Content) -> Option<()> {
        let room = match &content {
            Content::Asset => None,
            Content::Bytes(bytes) => {
                let kibibytes = u32::try_from(bytes.len().div_ceil(1024)).ok()?;
                let room = Arc::clone(&self.state.room);
                Some(room.try_acquire_many_owned(kibibytes).ok()?)
            }
        };
        let job = Job {
            of,
            content,
            _room: room,
        };
        self.jobs.try_send(job).ok()
    }
}

impl State {
    fn queued(&self) -> MutexGuard<'_, HashSet<AssetRef>> {
        self.queued.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn work(&self, of: AssetRef, content: Content) {
        let made = self.make(of, content).await;
        self.queued().remove(&of);
        match made {
            Ok(()) => self.settled.insert(of, Instant::now()),
            // The next request for it tries again; until then the asset itself is served.
            Err(error) => {
                self.instruments.pressed(Pressed::Failed);
                tracing::debug!(
                    asset = %of, error = &error as &dyn std::error::Error,
                    "The coded forms of an asset could not be made"
                );
            }
        }
    }

    async fn make(&self, of: AssetRef, content: Content) -> Result<(), PressError> {
        let mut lacking = Vec::new();
        for coding in IN_TURN {
            if self.assets.derived_size(coding, of).await?.is_none() {
                lacking.push(coding);
            }
        }
        if lacking.is_empty() {
            return Ok(());
        }
        self.calm().await;
        let Some(bytes) = self.bytes(of, content).await? else {
            return Err(PressError::Absent);
        };
        for coding in lacking {
            self.calm().await;
            let form = encoded(coding, bytes.clone()).await?;
            // What saves less than a twentieth is not worth the work of its readers.
            let useful = form.len() < bytes.len() - bytes.len() / 20;
            let form = useful.then_some(form);
            let stored = form.clone().unwrap_or_default();
            self.assets.put_derived(coding, of, stored).await?;
            self.memory.made(of, coding, form);
            let pressed = if useful {
                Pressed::Made
            } else {
                Pressed::OfNoUse
            };
            self.instruments.pressed(pressed);
        }
        Ok(())
    }

    async fn bytes(&self, of: AssetRef, content: Content) -> Result<Option<Bytes>, StorageError> {
        match content {
            Content::Bytes(bytes) => return Ok(Some(bytes)),
            Content::Asset => {}
        }
        if let Some(held) = self.memory.held(of) {
            return Ok(Some(held.bytes.clone()));
        }
        let Some(body) = self.assets.open(of, None).await? else {
            return Ok(None);
        };
        memory::whole(body.bytes, of.size).await.map(Some)
    }

    /// Waits while there is too much to do: then also a task that does nothing comes late. Where a container may not use more of
    /// the processor than it has, priorities are of no help, and this is.
    async fn calm(&self) {
        loop {
            let calm_until = *self
                .calm_until
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let begun = Instant::now();
            if calm_until.is_some_and(|until| begun < until) {
                return;
            }
            tokio::time::sleep(LATE / 2).await;
            if begun.elapsed() < LATE / 2 + LATE {
                let mut calm_until = self
                    .calm_until
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                *calm_until = Some(Instant::now() + CALM_FOR);
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Why forms were not made.
#[derive(Debug, thiserror::Error)]
enum PressError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("the bytes could not be coded")]
    Coding(#[from] io::Error),
    #[error("the asset is not there")]
    Absent,
}

/// Codes on a thread of its own, which gives way to all others.
async fn encoded(coding: Coding, bytes: Bytes) -> io::Result<Bytes> {
    let (done, result) = oneshot::channel();
    thread::Builder::new()
        .name("favonius-press".to_owned())
        .spawn(move || {
            // On Linux this is the thread's own priority. Where it cannot be had the work is done all the same.
            let _ignored = rustix::process::setpriority_process(None, 19);
            drop(done.send(encode::encode(coding, &bytes)));
        })?;
    match result.await {
        Ok(form) => form.map(Bytes::from),
        Err(_) => Err(io::Error::other("the thread ended")),
    }
}
