//! `kill -9` of those who send and of those who receive: what was acknowledged arrives everywhere.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::{Duration, Instant};

use favonius_testing::{Client, Reply, RequestBuilder, asset_hash};
use serde_json::json;
use tokio::time::sleep;

use crate::common::{APP, Build, Site, Worker, show};
use crate::support::{Mesh, Plan, rounds};

/// Rounds between two looks at everything. Each costs half a minute: so long does it take until somebody else takes over what a
/// process had in its hands when it was killed.
const LOOK_EVERY: usize = 20;
/// How long everything may take to arrive.
const ARRIVAL: Duration = Duration::from_mins(5);
/// How long a deployment tries.
const PATIENCE: Duration = Duration::from_mins(3);

/// Sends a request until it is acknowledged, as a client does that tries again. Others than those that may pass are failures.
async fn insist<'c>(request: impl Fn() -> RequestBuilder<'c>) -> Reply {
    let end = Instant::now() + PATIENCE;
    loop {
        let outcome = request().try_send().await;
        match outcome {
            Ok(reply) if reply.status == 200 => return reply,
            Ok(reply) if !reply.status.is_server_error() => panic!("{reply:?}"),
            outcome => assert!(Instant::now() < end, "{outcome:?}"),
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// What is deployed, and who may be killed meanwhile.
struct Deployer<'a> {
    mesh: &'a Mesh,
    next: AtomicU32,
}

impl Deployer<'_> {
    /// Makes a build that is not like any other, deploys it through a client, and publishes it to a name of its own. When it returns,
    /// all of that was acknowledged.
    async fn ship(&self, client: Client) {
        let number = self.next.fetch_add(1, SeqCst);
        let mut site = self.mesh["eu"].site(APP);
        site.client = client;
        let build = site.build_with(number, &[("more.txt", format!("{number}").into_bytes())]);
        upload(&site, &build).await;
        let body = json!({
            "app_version": {"application_uid": APP, "snapshot_id": build.snapshot_id},
            "urls": [host(number)], "url_ids": [],
        });
        let publish = || site.client.post("/upload?type=envs").token(&site.token);
        let _published = insist(|| publish().json(&body)).await;
    }

    /// Deployments go on through the load balancer while a process is killed, at another moment in each round.
    async fn ship_and_kill(&self, victim: &Worker, round: usize) {
        let site = self.mesh["eu"].site(APP);
        let ships = (0..6).map(|_| self.ship(site.client.clone()));
        let kill = async {
            sleep(Duration::from_millis(
                u64::try_from(round).unwrap() * 7919 % 500,
            ))
            .await;
            victim.sigkill();
        };
        tokio::join!(futures::future::join_all(ships), kill);
    }

    /// All that was published answers in all regions, and regions are equal.
    async fn look(&self, name: &str) {
        let started = Instant::now();
        let content = self.mesh.equal(ARRIVAL).await;
        let published = self.next.load(SeqCst);
        for number in 1..published {
            let key = format!("envs:{}", host(number));
            assert!(content.records.contains_key(&key), "{key} was acknowledged");
        }
        for region in &self.mesh.regions {
            let site = region.site(APP);
            for number in 1..published {
                let shown = site.shown(&host(number)).await;
                assert_eq!(shown, Some(number), "in {}", region.name);
            }
        }
        let took = started.elapsed();
        show(
            name,
            format!(
                "{} publishes are everywhere after {took:.1?}",
                published - 1
            ),
        );
    }
}

fn host(number: u32) -> String {
    format!("site-{number}.test")
}

async fn upload(site: &Site, build: &Build) {
    for (path, content) in build.app.files() {
        let hash = asset_hash(content, path);
        let target = format!("/upload?type=file&hash={hash}&filename={path}");
        let file = || site.client.post(&target).token(&site.token);
        let _stored = insist(|| file().body(content.clone())).await;
    }
    let snapshot = || site.client.post("/upload?type=snapshot&skip_assets=true");
    let _stored = insist(|| snapshot().token(&site.token).json(&build.snapshot)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn what_a_killed_worker_acknowledged_arrives() {
    let mesh = Plan::of(&["eu", "us", "ap"]).start().await;
    let deployer = Deployer {
        mesh: &mesh,
        next: AtomicU32::new(1),
    };
    let rounds = rounds(20);
    for round in 0..rounds {
        // Each of the two is killed right after it said yes, in the middle of deployments, and while it receives.
        let region = if round % 3 == 2 { "us" } else { "eu" };
        let victim = &mesh[region].workers[round / 3 % 2];
        if round % 3 == 0 {
            deployer.ship(victim.client()).await;
            victim.sigkill();
        } else {
            deployer.ship_and_kill(victim, round).await;
        }
        let _status = victim.wait_exit(PATIENCE).await;
        // Sometimes the other one is alone for a while.
        if round % 4 == 0 {
            deployer.ship(mesh[region].site(APP).client).await;
        }
        victim.start_again().await;
        if round % LOOK_EVERY == LOOK_EVERY - 1 || round + 1 == rounds {
            deployer.look("kill -9 of workers").await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn what_a_killed_relay_had_in_its_hands_arrives() {
    let mesh = Plan::of(&["eu", "us"]).workers(1).relays(2).start().await;
    let deployer = Deployer {
        mesh: &mesh,
        next: AtomicU32::new(1),
    };
    let rounds = rounds(20);
    for round in 0..rounds {
        // Both that send, and the one that receives.
        let region = if round % 3 == 2 { "us" } else { "eu" };
        let victim = &mesh[region].relays[usize::from(round % 3 == 1)];
        deployer.ship_and_kill(victim, round).await;
        let _status = victim.wait_exit(PATIENCE).await;
        victim.start_again().await;
        if round % LOOK_EVERY == LOOK_EVERY - 1 || round + 1 == rounds {
            deployer.look("kill -9 of relays").await;
        }
    }
}
