//! SIGTERM while everybody is busy: nothing that was accepted fails.

use std::error::Error as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use bytes::Bytes;
use favonius_testing::{Client, ClientError, Reply, asset_hash};
use futures::stream;
use tokio::time::sleep;

use crate::support::{APP, QUERY_VALUE, Region, Site, Worker, distinct_bytes, show};

const HOST: &str = "www.test";

/// What the clients of a load went through.
#[derive(Debug, Default)]
struct Tally {
    answered: AtomicUsize,
    /// Answers that asked for the connection to be closed.
    told: AtomicUsize,
    /// Requests that the client took back.
    unsent: AtomicUsize,
    failures: Mutex<Vec<String>>,
}

impl Tally {
    /// Counts an answer. Whether to go on.
    fn note(&self, what: &str, outcome: Result<Reply, ClientError>) -> bool {
        match outcome {
            Ok(reply) if reply.status == 200 => {
                self.answered.fetch_add(1, SeqCst);
                if reply.header("connection") == Some("close") {
                    self.told.fetch_add(1, SeqCst);
                }
                true
            }
            Ok(reply) => {
                self.fail(format!("{what}: {} {}", reply.status, reply.text()));
                true
            }
            // Nobody listens any more: where a load balancer would take another worker.
            Err(error) if error.is_connect() => false,
            // The client heard that the connection ends before it had sent a byte: it sends on another one.
            Err(error) if was_not_sent(&error) => {
                self.unsent.fetch_add(1, SeqCst);
                true
            }
            Err(error) => {
                self.fail(format!("{what}: {error:?}"));
                false
            }
        }
    }

    fn fail(&self, what: String) {
        self.failures.lock().unwrap().push(what);
    }
}

/// Whether the connection was known to end before the request was written to it.
fn was_not_sent(error: &ClientError) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<hyper::Error>() {
            return error.is_canceled();
        }
        cause = error.source();
    }
    false
}

/// Reads the same page again and again, with a pause that lets connections be idle for a while.
async fn read(client: Client, pause: Duration, tally: &Tally) {
    let target = format!("/?q={QUERY_VALUE}");
    while tally.note("a page", client.get(&target).host(HOST).try_send().await) {
        sleep(pause).await;
    }
}

/// Uploads a new file again and again.
async fn upload(site: &Site, number: usize, tally: &Tally) {
    let client = Client::new(site.client.address());
    for round in 0.. {
        let content = format!("{number} {round} ").repeat(5_000);
        let hash = asset_hash(content.as_bytes(), "up.txt");
        let target = format!("/upload?type=file&hash={hash}&filename=up.txt");
        let request = client.post(&target).token(&site.token).body(content);
        if !tally.note("an upload", request.try_send().await) {
            return;
        }
        sleep(Duration::from_millis(5)).await;
    }
}

/// One upload that takes this long to come.
async fn upload_slowly(site: &Site, number: usize, duration: Duration, tally: &Tally) {
    const PIECES: u32 = 20;
    let piece = Bytes::from(format!("slow {number} ").repeat(1_000));
    let content: Vec<u8> = (0..PIECES).flat_map(|_| piece.to_vec()).collect();
    let hash = asset_hash(&content, "slow.txt");
    let target = format!("/upload?type=file&hash={hash}&filename=slow.txt");
    let pieces = stream::unfold(0, move |sent| {
        let piece = piece.clone();
        async move {
            sleep(duration / PIECES).await;
            (sent < PIECES).then_some((Ok::<_, std::io::Error>(piece), sent + 1))
        }
    });
    let client = Client::new(site.client.address());
    let request = client
        .post(&target)
        .token(&site.token)
        .header("content-length", content.len().to_string())
        .body_stream(Box::pin(pieces));
    if !tally.note("a slow upload", request.try_send().await) {
        tally.fail("a slow upload found nobody".to_owned());
    }
}

/// One download that the client takes this long to read.
async fn download_slowly(client: Client, content: &[u8], duration: Duration, tally: &Tally) {
    let request = client.get("/large.bin").host(HOST);
    let mut reply = match request.send_streaming().await {
        Ok(reply) => reply,
        Err(error) => return tally.fail(format!("a slow download: {error:?}")),
    };
    let begun = Instant::now();
    let mut read = Vec::new();
    loop {
        match reply.next().await {
            Ok(Some(piece)) => read.extend_from_slice(&piece),
            Ok(None) => break,
            Err(error) => return tally.fail(format!("a slow download: {error:?}")),
        }
        // As far in the file as in the time.
        let percent = read.len() * 100 / content.len();
        let due = duration * u32::try_from(percent).unwrap_or(100) / 100;
        sleep(due.saturating_sub(begun.elapsed())).await;
    }
    if read == content {
        tally.answered.fetch_add(1, SeqCst);
    } else {
        tally.fail(format!(
            "a slow download got {} bytes of {}",
            read.len(),
            content.len()
        ));
    }
}

/// When a prober saw the worker change.
#[derive(Debug, Default)]
struct Timeline {
    not_ready: Option<Duration>,
    refused: Option<Duration>,
}

/// Asks for readiness on a connection of its own each time, as Kubernetes does.
async fn probe(worker: &Worker, since: Instant) -> Timeline {
    let client = Client::without_reuse(worker.address());
    let mut timeline = Timeline::default();
    loop {
        match client.get("/readyz").try_send().await {
            Ok(reply) if reply.status == 503 => {
                timeline.not_ready.get_or_insert(since.elapsed());
            }
            Ok(reply) => assert_eq!(reply.status, 200, "{}", reply.text()),
            Err(error) if error.is_connect() => {
                timeline.refused = Some(since.elapsed());
                return timeline;
            }
            // The end of the listener may meet a connection that the kernel has taken already.
            Err(_) => {}
        }
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn sigterm_under_load_fails_no_request() {
    let region = Region::start();
    let worker = region.worker().await;
    let site = Site::new(&worker, APP);
    let large = distinct_bytes(24 << 20);
    let build = site.build_with(1, &[("large.bin", large.clone())]);
    site.deploy(&build).await;
    let _published = site.publish(&build, &[HOST]).await.expect_status(200);

    let tally = Tally::default();
    let address = worker.address();
    let pauses = [0, 0, 1, 3, 10, 30, 100, 300, 700, 1500].map(Duration::from_millis);
    let readers = pauses.map(|pause| read(Client::new(address), pause, &tally));
    let readers_http2 = pauses.map(|pause| read(Client::http2(address), pause, &tally));
    let uploads = (0..4).map(|number| upload(&site, number, &tally));
    // Begun before the signal, ended after it; and begun while new connections are still taken.
    let slow_uploads = (0..4).map(|n| upload_slowly(&site, n, Duration::from_secs(4), &tally));
    let late_uploads = (4..6).map(|n| {
        let upload = upload_slowly(&site, n, Duration::from_secs(5), &tally);
        async {
            sleep(Duration::from_secs(3)).await;
            upload.await;
        }
    });
    let downloads = (0..3).map(|n| {
        let client = if n == 0 {
            Client::http2(address)
        } else {
            Client::new(address)
        };
        download_slowly(client, &large, Duration::from_secs(9), &tally)
    });
    let end = async {
        sleep(Duration::from_secs(2)).await;
        worker.sigterm();
        let signalled = Instant::now();
        let exit = async {
            let status = worker.wait_exit(Duration::from_secs(30)).await;
            (status, signalled.elapsed())
        };
        tokio::join!(probe(&worker, signalled), exit)
    };
    let ((timeline, (status, took)), ..) = tokio::join!(
        end,
        futures::future::join_all(readers),
        futures::future::join_all(readers_http2),
        futures::future::join_all(uploads),
        futures::future::join_all(slow_uploads),
        futures::future::join_all(late_uploads),
        futures::future::join_all(downloads),
    );
    let answered = tally.answered.load(SeqCst);
    show(
        "sigterm",
        format!(
            "{answered} requests answered, {} of them with Connection: close, {} taken back unsent, failures {:?}; readyz 503 after {:.0?}, \
             listener closed after {:.1?}, {status} after {took:.1?}",
            tally.told.load(SeqCst),
            tally.unsent.load(SeqCst),
            tally.failures.lock().unwrap(),
            timeline.not_ready,
            timeline.refused,
        ),
    );
    assert_eq!(*tally.failures.lock().unwrap(), Vec::<String>::new());
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(27), "{took:?}");
    assert!(tally.told.load(SeqCst) > 0 && answered > 100, "{tally:?}");
    let (Some(not_ready), Some(refused)) = (timeline.not_ready, timeline.refused) else {
        panic!("{timeline:?}");
    };
    assert!(not_ready < Duration::from_secs(2), "{timeline:?}");
    assert!(
        refused > not_ready + Duration::from_secs(1),
        "load balancers must see it first: {timeline:?}"
    );

    all_that_is_listed_is_stored(&region).await;
}

/// What was acknowledged is there, for whoever comes next.
async fn all_that_is_listed_is_stored(region: &Region) {
    let next = region.worker().await;
    let listed = next.client().hash_list(APP).await.json();
    let stored = region.s3.keys();
    for hash in listed["hashes"].as_array().unwrap() {
        let hash = hash.as_str().unwrap();
        let found = stored.iter().any(|key| key.starts_with(hash));
        assert!(found, "{hash} is listed and not stored");
    }
}

/// A client that never ends its request does not hold the worker for ever.
#[tokio::test]
async fn the_grace_period_ends() {
    let dir = tempfile::tempdir().unwrap();
    let builder = favonius_testing::WorkerProcess::builder().embedded(dir.path());
    let builder = builder.env("ZE_WORKER_SHUTDOWN_GRACE_MS", 2_000);
    let worker = Worker::start(builder).await;
    let site = Site::new(&worker, APP);
    let mut stuck = favonius_testing::RawConnection::open(worker.address())
        .await
        .unwrap();
    let head = format!(
        "POST /upload?type=file&hash={}&filename=a HTTP/1.1\r\nHost: a.test\r\ncan_write_jwt: {}\r\nContent-Length: 10\r\n\r\n1",
        asset_hash(b"1234567890", "a"),
        site.token
    );
    stuck.send(head).await.unwrap();
    sleep(Duration::from_millis(300)).await;
    worker.sigterm();
    let signalled = Instant::now();
    let status = worker.wait_exit(Duration::from_secs(15)).await;
    let took = signalled.elapsed();
    show(
        "sigterm",
        format!("grace period of 2 s with a client that never ends: {status} after {took:.1?}"),
    );
    assert_eq!(status.code(), Some(0));
    assert!(
        took >= Duration::from_secs(1) && took < Duration::from_secs(8),
        "{took:?}"
    );
}
