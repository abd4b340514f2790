//! Each fault is seen from both sides of the proxy.

use std::io;
use std::time::Instant;

use tokio::time::timeout;

use super::*;

/// Answers each byte with the same byte.
fn echo() -> (SocketAddr, Background) {
    let port = ReservedPort::new();
    let (address, number) = (port.address(), port.number());
    let background = Background::listen("echo", number, move |listener| async move {
        let _held = port;
        let mut connections = JoinSet::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            connections.spawn(async move {
                let (mut from, mut to) = stream.split();
                drop(tokio::io::copy(&mut from, &mut to).await);
            });
        }
    });
    (address, background.unwrap())
}

async fn ask(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(bytes).await?;
    let mut reply = vec![0; bytes.len()];
    timeout(Duration::from_secs(10), stream.read_exact(&mut reply)).await??;
    Ok(reply)
}

#[tokio::test]
async fn it_passes_and_counts() {
    let (target, _echo) = echo();
    let proxy = FaultProxy::start(target);
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(ask(&mut stream, b"hello").await.unwrap(), b"hello");
    assert_eq!((proxy.accepted(), proxy.open()), (1, 1));
    assert_eq!((proxy.bytes_to_target(), proxy.bytes_from_target()), (5, 5));
    drop(stream);
    crate::eventually(
        "the connection is gone",
        Duration::from_secs(5),
        async || {
            if proxy.open() == 0 {
                Ok(())
            } else {
                Err(proxy.open())
            }
        },
    )
    .await;
}

#[tokio::test]
async fn cut_closes_and_refuses_until_it_passes_again() {
    let (target, _echo) = echo();
    let proxy = FaultProxy::start(target);
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    ask(&mut stream, b"x").await.unwrap();
    proxy.cut();
    assert_eq!(proxy.open(), 0);
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    let refused = TcpStream::connect(proxy.address()).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    proxy.pass();
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(ask(&mut stream, b"y").await.unwrap(), b"y");
}

#[tokio::test]
async fn stall_holds_bytes_back_and_pass_lets_them_go() {
    let (target, _echo) = echo();
    let proxy = FaultProxy::start(target);
    proxy.stall();
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    stream.write_all(b"x").await.unwrap();
    let mut reply = [0];
    let silent = timeout(Duration::from_millis(200), stream.read(&mut reply)).await;
    assert!(silent.is_err(), "{silent:?}");
    assert_eq!(proxy.bytes_to_target(), 0);
    proxy.pass();
    stream.read_exact(&mut reply).await.unwrap();
    assert_eq!(&reply, b"x");
}

#[tokio::test]
async fn reset_is_seen_as_a_reset_and_happens_once() {
    let (target, _echo) = echo();
    let proxy = FaultProxy::start(target);
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    ask(&mut stream, b"x").await.unwrap();
    proxy.reset();
    let error = stream.read(&mut [0]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(ask(&mut stream, b"y").await.unwrap(), b"y");
}

#[tokio::test]
async fn an_answer_breaks_off_after_the_bytes_asked_for() {
    let (target, _echo) = echo();
    let proxy = FaultProxy::start(target);
    proxy.break_after(3);
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    stream.write_all(b"hello").await.unwrap();
    let mut reply = [0; 5];
    let error = stream.read_exact(&mut reply).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(&reply, b"hel\0\0");
    proxy.pass();
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(ask(&mut stream, b"hello").await.unwrap(), b"hello");
}

#[tokio::test]
async fn delay_and_limit_take_at_least_their_time() {
    let (target, _echo) = echo();
    let proxy = FaultProxy::start(target);
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    proxy.delay(Duration::from_millis(100));
    let begun = Instant::now();
    ask(&mut stream, b"x").await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(200));
    proxy.limit(10_000);
    let begun = Instant::now();
    ask(&mut stream, &[7; 3_000]).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn an_absent_target_resets() {
    let nowhere = ReservedPort::new();
    let proxy = FaultProxy::start(nowhere.address());
    // The reset may come before the connection is noticed, or after.
    let outcome = match TcpStream::connect(proxy.address()).await {
        Ok(mut stream) => stream.read(&mut [0]).await.map(drop),
        Err(error) => Err(error),
    };
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn dropping_it_ends_everything() {
    let (target, _echo) = echo();
    let proxy = FaultProxy::start(target);
    let address = proxy.address();
    let mut stream = TcpStream::connect(address).await.unwrap();
    ask(&mut stream, b"x").await.unwrap();
    drop(proxy);
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    assert!(TcpStream::connect(address).await.is_err());
}
