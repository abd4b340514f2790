//! The suite for what [`Assets`] stand on: any `ObjectStore`.
//!
//! A case is an async function that takes an empty store and panics when assets in it do not keep their promises. A back
//! end runs each as a test with [`assets_suite!`](crate::assets_suite).
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use object_store::{ObjectStore, memory::InMemory};
//!
//! /// A store that nobody else uses, and whatever must live as long as it.
//! fn fresh() -> (Arc<dyn ObjectStore>, ()) {
//!     (Arc::new(InMemory::new()), ())
//! }
//!
//! favonius_storage::assets_suite!(fresh);
//! ```

use std::{collections::HashSet, convert::Infallible, io, ops::Range, sync::Arc, time::Duration};

use bytes::Bytes;
use favonius_contract::{AssetHash, AssetRef};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use object_store::{ObjectStore, ObjectStoreExt};
use proptest::{
    prelude::{Strategy, any, prop},
    strategy::ValueTree,
    test_runner::TestRunner,
};
use tokio_util::task::TaskTracker;

use crate::{AssetKey, Assets, Claim, ErrorKind, HashCheck, PutError, StorageError, Stored};

/// An empty store.
pub type Store = Arc<dyn ObjectStore>;

/// Larger than one part.
const LARGE: usize = 9 * 1024 * 1024;

/// Makes a test of each case: `assets_suite!(#[attribute] fresh)`, where `fresh` is a function that gives an empty
/// store and whatever must live as long as it. The caller depends on tokio with its test macros.
#[macro_export]
macro_rules! assets_suite {
    ($(#[$attribute:meta])* $fresh:path) => {
        $crate::assets_suite! { @each [$(#[$attribute])*] $fresh;
            what_is_stored_comes_back
            large_assets_come_back
            anything_in_any_pieces_comes_back
            wrong_bytes_leave_nothing
            wrong_bytes_of_a_large_asset_leave_nothing
            a_body_that_fails_leaves_nothing
            an_upload_that_is_dropped_leaves_nothing
            the_same_hash_with_another_size_is_another_asset
            known_assets_are_checked_all_the_same
            what_was_stored_first_stays
            a_large_asset_that_was_stored_first_stays
            a_hash_of_the_content_alone_may_be_allowed
            bytes_of_our_own_are_stored_once
            ranges_are_those_bytes
            an_object_of_another_length_is_corrupt
            an_object_under_the_hash_alone_is_found
            what_is_missing_is_told
            everything_is_listed_and_can_be_removed
            a_store_that_works_passes_its_check
        }
    };
    (@each $attributes:tt $fresh:path; $($case:ident)+) => {
        $($crate::assets_suite! { @case $attributes $fresh; $case })+
    };
    (@case [$(#[$attribute:meta])*] $fresh:path; $case:ident) => {
        $(#[$attribute])*
        #[::tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            let (store, _keep) = $fresh();
            $crate::conformance::bytes::$case(store).await;
        }
    };
}

fn assets_in(store: &Store) -> (Assets, TaskTracker) {
    let tasks = TaskTracker::new();
    (Assets::new(Arc::clone(store), tasks.clone()), tasks)
}

fn asset(content: &[u8], path: &str) -> AssetRef {
    AssetRef {
        hash: AssetHash::of(content, path),
        size: content.len() as u64,
    }
}

/// Bytes that differ at every place.
fn content(size: usize, seed: u8) -> Vec<u8> {
    let mut state = u64::from(seed) + 1;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    (0..size).map(|_| next()).collect()
}

fn claim(asset: AssetRef, path: &str) -> Claim<'_> {
    Claim {
        asset,
        path,
        content_hash_too: false,
        check: HashCheck::Strict,
    }
}

fn unchecked(asset: AssetRef, path: &str) -> Claim<'_> {
    Claim {
        check: HashCheck::Off,
        ..claim(asset, path)
    }
}

/// A body in pieces of at most this size.
fn body(content: &[u8], piece: usize) -> impl Stream<Item = Result<Bytes, Infallible>> + Send {
    let pieces: Vec<_> = content.chunks(piece).map(Bytes::copy_from_slice).collect();
    stream::iter(pieces).map(Ok)
}

async fn put(
    assets: &Assets,
    claim: Claim<'_>,
    content: &[u8],
) -> Result<Stored, PutError<Infallible>> {
    assets.put(claim, body(content, 100_000)).await
}

async fn read(
    assets: &Assets,
    asset: AssetRef,
    range: Option<Range<u64>>,
) -> Result<Option<Vec<u8>>, StorageError> {
    let Some(found) = assets.open(asset, range.clone()).await? else {
        return Ok(None);
    };
    assert_eq!(found.range, range.unwrap_or(0..asset.size));
    let pieces: Vec<Bytes> = found.bytes.try_collect().await?;
    Ok(Some(pieces.concat()))
}

/// The keys in the store, also those that are no assets.
async fn keys(store: &Store) -> HashSet<String> {
    let all: Vec<_> = store.list(None).try_collect().await.unwrap();
    all.into_iter()
        .map(|meta| meta.location.to_string())
        .collect()
}

/// Nothing was stored and the same assets can be stored by who brings the right bytes.
async fn assert_absent(store: &Store, asset: AssetRef) {
    let (fresh, _) = assets_in(store);
    assert_eq!(keys(store).await, HashSet::new());
    assert!(!fresh.contains(asset).await.unwrap());
    assert_eq!(read(&fresh, asset, None).await.unwrap(), None);
}

/// An asset is there with its bytes, under its own key, for who stored it and for others.
pub async fn what_is_stored_comes_back(store: Store) {
    let (assets, _) = assets_in(&store);
    for (size, path) in [
        (0, "empty.txt"),
        (1, "a/b.js"),
        (70_000, "dir\\windows ü.css"),
    ] {
        let content = content(size, 1);
        let asset = asset(&content, path);
        assert_eq!(
            put(&assets, claim(asset, path), &content).await.unwrap(),
            Stored::New
        );
        assert_eq!(
            put(&assets, claim(asset, path), &content).await.unwrap(),
            Stored::Known
        );
        let (other, _) = assets_in(&store);
        assert_eq!(
            put(&other, claim(asset, path), &content).await.unwrap(),
            Stored::Known
        );
        for assets in [&assets, &other] {
            assert!(assets.contains(asset).await.unwrap(), "{path}");
            assert_eq!(
                read(assets, asset, None).await.unwrap().unwrap(),
                content,
                "{path}"
            );
        }
        assert!(keys(&store).await.contains(&asset.to_string()), "{path}");
    }
}

/// The same around the size of a part, and with several parts.
pub async fn large_assets_come_back(store: Store) {
    let (assets, tasks) = assets_in(&store);
    let mib = 1024 * 1024;
    for (size, piece) in [
        (8 * mib, 3 * mib),
        (8 * mib + 1, 65_536),
        (16 * mib, 20 * mib),
        (20 * mib, 65_537),
    ] {
        let content = content(size, 2);
        let asset = asset(&content, "big.wasm");
        let stored = assets
            .put(claim(asset, "big.wasm"), body(&content, piece))
            .await;
        assert_eq!(stored.unwrap(), Stored::New, "{size}");
        // Compared as a whole, not shown: a difference of megabytes helps nobody.
        assert!(
            read(&assets, asset, None).await.unwrap().unwrap() == content,
            "{size}"
        );
        let far = asset.size - 70_000..asset.size - 1;
        let tail = read(&assets, asset, Some(far)).await.unwrap().unwrap();
        assert!(tail == content[size - 70_000..size - 1], "{size}");
    }
    tasks.close();
    tasks.wait().await;
}

/// Made up contents, paths, pieces and ranges.
pub async fn anything_in_any_pieces_comes_back(store: Store) {
    let (assets, _) = assets_in(&store);
    let mut runner = TestRunner::deterministic();
    let strategy = (
        prop::collection::vec(any::<u8>(), 0..300),
        any::<String>(),
        1_usize..80,
        any::<(prop::sample::Index, prop::sample::Index)>(),
    );
    for _ in 0..48 {
        let made_up = strategy.new_tree(&mut runner).unwrap().current();
        let (content, path, piece, (one, other)) = &made_up;
        let asset = asset(content, path);
        let stored = assets.put(claim(asset, path), body(content, *piece)).await;
        stored.unwrap();
        assert_eq!(
            &read(&assets, asset, None).await.unwrap().unwrap(),
            content,
            "{made_up:?}"
        );
        let (one, other) = (one.index(content.len() + 1), other.index(content.len() + 1));
        let range = one.min(other)..one.max(other);
        let wanted = range.start as u64..range.end as u64;
        let part = read(&assets, asset, Some(wanted)).await.unwrap().unwrap();
        assert_eq!(part, content[range], "{made_up:?}");
    }
}

/// Bytes under a hash or a size that is not theirs.
pub async fn wrong_bytes_leave_nothing(store: Store) {
    let (assets, _) = assets_in(&store);
    let right = asset(b"content", "path.js");
    let sized = |size| AssetRef { size, ..right };
    let empty = asset(b"", "a");
    let cases: [(&str, Claim<'_>, &[u8]); 9] = [
        ("other bytes", claim(right, "path.js"), b"CONTENT"),
        ("another path", claim(right, "path.ts"), b"content"),
        ("no path", claim(right, ""), b"content"),
        ("one byte more", claim(right, "path.js"), b"content!"),
        ("one byte less", claim(right, "path.js"), b"conten"),
        ("nothing", claim(right, "path.js"), b""),
        (
            "a wrong size, truly",
            claim(sized(8), "path.js"),
            b"content",
        ),
        // The hash of an empty file is that of its path twice, so also of a file that holds its own path.
        ("the twin of an empty file", claim(empty, "a"), b"a"),
        (
            "an empty file as its twin",
            claim(asset(b"a", "a"), "a"),
            b"",
        ),
    ];
    for (name, claim, bytes) in cases {
        let refused = put(&assets, claim, bytes).await.unwrap_err();
        let as_expected = match refused {
            PutError::WrongHash { actual } => actual == AssetHash::of(bytes, claim.path),
            PutError::WrongSize { .. } => bytes.len() as u64 != claim.asset.size,
            _ => false,
        };
        assert!(as_expected, "case `{name}`: {refused:?}");
        assert_absent(&store, claim.asset).await;
    }
    // The same hash from bytes shifted from the content to the path: another size, so another asset.
    let shifted = put(&assets, claim(right, "tpath.js"), b"conten")
        .await
        .unwrap_err();
    assert!(
        matches!(shifted, PutError::WrongSize { received: 6 }),
        "{shifted:?}"
    );
    assert_absent(&store, right).await;
    assert_eq!(
        put(&assets, claim(right, "path.js"), b"content")
            .await
            .unwrap(),
        Stored::New
    );
}

/// The same where parts are already with the store when it shows.
pub async fn wrong_bytes_of_a_large_asset_leave_nothing(store: Store) {
    let (assets, tasks) = assets_in(&store);
    let content = content(LARGE, 3);
    let right = asset(&content, "big");
    let mut changed = content.clone();
    changed[LARGE - 1] ^= 1;
    let cases: [(&str, &[u8]); 4] = [
        ("the last byte differs", &changed),
        ("one byte less", &content[..LARGE - 1]),
        ("one byte more", &[&content[..], b"!"].concat()),
        ("the first part only", &content[..8 * 1024 * 1024]),
    ];
    for (name, bytes) in cases {
        let refused = put(&assets, claim(right, "big"), bytes).await.unwrap_err();
        assert!(
            matches!(
                refused,
                PutError::WrongHash { .. } | PutError::WrongSize { .. }
            ),
            "case `{name}`: {refused:?}"
        );
        assert_absent(&store, right).await;
    }
    tasks.close();
    tasks.wait().await;
    assert_eq!(
        put(&assets, claim(right, "big"), &content).await.unwrap(),
        Stored::New
    );
}

/// The client goes away.
pub async fn a_body_that_fails_leaves_nothing(store: Store) {
    let (assets, tasks) = assets_in(&store);
    for size in [1000, LARGE] {
        let content = content(size, 4);
        let asset = asset(&content, "x");
        let cut = body(&content[..size - 1], 100_000).map(|piece| Ok(piece.unwrap()));
        let reset = || Err(io::Error::from(io::ErrorKind::ConnectionReset));
        let failing = cut.chain(stream::once(async move { reset() }));
        let error = assets.put(claim(asset, "x"), failing).await.unwrap_err();
        assert!(matches!(error, PutError::Body(_)), "{size}: {error:?}");
        assert_absent(&store, asset).await;
    }
    tasks.close();
    tasks.wait().await;
    assert_eq!(keys(&store).await, HashSet::new());
}

/// The caller gives up, in the middle of a body of several parts.
pub async fn an_upload_that_is_dropped_leaves_nothing(store: Store) {
    let (assets, tasks) = assets_in(&store);
    let content = content(2 * LARGE, 5);
    let asset = asset(&content, "x");
    let stuck = body(&content[..LARGE], 1_000_000).chain(stream::pending());
    let upload = assets.put(claim(asset, "x"), stuck);
    let dropped = tokio::time::timeout(Duration::from_secs(1), upload).await;
    assert!(dropped.is_err(), "{dropped:?}");
    tasks.close();
    tasks.wait().await;
    assert_absent(&store, asset).await;
}

/// The identity of an asset is both.
pub async fn the_same_hash_with_another_size_is_another_asset(store: Store) {
    let (assets, _) = assets_in(&store);
    let pairs: [[(&[u8], &str); 2]; 2] = [[(b"ab", "c"), (b"a", "bc")], [(b"", "a"), (b"a", "a")]];
    for pair in pairs {
        let [one, other] = pair.map(|(content, path)| asset(content, path));
        assert_eq!(one.hash, other.hash);
        let (content, path) = pair[0];
        assert_eq!(
            put(&assets, claim(one, path), content).await.unwrap(),
            Stored::New
        );
        assert!(!assets.contains(other).await.unwrap());
        assert_eq!(read(&assets, other, None).await.unwrap(), None);
        let (content, path) = pair[1];
        assert_eq!(
            put(&assets, claim(other, path), content).await.unwrap(),
            Stored::New
        );
        for (asset, (content, _)) in [(one, pair[0]), (other, pair[1])] {
            assert_eq!(read(&assets, asset, None).await.unwrap().unwrap(), content);
        }
    }
}

/// Who uploads what is there already must have it, too.
pub async fn known_assets_are_checked_all_the_same(store: Store) {
    let (assets, _) = assets_in(&store);
    let right = asset(b"content", "x");
    put(&assets, claim(right, "x"), b"content").await.unwrap();
    let refused = put(&assets, claim(right, "x"), b"CONTENT")
        .await
        .unwrap_err();
    assert!(matches!(refused, PutError::WrongHash { .. }), "{refused:?}");
    let refused = put(&assets, claim(right, "x"), b"").await.unwrap_err();
    assert!(
        matches!(refused, PutError::WrongSize { received: 0 }),
        "{refused:?}"
    );
    assert_eq!(
        read(&assets, right, None).await.unwrap().unwrap(),
        b"content"
    );
}

/// Also where hashes are not checked.
pub async fn what_was_stored_first_stays(store: Store) {
    let right = asset(b"content", "x");
    for (bytes, expected) in [(b"FIRST!!", Stored::New), (b"SECOND!", Stored::Known)] {
        let (assets, _) = assets_in(&store);
        assert_eq!(
            put(&assets, unchecked(right, "x"), bytes).await.unwrap(),
            expected
        );
        // Sizes are always checked.
        let refused = put(&assets, unchecked(right, "x"), b"longer than that").await;
        assert!(
            matches!(refused, Err(PutError::WrongSize { .. })),
            "{refused:?}"
        );
    }
    let (assets, _) = assets_in(&store);
    assert_eq!(
        put(&assets, claim(right, "x"), b"content").await.unwrap(),
        Stored::Known
    );
    assert_eq!(
        read(&assets, right, None).await.unwrap().unwrap(),
        b"FIRST!!"
    );
}

/// The second one begins before the first has ended.
pub async fn a_large_asset_that_was_stored_first_stays(store: Store) {
    let (first, second) = (content(LARGE, 6), content(LARGE, 7));
    let right = asset(b"neither", "x");
    let right = AssetRef {
        size: LARGE as u64,
        ..right
    };
    let (assets, tasks) = assets_in(&store);
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    let waits = stream::once(async move {
        gone.await.unwrap();
        Ok::<_, Infallible>(Bytes::new())
    });
    let late = body(&second, 100_000).chain(waits);
    let late = assets.put(unchecked(right, "x"), late);
    let early = async {
        // Time for the other one to look whether the asset is there.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let (other, _) = assets_in(&store);
        let stored = put(&other, unchecked(right, "x"), &first).await;
        go.send(()).unwrap();
        stored
    };
    let (late, early) = tokio::join!(late, early);
    assert_eq!(
        (early.unwrap(), late.unwrap()),
        (Stored::New, Stored::Known)
    );
    assert!(read(&assets, right, None).await.unwrap().unwrap() == first);
    tasks.close();
    tasks.wait().await;
}

/// The hash of a manifest that a control plane made.
pub async fn a_hash_of_the_content_alone_may_be_allowed(store: Store) {
    let (assets, _) = assets_in(&store);
    let plain = asset(b"{}", "");
    let strict = put(&assets, claim(plain, "zephyr-manifest.json"), b"{}").await;
    assert!(
        matches!(strict, Err(PutError::WrongHash { .. })),
        "{strict:?}"
    );
    let allowed = Claim {
        content_hash_too: true,
        ..claim(plain, "zephyr-manifest.json")
    };
    let refused = put(&assets, allowed, b"[]").await;
    assert!(
        matches!(refused, Err(PutError::WrongHash { .. })),
        "{refused:?}"
    );
    assert_eq!(put(&assets, allowed, b"{}").await.unwrap(), Stored::New);
    let usual = Claim {
        asset: asset(b"{1}", "zephyr-manifest.json"),
        ..allowed
    };
    assert_eq!(put(&assets, usual, b"{1}").await.unwrap(), Stored::New);
}

/// What the worker makes itself.
pub async fn bytes_of_our_own_are_stored_once(store: Store) {
    let (assets, _) = assets_in(&store);
    for content in [&b""[..], b"made here"] {
        let content = Bytes::from_static(content);
        let stored = assets.put_own(content.clone(), "index.html").await.unwrap();
        assert_eq!(stored, asset(&content, "index.html"));
        let again = assets.put_own(content.clone(), "index.html").await.unwrap();
        assert_eq!(again, stored);
        assert_eq!(read(&assets, stored, None).await.unwrap().unwrap(), content);
        assert_eq!(
            put(&assets, claim(stored, "index.html"), &content)
                .await
                .unwrap(),
            Stored::Known
        );
    }
    assert_eq!(keys(&store).await.len(), 2);
}

/// Of a file and of an empty one.
pub async fn ranges_are_those_bytes(store: Store) {
    let (assets, _) = assets_in(&store);
    let content = content(1000, 8);
    let full = asset(&content, "x");
    let empty = asset(b"", "x");
    let absent = asset(b"absent", "x");
    put(&assets, claim(full, "x"), &content).await.unwrap();
    put(&assets, claim(empty, "x"), b"").await.unwrap();
    for range in [0..1, 0..1000, 999..1000, 1..999, 500..500, 0..0, 1000..1000] {
        let bytes = read(&assets, full, Some(range.clone()))
            .await
            .unwrap()
            .unwrap();
        let (start, end) = (
            range.start.try_into().unwrap(),
            range.end.try_into().unwrap(),
        );
        let expected: Range<usize> = start..end;
        assert_eq!(bytes, content[expected], "{range:?}");
    }
    assert_eq!(
        read(&assets, empty, Some(0..0)).await.unwrap().unwrap(),
        b""
    );
    for range in [0..1, 3..3, 2..5] {
        assert_eq!(read(&assets, absent, Some(range)).await.unwrap(), None);
    }
    #[expect(clippy::reversed_empty_ranges, reason = "that is what is refused")]
    let impossible = [
        (full, 0..1001),
        (full, 1001..1001),
        (full, 5..4),
        (empty, 0..1),
    ];
    for (asset, range) in impossible {
        let error = read(&assets, asset, Some(range.clone())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal, "{range:?}: {error:?}");
    }
}

/// Somebody else wrote it, or half of it. It can be stored again.
pub async fn an_object_of_another_length_is_corrupt(store: Store) {
    let content = content(1000, 9);
    let right = asset(&content, "x");
    let path = AssetKey::Asset(right).path();
    for size in [0, 10, 999, 1001] {
        let (assets, _) = assets_in(&store);
        put(&assets, claim(right, "x"), &content).await.unwrap();
        store.put(&path, vec![7; size].into()).await.unwrap();
        for range in [None, Some(0..5), Some(5..1000), Some(998..1000), Some(3..3)] {
            let error = read(&assets, right, range.clone()).await.unwrap_err();
            assert_eq!(
                error.kind(),
                ErrorKind::Corrupt,
                "{size}, {range:?}: {error:?}"
            );
        }
        // Also when hashes are not checked: there is no first one to keep.
        let again = if size == 10 { unchecked } else { claim };
        assert!(!assets.contains(right).await.unwrap(), "{size}");
        assert_eq!(
            put(&assets, again(right, "x"), &content).await.unwrap(),
            Stored::New
        );
        assert_eq!(read(&assets, right, None).await.unwrap().unwrap(), content);
    }
}

/// As another worker stores them. Their length tells whether it is the same asset.
pub async fn an_object_under_the_hash_alone_is_found(store: Store) {
    let (assets, _) = assets_in(&store);
    let found = asset(b"ab", "c");
    let other = asset(b"a", "bc");
    let path = AssetKey::Legacy(found.hash).path();
    assert_eq!(path.as_ref(), found.hash.to_string());
    store.put(&path, "ab".into()).await.unwrap();

    assert!(assets.contains(found).await.unwrap());
    assert_eq!(read(&assets, found, None).await.unwrap().unwrap(), b"ab");
    assert_eq!(
        read(&assets, found, Some(1..2)).await.unwrap().unwrap(),
        b"b"
    );
    assert_eq!(
        put(&assets, claim(found, "c"), b"ab").await.unwrap(),
        Stored::Known
    );

    assert!(!assets.contains(other).await.unwrap());
    for range in [None, Some(0..1), Some(0..0)] {
        assert_eq!(read(&assets, other, range).await.unwrap(), None);
    }
    let missing = assets.missing([found, other], 10).await.unwrap();
    assert_eq!(missing, [other]);
    assert_eq!(
        put(&assets, claim(other, "bc"), b"a").await.unwrap(),
        Stored::New
    );
    assert_eq!(read(&assets, other, None).await.unwrap().unwrap(), b"a");
    assert_eq!(read(&assets, found, None).await.unwrap().unwrap(), b"ab");

    // It stands in for one of our own that was damaged.
    store
        .put(&AssetKey::Asset(found).path(), "a".into())
        .await
        .unwrap();
    let (assets, _) = assets_in(&store);
    assert_eq!(read(&assets, found, None).await.unwrap().unwrap(), b"ab");
}

/// Each once, and no more than asked for.
pub async fn what_is_missing_is_told(store: Store) {
    let (assets, _) = assets_in(&store);
    let all: Vec<_> = (0..200_u8).map(|n| asset(&[n], "x")).collect();
    for n in 0..100 {
        put(&assets, claim(all[usize::from(n)], "x"), &[n])
            .await
            .unwrap();
    }
    let (assets, _) = assets_in(&store);
    let twice = all.iter().chain(&all).copied();
    let missing = assets.missing(twice.clone(), usize::MAX).await.unwrap();
    assert_eq!(missing.len(), 100);
    let missing: HashSet<_> = missing.into_iter().collect();
    assert_eq!(missing, all[100..].iter().copied().collect());
    let some = assets.missing(twice, 7).await.unwrap();
    assert_eq!(some.len(), 7);
    assert!(some.iter().all(|asset| missing.contains(asset)));
    assert_eq!(assets.missing([], 7).await.unwrap(), []);
    assert_eq!(assets.missing(all.clone(), 0).await.unwrap(), []);
    assert_eq!(assets.missing(all[..100].to_vec(), 7).await.unwrap(), []);
}

/// Ours, those of another worker, and nothing else.
pub async fn everything_is_listed_and_can_be_removed(store: Store) {
    let (assets, _) = assets_in(&store);
    let mut expected = HashSet::new();
    for n in 0..20_u8 {
        let asset = asset(&[n], "x");
        put(&assets, claim(asset, "x"), &[n]).await.unwrap();
        expected.insert(asset);
    }
    let legacy = asset(b"legacy", "x");
    store
        .put(&AssetKey::Legacy(legacy.hash).path(), "legacy".into())
        .await
        .unwrap();
    expected.insert(legacy);
    for other in ["README", "derived/x.br", "0123.5"] {
        store
            .put(&other.into(), "not an asset".into())
            .await
            .unwrap();
    }
    let listed: Vec<_> = assets.list().try_collect().await.unwrap();
    assert_eq!(listed.len(), expected.len());
    assert_eq!(listed.iter().copied().collect::<HashSet<_>>(), expected);

    for asset in expected {
        assets.remove(asset).await.unwrap();
        // At once, although it was seen a moment ago.
        assert!(!assets.contains(asset).await.unwrap());
        assert_eq!(read(&assets, asset, None).await.unwrap(), None);
        assets.remove(asset).await.unwrap();
    }
    assert_eq!(assets.list().try_collect::<Vec<_>>().await.unwrap(), []);
    assert_eq!(keys(&store).await.len(), 3);
}

/// Empty and in use.
pub async fn a_store_that_works_passes_its_check(store: Store) {
    let (assets, _) = assets_in(&store);
    assets.check().await.unwrap();
    put(&assets, claim(asset(b"a", "x"), "x"), b"a")
        .await
        .unwrap();
    assets.check().await.unwrap();
}
