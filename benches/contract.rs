//! Reading what comes from outside: a whole snapshot once per deployment, a hostname and a path with every request, each
//! byte of an upload once.
//!
//! A snapshot is parsed when it is uploaded, and when a worker first serves it: twice slower here is a slower first
//! request after each publish. A hostname is parsed with every request, and then one path after the other is looked up
//! that might be meant. Hashing is most of what an upload costs.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use favonius_benches::snapshot;
use favonius_contract::{AssetHasher, Hostname, SnapshotDocument};

const ASSETS: usize = 10_000;

fn paths(directory: &str) -> Vec<String> {
    let path = |n| format!("{directory}/chunk-{n:08x}.js");
    (0..ASSETS).map(path).collect()
}

fn json_of(paths: &[String]) -> Vec<u8> {
    let files = paths.iter().map(|path| (path.as_str(), path.as_bytes()));
    snapshot("1", files)
}

fn parse_snapshot(c: &mut Criterion) {
    let json = json_of(&paths("assets"));
    let mut group = c.benchmark_group("contract");
    group.throughput(Throughput::Bytes(json.len() as u64));
    group.bench_function("snapshot of 10,000 assets", |b| {
        b.iter_batched(
            || json.clone(),
            |json| SnapshotDocument::parse(json).expect("a well-formed snapshot"),
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

/// In no order that a cache could guess, as requests come.
fn find_asset(c: &mut Criterion) {
    // Has no factor in common with the number of assets, so all of them have their turn.
    const STRIDE: usize = 7919;
    let present = paths("assets");
    let document = SnapshotDocument::parse(json_of(&present)).expect("a well-formed snapshot");
    let snapshot = document.into_snapshot();
    let mut group = c.benchmark_group("asset by path");
    for (name, paths) in [("hit", present), ("miss", paths("absent"))] {
        let mut turn = (0..paths.len()).cycle().step_by(STRIDE);
        group.bench_function(name, |b| {
            b.iter(|| {
                let path = turn.next().and_then(|n| paths.get(n));
                snapshot.asset(black_box(path.expect("a cycle within bounds")))
            });
        });
    }
    group.finish();
}

fn parse_hostname(c: &mut Criterion) {
    let hosts = [
        (
            "as browsers send it",
            "ada-42-shop-web-acme-edge.example.com",
        ),
        (
            "with a port and capitals",
            "Ada-42-Shop-Web-Acme-Edge.Example.com:8443",
        ),
    ];
    let mut group = c.benchmark_group("hostname");
    for (name, host) in hosts {
        group.bench_function(name, |b| {
            b.iter(|| Hostname::from_authority(black_box(host)));
        });
    }
    group.finish();
}

/// Pieces of 16 KiB, as they come from a socket.
fn hash_asset(c: &mut Criterion) {
    let content = vec![0x5a; 1024 * 1024];
    let mut group = c.benchmark_group("asset hash");
    group.throughput(Throughput::Bytes(content.len() as u64));
    group.bench_function("1 MiB in pieces", |b| {
        b.iter(|| {
            let mut hasher = AssetHasher::default();
            for piece in black_box(&content).chunks(16 * 1024) {
                hasher.update(piece);
            }
            hasher.finish("assets/index-BfR3x9aZ.js")
        });
    });
    group.finish();
}

criterion_group!(
    benches,
    parse_snapshot,
    find_asset,
    parse_hostname,
    hash_asset
);
criterion_main!(benches);
