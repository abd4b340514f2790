//! No more requests are in flight than allowed.
#![expect(clippy::unwrap_used, reason = "test support")]

mod support;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use favonius_storage_s3::{S3Options, s3_store};
use favonius_testing::S3Server;
use futures::{Stream, StreamExt, TryStreamExt, future, stream};
use object_store::{ObjectStore, ObjectStoreExt, path::Path};
use support::{LARGE, Log, assets_in, chain, content, options, put};
use tokio::time::timeout;
use tracing::Level;

fn with(change: impl FnOnce(&mut S3Options)) -> (S3Server, Arc<dyn ObjectStore>) {
    let server = S3Server::start();
    let mut options = options(&server);
    change(&mut options);
    let store = s3_store(&options).unwrap();
    (server, store)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_queue_for_the_sockets_there_are() {
    let (server, store) = with(|options| options.max_sockets = 3);
    server.set_delay(Duration::from_millis(20));
    let (assets, _) = assets_in(&store);
    // Uploads, whole and in parts, look-ups and deletions. All of them at once.
    let large = content(LARGE);
    let uploads = future::join_all((0..20_u8).map(|n| {
        let assets = &assets;
        async move { put(assets, &[n; 100]).await.map(drop) }
    }));
    let parts = put(&assets, &large);
    let heads = future::join_all((0..30).map(|n| {
        let store = &store;
        async move {
            store
                .head(&Path::from(format!("absent-{n}")))
                .await
                .unwrap_err()
        }
    }));
    let deletions = stream::iter((0..40).map(|n| Ok(Path::from(format!("gone-{n}"))))).boxed();
    let deletions = store.delete_stream(deletions).try_collect::<Vec<_>>();
    let (uploads, parts, _, deletions) = tokio::join!(uploads, parts, heads, deletions);
    uploads.into_iter().collect::<Result<Vec<_>, _>>().unwrap();
    parts.unwrap();
    deletions.unwrap();
    assert_eq!(server.peak_in_flight(), 3);
    // Connections are kept: hardly more than sockets, far fewer than requests.
    assert!(server.requests().len() > 90, "{}", server.requests().len());
    assert!(server.connections() < 30, "{}", server.connections());
}

#[tokio::test]
async fn a_body_holds_its_socket_until_its_end() {
    let (server, store) = with(|options| {
        options.max_sockets = 2;
        options.request_timeout = Duration::from_secs(1);
    });
    let content = content(1_000_000);
    server.put_object("big", &content);
    let big = Path::from("big");
    let open = async || store.get(&big).await.unwrap().into_stream();

    let (mut one, two) = (open().await, open().await);
    let refused = store.head(&big).await.unwrap_err();
    assert!(chain(&refused).contains("within 1s"), "{refused:?}");

    // Given up.
    drop(two);
    store.head(&big).await.unwrap();
    let two = open().await;
    store.head(&big).await.unwrap_err();

    // Read to the end, without asking whether there is more.
    let mut read = 0;
    while read < content.len() {
        read += one.next().await.unwrap().unwrap().len();
    }
    store.head(&big).await.unwrap();

    // One that waits gets the socket when it comes free.
    let three = open().await;
    let waits = async { store.head(&big).await };
    let frees = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        drop(three);
    };
    let (found, ()) = tokio::join!(waits, frees);
    found.unwrap();
    drop((one, two));
}

/// Asks for the object, takes the first piece, and goes away.
async fn first_piece(
    store: &Arc<dyn ObjectStore>,
) -> (
    Vec<u8>,
    impl Stream<Item = object_store::Result<Bytes>> + use<>,
) {
    let mut body = store.get(&"big".into()).await.unwrap().into_stream();
    let first = body.next().await.unwrap().unwrap().to_vec();
    (first, body)
}

#[tokio::test]
async fn readers_that_take_nothing_keep_nobody_from_the_store() {
    let (server, store) = with(|options| options.max_sockets = 3);
    let content = content(32 << 20);
    server.put_object("big", &content);
    let away = [
        first_piece(&store).await,
        first_piece(&store).await,
        first_piece(&store).await,
    ];
    // All of these pass through the sockets of those who are away, and the one that is read meanwhile keeps its own.
    let others = future::join_all((0..20_u8).map(|n| {
        let store = &store;
        async move {
            store
                .put(&format!("new-{n}").into(), vec![n; 10].into())
                .await
        }
    }));
    let others = timeout(Duration::from_secs(10), others).await;
    for put in others.expect("they do not wait for the readers") {
        put.unwrap();
    }
    // Who comes back gets the rest, from where it was.
    for (mut read, mut rest) in away {
        while let Some(piece) = rest.next().await {
            read.extend_from_slice(&piece.unwrap());
        }
        assert!(read == content, "{} bytes of {}", read.len(), content.len());
    }
    let ranges = server
        .requests()
        .into_iter()
        .filter_map(|request| request.range);
    assert!(
        (1..=3).contains(&ranges.count()),
        "asked again from where they were"
    );
}

#[tokio::test]
async fn a_reader_that_comes_often_enough_keeps_its_socket() {
    let (server, store) = with(|options| {
        options.max_sockets = 1;
        options.request_timeout = Duration::from_secs(4);
    });
    server.put_object("big", &content(32 << 20));
    let (_, mut body) = first_piece(&store).await;
    let slow_reader = async {
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(500)).await;
            body.next().await.unwrap().unwrap();
        }
    };
    let waits = async { store.head(&"big".into()).await.unwrap_err() };
    let (refused, ()) = tokio::join!(waits, slow_reader);
    assert!(chain(&refused).contains("within 4s"), "{refused:?}");
}

#[tokio::test]
async fn a_body_that_breaks_frees_its_socket_for_the_next_attempt() {
    let proxied = support::Proxied::with(|options| options.max_sockets = 1);
    let content = content(600_000);
    proxied.server.put_object("big", &content);
    proxied.proxy.break_after(400_000);
    let found = proxied.store.get(&"big".into()).await.unwrap();
    let read = timeout(Duration::from_secs(15), found.bytes())
        .await
        .expect("it ends");
    assert!(read.unwrap() == content);
}

#[tokio::test]
async fn an_answer_without_body_and_an_error_free_the_socket() {
    let (server, store) = with(|options| options.max_sockets = 1);
    server.put_object("there", b"content");
    let there = Path::from("there");
    for _ in 0..3 {
        store.head(&there).await.unwrap();
        store.head(&"absent".into()).await.unwrap_err();
        store.get(&"absent".into()).await.unwrap_err();
        store.get_range(&there, 100..200).await.unwrap_err();
        server.fail_next("GET", 1, 403);
        store.get(&there).await.unwrap_err();
        server.fail_next("GET", 1, 503);
        assert_eq!(
            store.get(&there).await.unwrap().bytes().await.unwrap(),
            "content"
        );
        // Opened and forgotten.
        drop(store.get(&there).await.unwrap());
        store.put(&"new".into(), "x".into()).await.unwrap();
        store.list(None).try_collect::<Vec<_>>().await.unwrap();
        store.delete(&"new".into()).await.unwrap();
    }
}

/// Takes the only socket.
async fn occupied(server: &S3Server, store: &Arc<dyn ObjectStore>) -> impl Send + use<> {
    server.put_object("big", &content(1_000_000));
    let mut body = store.get(&"big".into()).await.unwrap().into_stream();
    let first: Bytes = body.next().await.unwrap().unwrap();
    (first, body)
}

#[tokio::test]
async fn a_listing_does_not_queue_behind_downloads() {
    let (server, store) = with(|options| {
        options.max_sockets = 1;
        options.request_timeout = Duration::from_secs(1);
    });
    let _socket = occupied(&server, &store).await;
    for _ in 0..3 {
        let listed = store.list(None).try_collect::<Vec<_>>();
        let listed = timeout(Duration::from_millis(900), listed).await;
        assert_eq!(listed.expect("it has a socket").unwrap().len(), 1);
    }
    store.head(&"big".into()).await.unwrap_err();
}

#[tokio::test]
async fn who_queues_too_long_is_told_once() {
    let (log, _guard) = Log::start(Level::WARN);
    let (server, store) = with(|options| {
        options.max_sockets = 1;
        options.socket_acquisition_warning_timeout = Duration::from_millis(700);
    });
    let socket = occupied(&server, &store).await;
    let big = Path::from("big");
    let wait = |ms| timeout(Duration::from_millis(ms), store.head(&big));

    wait(100).await.unwrap_err();
    assert_eq!(log.lines(), [""; 0], "a short wait is none");

    let (a, b, c) = tokio::join!(wait(1500), wait(1500), wait(1500));
    assert!(a.is_err() && b.is_err() && c.is_err());
    let lines = log.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    for part in [
        "WARN",
        "ZE_WORKER_S3_MAX_SOCKETS",
        "s3.max_sockets=1",
        "s3.waited_ms=",
    ] {
        assert!(lines.concat().contains(part), "{part}: {lines:?}");
    }

    drop(socket);
    wait(10_000).await.unwrap().unwrap();
    assert_eq!(log.lines().len(), 1);
}

#[tokio::test]
async fn who_gives_up_in_the_queue_before_the_warning_is_told_too() {
    let (log, _guard) = Log::start(Level::WARN);
    let (server, store) = with(|options| {
        options.max_sockets = 1;
        options.request_timeout = Duration::from_millis(1500);
    });
    let _socket = occupied(&server, &store).await;
    store.head(&"big".into()).await.unwrap_err();
    let lines = log.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines.concat().contains("ZE_WORKER_S3_MAX_SOCKETS"),
        "{lines:?}"
    );
}
