//! Each operation is a span.

mod support;

use favonius_storage_s3::s3_store;
use favonius_testing::S3Server;
use futures::TryStreamExt;
use object_store::{ObjectStoreExt, path::Path};
use support::{Log, options};
use tracing::Level;

#[tokio::test]
async fn operations_are_spans_that_say_what_and_how_it_ended() {
    let server = S3Server::start();
    let store = s3_store(&options(&server)).unwrap();
    let key = Path::from("the-key");
    let (log, guard) = Log::start(Level::DEBUG);
    store.put(&key, "content".into()).await.unwrap();
    store.head(&key).await.unwrap();
    store.get(&key).await.unwrap().bytes().await.unwrap();
    store.list(None).try_collect::<Vec<_>>().await.unwrap();
    store.list_with_delimiter(None).await.unwrap();
    let mut upload = store.put_multipart(&key).await.unwrap();
    upload.put_part("content".into()).await.unwrap();
    upload.complete().await.unwrap();
    store
        .put_multipart(&key)
        .await
        .unwrap()
        .abort()
        .await
        .unwrap();
    store.copy(&key, &Path::from("copy")).await.unwrap();
    store.delete(&key).await.unwrap();
    store.get(&key).await.unwrap_err();
    server.fail_next("GET", 1, 403);
    store.get(&key).await.unwrap_err();
    drop(guard);

    // `<time> DEBUG <span>{<fields>}: <target>: close <timings>`
    let closed: Vec<String> = log
        .lines()
        .into_iter()
        .filter(|line| {
            line.contains("s3 ")
                && line.contains("}: favonius_storage_s3")
                && line.contains("close time")
        })
        .collect();
    let expected = [
        ("s3 put", "PutObject", ""),
        ("s3 head", "HeadObject", ""),
        ("s3 get", "GetObject", ""),
        ("s3 list", "ListObjectsV2", ""),
        ("s3 list", "ListObjectsV2", ""),
        ("s3 begin upload", "CreateMultipartUpload", ""),
        ("s3 put part", "UploadPart", ""),
        ("s3 complete upload", "CompleteMultipartUpload", ""),
        ("s3 begin upload", "CreateMultipartUpload", ""),
        ("s3 abort upload", "AbortMultipartUpload", ""),
        ("s3 copy", "CopyObject", ""),
        ("s3 delete", "DeleteObject", ""),
        // That it is not there is an answer.
        ("s3 get", "GetObject", ""),
        ("s3 get", "GetObject", "denied"),
    ];
    assert_eq!(closed.len(), expected.len(), "{closed:#?}");
    for (line, (name, method, error)) in closed.iter().zip(expected) {
        assert!(line.contains(&format!("{name}{{")), "{name}: {line}");
        assert!(
            line.contains(&format!("rpc.method=\"{method}\"")),
            "{name}: {line}"
        );
        assert!(line.contains("aws.s3.bucket=assets"), "{name}: {line}");
        assert_eq!(
            line.contains("error.type"),
            !error.is_empty(),
            "{name}: {line}"
        );
        assert!(line.contains(error), "{name}: {line}");
        assert!(!line.contains(server.secret_access_key()), "{name}: {line}");
    }
}
