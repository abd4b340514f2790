//! Redis is killed, stopped in its tracks, cut off: what is known goes on being served, the rest fails soon and says so.

use std::time::{Duration, Instant};

use favonius_testing::{Client, FaultProxy, Reply, eventually};

use crate::support::{APP, Figures, Region, Site, Worker, show};

/// Three rounds of checks, every 2 s and of 2 s at most, and a little.
const NOT_READY_WITHIN: Duration = Duration::from_secs(13);
/// From the end of a fault until everything works.
const RECOVERED_WITHIN: Duration = Duration::from_secs(10);
/// A fault and its name.
type Fault<'a> = (&'a str, &'a dyn Fn());
const HOSTS: [&str; 3] = ["www.test", "beta.test", "docs.test"];
/// Hosts of the deployments after a fault.
const AFTERWARDS: [&str; 2] = ["after.test", "new.test"];

/// A site under three hosts, all of whose files were asked for.
async fn warm_site(worker: &Worker) -> Site {
    let site = Site::new(worker, APP);
    let build = site.build(1);
    let version = site.deploy(&build).await;
    let _published = site.publish(&build, &HOSTS).await.expect_status(200);
    for host in HOSTS.iter().copied().chain([version.as_str()]) {
        for path in ["/", &build.chunk_path()] {
            let _warm = site.get(host, path).await.expect_status(200);
        }
    }
    site
}

/// Asks for everything that is known so many times; none may fail.
async fn serves_what_is_known(site: &Site, times: usize) -> Figures {
    let chunk = site.build(1).chunk_path();
    let mut figures = Figures::default();
    for round in 0..times {
        let path = if round % 2 == 0 { "/" } else { &*chunk };
        let begun = Instant::now();
        let reply = site.get(HOSTS[round % HOSTS.len()], path).await;
        figures.add(begun.elapsed());
        assert_eq!(reply.status, 200, "request {round}: {}", reply.text());
    }
    figures
}

fn assert_unavailable(what: &str, reply: &Reply) {
    assert_eq!(reply.status, 503, "{what}: {}", reply.text());
    assert!(
        reply.header("retry-after").is_some(),
        "{what}: {:?}",
        reply.headers
    );
    assert_eq!(reply.header("cache-control"), Some("no-store"), "{what}");
}

/// What needs Redis says that it cannot, and soon. Returns how long the slowest took.
async fn fails_fast(site: &Site, round: u32) -> Duration {
    let next = site.build(100 + round);
    let script = next.app.file(&next.chunk).unwrap();
    let mut slowest = Duration::ZERO;
    let mut note = |what: &str, begun: Instant, reply: &Reply| {
        let took = begun.elapsed();
        assert_unavailable(what, reply);
        assert_eq!(reply.json()["error"], "storage_unavailable", "{what}");
        assert!(took < Duration::from_secs(4), "{what} took {took:?}");
        slowest = slowest.max(took);
    };
    let begun = Instant::now();
    let unknown = site.get(&format!("unknown-{round}.test"), "/").await;
    note("an unknown host", begun, &unknown);
    let begun = Instant::now();
    note(
        "a file",
        begun,
        &site
            .client
            .upload_file(&site.token, &next.chunk, script)
            .await,
    );
    let begun = Instant::now();
    note(
        "a snapshot",
        begun,
        &site
            .client
            .upload_snapshot(&site.token, &next.snapshot)
            .await,
    );
    let begun = Instant::now();
    note(
        "a publish",
        begun,
        &site.publish(&next, &["www.test"]).await,
    );
    let begun = Instant::now();
    note("a hash list", begun, &site.client.hash_list(APP).await);
    slowest
}

/// Waits until a whole deployment goes through and shows, and the worker is ready. Returns the time that took.
async fn recovers(site: &Site, number: u32) -> Duration {
    let begun = Instant::now();
    let build = site.build(number);
    eventually("a deployment goes through", RECOVERED_WITHIN, async || {
        for (path, content) in build.app.files() {
            let reply = site.client.upload_file(&site.token, path, content).await;
            if reply.status != 200 {
                return Err(reply.text());
            }
        }
        let stored = site
            .client
            .upload_snapshot(&site.token, &build.snapshot)
            .await;
        let published = site.publish(&build, &AFTERWARDS).await;
        let ready = site.client.get("/readyz").send().await;
        let statuses = [stored.status, published.status, ready.status];
        if statuses.iter().all(|status| *status == 200) {
            Ok(())
        } else {
            Err(format!("{statuses:?}"))
        }
    })
    .await;
    for host in AFTERWARDS {
        eventually("the host shows it", Duration::from_secs(2), async || {
            let shown = site.shown(host).await;
            if shown == Some(number) {
                Ok(())
            } else {
                Err(shown)
            }
        })
        .await;
    }
    assert_eq!(site.shown("www.test").await, Some(1));
    begun.elapsed()
}

async fn status_of(client: &Client, path: &str) -> u16 {
    client.get(path).send().await.status.as_u16()
}

/// Waits until the worker says that it is not ready; it says all the time that it lives. Returns the time since `from`.
async fn not_ready(client: &Client, from: Instant) -> Duration {
    eventually("readyz is 503", NOT_READY_WITHIN, async || {
        assert_eq!(status_of(client, "/healthz").await, 200);
        let reply = client.get("/readyz").send().await;
        if reply.status == 503 {
            Ok(())
        } else {
            Err(reply.text())
        }
    })
    .await;
    from.elapsed()
}

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn redis_killed_and_back() {
    let region = Region::durable();
    let worker = region.worker().await;
    let lenient = Worker::start(region.builder().env("ZE_WORKER_READYZ", "serving")).await;
    let site = warm_site(&worker).await;
    let there = Site::new(&lenient, APP);
    serves_what_is_known(&there, 6).await;

    region.redis.stop();
    let killed = Instant::now();
    let (served, noticed) = tokio::join!(
        serves_what_is_known(&site, 300),
        not_ready(&site.client, killed)
    );
    let failed = fails_fast(&site, 1).await;
    let body = site.client.get("/readyz").send().await.json();
    let checks = body["checks"].as_array().unwrap();
    let outcome = |name: &str| {
        let check = checks.iter().find(|check| check["name"] == name);
        check.unwrap_or_else(|| panic!("no {name} in {body}"))["outcome"].clone()
    };
    assert_eq!(
        (outcome("records"), outcome("assets")),
        ("failed".into(), "ok".into()),
        "{body}"
    );
    let port = region.redis.port().to_string();
    assert!(!body.to_string().contains(&port), "no address in {body}");

    // The one that is told to stay in the Service as long as it can serve does so.
    assert_eq!(status_of(&there.client, "/readyz").await, 200);
    let served_there = serves_what_is_known(&there, 300).await;
    assert_eq!(status_of(&there.client, "/readyz").await, 200);
    let page = site.client.get("/metrics").send().await.expect_status(200);
    let page = page.text();
    let value = |series: &str| -> u64 {
        let mut values = page.lines().filter_map(|line| line.strip_prefix(series));
        let value = values
            .next()
            .unwrap_or_else(|| panic!("no {series} in\n{page}"));
        value.trim().parse().unwrap()
    };
    assert_eq!(value("favonius_ready "), 0);
    // Until it is noticed that changes are not told, what is in memory counts as known.
    assert!(value("favonius_served_stale_total ") > 250, "{page}");
    let failed_reads = "favonius_storage_operation_duration_seconds_count{backend=\"redis\",\
                        operation=\"deployment\",outcome=\"unavailable\"} ";
    assert!(value(failed_reads) > 0, "{page}");

    // And after minutes of failed checks things are as at the start.
    serves_what_is_known(&site, 100).await;
    fails_fast(&site, 2).await;

    region.redis.start_again();
    let recovered = recovers(&site, 7).await;
    let recovered_there = recovers(&there, 8).await;
    show(
        "redis killed",
        format!("400 of 400 and 300 of 300 requests 200; {served} / {served_there}"),
    );
    show(
        "redis killed",
        format!("slowest refusal {failed:.1?}; not ready after {noticed:.1?}"),
    );
    show(
        "redis killed",
        format!("everything works {recovered:.1?} and {recovered_there:.1?} after the start"),
    );
}

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn redis_stopped_in_its_tracks() {
    let region = Region::start();
    let worker = region.worker().await;
    let site = warm_site(&worker).await;
    region.redis.pause();
    let paused = Instant::now();
    let first = serves_what_is_known(&site, 1).await;
    let (served, noticed) = tokio::join!(
        serves_what_is_known(&site, 200),
        not_ready(&site.client, paused)
    );
    let failed = fails_fast(&site, 1).await;
    region.redis.resume();
    let recovered = recovers(&site, 7).await;
    show(
        "redis paused",
        format!("first request {:.1?}, then {served}", first.max()),
    );
    show(
        "redis paused",
        format!(
            "slowest refusal {failed:.1?}; not ready after {noticed:.1?}; works {recovered:.1?} after"
        ),
    );
}

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn redis_behind_a_bad_network() {
    let region = Region::start();
    let proxy = FaultProxy::start(region.redis.address());
    let worker = Worker::start(region.builder().redis_at(proxy.address())).await;
    let site = warm_site(&worker).await;
    let faults: [Fault<'_>; 3] = [
        ("packets vanish", &|| proxy.stall()),
        ("refused", &|| proxy.cut()),
        ("connections hang, then are reset", &|| {
            proxy.stall();
            proxy.reset();
        }),
    ];
    for (number, (name, fault)) in (1..).zip(faults) {
        fault();
        let served = serves_what_is_known(&site, 100).await;
        let failed = fails_fast(&site, number).await;
        proxy.pass();
        let recovered = recovers(&site, 10 + number).await;
        show(
            "redis network",
            format!("{name}: {served}; slowest refusal {failed:.1?}; works {recovered:.1?} after"),
        );
    }
    // A reset alone is no outage: nobody notices.
    for round in 0..5 {
        proxy.reset();
        serves_what_is_known(&site, 20).await;
        let next = site.build(200 + round);
        let script = next.app.file(&next.chunk).unwrap();
        let reply = site
            .client
            .upload_file(&site.token, &next.chunk, script)
            .await;
        assert_eq!(reply.status, 200, "after reset {round}: {}", reply.text());
        assert_eq!(site.shown(&format!("nowhere-{round}.test")).await, None);
    }
    // Slow, but within the time that a command has.
    proxy.delay(Duration::from_millis(200));
    site.ship(30, &["www.test"]).await;
    assert_eq!(site.shown("www.test").await, Some(30));
}

/// What changed while the worker could not hear of it is not missed afterwards.
#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_change_behind_a_broken_connection_is_not_missed() {
    let region = Region::start();
    let proxy = FaultProxy::start(region.redis.address());
    let deaf = Worker::start(region.builder().redis_at(proxy.address())).await;
    let other = region.worker().await;
    let (site, publisher) = (warm_site(&deaf).await, Site::new(&other, APP));
    let faults: [Fault<'_>; 3] = [
        ("cut", &|| proxy.cut()),
        ("reset", &|| proxy.reset()),
        ("stall", &|| proxy.stall()),
    ];
    for (number, (name, fault)) in (2..).zip(faults) {
        fault();
        publisher.ship(number, &["www.test"]).await;
        proxy.pass();
        let passed = Instant::now();
        eventually("the host shows it", RECOVERED_WITHIN, async || {
            let shown = site.shown("www.test").await;
            if shown == Some(number) {
                Ok(())
            } else {
                Err(shown)
            }
        })
        .await;
        show(
            "redis deaf",
            format!(
                "{name}: shown {:.1?} after the network was back",
                passed.elapsed()
            ),
        );
        // And the ears are open again.
        publisher.ship(number + 100, &["www.test"]).await;
        eventually(
            "the host shows the next",
            Duration::from_secs(2),
            async || {
                let shown = site.shown("www.test").await;
                if shown == Some(number + 100) {
                    Ok(())
                } else {
                    Err(shown)
                }
            },
        )
        .await;
    }
}
