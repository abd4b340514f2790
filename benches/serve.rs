//! A request through the whole service, in this process and without a socket: what an edge does most.
//!
//! Back ends are in memory, so this is our own work and none of a store's. A microsecond more here is a microsecond of a
//! core for every request.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use favonius_auth::{MintRequest, Minter, Scope, Verifier, VerifierOptions};
use favonius_benches::{APPLICATION, NOW_MS, snapshot};
use favonius_contract::AssetHash;
use favonius_http::{Backends, Edge, EdgeOptions};
use favonius_storage::{Assets, Clock, EmbeddedRecords};
use favonius_telemetry::{
    Batch, Endpoint, Sampler, Telemetry, TelemetryGuard, TelemetrySettings, stdout::Output,
};
use futures::FutureExt as _;
use http::{Request, request};
use http_body::Body as _;
use http_body_util::{BodyExt, Full, Limited};
use object_store::memory::InMemory;
use tokio::runtime::Runtime;
use tokio_util::task::TaskTracker;
use tower_service::Service;
use tracing::subscriber::with_default;
use tracing_subscriber::{Registry, layer::SubscriberExt as _};

const SECRET: &str = "a secret of the benches that is long enough";
const HOST: &str = "www.test";
const SCRIPT: &str = "assets/index-BfR3x9aZ.js";
const PICTURE: &str = "assets/logo-BfR3x9aZ.png";
/// One that has coded forms.
const LARGE: &str = "assets/vendor-BfR3x9aZ.js";
/// What browsers take.
const CODINGS: &str = "gzip, deflate, br, zstd";
/// No answer is larger.
const LARGEST: usize = 64 * 1024;

/// Sends a request and reads its answer to the end. Gives the status and how many bytes came.
async fn send(edge: &Edge, request: request::Builder, body: Vec<u8>) -> (u16, usize) {
    let request = request
        .body(Full::new(Bytes::from(body)))
        .expect("a well-formed request");
    let Ok(response) = edge.clone().call(request).await;
    let status = response.status().as_u16();
    // The limit is what makes `collect` bounded.
    #[expect(clippy::disallowed_methods, reason = "within `Limited`")]
    let body = Limited::new(response.into_body(), LARGEST).collect().await;
    (status, body.expect("a whole answer").to_bytes().len())
}

/// An edge on which one application is deployed.
async fn deployed(options: EdgeOptions) -> Edge {
    let backends = Backends {
        assets: Assets::new(Arc::new(InMemory::new()), TaskTracker::new()),
        records: Arc::new(EmbeddedRecords::in_memory().expect("a database in memory")),
        verifier: Arc::new(
            Verifier::new(SECRET, None, VerifierOptions::default()).expect("a usable secret"),
        ),
        clock: Clock::manual(NOW_MS),
        replication: None,
    };
    let edge = Edge::new(backends, options);
    let application = APPLICATION.parse().expect("a well-formed uid");
    let token = Minter::new(SECRET)
        .expect("a usable secret")
        .mint(
            &MintRequest::new(Scope::Application(application), Duration::from_hours(1)),
            NOW_MS / 1000,
        )
        .expect("a token that can be minted");
    let post = async |uri: &str, body: Vec<u8>| {
        let request = Request::post(uri)
            .header("host", "edge.test")
            .header("can_write_jwt", &token)
            .header("content-length", body.len());
        assert_eq!(send(&edge, request, body).await.0, 200, "POST {uri}");
    };
    let (script, picture) = (vec![b'x'; 1024], vec![b'x'; 16 * 1024]);
    let large = "export const greet = (name) => `Hello, ${name}!`;\n".repeat(400);
    let files: [(&str, &[u8]); 5] = [
        ("index.html", b"<!doctype html>"),
        ("docs/guide/index.html", b"<!doctype html>"),
        (SCRIPT, &script),
        (PICTURE, &picture),
        (LARGE, large.as_bytes()),
    ];
    for (path, content) in files {
        let hash = AssetHash::of(content, path);
        let path = path.replace('/', "%2F");
        post(
            &format!("/upload?type=file&hash={hash}&filename={path}"),
            content.to_vec(),
        )
        .await;
    }
    post(
        "/upload?type=snapshot&skip_assets=true",
        snapshot("1", files),
    )
    .await;
    let publish = format!(
        r#"{{"application_uid":"{APPLICATION}","snapshot_id":"ada-1.{APPLICATION}","targets":["{HOST}"]}}"#
    );
    post("/publish", publish.into_bytes()).await;
    edge
}

/// The validator that a client has after its first visit.
async fn etag(edge: &Edge) -> String {
    let request = Request::get(format!("/{SCRIPT}")).header("host", HOST);
    let request = request
        .body(Full::<Bytes>::default())
        .expect("a well-formed request");
    let Ok(response) = edge.clone().call(request).await;
    let etag = response.headers().get("etag").expect("assets have one");
    etag.to_str().expect("it is ASCII").to_owned()
}

/// Waits until the large script comes in a coded form. Gives its length.
async fn coded_length(edge: &Edge) -> usize {
    loop {
        let request = Request::get(format!("/{LARGE}")).header("host", HOST);
        let request = request
            .header("accept-encoding", CODINGS)
            .body(Full::<Bytes>::default())
            .expect("a well-formed request");
        let Ok(response) = edge.clone().call(request).await;
        if let Some(coding) = response.headers().get("content-encoding")
            && coding == "br"
        {
            let length = response.body().size_hint().exact();
            return length
                .and_then(|length| length.try_into().ok())
                .expect("it is known");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Makes one more request of a kind.
type Make<'a> = Box<dyn Fn() -> request::Builder + 'a>;

fn serve(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let (edge, etag, coded) = runtime.block_on(async {
        let edge = deployed(EdgeOptions::default()).await;
        let etag = etag(&edge).await;
        let coded = coded_length(&edge).await;
        (edge, etag, coded)
    });
    let tags = format!("\"a\", W/\"b\", \"c,d\", {etag}");
    let ask = |method: &str, host: &str, path: &str| {
        Request::builder()
            .method(method)
            .uri(format!("/{path}"))
            .header("host", host)
    };
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";
    let cases: [(&str, (u16, usize), Make<'_>); 12] = [
        (
            "GET 1 KiB",
            (200, 1024),
            Box::new(|| ask("GET", HOST, SCRIPT)),
        ),
        (
            "GET 16 KiB",
            (200, 16 * 1024),
            Box::new(|| ask("GET", HOST, PICTURE)),
        ),
        (
            "GET coded",
            (200, coded),
            Box::new(|| ask("GET", HOST, LARGE).header("accept-encoding", CODINGS)),
        ),
        (
            "GET range",
            (206, 100),
            Box::new(|| ask("GET", HOST, PICTURE).header("range", "bytes=100-199")),
        ),
        (
            "GET directory",
            (200, 15),
            Box::new(|| ask("GET", HOST, "docs/guide/")),
        ),
        (
            "GET shell",
            (200, 15),
            Box::new(move || ask("GET", HOST, "users/5/edit").header("accept", browser)),
        ),
        (
            "GET host with port",
            (200, 1024),
            Box::new(|| ask("GET", "WWW.test:8080", SCRIPT)),
        ),
        ("HEAD", (200, 0), Box::new(|| ask("HEAD", HOST, SCRIPT))),
        (
            "304",
            (304, 0),
            Box::new(|| ask("GET", HOST, SCRIPT).header("if-none-match", &etag)),
        ),
        (
            "304 in a list",
            (304, 0),
            Box::new(|| ask("GET", HOST, SCRIPT).header("if-none-match", &tags)),
        ),
        (
            "404",
            (404, 0),
            Box::new(|| ask("HEAD", HOST, "missing.js")),
        ),
        (
            "unknown host",
            (404, 0),
            Box::new(|| ask("HEAD", "nobody.test", "")),
        ),
    ];
    let mut group = c.benchmark_group("serve");
    group.throughput(Throughput::Elements(1));
    for (name, expected, make) in cases {
        assert_eq!(
            runtime.block_on(send(&edge, make(), Vec::new())),
            expected,
            "{name}"
        );
        group.bench_function(name, |b| {
            b.to_async(&runtime)
                .iter(|| send(&edge, make(), Vec::new()));
        });
    }
    group.finish();
    runtime.block_on(edge.stop());
}

/// What telemetry adds to the request that does the least else.
fn telemetry(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    // Nobody listens there: what is not taken is dropped.
    let collector = Endpoint::new("http://127.0.0.1:1/").expect("a URL");
    let measured = || TelemetrySettings::new("bench").prometheus();
    let traced = |sampler| measured().traces(collector.clone(), sampler, Batch::default());
    let cases = [
        ("off", None, false),
        ("measured", Some(measured()), false),
        ("unsampled", Some(traced(Sampler::ParentOrAlwaysOff)), false),
        (
            "sampled 1 %",
            Some(traced(Sampler::ParentOrRatio(0.01))),
            false,
        ),
        ("sampled", Some(traced(Sampler::ParentOrAlwaysOn)), false),
        ("access log", Some(measured()), true),
    ];
    let mut group = c.benchmark_group("telemetry");
    group.throughput(Throughput::Elements(1));
    for (name, settings, access_log) in cases {
        let telemetry = settings.map(|settings| {
            Telemetry::layer(&settings, Output::to(std::io::sink())).expect("telemetry")
        });
        let (layer, guard) = telemetry.unzip();
        let options = EdgeOptions {
            access_log,
            reporter: guard
                .as_ref()
                .map(TelemetryGuard::reporter)
                .unwrap_or_default(),
            ..EdgeOptions::default()
        };
        let bench = || {
            let (edge, etag) = runtime.block_on(async {
                let edge = deployed(options).await;
                let etag = etag(&edge).await;
                (edge, etag)
            });
            let request = || {
                let request = Request::get(format!("/{SCRIPT}")).header("host", HOST);
                request.header("if-none-match", &etag)
            };
            group.bench_function(name, |b| {
                // On this thread, which has the subscriber.
                b.iter(|| {
                    let answered = send(&edge, request(), Vec::new()).now_or_never();
                    assert_eq!(answered, Some((304, 0)));
                });
            });
            runtime.block_on(edge.stop());
        };
        match layer {
            Some(layer) => with_default(Registry::default().with(layer), bench),
            None => bench(),
        }
        drop(guard);
    }
    group.finish();
}

criterion_group!(benches, serve, telemetry);
criterion_main!(benches);
