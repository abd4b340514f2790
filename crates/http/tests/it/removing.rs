//! `POST /upload?type=removal`.

use favonius_auth::Scope;
use http::StatusCode;
use serde_json::{Value, json};

use crate::support::{APP, Answer, OTHER, TestEdge, mint, token};

const FILES: &[(&str, &[u8])] = &[("index.html", b"hello")];

async fn remove(edge: &TestEdge, token: &str, body: &Value) -> Answer {
    edge.post("/upload?type=removal", token, body.to_string())
        .await
}

#[tokio::test]
async fn removed_names_are_unknown() {
    let edge = TestEdge::new();
    let hosts = ["www.test", "shop.test", "kept.test"];
    edge.deploy("ada-1", FILES, &hosts, |_| ()).await;
    for host in hosts {
        assert_eq!(edge.get(host, "/").await.status, StatusCode::OK, "{host}");
    }
    let body =
        json!({"application_uid": APP, "names": ["https://WWW.test/", "shop.test", "never.test"]});
    for _ in 0..2 {
        let answer = remove(&edge, &token(APP), &body).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        assert_eq!(answer.json(), json!({"message": "removed", "names": 3}));
    }
    for host in ["www.test", "shop.test"] {
        let answer = edge.get(host, "/").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{host}");
        assert_eq!(answer.error(), "unknown_host", "{host}");
    }
    assert_eq!(edge.get("kept.test", "/").await.status, StatusCode::OK);
    // It may be published again.
    edge.publish(APP, &format!("ada-1.{APP}"), &["www.test"])
        .await;
    assert_eq!(edge.get("www.test", "/").await.status, StatusCode::OK);
}

#[tokio::test]
async fn who_may_remove_what() {
    let edge = TestEdge::new();
    edge.deploy("ada-1", FILES, &["www.test", "shop.test"], |_| ())
        .await;
    let of = |app: &str, names: &[&str]| json!({"application_uid": app, "names": names});
    let cases = [
        ("no permission", String::new(), of(APP, &["www.test"]), 401),
        (
            "another application's permission",
            token(OTHER),
            of(APP, &["www.test"]),
            403,
        ),
        (
            "another application's name",
            token(OTHER),
            of(OTHER, &["www.test"]),
            403,
        ),
        ("no name", token(APP), of(APP, &[]), 400),
        ("a bad name", token(APP), of(APP, &["a b/c"]), 400),
        ("no object", token(APP), json!(["www.test"]), 400),
    ];
    for (name, token, body, status) in cases {
        let answer = remove(&edge, &token, &body).await;
        assert_eq!(answer.status, status, "case `{name}`: {answer:?}");
        assert_eq!(edge.get("www.test", "/").await.status, StatusCode::OK);
    }
    let operator = mint(Scope::Operator);
    let answer = remove(&edge, &operator, &of(OTHER, &["www.test"])).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(
        edge.get("www.test", "/").await.status,
        StatusCode::NOT_FOUND
    );
}
