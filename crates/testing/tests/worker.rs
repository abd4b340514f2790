//! A process is started, watched, stopped and started again. In the worker's place stands `src/bin/stand-in.rs`, so that nothing
//! here depends on what the worker can do.

use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use favonius_testing::{RedisServer, S3Server, WorkerBuilder, WorkerProcess, workspace_binary};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(20);

fn stand_in() -> WorkerBuilder {
    WorkerProcess::builder().binary(env!("CARGO_BIN_EXE_stand-in"))
}

#[tokio::test]
async fn it_is_ready_when_it_says_so_and_ends_as_it_is_told_to() {
    let worker = stand_in().start().await;
    let reply = worker.client().get("/").send().await;
    assert_eq!(
        reply.text(),
        "request 4",
        "three requests for readiness came before"
    );
    assert_eq!(
        worker.base_url(),
        format!("http://localhost:{}", worker.address().port())
    );

    let record = worker.wait_for_log("Worker listening", SOON).await;
    assert_eq!(record["server.port"], worker.address().port());
    assert!(worker.log_records().iter().all(Value::is_object));

    worker.sigterm();
    assert_eq!(worker.wait_exit(SOON).await.signal(), Some(15));
    worker.start_again().await;
    worker.sigkill();
    assert_eq!(
        worker.exit_status().and_then(|status| status.signal()),
        Some(9)
    );
    worker.start_again().await;
    assert!(worker.client().get("/exit").try_send().await.is_err());
    assert_eq!(worker.wait_exit(SOON).await.code(), Some(7));
}

#[tokio::test]
async fn its_settings_are_all_that_it_gets() {
    let worker = stand_in()
        .env("ZE_WORKER_SHUTDOWN_GRACE_MS", 500)
        .env("ZE_WORKER_ACCESS_LOG", true)
        .without("ZE_WORKER_JWT_SECRET")
        .embedded("/some/where".as_ref())
        .start()
        .await;
    let told = worker.client().get("/env").send().await.text();
    let mut lines: Vec<&str> = told
        .lines()
        .filter(|line| !line.starts_with("PATH="))
        .collect();
    lines.sort_unstable();
    let port = format!("ZE_WORKER_PORT={}", worker.address().port());
    let expected = [
        "ZE_WORKER_ACCESS_LOG=true",
        "ZE_WORKER_DATA_DIR=/some/where",
        "ZE_WORKER_HOST=127.0.0.1",
        &port,
        "ZE_WORKER_SHUTDOWN_GRACE_MS=500",
        "ZE_WORKER_STORAGE=embedded",
    ];
    assert_eq!(lines, expected);
}

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn servers_become_settings() {
    let redis = RedisServer::builder().tls().password("secret").start();
    let s3 = S3Server::builder().tls().start();
    let proxy = favonius_testing::FaultProxy::start(redis.address());
    let worker = stand_in()
        .redis(&redis)
        .s3(&s3)
        .redis_at(proxy.address())
        .start()
        .await;
    let told = worker.client().get("/env").send().await.text();
    let redis_ca = redis.ca_file().unwrap();
    let expected = [
        "ZE_WORKER_REDIS_HOST=127.0.0.1".to_owned(),
        format!("ZE_WORKER_REDIS_PORT={}", proxy.port()),
        "ZE_WORKER_REDIS_PASSWORD=secret".to_owned(),
        "ZE_WORKER_REDIS_TLS=true".to_owned(),
        format!("ZE_WORKER_REDIS_CA_FILE={}", redis_ca.display()),
        format!("ZE_WORKER_S3_ENDPOINT=https://{}", s3.address()),
        "ZE_WORKER_S3_BUCKET=assets".to_owned(),
        "ZE_WORKER_S3_ACCESS_KEY_ID=test-access-key".to_owned(),
        "ZE_WORKER_S3_SECRET_ACCESS_KEY=test-secret-key".to_owned(),
        format!("ZE_WORKER_S3_CA_FILE={}", s3.ca_file().unwrap().display()),
    ];
    for line in expected {
        assert!(told.lines().any(|told| told == line), "{line} in:\n{told}");
    }
}

#[tokio::test]
async fn a_refusal_to_start_is_shown() {
    let finished = stand_in()
        .env("ZE_WORKER_LOG_LEVEL", "wrong")
        .run_to_exit(SOON)
        .await;
    assert_eq!(finished.status.code(), Some(2));
    assert_eq!(finished.stderr(), "ZE_WORKER_LOG_LEVEL: no such level\n");
    assert_eq!(finished.stdout(), "starting\n");
}

#[tokio::test]
#[should_panic(expected = "ZE_WORKER_LOG_LEVEL: no such level")]
async fn a_worker_that_ends_instead_of_starting_fails_with_its_log() {
    stand_in().env("ZE_WORKER_LOG_LEVEL", "wrong").start().await;
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn memory_and_files_are_measured() {
    let worker = stand_in().start().await;
    let before = worker.peak_rss_bytes();
    assert!(worker.rss_bytes() > 100_000 && before >= worker.rss_bytes());
    let grown = worker.client().get("/grow").send().await.text();
    assert_eq!(grown, (64 << 20).to_string());
    assert!(worker.peak_rss_bytes() > before + (60 << 20));
    worker.reset_peak_rss();
    assert!(worker.peak_rss_bytes() < before + (60 << 20));

    // Standard streams and the listener, and hardly more.
    assert!(
        (4..12).contains(&worker.open_files()),
        "{}",
        worker.open_files()
    );
}

#[tokio::test]
async fn nothing_is_left_of_a_dropped_worker() {
    let worker = stand_in().start().await;
    let (dir, address) = (worker.dir().to_owned(), worker.address());
    let process = std::path::Path::new("/proc").join(worker.pid().to_string());
    drop(worker);
    assert!(!dir.exists() && !process.exists());
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_program_of_the_workspace_is_built() {
    let path = workspace_binary("favonius-testing", "stand-in");
    // The same program that cargo has built for this test, by the same profile.
    assert_eq!(path, std::path::Path::new(env!("CARGO_BIN_EXE_stand-in")));
    assert_eq!(path, workspace_binary("favonius-testing", "stand-in"));
}
