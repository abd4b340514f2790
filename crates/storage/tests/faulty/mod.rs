//! A store that misbehaves.

use std::{
    fmt,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use favonius_storage::Assets;
use futures::{FutureExt, StreamExt, TryStreamExt, future, stream, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    RenameOptions, Result, UploadPart, memory::InMemory, path::Path,
};
use tokio_util::task::TaskTracker;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    Unavailable,
    Denied,
    DiskFull,
    /// Bodies have a byte too few, or too many.
    ShortBody,
    LongBody,
    /// Bodies break off with an error.
    BrokenBody,
    /// Cannot create without replacing.
    NoCreate,
    /// An upload in parts is completed, but the answer says that there is none.
    LostAnswer,
    /// Parts are not taken, and cannot be removed.
    NoParts,
}

/// A store in memory with a fault, that counts.
#[derive(Debug, Clone)]
pub(crate) struct Faulty {
    pub(crate) store: InMemory,
    pub(crate) fault: Fault,
    pub(crate) counts: Arc<Counts>,
}

#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) heads: AtomicUsize,
    pub(crate) heads_now: AtomicUsize,
    pub(crate) most_heads: AtomicUsize,
    pub(crate) puts: AtomicUsize,
    pub(crate) completed: AtomicUsize,
    pub(crate) aborted: AtomicUsize,
}

pub(crate) fn count(counter: &AtomicUsize) -> usize {
    counter.load(Ordering::SeqCst)
}

pub(crate) fn add(counter: &AtomicUsize) -> usize {
    counter.fetch_add(1, Ordering::SeqCst) + 1
}

impl Faulty {
    pub(crate) fn new(fault: Fault) -> Self {
        Self {
            store: InMemory::new(),
            fault,
            counts: Arc::default(),
        }
    }

    pub(crate) fn assets(&self) -> (Assets, TaskTracker) {
        let tasks = TaskTracker::new();
        (Assets::new(Arc::new(self.clone()), tasks.clone()), tasks)
    }

    fn error(&self) -> Option<Error> {
        let store = "test";
        let (path, source) = (String::new(), "a test".into());
        match self.fault {
            Fault::Unavailable => Some(Error::Generic { store, source }),
            Fault::Denied => Some(Error::PermissionDenied { path, source }),
            Fault::DiskFull => {
                let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
                let source = full.into();
                Some(Error::Generic { store, source })
            }
            _ => None,
        }
    }

    fn pass(&self) -> Result<()> {
        self.error().map_or(Ok(()), Err)
    }

    fn spoil(&self, found: GetResult) -> GetResult {
        let GetResultPayload::Stream(bytes) = found.payload else {
            return found;
        };
        let bytes = match self.fault {
            Fault::ShortBody => bytes.map_ok(|piece| piece.slice(..piece.len() - 1)).boxed(),
            Fault::LongBody => bytes.chain(stream::once(async { Ok("!".into()) })).boxed(),
            Fault::BrokenBody => {
                let error = Error::Generic {
                    store: "test",
                    source: "broken".into(),
                };
                let half = bytes.map_ok(|piece| piece.slice(..piece.len() / 2));
                half.chain(stream::once(async { Err(error) })).boxed()
            }
            _ => bytes,
        };
        GetResult {
            payload: GetResultPayload::Stream(bytes),
            ..found
        }
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Faulty({:?})", self.fault)
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl ObjectStore for Faulty {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        self.pass()?;
        if self.fault == Fault::NoCreate && opts.mode == PutMode::Create {
            return Err(Error::NotImplemented {
                operation: "create".into(),
                implementer: "test".into(),
            });
        }
        add(&self.counts.puts);
        self.store.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.pass()?;
        Ok(Box::new(Upload {
            upload: self.store.put_multipart_opts(location, opts).await?,
            store: self.clone(),
        }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.pass()?;
        if !options.head {
            return Ok(self.spoil(self.store.get_opts(location, options).await?));
        }
        add(&self.counts.heads);
        let now = add(&self.counts.heads_now);
        self.counts.most_heads.fetch_max(now, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(10)).await;
        self.counts.heads_now.fetch_sub(1, Ordering::SeqCst);
        self.store.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.store.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        match self.error() {
            Some(error) => stream::once(async { Err(error) }).boxed(),
            None => self.store.delete_stream(locations),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.error() {
            Some(error) => stream::once(async { Err(error) }).boxed(),
            None => self.store.list(prefix),
        }
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.store.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.store.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.store.rename_opts(from, to, options).await
    }
}

#[derive(Debug)]
struct Upload {
    upload: Box<dyn MultipartUpload>,
    store: Faulty,
}

fn no_upload() -> Error {
    Error::NotFound {
        path: String::new(),
        source: "NoSuchUpload".into(),
    }
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        if self.store.fault == Fault::NoParts {
            let source = "no".into();
            let store = "test";
            return future::ready(Err(Error::Generic { store, source })).boxed();
        }
        self.upload.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        add(&self.store.counts.completed);
        let done = self.upload.complete().await;
        match self.store.fault {
            Fault::LostAnswer => Err(no_upload()),
            _ => done,
        }
    }

    async fn abort(&mut self) -> Result<()> {
        add(&self.store.counts.aborted);
        match self.store.fault {
            Fault::LostAnswer | Fault::NoParts => Err(no_upload()),
            _ => self.upload.abort().await,
        }
    }
}
