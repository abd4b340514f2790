//! What the client sends is what it was told to, seen from the other side.

use std::convert::Infallible;
use std::io;

use http::Response;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto;
use serde_json::json;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::background::Background;
use crate::ports::ReservedPort;

/// Answers each request with what it was: protocol, target, hosts and body.
async fn tell(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, mut body) = request.into_parts();
    let mut content = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        content.extend_from_slice(&frame.into_data().unwrap_or_default());
    }
    let values = |name: &str| {
        let values = head.headers.get_all(name).iter();
        values
            .map(|value| value.as_bytes().escape_ascii().to_string())
            .collect::<Vec<_>>()
    };
    let reply = json!({
        "version": format!("{:?}", head.version),
        "method": head.method.as_str(),
        "target": head.uri.to_string(),
        "hosts": values("host"),
        "odd": values("x-odd"),
        "length": values("content-length"),
        "body": String::from_utf8_lossy(&content),
    });
    let status = if head.uri.path() == "/redirect" {
        302
    } else {
        200
    };
    let response = Response::builder()
        .status(status)
        .header("location", "/elsewhere");
    Ok(response.body(Full::new(reply.to_string().into())).unwrap())
}

fn serve(ca: Option<&TestCa>) -> (SocketAddr, Background) {
    let port = ReservedPort::new();
    let (address, number) = (port.address(), port.number());
    let config = ca.map(|ca| ca.issue(&["localhost"]).server_config());
    let tls = config.map(|config| TlsAcceptor::from(Arc::new(config)));
    let background = Background::listen("telling server", number, move |listener| async move {
        let _held = port;
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let tls = tls.clone();
            connections.spawn(async move {
                let server = auto::Builder::new(TokioExecutor::new());
                let outcome = match tls {
                    None => {
                        server
                            .serve_connection(TokioIo::new(stream), service_fn(tell))
                            .await
                    }
                    Some(tls) => {
                        let Ok(stream) = tls.accept(stream).await else {
                            return;
                        };
                        server
                            .serve_connection(TokioIo::new(stream), service_fn(tell))
                            .await
                    }
                };
                drop(outcome);
            });
        }
    });
    (address, background.unwrap())
}

#[tokio::test]
async fn a_request_is_sent_as_it_was_written() {
    let (address, _server) = serve(None);
    let client = Client::new(address);
    let told = client
        .get("/a/../b/%2e%2e//c%20d?x=%")
        .host("shop.edge.test")
        .send()
        .await
        .json();
    assert_eq!(told["target"], "/a/../b/%2e%2e//c%20d?x=%");
    assert_eq!(told["hosts"], json!(["shop.edge.test"]));
    assert_eq!(told["version"], "HTTP/1.1");

    let told = client
        .get("/")
        .host("a")
        .host("b")
        .header("x-odd", b"\xed\xff")
        .send()
        .await
        .json();
    assert_eq!(told["hosts"], json!(["a", "b"]));
    assert_eq!(told["odd"], json!(["\\xed\\xff"]));

    let told = client.post("/").json(&json!({"a": 1})).send().await.json();
    assert_eq!(
        (&told["body"], &told["length"]),
        (&json!(r#"{"a":1}"#), &json!(["7"]))
    );
    assert_eq!(told["hosts"], json!([address.to_string()]));
}

#[tokio::test]
async fn a_body_in_pieces_is_chunked_unless_its_length_is_given() {
    let (address, _server) = serve(None);
    let client = Client::new(address);
    let pieces =
        || futures::stream::iter(["ab", "cd"].map(|piece| io::Result::Ok(Bytes::from(piece))));
    let told = client.post("/").body_stream(pieces()).send().await.json();
    assert_eq!(
        (&told["body"], &told["length"]),
        (&json!("abcd"), &json!([]))
    );
    let request = client
        .post("/")
        .header("content-length", "4")
        .body_stream(pieces());
    let told = request.send().await.json();
    assert_eq!(
        (&told["body"], &told["length"]),
        (&json!("abcd"), &json!(["4"]))
    );
}

#[tokio::test]
async fn connections_serve_all_hosts_or_one_request() {
    let (address, _server) = serve(None);
    let kept = Client::new(address);
    let single = Client::without_reuse(address);
    for host in ["a", "b", "c"] {
        for client in [&kept, &single] {
            assert_eq!(
                client.get("/").host(host).send().await.json()["hosts"],
                json!([host])
            );
        }
    }
    assert_eq!(
        (kept.connections_opened(), single.connections_opened()),
        (1, 3)
    );
}

#[tokio::test]
async fn redirects_are_shown_and_not_followed() {
    let (address, _server) = serve(None);
    let reply = Client::new(address)
        .get("/redirect")
        .send()
        .await
        .expect_status(302);
    assert_eq!(reply.header("Location"), Some("/elsewhere"));
    let head = Client::new(address).head("/").send().await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
}

#[tokio::test]
async fn http2_sends_the_host_as_authority() {
    let (address, _server) = serve(None);
    let client = Client::http2(address);
    let told = client
        .get("/p?q")
        .host("shop.edge.test")
        .send()
        .await
        .json();
    assert_eq!(
        (&told["version"], &told["hosts"]),
        (&json!("HTTP/2.0"), &json!([]))
    );
    assert_eq!(told["target"], "http://shop.edge.test/p?q");
}

#[tokio::test]
async fn tls_trusts_the_given_authority_only() {
    let ca = TestCa::new();
    let (address, _server) = serve(Some(&ca));
    Client::tls(address, &ca)
        .get("/")
        .send()
        .await
        .expect_status(200)
        .json();
    let error = Client::tls(address, &TestCa::new())
        .get("/")
        .try_send()
        .await
        .unwrap_err();
    assert!(error.is_connect(), "{error:?}");
}

/// A server that says one thing to whoever comes and, when told so, leaves.
fn say(words: &'static [u8], leave: bool) -> (SocketAddr, Background) {
    let port = ReservedPort::new();
    let (address, number) = (port.address(), port.number());
    let background = Background::listen("terse server", number, move |listener| async move {
        let _held = port;
        let mut kept = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 4096])
                .await
                .unwrap();
            tokio::io::AsyncWriteExt::write_all(&mut stream, words)
                .await
                .unwrap();
            if !leave {
                kept.push(stream);
            }
        }
    });
    (address, background.unwrap())
}

const HALF: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc";

#[tokio::test]
async fn a_body_that_breaks_off_is_an_error() {
    let (address, _server) = say(HALF, true);
    let error = Client::new(address).get("/").try_send().await.unwrap_err();
    assert!(
        matches!(error, ClientError::Body { read: 3, .. }),
        "{error:?}"
    );
    let mut reply = Client::new(address)
        .get("/")
        .send_streaming()
        .await
        .unwrap();
    assert_eq!(reply.next().await.unwrap().unwrap(), "abc");
    reply.next().await.unwrap_err();
}

#[tokio::test]
async fn an_answer_that_does_not_end_is_a_timeout() {
    let (address, _server) = say(HALF, false);
    let request = Client::new(address)
        .get("/")
        .timeout(Duration::from_millis(200))
        .try_send()
        .await;
    assert!(
        matches!(request, Err(ClientError::Timeout(_))),
        "{request:?}"
    );
}

#[tokio::test]
async fn raw_bytes_get_raw_answers() {
    let (address, _server) = serve(None);
    let answer = raw_http(
        address,
        "GET / HTTP/1.1\r\nHost: a b\r\nHost\x01: x\r\n\r\n",
    )
    .await
    .unwrap();
    assert!(
        answer.starts_with(b"HTTP/1.1 400 "),
        "{}",
        answer.escape_ascii()
    );
    // The connection stays open; the answer is whole all the same.
    let answer = raw_http(address, "GET http://abs.test/x HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    assert!(
        answer.starts_with(b"HTTP/1.1 200 "),
        "{}",
        answer.escape_ascii()
    );
    assert!(answer.ends_with(b"}"), "{}", answer.escape_ascii());
    // Half an answer whose connection closes is shown as it came.
    let (address, _server) = say(HALF, true);
    assert_eq!(
        raw_http(address, "GET / HTTP/1.1\r\n\r\n").await.unwrap(),
        HALF
    );
}

#[tokio::test]
async fn a_raw_connection_is_written_and_read_in_pieces() {
    let second = Duration::from_secs(5);
    let (address, _server) = serve(None);
    let mut connection = RawConnection::open(address).await.unwrap();
    connection
        .send("POST / HTTP/1.1\r\nHost: a\r\n")
        .await
        .unwrap();
    connection
        .send("Content-Length: 3\r\nConnection: close\r\n\r\nab")
        .await
        .unwrap();
    let early = connection
        .read_until(b"\r\n", Duration::from_millis(100))
        .await
        .unwrap_err();
    assert_eq!(early.kind(), io::ErrorKind::TimedOut);
    connection.send("c").await.unwrap();
    let head = connection.read_until(b"\r\n\r\n", second).await.unwrap();
    assert!(
        head.starts_with(b"HTTP/1.1 200 OK\r\n"),
        "{}",
        head.escape_ascii()
    );
    assert_eq!(connection.read_exact(1, second).await.unwrap(), b"{");
    let rest = connection.read_to_end(second).await.unwrap();
    assert!(rest.ends_with(b"}"), "{}", rest.escape_ascii());
}
