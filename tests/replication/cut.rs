//! A region is cut off while people go on in the others: nobody is slowed, and when it is back it catches up by itself.
//!
//! That is for 5 s and 100 publishes; with `FAVONIUS_TEST_FULL=1` for a minute and 1,000.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use favonius_testing::eventually;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::common::{APP, Figures, OTHER, Site, show};
use crate::support::{Mesh, Plan, Region};
use crate::watch::{ARRIVAL, shows};

/// How long catching up may take.
const CATCH_UP: Duration = Duration::from_mins(1);
/// How many hosts the publishes are spread over.
const HOSTS: u32 = 20;
/// How much a process may grow while it cannot send.
const GROWTH: u64 = 128 << 20;

/// How the region is cut off.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// Nobody listens.
    Refused,
    /// Nothing is answered.
    Hanging,
    /// Connections break before anything is answered.
    Reset,
    /// It is reached, and its own Redis does not answer.
    RedisStopped,
}

impl Fault {
    fn begin(self, mesh: &Mesh) {
        match self {
            Self::Refused => mesh.cut_off("ap"),
            Self::Hanging => {
                for other in ["eu", "us"] {
                    mesh.link(other, "ap").stall();
                    mesh.link("ap", other).stall();
                }
            }
            Self::Reset => {
                for other in ["eu", "us"] {
                    let link = mesh.link(other, "ap");
                    link.break_after(1);
                    link.reset();
                }
            }
            Self::RedisStopped => mesh["ap"].redis.pause(),
        }
    }

    fn end(self, mesh: &Mesh) {
        match self {
            Self::RedisStopped => mesh["ap"].redis.resume(),
            Self::Refused | Self::Hanging | Self::Reset => mesh.join("ap"),
        }
    }
}

/// How much is done while the region is cut off, and for how long that is at least.
#[derive(Debug, Clone, Copy)]
struct Size {
    publishes: u32,
    lasts: Duration,
}

impl Size {
    fn asked() -> Self {
        let is_full = std::env::var_os("FAVONIUS_TEST_FULL").is_some_and(|value| value == "1");
        let (publishes, seconds) = if is_full { (1000, 60) } else { (100, 5) };
        Self {
            publishes,
            lasts: Duration::from_secs(seconds),
        }
    }
}

/// What people saw.
#[derive(Debug, Default)]
struct Seen {
    /// From the first file of a build to the answer to its publish.
    ships: Figures,
    /// A page.
    pages: Figures,
}

/// People in the two regions that are not cut off.
struct People {
    sites: [Site; 2],
    number: AtomicU32,
}

impl People {
    /// There is a page for them to begin with.
    async fn of(mesh: &Mesh) -> Self {
        let people = Self {
            sites: [mesh["eu"].site(APP), mesh["us"].site(OTHER)],
            number: AtomicU32::new(2),
        };
        for (number, site) in (0..).zip(&people.sites) {
            site.ship(number, &[&host(site, 0)]).await;
        }
        people
    }

    /// Ships so many builds in all, evenly spread over a time, and looks at pages meanwhile.
    async fn live(&self, size: Size) -> Seen {
        let done = AtomicBool::new(false);
        let each = size.publishes / 2;
        let pace = size.lasts / each;
        let all = async {
            let [eu, us] = &self.sites;
            let ships = tokio::join!(self.ship(eu, each, pace), self.ship(us, each, pace));
            done.store(true, Ordering::SeqCst);
            ships
        };
        let ((mut ships, more), pages) = tokio::join!(all, self.look(&done));
        ships.extend(more);
        Seen {
            ships: ships.into_iter().collect(),
            pages,
        }
    }

    async fn ship(&self, site: &Site, count: u32, pace: Duration) -> Vec<Duration> {
        let mut ticks = interval(pace);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut took = Vec::new();
        for _ in 0..count {
            ticks.tick().await;
            let number = self.number.fetch_add(1, Ordering::SeqCst);
            let host = host(site, number % HOSTS);
            let start = Instant::now();
            site.ship(number, &[&host]).await;
            took.push(start.elapsed());
        }
        took
    }

    async fn look(&self, done: &AtomicBool) -> Figures {
        let mut figures = Figures::default();
        while !done.load(Ordering::SeqCst) {
            for site in &self.sites {
                let start = Instant::now();
                let page = site.get(&host(site, 0), "/").await;
                let _page = page.expect_status(200);
                figures.add(start.elapsed());
            }
            sleep(Duration::from_millis(20)).await;
        }
        figures
    }

    /// Publishes one more build of each application to a host of its own, which comes after all others.
    async fn ship_last(&self) -> [u32; 2] {
        let [eu, us] = &self.sites;
        let next = || self.number.fetch_add(1, Ordering::SeqCst);
        let numbers = [next(), next()];
        eu.ship(numbers[0], &[&host(eu, HOSTS)]).await;
        us.ship(numbers[1], &[&host(us, HOSTS)]).await;
        numbers
    }
}

fn host(site: &Site, number: u32) -> String {
    let (app, _) = site.application.split_once('.').unwrap();
    format!("{app}{number}.test")
}

fn memory(regions: [&Region; 2]) -> Vec<u64> {
    let workers = regions.into_iter().flat_map(|region| &region.workers);
    workers.map(|worker| worker.rss_bytes()).collect()
}

/// Waits until the region has everything. Tells how long that took.
async fn catches_up(mesh: &Mesh, last: [u32; 2]) -> Duration {
    let ap = &mesh["ap"];
    let sites = [ap.site(APP), ap.site(OTHER)];
    let start = Instant::now();
    eventually("the region catches up", CATCH_UP, async || {
        for (site, last) in sites.iter().zip(last) {
            let host = host(site, HOSTS);
            let reply = site.client.head("/").host(&host).try_send().await;
            let reply = reply.map_err(|error| error.to_string())?;
            let id = reply.header("x-favonius-deployment").unwrap_or_default();
            if !id.starts_with(&format!("ada-{last}.")) {
                return Err(format!("{host}: {} {id}", reply.status));
            }
        }
        for other in ["eu", "us"] {
            let waiting = mesh[other].waiting().await;
            if waiting > 0 {
                return Err(format!("{waiting} wait in {other}"));
            }
        }
        Ok(())
    })
    .await;
    start.elapsed()
}

async fn cut_off(fault: Fault) {
    let mesh = Plan::of(&["eu", "us", "ap"]).start().await;
    let (eu, us) = (&mesh["eu"], &mesh["us"]);
    let people = People::of(&mesh).await;
    let size = Size::asked();
    let before = Size {
        publishes: size.publishes / 4,
        lasts: size.lasts / 4,
    };
    let usual = people.live(before).await;
    mesh.equal(ARRIVAL).await;
    let memory_before = memory([eu, us]);

    fault.begin(&mesh);
    let begun = Instant::now();
    let cut = people.live(size).await;
    let last = people.ship_last().await;
    // One region that is gone keeps nothing from another.
    let [at_eu, at_us] = [eu.site(OTHER), us.site(APP)];
    shows(&at_us, &host(&at_us, HOSTS), Some(last[0])).await;
    shows(&at_eu, &host(&at_eu, HOSTS), Some(last[1])).await;
    let waited = eu.waiting().await + us.waiting().await;
    let memory_after = memory([eu, us]);
    fault.end(&mesh);
    let lasted = begun.elapsed();
    let took = catches_up(&mesh, last).await;
    mesh.equal(ARRIVAL).await;

    let tell = |what: String| show("cut", format!("{fault:?}: {what}"));
    let ratio = |a: &Figures, b: &Figures| {
        a.quantile(50).as_secs_f64() / b.quantile(50).as_secs_f64().max(f64::MIN_POSITIVE)
    };
    tell(format!(
        "{} publishes in {lasted:.1?}, {waited} events waited, all there {took:.1?} after the end",
        size.publishes
    ));
    for (name, with, without) in [
        ("builds", &cut.ships, &usual.ships),
        ("pages", &cut.pages, &usual.pages),
    ] {
        let times = ratio(with, without);
        tell(format!(
            "{name}: {with}; before {without}: {times:.2} times"
        ));
    }
    let mib = |all: &[u64]| all.iter().map(|bytes| bytes >> 20).collect::<Vec<_>>();
    tell(format!(
        "memory in MiB: {:?} before, {:?} at the end",
        mib(&memory_before),
        mib(&memory_after)
    ));
    for (before, after) in memory_before.iter().zip(&memory_after) {
        assert!(*after < before + GROWTH, "{before} and then {after} bytes");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_region_that_refuses_connections() {
    cut_off(Fault::Refused).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_region_that_hangs() {
    cut_off(Fault::Hanging).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_region_whose_connections_break() {
    cut_off(Fault::Reset).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn a_region_whose_redis_does_not_answer() {
    cut_off(Fault::RedisStopped).await;
}
