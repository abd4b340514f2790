//! The metrics page: where it is, who may read it, in which form.

use std::time::Duration;

use favonius_testing::{Client, RawConnection, Reply, WorkerBuilder, WorkerProcess, eventually};
use tempfile::TempDir;

use crate::support::{APP, Site};

/// One that needs no servers, and its data.
fn embedded() -> (WorkerBuilder, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (WorkerProcess::builder().embedded(dir.path()), dir)
}

#[tokio::test]
async fn it_is_on_the_http_port_in_either_form() {
    let (builder, _dir) = embedded();
    let worker = builder.start().await;
    let client = worker.client();
    let page = client
        .get("/metrics")
        .host("any.test")
        .send()
        .await
        .expect_status(200);
    let form = page.header("content-type").unwrap();
    assert_eq!(form, "text/plain; version=0.0.4; charset=utf-8");
    let text = page.text();
    for line in [
        "favonius_up 1",
        "favonius_ready 1",
        "favonius_served_stale_total 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
    let accept = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5";
    let open = client.get("/metrics").header("accept", accept).send().await;
    let open = open.expect_status(200);
    let form = open.header("content-type").unwrap();
    assert_eq!(
        form,
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    assert!(open.text().ends_with("# EOF\n"));
    // Another method is the application's.
    let _reply = client
        .post("/metrics")
        .host("any.test")
        .send()
        .await
        .expect_status(405);
}

/// The page and everything else on a port of its own.
async fn listening(worker: &WorkerProcess) -> Client {
    let line = worker
        .wait_for_log("Worker listening", Duration::from_secs(5))
        .await;
    let port = line["metrics.port"].as_u64().unwrap();
    Client::new(([127, 0, 0, 1], u16::try_from(port).unwrap()).into())
}

/// An upload whose body does not come. It holds the end of the worker up, beyond the time in which new connections are taken.
async fn half_an_upload(worker: &WorkerProcess, token: &str) -> RawConnection {
    let mut upload = RawConnection::open(worker.address()).await.unwrap();
    let hash = "0".repeat(64);
    let head = format!(
        "POST /upload?type=file&hash={hash}&filename=a HTTP/1.1\r\nHost: www.test\r\ncan_write_jwt: {token}\r\n\
         Content-Length: 5\r\n\r\nab",
    );
    upload.send(head).await.unwrap();
    upload
}

#[tokio::test]
async fn a_port_and_a_token_of_its_own() {
    let (builder, _dir) = embedded();
    let worker = builder
        .env("ZE_WORKER_METRICS_PORT", 0)
        .env("ZE_WORKER_METRICS_TOKEN", "s3cret")
        .env("ZE_WORKER_SHUTDOWN_GRACE_MS", 10_000)
        .start()
        .await;
    let metrics = listening(&worker).await;
    let page = async |token: Option<&str>| -> Reply {
        let request = metrics.get("/metrics");
        match token {
            Some(token) => request.header("authorization", token).send().await,
            None => request.send().await,
        }
    };
    for token in [
        None,
        Some("Bearer wrong"),
        Some("Basic s3cret"),
        Some("s3cret"),
    ] {
        let refused = page(token).await.expect_status(401);
        assert_eq!(
            refused.header("www-authenticate"),
            Some("Bearer realm=\"metrics\"")
        );
        assert!(!refused.text().contains("favonius_up"));
    }
    let text = page(Some("Bearer s3cret")).await.expect_status(200).text();
    assert!(text.contains("\nfavonius_ready 1\n"), "{text}");
    for probe in ["/healthz", "/readyz", "/startupz"] {
        let _reply = metrics.get(probe).send().await.expect_status(200);
    }
    // Nothing else is there, and it is nowhere else: on the HTTP port the path is the application's.
    for (path, status) in [("/", 404), ("/__favonius/log-level", 404), ("/upload", 404)] {
        let _reply = metrics
            .get(path)
            .host("www.test")
            .send()
            .await
            .expect_status(status);
    }
    let site = Site::new(&worker, APP);
    let build = site.build_with(1, &[("metrics", b"a page of its own".to_vec())]);
    site.deploy(&build).await;
    let _published = site.publish(&build, &["www.test"]).await.expect_status(200);
    let page_of_site = site.get("www.test", "/metrics").await.expect_status(200);
    assert_eq!(page_of_site.text(), "a page of its own");

    // It is there to the end, and tells of it.
    let _upload = half_an_upload(&worker, &site.token).await;
    worker.sigterm();
    eventually(
        "metrics say that it is not ready",
        Duration::from_secs(2),
        async || {
            let text = page(Some("Bearer s3cret")).await.expect_status(200).text();
            let not_ready = text.contains("\nfavonius_ready 0\n");
            if not_ready { Ok(()) } else { Err("ready") }
        },
    )
    .await;
    let visitor = Client::without_reuse(worker.address());
    eventually(
        "nobody listens any more",
        Duration::from_secs(9),
        async || match visitor.get("/healthz").try_send().await {
            Err(error) if error.is_connect() => Ok(()),
            other => Err(other.map(|reply| reply.status)),
        },
    )
    .await;
    let text = page(Some("Bearer s3cret")).await.expect_status(200).text();
    // The upload, and this request.
    assert!(text.contains("\nhttp_server_active_requests 2\n"), "{text}");
    assert_eq!(
        worker.wait_exit(Duration::from_secs(20)).await.code(),
        Some(0)
    );
}

#[tokio::test]
async fn a_certificate_tells_when_it_expires() {
    let (builder, _dir) = embedded();
    let worker = builder.tls().start().await;
    let page = worker
        .client()
        .get("/metrics")
        .send()
        .await
        .expect_status(200);
    let text = page.text();
    let name = "favonius_tls_certificate_not_after_seconds ";
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    let not_after: u64 = value.unwrap_or_else(|| panic!("{text}")).parse().unwrap();
    assert!(not_after > favonius_testing::token::now(), "{not_after}");
}
