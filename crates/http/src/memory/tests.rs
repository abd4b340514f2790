//! What is promised of memory, against a store that counts and can fail.

use std::{
    ops::Range,
    sync::atomic::{AtomicBool, Ordering::SeqCst},
};

use async_trait::async_trait;
use favonius_contract::AssetHash;
use futures::{StreamExt, future::join_all, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetRange, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    memory::InMemory, path::Path,
};
use proptest::prelude::*;

use super::*;

const MIB: u64 = 1024 * 1024;

/// Counts what is read of each object, and fails when it is told to.
#[derive(Debug, Default)]
struct Counting {
    inner: InMemory,
    reads: std::sync::Mutex<Vec<(String, Option<GetRange>)>>,
    down: AtomicBool,
}

impl std::fmt::Display for Counting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Counting")
    }
}

#[async_trait]
impl ObjectStore for Counting {
    async fn put_opts(&self, at: &Path, payload: PutPayload, o: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(at, payload, o).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> Result<GetResult> {
        let read = (at.to_string(), options.range.clone());
        self.reads.lock().unwrap().push(read);
        tokio::time::sleep(Duration::from_millis(10)).await;
        if self.down.load(SeqCst) {
            return Err(Error::Generic {
                store: "test",
                source: "down".into(),
            });
        }
        self.inner.get_opts(at, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

struct Bench {
    store: Arc<Counting>,
    memory: Memory,
}

impl Bench {
    fn new(bytes: u64) -> Self {
        let store = Arc::new(Counting::default());
        let assets = Assets::new(Arc::clone(&store) as _, TaskTracker::new());
        let memory = Memory::new(assets, bytes, Instruments::default(), TaskTracker::new());
        Self { store, memory }
    }

    /// Stores an asset of so many bytes that are told apart by its name.
    async fn asset(&self, name: &str, size: u64) -> (AssetRef, Bytes) {
        let seed: u64 = name.bytes().map(u64::from).sum();
        let bytes: Bytes = (0..size)
            .map(|at| {
                (seed + at)
                    .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                    .to_le_bytes()[7]
            })
            .collect();
        let asset = AssetRef {
            hash: AssetHash::of(&bytes, name),
            size,
        };
        let key = AssetKey::Asset(asset).path();
        self.store.put(&key, bytes.clone().into()).await.unwrap();
        (asset, bytes)
    }

    /// Assets that were asked for again.
    async fn hot(&self) -> Vec<AssetRef> {
        let mut hot = Vec::new();
        for name in 0..10 {
            hot.push(self.asset(&format!("hot {name}"), 100_000).await.0);
        }
        for _ in 0..3 {
            for asset in &hot {
                self.memory.asset(*asset).await.unwrap();
            }
        }
        hot
    }

    fn reads(&self) -> usize {
        self.store.reads.lock().unwrap().len()
    }

    async fn read(&self, asset: AssetRef, range: Range<u64>) -> Bytes {
        let opened = self.memory.open(asset, range).await.unwrap().unwrap();
        let pieces: Vec<Bytes> = opened.bytes.try_collect().await.unwrap();
        assert!(pieces.iter().all(|piece| piece.len() <= 16 * 1024));
        pieces.concat().into()
    }
}

#[tokio::test(start_paused = true)]
async fn one_fetch_for_all_who_wait() {
    let bench = Bench::new(64 * MIB);
    let (asset, bytes) = bench.asset("a", 100_000).await;
    let answers = join_all((0..500).map(|_| bench.memory.asset(asset))).await;
    for answer in answers {
        assert_eq!(answer.unwrap().unwrap().bytes, bytes);
    }
    assert_eq!(bench.reads(), 1);
    assert!(bench.memory.held(asset).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_shared_and_not_kept() {
    let bench = Bench::new(64 * MIB);
    let (asset, bytes) = bench.asset("a", 100).await;
    bench.store.down.store(true, SeqCst);
    let begun = tokio::time::Instant::now();
    for answer in join_all((0..500).map(|_| bench.memory.asset(asset))).await {
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "not one after the other"
    );
    bench.store.down.store(false, SeqCst);
    assert_eq!(
        bench.memory.asset(asset).await.unwrap().unwrap().bytes,
        bytes
    );
}

#[tokio::test(start_paused = true)]
async fn absence_is_not_kept() {
    let bench = Bench::new(64 * MIB);
    let bytes = Bytes::from_static(b"late");
    let asset = AssetRef {
        hash: AssetHash::of(&bytes, "late"),
        size: 4,
    };
    assert!(bench.memory.asset(asset).await.unwrap().is_none());
    let key = AssetKey::Asset(asset).path();
    bench.store.put(&key, bytes.clone().into()).await.unwrap();
    assert_eq!(
        bench.memory.asset(asset).await.unwrap().unwrap().bytes,
        bytes
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_for_again_survives_a_look_at_everything() {
    let bench = Bench::new(16 * MIB);
    let hot = bench.hot().await;
    for name in 0..400 {
        let (asset, _) = bench.asset(&format!("once {name}"), 100_000).await;
        bench.memory.asset(asset).await.unwrap();
        assert!(bench.memory.memory_bytes() <= 12 * MIB);
    }
    let kept = hot
        .iter()
        .filter(|asset| bench.memory.held(**asset).is_some());
    assert_eq!(kept.count(), hot.len());
}

#[tokio::test(start_paused = true)]
async fn it_survives_readers_of_large_assets_as_well() {
    let bench = Bench::new(16 * MIB);
    let hot = bench.hot().await;
    for name in 0..10 {
        let (asset, bytes) = bench.asset(&format!("large {name}"), 5 * MIB).await;
        assert!(bench.read(asset, 0..asset.size).await == bytes);
    }
    let kept = hot
        .iter()
        .filter(|asset| bench.memory.held(**asset).is_some());
    assert_eq!(kept.count(), hot.len());
}

#[tokio::test(start_paused = true)]
async fn what_is_being_sent_is_counted_once_and_bounded() {
    let bench = Bench::new(16 * MIB);
    let (small, _) = bench.asset("small", 64 * 1024).await;
    let (asset, bytes) = bench.asset("a", MIB).await;
    let (other, _) = bench.asset("b", 2 * MIB).await;
    let [small, asset, other] = join_all([small, asset, other].map(|a| bench.memory.asset(a)))
        .await
        .into_iter()
        .map(|held| held.unwrap().unwrap())
        .collect::<Vec<_>>()
        .try_into()
        .unwrap();
    let lent = || bench.memory.0.lent.load(SeqCst);
    let first = bench.memory.lend(&asset).unwrap();
    let second = bench.memory.lend(&asset).unwrap();
    assert_eq!((&first, &second, lent()), (&bytes, &bytes, MIB));
    assert!(
        bench.memory.lend(&other).is_none(),
        "an eighth of the memory"
    );
    assert_eq!(lent(), MIB, "what was not lent does not count");
    assert!(bench.memory.lend(&small).is_some(), "always");
    let part = first.slice(5..9);
    drop((first, second));
    assert_eq!(lent(), MIB, "a part holds the whole");
    drop(part);
    assert_eq!(lent(), 0);
}

#[tokio::test(start_paused = true)]
async fn large_assets_are_read_in_parts_that_readers_share() {
    let bench = Bench::new(64 * MIB);
    let (asset, bytes) = bench.asset("large", 5 * MIB + 17).await;
    for answer in join_all((0..20).map(|_| bench.read(asset, 0..asset.size))).await {
        assert!(answer == bytes);
    }
    let reads = bench.reads();
    assert!(reads <= 12, "{reads} reads of at least 512 KiB each");
    // Nothing beyond what was asked for.
    let (other, bytes) = bench.asset("other", 5 * MIB).await;
    assert!(bench.read(other, 1_000_000..1_100_000).await == bytes.slice(1_000_000..1_100_000));
    let asked: Vec<_> = bench.store.reads.lock().unwrap().split_off(reads);
    let ranges: Vec<_> = asked.into_iter().map(|(_, range)| range.unwrap()).collect();
    assert_eq!(
        ranges,
        [
            GetRange::Bounded(1_000_000..1_048_576),
            GetRange::Bounded(1_048_576..1_100_000)
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn many_readers_have_small_parts() {
    let bench = Bench::new(64 * MIB);
    assert_eq!(bench.memory.part_size(), 20);
    let (asset, _) = bench.asset("large", 5 * MIB).await;
    let mut readers = Vec::new();
    for _ in 0..300 {
        readers.push(bench.memory.open(asset, 0..asset.size).await.unwrap());
    }
    assert_eq!(bench.memory.part_size(), 16);
    drop(readers);
    assert_eq!(bench.memory.part_size(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_breaks_breaks_the_reading() {
    let bench = Bench::new(64 * MIB);
    let (asset, _) = bench.asset("large", 5 * MIB).await;
    let mut opened = bench
        .memory
        .open(asset, 0..asset.size)
        .await
        .unwrap()
        .unwrap();
    assert!(opened.bytes.next().await.unwrap().is_ok());
    bench.store.down.store(true, SeqCst);
    let mut read = 0;
    let error = loop {
        match opened.bytes.next().await {
            Some(Ok(piece)) => read += piece.len(),
            Some(Err(error)) => break error,
            None => panic!("it looks whole"),
        }
    };
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(read < 5 * 1024 * 1024);
}

#[tokio::test(start_paused = true)]
async fn absent_forms_are_remembered_for_a_while() {
    let bench = Bench::new(64 * MIB);
    let (asset, _) = bench.asset("a.js", 5000).await;
    let coding = Coding::Brotli;
    assert!(matches!(bench.memory.form(asset, coding), Form::Unknown));
    assert!(
        bench
            .memory
            .load_form(asset, coding)
            .await
            .unwrap()
            .is_none()
    );
    assert!(matches!(bench.memory.form(asset, coding), Form::Absent));
    // Made here, it is known at once, and in memory if the asset is.
    bench
        .memory
        .made(asset, coding, Some(Bytes::from_static(b"form")));
    assert!(matches!(bench.memory.form(asset, coding), Form::Unknown));
    bench.memory.asset(asset).await.unwrap();
    bench
        .memory
        .made(asset, coding, Some(Bytes::from_static(b"form")));
    assert!(matches!(bench.memory.form(asset, coding), Form::Held(held) if held.bytes == "form"));
    bench.memory.made(asset, Coding::Gzip, None);
    assert!(matches!(
        bench.memory.form(asset, Coding::Gzip),
        Form::Absent
    ));
}

#[tokio::test(start_paused = true)]
async fn without_memory_everything_streams() {
    let bench = Bench::new(0);
    let (asset, bytes) = bench.asset("a", 300_000).await;
    assert_eq!(bench.memory.largest(), 0);
    for _ in 0..2 {
        let opened = bench.memory.open(asset, 5..200_000).await.unwrap().unwrap();
        let pieces: Vec<Bytes> = opened.bytes.try_collect().await.unwrap();
        assert!(pieces.concat() == bytes.slice(5..200_000));
    }
    assert_eq!((bench.reads(), bench.memory.memory_bytes()), (2, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn any_range_is_the_slice(start in 0..2 * MIB, length in 1..2 * MIB, kept: bool) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let bench = Bench::new(64 * MIB);
            let (asset, bytes) = bench.asset("x", 2 * MIB).await;
            if kept {
                bench.memory.asset(asset).await.unwrap();
            }
            let end = (start + length).min(asset.size);
            let at = |position| usize::try_from(position).unwrap();
            assert!(bench.read(asset, start..end).await == bytes.slice(at(start)..at(end)));
        });
    }
}
