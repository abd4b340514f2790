//! What other regions send.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use favonius_auth::Scope;
use favonius_contract::AssetHash;
use favonius_http::EdgeOptions;
use favonius_storage::ReplicatedRecords as _;
use favonius_telemetry::{MetricsFormat, Telemetry, TelemetrySettings, stdout::Output};
use http::StatusCode;
use serde_json::{Value, json};
use tracing_subscriber::Registry;

use crate::support::{
    APP, Answer, NOW_MS, OTHER, TARGET, TestEdge, mint, mint_for, region_token, snapshot, token,
};

const FILES: &[(&str, &[u8])] = &[("index.html", b"hello"), ("shop/a.js", b"1")];

pub(crate) fn new_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("id-{}", NEXT.fetch_add(1, Relaxed))
}

/// Tells the edge something as the region `eu` does.
pub(crate) async fn tell(edge: &TestEdge, kind: &str, body: &Value) -> Answer {
    let (uri, body) = (format!("/upload?type={kind}"), body.to_string());
    let token = region_token("eu", &new_id(), &uri, Some(body.as_bytes()));
    edge.post(&uri, &token, body).await
}

pub(crate) fn listed_uri(path: &str, hash: AssetHash) -> String {
    let query: String = form_urlencoded::Serializer::new(String::new())
        .append_pair("type", "file")
        .append_pair("hash", &hash.to_string())
        .append_pair("filename", path)
        .append_pair("application_uid", APP)
        .append_pair("listed", "1")
        .finish();
    format!("/upload?{query}")
}

/// Sends a file of which only the path in the snapshot is known.
async fn send_listed(edge: &TestEdge, path: &str, hash: AssetHash, content: &[u8]) -> Answer {
    let uri = listed_uri(path, hash);
    let token = region_token("eu", &new_id(), &uri, None);
    edge.post(&uri, &token, content.to_vec()).await
}

fn names(host: &str, id: &str, published_at: u64) -> Value {
    json!({"names": [{"name": host, "published": {
        "snapshot_id": id, "application_uid": APP, "published_at": published_at, "replica": "eu",
    }}]})
}

pub(crate) fn owned(content: &[u8], path: &str) -> Value {
    json!({"application_uid": APP, "hash": AssetHash::of(content, path), "size": content.len()})
}

fn replicating() -> TestEdge {
    TestEdge::replicating(EdgeOptions::default())
}

#[tokio::test]
async fn a_deployment_arrives_and_is_not_sent_on() {
    let edge = replicating();
    edge.records
        .open_queue(&TARGET.parse().unwrap())
        .await
        .unwrap();
    let id = format!("ada-1.{APP}");
    let document = snapshot(APP, "ada-1", FILES);
    let assets: Vec<Value> = FILES
        .iter()
        .map(|(path, content)| owned(content, path))
        .collect();

    let lacking = tell(
        &edge,
        "lacking",
        &json!({"snapshots": [id], "assets": assets}),
    )
    .await;
    assert_eq!(lacking.status, StatusCode::OK, "{lacking:?}");
    assert_eq!(lacking.json(), json!({"snapshots": [id], "assets": assets}));

    for (path, content) in FILES {
        let answer = send_listed(&edge, path, AssetHash::of(content, path), content).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {answer:?}");
    }
    let stored = tell(&edge, "snapshot", &document).await;
    assert_eq!(stored.status, StatusCode::OK, "{stored:?}");
    assert_eq!(stored.json(), json!({"message": "stored"}));
    let version = edge.get("ada-1-shop-web-acme-edge.test", "/").await;
    assert_eq!(
        version.status,
        StatusCode::NOT_FOUND,
        "names come by themselves"
    );
    assert_eq!(
        tell(&edge, "snapshot", &document).await.json(),
        json!({"message": "already stored"})
    );

    let told = names("www.test", &id, NOW_MS);
    for outcome in ["applied", "older"] {
        let answer = tell(&edge, "names", &told).await;
        assert_eq!(answer.json(), json!({"outcomes": [outcome]}), "{answer:?}");
        assert_eq!(edge.get("www.test", "/").await.text(), "hello");
    }
    let nothing = tell(
        &edge,
        "lacking",
        &json!({"snapshots": [id], "assets": assets}),
    )
    .await;
    assert_eq!(nothing.json(), json!({"snapshots": [], "assets": []}));
    assert_eq!(edge.waiting().await, 0, "what came is not sent on");

    let removal = json!({"names": [{"name": "www.test", "removed": {
        "application_uid": APP, "published_at": NOW_MS + 1, "replica": "eu",
    }}]});
    let answer = tell(&edge, "names", &removal).await;
    assert_eq!(answer.json(), json!({"outcomes": ["applied"]}));
    assert_eq!(edge.get("www.test", "/").await.error(), "unknown_host");
    assert_eq!(edge.waiting().await, 0);

    edge.deploy("bob-1", FILES, &["here.test"], |_| ()).await;
    assert!(edge.waiting().await > 0, "what is done here is sent");
}

#[tokio::test]
async fn the_plain_requests_of_a_region_are_not_sent_on_either() {
    let edge = replicating();
    edge.records
        .open_queue(&TARGET.parse().unwrap())
        .await
        .unwrap();
    let old = Scope::Replica { name: "old".into() };
    let replica = mint_for(old, Duration::from_mins(5));
    let hash = AssetHash::of(b"hello", "index.html");
    let uri = format!("/upload?type=file&hash={hash}&filename=index.html&application_uid={APP}");
    assert_eq!(edge.post(&uri, &replica, "hello").await.status, 200);
    let document = snapshot(APP, "ada-1", &[("index.html", b"hello")]);
    let answer = edge
        .post("/upload?type=snapshot", &replica, document.to_string())
        .await;
    assert!(answer.json()["urls"]["version"].is_string(), "{answer:?}");
    let body = json!({"application_uid": APP, "snapshot_id": format!("ada-1.{APP}"), "targets": ["www.test"]});
    for uri in ["/upload?type=envs", "/publish"] {
        let answer = edge.post(uri, &replica, body.to_string()).await;
        assert_eq!(answer.status, StatusCode::OK, "{uri}: {answer:?}");
    }
    assert_eq!(edge.get("www.test", "/").await.text(), "hello");
    assert_eq!(edge.waiting().await, 0);

    // The same with permissions for each request.
    let token = region_token(
        "eu",
        &new_id(),
        "/publish",
        Some(body.to_string().as_bytes()),
    );
    let answer = edge.post("/publish", &token, body.to_string()).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let body = json!({"application_uid": APP, "names": ["www.test"]});
    let answer = tell(&edge, "removal", &body).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(edge.waiting().await, 0);
}

#[tokio::test]
async fn names_wait_for_what_they_answer_with() {
    let edge = replicating();
    let id = format!("ada-1.{APP}");
    let told = names("www.test", &id, NOW_MS);
    let refused = tell(&edge, "names", &told).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{refused:?}");
    assert_eq!(refused.error(), "incomplete");
    assert_eq!(
        refused.json()["lacking"],
        json!({"snapshots": [id], "assets": []})
    );
    tell(&edge, "snapshot", &snapshot(APP, "ada-1", FILES)).await;
    let (path, content) = FILES[0];
    send_listed(&edge, path, AssetHash::of(content, path), content).await;
    let refused = tell(&edge, "names", &told).await;
    assert_eq!(refused.error(), "incomplete");
    let (path, content) = FILES[1];
    assert_eq!(
        refused.json()["lacking"],
        json!({"snapshots": [], "assets": [owned(content, path)]})
    );
    assert_eq!(edge.get("www.test", "/").await.error(), "unknown_host");
    send_listed(&edge, path, AssetHash::of(content, path), content).await;
    assert_eq!(tell(&edge, "names", &told).await.status, StatusCode::OK);
}

#[tokio::test]
async fn files_are_checked_by_the_paths_that_a_snapshot_lists() {
    let edge = replicating();
    let content = b"body";
    let cases = [
        ("as it is", AssetHash::of(content, "shop/assets/a.js"), 200),
        (
            "without the base",
            AssetHash::of(content, "assets/a.js"),
            200,
        ),
        ("on Windows", AssetHash::of(content, "assets\\a.js"), 200),
        ("other bytes", AssetHash::of(b"other", "assets/a.js"), 422),
        ("another path", AssetHash::of(content, "b.js"), 422),
    ];
    for (name, hash, status) in cases {
        let answer = send_listed(&edge, "shop/assets/a.js", hash, content).await;
        assert_eq!(answer.status, status, "case `{name}`: {answer:?}");
    }
    // People know how they hashed.
    let uri = listed_uri("shop/assets/a.js", AssetHash::of(content, "assets/a.js"));
    let answer = edge.post(&uri, &token(APP), content.to_vec()).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn assets_are_given_to_those_that_own_them() {
    let edge = replicating();
    edge.deploy("ada-1", FILES, &[], |_| ()).await;
    let (path, content) = FILES[0];
    let mut asked = owned(content, path);
    let answer = tell(&edge, "fetch", &asked).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(answer.text(), "hello");
    assert_eq!(answer.header("content-length"), "5");
    asked["application_uid"] = OTHER.into();
    let foreign = tell(&edge, "fetch", &asked).await;
    assert_eq!(
        (foreign.status, foreign.error()),
        (StatusCode::NOT_FOUND, "not_found".into())
    );
    let unknown = tell(&edge, "fetch", &owned(b"never", "x.js")).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn regions_compare_what_they_have() {
    let edge = replicating();
    edge.deploy("ada-1", FILES, &["www.test"], |_| ()).await;
    let digests = tell(&edge, "digest", &json!({"all": "another"})).await;
    assert_eq!(digests.status, StatusCode::OK, "{digests:?}");
    let count = digests.json()["digests"].as_array().unwrap().len();
    let buckets: Vec<usize> = (0..count).collect();
    let content = tell(&edge, "digest", &json!({"buckets": buckets})).await;
    let content = content.json()["content"].clone();
    assert_eq!(content["snapshots"], json!([format!("ada-1.{APP}")]));
    let names = content["names"].as_array().unwrap();
    assert!(names.iter().any(|record| record["name"] == "www.test"));
}

#[tokio::test]
async fn what_cannot_be_read_is_refused() {
    let edge = replicating();
    for kind in ["lacking", "names", "digest", "fetch"] {
        for body in [json!([7]), json!("x"), json!({"names": 7, "assets": 7})] {
            let answer = tell(&edge, kind, &body).await;
            assert_eq!(
                answer.status,
                StatusCode::BAD_REQUEST,
                "{kind} {body}: {answer:?}"
            );
            assert_eq!(answer.error(), "invalid_body", "{kind} {body}");
        }
    }
    let nothing = tell(&edge, "names", &json!({"names": []})).await;
    assert_eq!(nothing.error(), "invalid_body");
    let edge = TestEdge::replicating(EdgeOptions {
        snapshot_max_bytes: 10,
        ..EdgeOptions::default()
    });
    let answer = tell(&edge, "lacking", &json!({"snapshots": ["x"]})).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn without_replication_nothing_is_taken() {
    let edge = TestEdge::new();
    for kind in ["lacking", "names", "digest", "fetch", "snapshot"] {
        let answer = tell(&edge, kind, &json!({})).await;
        assert_eq!(answer.status, StatusCode::NOT_IMPLEMENTED, "{kind}");
        assert_eq!(answer.error(), "unsupported_upload_type", "{kind}");
    }
    let operator = mint(Scope::Operator);
    let headers = [("can_write_jwt", &*operator)];
    let uri = "/__favonius/replication";
    let answer = edge.ask("GET", "edge.test", uri, &headers).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert!(answer.text().contains("does not replicate"));
}

/// How much a token for one request is trusted, and what is counted where it is not.
#[tokio::test]
async fn refusals() {
    let settings = TelemetrySettings::new("edge").prometheus();
    let (_layer, guard) =
        Telemetry::layer::<Registry>(&settings, Output::to(std::io::sink())).unwrap();
    let edge = TestEdge::replicating(EdgeOptions {
        reporter: guard.reporter(),
        ..EdgeOptions::default()
    });
    let page = || guard.prometheus().unwrap().text(MetricsFormat::Text, true);
    let counted = |reason: &str, count: u64| {
        let line = format!(r#"favonius_auth_refusals_total{{reason="{reason}"}} {count}"#);
        assert!(
            page().lines().any(|found| found == line),
            "{line}\n{}",
            page()
        );
    };
    let reasons = [
        "lifetime",
        "foreign",
        "own_replica",
        "replayed",
        "not_bound",
    ];
    for reason in reasons {
        counted(reason, 0);
    }

    let uri = "/upload?type=lacking";
    let other = "/upload?type=digest";
    let of = |replica, id, uri, body: &'static str| {
        region_token(replica, id, uri, Some(body.as_bytes()))
    };
    let once = of("eu", "once", uri, "{}");
    let good = edge.post(uri, &once, "{}").await;
    assert_eq!(good.status, StatusCode::OK, "{good:?}");
    let hash = AssetHash::of(b"x", "a");
    let (file, next_file) = (listed_uri("a", hash), listed_uri("b", hash));
    let for_file = region_token("eu", "file", &file, None);
    assert_eq!(
        edge.post(&file, &for_file, "x").await.status,
        StatusCode::OK
    );
    // What is refused is not used up: the order of the checks shows.
    let cases = [
        ("used before", once.clone(), uri, "{}", "replayed"),
        (
            "used before for a file",
            for_file.clone(),
            &*file,
            "x",
            "replayed",
        ),
        (
            "another path",
            of("eu", "2", other, "{}"),
            uri,
            "{}",
            "foreign",
        ),
        (
            "another body",
            of("eu", "2", uri, "{}"),
            uri,
            "{ }",
            "foreign",
        ),
        ("another file", for_file, &*next_file, "x", "foreign"),
        (
            "without the body",
            region_token("eu", "2", uri, None),
            uri,
            "{}",
            "foreign",
        ),
        (
            "from itself",
            of("us", "2", uri, "{}"),
            uri,
            "{}",
            "own_replica",
        ),
        (
            "for any request",
            mint(Scope::Replica { name: "eu".into() }),
            uri,
            "{}",
            "not_bound",
        ),
    ];
    for (name, token, uri, body, reason) in cases {
        let answer = edge.post(uri, &token, body).await;
        assert_eq!(
            answer.status,
            StatusCode::UNAUTHORIZED,
            "case `{name}`: {answer:?}"
        );
        assert_eq!(answer.error(), "unauthenticated", "case `{name}`");
        assert!(page().contains(&format!(r#"reason="{reason}""#)));
    }
    let unused = edge.post(uri, &of("eu", "2", uri, "{}"), "{}").await;
    assert_eq!(unused.status, StatusCode::OK, "{unused:?}");
    // Minutes later the clock tells that it was issued too early to be valid for so long.
    edge.clock.set_ms(NOW_MS + 66_000);
    let late = edge.post(uri, &of("eu", "3", uri, "{}"), "{}").await;
    assert_eq!(late.status, StatusCode::UNAUTHORIZED);
    edge.clock.set_ms(NOW_MS - 66_000);
    let early = edge.post(uri, &of("eu", "3", uri, "{}"), "{}").await;
    assert_eq!(early.status, StatusCode::UNAUTHORIZED, "{early:?}");
    edge.clock.set_ms(NOW_MS);

    for (kind, body) in [
        ("lacking", "{}"),
        ("names", "{}"),
        ("digest", "{}"),
        ("fetch", "{}"),
    ] {
        let uri = format!("/upload?type={kind}");
        for person in [token(APP), mint(Scope::Operator)] {
            let answer = edge.post(&uri, &person, body).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{kind}");
        }
        assert_eq!(
            edge.post(&uri, "", body).await.status,
            StatusCode::UNAUTHORIZED
        );
    }
    for (reason, count) in [
        ("lifetime", 1),
        ("foreign", 4),
        ("own_replica", 1),
        ("replayed", 2),
        ("not_bound", 1),
        ("not_replica", 8),
        ("expired", 1),
    ] {
        counted(reason, count);
    }
}
