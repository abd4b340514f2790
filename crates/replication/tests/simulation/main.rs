//! Three regions of two workers each in simulated time, on a network that loses, delays, doubles and reorders, on machines
//! that crash at any await and whose clocks are wrong by up to ten minutes.
//!
//! A seed decides everything: `FAVONIUS_SIMULATION_SEEDS=17 cargo test -p favonius-replication --test simulation` runs the
//! one that failed again, and `FAVONIUS_SIMULATION_SEEDS=0..10000` many. With `FAVONIUS_SIMULATION_LOG=1 RUST_LOG=debug` it
//! tells what happens.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "test code: what goes wrong here is a failed test, and a simulated crash ends what it has spawned"
)]

mod deployer;
mod invariants;
mod network;
mod regions;
mod run;

use std::{
    any::Any,
    ops::Range,
    panic::catch_unwind,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// Seeds of a usual run.
const SEEDS: Range<u64> = 0..200;

#[test]
fn regions_end_equal_and_never_show_half_of_anything() {
    if std::env::var_os("FAVONIUS_SIMULATION_LOG").is_some() {
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .without_time()
            .init();
    }
    let seeds = seeds();
    let next = AtomicU64::new(seeds.start);
    let figures = Mutex::new(run::Figures::default());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let ended = catch_unwind(|| run::run(seed));
                    let ended = ended.unwrap_or_else(|panic| Err(said(&*panic)));
                    let figure = ended.unwrap_or_else(|why| panic!("seed {seed}: {why}"));
                    figures.lock().unwrap().add(&figure);
                }
            });
        }
    });
    let (count, figures) = (seeds.end - seeds.start, figures.into_inner().unwrap());
    println!("simulation: {count} seeds, {figures}");
    assert!(count > 0, "no seed was run");
    assert!(figures.was_eventful(count), "{figures}");
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("panicked").to_owned()
}

#[test]
fn a_seed_always_runs_the_same() {
    for seed in [3, 4, 5, 6] {
        let first = run::run(seed).unwrap();
        assert_eq!(first, run::run(seed).unwrap(), "seed {seed}");
    }
}

fn seeds() -> Range<u64> {
    let Ok(text) = std::env::var("FAVONIUS_SIMULATION_SEEDS") else {
        return SEEDS;
    };
    let number = |text: &str| text.trim().parse::<u64>().unwrap();
    match text.split_once("..") {
        Some((from, to)) => number(from)..number(to),
        None => number(&text)..number(&text) + 1,
    }
}
