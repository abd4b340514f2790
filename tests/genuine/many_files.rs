//! Large deployments: every file of two thousand is there afterwards.

use std::time::Instant;

use favonius_testing::{SampleApp, token};
use futures::{StreamExt as _, stream};

use crate::support::{Edge, assets, host_of, show, url_path};

const FILES: usize = 2000;
const HEADS_AT_ONCE: usize = 8;
const UID: &str = "catalogue.web.acme";

#[tokio::test]
#[cfg_attr(not(has_redis), ignore = "needs redis-server: run scripts/setup-tests")]
async fn two_thousand_files_on_s3_and_redis() {
    two_thousand_files("s3 + redis", Edge::s3_redis().await).await;
}

#[tokio::test]
async fn two_thousand_files_on_embedded_storage() {
    two_thousand_files("embedded", Edge::embedded().await).await;
}

async fn two_thousand_files(storage: &str, edge: Edge) {
    let (app, client) = (SampleApp::generate(FILES), edge.client());
    let snapshot = app.snapshot(UID, &format!("ada-1.{UID}"), &edge.url());
    let token = token::write_token(UID);
    let started = Instant::now();
    let url = client.deploy(&token, &app, &snapshot).await;
    let uploaded = started.elapsed();

    let production = edge.host("e-production", UID);
    let started = Instant::now();
    let published = client
        .publish(&token, UID, &format!("ada-1.{UID}"), &[&production])
        .await;
    let _published = published.expect_status(200);
    let publishing = started.elapsed();

    let started = Instant::now();
    let host = host_of(&url);
    let heads = app.files().iter().map(async |(path, content)| {
        let target = url_path(path);
        let reply = client
            .head(&target)
            .host(host)
            .send()
            .await
            .expect_status(200);
        assert_eq!(
            reply.header("content-type"),
            Some(assets::media_type(path)),
            "{target}"
        );
        let length = content.len().to_string();
        assert_eq!(reply.header("content-length"), Some(&*length), "{target}");
        assert!(reply.body.is_empty(), "{target}");
    });
    let found = stream::iter(heads)
        .buffer_unordered(HEADS_AT_ONCE)
        .count()
        .await;
    assert_eq!(found, FILES);
    show(format_args!(
        "{storage}: {FILES} files uploaded in {uploaded:.1?}, published in {publishing:.1?}, asked for in {:.1?}",
        started.elapsed()
    ));
    let page = edge.read(&production, "/").await;
    assert_eq!(Some(&*page.body), app.file("index.html"));
}
