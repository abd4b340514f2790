//! What is let in from other regions, and what is given to them, when something is not as it should be.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use favonius_auth::Scope;
use favonius_contract::{
    ApplicationUid, AssetHash, AssetRef, Deployment, DeploymentName, SnapshotDocument, SnapshotId,
};
use favonius_http::{EdgeOptions, MetricsOptions};
use favonius_storage::{
    Applied, Change, ChangeEvent, CommitError, ErrorKind, HistoryEntry, RecordStore, StorageError,
    VersionEntry,
};
use favonius_telemetry::{Telemetry, TelemetrySettings, stdout::Output};
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use http::{Request, StatusCode};
use http_body::Frame;
use http_body_util::{Full, StreamBody};
use serde_json::{Value, json};
use tower_service::Service as _;
use tracing_subscriber::Registry;

use crate::{
    replication::{listed_uri, new_id, owned, tell},
    support::{
        APP, NOW_MS, TARGET, TestEdge, file_uri, mint, mint_for, region_token, replication,
        snapshot, whole,
    },
};

const FILES: &[(&str, &[u8])] = &[("index.html", b"hello")];

fn replicating() -> TestEdge {
    TestEdge::replicating(EdgeOptions::default())
}

/// A record store that cannot tell whose an asset is.
#[derive(Debug)]
struct Unclear(Arc<dyn RecordStore>);

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl RecordStore for Unclear {
    async fn deployment(&self, name: &DeploymentName) -> Result<Option<Deployment>, StorageError> {
        self.0.deployment(name).await
    }

    async fn snapshot(&self, id: &SnapshotId) -> Result<Option<SnapshotDocument>, StorageError> {
        self.0.snapshot(id).await
    }

    async fn known_assets(&self, uid: &ApplicationUid) -> Result<Vec<AssetRef>, StorageError> {
        self.0.known_assets(uid).await
    }

    async fn knows_asset(&self, _: &ApplicationUid, _: AssetRef) -> Result<bool, StorageError> {
        Err(StorageError::new(ErrorKind::Unavailable, "read", "assets"))
    }

    async fn versions(
        &self,
        uid: &ApplicationUid,
        limit: usize,
    ) -> Result<Vec<VersionEntry>, StorageError> {
        self.0.versions(uid, limit).await
    }

    async fn names(&self, uid: &ApplicationUid) -> Result<Vec<DeploymentName>, StorageError> {
        self.0.names(uid).await
    }

    async fn history(&self, name: &DeploymentName) -> Result<Vec<HistoryEntry>, StorageError> {
        self.0.history(name).await
    }

    async fn commit(&self, changes: Vec<Change>) -> Result<Vec<Applied>, CommitError> {
        self.0.commit(changes).await
    }

    fn changes(&self) -> BoxStream<'static, ChangeEvent> {
        self.0.changes()
    }

    async fn check(&self) -> Result<(), StorageError> {
        self.0.check().await
    }
}

#[tokio::test]
async fn nothing_is_given_away_while_nobody_can_tell_whose_it_is() {
    let how = replication("us", TARGET);
    let edge = TestEdge::in_region_over(how, EdgeOptions::default(), |backends| {
        backends.records = Arc::new(Unclear(Arc::clone(&backends.records)));
    });
    edge.deploy("ada-1", FILES, &["www.test"], |_| ()).await;
    let (path, content) = FILES[0];
    let answer = tell(&edge, "fetch", &owned(content, path)).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    assert_eq!(answer.error(), "storage_unavailable");
    let visitor = edge.get("www.test", "/").await;
    assert_eq!(visitor.text(), "hello", "what is published is served");
}

/// Whoever holds the body back until the token has expired must not find its id forgotten.
#[tokio::test]
async fn a_token_that_expires_while_the_body_comes_is_refused() {
    let edge = replicating();
    let uri = "/upload?type=lacking";
    for (late_ms, status) in [(0, 200), (64_000, 200), (65_000, 401), (600_000, 401)] {
        edge.clock.set_ms(NOW_MS);
        let clock = edge.clock.clone();
        let body = stream::once(async move {
            clock.set_ms(NOW_MS + late_ms);
            Ok::<_, std::io::Error>(Frame::data(Bytes::from_static(b"{}")))
        });
        let request = Request::post(uri)
            .header("host", "edge.test")
            .header(
                "can_write_jwt",
                region_token("eu", &new_id(), uri, Some(b"{}")),
            )
            .header("content-length", 2)
            .body(StreamBody::new(body.boxed()))
            .unwrap();
        let answer = edge.send(request).await;
        assert_eq!(answer.status, status, "{late_ms} ms: {answer:?}");
        if status == 401 {
            assert!(answer.text().contains("has expired"), "{answer:?}");
        }
    }
}

/// An id is remembered for longer than its token is valid.
#[tokio::test]
async fn a_token_is_used_once_until_its_end() {
    let edge = replicating();
    let uri = "/upload?type=lacking";
    let token = region_token("eu", "once", uri, Some(b"{}"));
    assert_eq!(edge.post(uri, &token, "{}").await.status, 200);
    for later_ms in [1000, 59_000, 64_500] {
        edge.clock.set_ms(NOW_MS + later_ms);
        let again = edge.post(uri, &token, "{}").await;
        assert!(
            again.text().contains("used before"),
            "{later_ms}: {again:?}"
        );
    }
}

#[tokio::test]
async fn tokens_of_regions_for_any_request_are_short() {
    let edge = replicating();
    let alone = TestEdge::new();
    let hash = AssetHash::of(b"hello", "index.html").to_string();
    let file = format!("{}&application_uid={APP}", file_uri(&hash, "index.html"));
    let names = json!({"application_uid": APP, "names": ["www.test"]});
    let publish = json!({"application_uid": APP, "snapshot_id": format!("ada-1.{APP}"), "targets": ["www.test"]});
    let requests = [
        (&*file, "hello".to_owned()),
        (
            "/upload?type=snapshot",
            snapshot(APP, "ada-1", FILES).to_string(),
        ),
        ("/upload?type=envs", publish.to_string()),
        ("/publish", publish.to_string()),
        ("/upload?type=removal", names.to_string()),
    ];
    let replica = || Scope::Replica { name: "old".into() };
    for edge in [&edge, &alone] {
        for (uri, body) in &requests {
            for too_long in [306, 3600] {
                let token = mint_for(replica(), Duration::from_secs(too_long));
                let answer = edge.post(uri, &token, body.clone()).await;
                assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{uri}: {answer:?}");
                assert!(answer.text().contains("5 minutes"), "{uri}: {answer:?}");
            }
            let token = mint_for(replica(), Duration::from_secs(305));
            let answer = edge.post(uri, &token, body.clone()).await;
            assert_eq!(answer.status, StatusCode::OK, "{uri}: {answer:?}");
        }
    }
    let operator = mint(Scope::Operator);
    let answer = edge.post("/publish", &operator, publish.to_string()).await;
    assert_eq!(
        answer.status,
        StatusCode::OK,
        "people keep theirs: {answer:?}"
    );
}

#[tokio::test]
async fn a_relay_shows_metrics_unless_they_have_a_port() {
    let settings = TelemetrySettings::new("edge").prometheus();
    let (_layer, guard) =
        Telemetry::layer::<Registry>(&settings, Output::to(std::io::sink())).unwrap();
    for (apart, status) in [(false, 200), (true, 404)] {
        let edge = TestEdge::replicating(EdgeOptions {
            reporter: guard.reporter(),
            metrics: MetricsOptions { apart, token: None },
            ..EdgeOptions::default()
        });
        for (surface, expected) in [(edge.edge.relay(), status), (edge.edge.metrics(), 200)] {
            let request = Request::get("/metrics").body(Full::<Bytes>::default());
            let answer = whole(surface.clone().call(request.unwrap()).await.unwrap()).await;
            assert_eq!(answer.status, expected, "apart: {apart}");
        }
    }
}

#[tokio::test]
async fn what_was_received_is_told() {
    let edge = replicating();
    let operator = mint(Scope::Operator);
    let received = async || {
        let headers = [("can_write_jwt", &*operator)];
        let uri = "/__favonius/replication";
        let answer = edge.ask("GET", "edge.test", uri, &headers).await;
        answer.json()["received"].clone()
    };
    let none = received().await;
    for name in [
        "applied",
        "known",
        "older",
        "by_hand",
        "incomplete",
        "refused",
        "failed",
    ] {
        assert_eq!(none[name], 0, "{name}: {none}");
    }
    assert_eq!(none["refused_by"], json!({}));
    let rejected = none["rejected"].as_object().unwrap();
    assert!(rejected.len() >= 9 && rejected.values().all(|count| *count == 0));

    let id = format!("ada-1.{APP}");
    let names = |at: u64| -> Value {
        json!({"names": [{"name": "www.test", "published": {
            "snapshot_id": id, "application_uid": APP, "published_at": at, "replica": "eu",
        }}]})
    };
    let document = snapshot(APP, "ada-1", FILES);
    tell(&edge, "names", &names(NOW_MS)).await;
    tell(&edge, "snapshot", &document).await;
    tell(&edge, "snapshot", &document).await;
    let uri = listed_uri("index.html", AssetHash::of(b"hello", "index.html"));
    for body in ["jello", "hello"] {
        let token = region_token("eu", &new_id(), &uri, None);
        edge.post(&uri, &token, body).await;
    }
    for at in [NOW_MS, NOW_MS - 1] {
        tell(&edge, "names", &names(at)).await;
    }
    let once = region_token("eu", "once", &uri, None);
    for _ in 0..3 {
        edge.post(&uri, &once, "hello").await;
    }
    let publish = json!({"application_uid": APP, "snapshot_id": id, "targets": ["www.test"]});
    let body = publish.to_string();
    let foreign = region_token("eu", &new_id(), "/publish", Some(b"{}"));
    edge.post("/publish", &foreign, body).await;

    let told = received().await;
    for (name, count) in [
        // A snapshot, a file and a name.
        ("applied", 3),
        // The snapshot again, and the file.
        ("known", 2),
        ("older", 1),
        ("by_hand", 0),
        ("incomplete", 1),
        // The file with other bytes.
        ("refused", 1),
        ("failed", 0),
    ] {
        assert_eq!(told[name], count, "{name}: {told}");
    }
    assert_eq!(told["refused_by"], json!({"hash_mismatch": 1}), "{told}");
    for (reason, count) in [("replayed", 2), ("foreign", 1), ("signature", 0)] {
        assert_eq!(told["rejected"][reason], count, "{reason}: {told}");
    }
}
