//! Assets on a store that misbehaves.

use std::{
    convert::Infallible,
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
use favonius_contract::{AssetHash, AssetRef};
use favonius_storage::{AssetKey, Assets, Claim, ErrorKind, HashCheck, PutError, Stored};
use futures::{FutureExt, StreamExt, TryStreamExt, future, stream, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, RenameOptions, Result, UploadPart, memory::InMemory, path::Path,
};
use tokio_util::task::TaskTracker;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
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
struct Faulty {
    store: InMemory,
    fault: Fault,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    heads: AtomicUsize,
    heads_now: AtomicUsize,
    most_heads: AtomicUsize,
    puts: AtomicUsize,
    completed: AtomicUsize,
    aborted: AtomicUsize,
}

fn count(counter: &AtomicUsize) -> usize {
    counter.load(Ordering::SeqCst)
}

fn add(counter: &AtomicUsize) -> usize {
    counter.fetch_add(1, Ordering::SeqCst) + 1
}

impl Faulty {
    fn new(fault: Fault) -> Self {
        Self {
            store: InMemory::new(),
            fault,
            counts: Arc::default(),
        }
    }

    fn assets(&self) -> (Assets, TaskTracker) {
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

fn asset(content: &[u8]) -> AssetRef {
    AssetRef {
        hash: AssetHash::of(content, "x"),
        size: content.len() as u64,
    }
}

fn claim(asset: AssetRef) -> Claim<'static> {
    Claim {
        asset,
        path: "x",
        content_hash_too: false,
        check: HashCheck::Strict,
    }
}

async fn put(
    assets: &Assets,
    claim: Claim<'_>,
    content: &[u8],
) -> Result<Stored, PutError<Infallible>> {
    let content = Bytes::copy_from_slice(content);
    assets.put(claim, stream::iter([Ok(content)])).await
}

fn large() -> Vec<u8> {
    vec![1; 9 * 1024 * 1024]
}

#[tokio::test]
async fn what_a_store_cannot_tell_is_an_error_and_not_absence() {
    let cases = [
        (Fault::Unavailable, ErrorKind::Unavailable),
        (Fault::Denied, ErrorKind::Denied),
        (Fault::DiskFull, ErrorKind::Full),
    ];
    for (fault, expected) in cases {
        let (assets, _) = Faulty::new(fault).assets();
        let asset = asset(b"content");
        let put = put(&assets, claim(asset), b"content").await.unwrap_err();
        let PutError::Storage(put) = put else {
            panic!("{fault:?}: {put:?}");
        };
        let errors = [
            put,
            assets.put_own("x".into(), "x").await.unwrap_err(),
            assets.contains(asset).await.unwrap_err(),
            assets.missing([asset], 5).await.unwrap_err(),
            assets.open(asset, None).await.unwrap_err(),
            assets.open(asset, Some(1..2)).await.unwrap_err(),
            assets.remove(asset).await.unwrap_err(),
            assets.check().await.unwrap_err(),
            assets.list().try_collect::<Vec<_>>().await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!(error.kind(), expected, "{fault:?}: {error:?}");
        }
    }
}

#[tokio::test]
async fn a_body_of_another_length_does_not_look_whole() {
    let cases = [
        (Fault::ShortBody, ErrorKind::Corrupt),
        (Fault::LongBody, ErrorKind::Corrupt),
        (Fault::BrokenBody, ErrorKind::Unavailable),
    ];
    for (fault, expected) in cases {
        let (assets, _) = Faulty::new(fault).assets();
        let asset = assets.put_own("content".into(), "x").await.unwrap();
        for range in [None, Some(2..6)] {
            let body = assets.open(asset, range.clone()).await.unwrap().unwrap();
            let mut pieces: Vec<_> = body.bytes.collect().await;
            let error = pieces.pop().unwrap().unwrap_err();
            assert_eq!(error.kind(), expected, "{fault:?}, {range:?}: {error:?}");
            let before: Vec<Bytes> = pieces.into_iter().map(Result::unwrap).collect();
            let range = range.unwrap_or(0..7);
            let (start, end) = (
                range.start.try_into().unwrap(),
                range.end.try_into().unwrap(),
            );
            let whole = b"content".get::<Range<usize>>(start..end).unwrap();
            assert!(whole.starts_with(&before.concat()), "{fault:?}: {before:?}");
        }
    }
}

#[tokio::test]
async fn parts_of_what_is_given_up_are_removed() {
    let content = large();
    let wrong = AssetRef {
        hash: AssetHash::of(b"", "other"),
        ..asset(&content)
    };
    let store = Faulty::new(Fault::None);

    let (assets, tasks) = store.assets();
    put(&assets, claim(wrong), &content).await.unwrap_err();
    let failing = [
        Ok(content.clone().into()),
        Err(std::io::Error::other("gone")),
    ];
    let failing = stream::iter(failing);
    assets.put(claim(wrong), failing).await.unwrap_err();
    let stuck =
        stream::iter([Ok::<_, Infallible>(content.clone().into())]).chain(stream::pending());
    let stuck = assets.put(claim(wrong), stuck);
    assert!(
        tokio::time::timeout(Duration::from_millis(200), stuck)
            .await
            .is_err()
    );
    tasks.close();
    tasks.wait().await;
    assert_eq!(
        (count(&store.counts.aborted), count(&store.counts.completed)),
        (3, 0)
    );

    put(&assets, claim(asset(&content)), &content)
        .await
        .unwrap();
    assert_eq!(
        (count(&store.counts.aborted), count(&store.counts.completed)),
        (3, 1)
    );
}

#[tokio::test]
async fn a_part_that_is_not_taken_ends_the_upload() {
    let store = Faulty::new(Fault::NoParts);
    let (assets, tasks) = store.assets();
    let content = large();
    let error = put(&assets, claim(asset(&content)), &content)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, PutError::Storage(e) if e.kind() == ErrorKind::Unavailable),
        "{error:?}"
    );
    tasks.close();
    tasks.wait().await;
    assert_eq!(
        (count(&store.counts.aborted), count(&store.counts.completed)),
        (1, 0)
    );
}

#[tokio::test]
async fn an_upload_whose_last_answer_was_lost_is_stored() {
    let store = Faulty::new(Fault::LostAnswer);
    let (assets, _) = store.assets();
    let content = large();
    let asset = asset(&content);
    assert_eq!(
        put(&assets, claim(asset), &content).await.unwrap(),
        Stored::New
    );
    assert!(assets.contains(asset).await.unwrap());
}

#[tokio::test]
async fn without_hash_checks_one_of_many_at_once_is_stored() {
    let store = Faulty::new(Fault::None);
    let shared = asset(b"content");
    let claim = Claim {
        check: HashCheck::Off,
        ..claim(shared)
    };
    let uploads = (0..50_u8).map(|n| {
        // Each is a worker of its own.
        let (assets, _) = store.assets();
        async move { (n, put(&assets, claim, &[n; 7]).await.unwrap()) }
    });
    let outcomes = future::join_all(uploads).await;
    let new: Vec<_> = outcomes
        .iter()
        .filter(|(_, stored)| *stored == Stored::New)
        .collect();
    assert_eq!(new.len(), 1, "{outcomes:?}");
    let path = AssetKey::Asset(shared).path();
    let kept = store.store.get(&path).await.unwrap().bytes().await.unwrap();
    assert_eq!(kept, [new[0].0; 7].as_slice());
}

#[tokio::test]
async fn a_store_that_cannot_create_without_replacing_is_good_enough() {
    let store = Faulty::new(Fault::NoCreate);
    let shared = asset(b"content");
    for (check, bytes, expected) in [
        (HashCheck::Warn, b"FIRST!!", Stored::New),
        (HashCheck::Off, b"SECOND!", Stored::Known),
        (HashCheck::Strict, b"content", Stored::Known),
    ] {
        let claim = Claim {
            check,
            ..claim(shared)
        };
        let (assets, _) = store.assets();
        assert_eq!(
            put(&assets, claim, bytes).await.unwrap(),
            expected,
            "{check:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_asset_that_was_seen_is_not_asked_for_again_for_a_minute() {
    let store = Faulty::new(Fault::None);
    let (assets, _) = store.assets();
    let content = assets.put_own("content".into(), "x").await.unwrap();
    let heads = || count(&store.counts.heads);
    let asked = heads();
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(assets.contains(content).await.unwrap());
        // That it is uploaded again says nothing about the store.
        assert_eq!(
            put(&assets, claim(content), b"content").await.unwrap(),
            Stored::Known
        );
    }
    assert_eq!(heads(), asked);
    tokio::time::sleep(Duration::from_secs(15)).await;
    assert!(assets.contains(content).await.unwrap());
    assert_eq!(heads(), asked + 1);

    // Somebody else removes it: who reads it sees it, and it can be uploaded again at once.
    store
        .store
        .delete(&AssetKey::Asset(content).path())
        .await
        .unwrap();
    assert!(assets.contains(content).await.unwrap());
    assert!(assets.open(content, None).await.unwrap().is_none());
    assert!(!assets.contains(content).await.unwrap());
    assert_eq!(
        put(&assets, claim(content), b"content").await.unwrap(),
        Stored::New
    );

    // Absence is never remembered.
    let asked = heads();
    for _ in 0..3 {
        assert!(!assets.contains(asset(b"absent")).await.unwrap());
    }
    assert_eq!(heads(), asked + 6);
}

#[tokio::test(start_paused = true)]
async fn many_assets_are_looked_up_side_by_side_but_not_all_at_once() {
    let store = Faulty::new(Fault::None);
    let (assets, _) = store.assets();
    let all = (0..1000_u32).map(|n| asset(&n.to_be_bytes()));
    assert_eq!(assets.missing(all, usize::MAX).await.unwrap().len(), 1000);
    let most = count(&store.counts.most_heads);
    assert_eq!(most, 64);

    // Once enough are missing, no more are asked for.
    let store = Faulty::new(Fault::None);
    let (assets, _) = store.assets();
    let all = (0..100_000_u32).map(|n| asset(&n.to_be_bytes()));
    assert_eq!(assets.missing(all, 100).await.unwrap().len(), 100);
    assert!(count(&store.counts.heads) < 1000);
}

#[tokio::test]
async fn an_asset_is_written_once() {
    let store = Faulty::new(Fault::None);
    for _ in 0..3 {
        let (assets, _) = store.assets();
        assets.put_own("content".into(), "x").await.unwrap();
        put(&assets, claim(asset(b"content")), b"content")
            .await
            .unwrap();
    }
    assert_eq!(count(&store.counts.puts), 1);
}
