//! A worker that starts before its back ends.

use std::time::{Duration, Instant};

use favonius_testing::{RedisServer, S3Server, eventually};

use crate::support::{APP, Region, Site, Worker, show};

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_worker_starts_without_its_back_ends_and_finds_them_later() {
    let region = Region::start();
    region.redis.stop();
    region.s3.stop();
    let begun = Instant::now();
    let worker = Worker::start(region.builder().wait_for("/startupz")).await;
    let started = begun.elapsed();
    let client = worker.client();
    assert_eq!(client.get("/healthz").send().await.status, 200);
    let ready = client.get("/readyz").send().await;
    assert_eq!(ready.status, 503, "{}", ready.text());
    let unknown = client.get("/").host("www.test").send().await;
    assert_eq!(unknown.status, 503, "{}", unknown.text());
    assert!(unknown.header("retry-after").is_some());
    let site = Site::new(&worker, APP);
    let upload = site.client.upload_file(&site.token, "a.txt", b"a").await;
    assert_eq!(upload.status, 503, "{}", upload.text());

    // One of the two is not enough.
    region.redis.start_again();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let ready = client.get("/readyz").send().await;
    assert_eq!(ready.status, 503, "{}", ready.text());
    region.s3.start_again();
    let back = Instant::now();
    eventually("the worker is ready", Duration::from_secs(10), async || {
        let ready = client.get("/readyz").send().await;
        if ready.status == 200 {
            Ok(())
        } else {
            Err(ready.text())
        }
    })
    .await;
    let ready = back.elapsed();
    site.ship(1, &["www.test"]).await;
    assert_eq!(site.shown("www.test").await, Some(1));
    show(
        "startup",
        format!(
            "startupz {started:.1?} after the start without back ends; ready {ready:.1?} after they came"
        ),
    );
}

/// Redis lost everything (it had no disk): old deployments go on from memory or are gone, and new ones work.
#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn an_empty_redis_takes_deployments_again() {
    let region = Region {
        redis: RedisServer::start(),
        s3: S3Server::start(),
    };
    let worker = region.worker().await;
    let site = Site::new(&worker, APP);
    let build = site.ship(1, &["www.test"]).await;
    assert_eq!(site.shown("www.test").await, Some(1));
    region.redis.stop();
    region.redis.start_again();
    // The hash list is empty, so the client sends all files again; the bucket has them.
    eventually(
        "a deployment goes through",
        Duration::from_secs(10),
        async || {
            let list = site.client.hash_list(APP).await;
            if list.status == 200 {
                Ok(())
            } else {
                Err(list.text())
            }
        },
    )
    .await;
    let puts = region.s3.count("PUT");
    site.deploy(&build).await;
    // To write a small file again is as good as to look for it.
    assert_eq!(region.s3.count("PUT"), puts + build.app.files().len());
    let _published = site.publish(&build, &["www.test"]).await.expect_status(200);
    assert_eq!(site.shown("www.test").await, Some(1));
}
