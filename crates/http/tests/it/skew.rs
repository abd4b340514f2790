//! Version skew: pages that were loaded before a publish.

use serde_json::Value;

use crate::support::{APP, OTHER, TestEdge, snapshot, token};

const HOST: &str = "www.test";

async fn deploy(edge: &TestEdge, build: u32, files: &[(&str, &[u8])]) {
    edge.deploy(&format!("u-{build}"), files, &[HOST], |_| {})
        .await;
}

#[tokio::test]
async fn chunks_of_builds_before_are_still_there() {
    let edge = TestEdge::new();
    for build in 1..=8 {
        let chunk = format!("assets/chunk-{build}aBcD3fG.js");
        let script = format!("build {build}");
        let page = format!("page {build}");
        let files: [(&str, &[u8]); 2] =
            [(&chunk, script.as_bytes()), ("index.html", page.as_bytes())];
        deploy(&edge, build, &files).await;
    }
    for build in 1..=8 {
        let path = format!("/assets/chunk-{build}aBcD3fG.js");
        let answer = edge.get(HOST, &path).await;
        if build < 3 {
            assert_eq!(answer.status, 404, "{build}: beyond the last five");
            continue;
        }
        assert_eq!(answer.text(), format!("build {build}"));
        assert_eq!(
            answer.header("x-favonius-deployment"),
            format!("u-{build}.{APP}")
        );
        // By its own name, and not because a version never changes.
        assert_eq!(
            answer.header("cache-control"),
            "public, max-age=31536000, immutable"
        );
        let head = edge.ask("HEAD", HOST, &path, &[]).await;
        assert_eq!(head.status, 200);
        let again = [("if-none-match", answer.header("etag"))];
        assert_eq!(edge.ask("GET", HOST, &path, &again).await.status, 304);
    }
    assert_eq!(edge.get(HOST, "/").await.text(), "page 8");
}

#[tokio::test]
async fn nothing_that_brings_a_build_back_comes_from_the_past() {
    let edge = TestEdge::new();
    let old: &[(&str, &[u8])] = &[
        ("index.html", b"old"),
        ("about.html", b"old"),
        ("sw.js", b"old"),
        ("mf-manifest.json", b"old"),
        ("data.json", b"old data"),
        ("shared.js", b"old shared"),
    ];
    deploy(&edge, 1, old).await;
    deploy(
        &edge,
        2,
        &[("index.html", b"new"), ("shared.js", b"new shared")],
    )
    .await;
    for path in ["/about.html", "/about", "/sw.js", "/mf-manifest.json"] {
        assert_eq!(edge.get(HOST, path).await.status, 404, "{path}");
    }
    let navigation = [("accept", "text/html")];
    let answer = edge.ask("GET", HOST, "/about", &navigation).await;
    assert_eq!(answer.text(), "new", "the shell of the present");
    assert_eq!(edge.get(HOST, "/shared.js").await.text(), "new shared");
    let data = edge.get(HOST, "/data.json").await;
    assert_eq!(data.text(), "old data");
    assert_eq!(
        data.header("cache-control"),
        "public, max-age=0, must-revalidate"
    );
}

#[tokio::test]
async fn a_version_has_no_past_and_a_rollback_has() {
    let edge = TestEdge::new();
    let first: &[(&str, &[u8])] = &[("index.html", b"1"), ("one.js", b"one")];
    let second: &[(&str, &[u8])] = &[("index.html", b"2"), ("two.js", b"two")];
    let version = edge.deploy("u-1", first, &[HOST], |_| {}).await;
    let newer = edge.deploy("u-2", second, &[HOST], |_| {}).await;
    assert_eq!(edge.get(&newer, "/one.js").await.status, 404);
    assert_eq!(edge.get(&version, "/two.js").await.status, 404);
    assert_eq!(edge.get(HOST, "/one.js").await.text(), "one");
    let back = edge.publish(APP, &format!("u-1.{APP}"), &[HOST]).await;
    assert_eq!(back.status, 200);
    assert_eq!(edge.get(HOST, "/two.js").await.text(), "two");
    assert_eq!(edge.get(HOST, "/").await.text(), "1");
}

#[tokio::test]
async fn nothing_of_another_application() {
    let edge = TestEdge::new();
    deploy(&edge, 1, &[("index.html", b"1"), ("own.js", b"own")]).await;
    let files: &[(&str, &[u8])] = &[("index.html", b"other")];
    let content = files[0].1;
    let uri = crate::support::file_uri(
        &favonius_contract::AssetHash::of(content, "index.html").to_string(),
        "index.html",
    );
    let stored = edge.post(&uri, &token(OTHER), content).await;
    assert_eq!(stored.status, 200);
    let other: Value = snapshot(OTHER, "u-1", files);
    assert_eq!(edge.upload_snapshot(&other).await.status, 200);
    edge.take_over(OTHER, &format!("u-1.{OTHER}"), HOST).await;
    assert_eq!(edge.get(HOST, "/").await.text(), "other");
    assert_eq!(edge.get(HOST, "/own.js").await.status, 404);
}
