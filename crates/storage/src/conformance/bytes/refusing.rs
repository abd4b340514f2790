//! What is not as claimed leaves nothing behind.

use std::{collections::HashSet, io, time::Duration};

use favonius_contract::{AssetHash, AssetRef};
use futures::{StreamExt, stream};

use super::{LARGE, Store, asset, assets_in, body, claim, content, keys, put, read};
use crate::{Claim, PutError, Stored};

/// Nothing was stored and the same assets can be stored by who brings the right bytes.
async fn assert_absent(store: &Store, asset: AssetRef) {
    let (fresh, _) = assets_in(store);
    assert_eq!(keys(store).await, HashSet::new());
    assert!(!fresh.contains(asset).await.unwrap());
    assert_eq!(read(&fresh, asset, None).await.unwrap(), None);
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
        path_is_listed: false,
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
