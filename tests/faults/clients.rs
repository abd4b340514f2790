//! Clients that take their time, by the hundreds: they are sent away, and nobody else notices that they are there.
//!
//! Takes the minute that a client may leave an answer untaken.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use favonius_testing::{Client, RawConnection, StreamingReply, asset_hash, eventually};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use crate::support::{APP, Figures, Region, Site, Worker, show};

const HOST: &str = "www.test";
const EACH: usize = 200;
/// Larger than what sockets hold.
const LARGE: usize = 12 << 20;
/// A request head has 15 s, and so has a body that does not come.
const HEAD_ENDS_WITHIN: Duration = Duration::from_secs(25);
/// A minute without taking anything of an answer, and a little.
const READER_ENDS_WITHIN: Duration = Duration::from_secs(80);

/// A connection whose own end takes little in.
async fn narrow(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(address).await.unwrap()
}

/// Sends the start, then a byte each second, until the other side closes. Returns what was answered, and when it ended.
async fn trickle(address: SocketAddr, start: String) -> (String, Duration) {
    let begun = Instant::now();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(start.as_bytes()).await.unwrap();
    let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
    while begun.elapsed() < HEAD_ENDS_WITHIN * 2 {
        match timeout(Duration::from_secs(1), stream.read(&mut piece)).await {
            Ok(Ok(length)) if length > 0 => answer.extend_from_slice(&piece[..length]),
            Ok(_) => break,
            // An answer may be on its way when this fails; the next read tells.
            Err(_) => drop(stream.write_all(b"x").await),
        }
    }
    (
        String::from_utf8_lossy(&answer).into_owned(),
        begun.elapsed(),
    )
}

/// Connects and waits for the end.
async fn say_nothing(address: SocketAddr) -> (String, Duration) {
    let begun = Instant::now();
    let mut connection = RawConnection::open(address).await.unwrap();
    let answer = connection
        .read_to_end(HEAD_ENDS_WITHIN * 2)
        .await
        .unwrap_or_default();
    (
        String::from_utf8_lossy(&answer).into_owned(),
        begun.elapsed(),
    )
}

/// What everybody else saw meanwhile.
#[derive(Debug, Default)]
struct Normal {
    figures: Figures,
    failures: Vec<String>,
}

/// Asks as everybody else does for so long: pages, scripts, uploads, readiness.
async fn ask_normally(site: &Site, so_long: Duration) -> Normal {
    let begun = Instant::now();
    let chunk = site.build(1).chunk_path();
    let mut normal = Normal::default();
    for round in 0.. {
        if begun.elapsed() >= so_long {
            break;
        }
        let content = format!("{begun:?} {round}");
        let hash = asset_hash(content.as_bytes(), "n.txt");
        let upload = format!("/upload?type=file&hash={hash}&filename=n.txt");
        let requests = [
            ("a page", site.client.get("/").host(HOST)),
            ("a script", site.client.get(&chunk).host(HOST)),
            ("readiness", site.client.get("/readyz")),
            (
                "an upload",
                site.client.post(&upload).token(&site.token).body(content),
            ),
        ];
        for (what, request) in requests {
            let asked = Instant::now();
            let reply = request.try_send().await;
            normal.figures.add(asked.elapsed());
            if !reply.as_ref().is_ok_and(|reply| reply.status == 200) {
                normal
                    .failures
                    .push(format!("{what} after {:.1?}: {reply:?}", begun.elapsed()));
            }
        }
        sleep(Duration::from_millis(100)).await;
    }
    normal
}

impl Normal {
    fn assert_undisturbed(&self) {
        let Self { figures, failures } = self;
        assert!(
            failures.is_empty(),
            "{} of {} failed: {:#?}",
            failures.len(),
            figures.count(),
            failures.first()
        );
        // Hundreds of clients that all begin at once keep a small machine busy for some seconds. The bound is what clients
        // wait before they give up.
        let (median, max) = (figures.quantile(50), figures.max());
        let undisturbed = median < Duration::from_secs(2) && max < Duration::from_secs(25);
        assert!(undisturbed, "{figures}");
    }
}

impl std::fmt::Display for Normal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "all others 200 but {}: {}",
            self.failures.len(),
            self.figures
        )
    }
}

async fn large_site(worker: &Worker) -> Site {
    let site = Site::new(worker, APP);
    let build = site.build_with(1, &[("large.bin", vec![7; LARGE])]);
    site.deploy(&build).await;
    let _published = site.publish(&build, &[HOST]).await.expect_status(200);
    site
}

/// How many connections of clients the worker holds.
fn connections(worker: &Worker) -> usize {
    let table = std::fs::read_to_string(format!("/proc/{}/net/tcp", worker.pid())).unwrap();
    let port = format!(":{:04X}", worker.address().port());
    let held = table.lines().skip(1).filter(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        // State 0A is the listener; what no process holds any more has no inode.
        fields[1].ends_with(&port) && fields[3] != "0A" && fields[9] != "0"
    });
    held.count()
}

/// Waits until the worker has let go of the slow ones. Returns the time since `from`.
async fn let_go(worker: &Worker, from: Instant, within: Duration) -> Duration {
    let left = within.saturating_sub(from.elapsed());
    eventually("the connections are closed", left, async || {
        let held = connections(worker);
        // A few are those of the clients that everybody is.
        if held <= 20 { Ok(()) } else { Err(held) }
    })
    .await;
    from.elapsed()
}

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn slow_senders_are_sent_away() {
    let region = Region::start();
    let worker = region.worker().await;
    let site = large_site(&worker).await;
    let address = worker.address();
    let hash = asset_hash(b"never", "slow.bin");
    let head = "GET / HTTP/1.1\r\nHost: www.test\r\nX-Slow: ".to_owned();
    let body = format!(
        "POST /upload?type=file&hash={hash}&filename=slow.bin HTTP/1.1\r\nHost: www.test\r\ncan_write_jwt: {}\r\n\
         Content-Length: 100000\r\n\r\n",
        site.token
    );
    let silent = (0..EACH).map(|_| say_nothing(address));
    let heads = (0..EACH).map(|_| trickle(address, head.clone()));
    let bodies = (0..EACH).map(|_| trickle(address, body.clone()));
    let most = async {
        sleep(Duration::from_secs(5)).await;
        (connections(&worker), worker.rss_bytes() >> 20)
    };
    let (silent, heads, bodies, normal, (connected, rss)) = tokio::join!(
        futures::future::join_all(silent),
        futures::future::join_all(heads),
        futures::future::join_all(bodies),
        ask_normally(&site, Duration::from_secs(20)),
        most,
    );
    assert!(connected >= 3 * EACH, "{connected} connections");
    for (name, ends, status) in [
        ("nothing sent", &silent, ""),
        ("a head that never ends", &heads, "408"),
        ("a body of a byte a second", &bodies, "408"),
    ] {
        let times: Figures = ends.iter().map(|(_, took)| *took).collect();
        show(
            "slow senders",
            format!("{EACH} with {name} closed after {times}"),
        );
        assert!(times.max() < HEAD_ENDS_WITHIN, "{name}: {times}");
        for (answer, _) in ends {
            let fits = answer.is_empty() || answer.starts_with(&format!("HTTP/1.1 {status}"));
            assert!(fits, "{name}: {answer}");
        }
    }
    for (answer, _) in &bodies {
        let told = answer.contains("body_incomplete") && answer.contains("connection: close");
        assert!(told, "{answer}");
    }
    show(
        "slow senders",
        format!("meanwhile {normal}; {connected} connections, {rss} MiB resident"),
    );
    normal.assert_undisturbed();
    let_go(&worker, Instant::now(), Duration::from_secs(20)).await;
}

#[tokio::test]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn clients_that_take_nothing_are_cut_off() {
    // Two workers, so that the minute passes once.
    tokio::join!(readers_that_take_nothing(), streams_that_take_nothing());
}

async fn readers_that_take_nothing() {
    let region = Region::start();
    let worker = region.worker().await;
    let site = large_site(&worker).await;
    let begun = Instant::now();
    let request = format!("GET /large.bin HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    let mut stuck = Vec::new();
    for _ in 0..EACH {
        let mut stream = narrow(worker.address()).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        stuck.push(stream);
    }
    let normal = async {
        sleep(Duration::from_secs(2)).await;
        let normal = ask_normally(&site, Duration::from_secs(20)).await;
        (normal, connections(&worker), worker.rss_bytes() >> 20)
    };
    let (normal, held, rss) = normal.await;
    show(
        "slow readers",
        format!("{EACH} readers of nothing, {normal}; {held} connections, {rss} MiB resident"),
    );
    assert!(held >= EACH, "{held} connections");
    let took = let_go(&worker, begun, READER_ENDS_WITHIN).await;
    show(
        "slow readers",
        format!("all closed {took:.1?} after they asked"),
    );
    drop(stuck);
    normal.assert_undisturbed();
}

/// The same over HTTP/2, where the connection lives on and only the stream is not read.
async fn streams_that_take_nothing() {
    let region = Region::start();
    let worker = region.worker().await;
    let site = large_site(&worker).await;
    let begun = Instant::now();
    let mut stuck: Vec<(Client, Vec<StreamingReply>)> = Vec::new();
    for _ in 0..4 {
        let client = Client::http2(worker.address());
        let mut replies = Vec::new();
        for _ in 0..EACH / 4 {
            let request = client
                .get("/large.bin")
                .host(HOST)
                .timeout(Duration::from_secs(20));
            replies.push(request.send_streaming().await.unwrap());
        }
        stuck.push((client, replies));
    }
    let normal = ask_normally(&site, Duration::from_secs(15)).await;
    show(
        "slow streams",
        format!("{EACH} streams that take nothing, {normal}"),
    );
    // Each stream ends, and not as if it were whole.
    let ends = stuck
        .iter_mut()
        .flat_map(|(_, replies)| replies)
        .map(|reply| async {
            sleep(READER_ENDS_WITHIN.saturating_sub(begun.elapsed())).await;
            loop {
                match timeout(Duration::from_secs(5), reply.next()).await {
                    Ok(Ok(Some(_))) => {}
                    Ok(Ok(None)) => return Some("a whole body"),
                    Ok(Err(_)) => return None,
                    Err(_) => return Some("nothing"),
                }
            }
        });
    let whole: Vec<&str> = futures::future::join_all(ends)
        .await
        .into_iter()
        .flatten()
        .collect();
    assert!(
        whole.is_empty(),
        "{} streams were not cut off: {:?}",
        whole.len(),
        whole.first()
    );
    normal.assert_undisturbed();
}
