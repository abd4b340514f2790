//! The other ways in which Redis and S3 come: TLS, passwords, other databases and prefixes, Cluster, Sentinel, other servers.

use std::time::{Duration, Instant};

use favonius_testing::{
    Client, MotoServer, RedisCluster, RedisSentinel, RedisServer, S3Server, SampleApp, Settings,
    WorkerBuilder, WorkerProcess, eventually, token,
};

use crate::support::{APP, OTHER, REDIS_PASSWORD, Region, Site, Worker, distinct_bytes, show};

/// A whole deployment of an application with names of all kinds, its publish, and every file of it read back; then a rollback.
async fn deploys_and_serves(worker: &Worker) {
    let app = SampleApp::generate(40);
    let (site, token) = (Site::new(worker, OTHER), token::write_token(OTHER));
    let id = format!("ada-1.{OTHER}");
    let snapshot = app.snapshot(OTHER, &id, &worker.base_url());
    site.client.deploy(&token, &app, &snapshot).await;
    let published = site.client.publish(&token, OTHER, &id, &["all.test"]).await;
    let _published = published.expect_status(200);
    for (path, content) in app.files() {
        let target = format!(
            "/{}",
            path.split('/').map(encode).collect::<Vec<_>>().join("/")
        );
        let reply = site.get("all.test", &target).await;
        assert_eq!(
            (reply.status.as_u16(), &*reply.body),
            (200, &**content),
            "{path}"
        );
    }
    let site = Site::new(worker, APP);
    let first = site.ship(1, &["www.test"]).await;
    site.ship(2, &["www.test"]).await;
    assert_eq!(site.shown("www.test").await, Some(2));
    let _published = site.publish(&first, &["www.test"]).await.expect_status(200);
    assert_eq!(site.shown("www.test").await, Some(1));
}

/// Percent-encodes a path segment.
fn encode(segment: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    };
    segment.bytes().map(encode).collect()
}

fn builder(redis: &impl Settings, s3: &impl Settings) -> WorkerBuilder {
    WorkerProcess::builder().redis(redis).s3(s3)
}

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn redis_and_s3_over_tls_with_a_password_another_database_and_prefixes() {
    let redis = RedisServer::builder()
        .tls()
        .password(REDIS_PASSWORD)
        .append_only()
        .start();
    let s3 = S3Server::builder().tls().start();
    let builder = builder(&redis, &s3)
        .env("ZE_WORKER_REDIS_DB", 5)
        .env("ZE_WORKER_REDIS_PREFIX_ENVS", "{eu-fleet}:hosts:")
        .env("ZE_WORKER_REDIS_PREFIX_SNAPSHOTS", "{eu-fleet}:builds:");
    let worker = Worker::start(builder).await;
    deploys_and_serves(&worker).await;

    assert_eq!(redis.cli(&["-n", "0", "DBSIZE"]), "0");
    let keys = redis.cli(&["-n", "5", "KEYS", "*"]);
    assert!(
        keys.lines().all(|key| key.starts_with("{eu-fleet}:")),
        "{keys}"
    );
    assert!(
        keys.lines().any(|key| key == "{eu-fleet}:hosts:www.test"),
        "{keys}"
    );
    assert!(
        keys.lines()
            .any(|key| key == format!("{{eu-fleet}}:builds:ada-1.{APP}")),
        "{keys}"
    );
    // The emergency works here too.
    let build = format!("{{eu-fleet}}:builds:ada-2.{APP}");
    redis.cli(&[
        "-n",
        "5",
        "COPY",
        &build,
        "{eu-fleet}:hosts:www.test",
        "REPLACE",
    ]);
    let site = Site::new(&worker, APP);
    assert_eq!(site.shown("www.test").await, Some(2));
    // And so do restarts.
    redis.stop();
    assert_eq!(site.shown("www.test").await, Some(2));
    redis.start_again();
    eventually(
        "a publish goes through",
        Duration::from_secs(10),
        async || {
            let reply = site.publish(&site.build(1), &["www.test"]).await;
            if reply.status == 200 {
                Ok(())
            } else {
                Err(reply.text())
            }
        },
    )
    .await;
    assert_eq!(site.shown("www.test").await, Some(1));
}

/// Everything is right but the password, or the authority: the worker is up, not ready, and says why without saying what.
#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn wrong_credentials_are_told_from_an_outage() {
    let redis = RedisServer::builder()
        .tls()
        .password(REDIS_PASSWORD)
        .start();
    let (s3, stranger) = (S3Server::start(), RedisServer::start_tls());
    let right = || builder(&redis, &s3).wait_for("/startupz");
    let wrong_ca = stranger.ca_file().unwrap().display().to_string();
    let cases = [
        (
            "a wrong password",
            right().env("ZE_WORKER_REDIS_PASSWORD", format!("{REDIS_PASSWORD}!")),
            "records",
        ),
        (
            "no password",
            right().without("ZE_WORKER_REDIS_PASSWORD"),
            "records",
        ),
        (
            "another authority",
            right().env("ZE_WORKER_REDIS_CA_FILE", wrong_ca),
            "records",
        ),
        (
            "a wrong S3 key",
            right().env("ZE_WORKER_S3_SECRET_ACCESS_KEY", "test-secret-key-2"),
            "assets",
        ),
        (
            "no such bucket",
            right().env("ZE_WORKER_S3_BUCKET", "nowhere"),
            "assets",
        ),
    ];
    for (name, builder, check) in cases {
        let worker = Worker::start(builder).await;
        let ready = worker
            .client()
            .get("/readyz")
            .send()
            .await
            .expect_status(503)
            .json();
        let checks = ready["checks"].as_array().unwrap();
        for entry in checks {
            let expected = if entry["name"] == check {
                "failed"
            } else {
                "ok"
            };
            assert_eq!(entry["outcome"], expected, "case `{name}`: {ready}");
        }
        let failed = checks.iter().find(|entry| entry["name"] == check).unwrap();
        show("credentials", format!("{name}: {failed}"));
        assert!(failed["error"].is_string(), "case `{name}`: {ready}");
        let site = Site::new(&worker, APP);
        let reply = site
            .client
            .upload_file(&site.token, "a.txt", name.as_bytes())
            .await;
        // This S3 server makes a bucket of what is put into it.
        let refused = reply.status.is_server_error() || name == "no such bucket";
        assert!(refused, "case `{name}`: {}", reply.text());
    }
}

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_redis_cluster() {
    let (cluster, s3) = (RedisCluster::start(), S3Server::start());
    let worker = Worker::start(builder(&cluster, &s3)).await;
    deploys_and_serves(&worker).await;
    // All keys are on one node, as their tag says.
    let sizes: Vec<String> = cluster
        .nodes()
        .iter()
        .map(|node| node.cli(&["DBSIZE"]))
        .collect();
    assert_eq!(
        sizes.iter().filter(|size| *size != "0").count(),
        1,
        "{sizes:?}"
    );
}

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_master_that_a_sentinel_replaces() {
    let (redis, s3) = (RedisSentinel::start(), S3Server::start());
    let worker = Worker::start(builder(&redis, &s3)).await;
    deploys_and_serves(&worker).await;
    let site = Site::new(&worker, APP);
    // Let the replica have all of it: what Redis has acknowledged and not passed on is lost with the master.
    assert_eq!(redis.master().cli(&["WAIT", "1", "5000"]), "1");
    redis.fail_over();
    let replaced = Instant::now();
    assert_eq!(site.shown("www.test").await, Some(1), "served all the time");
    let next = site.build(3);
    eventually(
        "a deployment goes through",
        Duration::from_secs(15),
        async || {
            for (path, content) in next.app.files() {
                let reply = site.client.upload_file(&site.token, path, content).await;
                if reply.status != 200 {
                    return Err(reply.text());
                }
            }
            let stored = site
                .client
                .upload_snapshot(&site.token, &next.snapshot)
                .await;
            let published = site.publish(&next, &["www.test"]).await;
            if published.status == 200 {
                Ok(())
            } else {
                Err(format!("{}{}", stored.text(), published.text()))
            }
        },
    )
    .await;
    show(
        "sentinel",
        format!(
            "deployments go through {:.1?} after the new master was named",
            replaced.elapsed()
        ),
    );
    assert_eq!(site.shown("www.test").await, Some(3));
    let master = redis.master();
    let record = master.cli(&["GET", &crate::support::env_key("www.test")]);
    assert!(record.contains(&next.snapshot_id), "{record}");
    // Changes are heard from the new master.
    let (source, target) = (
        crate::support::snapshot_key(&format!("ada-1.{APP}")),
        crate::support::env_key("www.test"),
    );
    eventually(
        "a record copied by hand shows",
        Duration::from_secs(5),
        async || {
            master.cli(&["COPY", &source, &target, "REPLACE"]);
            let shown = site.shown("www.test").await;
            if shown == Some(1) { Ok(()) } else { Err(shown) }
        },
    )
    .await;
}

#[tokio::test]
#[cfg_attr(
    any(not(has_redis), not(has_moto)),
    ignore = "redis-server or moto_server is not installed: run scripts/setup-tests"
)]
async fn another_s3_server() {
    let (redis, s3) = (RedisServer::start(), MotoServer::start());
    let worker = Worker::start(builder(&redis, &s3)).await;
    deploys_and_serves(&worker).await;
    // Larger than one part.
    let site = Site::new(&worker, APP);
    let large = distinct_bytes(20 << 20);
    let build = site.build_with(9, &[("large.bin", large.clone())]);
    site.deploy(&build).await;
    let _published = site.publish(&build, &["www.test"]).await.expect_status(200);
    let reply = site.get("www.test", "/large.bin").await;
    assert!(
        reply.status == 200 && reply.body == large,
        "{} with {} bytes",
        reply.status,
        reply.body.len()
    );
}

/// All kinds of clients on one port, and what an embedded worker does without any server.
#[tokio::test]
async fn no_servers_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let worker = Worker::start(WorkerProcess::builder().embedded(dir.path())).await;
    deploys_and_serves(&worker).await;
    let http2 = Client::http2(worker.address())
        .get("/")
        .host("www.test")
        .send()
        .await;
    assert_eq!(
        (http2.status.as_u16(), http2.version),
        (200, http::Version::HTTP_2)
    );
    worker.sigterm();
    assert_eq!(
        worker.wait_exit(Duration::from_secs(20)).await.code(),
        Some(0)
    );
    worker.start_again().await;
    assert_eq!(Site::new(&worker, APP).shown("www.test").await, Some(1));
}

/// Two fleets with prefixes of their own share one Redis and do not see each other.
#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn two_fleets_in_one_redis() {
    let region = Region::start();
    let fleet = |name: &str| {
        let prefix = |kind| format!("{{{name}}}:{kind}:");
        let builder = region
            .builder()
            .env("ZE_WORKER_REDIS_PREFIX_ENVS", prefix("envs"));
        builder.env("ZE_WORKER_REDIS_PREFIX_SNAPSHOTS", prefix("snapshots"))
    };
    let (blue, green) = (
        Worker::start(fleet("blue")).await,
        Worker::start(fleet("green")).await,
    );
    let (blue, green) = (Site::new(&blue, APP), Site::new(&green, APP));
    blue.ship(1, &["www.test"]).await;
    assert_eq!(green.shown("www.test").await, None);
    green.ship(2, &["www.test"]).await;
    assert_eq!(
        (blue.shown("www.test").await, green.shown("www.test").await),
        (Some(1), Some(2))
    );
}
