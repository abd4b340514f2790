//! Going back to an older build.

use serde_json::json;

use crate::support::{Control, Edge, Stage, Visit, assets, host_of};

const BASE: &str = "vite-base";

#[tokio::test]
#[cfg_attr(
    not(all(has_client, has_chromium, has_redis)),
    ignore = "needs the published client, chromium and redis-server: run scripts/setup-tests"
)]
async fn publishing_the_older_build_brings_it_back() {
    let stage = Stage::start(Edge::s3_redis().await, Control::default()).await;
    let build = |revision| {
        stage
            .build(BASE)
            .revision(revision)
            .env("ZE_PUBLIC_GREETING", "hello")
    };
    let first = build(0).deploy().await;
    let second = build(1).deploy().await;
    let production = stage.edge.host("e-production", &first.application_uid);
    assets::check_name(&stage.edge, &production, &second).await;

    // The page is open while production goes back.
    let visit = Visit::new(&production, "/shop/").texts(&["lazy chunk below /shop/, revision 1"]);
    let visit = visit
        .pause()
        .reload()
        .texts(&["lazy chunk below /shop/, revision 0"]);
    let mut open = visit.start();
    open.paused().await;
    stage
        .control
        .publish_again_ok(&first.snapshot_id, json!({}))
        .await;
    assets::check_name(&stage.edge, &production, &first).await;
    open.go_on().await;
    open.end_well().await;

    // The versions stand where they stood, and forward is as easy as back.
    assets::check_version(&stage.edge, &first).await;
    assets::check_version(&stage.edge, &second).await;
    stage
        .control
        .publish_again_ok(&second.snapshot_id, json!({}))
        .await;
    assets::check_name(&stage.edge, &production, &second).await;
    let version = stage
        .edge
        .read(host_of(&second.version_url), "/shop/")
        .await;
    assert_eq!(
        stage.edge.read(&production, "/shop/").await.body,
        version.body
    );
    stage.end().await;
}
