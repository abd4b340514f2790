//! What is stored comes back.

use std::{convert::Infallible, time::Duration};

use bytes::Bytes;
use favonius_contract::AssetRef;
use futures::{StreamExt, stream};
use proptest::{
    prelude::{Strategy, any, prop},
    strategy::ValueTree,
    test_runner::TestRunner,
};

use super::{LARGE, Store, asset, assets_in, body, claim, content, keys, put, read, unchecked};
use crate::{PutError, Stored};

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
        // It has not seen the asset, and writes it again without asking.
        assert_eq!(
            put(&other, claim(asset, path), &content).await.unwrap(),
            Stored::New
        );
        let (reader, _) = assets_in(&store);
        for assets in [&assets, &other, &reader] {
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
    for (size, piece) in [(8 * mib, 3 * mib), (16 * mib, 20 * mib), (20 * mib, 65_537)] {
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
    for _ in 0..32 {
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

/// Also where hashes are not checked, until somebody brings the right bytes.
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
        read(&assets, right, None).await.unwrap().unwrap(),
        b"FIRST!!"
    );
    put(&assets, claim(right, "x"), b"content").await.unwrap();
    assert_eq!(
        read(&assets, right, None).await.unwrap().unwrap(),
        b"content"
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
