//! One simulation.

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use favonius_replication::{RegionLink, ReplicationRuntime, Replicator};
use favonius_storage::ReplicatedRecords;
use favonius_telemetry::Instruments;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    deployer::{Deployer, Ledger},
    invariants::{Watch, are_equal},
    network::{SimLink, serve},
    regions::{BEGIN_MS, REGIONS, Region, WORKERS, now},
};

/// Simulated time that passes in a step.
const STEP: Duration = Duration::from_millis(20);
/// For how long things go wrong.
const CHAOS: Duration = Duration::from_secs(40);
/// How long it may take, when nothing goes wrong any more, until all regions are equal: the longest waits of senders, and a
/// comparison.
const CONVERGE_WITHIN: Duration = Duration::from_mins(4);
/// How wrong the clock of a region may be, either way.
const SKEW_MS: i64 = 600_000;

/// What happened in a simulation, or in many.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Figures {
    commits: u64,
    crashes: u64,
    partitions: u64,
    trims: u64,
    /// Simulated milliseconds from the end of the trouble until all regions were equal; the longest.
    converged_ms: u128,
}

impl Figures {
    /// Whether enough went wrong, and was done, to say something.
    pub(crate) fn was_eventful(&self, simulations: u64) -> bool {
        self.commits >= 10 * simulations
            && self.crashes > 0
            && self.partitions > 0
            && (self.trims > 0 || simulations < 10)
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.commits += other.commits;
        self.crashes += other.crashes;
        self.partitions += other.partitions;
        self.trims += other.trims;
        self.converged_ms = self.converged_ms.max(other.converged_ms);
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} commits, {} crashes, {} partitions, {} outboxes cut short; equal after {} ms at most",
            self.commits, self.crashes, self.partitions, self.trims, self.converged_ms
        )
    }
}

/// The world besides the simulated machines.
struct World {
    regions: Vec<Region>,
    watches: Vec<Watch>,
    ledger: Arc<Mutex<Ledger>>,
    skews: Vec<i64>,
    /// Between which workers nothing passes.
    cut: Vec<(String, String)>,
    random: StdRng,
    figures: Figures,
}

/// Runs a simulation. `Err` says what was not as it must be.
pub(crate) fn run(seed: u64) -> Result<Figures, String> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut sim = turmoil::Builder::new()
        .rng_seed(random.random())
        .simulation_duration(CHAOS + CONVERGE_WITHIN * 2)
        .tick_duration(STEP)
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(300))
        .tcp_capacity(4096)
        .build();
    let regions: Vec<Region> = REGIONS.into_iter().map(Region::new).collect();
    let ledger: Arc<Mutex<Ledger>> = Arc::default();
    for region in &regions {
        for number in 0..WORKERS {
            let worker = format!("{}-{number}", region.name);
            let (region, ledger) = (region.clone(), Arc::clone(&ledger));
            let (lives, seed) = (Arc::new(AtomicU64::new(0)), random.random::<u64>());
            sim.host(worker.clone(), move || {
                let seed = seed.wrapping_add(lives.fetch_add(1, Relaxed));
                work(worker.clone(), region.clone(), Arc::clone(&ledger), seed)
            });
        }
    }
    let mut world = World {
        watches: regions.iter().map(Watch::new).collect(),
        skews: vec![0; regions.len()],
        cut: Vec::new(),
        regions,
        ledger,
        random,
        figures: Figures::default(),
    };
    let mut crashed: Vec<String> = Vec::new();
    while sim.elapsed() < CHAOS {
        world.step(&mut sim)?;
        world.trouble(&mut sim, &mut crashed);
    }
    world.ledger.lock().unwrap().is_over = true;
    heal(&mut sim, &crashed);
    world.converge(&mut sim)
}

/// A worker: receives, sends, and somebody deploys to it.
async fn work(
    worker: String,
    region: Region,
    ledger: Arc<Mutex<Ledger>>,
    seed: u64,
) -> turmoil::Result {
    let tasks = TaskTracker::new();
    let stores = region.open(&tasks);
    let options = region.options(&worker);
    let random = Arc::new(Mutex::new(StdRng::seed_from_u64(seed)));
    let links = REGIONS
        .iter()
        .filter(|other| **other != region.name)
        .map(|other| {
            Arc::new(SimLink {
                workers: (0..WORKERS)
                    .map(|number| format!("{other}-{number}"))
                    .collect(),
                random: Arc::clone(&random),
            }) as Arc<dyn RegionLink>
        })
        .collect();
    let runtime = ReplicationRuntime {
        tasks,
        stop: CancellationToken::new(),
        instruments: Instruments::default(),
        seed,
    };
    let replicator = Replicator::over(stores.clone(), options, links, runtime);
    let receiver = replicator.receiver().clone();
    let deployer = Deployer::new(&worker, stores.clone(), replicator, ledger, seed);
    tokio::spawn(deployer.run());
    serve(stores, receiver).await
}

impl World {
    fn step(&mut self, sim: &mut turmoil::Sim<'_>) -> Result<(), String> {
        let elapsed = i64::try_from(sim.elapsed().as_millis()).unwrap();
        for (region, skew) in self.regions.iter().zip(&self.skews) {
            let right = i64::try_from(BEGIN_MS).unwrap() + elapsed;
            region.stopwatch.set_ms(u64::try_from(right).unwrap());
            region.clock.set_ms(u64::try_from(right + skew).unwrap());
        }
        sim.step().map_err(|error| error.to_string())?;
        self.watches.iter_mut().try_for_each(Watch::look)
    }

    /// Something may go wrong.
    fn trouble(&mut self, sim: &mut turmoil::Sim<'_>, crashed: &mut Vec<String>) {
        // About one trouble a second.
        if !self.random.random_bool(0.02) {
            return;
        }
        let worker = self.worker();
        let other = self.worker();
        match self.random.random_range(0..10) {
            0..=2 => {
                if crashed.contains(&worker) {
                    crashed.retain(|known| *known != worker);
                    sim.bounce(worker);
                } else {
                    self.figures.crashes += 1;
                    self.crash(sim, &worker);
                    crashed.push(worker);
                }
            }
            3 | 4 if worker != other => {
                self.figures.partitions += 1;
                sim.partition(worker.clone(), other.clone());
                self.cut.push((worker, other));
            }
            5 if worker != other => sim.hold(worker, other),
            6 if worker != other => {
                self.cut.retain(|cut| !joins(cut, &worker, &other));
                sim.release(worker.clone(), other.clone());
                sim.repair(worker, other);
            }
            7 => {
                let region = self.random.random_range(0..self.regions.len());
                self.skews[region] = self.random.random_range(-SKEW_MS..=SKEW_MS);
            }
            8 => {
                let region = self.random.random_range(0..self.regions.len());
                if self.random.random_bool(0.2) {
                    // The outbox is cut short, as one that is too old is.
                    self.figures.trims += 1;
                    now(self.regions[region].records.trim(u64::MAX)).unwrap();
                }
            }
            _ => {}
        }
    }

    /// A machine that crashes says nothing more. That its tasks end in an order of the runtime's own, which is not the same at every
    /// run, must not show on the network.
    fn crash(&self, sim: &mut turmoil::Sim<'_>, worker: &str) {
        let others: Vec<String> = workers().filter(|other| other != worker).collect();
        for other in &others {
            sim.partition(worker.to_owned(), other.clone());
        }
        sim.crash(worker.to_owned());
        for other in &others {
            if !self.cut.iter().any(|cut| joins(cut, worker, other)) {
                sim.repair(worker.to_owned(), other.clone());
            }
        }
    }

    fn worker(&mut self) -> String {
        let region = REGIONS[self.random.random_range(0..REGIONS.len())];
        format!("{region}-{}", self.random.random_range(0..WORKERS))
    }

    fn converge(mut self, sim: &mut turmoil::Sim<'_>) -> Result<Figures, String> {
        let begun = sim.elapsed();
        loop {
            // Everybody has gone home: who was in the middle of something is done with it.
            for _ in 0..50 {
                self.step(sim)?;
            }
            let took = sim.elapsed().saturating_sub(begun);
            let equal = are_equal(&self.regions, &self.ledger.lock().unwrap());
            match equal {
                Ok(()) => {
                    self.figures.converged_ms = took.as_millis();
                    self.figures.commits = self.ledger.lock().unwrap().count;
                    break;
                }
                Err(why) if took > CONVERGE_WITHIN => {
                    return Err(format!("not equal after {CONVERGE_WITHIN:?}: {why}"));
                }
                Err(_) => {}
            }
        }
        for region in &self.regions {
            if let Some(letter) = region.buried().first() {
                return Err(format!("{} buried something: {letter}", region.name));
            }
        }
        Ok(self.figures)
    }
}

/// All workers of all regions.
fn workers() -> impl Iterator<Item = String> {
    REGIONS
        .iter()
        .flat_map(|region| (0..WORKERS).map(move |number| format!("{region}-{number}")))
}

fn joins(cut: &(String, String), one: &str, other: &str) -> bool {
    (cut.0 == one && cut.1 == other) || (cut.0 == other && cut.1 == one)
}

/// Nothing goes wrong any more.
fn heal(sim: &mut turmoil::Sim<'_>, crashed: &[String]) {
    let all: Vec<String> = workers().collect();
    for one in &all {
        for other in all.iter().filter(|other| *other != one) {
            sim.release(one.clone(), other.clone());
            sim.repair(one.clone(), other.clone());
        }
    }
    for worker in crashed {
        sim.bounce(worker.clone());
    }
}
