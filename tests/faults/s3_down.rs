//! S3 is gone, silent, or breaks off: an answer in time, never a hang, never half a file that looks whole.

use std::time::{Duration, Instant};

use favonius_testing::{ClientError, FaultProxy, asset_hash, eventually};

use crate::support::{APP, Build, Region, Site, Worker, distinct_bytes, show};

const HOST: &str = "www.test";
/// What the workers of these tests are given for a request to S3.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// The same and what the worker adds around it.
const ANSWERED_WITHIN: Duration = Duration::from_secs(6);
const LARGE: usize = 24 << 20;

struct Setup {
    region: Region,
    proxy: FaultProxy,
    worker: Worker,
}

impl Setup {
    async fn start() -> Self {
        let region = Region::start();
        let proxy = FaultProxy::start(region.s3.address());
        let builder = region.builder().s3_at(proxy.address());
        let builder = builder.env(
            "ZE_WORKER_S3_REQUEST_TIMEOUT_MS",
            REQUEST_TIMEOUT.as_millis(),
        );
        let worker = Worker::start(builder).await;
        Self {
            region,
            proxy,
            worker,
        }
    }

    /// A site with many small files, so that some were never asked for, and two large ones.
    async fn site(&self) -> (Site, Build) {
        let site = Site::new(&self.worker, APP);
        let mut files: Vec<_> = (0..40)
            .map(|n| (format!("small/{n}.txt"), format!("small {n}").into_bytes()))
            .collect();
        files.push(("large.bin".to_owned(), distinct_bytes(LARGE)));
        files.push(("other.bin".to_owned(), distinct_bytes(LARGE - 1)));
        let files: Vec<_> = files
            .iter()
            .map(|(path, content)| (&**path, content.clone()))
            .collect();
        let build = site.build_with(1, &files);
        site.deploy(&build).await;
        let _published = site.publish(&build, &[HOST]).await.expect_status(200);
        (site, build)
    }
}

/// Asks for files that nobody has asked for yet, `from` on: each must be refused in time.
async fn refused_in_time(site: &Site, name: &str, from: usize) -> Duration {
    let small = (from..from + 5).map(|n| format!("/small/{n}.txt"));
    let asked = small
        .chain(["/large.bin".to_owned()])
        .map(|path| async move {
            let begun = Instant::now();
            let reply = site.get(HOST, &path).await;
            let took = begun.elapsed();
            assert_eq!(reply.status, 503, "{name}: {path}: {}", reply.text());
            assert!(reply.header("retry-after").is_some(), "{name}: {path}");
            assert_eq!(
                reply.header("cache-control"),
                Some("no-store"),
                "{name}: {path}"
            );
            assert!(took < ANSWERED_WITHIN, "{name}: {path} took {took:?}");
            took
        });
    let took = futures::future::join_all(asked).await;
    took.into_iter().max().unwrap_or_default()
}

/// A fault: its name, its beginning and its end.
type Fault<'a> = (&'a str, &'a dyn Fn(), &'a dyn Fn());

/// Everything works again: what failed is there, and uploads are taken.
///
/// Only small files before this one are read, and so in memory then; of the others it is asked whether they are there.
async fn recovers(setup: &Setup, site: &Site, build: &Build, read: usize) -> Duration {
    let begun = Instant::now();
    let deadline = Duration::from_secs(10);
    eventually("all files are served", deadline, async || {
        for (path, content) in build.app.files() {
            let number = path.strip_prefix("small/").and_then(|rest| {
                let number = rest.strip_suffix(".txt")?;
                number.parse::<usize>().ok()
            });
            let is_read = number.is_some_and(|number| number < read);
            let url = format!("/{path}");
            let reply = if is_read {
                site.get(HOST, &url).await
            } else {
                site.client.head(&url).host(HOST).send().await
            };
            if reply.status != 200 {
                return Err(format!("{path}: {}", reply.text()));
            }
            assert!(!is_read || reply.body == *content, "{path} has other bytes");
        }
        Ok(())
    })
    .await;
    let content = format!("after {begun:?}");
    eventually("an upload is taken", deadline, async || {
        let reply = site
            .client
            .upload_file(&site.token, "after.txt", content.as_bytes())
            .await;
        if reply.status == 200 {
            Ok(())
        } else {
            Err(reply.text())
        }
    })
    .await;
    eventually("the worker is ready", deadline, async || {
        let reply = setup.worker.client().get("/readyz").send().await;
        if reply.status == 200 {
            Ok(())
        } else {
            Err(reply.text())
        }
    })
    .await;
    begun.elapsed()
}

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn s3_gone_or_silent() {
    let setup = Setup::start().await;
    let (site, build) = setup.site().await;
    let faults: [Fault<'_>; 4] = [
        ("stopped", &|| setup.region.s3.stop(), &|| {
            setup.region.s3.start_again();
        }),
        ("refused", &|| setup.proxy.cut(), &|| setup.proxy.pass()),
        ("packets vanish", &|| setup.proxy.stall(), &|| {
            setup.proxy.pass();
        }),
        (
            "only errors",
            &|| setup.region.s3.fail_next("*", 10_000, 503),
            &|| setup.region.s3.fail_next("*", 0, 503),
        ),
    ];
    for (number, (name, fault, end)) in faults.into_iter().enumerate() {
        fault();
        let slowest = refused_in_time(&site, name, number * 5).await;
        // What was read before is in memory.
        for n in 0..number * 5 {
            let kept = site.get(HOST, &format!("/small/{n}.txt")).await;
            assert_eq!(kept.text(), format!("small {n}"), "{name}");
        }
        // The host itself is known, and a page that nobody has is still a page that nobody has.
        let nothing = site.get(HOST, "/nothing.png").await;
        assert_eq!(nothing.status, 404, "{name}: {}", nothing.text());
        let begun = Instant::now();
        let content = format!("an upload while {name}");
        let upload = site
            .client
            .upload_file(&site.token, "new.txt", content.as_bytes())
            .await;
        let took = begun.elapsed();
        assert_eq!(upload.status, 503, "{name}: {}", upload.text());
        assert!(upload.header("retry-after").is_some(), "{name}");
        assert!(
            took < Duration::from_secs(26),
            "{name}: the upload took {took:?}"
        );
        assert_eq!(
            site.client.get("/healthz").send().await.status,
            200,
            "{name}"
        );
        end();
        let recovered = recovers(&setup, &site, &build, (number + 1) * 5).await;
        show(
            "s3 down",
            format!(
                "{name}: slowest 503 {slowest:.1?}; upload 503 after {took:.1?}; works {recovered:.1?} after"
            ),
        );
        let hash = asset_hash(content.as_bytes(), "new.txt");
        let listed = site.client.hash_list(APP).await.json();
        assert!(
            !listed.to_string().contains(&hash),
            "{name}: a refused upload is listed"
        );
    }
}

/// With the time-outs that a worker has from the start. Clients wait 30 s and do not ask again. Takes the 25 s that an upload
/// may stand still.
#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn an_upload_to_a_silent_s3_is_answered_before_clients_give_up() {
    let region = Region::start();
    let proxy = FaultProxy::start(region.s3.address());
    let worker = Worker::start(region.builder().s3_at(proxy.address())).await;
    let site = Site::new(&worker, APP);
    let _stored = site
        .client
        .upload_file(&site.token, "a.txt", b"before")
        .await
        .expect_status(200);
    proxy.stall();
    let content = vec![b'x'; 12 << 20];
    let files = [("small.txt", &b"small"[..]), ("large.bin", &content)];
    let uploads = files.map(|(path, content)| {
        let site = &site;
        async move {
            let begun = Instant::now();
            let reply = site.client.upload_file(&site.token, path, content).await;
            let took = begun.elapsed();
            assert_eq!(reply.status, 503, "{path}: {}", reply.text());
            assert!(reply.header("retry-after").is_some(), "{path}");
            assert!(took < Duration::from_secs(28), "{path} took {took:?}");
            took
        }
    });
    let took = futures::future::join_all(uploads).await;
    proxy.pass();
    show(
        "s3 down",
        format!("silent, default time-outs: uploads of 5 B and 12 MiB answered after {took:.1?}"),
    );
}

/// The store dies in the middle of a body.
#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_body_that_breaks_off_never_looks_whole() {
    let setup = Setup::start().await;
    let (site, build) = setup.site().await;
    let content = build.app.file("large.bin").unwrap();
    // The first part of each answer is in memory.
    for range in ["bytes=0-1048575", "bytes=1000000-1048575"] {
        let request = site.client.get("/large.bin").host(HOST);
        let _part = request
            .header("range", range)
            .send()
            .await
            .expect_status(206);
    }
    // Every connection breaks after a few bytes of a part: no number of attempts gets through.
    setup.proxy.break_after(1 << 14);
    setup.proxy.reset();
    let mut read = Vec::new();
    for (name, range) in [("whole", None), ("range", Some("bytes=1000000-20000000"))] {
        let mut request = site.client.get("/large.bin").host(HOST);
        if let Some(range) = range {
            request = request.header("range", range);
        }
        match request.try_send().await {
            Err(ClientError::Body { read: bytes, .. }) => {
                assert!(bytes < content.len(), "{name}: {bytes}");
                read.push(bytes);
            }
            other => panic!("{name}: {other:?} instead of a broken connection"),
        }
    }
    // The same over HTTP/2, where the stream is reset.
    let h2 = favonius_testing::Client::http2(setup.worker.address());
    let broken = h2.get("/large.bin").host(HOST).try_send().await;
    assert!(
        matches!(broken, Err(ClientError::Body { .. })),
        "{broken:?}"
    );
    let page = site.client.get("/metrics").send().await.expect_status(200);
    for (status, count) in [("200", 2), ("206", 1)] {
        let series = format!(
            "http_server_request_duration_seconds_count{{error_type=\"broken\",\
             http_request_method=\"GET\",http_response_status_code=\"{status}\",http_route=\"/*\"}} {count}\n"
        );
        assert!(page.text().contains(&series), "{series}{}", page.text());
    }
    setup.proxy.pass();
    recovers(&setup, &site, &build, 40).await;
    show(
        "s3 breaks",
        format!("always after 16 KiB: clients got {read:?} bytes and a broken connection"),
    );

    // Only some connections break: the rest of the body is fetched on others.
    let content = build.app.file("other.bin").unwrap();
    setup.proxy.break_after(1 << 19);
    setup.proxy.reset();
    let mut reply = site
        .client
        .get("/other.bin")
        .host(HOST)
        .send_streaming()
        .await
        .unwrap();
    let mut body = reply.next().await.unwrap().unwrap().to_vec();
    setup.proxy.pass();
    while let Some(piece) = reply.next().await.unwrap() {
        body.extend_from_slice(&piece);
    }
    assert!(body == content, "{} bytes of {}", body.len(), content.len());
}

/// A bucket that answers late, but in time, and one that refuses now and then.
#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn s3_that_stumbles_is_not_noticed() {
    let setup = Setup::start().await;
    let (site, build) = setup.site().await;
    setup.region.s3.set_delay(Duration::from_millis(300));
    let next = site.build(2);
    site.deploy(&next).await;
    let _published = site.publish(&next, &["late.test"]).await.expect_status(200);
    setup.region.s3.set_delay(Duration::ZERO);
    for (n, method) in ["PUT", "GET", "HEAD"].into_iter().enumerate() {
        for status in [500, 503] {
            setup.region.s3.fail_next(method, 1, status);
            let content = format!("{method} {status}");
            let reply = site
                .client
                .upload_file(&site.token, "x.txt", content.as_bytes())
                .await;
            assert_eq!(reply.status, 200, "{content}: {}", reply.text());
            let path = format!("/small/{}.txt", n * 10 + usize::from(status) % 10);
            let reply = site.get(HOST, &path).await;
            assert_eq!(reply.status, 200, "{content}: {}", reply.text());
        }
    }
    assert_eq!(build.number, 1);
    // Refused credentials are no outage: the operator must act, and the client is not told to come back.
    setup.region.s3.fail_next("*", 1000, 403);
    let denied = site
        .client
        .upload_file(&site.token, "y.txt", b"denied")
        .await;
    assert_eq!(denied.status, 500, "{}", denied.text());
    assert_eq!(denied.json()["error"], "storage_denied");
    setup.region.s3.fail_next("*", 0, 403);
}
