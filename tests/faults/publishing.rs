//! Publishing: all names of a request or none, with several workers and several publishers at it, and how soon others see it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use favonius_testing::eventually;
use serde_json::{Value, json};

use crate::support::{APP, Build, Figures, Region, Site, env_key, show};

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_publish_with_a_missing_file_changes_nothing() {
    let region = Region::start();
    let worker = region.worker().await;
    let site = Site::new(&worker, APP);
    site.ship(1, &["www.test", "beta.test"]).await;
    let before = region.redis.cli(&["GET", &env_key("www.test")]);

    // One file never came, and one was lost by the bucket.
    let next = site.build_with(
        2,
        &[
            ("lost.txt", b"lost".to_vec()),
            ("late/file.txt", b"late".to_vec()),
        ],
    );
    for (path, content) in next.app.files() {
        if path != "late/file.txt" {
            let _stored = site
                .client
                .upload_file(&site.token, path, content)
                .await
                .expect_status(200);
        }
    }
    let uploaded = site
        .client
        .upload_snapshot(&site.token, &next.snapshot)
        .await;
    let _stored = uploaded.expect_status(200);
    let lost: Vec<String> = region
        .s3
        .keys()
        .into_iter()
        .filter(|key| key.ends_with(".4"))
        .collect();
    assert_eq!(lost.len(), 1, "the one of 4 bytes: {:?}", region.s3.keys());
    region.s3.remove_object(&lost[0]);

    // Another worker of the region has not seen any of it come.
    let second = region.worker().await;
    let elsewhere = Site::new(&second, APP);
    for (name, site, missing) in [
        (
            "the worker that took the files",
            &site,
            vec!["late/file.txt"],
        ),
        (
            "another worker",
            &elsewhere,
            vec!["late/file.txt", "lost.txt"],
        ),
    ] {
        let refused = site
            .publish(&next, &["www.test", "new.test"])
            .await
            .expect_status(409)
            .json();
        assert_eq!(refused["error"], "assets_missing", "{name}: {refused}");
        let named: BTreeSet<&str> = refused["missing"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        for path in missing {
            assert!(named.contains(path), "{name}: {path} in {refused}");
        }
        assert_eq!(site.shown("www.test").await, Some(1), "{name}");
        assert_eq!(site.shown("new.test").await, None, "{name}");
    }
    assert_eq!(region.redis.cli(&["GET", &env_key("www.test")]), before);

    // The next deployment sends what was missing, because it is not listed any more. (It goes through the other worker: the
    // first one trusts for a minute that an object which it has stored itself is there.)
    elsewhere.deploy(&next).await;
    let _published = elsewhere
        .publish(&next, &["www.test", "new.test"])
        .await
        .expect_status(200);
    for host in ["www.test", "new.test"] {
        assert_eq!(site.shown(host).await, Some(2), "{host}");
    }
}

const HOSTS: [&str; 5] = ["a.test", "b.test", "c.test", "d.test", "e.test"];
const ROUNDS: usize = 40;

/// What the readers of the hosts saw.
#[derive(Default)]
struct Seen {
    done: AtomicBool,
    pages: AtomicUsize,
    overtaken: AtomicUsize,
    builds: std::sync::Mutex<BTreeSet<u32>>,
}

/// Loads pages and then what they name, as browsers do, until it is told to end.
async fn browse(site: &Site, builds: &[Build; 2], seen: &Seen) {
    for host in HOSTS.iter().cycle() {
        if seen.done.load(SeqCst) {
            return;
        }
        let page = site.get(host, "/").await;
        let text = page.text();
        assert_eq!(page.status, 200, "{host}: {text}");
        let build = builds
            .iter()
            .find(|build| build.app.file("index.html") == Some(&page.body));
        let build = build.unwrap_or_else(|| panic!("{host} shows a page of no build: {text}"));
        let chunk = site.get(host, &build.chunk_path()).await;
        if chunk.status == 404 {
            // Only a publish in between may take the script away, and then it is the other build that lacks it.
            seen.overtaken.fetch_add(1, SeqCst);
            let why = chunk.text();
            assert!(!why.contains(&build.snapshot_id), "{host}: {why}");
            continue;
        }
        let expected = build.app.file(&build.chunk);
        assert_eq!(
            (chunk.status.as_u16(), Some(&*chunk.body)),
            (200, expected),
            "{host}"
        );
        seen.pages.fetch_add(1, SeqCst);
        seen.builds.lock().unwrap().insert(build.number);
    }
}

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn two_publishers_through_two_workers_never_leave_a_mix() {
    let region = Region::start();
    let (one, two) = (region.worker().await, region.worker().await);
    let sites = [Site::new(&one, APP), Site::new(&two, APP)];
    let builds = [sites[0].build(1), sites[0].build(2)];
    for build in &builds {
        sites[0].deploy(build).await;
    }
    let _first = sites[0]
        .publish(&builds[0], &HOSTS)
        .await
        .expect_status(200);
    let seen = Seen::default();
    let publish = async {
        let mut settled = Figures::default();
        let mut winners = [0, 0];
        for round in 0..ROUNDS {
            let (first, second) = tokio::join!(
                sites[round % 2].publish(&builds[0], &HOSTS),
                sites[(round + 1) % 2].publish(&builds[1], &HOSTS),
            );
            let _published = (first.expect_status(200), second.expect_status(200));
            let ended = Instant::now();
            // The store itself holds no mix, at any time.
            let stored: BTreeSet<String> = stored_ids(&region);
            assert_eq!(stored.len(), 1, "round {round}: {stored:?}");
            for site in &sites {
                let agreed = eventually(
                    "all hosts show the same build",
                    Duration::from_secs(5),
                    async || {
                        let mut shown = Vec::new();
                        for host in HOSTS {
                            shown.push(site.shown(host).await.unwrap());
                        }
                        let id = format!("ada-{}.{APP}", shown[0]);
                        let agree =
                            shown.iter().all(|build| *build == shown[0]) && stored.contains(&id);
                        if agree { Ok(shown[0]) } else { Err(shown) }
                    },
                );
                winners[agreed.await as usize - 1] += 1;
            }
            settled.add(ended.elapsed());
        }
        seen.done.store(true, SeqCst);
        (settled, winners)
    };
    let readers = async {
        tokio::join!(
            browse(&sites[0], &builds, &seen),
            browse(&sites[1], &builds, &seen),
            browse(&sites[0], &builds, &seen),
        )
    };
    let ((settled, winners), _) = tokio::join!(publish, readers);
    let pages = seen.pages.load(SeqCst);
    assert_eq!(
        seen.builds.lock().unwrap().len(),
        2,
        "both builds were seen"
    );
    show(
        "publishing",
        format!(
            "{ROUNDS} times two publishers of {} hosts: {pages} pages with their scripts ({} overtaken by a publish), none of a mix; winners {winners:?}; \
             both workers agree after (with the asking) {settled}",
            HOSTS.len(),
            seen.overtaken.load(SeqCst),
        ),
    );
}

/// The snapshots that the records of the hosts are of.
fn stored_ids(region: &Region) -> BTreeSet<String> {
    let keys: Vec<String> = HOSTS.iter().map(|host| env_key(host)).collect();
    let mut command = vec!["MGET"];
    command.extend(keys.iter().map(String::as_str));
    let stored = region.redis.cli(&command);
    let id = |record: &str| {
        let record: Value = serde_json::from_str(record).unwrap();
        record["snapshot_id"].as_str().unwrap().to_owned()
    };
    stored.lines().map(id).collect()
}

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn another_worker_shows_a_publish_within_milliseconds() {
    const TIMES: u32 = 40;
    let region = Region::start();
    let (one, two) = (region.worker().await, region.worker().await);
    let (owner, reader) = (Site::new(&one, APP), Site::new(&two, APP));
    let builds = [owner.ship(1, &["www.test"]).await, owner.ship(2, &[]).await];
    // What the workers ask the bucket once is not what is measured.
    for build in &builds {
        let _published = owner
            .publish(build, &["warm.test"])
            .await
            .expect_status(200);
        assert_eq!(owner.named("warm.test").await, Some(build.number));
        first_shown(&reader, "warm.test", build.number, Instant::now()).await;
    }
    assert_eq!(reader.shown("www.test").await, Some(1));
    let (mut change, mut new_host) = (Figures::default(), Figures::default());
    for round in 0..TIMES {
        let build = &builds[(round as usize + 1) % 2];
        let _published = owner.publish(build, &["www.test"]).await.expect_status(200);
        let published = Instant::now();
        // The same worker at once, with no waiting at all.
        assert_eq!(owner.named("www.test").await, Some(build.number));
        change.add(first_shown(&reader, "www.test", build.number, published).await);
        assert_eq!(reader.shown("www.test").await, Some(build.number));

        // A host that was asked for just before, so that its absence is remembered.
        let host = format!("new-{round}.test");
        assert_eq!(reader.shown(&host).await, None);
        let _published = owner.publish(build, &[&host]).await.expect_status(200);
        let published = Instant::now();
        assert_eq!(owner.named(&host).await, Some(build.number));
        new_host.add(first_shown(&reader, &host, build.number, published).await);
    }
    show(
        "second worker",
        format!("after a publish's 200 to the first right answer: {change}"),
    );
    show(
        "second worker",
        format!("the same for a host that was unknown just before: {new_host}"),
    );
    assert!(change.max() < Duration::from_secs(1), "{change}");
    assert!(new_host.max() < Duration::from_secs(1), "{new_host}");
}

/// Asks until a host shows this build. Returns the time since `from`.
async fn first_shown(site: &Site, host: &str, build: u32, from: Instant) -> Duration {
    while site.named(host).await != Some(build) {
        assert!(
            from.elapsed() < Duration::from_secs(10),
            "{host} does not show build {build}"
        );
    }
    from.elapsed()
}

/// Both ways that control planes publish, by the worker that did not take the snapshot.
#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_control_plane_may_publish_through_any_worker_four_times() {
    let region = Region::start();
    let (one, two) = (region.worker().await, region.worker().await);
    let (site, other) = (Site::new(&one, APP), Site::new(&two, APP));
    let build = site.build(1);
    site.deploy(&build).await;
    let body = json!({
        "application_uid": APP,
        "snapshot_id": build.snapshot_id,
        "targets": [{"url": "https://www.test", "hostname": "www.test"}],
        "environmentVariables": {"www.test": {"ZE_PUBLIC_COLOR": "green"}},
    });
    for _ in 0..4 {
        let request = other
            .client
            .post("/publish")
            .token(&other.token)
            .json(&body);
        let _published = request.send().await.expect_status(200);
    }
    for site in [&site, &other] {
        assert_eq!(site.shown("www.test").await, Some(1));
        let manifest = site.get("www.test", "/zephyr-manifest.json").await;
        let manifest = manifest.expect_status(200).json();
        assert!(manifest.to_string().contains("green"), "{manifest}");
    }
}
