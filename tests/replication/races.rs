//! Two regions publish to the same name at the same time.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use serde_json::Value;

use crate::common::{APP, Build, Site, show};
use crate::support::{Mesh, Plan, Region, rounds};

const HOST: &str = "www.test";
/// The same path in all builds.
const SAME: &str = "same.txt";
/// After so many rounds regions have to agree.
const LOOK_EVERY: usize = 10;
/// How long they may take to.
const AGREEMENT: Duration = Duration::from_mins(5);

/// What readers saw.
#[derive(Default)]
struct Counts {
    pages: AtomicU64,
    /// Scripts of a page that were not there any more when they were asked for.
    gone: AtomicU64,
}

/// The build of a number, with files that no other has.
fn build(site: &Site, number: u32) -> Build {
    let same = format!("the same path in build {number}").into_bytes();
    site.build_with(number, &[(SAME, same)])
}

/// The build that an answer says it is of.
fn build_of(site: &Site, reply: &favonius_testing::Reply) -> Build {
    let id = reply.header("x-favonius-deployment").unwrap();
    let number = id.strip_prefix("ada-").unwrap().split('.').next();
    build(site, number.unwrap().parse().unwrap())
}

/// Reads the page and files of it, again and again: no answer is of another build than it says. Counts the pages.
async fn read(site: &Site, is_over: &AtomicBool, counts: &Counts) {
    while !is_over.load(SeqCst) {
        let page = site.get(HOST, "/").await.expect_status(200);
        let build = build_of(site, &page);
        assert_eq!(page.body, build.app.file("index.html").unwrap(), "a mix");
        // Visitors of a page get its script, unless the name has moved on many times since.
        let chunk = site.get(HOST, &build.chunk_path()).await;
        match chunk.status.as_u16() {
            200 => assert_eq!(chunk.body, build.app.file(&build.chunk).unwrap(), "a mix"),
            404 => drop(counts.gone.fetch_add(1, SeqCst)),
            status => panic!("{status}: {}", chunk.text()),
        }
        let same = site.get(HOST, &format!("/{SAME}")).await;
        let same = same.expect_status(200);
        let build = build_of(site, &same);
        assert_eq!(same.body, build.app.file(SAME).unwrap(), "a mix");
        counts.pages.fetch_add(1, SeqCst);
    }
}

/// Lets both regions publish at once, round after round, each time builds whose files the other one does not have. Tells how
/// often each won, of the rounds that were looked at.
async fn race(mesh: &Mesh, rounds: usize) -> [usize; 2] {
    let sites = ["eu", "us"].map(|name| mesh[name].site(APP));
    let mut won = [0, 0];
    for round in 1..=rounds {
        let number = u32::try_from(round * 2).unwrap();
        let builds = [number, number + 1].map(|number| build(&sites[0], number));
        let [eu, us] = &sites;
        let [first, second] = &builds;
        tokio::join!(eu.deploy(first), us.deploy(second));
        let (a, b) = tokio::join!(eu.publish(first, &[HOST]), us.publish(second, &[HOST]));
        let _both = (a.expect_status(200), b.expect_status(200));
        if round % LOOK_EVERY == 0 || round == rounds {
            let content = mesh.equal(AGREEMENT).await;
            let stands = state(&content.records["states"]);
            let newest = newest(mesh);
            assert_eq!(stands, newest, "it is not the newest that stands");
            let winner = builds.iter().position(|build| build.snapshot_id == newest);
            won[winner.unwrap_or_else(|| panic!("{newest} stands"))] += 1;
        }
    }
    won
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn regions_agree_on_the_newer_of_two_publishes_and_nobody_sees_a_mix() {
    let mesh = Plan::of(&["eu", "us"]).start().await;
    let site = mesh["eu"].site(APP);
    let first = build(&site, 1);
    site.deploy(&first).await;
    let _published = site.publish(&first, &[HOST]).await.expect_status(200);
    mesh.equal(AGREEMENT).await;

    let rounds = rounds(40);
    let (is_over, counts) = (AtomicBool::new(false), Counts::default());
    let race = async {
        let won = race(&mesh, rounds).await;
        is_over.store(true, SeqCst);
        won
    };
    let sites = [("eu", 0), ("eu", 1), ("us", 0), ("us", 1)];
    let sites = sites.map(|(region, worker)| mesh[region].site_at(worker, APP));
    let readers = sites.iter().map(|site| read(site, &is_over, &counts));
    let (won, _) = tokio::join!(race, futures::future::join_all(readers));
    let (pages, gone) = (counts.pages.into_inner(), counts.gone.into_inner());
    show(
        "two regions publish at once",
        format!(
            "{rounds} rounds, {pages} pages read, {gone} scripts were gone; of the rounds that were looked at the first region \
             won {}, the second {}",
            won[0], won[1]
        ),
    );
}

/// The snapshot that regions say stands.
fn state(states: &[String]) -> String {
    let of_host = format!("n:{HOST} = ");
    let state = states.iter().find_map(|state| state.strip_prefix(&of_host));
    let state: Value = serde_json::from_str(state.unwrap()).unwrap();
    let id = state.pointer("/published/snapshot_id");
    id.unwrap().as_str().unwrap().to_owned()
}

/// The snapshot that was published last, of all that either region has answered with.
fn newest(mesh: &Mesh) -> String {
    let histories = mesh.regions.iter().flat_map(history);
    let newest = histories.max_by_key(|entry| {
        let replica = entry["replica"].as_str().unwrap().to_owned();
        (entry["published_at"].as_u64().unwrap(), replica)
    });
    newest.unwrap()["snapshot_id"].as_str().unwrap().to_owned()
}

fn history(region: &Region) -> Vec<Value> {
    let key = format!("{{ze-k8s-worker}}:history:{HOST}");
    let lines = region.redis.cli(&["LRANGE", &key, "0", "-1"]);
    let entries = lines
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    entries.collect()
}
