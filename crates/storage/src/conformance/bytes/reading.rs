//! What is in the bucket, whoever put it there.

use std::{collections::HashSet, ops::Range};

use futures::TryStreamExt;
use object_store::ObjectStoreExt;

use super::{Store, asset, assets_in, claim, content, keys, put, read, unchecked};
use crate::{AssetKey, ErrorKind, Stored};

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
    // It belongs to everybody, also once it stands under a key of its own as well.
    let own = AssetKey::Asset(found).path();
    assert_eq!(
        keys(&store).await,
        HashSet::from([path.to_string(), own.to_string()])
    );
    let (fresh, _) = assets_in(&store);
    assert_eq!(
        fresh.locate(found).await.unwrap(),
        Some(AssetKey::Asset(found))
    );
    assert!(fresh.is_shared(found).await.unwrap());
    assert!(!fresh.is_shared(other).await.unwrap());

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
    let all: Vec<_> = (0..60_u8).map(|n| asset(&[n], "x")).collect();
    for n in 0..30 {
        put(&assets, claim(all[usize::from(n)], "x"), &[n])
            .await
            .unwrap();
    }
    let (assets, _) = assets_in(&store);
    let twice = all.iter().chain(&all).copied();
    let missing = assets.missing(twice.clone(), usize::MAX).await.unwrap();
    assert_eq!(missing.len(), 30);
    let missing: HashSet<_> = missing.into_iter().collect();
    assert_eq!(missing, all[30..].iter().copied().collect());
    let some = assets.missing(twice, 7).await.unwrap();
    assert_eq!(some.len(), 7);
    assert!(some.iter().all(|asset| missing.contains(asset)));
    assert_eq!(assets.missing([], 7).await.unwrap(), []);
    assert_eq!(assets.missing(all.clone(), 0).await.unwrap(), []);
    assert_eq!(assets.missing(all[..30].to_vec(), 7).await.unwrap(), []);
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
