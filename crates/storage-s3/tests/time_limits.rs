//! Every call ends, and nothing that goes on is cut off.
#![expect(clippy::unwrap_used, clippy::panic, reason = "test support")]

mod support;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use favonius_storage::ErrorKind;
use favonius_storage_s3::s3_store;
use favonius_testing::{ReservedPort, S3Server};
use futures::{StreamExt, TryStreamExt, future::join_all, stream, stream::BoxStream};
use object_store::{ObjectStore, ObjectStoreExt, path::Path};
use support::{Proxied, asset, chain, content, options, options_at, put};
use tokio::time::{sleep, timeout};

const SHORT: Duration = Duration::from_millis(400);
/// Longer than anything here takes on a machine that has other things to do, and less than what it must not take.
const PATIENCE: Duration = Duration::from_secs(15);

/// The operations of a store.
const CALLS: [&str; 12] = [
    "head",
    "get",
    "range",
    "ranges",
    "put",
    "begin an upload",
    "list",
    "list from",
    "list a level",
    "copy",
    "rename",
    "delete",
];

/// Does one of them, on the object `there`.
async fn call(name: &str, store: &Arc<dyn ObjectStore>) -> object_store::Result<()> {
    let there = Path::from("there");
    let other = Path::from("other");
    match name {
        "head" => store.head(&there).await.map(drop),
        "get" => store.get(&there).await.map(drop),
        "range" => store.get_range(&there, 1..2).await.map(drop),
        "ranges" => store.get_ranges(&there, &[1..2, 4..5]).await.map(drop),
        "put" => store.put(&there, "changed".into()).await.map(drop),
        "begin an upload" => store.put_multipart(&other).await.map(drop),
        "list" => store.list(None).try_for_each(async |_| Ok(())).await,
        "list from" => {
            let listed = store.list_with_offset(None, &Path::from("a"));
            listed.try_for_each(async |_| Ok(())).await
        }
        "list a level" => store.list_with_delimiter(None).await.map(drop),
        "copy" => store.copy(&there, &other).await,
        "rename" => store.rename(&other, &Path::from("another")).await,
        "delete" => store.delete(&Path::from("another")).await,
        _ => panic!("{name} is no call"),
    }
}

async fn assert_all_work(store: &Arc<dyn ObjectStore>) {
    for name in CALLS {
        let done = call(name, store).await;
        done.unwrap_or_else(|error| panic!("{name}: {}", chain(&error)));
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_an_error_in_time() {
    let Proxied {
        server,
        proxy,
        store,
    } = Proxied::start(SHORT);
    server.put_object("there", b"content");
    let mut upload = store.put_multipart(&"upload".into()).await.unwrap();
    upload.put_part("part".into()).await.unwrap();
    proxy.stall();
    let failures = CALLS.map(async |name| {
        let error = timeout(PATIENCE, call(name, &store)).await;
        let error = error
            .unwrap_or_else(|_| panic!("{name} does not end"))
            .unwrap_err();
        assert!(
            chain(&error).contains("no answer from S3 within 400ms"),
            "{name}: {error:?}"
        );
    });
    join_all(failures).await;
    let parts = async {
        upload.put_part("part".into()).await.unwrap_err();
        upload.complete().await.unwrap_err();
        upload.abort().await.unwrap_err()
    };
    timeout(PATIENCE, parts).await.expect("parts end");

    proxy.pass();
    assert_all_work(&store).await;
}

#[tokio::test]
async fn a_server_that_is_gone_is_an_error_soon_and_is_found_again() {
    // With the default limits, which are much longer than the wait.
    let server = S3Server::start();
    let store = s3_store(&options(&server)).unwrap();
    server.put_object("there", b"content");
    assert_all_work(&store).await;
    server.stop();
    let failures = CALLS.map(async |name| {
        let begun = Instant::now();
        let error = timeout(PATIENCE, call(name, &store)).await;
        let error = error
            .unwrap_or_else(|_| panic!("{name} takes long"))
            .unwrap_err();
        assert!(
            matches!(error, object_store::Error::Generic { .. }),
            "{name}: {error:?}"
        );
        // Tried again, and not at once.
        let took = begun.elapsed();
        assert!(took >= Duration::from_millis(300), "{name}: {took:?}");
    });
    join_all(failures).await;
    let (assets, _) = support::assets_in(&store);
    let error = assets.contains(asset(b"x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.is_transient());

    server.start_again();
    assert_all_work(&store).await;
}

#[tokio::test]
async fn a_server_that_comes_back_in_time_is_waited_for() {
    let Proxied {
        server,
        proxy,
        store,
    } = Proxied::start(PATIENCE);
    server.put_object("there", b"content");
    store.head(&"there".into()).await.unwrap();
    proxy.cut();
    let back = async {
        sleep(Duration::from_millis(150)).await;
        proxy.pass();
    };
    let there = Path::from("there");
    let (found, ()) = tokio::join!(store.head(&there), back);
    assert_eq!(found.unwrap().size, 7);
}

#[tokio::test]
async fn nobody_listening_is_an_error_soon() {
    let server = S3Server::start();
    let nowhere = ReservedPort::new();
    let store = s3_store(&options_at(&server, nowhere.address())).unwrap();
    let error = timeout(PATIENCE, store.head(&"x".into()))
        .await
        .unwrap()
        .unwrap_err();
    assert!(chain(&error).contains("refused"), "{}", chain(&error));
}

/// Opens an object of this size through the proxy.
async fn opened(
    proxied: &Proxied,
    size: usize,
) -> (Vec<u8>, BoxStream<'static, object_store::Result<Bytes>>) {
    let content = content(size);
    proxied.server.put_object("big", &content);
    let found = proxied.store.get(&"big".into()).await.unwrap();
    (content, found.into_stream())
}

#[tokio::test]
async fn a_slow_body_that_keeps_coming_is_not_cut() {
    let proxied = Proxied::start(SHORT);
    proxied.proxy.limit(300_000);
    let begun = Instant::now();
    let (content, body) = opened(&proxied, 600_000).await;
    let pieces: Vec<Bytes> = body.try_collect().await.unwrap();
    assert!(pieces.concat() == content);
    assert!(
        begun.elapsed() > 2 * SHORT,
        "it was slow: {:?}",
        begun.elapsed()
    );
    assert_eq!(proxied.server.count("GET"), 1);
}

#[tokio::test]
async fn a_reader_that_takes_its_time_gets_everything() {
    let proxied = Proxied::start(SHORT);
    let (content, mut body) = opened(&proxied, 8 * 1024 * 1024).await;
    let mut read = Vec::new();
    for _ in 0..3 {
        read.extend_from_slice(&body.next().await.unwrap().unwrap());
        sleep(3 * SHORT).await;
    }
    // It also goes away while it waits, for longer than a reader that is only late.
    while proxied.proxy.bytes_from_target() < 100_000 {
        sleep(Duration::from_millis(10)).await;
    }
    proxied.proxy.stall();
    while let Ok(piece) = timeout(Duration::from_millis(50), body.next()).await {
        read.extend_from_slice(&piece.unwrap().unwrap());
    }
    proxied.proxy.pass();
    sleep(Duration::from_secs(2)).await;
    while let Some(piece) = body.next().await {
        read.extend_from_slice(&piece.unwrap());
    }
    assert!(read == content);
    assert_eq!(proxied.server.count("GET"), 1);
}

#[tokio::test]
async fn a_body_that_falls_silent_is_an_error_in_time() {
    let proxied = Proxied::start(SHORT);
    let (content, mut body) = opened(&proxied, 8 * 1024 * 1024).await;
    body.next().await.unwrap().unwrap();
    proxied.proxy.stall();
    let rest = timeout(PATIENCE, body.collect::<Vec<_>>())
        .await
        .expect("it ends");
    let (last, before) = rest.split_last().unwrap();
    let error = last.as_ref().unwrap_err();
    assert!(chain(error).contains("within 400ms"), "{error:?}");
    let before: usize = before
        .iter()
        .map(|piece| piece.as_ref().unwrap().len())
        .sum();
    assert!(before < content.len());
}

#[tokio::test]
async fn a_body_that_breaks_off_is_read_on_from_there() {
    let proxied = Proxied::start(PATIENCE);
    proxied.proxy.break_after(400_000);
    let (content, body) = opened(&proxied, 1_000_000).await;
    let pieces: Vec<Bytes> = body.try_collect().await.unwrap();
    assert!(pieces.concat() == content);
    let asked: Vec<_> = proxied
        .server
        .requests()
        .into_iter()
        .map(|r| r.range)
        .collect();
    assert_eq!(asked.len(), 3, "{asked:?}");
    assert_eq!(asked.first(), Some(&None));
    assert!(asked.iter().skip(1).all(Option::is_some), "{asked:?}");
}

#[tokio::test]
async fn a_body_that_breaks_off_again_and_again_is_an_error_soon() {
    let proxied = Proxied::start(PATIENCE);
    proxied.proxy.break_after(100_000);
    let (content, body) = opened(&proxied, 1_000_000).await;
    let pieces = timeout(PATIENCE, body.collect::<Vec<_>>())
        .await
        .expect("it ends");
    let read: usize = pieces.iter().flatten().map(Bytes::len).sum();
    assert!(read < content.len());
    assert!(pieces.last().unwrap().is_err());
    assert_eq!(proxied.server.count("GET"), 4);
}

#[tokio::test]
async fn a_slow_upload_has_its_own_limit() {
    let proxied = Proxied::with(|options| {
        options.request_timeout = SHORT;
        options.upload_request_timeout = PATIENCE;
    });
    proxied.proxy.limit(1_000_000);
    let (assets, _) = proxied.assets();
    let begun = Instant::now();
    let content = content(1_500_000);
    put(&assets, &content).await.unwrap();
    assert!(
        begun.elapsed() > 2 * SHORT,
        "it was slow: {:?}",
        begun.elapsed()
    );
    assert_eq!(
        proxied.server.object(&asset(&content).to_string()).unwrap(),
        content
    );
}

#[tokio::test]
async fn a_long_list_of_deletions_may_come_in_slowly() {
    let proxied = Proxied::start(SHORT);
    for n in 0..4 {
        proxied.server.put_object(&format!("{n}"), b"x");
    }
    let keys = stream::iter(0..4).then(async |n| {
        sleep(2 * SHORT).await;
        Ok(Path::from(n.to_string()))
    });
    let deleted = proxied.store.delete_stream(keys.boxed());
    assert_eq!(deleted.try_collect::<Vec<_>>().await.unwrap().len(), 4);
    assert_eq!(proxied.server.keys(), [""; 0]);
}
