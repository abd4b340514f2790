//! Publishing: names change together or not at all, and belong to who took them first.

use favonius_auth::Scope;
use favonius_contract::AssetHash;
use object_store::{ObjectStoreExt, path::Path};
use serde_json::json;

use crate::support::{APP, OTHER, TestEdge, mint, snapshot, token};

const ONE: &[(&str, &[u8])] = &[("index.html", b"one")];
const TWO: &[(&str, &[u8])] = &[("index.html", b"two")];

#[tokio::test]
async fn a_publish_is_served_at_once() {
    let edge = TestEdge::new();
    edge.deploy("u-1", ONE, &["t-main.test", "www.test"], |_| {})
        .await;
    for host in ["t-main.test", "www.test", "WWW.test.:8443"] {
        assert_eq!(edge.get(host, "/").await.text(), "one", "{host}");
    }
    edge.deploy("u-2", TWO, &["www.test"], |_| {}).await;
    assert_eq!(edge.get("www.test", "/").await.text(), "two");
    assert_eq!(edge.get("t-main.test", "/").await.text(), "one");
    // Back to the older one: that is how one rolls back.
    assert_eq!(
        edge.publish(APP, &format!("u-1.{APP}"), &["www.test"])
            .await
            .status,
        200
    );
    assert_eq!(edge.get("www.test", "/").await.text(), "one");
}

#[tokio::test]
async fn a_host_that_was_unknown_a_moment_ago_is_served_after_its_publish() {
    let edge = TestEdge::new();
    assert_eq!(edge.get("new.test", "/").await.status, 404);
    edge.deploy("u-1", ONE, &["new.test"], |_| {}).await;
    assert_eq!(edge.get("new.test", "/").await.text(), "one");
}

#[tokio::test]
async fn what_is_missing_is_named_and_nothing_changes() {
    let edge = TestEdge::new();
    edge.deploy("u-1", ONE, &["a.test", "b.test"], |_| {}).await;
    edge.upload_file("here.js", b"here").await;
    let files: &[(&str, &[u8])] = &[("here.js", b"here"), ("gone.js", b"gone")];
    assert_eq!(
        edge.upload_snapshot(&snapshot(APP, "u-2", files))
            .await
            .status,
        200
    );
    let answer = edge
        .publish(APP, &format!("u-2.{APP}"), &["a.test", "b.test", "c.test"])
        .await;
    assert_eq!(
        (answer.status.as_u16(), answer.error()),
        (409, "assets_missing".into())
    );
    assert_eq!(answer.json()["missing"], json!(["gone.js"]));
    for (host, status) in [("a.test", 200), ("b.test", 200), ("c.test", 404)] {
        assert_eq!(edge.get(host, "/").await.status, status, "{host}");
    }
    assert_eq!(edge.get("a.test", "/").await.text(), "one");
    // Once the file is there, the same publish goes through.
    edge.upload_file("gone.js", b"gone").await;
    assert_eq!(
        edge.publish(APP, &format!("u-2.{APP}"), &["a.test"])
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn an_asset_that_the_store_lost_is_asked_for_again() {
    let edge = TestEdge::new();
    edge.deploy("u-1", ONE, &[], |_| {}).await;
    let hash = AssetHash::of(b"one", "index.html");
    edge.objects
        .delete(&Path::from(format!("{hash}.3")))
        .await
        .unwrap();
    // Long enough for the edge to look again.
    let later = TestEdge {
        edge: favonius_edge(&edge),
        ..edge
    };
    let list = format!("/__get_application_hash_list__?application_uid={APP}");
    assert_eq!(
        later.get("x.test", &list).await.json()["hashes"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        later
            .publish(APP, &format!("u-1.{APP}"), &["a.test"])
            .await
            .status,
        409
    );
    assert_eq!(
        later.get("x.test", &list).await.json(),
        json!({"hashes": []})
    );
}

#[tokio::test]
async fn all_that_a_store_lost_is_asked_for_again_at_once() {
    let edge = TestEdge::new();
    let contents: Vec<(String, String)> = (0..150)
        .map(|n| (format!("{n}.js"), format!("content {n}")))
        .collect();
    let files: Vec<(&str, &[u8])> = contents
        .iter()
        .map(|(path, content)| (path.as_str(), content.as_bytes()))
        .collect();
    edge.deploy("u-1", &files, &[], |_| {}).await;
    for (path, content) in &files {
        let key = format!("{}.{}", AssetHash::of(content, path), content.len());
        edge.objects.delete(&Path::from(key)).await.unwrap();
    }
    let later = TestEdge {
        edge: favonius_edge(&edge),
        ..edge
    };
    let answer = later.publish(APP, &format!("u-1.{APP}"), &["a.test"]).await;
    assert_eq!(
        answer.json()["missing"].as_array().unwrap().len(),
        100,
        "names a hundred"
    );
    let list = format!("/__get_application_hash_list__?application_uid={APP}");
    assert_eq!(
        later.get("x.test", &list).await.json(),
        json!({"hashes": []})
    );
}

/// Another worker on the same back ends, which remembers nothing.
fn favonius_edge(of: &TestEdge) -> favonius_http::Edge {
    use std::sync::Arc;

    use favonius_auth::{Verifier, VerifierOptions};
    let backends = favonius_http::Backends {
        assets: favonius_storage::Assets::new(
            Arc::clone(&of.objects),
            tokio_util::task::TaskTracker::new(),
        ),
        records: Arc::new(of.records.clone()),
        verifier: Arc::new(
            Verifier::new(crate::support::SECRET, None, VerifierOptions::default()).unwrap(),
        ),
        clock: of.clock.clone(),
        replication: None,
    };
    favonius_http::Edge::new(backends, favonius_http::EdgeOptions::default())
}

#[tokio::test]
async fn a_name_belongs_to_who_took_it_first() {
    let edge = TestEdge::new();
    edge.deploy("u-1", ONE, &["a.test"], |_| {}).await;
    edge.upload_snapshot(&snapshot(OTHER, "u-1", &[])).await;
    let id = format!("u-1.{OTHER}");
    let answer = edge.publish(OTHER, &id, &["new.test", "a.test"]).await;
    assert_eq!(
        (answer.status.as_u16(), answer.error()),
        (403, "forbidden".into())
    );
    assert!(
        answer.text().contains(APP),
        "says whose it is: {}",
        answer.text()
    );
    assert_eq!(
        edge.get("new.test", "/").await.status,
        404,
        "all or nothing"
    );
    assert_eq!(edge.get("a.test", "/").await.text(), "one");

    // A token of one application cannot publish another's snapshot either.
    let body =
        json!({"application_uid": APP, "snapshot_id": id, "targets": ["x.test"]}).to_string();
    assert_eq!(
        edge.post("/publish", &token(APP), body.clone())
            .await
            .status,
        403
    );
    let body =
        json!({"application_uid": OTHER, "snapshot_id": id, "targets": ["x.test"]}).to_string();
    assert_eq!(edge.post("/publish", &token(APP), body).await.status, 403);

    // An operator moves a name.
    let body =
        json!({"application_uid": OTHER, "snapshot_id": id, "targets": ["a.test"]}).to_string();
    assert_eq!(
        edge.post("/publish", &mint(Scope::Operator), body)
            .await
            .status,
        200
    );
    assert_eq!(
        edge.publish(APP, &format!("u-1.{APP}"), &["a.test"])
            .await
            .status,
        403
    );
}

#[tokio::test]
async fn a_version_s_name_is_for_ever() {
    let edge = TestEdge::new();
    let version = edge.deploy("u-1", ONE, &[], |_| {}).await;
    edge.deploy("u-2", TWO, &[], |_| {}).await;
    let answer = edge.publish(APP, &format!("u-2.{APP}"), &[&version]).await;
    assert_eq!(
        (answer.status.as_u16(), answer.error()),
        (409, "name_taken".into())
    );
    // Its own snapshot may be published to it, as control planes do.
    assert_eq!(
        edge.publish(APP, &format!("u-1.{APP}"), &[&version])
            .await
            .status,
        200
    );
    assert_eq!(edge.get(&version, "/").await.text(), "one");
}

#[tokio::test]
async fn refused_publishes() {
    let edge = TestEdge::new();
    edge.deploy("u-1", ONE, &[], |_| {}).await;
    let id = format!("u-1.{APP}");
    let cases = [
        (
            "unknown snapshot",
            json!({"application_uid": APP, "snapshot_id": format!("no-1.{APP}"), "targets": ["a.test"]}),
            404,
            "snapshot_not_found",
        ),
        (
            "no target",
            json!({"application_uid": APP, "snapshot_id": id, "targets": []}),
            400,
            "invalid_body",
        ),
        (
            "bad host",
            json!({"application_uid": APP, "snapshot_id": id, "targets": ["a b"]}),
            400,
            "invalid_body",
        ),
        ("not an object", json!([]), 400, "invalid_body"),
    ];
    for (name, body, status, error) in cases {
        let answer = edge.post("/publish", &token(APP), body.to_string()).await;
        assert_eq!(
            (answer.status.as_u16(), answer.error().as_str()),
            (status, error),
            "case `{name}`"
        );
    }
}

#[tokio::test]
async fn variables_differ_from_name_to_name() {
    let edge = TestEdge::new();
    let files: &[(&str, &[u8])] = &[
        (
            "index.html",
            b"<html><head><script type=module src=/a.js></script></head></html>",
        ),
        (
            "zephyr-manifest.json",
            br#"{"version":"1.0.0","zeVars":{"ZE_PUBLIC_A":"build","ZE_PUBLIC_B":"build"}}"#,
        ),
    ];
    let version = edge.deploy("u-1", files, &[], |_| {}).await;
    let body = json!({
        "application_uid": APP, "snapshot_id": format!("u-1.{APP}"),
        "targets": [
            {"hostname": "stage.test"},
            {"hostname": "prod.test", "zephyrManifestFile": {"content": {"zeVars": {"ZE_PUBLIC_A": "prod"}}, "hash": "x1"}},
        ],
        "environmentVariables": {"stage.test": {"ZE_PUBLIC_A": "stage"}},
    });
    let answer = edge.post("/publish", &token(APP), body.to_string()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let vars =
        async |host: &str| edge.get(host, "/zephyr-manifest.json").await.json()["zeVars"].clone();
    assert_eq!(
        vars(&version).await,
        json!({"ZE_PUBLIC_A": "build", "ZE_PUBLIC_B": "build"})
    );
    assert_eq!(
        vars("stage.test").await,
        json!({"ZE_PUBLIC_A": "stage", "ZE_PUBLIC_B": "build"})
    );
    assert_eq!(vars("prod.test").await, json!({"ZE_PUBLIC_A": "prod"}));
    let manifest = edge.get("prod.test", "/zephyr-manifest.json").await;
    assert_eq!(manifest.header("content-type"), "application/json");
    assert_eq!(
        manifest.header("cache-control"),
        "public, max-age=0, must-revalidate"
    );
}

#[tokio::test]
async fn route_keys_reach_a_deployment_by_path() {
    let edge = TestEdge::new();
    edge.deploy(
        "u-1",
        &[("index.html", b"one"), ("a/b.js", b"js")],
        &[],
        |_| {},
    )
    .await;
    let body = json!({
        "app_version": {"application_uid": APP, "snapshot_id": format!("u-1.{APP}")},
        "urls": [], "url_ids": [format!("t_main.{APP}"), format!("e_prod.{APP}")],
    });
    assert_eq!(
        edge.post("/upload?type=envs", &token(APP), body.to_string())
            .await
            .status,
        200
    );
    let base = format!("/__zephyr/v1/t/t_main.{APP}");
    for (path, status, text) in [
        (format!("{base}/"), 200, "one"),
        (format!("{base}/a/b.js"), 200, "js"),
        (format!("/__zephyr/v1/t/main.{APP}/a/b.js"), 200, "js"),
        (format!("/__zephyr/v1/e/e_prod.{APP}/a/b.js"), 200, "js"),
        (format!("/__zephyr/v1/v/u-1.{APP}/a/b.js"), 200, "js"),
        (format!("/__zephyr/v1/x/t_main.{APP}/"), 404, ""),
        (format!("/__zephyr/v1/t/nobody.{APP}/"), 404, ""),
        ("/__zephyr/v1/".to_owned(), 404, ""),
    ] {
        let answer = edge.get("any.test", &path).await;
        assert_eq!(answer.status, status, "{path}");
        if status == 200 {
            assert_eq!(answer.text(), text, "{path}");
        }
    }
    let answer = edge.get("any.test", &format!("{base}?a=b")).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("location")),
        (308, format!("{base}/?a=b").as_str())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_publishes_of_the_same_names_never_mix() {
    let edge = TestEdge::new();
    let hosts = ["a.test", "b.test", "c.test"];
    edge.deploy("u-1", ONE, &hosts, |_| {}).await;
    edge.deploy("u-2", TWO, &hosts, |_| {}).await;
    let publish = async |n: u32| {
        for _ in 0..50 {
            assert_eq!(
                edge.publish(APP, &format!("u-{n}.{APP}"), &hosts)
                    .await
                    .status,
                200
            );
        }
    };
    tokio::join!(publish(1), publish(2), publish(1));
    // Each name has gone through the same deployments in the same order: no publish was made in part.
    let mut all = Vec::new();
    for host in hosts {
        use favonius_storage::RecordStore;
        let name = host.parse::<favonius_contract::Hostname>().unwrap().into();
        let history = edge.records.history(&name).await.unwrap();
        all.push(
            history
                .into_iter()
                .map(|entry| entry.snapshot_id)
                .collect::<Vec<_>>(),
        );
    }
    assert_eq!(all[0], all[1]);
    assert_eq!(all[1], all[2]);
    let texts = [
        edge.get("a.test", "/").await,
        edge.get("b.test", "/").await,
        edge.get("c.test", "/").await,
    ];
    assert!(texts.iter().all(|answer| answer.body == texts[0].body));
}
