//! Deployments that must fail, and what the person at the client then reads.

use favonius_testing::token;
use serde_json::Value;

use crate::support::{Asset, Build, Control, Edge, Stage, assets, url_path};

const SHOP: &str = "vite-shop";
const UID: &str = "vite-shop.shop.acme";
const GREETING: &str = "ZE_PUBLIC_GREETING";

#[tokio::test]
#[cfg_attr(
    not(has_client),
    ignore = "needs the published client: run scripts/setup-tests"
)]
async fn a_wrong_secret_fails_the_build_and_stores_nothing() {
    let secret = "another secret, which is as long but is not the same";
    let control = Control {
        secret,
        ..Control::default()
    };
    let stage = Stage::start(Edge::embedded().await, control).await;
    let build = stage.build(SHOP).refused().await;
    assert_eq!(build.uploaded, Vec::<String>::new());
    // The client has words of its own for this, and shows none of ours.
    says(&build, "Failed to authenticate with Zephyr");

    // What stands in the answer for those who look.
    let forged = token::mint(secret.as_bytes(), &token::write_claims(UID));
    let client = stage.edge.client();
    let answer = client.upload_file(&forged, "a.txt", b"a").await;
    let answer = answer.expect_status(401).json();
    assert_eq!(answer["error"], "unauthenticated");
    let message = answer["message"].as_str().unwrap_or_default();
    assert!(message.contains("was not issued for this edge"), "{answer}");
    assert_eq!(listed(&stage).await, Vec::<Value>::new());
    let events = stage.end().await;
    let builds = events.iter().filter(|event| event["event"] == "build");
    assert_eq!(builds.count(), 0, "{events:#?}");
}

#[tokio::test]
#[cfg_attr(
    not(has_client),
    ignore = "needs the published client: run scripts/setup-tests"
)]
async fn a_file_that_is_too_large_is_named_with_the_limit() {
    let edge = Edge::embedded_with("-", |worker| worker.env("ZE_WORKER_UPLOAD_MAX_BYTES", 1000));
    let stage = Stage::start(edge.await, Control::default()).await;
    let build = stage.build(SHOP).env(GREETING, "hello").refused().await;
    says(&build, "failed with status code 413");
    says(
        &build,
        r#""message":"The body has 2847 bytes, and this edge takes 1000""#,
    );
    // All that the client shows of its request is what stands in the answer.
    let named = build.log.split_once(r#""filename":""#);
    let name = named
        .and_then(|(_, rest)| rest.split_once('"'))
        .map(|(name, _)| name);
    let name = name.unwrap_or_else(|| panic!("no file is named in:\n{}", build.log));
    assert!(name.starts_with("assets/index-"), "{name}");
    assert!(
        build.uploaded.iter().all(|path| path != name),
        "{:#?}",
        build.uploaded
    );

    // The files that came meanwhile are known to the next build.
    let listed = listed(&stage).await.len();
    assert!(
        (build.uploaded.len()..27).contains(&listed),
        "{listed}: {:#?}",
        build.uploaded
    );
    stage.end().await;
}

#[tokio::test]
#[cfg_attr(
    not(all(has_client, has_redis)),
    ignore = "needs the published client and redis-server: run scripts/setup-tests"
)]
async fn a_build_that_lacks_a_file_is_not_published_and_the_next_one_brings_it() {
    let stage = Stage::start(Edge::s3_redis().await, Control::default()).await;
    // Remembers for a day what the edge has, as on a developer's machine.
    let home = stage.path("home");
    let build = |revision| stage.build(SHOP).revision(revision).env(GREETING, "hello");
    let first = build(0).home(&home).deploy().await;
    let production = stage.edge.host("e-production", UID);

    let lost = first.asset("assets/bars-", ".js");
    lose(&stage.edge, lost);
    // A visitor meets the gap, so that the edge need not look for it.
    let pending = stage.edge.get(&production, &url_path(&lost.path));
    let pending = pending.send().await.expect_status(503);
    assert_eq!(pending.json()["error"], "asset_pending");
    assert_eq!(pending.header("cache-control"), Some("no-store"));
    let second = build(1).home(&home).refused().await;
    assert!(
        !second.uploaded.contains(&lost.path),
        "{:#?}",
        second.uploaded
    );
    says(&second, "the edge answered 409 to the publish");
    let page = stage.edge.read(&production, "/").await;
    assert_eq!(
        page.header("x-favonius-deployment"),
        Some(&*first.snapshot_id)
    );

    // A machine that knows only what the edge tells it uploads the file again.
    let third = build(2).deploy().await;
    assert!(third.uploaded.contains(&lost.path), "{:#?}", third.uploaded);
    assert_eq!(third.uploaded.len(), 5, "{:#?}", third.uploaded);
    assets::check_name(&stage.edge, &production, &third).await;
    assets::check_version(&stage.edge, &third).await;
    assets::check_version(&stage.edge, &first).await;

    let events = stage.end().await;
    let refused = events
        .iter()
        .find(|event| event["event"] == "publish" && event["ok"] == false);
    let refused = &refused.expect("a publish was refused")["body"];
    assert_eq!(refused["error"], "assets_missing");
    assert_eq!(refused["missing"], serde_json::json!([lost.path]));
}

/// The plugin printed this, or wrote it into its error file.
fn says(build: &Build, text: &str) {
    assert!(
        build.log.contains(text),
        "`{text}` is not in:\n{}",
        build.log
    );
}

/// The hashes that the edge tells the client.
async fn listed(stage: &Stage) -> Vec<Value> {
    let list = stage.edge.client().hash_list(UID).await;
    let list = list.expect_status(200).json();
    list["hashes"].as_array().cloned().expect("there is a list")
}

/// Takes a file out of the bucket.
fn lose(edge: &Edge, asset: &Asset) {
    let keys = edge.s3().keys();
    let key = keys.iter().find(|key| key.contains(&asset.hash));
    let key = key.unwrap_or_else(|| panic!("{} is not in {keys:#?}", asset.hash));
    edge.s3().remove_object(key);
}
