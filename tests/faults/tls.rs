//! TLS in the worker itself: both protocols, and a certificate that is exchanged while it runs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use favonius_testing::{Client, Identity, TestCa, WorkerProcess, eventually};
use http::{Request, Response, Version};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

use crate::support::{APP, Site, Worker, show};

const BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// Shakes hands, offering these protocols.
async fn connect(
    worker: &Worker,
    ca: &TestCa,
    versions: &[&'static SupportedProtocolVersion],
    protocols: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate(ca.certificate_pem())).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols
        .iter()
        .map(|name| name.as_bytes().to_vec())
        .collect();
    let stream = TcpStream::connect(worker.address()).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}

fn certificate(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

/// The certificate that a new connection is shown.
async fn shown(worker: &Worker, ca: &TestCa) -> Option<CertificateDer<'static>> {
    let stream = connect(worker, ca, BOTH, &["http/1.1"]).await.ok()?;
    let (_, session) = stream.get_ref();
    Some(session.peer_certificates()?.first()?.clone().into_owned())
}

/// Puts certificate and key in place as Kubernetes and cert-manager do: whole files, exchanged by a rename.
fn exchange(worker: &Worker, identity: &Identity) {
    for (name, content) in [
        ("server.key", &identity.key_pem),
        ("server.pem", &identity.certificate_pem),
    ] {
        let next = worker.dir().join(format!("{name}.next"));
        std::fs::write(&next, content).unwrap();
        std::fs::rename(next, worker.dir().join(name)).unwrap();
    }
}

async fn start() -> (tempfile::TempDir, Worker) {
    let dir = tempfile::tempdir().unwrap();
    let worker = Worker::start(WorkerProcess::builder().embedded(dir.path()).tls()).await;
    (dir, worker)
}

#[expect(clippy::disallowed_methods, reason = "the body is limited")]
async fn body_of(response: Response<Incoming>) -> Bytes {
    let body = Limited::new(response.into_body(), 1 << 20);
    body.collect().await.unwrap().to_bytes()
}

#[tokio::test]
async fn both_protocols_over_tls() {
    let (_dir, worker) = start().await;
    let site = Site::new(&worker, APP);
    let build = site.ship(1, &["www.test"]).await;
    let page = site.get("www.test", "/").await;
    assert_eq!(
        (page.status.as_u16(), page.version),
        (200, Version::HTTP_11)
    );

    let ca = worker.ca().unwrap();
    let cases: [(&str, &[&str], Option<&str>); 4] = [
        ("a browser", &["h2", "http/1.1"], Some("h2")),
        ("an old client", &["http/1.1"], Some("http/1.1")),
        ("HTTP/2 only", &["h2"], Some("h2")),
        ("says nothing", &[], None),
    ];
    for (name, offered, expected) in cases {
        for versions in [&[&TLS13][..], &[&TLS12]] {
            let stream = connect(&worker, ca, versions, offered).await;
            let stream = stream.unwrap_or_else(|error| panic!("case `{name}`: {error}"));
            let chosen = stream.get_ref().1.alpn_protocol();
            assert_eq!(chosen, expected.map(str::as_bytes), "case `{name}`");
        }
    }
    assert!(
        connect(&worker, ca, BOTH, &["spdy/3"]).await.is_err(),
        "no protocol in common"
    );
    assert!(
        connect(&worker, &TestCa::new(), BOTH, &["h2"])
            .await
            .is_err(),
        "another authority"
    );

    // A request by HTTP/2, with the host in the request's target.
    let stream = connect(&worker, ca, BOTH, &["h2"]).await.unwrap();
    let handshake =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(connection);
    let target = format!("https://www.test/{}", build.chunk);
    let request = Request::get(target).body(Empty::<Bytes>::new()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), response.version()),
        (200, Version::HTTP_2)
    );
    let body = body_of(response).await;
    assert_eq!(Some(&*body), build.app.file(&build.chunk));

    // Plain HTTP on the TLS port is turned away, and so is one who says nothing.
    let plain =
        favonius_testing::raw_http(worker.address(), "GET / HTTP/1.1\r\nHost: www.test\r\n\r\n")
            .await;
    assert!(plain.is_ok_and(|answer| !answer.starts_with(b"HTTP/1.1 2")));
    assert_eq!(site.shown("www.test").await, Some(1));
}

#[tokio::test]
async fn certificates_are_read_again_when_they_change() {
    // The files are looked at every 10 s.
    const NOTICED_WITHIN: Duration = Duration::from_secs(25);
    let (_dir, worker) = start().await;
    let site = Site::new(&worker, APP);
    site.ship(1, &["www.test"]).await;
    let ca = worker.ca().unwrap();
    let first = shown(&worker, ca).await.unwrap();
    let old = Client::tls(worker.address(), ca);
    let _page = old
        .get("/")
        .host("www.test")
        .send()
        .await
        .expect_status(200);

    // A certificate without its key is not taken; the one before stays.
    std::fs::write(
        worker.dir().join("server.pem"),
        ca.issue(&["localhost"]).certificate_pem,
    )
    .unwrap();
    let complaint = "The changed certificate cannot be used; the one before stays";
    let complaint = worker.wait_for_log(complaint, NOTICED_WITHIN).await;
    assert!(
        complaint["error"].as_str().unwrap().contains("server."),
        "{complaint}"
    );
    assert_eq!(shown(&worker, ca).await, Some(first.clone()));

    let next = ca.issue(&["localhost", "127.0.0.1"]);
    exchange(&worker, &next);
    let exchanged = Instant::now();
    eventually(
        "the next certificate is shown",
        NOTICED_WITHIN,
        async || {
            let seen = shown(&worker, ca).await;
            if seen == Some(certificate(&next.certificate_pem)) {
                Ok(())
            } else {
                Err(seen.is_some())
            }
        },
    )
    .await;
    show(
        "tls",
        format!(
            "a new certificate is shown {:.1?} after it was put there",
            exchanged.elapsed()
        ),
    );
    // Connections of the time before live on.
    let opened = old.connections_opened();
    let _page = old
        .get("/")
        .host("www.test")
        .send()
        .await
        .expect_status(200);
    assert_eq!(old.connections_opened(), opened);
    assert_eq!(site.shown("www.test").await, Some(1));
}
