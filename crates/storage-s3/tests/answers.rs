//! What the server answers, and what becomes of it.
#![expect(clippy::unwrap_used, reason = "test support")]

mod support;

use std::{fs, time::Duration};

use favonius_storage::{ErrorKind, PutError, StorageError};
use favonius_storage_s3::{Credentials, InvalidOptions, S3Options, s3_store};
use favonius_testing::{MotoServer, S3Server, TestCa};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{ObjectStoreExt, path::Path};
use support::{LARGE, asset, assets_in, chain, claim, content, options, put};

#[tokio::test]
async fn a_busy_server_is_asked_again() {
    let server = S3Server::start();
    let store = s3_store(&options(&server)).unwrap();
    let (assets, _) = assets_in(&store);
    for method in ["HEAD", "GET", "PUT", "POST", "DELETE"] {
        // The parts of a large one are announced by a POST.
        let size = if method == "POST" { LARGE } else { 100 };
        let content = content(size);
        server.fail_next(method, 2, 503);
        put(&assets, &content).await.unwrap();
        let body = assets.open(asset(&content), None).await.unwrap().unwrap();
        let read: Vec<_> = body.bytes.try_collect().await.unwrap();
        assert!(read.concat() == content, "{method}");
        assets.remove(asset(&content)).await.unwrap();
    }
}

#[tokio::test]
async fn but_not_for_ever() {
    let server = S3Server::start();
    let store = s3_store(&options(&server)).unwrap();
    server.fail_next("*", usize::MAX, 503);
    let (assets, _) = assets_in(&store);
    let error = assets.contains(asset(b"x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert_eq!(server.count("HEAD"), 4);
    let error = assets.check().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    assert_eq!(server.count("GET"), 4);
}

/// The error of the store.
async fn put_error(options: &S3Options, size: usize) -> StorageError {
    let (assets, _) = assets_in(&s3_store(options).unwrap());
    match put(&assets, &content(size)).await.unwrap_err() {
        PutError::Storage(error) => error,
        PutError::Body(never) => match never {},
        other => unreachable!("right bytes are refused: {other:?}"),
    }
}

/// What each use of assets says, with this store.
async fn errors(options: &S3Options) -> Vec<(&'static str, StorageError)> {
    let (assets, _) = assets_in(&s3_store(options).unwrap());
    let asset = asset(b"x");
    let listed = assets.list().try_collect::<Vec<_>>().await;
    vec![
        ("check", assets.check().await.unwrap_err()),
        ("put", put_error(options, 1).await),
        ("list", listed.unwrap_err()),
        ("open", assets.open(asset, None).await.unwrap_err()),
        ("range", assets.open(asset, Some(0..1)).await.unwrap_err()),
    ]
}

#[tokio::test]
async fn a_wrong_key_is_denied_and_not_tried_again() {
    let server = S3Server::start();
    let key = |id: &str, secret: &str| S3Options {
        credentials: Credentials::Static {
            access_key_id: id.into(),
            secret_access_key: secret.into(),
        },
        ..options(&server)
    };
    for wrong in [
        key(server.access_key_id(), "hidden"),
        key("nobody", "hidden"),
    ] {
        for (name, error) in errors(&wrong).await {
            assert_eq!(error.kind(), ErrorKind::Denied, "{name}: {error:?}");
            assert!(!error.is_transient());
            let text = format!("{} {error:?}", chain(&error));
            assert!(text.contains("S3 answered 403"), "{name}: {text}");
            assert!(!text.contains("hidden"), "{name}: {text}");
        }
        assert_eq!(put_error(&wrong, LARGE).await.kind(), ErrorKind::Denied);
        let (assets, _) = assets_in(&s3_store(&wrong).unwrap());
        let looked_up = assets.contains(asset(b"x")).await.unwrap_err();
        assert_eq!(looked_up.kind(), ErrorKind::Denied);
    }
    server.forget();
    let (assets, _) = assets_in(&s3_store(&key("nobody", "hidden")).unwrap());
    assets.check().await.unwrap_err();
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_missing_bucket_is_not_a_missing_asset() {
    let server = S3Server::start();
    let wrong = S3Options {
        bucket: "nowhere".into(),
        ..options(&server)
    };
    // This server stores into a bucket that is not there, so only what reads is asked.
    let (assets, _) = assets_in(&s3_store(&wrong).unwrap());
    let listed = assets.list().try_collect::<Vec<_>>().await;
    for error in [assets.check().await.unwrap_err(), listed.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Denied, "{error:?}");
        let text = chain(&error);
        assert!(text.contains("ZE_WORKER_S3_BUCKET"), "{text}");
    }
}

#[tokio::test]
#[cfg_attr(
    not(has_moto),
    ignore = "moto_server is not installed: run scripts/setup-tests"
)]
async fn a_missing_bucket_is_not_a_missing_asset_on_moto() {
    let moto = MotoServer::start();
    let credentials = Credentials::Static {
        access_key_id: moto.access_key_id().into(),
        secret_access_key: moto.secret_access_key().into(),
    };
    let wrong = S3Options::new(moto.endpoint(), "nowhere", credentials);
    for (name, error) in errors(&wrong).await {
        assert_eq!(error.kind(), ErrorKind::Denied, "{name}: {error:?}");
        let text = chain(&error);
        assert!(text.contains("ZE_WORKER_S3_BUCKET"), "{name}: {text}");
    }
    assert_eq!(put_error(&wrong, LARGE).await.kind(), ErrorKind::Denied);
    // The answer to HEAD has no text that would tell one from the other.
    let (assets, _) = assets_in(&s3_store(&wrong).unwrap());
    assert!(!assets.contains(asset(b"x")).await.unwrap());
}

#[tokio::test]
async fn what_a_server_refuses_has_a_kind() {
    let cases = [
        (403, ErrorKind::Denied, 1),
        (401, ErrorKind::Denied, 1),
        (301, ErrorKind::Denied, 1),
        (507, ErrorKind::Full, 1),
        (400, ErrorKind::Internal, 1),
        (501, ErrorKind::Internal, 1),
        (500, ErrorKind::Unavailable, 4),
        (429, ErrorKind::Unavailable, 4),
    ];
    for (status, expected, attempts) in cases {
        let server = S3Server::start();
        server.fail_next("PUT", usize::MAX, status);
        let error = put_error(&options(&server), 1).await;
        assert_eq!(error.kind(), expected, "{status}: {}", chain(&error));
        assert_eq!(server.count("PUT"), attempts, "{status}");
    }
}

#[tokio::test]
async fn parts_of_an_upload_that_is_given_up_are_removed() {
    let server = S3Server::start();
    let store = s3_store(&options(&server)).unwrap();
    let (assets, tasks) = assets_in(&store);
    let content = content(2 * LARGE);
    let part = content.get(..LARGE).unwrap().to_vec();
    let body = stream::iter([Ok::<_, std::convert::Infallible>(part.into())]);
    let stuck = assets.put(claim(asset(&content)), body.chain(stream::pending()));
    tokio::time::timeout(Duration::from_secs(2), stuck)
        .await
        .unwrap_err();
    tasks.close();
    tasks.wait().await;
    let asked: Vec<_> = server.requests().into_iter().collect();
    let of = |method: &str, part: &str| {
        asked
            .iter()
            .filter(|r| r.method == method && r.query.contains(part))
            .count()
    };
    assert_eq!(of("POST", "uploads"), 1, "{asked:?}");
    assert_eq!(of("PUT", "partNumber=1"), 1, "{asked:?}");
    assert_eq!(of("DELETE", "uploadId="), 1, "{asked:?}");
    assert_eq!(server.keys(), [""; 0]);
}

#[tokio::test]
async fn many_objects_are_listed_page_by_page() {
    let server = S3Server::start();
    let store = s3_store(&options(&server)).unwrap();
    for n in 0..1500 {
        server.put_object(&format!("top-{n}"), b"x");
    }
    for n in 0..10 {
        server.put_object(&format!("dir/{n}/deep"), b"x");
    }
    let all: Vec<_> = store.list(None).try_collect().await.unwrap();
    assert_eq!(all.len(), 1510);
    let level = store.list_with_delimiter(None).await.unwrap();
    assert_eq!(
        (level.objects.len(), level.common_prefixes),
        (1500, vec!["dir".into()])
    );
    let level = store
        .list_with_delimiter(Some(&"dir".into()))
        .await
        .unwrap();
    assert_eq!((level.objects.len(), level.common_prefixes.len()), (0, 10));
    let after = store.list_with_offset(None, &"top-98".into());
    let after: Vec<_> = after
        .map_ok(|meta| meta.location.to_string())
        .try_collect()
        .await
        .unwrap();
    assert_eq!(after.len(), 21, "{after:?}");
}

#[tokio::test]
async fn tls_with_a_private_authority() {
    let server = S3Server::builder().tls().start();
    let ca = fs::read(server.ca_file().unwrap()).unwrap();
    let trusting = S3Options {
        ca_certificates: Some(ca),
        ..options(&server)
    };
    assert!(trusting.endpoint.starts_with("https://"));
    let (assets, _) = assets_in(&s3_store(&trusting).unwrap());
    put(&assets, b"x").await.unwrap();
    assets.check().await.unwrap();

    for (name, certificates) in [
        ("the system's", None),
        (
            "another authority's",
            Some(TestCa::new().certificate_pem().into()),
        ),
    ] {
        let distrusting = S3Options {
            ca_certificates: certificates,
            ..options(&server)
        };
        let (assets, _) = assets_in(&s3_store(&distrusting).unwrap());
        let error = assets.check().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{name}");
        assert!(
            chain(&error).to_lowercase().contains("certificate"),
            "{name}: {}",
            chain(&error)
        );
    }
}

#[test]
fn what_is_no_certificate_is_refused() {
    let broken = "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----";
    for pem in ["", "not a certificate", broken] {
        let options = S3Options {
            ca_certificates: Some(pem.into()),
            ..S3Options::new("https://s3.test", "b", Credentials::Environment)
        };
        let error = s3_store(&options).unwrap_err();
        assert!(
            matches!(error, InvalidOptions::Certificates { .. }),
            "{pem}: {error:?}"
        );
    }
}

#[tokio::test]
async fn nothing_shows_the_secret() {
    let server = S3Server::start();
    let store = s3_store(&options(&server)).unwrap();
    let (assets, _) = assets_in(&store);
    let upload = store.put_multipart(&Path::from("x")).await.unwrap();
    for shown in [
        format!("{store:?}"),
        format!("{store}"),
        format!("{assets:?}"),
        format!("{upload:?}"),
        format!("{:?}", options(&server)),
    ] {
        assert!(!shown.contains(server.secret_access_key()), "{shown}");
    }
    assert_eq!(store.to_string(), "S3(assets)");
}
