//! What operators see of replication, and what a relay's port answers.

use bytes::Bytes;
use favonius_auth::Scope;
use favonius_http::EdgeOptions;
use favonius_storage::{EventId, ReplicatedRecords};
use http::{Request, StatusCode};
use http_body_util::Full;
use serde_json::json;
use tower_service::Service as _;

use crate::support::{APP, Answer, TARGET, TestEdge, mint, region_token, token, whole};

const FILES: &[(&str, &[u8])] = &[("index.html", b"hello")];

fn replicating() -> TestEdge {
    TestEdge::replicating(EdgeOptions::default())
}

async fn ask(edge: &TestEdge, method: &str, uri: &str, token: &str) -> Answer {
    edge.ask(method, "edge.test", uri, &[("can_write_jwt", token)])
        .await
}

#[tokio::test]
async fn operators_see_how_it_stands() {
    let edge = replicating();
    let target = TARGET.parse().unwrap();
    edge.records.open_queue(&target).await.unwrap();
    edge.deploy("ada-1", FILES, &["www.test"], |_| ()).await;
    let before = edge.waiting().await;
    let taken = edge.records.take(&target, "me", 1).await.unwrap();
    edge.records
        .bury(&target, &taken[0], "400 invalid_body")
        .await
        .unwrap();
    let operator = mint(Scope::Operator);

    let status = ask(&edge, "GET", "/__favonius/replication", &operator).await;
    assert_eq!(status.status, StatusCode::OK, "{status:?}");
    let of_target = status.json()["targets"][0].clone();
    assert_eq!(of_target["target"], TARGET);
    assert_eq!(of_target["buried"], 1);
    assert_eq!(of_target["waiting"], before - 1);

    let letters = format!("/__favonius/replication/dead-letters?target={TARGET}&limit=10");
    let listed = ask(&edge, "GET", &letters, &operator).await;
    let letter = listed.json()["letters"][0].clone();
    assert_eq!(letter["reason"], "400 invalid_body", "{listed:?}");
    assert!(letter["event"].is_object(), "{letter}");
    assert!(letter["queued_at_ms"].is_u64() && letter["buried_at_ms"].is_u64());

    let retry = format!("/__favonius/replication/retry?target={TARGET}");
    let none = ask(&edge, "POST", &format!("{retry}&id=999999"), &operator).await;
    assert_eq!(none.json(), json!({"retried": 0}), "{none:?}");
    let id = EventId::new(letter["id"].as_str().unwrap());
    let one = ask(
        &edge,
        "POST",
        &format!("{retry}&id={id}&id=999999"),
        &operator,
    )
    .await;
    assert_eq!(one.json(), json!({"retried": 1}), "{one:?}");
    assert_eq!(edge.waiting().await, before);

    for uri in [
        "/__favonius/replication/repair",
        &format!("/__favonius/replication/repair?target={TARGET}"),
    ] {
        let answer = ask(&edge, "POST", uri, &operator).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{uri}: {answer:?}");
    }
}

#[tokio::test]
async fn control_routes_refuse() {
    let edge = replicating();
    let operator = mint(Scope::Operator);
    let root = "/__favonius/replication";
    let cases = [
        ("GET", "/dead-letters", 400),
        ("GET", "/dead-letters?target=https://asia.test", 404),
        ("POST", "/retry?target=https://asia.test", 404),
        ("POST", "/repair?target=https://asia.test", 404),
        (
            "GET",
            &format!("/dead-letters?target={TARGET}&limit=0"),
            400,
        ),
        (
            "GET",
            &format!("/dead-letters?target={TARGET}&limit=1001"),
            400,
        ),
        ("POST", "", 405),
        ("GET", "/retry", 405),
        ("GET", "/repair", 405),
        ("GET", "/other", 404),
    ];
    for (method, path, status) in cases {
        let uri = format!("{root}{path}");
        let answer = ask(&edge, method, &uri, &operator).await;
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        if path.contains("asia") {
            assert_eq!(answer.error(), "unknown_target", "{path}");
            assert_eq!(answer.json()["targets"], json!([TARGET]));
        }
    }
    for person in [token(APP), mint(Scope::Replica { name: "eu".into() })] {
        for (method, path) in [("GET", ""), ("POST", "/retry"), ("POST", "/repair")] {
            let answer = ask(&edge, method, &format!("{root}{path}"), &person).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{method} {path}");
        }
    }
    assert_eq!(
        ask(&edge, "GET", root, "").await.status,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn a_relay_takes_from_regions_alone() {
    let edge = replicating();
    edge.deploy("ada-1", FILES, &["www.test"], |_| ()).await;
    let relay = edge.edge.relay();
    let send = async |method: &str, uri: &str, token: &str, body: &str| {
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .header("host", "www.test")
            .header("can_write_jwt", token)
            .header("content-length", body.len())
            .body(Full::new(Bytes::from(body.to_owned())))
            .unwrap();
        whole(relay.clone().call(request).await.unwrap()).await
    };
    let uri = "/upload?type=lacking";
    let region = region_token("eu", "id-1", uri, Some(b"{}"));
    assert_eq!(send("POST", uri, &region, "{}").await.status, 200);
    let operator = mint(Scope::Operator);
    let cases = [
        ("POST", "/upload?type=envs", &*token(APP), 403),
        ("POST", "/upload?type=envs", &operator, 403),
        ("POST", "/upload?type=envs", "", 401),
        ("POST", "/publish", &operator, 404),
        ("GET", "/", "", 404),
        ("GET", "/index.html", "", 404),
        (
            "GET",
            "/__get_application_hash_list__?application_uid=a.b.c",
            "",
            404,
        ),
        ("GET", "/healthz", "", 200),
        ("GET", "/__favonius/replication", &operator, 200),
        ("GET", "/__favonius/replication", "", 401),
    ];
    for (method, uri, token, status) in cases {
        let answer = send(method, uri, token, "{}").await;
        assert_eq!(answer.status, status, "{method} {uri}: {answer:?}");
        if status == 404 {
            assert_eq!(answer.error(), "not_found", "{method} {uri}");
        }
    }
}
