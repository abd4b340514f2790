//! The relays of a region share the work without knowing of each other: when one ends, the other does all of it.

use std::time::{Duration, Instant};

use favonius_testing::eventually;

use crate::common::{APP, Site, Worker, show};
use crate::support::{Mesh, Plan};
use crate::watch::{ARRIVAL, shows};

const BUILDS: u32 = 40;
const FILES: u8 = 10;
/// Files that a relay has on their way to a region at most.
const IN_FLIGHT: u64 = 8;
const OUTBOX: &str = "{ze-k8s-worker}:outbox";

/// Two regions with two relays each, where much of `eu` begins to arrive in `us`, and slowly.
async fn much_under_way() -> Mesh {
    let plan = Plan::of(&["eu", "us"]).workers(1).relays(2);
    let mesh = plan.start().await;
    let (eu, us) = (&mesh["eu"], &mesh["us"]);
    let link = mesh.link("eu", "us");
    link.cut();
    let site = eu.site(APP);
    for number in 1..=BUILDS {
        let file = |file: u8| {
            let content = format!("{number} {file} ").repeat(500);
            (format!("file{file}.txt"), content.into_bytes())
        };
        let files: Vec<(String, Vec<u8>)> = (0..FILES).map(file).collect();
        let files = files
            .iter()
            .map(|(path, content)| (&**path, content.clone()));
        let build = site.build_with(number, &files.collect::<Vec<_>>());
        site.deploy(&build).await;
        let published = site.publish(&build, &["www.test"]).await;
        let _published = published.expect_status(200);
    }
    us.s3.set_delay(Duration::from_millis(100));
    link.pass();
    let part = u64::from(BUILDS) * u64::from(FILES) / 5;
    eventually("a part arrives", ARRIVAL, async || {
        match received(&mesh, "applied").await {
            arrived if arrived >= part => Ok(()),
            arrived => Err(arrived),
        }
    })
    .await;
    mesh
}

async fn received(mesh: &Mesh, outcome: &str) -> u64 {
    let labels = [("kind", "asset"), ("outcome", outcome)];
    mesh["us"]
        .metric("favonius_replication_received_total", &labels)
        .await
}

/// Where Redis keeps whose turn it is to send the application to `us`.
fn turn(mesh: &Mesh) -> String {
    format!(
        "{{ze-k8s-worker}}:lease:send:{}:{APP}",
        mesh.url("eu", "us")
    )
}

/// The relay that is sending now, and what its name begins with.
async fn sending(mesh: &Mesh) -> (&Worker, String) {
    let eu = &mesh["eu"];
    let key = turn(mesh);
    let found = eventually("one relay sends", ARRIVAL, async || {
        let holder = eu.redis.cli(&["GET", &key]);
        // The worker has the first name of the region.
        let places = 0..eu.relays.len();
        let mut named = places.map(|place| (place, format!("eu-{}-", place + 2)));
        let found = named.find(|(_, name)| holder.starts_with(name));
        found.ok_or(holder)
    });
    let (place, name) = found.await;
    (&eu.relays[place], name)
}

/// All has arrived, and each file once.
async fn all_arrived(mesh: &Mesh, since: Instant, how: &str) {
    mesh["us"].s3.set_delay(Duration::ZERO);
    let site: Site = mesh["us"].site(APP);
    shows(&site, "www.test", Some(BUILDS)).await;
    let content = mesh.equal(ARRIVAL).await;
    let files = content.objects.len() as u64;
    let again = received(mesh, "known").await;
    show(
        "sharing",
        format!(
            "{how}: {files} files had arrived {:.1?} later, {again} came twice",
            since.elapsed()
        ),
    );
    // What was on its way when the relay ended may have been stored, and nobody told; or told, and the relay not.
    let applied = received(mesh, "applied").await;
    let counted = files - IN_FLIGHT..=files;
    assert!(counted.contains(&applied), "{applied} of {files}");
    assert!(again <= IN_FLIGHT, "{again} came twice");
    let written = mesh["us"].s3.count("PUT") as u64;
    let expected = files..=files + IN_FLIGHT;
    assert!(expected.contains(&written), "{written} for {files}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn what_a_killed_relay_had_is_sent_by_the_other() {
    let mesh = much_under_way().await;
    let (relay, name) = sending(&mesh).await;
    relay.sigkill();
    let killed = Instant::now();
    let left = pending(&mesh, &name);
    assert!(!left.is_empty(), "it had nothing in its hands");
    all_arrived(&mesh, killed, "after SIGKILL").await;
    assert_eq!(pending(&mesh, &name).len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_relay_that_ends_gives_back_what_it_had() {
    let mesh = much_under_way().await;
    let (relay, name) = sending(&mesh).await;
    relay.sigterm();
    relay.wait_exit(Duration::from_mins(1)).await;
    let ended = Instant::now();
    // Whoever comes next may have them: they count as left alone for long.
    for idle_ms in pending(&mesh, &name) {
        assert!(idle_ms >= 30_000, "{idle_ms}");
    }
    let key = turn(&mesh);
    let holder = mesh["eu"].redis.cli(&["GET", &key]);
    assert!(!holder.starts_with(&name), "{holder}");
    all_arrived(&mesh, ended, "after SIGTERM").await;
}

/// For how long the process whose name begins so has had each of the events in its hands, as Redis counts, in milliseconds.
fn pending(mesh: &Mesh, name: &str) -> Vec<u64> {
    let eu = &mesh["eu"];
    let target = mesh.url("eu", "us");
    let told = eu
        .redis
        .cli(&["XPENDING", OUTBOX, &target, "-", "+", "1000"]);
    // Of each: its id, who has it, for how long, how often it was taken.
    let lines: Vec<&str> = told.lines().collect();
    let (events, _) = lines.as_chunks::<4>();
    let of_it = events
        .iter()
        .filter(|[_, holder, ..]| holder.starts_with(name));
    of_it.map(|[_, _, idle, _]| idle.parse().unwrap()).collect()
}
