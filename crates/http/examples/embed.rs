//! An edge inside another server: one port, a route of our own, and everything else to the edge.
//!
//!     cargo run -p favonius-http --example embed
//!
//! Back ends are in memory here; docs/embedding.md says what else a program that does this has to see to.
#![expect(clippy::print_stdout, reason = "an example that tells what it does")]

use std::{convert::Infallible, error::Error, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use favonius_auth::{MintRequest, Minter, Scope, Verifier, VerifierOptions};
use favonius_http::{Backends, Edge, EdgeBody, EdgeOptions};
use favonius_storage::{Assets, Clock, EmbeddedRecords};
use http::{Request, Response};
use http_body_util::{Either, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use object_store::memory::InMemory;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower_service::Service;

/// Whoever has it may write; a real one comes from the configuration.
const SECRET: &str = "the example's own secret, known to all";

/// What this server answers with: bytes of its own, or what the edge has.
type Body = Either<Full<Bytes>, EdgeBody>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let tasks = TaskTracker::new();
    let clock = Clock::system();
    let backends = Backends {
        assets: Assets::new(Arc::new(InMemory::new()), tasks.clone()),
        records: Arc::new(EmbeddedRecords::in_memory()?),
        verifier: Arc::new(Verifier::new(SECRET, None, VerifierOptions::default())?),
        clock: clock.clone(),
        replication: None,
    };
    let edge = Edge::new(backends, EdgeOptions::default());

    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 8080))).await?;
    let token = MintRequest::new(Scope::Operator, Duration::from_hours(1));
    println!("Listening on http://{}", listener.local_addr()?);
    println!(
        "Write token: {}",
        Minter::new(SECRET)?.mint(&token, clock.now_ms() / 1000)?
    );

    let stop = CancellationToken::new();
    let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    tasks.spawn(connection(stream, edge.clone(), stop.clone()));
                }
                // Out of file descriptors, say: others may be closed in a moment.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            interrupted = &mut interrupt => break interrupted?,
        }
    }
    // `/readyz` says no from here on; then the connections end; then what the edge does in the background.
    edge.drain();
    stop.cancel();
    tasks.close();
    drop(tokio::time::timeout(Duration::from_secs(25), tasks.wait()).await);
    edge.stop().await;
    Ok(())
}

/// Serves one connection, HTTP/1.1 or HTTP/2, until it or the server ends.
async fn connection(stream: TcpStream, edge: Edge, stop: CancellationToken) {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(90));
    let service = service_fn(move |request| answer(edge.clone(), request));
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        println!("A connection ended early: {error}");
    }
}

/// Our own route first, the edge for all else.
async fn answer(mut edge: Edge, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    if request.uri().path() == "/hello" {
        return Ok(Response::new(Either::Left(Full::from(
            "hello from the server around the edge\n",
        ))));
    }
    Ok(edge.call(request).await?.map(Either::Right))
}
