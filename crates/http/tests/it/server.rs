//! The server around the edge: its connections, their limits, and how it ends.

use std::{net::SocketAddr, time::Duration};

use favonius_http::{Bind, Listener, Server, ServerOptions};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};

use crate::support::{APP, TestEdge, file_uri, token};

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    stop: oneshot::Sender<()>,
    done: JoinHandle<usize>,
}

/// Short times, so that tests are.
pub(crate) fn options() -> ServerOptions {
    ServerOptions {
        head_timeout: Duration::from_millis(300),
        idle_timeout: Duration::from_secs(2),
        write_timeout: Duration::from_millis(500),
        linger: Duration::from_millis(300),
        grace: Duration::from_secs(5),
        ..ServerOptions::default()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the test waits for the task itself"
)]
pub(crate) fn start(edge: &TestEdge, options: ServerOptions) -> Running {
    let listener = Listener::bind(Bind::Address([127, 0, 0, 1].into()), 0).unwrap();
    let address = listener.address();
    let server = Server::new(edge.edge.clone()).options(options);
    let (stop, stopped) = oneshot::channel();
    let done = tokio::spawn(async move {
        server
            .run(listener, async { drop(stopped.await) })
            .await
            .unwrap()
    });
    Running {
        address,
        stop,
        done,
    }
}

async fn read_all(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    // A reset is an end as well.
    drop(
        timeout(Duration::from_secs(10), stream.read_to_end(&mut all))
            .await
            .expect("no end"),
    );
    String::from_utf8_lossy(&all).into_owned()
}

/// Reads one answer whose body has a length.
async fn read_answer(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let n = timeout(Duration::from_secs(10), stream.read(&mut piece))
            .await
            .unwrap()
            .unwrap();
        assert_ne!(n, 0, "closed after {:?}", String::from_utf8_lossy(&all));
        all.extend_from_slice(&piece[..n]);
        let text = String::from_utf8_lossy(&all).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                line.to_lowercase()
                    .strip_prefix("content-length: ")?
                    .parse()
                    .ok()
            });
            if body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
    }
}

#[tokio::test]
async fn connections_that_do_nothing_are_closed() {
    let edge = TestEdge::new();
    // So long that only the time for heads can be what ends them.
    let idle_timeout = Duration::from_mins(10);
    let server = start(
        &edge,
        ServerOptions {
            idle_timeout,
            ..options()
        },
    );
    let cases = [
        ("nothing", ""),
        ("half a head", "GET / HTTP/1.1\r\nHost: a.test\r\n"),
        ("half an HTTP/2 preface", "PRI * HT"),
    ];
    for (name, sent) in cases {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        let answer = read_all(&mut stream).await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 408"),
            "case `{name}`: {answer}"
        );
    }
    // Bytes that trickle in do not put the end off.
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let (mut read, mut write) = stream.split();
    let trickle = async {
        for byte in b"GET / HTTP/1.1\r\nHost: a.test\r\nX: "
            .iter()
            .chain(std::iter::repeat(&b'x'))
            .take(200)
        {
            if write.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the head was never given up");
    };
    let mut end = Vec::new();
    let closed = async { drop(read.read_to_end(&mut end).await) };
    tokio::select! { () = trickle => {}, () = closed => {} }
}

#[tokio::test]
async fn idle_connections_stay_open_longer_than_heads_may_take() {
    let edge = TestEdge::new();
    let server = start(&edge, options());
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    for _ in 0..3 {
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\nHost: a.test\r\n\r\n")
            .await
            .unwrap();
        assert!(read_answer(&mut stream).await.starts_with("HTTP/1.1 200"));
        tokio::time::sleep(Duration::from_millis(700)).await;
    }
    assert_eq!(read_all(&mut stream).await, "", "closed when idle for long");
}

#[tokio::test]
async fn a_connection_is_closed_when_it_is_idle_after_a_long_answer() {
    let edge = TestEdge::new();
    // One that is held whole, and one that is read in parts.
    let sizes = [4 << 20, 6 << 20];
    let files = sizes.map(|size| (format!("{size}.bin"), vec![7; size]));
    let files = files.each_ref().map(|(path, bytes)| (&**path, &**bytes));
    edge.deploy("u-1", &files, &["a.test"], |_| {}).await;
    let options = ServerOptions {
        idle_timeout: Duration::from_millis(600),
        write_timeout: Duration::from_secs(5),
        ..options()
    };
    let server = start(&edge, options);
    let ask = async |stream: &mut TcpStream, path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
    };
    let open = async || {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(16 * 1024).unwrap();
        socket.connect(server.address).await.unwrap()
    };
    for size in sizes {
        let mut stream = open().await;
        // Idle for a moment, so that the wait for a request has begun.
        ask(&mut stream, "/healthz").await;
        assert!(read_answer(&mut stream).await.starts_with("HTTP/1.1 200"));
        ask(&mut stream, &format!("/{size}.bin")).await;
        // Nothing is taken until that wait would have been over.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let all = read_all(&mut stream).await;
        assert!(all.len() > size, "all of it, and then the end");
    }
    // What is being taken when the server stops is given to its end.
    let mut stream = open().await;
    ask(&mut stream, &format!("/{}.bin", sizes[0])).await;
    let mut first = [0; 1000];
    stream.read_exact(&mut first).await.unwrap();
    let reading = async {
        tokio::time::sleep(Duration::from_millis(2500)).await;
        read_all(&mut stream).await
    };
    let (rest, ()) = tokio::join!(reading, stop(server));
    assert!(first.len() + rest.len() > sizes[0], "{}", rest.len());
}

async fn stop(server: Running) {
    server.stop.send(()).unwrap();
    server.done.await.unwrap();
}

#[tokio::test]
async fn heads_are_bounded() {
    let edge = TestEdge::new();
    let server = start(&edge, options());
    let many = "x-many: y\r\n".repeat(200);
    let long = format!("x: {}\r\n", "y".repeat(70_000));
    for (name, headers) in [("many", many), ("long", long)] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let request = format!("GET /healthz HTTP/1.1\r\nHost: a.test\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = read_all(&mut stream).await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 431"),
            "case `{name}`: {answer}"
        );
    }
}

#[tokio::test]
async fn a_reader_that_takes_nothing_is_cut_off() {
    let edge = TestEdge::new();
    let large = vec![b'x'; 32 << 20];
    edge.deploy("u-1", &[("large.bin", &large)], &["www.test"], |_| {})
        .await;
    let server = start(&edge, options());
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream
        .write_all(b"GET /large.bin HTTP/1.1\r\nHost: www.test\r\n\r\n")
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let received = read_all(&mut stream).await.len();
    assert!(received < large.len(), "{received}");
}

#[tokio::test]
async fn http2_without_tls_on_the_same_port() {
    let edge = TestEdge::new();
    let server = start(&edge, options());
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    // The preface and empty settings (RFC 9113, section 3.4).
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .unwrap();
    let mut frame = [0; 9];
    timeout(Duration::from_secs(5), stream.read_exact(&mut frame))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(frame[3], 4, "the server's settings");
}

#[tokio::test]
async fn a_refused_upload_is_answered_and_the_connection_goes_on() {
    let edge = TestEdge::new();
    let server = start(&edge, options());
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let uri = file_uri(&"ab".repeat(32), "a.js");
    let body = "x".repeat(100_000);
    let request = format!(
        "POST {uri} HTTP/1.1\r\nHost: e.test\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    assert!(read_answer(&mut stream).await.starts_with("HTTP/1.1 401"));
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: a.test\r\n\r\n")
        .await
        .unwrap();
    assert!(read_answer(&mut stream).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn an_answer_to_what_is_too_large_comes_before_the_body() {
    let edge = TestEdge::new();
    let server = start(&edge, options());
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let uri = file_uri(&"ab".repeat(32), "a.js");
    let token = token(APP);
    let head = format!(
        "POST {uri} HTTP/1.1\r\nHost: e.test\r\ncan_write_jwt: {token}\r\nContent-Length: 999999999999\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let answer = read_answer(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(
        answer.to_lowercase().contains("connection: close"),
        "{answer}"
    );
}

#[tokio::test]
async fn shutdown_finishes_what_was_accepted() {
    let edge = TestEdge::new();
    let server = start(&edge, options());
    // An upload that is half way, an idle connection, and one that will send on.
    let mut upload = TcpStream::connect(server.address).await.unwrap();
    let hash = favonius_contract::AssetHash::of(b"0123456789", "a").to_string();
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: e.test\r\ncan_write_jwt: {}\r\nContent-Length: 10\r\n\r\n01234",
        file_uri(&hash, "a"),
        token(APP)
    );
    upload.write_all(head.as_bytes()).await.unwrap();
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    let probe = b"GET /readyz HTTP/1.1\r\nHost: a.test\r\n\r\n";
    idle.write_all(probe).await.unwrap();
    read_answer(&mut idle).await;

    server.stop.send(()).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    // New connections are still taken, are told that the edge is not ready, and are asked to go.
    let mut late = TcpStream::connect(server.address).await.unwrap();
    late.write_all(probe).await.unwrap();
    let answer = read_all(&mut late).await;
    assert!(
        answer.starts_with("HTTP/1.1 503") && answer.contains("draining"),
        "{answer}"
    );
    assert!(
        answer.to_lowercase().contains("connection: close"),
        "{answer}"
    );

    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(
        TcpStream::connect(server.address).await.is_err(),
        "no new connections now"
    );
    upload.write_all(b"56789").await.unwrap();
    let answer = read_all(&mut upload).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(read_all(&mut idle).await, "");
    assert_eq!(
        timeout(Duration::from_secs(5), server.done)
            .await
            .unwrap()
            .unwrap(),
        0
    );
}

#[tokio::test]
async fn the_grace_period_ends() {
    let edge = TestEdge::new();
    let server = start(
        &edge,
        ServerOptions {
            grace: Duration::from_millis(800),
            ..options()
        },
    );
    let mut upload = TcpStream::connect(server.address).await.unwrap();
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: e.test\r\ncan_write_jwt: {}\r\nContent-Length: 10\r\n\r\n01234",
        file_uri(&"ab".repeat(32), "a"),
        token(APP)
    );
    upload.write_all(head.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.stop.send(()).unwrap();
    assert_eq!(
        timeout(Duration::from_secs(5), server.done)
            .await
            .unwrap()
            .unwrap(),
        1
    );
}
