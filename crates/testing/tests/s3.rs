//! Both S3 servers do what the AWS client of `object_store` asks of them.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use favonius_testing::{Client, FaultProxy, MotoServer, S3Server};
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{
    ClientOptions, GetOptions, ObjectStore, ObjectStoreExt as _, PutMode, PutPayload, RetryConfig,
    WriteMultipart,
};

fn client(endpoint: &str, bucket: &str, secret: &str, options: ClientOptions) -> AmazonS3 {
    AmazonS3Builder::new()
        .with_endpoint(endpoint)
        .with_allow_http(true)
        .with_region("us-east-1")
        .with_bucket_name(bucket)
        .with_access_key_id("test-access-key")
        .with_secret_access_key(secret)
        .with_client_options(options)
        .with_retry(RetryConfig {
            max_retries: 0,
            ..RetryConfig::default()
        })
        .build()
        .unwrap()
}

fn client_of(server: &S3Server) -> AmazonS3 {
    let options = ClientOptions::new().with_allow_http(true);
    client(
        &server.endpoint(),
        server.bucket(),
        server.secret_access_key(),
        options,
    )
}

/// What the worker needs of S3.
async fn check_store(store: &AmazonS3) {
    let path = Path::from("0a1b2c.7");
    store
        .put(&path, PutPayload::from_static(b"content"))
        .await
        .unwrap();
    assert_eq!(
        store.get(&path).await.unwrap().bytes().await.unwrap(),
        "content"
    );
    assert_eq!(store.head(&path).await.unwrap().size, 7);
    assert_eq!(store.get_range(&path, 2..5).await.unwrap(), "nte");
    let tail = GetOptions::new().with_range(Some(object_store::GetRange::Suffix(2)));
    assert_eq!(
        store
            .get_opts(&path, tail)
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap(),
        "nt"
    );

    let again = store.put_opts(
        &path,
        PutPayload::from_static(b"other"),
        PutMode::Create.into(),
    );
    let again = again.await.unwrap_err();
    assert!(
        matches!(again, object_store::Error::AlreadyExists { .. }),
        "{again}"
    );

    // Two parts: S3 asks for 5 MiB in all but the last.
    let large = Path::from("derived/br/large");
    let content: Bytes = (0..6 * 1024 * 1024_u32)
        .map(|n| n.to_le_bytes()[1])
        .collect();
    let upload = store.put_multipart(&large).await.unwrap();
    let mut upload = WriteMultipart::new_with_chunk_size(upload, 5 * 1024 * 1024);
    upload.write(&content);
    upload.finish().await.unwrap();
    assert!(store.get(&large).await.unwrap().bytes().await.unwrap() == content);
    let middle = store.get_range(&large, 5_000_000..5_500_000).await.unwrap();
    assert!(middle == content.slice(5_000_000..5_500_000));

    let listed: Vec<_> = store
        .list(None)
        .map_ok(|meta| meta.location)
        .try_collect()
        .await
        .unwrap();
    let mut listed: Vec<String> = listed.iter().map(ToString::to_string).collect();
    listed.sort();
    assert_eq!(listed, ["0a1b2c.7", "derived/br/large"]);

    let paths = futures::stream::iter([Ok(path.clone()), Ok(large)]).boxed();
    let deleted: Vec<_> = store.delete_stream(paths).try_collect().await.unwrap();
    assert_eq!(deleted.len(), 2);
    let gone = store.get(&path).await.unwrap_err();
    assert!(
        matches!(gone, object_store::Error::NotFound { .. }),
        "{gone}"
    );
}

#[tokio::test]
async fn the_server_in_this_process_is_an_s3_server() {
    let server = S3Server::start();
    check_store(&client_of(&server)).await;
}

#[tokio::test]
#[cfg_attr(
    not(has_moto),
    ignore = "moto_server is not installed: run scripts/setup-tests"
)]
async fn moto_is_an_s3_server_and_dies_when_dropped() {
    assert!(MotoServer::available());
    let server = MotoServer::start();
    let options = ClientOptions::new().with_allow_http(true);
    let store = client(&server.endpoint(), server.bucket(), "any", options);
    check_store(&store).await;

    let path = Path::from("key");
    store
        .put(&path, PutPayload::from_static(b"content"))
        .await
        .unwrap();
    server.stop();
    assert!(store.head(&path).await.is_err());
    server.start_again();
    let gone = store.head(&path).await.unwrap_err();
    assert!(
        matches!(gone, object_store::Error::NotFound { .. }),
        "{gone}"
    );

    let address = server.address();
    drop(server);
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[tokio::test]
async fn it_serves_tls() {
    let server = S3Server::builder().tls().start();
    let ca = std::fs::read(server.ca_file().unwrap()).unwrap();
    let ca = object_store::Certificate::from_pem(&ca).unwrap();
    let options = ClientOptions::new().with_root_certificate(ca);
    let store = client(
        &server.endpoint(),
        server.bucket(),
        server.secret_access_key(),
        options,
    );
    check_store(&store).await;
}

#[tokio::test]
async fn a_wrong_secret_is_refused() {
    let server = S3Server::start();
    let options = ClientOptions::new().with_allow_http(true);
    let store = client(&server.endpoint(), server.bucket(), "wrong", options);
    let error = store
        .put(&Path::from("key"), PutPayload::from_static(b"x"))
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("SignatureDoesNotMatch"),
        "{error}"
    );
}

#[tokio::test]
async fn it_keeps_its_objects_while_it_is_stopped() {
    let server = S3Server::start();
    let store = client_of(&server);
    let path = Path::from("a/key");
    store
        .put(&path, PutPayload::from_static(b"content"))
        .await
        .unwrap();
    server.stop();
    assert!(store.get(&path).await.is_err());
    server.start_again();
    assert_eq!(
        store.get(&path).await.unwrap().bytes().await.unwrap(),
        "content"
    );
    assert_eq!(server.keys(), ["a/key"]);
    assert_eq!(server.object("a/key").unwrap(), b"content");

    server.put_object("by/hand", b"also there");
    assert_eq!(
        store
            .get(&Path::from("by/hand"))
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap(),
        "also there"
    );
    server.remove_object("a/key");
    assert!(matches!(
        store.get(&path).await,
        Err(object_store::Error::NotFound { .. })
    ));
    assert_eq!(server.object("a/key"), None);
}

#[tokio::test]
async fn it_remembers_and_counts() {
    let server = S3Server::start();
    server.put_object("key", b"content");
    let store = Arc::new(client_of(&server));
    let path = Path::from("key");
    server.set_delay(Duration::from_millis(200));
    let begun = Instant::now();
    let heads = (0..5).map(|_| store.head(&path));
    futures::future::try_join_all(heads).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(200));
    assert_eq!((server.count("HEAD"), server.count("GET")), (5, 0));
    assert_eq!(server.peak_in_flight(), 5);

    server.set_delay(Duration::ZERO);
    server.forget();
    store.get_range(&path, 1..3).await.unwrap();
    let requests = server.requests();
    let [request] = requests.as_slice() else {
        panic!("one request: {requests:?}");
    };
    assert_eq!(
        (request.method.as_str(), request.path.as_str()),
        ("GET", "/assets/key")
    );
    assert_eq!(request.range.as_deref(), Some("bytes=1-2"));
    assert_eq!(server.peak_in_flight(), 1);
}

#[tokio::test]
async fn it_fails_as_often_as_it_is_told_to() {
    let server = S3Server::start();
    server.put_object("key", b"content");
    let store = client_of(&server);
    let path = Path::from("key");
    server.fail_next("GET", 2, 503);
    store.head(&path).await.unwrap();
    for _ in 0..2 {
        let error = store.get(&path).await.unwrap_err();
        assert!(error.to_string().contains("SlowDown"), "{error}");
    }
    store.get(&path).await.unwrap();
}

#[tokio::test]
async fn a_body_can_break_off_on_the_way() {
    let server = S3Server::start();
    server.put_object("key", &vec![7; 1 << 20]);
    let proxy = FaultProxy::start(server.address());
    let options = ClientOptions::new().with_allow_http(true);
    let endpoint = format!("http://{}", proxy.address());
    let store = client(
        &endpoint,
        server.bucket(),
        server.secret_access_key(),
        options,
    );
    proxy.break_after(100_000);
    let answer = store.get(&Path::from("key")).await.unwrap();
    answer.bytes().await.unwrap_err();
    proxy.pass();
    let answer = store.get(&Path::from("key")).await.unwrap();
    assert_eq!(answer.bytes().await.unwrap().len(), 1 << 20);
}

#[tokio::test]
async fn nothing_is_left_of_a_dropped_server() {
    let server = S3Server::builder().tls().start();
    let dir = server.ca_file().unwrap().parent().unwrap().to_owned();
    let address = server.address();
    drop(server);
    assert!(!dir.exists());
    assert!(
        Client::new(address)
            .get("/")
            .try_send()
            .await
            .unwrap_err()
            .is_connect()
    );
}
