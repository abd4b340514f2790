//! Assets on a store that misbehaves.

mod faulty;

use std::{convert::Infallible, ops::Range, time::Duration};

use bytes::Bytes;
use faulty::{Fault, Faulty, count};
use favonius_contract::{AssetHash, AssetRef};
use favonius_storage::{AssetKey, Assets, Claim, Coding, ErrorKind, HashCheck, PutError, Stored};
use futures::{StreamExt, TryStreamExt, future, stream};
use object_store::ObjectStoreExt;

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
        path_is_listed: false,
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
        let (br, form) = (Coding::Brotli, Bytes::from("form"));
        let errors = [
            put,
            assets.put_own("x".into(), "x").await.unwrap_err(),
            assets.contains(asset).await.unwrap_err(),
            assets.missing([asset], 5).await.unwrap_err(),
            assets.open(asset, None).await.unwrap_err(),
            assets.open(asset, Some(1..2)).await.unwrap_err(),
            assets.remove(asset).await.unwrap_err(),
            assets.open_derived(br, asset).await.unwrap_err(),
            assets.derived_size(br, asset).await.unwrap_err(),
            assets.put_derived(br, asset, form).await.unwrap_err(),
            assets.remove_derived(asset).await.unwrap_err(),
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
        let form = Bytes::from("form");
        assets.put_derived(Coding::Zstd, asset, form).await.unwrap();
        let form = assets.open_derived(Coding::Zstd, asset).await.unwrap();
        let read: Result<Vec<_>, _> = form.unwrap().bytes.try_collect().await;
        assert_eq!(read.unwrap_err().kind(), expected, "{fault:?}");
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
        (HashCheck::Strict, b"content", Stored::New),
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

    // An upload is never acknowledged by what was seen before: it is written again.
    let path = AssetKey::Asset(content).path();
    store.store.delete(&path).await.unwrap();
    assert_eq!(
        put(&assets, claim(content), b"content").await.unwrap(),
        Stored::Known
    );
    store.store.head(&path).await.unwrap();
    store.store.delete(&path).await.unwrap();
    assets.put_own("content".into(), "x").await.unwrap();
    assert!(assets.open(content, None).await.unwrap().is_some());

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
async fn a_small_asset_is_written_without_a_look() {
    let store = Faulty::new(Fault::None);
    let requests = || (count(&store.counts.heads), count(&store.counts.puts));
    let (assets, _) = store.assets();
    for expected in [(0, 1), (0, 2)] {
        put(&assets, claim(asset(b"content")), b"content")
            .await
            .unwrap();
        assert_eq!(requests(), expected);
    }
    assets.put_own("content".into(), "x").await.unwrap();
    assert_eq!(requests(), (0, 3));
}

#[tokio::test]
async fn a_large_asset_is_written_once() {
    let store = Faulty::new(Fault::None);
    let content = large();
    for expected in [Stored::New, Stored::Known, Stored::Known] {
        let (assets, _) = store.assets();
        let stored = put(&assets, claim(asset(&content)), &content).await;
        assert_eq!(stored.unwrap(), expected);
    }
    assert_eq!(count(&store.counts.completed), 1);
}
