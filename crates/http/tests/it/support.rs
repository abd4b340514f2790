//! An edge to ask, and shorthands to ask it.

use std::{sync::Arc, time::Duration};

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use favonius_auth::{MintRequest, Minter, Scope, Verifier, VerifierOptions, request_digest};
use favonius_contract::AssetHash;
use favonius_http::{Backends, Edge, EdgeOptions};
use favonius_replication::{ReplicationOptions, ReplicationRuntime, ReplicationStores, Replicator};
use favonius_storage::{Assets, Clock, EmbeddedRecords, RecordStore, ReplicatedRecords as _};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use object_store::{ObjectStore, memory::InMemory};
use serde_json::{Value, json};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower_service::Service;

pub(crate) const SECRET: &str = "a secret of the tests that is long enough";
pub(crate) const APP: &str = "shop.web.acme";
pub(crate) const OTHER: &str = "blog.web.acme";
/// The time that the edge believes in.
pub(crate) const NOW_MS: u64 = 1_795_246_552_409;

/// The region that a replicating edge sends to.
pub(crate) const TARGET: &str = "https://eu.test";

/// An edge with back ends in memory.
pub(crate) struct TestEdge {
    pub(crate) edge: Edge,
    pub(crate) objects: Arc<dyn ObjectStore>,
    pub(crate) records: EmbeddedRecords,
    pub(crate) clock: Clock,
}

fn backends(objects: &Arc<dyn ObjectStore>, records: &EmbeddedRecords, clock: &Clock) -> Backends {
    Backends {
        assets: Assets::new(Arc::clone(objects), TaskTracker::new()),
        records: Arc::new(records.clone()) as Arc<dyn RecordStore>,
        verifier: Arc::new(Verifier::new(SECRET, None, VerifierOptions::default()).unwrap()),
        clock: clock.clone(),
        replication: None,
    }
}

/// An answer, whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {:?}", self.body))
    }

    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The machine-readable name of the error.
    pub(crate) fn error(&self) -> String {
        self.json()["error"].as_str().unwrap_or_default().to_owned()
    }
}

impl TestEdge {
    pub(crate) fn new() -> Self {
        Self::with(EdgeOptions::default())
    }

    pub(crate) fn with(options: EdgeOptions) -> Self {
        let objects: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let records = EmbeddedRecords::in_memory().unwrap();
        let clock = Clock::manual(NOW_MS);
        Self {
            edge: Edge::new(backends(&objects, &records, &clock), options),
            objects,
            records,
            clock,
        }
    }

    /// An edge that replicates: its own name is `us`, and what is for `https://eu.test` is kept.
    pub(crate) fn replicating(options: EdgeOptions) -> Self {
        let how = replication("us", TARGET);
        Self::in_region(how, options)
    }

    /// An edge of a region.
    pub(crate) fn in_region(how: ReplicationOptions, options: EdgeOptions) -> Self {
        Self::in_region_over(how, options, |_| ())
    }

    /// The same, with back ends that are changed in some way.
    pub(crate) fn in_region_over(
        how: ReplicationOptions,
        options: EdgeOptions,
        change: impl FnOnce(&mut Backends),
    ) -> Self {
        let objects: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let clock = Clock::manual(NOW_MS);
        let records = EmbeddedRecords::in_memory().unwrap().announcing();
        let records = records.with_clock(clock.clone());
        let mut backends = backends(&objects, &records, &clock);
        let stores = ReplicationStores {
            assets: backends.assets.clone(),
            records: Arc::new(records.clone()),
            clock: clock.clone(),
        };
        let runtime = ReplicationRuntime {
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            instruments: options.reporter.instruments.clone(),
            seed: 7,
        };
        let minter = Some(Arc::new(Minter::new(SECRET).unwrap()));
        let replicator = Replicator::start(stores, how, minter, runtime);
        backends.replication = Some(replicator.unwrap());
        change(&mut backends);
        Self {
            edge: Edge::new(backends, options),
            objects,
            records,
            clock,
        }
    }

    /// How many events wait for the region that a replicating edge sends to.
    pub(crate) async fn waiting(&self) -> u64 {
        let state = self.records.queue_state(&TARGET.parse().unwrap()).await;
        state.unwrap().waiting
    }

    /// Another worker with the same back ends.
    pub(crate) fn another(&self, options: EdgeOptions) -> Self {
        let edge = Edge::new(backends(&self.objects, &self.records, &self.clock), options);
        Self {
            edge,
            objects: Arc::clone(&self.objects),
            records: self.records.clone(),
            clock: self.clock.clone(),
        }
    }

    /// Publishes to a host that may belong to another application.
    pub(crate) async fn take_over(&self, app: &str, id: &str, host: &str) {
        let body =
            json!({"app_version": {"application_uid": app, "snapshot_id": id}, "urls": [host]});
        let operator = mint(Scope::Operator);
        let answer = self
            .post("/upload?type=envs", &operator, body.to_string())
            .await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    }

    pub(crate) async fn send<B>(&self, request: Request<B>) -> Answer
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let response = self.edge.clone().call(request).await.unwrap();
        whole(response).await
    }

    pub(crate) async fn get(&self, host: &str, path: &str) -> Answer {
        self.ask("GET", host, path, &[]).await
    }

    /// A request without a body.
    pub(crate) async fn ask(
        &self,
        method: &str,
        host: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", host);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Full::<Bytes>::default()).unwrap())
            .await
    }

    pub(crate) async fn post(&self, uri: &str, token: &str, body: impl Into<Bytes>) -> Answer {
        let body = body.into();
        let request = Request::post(uri)
            .header("host", "edge.test")
            .header("can_write_jwt", token)
            .header("content-length", body.len());
        self.send(request.body(Full::new(body)).unwrap()).await
    }

    pub(crate) async fn upload_file(&self, path: &str, content: &[u8]) -> Answer {
        let hash = AssetHash::of(content, path);
        self.post(
            &file_uri(&hash.to_string(), path),
            &token(APP),
            content.to_vec(),
        )
        .await
    }

    pub(crate) async fn upload_snapshot(&self, snapshot: &Value) -> Answer {
        let app = snapshot["application_uid"].as_str().unwrap();
        self.post(
            "/upload?type=snapshot&skip_assets=true",
            &token(app),
            snapshot.to_string(),
        )
        .await
    }

    pub(crate) async fn publish(&self, app: &str, id: &str, urls: &[&str]) -> Answer {
        let body =
            json!({"app_version": {"application_uid": app, "snapshot_id": id}, "urls": urls});
        self.post("/upload?type=envs", &token(app), body.to_string())
            .await
    }

    /// Uploads files and their snapshot, and publishes it to these hosts. Gives the version's host.
    pub(crate) async fn deploy(
        &self,
        user: &str,
        files: &[(&str, &[u8])],
        hosts: &[&str],
        change: impl FnOnce(&mut Value),
    ) -> String {
        for (path, content) in files {
            let answer = self.upload_file(path, content).await;
            assert_eq!(answer.status, StatusCode::OK, "{path}: {answer:?}");
        }
        let mut snapshot = snapshot(APP, user, files);
        change(&mut snapshot);
        let answer = self.upload_snapshot(&snapshot).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let url = answer.json()["urls"]["version"]
            .as_str()
            .unwrap()
            .to_owned();
        if !hosts.is_empty() {
            let id = snapshot["snapshot_id"].as_str().unwrap();
            let answer = self.publish(APP, id, hosts).await;
            assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        }
        url.trim_start_matches("https://").to_owned()
    }
}

/// How the region of a replica replicates with another one; it sends nothing by itself.
pub(crate) fn replication(replica: &str, target: &str) -> ReplicationOptions {
    ReplicationOptions {
        replica: replica.into(),
        targets: vec![target.parse().unwrap()],
        delivers: false,
        reads_through: false,
        repair_every: Duration::from_mins(10),
    }
}

/// What another region sends a request with: a token for just that one.
pub(crate) fn region_token(
    replica: &str,
    token_id: &str,
    uri: &str,
    body: Option<&[u8]>,
) -> String {
    let hash = body.map(|body| hex::encode(digest(&SHA256, body)));
    let digest = request_digest("POST", uri, hash.as_deref());
    let scope = Scope::Replica {
        name: replica.into(),
    };
    let request = MintRequest::new(scope, Duration::from_mins(1)).for_request(token_id, digest);
    Minter::new(SECRET)
        .unwrap()
        .mint(&request, NOW_MS / 1000)
        .unwrap()
}

#[expect(clippy::disallowed_methods, reason = "the body is limited")]
pub(crate) async fn whole(response: Response<favonius_http::EdgeBody>) -> Answer {
    let (parts, body) = response.into_parts();
    let read = Limited::new(body, 256 << 20).collect();
    let body = tokio::time::timeout(Duration::from_mins(1), read)
        .await
        .unwrap();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: body
            .unwrap_or_else(|e| panic!("the body broke: {e}"))
            .to_bytes(),
    }
}

/// A token that may write for one application.
pub(crate) fn token(app: &str) -> String {
    mint(Scope::Application(app.parse().unwrap()))
}

pub(crate) fn mint(scope: Scope) -> String {
    mint_for(scope, Duration::from_hours(1))
}

pub(crate) fn mint_for(scope: Scope, lifetime: Duration) -> String {
    let request = MintRequest::new(scope, lifetime).for_user("ada");
    Minter::new(SECRET)
        .unwrap()
        .mint(&request, NOW_MS / 1000)
        .unwrap()
}

pub(crate) fn file_uri(hash: &str, path: &str) -> String {
    let query: String = form_urlencoded::Serializer::new(String::new())
        .append_pair("type", "file")
        .append_pair("hash", hash)
        .append_pair("filename", path)
        .finish();
    format!("/upload?{query}")
}

pub(crate) fn snapshot(app: &str, user: &str, files: &[(&str, &[u8])]) -> Value {
    let assets: serde_json::Map<String, Value> = files
        .iter()
        .map(|(path, content)| {
            let hash = AssetHash::of(content, path);
            let entry = json!({"path": path, "extname": "", "hash": hash, "size": content.len()});
            ((*path).to_owned(), entry)
        })
        .collect();
    json!({
        "application_uid": app,
        "snapshot_id": format!("{user}.{app}"),
        "domain": "https://edge.test",
        "createdAt": NOW_MS,
        "assets": assets,
        "extra": {"kept": [1.50, "é"]},
    })
}
