//! The suite for assets, on real S3 servers.
#![expect(clippy::unwrap_used, reason = "test support")]

mod support;

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use favonius_storage_s3::{Credentials, S3Options, s3_store};
use favonius_testing::{MotoServer, S3Server, raw_http};
use object_store::ObjectStore;
use support::options;

fn fresh() -> (Arc<dyn ObjectStore>, S3Server) {
    let server = S3Server::start();
    (s3_store(&options(&server)).unwrap(), server)
}

favonius_storage::assets_suite!(fresh);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(has_moto),
    ignore = "moto_server is not installed: run scripts/setup-tests"
)]
async fn on_moto() {
    let moto = MotoServer::start();
    let number = AtomicU32::new(0);
    favonius_storage::conformance::bytes::run_all(async || {
        let bucket = format!("bucket-{}", number.fetch_add(1, Ordering::Relaxed));
        let make = format!(
            "PUT /{bucket} HTTP/1.1\r\nHost: {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            moto.address()
        );
        let reply = raw_http(moto.address(), make).await;
        assert!(reply.unwrap().starts_with(b"HTTP/1.1 200"));
        let credentials = Credentials::Static {
            access_key_id: moto.access_key_id().into(),
            secret_access_key: moto.secret_access_key().into(),
        };
        s3_store(&S3Options::new(moto.endpoint(), bucket, credentials)).unwrap()
    })
    .await;
}
