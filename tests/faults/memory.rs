//! Memory while many clients upload large files at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use favonius_testing::{Client, RedisServer, WorkerProcess, asset_hash};

use crate::support::{APP, Figures, S3Sink, Site, Worker, distinct_bytes, show};

/// What holds whatever the clients do: 256 MiB for the bodies of uploads, as much again for what is on its way to S3, and
/// the process itself.
const MOST: u64 = 1 << 30;

/// Asks on a thread of its own: this one has its hands full with the uploads.
fn ask_whether_it_lives(worker: &Worker, done: &Arc<AtomicBool>) -> JoinHandle<Figures> {
    let (address, done) = (worker.address(), Arc::clone(done));
    std::thread::spawn(move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().unwrap();
        runtime.block_on(async {
            let (client, mut figures) = (Client::new(address), Figures::default());
            while !done.load(SeqCst) {
                let asked = Instant::now();
                let _alive = client.get("/healthz").send().await.expect_status(200);
                figures.add(asked.elapsed());
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            figures
        })
    })
}

/// Uploads a file of this size by each of so many clients, all at once.
async fn upload_at_once(clients: usize, mebibytes: usize) {
    let (redis, sink) = (RedisServer::start(), S3Sink::start());
    let worker = Worker::start(WorkerProcess::builder().redis(&redis).s3(&sink)).await;
    let token = Site::new(&worker, APP).token;
    // The same bytes under different paths: different assets, and the memory of this process is not the question.
    let content = Bytes::from(distinct_bytes(mebibytes << 20));
    let paths: Vec<String> = (0..clients).map(|n| format!("film-{n}.mp4")).collect();
    let hashes: Vec<String> = paths
        .iter()
        .map(|path| asset_hash(&content, path))
        .collect();
    let before = worker.rss_bytes();
    worker.reset_peak_rss();
    let done = Arc::new(AtomicBool::new(false));
    let alive = ask_whether_it_lives(&worker, &done);
    let begun = Instant::now();
    let uploads = paths.iter().zip(&hashes).map(async |(path, hash)| {
        let client = Client::new(worker.address());
        let target = format!("/upload?type=file&hash={hash}&filename={path}");
        let request = client.post(&target).token(&token).body(content.clone());
        let begun = Instant::now();
        let reply = request.timeout(Duration::from_mins(3)).send().await;
        (reply, begun.elapsed())
    });
    let replies = futures::future::join_all(uploads).await;
    let took = begun.elapsed();
    done.store(true, SeqCst);
    let alive = alive.join().unwrap();
    let refused = replies
        .iter()
        .filter(|(reply, _)| reply.status != 200)
        .count();
    let peak = worker.peak_rss_bytes();
    for (reply, _) in &replies {
        // An edge that cannot keep up says so; it does not grow.
        let says_so = reply.status == 503 && reply.header("retry-after").is_some();
        assert!(
            reply.status == 200 || says_so,
            "{}: {}",
            reply.status,
            reply.text()
        );
    }
    let times: Figures = replies.iter().map(|(_, took)| *took).collect();
    show(
        "memory",
        format!(
            "{clients} clients with {mebibytes} MiB each: {refused} refused, {} MiB stored in {took:.1?} ({times}); resident \
             {} MiB before, {} MiB at the peak, {} MiB after; healthz meanwhile {}",
            sink.bytes() >> 20,
            before >> 20,
            peak >> 20,
            worker.rss_bytes() >> 20,
            alive,
        ),
    );
    assert!(peak < MOST, "{} MiB", peak >> 20);
    assert_eq!(sink.objects(), clients - refused);
}

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn memory_is_bounded_while_30_clients_upload_32_mebibytes() {
    upload_at_once(30, 32).await;
}

/// `cargo test --release -p favonius-tests --test faults 100_clients -- --ignored --nocapture`
#[tokio::test]
#[ignore = "heavy: moves 6.4 GiB; see the command above it"]
async fn memory_is_bounded_while_100_clients_upload_64_mebibytes() {
    upload_at_once(100, 64).await;
}
