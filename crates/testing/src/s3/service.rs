//! What stands between the socket and the S3 implementation: it remembers requests, delays them and refuses them on demand.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use s3s::service::S3Service;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::process::lock;

/// Most requests remembered; older ones are dropped.
const REMEMBERED: usize = 100_000;

type Body = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// A request as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedRequest {
    /// Its method.
    pub method: String,
    /// The path, still percent-encoded: `/bucket/key`.
    pub path: String,
    /// The query, without the question mark.
    pub query: String,
    /// The `Range` header.
    pub range: Option<String>,
}

/// What is remembered and what shall go wrong.
#[derive(Debug, Default)]
pub(super) struct Desk {
    requests: Mutex<VecDeque<RecordedRequest>>,
    failing: Mutex<Failing>,
    delay: Mutex<Duration>,
    in_flight: AtomicUsize,
    peak: AtomicUsize,
    connections: AtomicUsize,
}

#[derive(Debug, Default)]
struct Failing {
    method: String,
    times: usize,
    status: u16,
}

impl Desk {
    pub(super) fn requests(&self) -> Vec<RecordedRequest> {
        lock(&self.requests).iter().cloned().collect()
    }

    pub(super) fn forget(&self) {
        lock(&self.requests).clear();
        self.peak
            .store(self.in_flight.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    pub(super) fn peak_in_flight(&self) -> usize {
        self.peak.load(Ordering::SeqCst)
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(super) fn fail_next(&self, method: &str, times: usize, status: u16) {
        *lock(&self.failing) = Failing {
            method: method.to_owned(),
            times,
            status,
        };
    }

    pub(super) fn set_delay(&self, delay: Duration) {
        *lock(&self.delay) = delay;
    }

    fn remember(&self, request: &Request<Incoming>) {
        let mut requests = lock(&self.requests);
        if requests.len() == REMEMBERED {
            requests.pop_front();
        }
        let range = request.headers().get(http::header::RANGE);
        requests.push_back(RecordedRequest {
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            query: request.uri().query().unwrap_or_default().to_owned(),
            range: range.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()),
        });
    }

    fn failure(&self, method: &str) -> Option<StatusCode> {
        let mut failing = lock(&self.failing);
        let hit = failing.times > 0 && (failing.method == "*" || failing.method == method);
        failing.times -= usize::from(hit);
        hit.then(|| StatusCode::from_u16(failing.status).expect("an error status was asked for"))
    }
}

/// One request under way.
struct Visit(Arc<Desk>);

impl Visit {
    fn begin(desk: &Arc<Desk>) -> Self {
        let now = desk.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        desk.peak.fetch_max(now, Ordering::SeqCst);
        Self(Arc::clone(desk))
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Serves connections until it is dropped.
pub(super) async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    service: S3Service,
    desk: Arc<Desk>,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            // Ended ones are let go of as we come by.
            Some(_) = connections.join_next() => continue,
        };
        let Ok((socket, _)) = accepted else {
            // Out of file descriptors, most likely: it passes when others are closed.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        desk.connections.fetch_add(1, Ordering::SeqCst);
        // Without it the end of an answer waits 40 ms for an acknowledgement. A socket without the option works, only later.
        drop(socket.set_nodelay(true));
        let (service, desk, tls) = (service.clone(), Arc::clone(&desk), tls.clone());
        connections.spawn(async move {
            match tls {
                None => serve_connection(socket, service, desk).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(socket).await {
                        serve_connection(stream, service, desk).await;
                    }
                }
            }
        });
    }
}

async fn serve_connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    service: S3Service,
    desk: Arc<Desk>,
) {
    let handler = service_fn(move |request| handle(request, service.clone(), Arc::clone(&desk)));
    let server = auto::Builder::new(TokioExecutor::new());
    // A broken connection is the client's to report.
    drop(server.serve_connection(TokioIo::new(stream), handler).await);
}

async fn handle(
    request: Request<Incoming>,
    service: S3Service,
    desk: Arc<Desk>,
) -> Result<Response<Body>, Infallible> {
    let visit = Visit::begin(&desk);
    desk.remember(&request);
    let delay = *lock(&desk.delay);
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let response = match desk.failure(request.method().as_str()) {
        Some(status) => error(status, ""),
        None => match service.call(request.map(s3s::Body::from)).await {
            Ok(response) => response.map(|body| {
                // `visit` goes along: the request ends when the body does.
                let body = body.map_frame(move |frame| {
                    let _still_under_way = &visit;
                    frame
                });
                UnsyncBoxBody::new(body)
            }),
            Err(why) => error(StatusCode::INTERNAL_SERVER_ERROR, &format!("{why:?}")),
        },
    };
    Ok(response)
}

fn error(status: StatusCode, message: &str) -> Response<Body> {
    let code = match status {
        StatusCode::SERVICE_UNAVAILABLE => "SlowDown",
        StatusCode::FORBIDDEN => "AccessDenied",
        _ => "InternalError",
    };
    let xml = format!(
        r#"<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>"#
    );
    let body = http_body_util::Full::from(xml).map_err(|never| match never {});
    let response = Response::builder()
        .status(status)
        .header("content-type", "application/xml");
    response
        .body(UnsyncBoxBody::new(body))
        .expect("these parts are valid")
}
