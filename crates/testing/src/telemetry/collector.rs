//! A collector that keeps what it is sent.

use std::convert::Infallible;
use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use bytes::Bytes;
use flate2::read::GzDecoder;
use http::header::{CONTENT_ENCODING, RETRY_AFTER};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::background::Background;
use crate::ports::ReservedPort;
use crate::process::lock;

/// Longest wait for what should come.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a collector answers.
#[derive(Debug, Clone, Copy)]
pub enum Manner {
    /// It takes everything.
    Takes,
    /// With this status.
    Refuses(u16),
    /// With this status, the first time only.
    RefusesOnce(u16),
    /// For now, with this `Retry-After`.
    Postpones(&'static str),
    /// It never answers.
    Hangs,
    /// It takes everything, after this time.
    Slow(Duration),
}

/// What came.
#[derive(Debug, Clone)]
pub struct Post {
    /// The path that it was sent to.
    pub path: String,
    /// With these headers.
    pub headers: HeaderMap,
    /// What was sent, without its content coding.
    pub body: Bytes,
}

/// A collector of OTLP over HTTP in this process, which keeps what it is sent and does not look into it.
#[derive(Debug)]
pub struct Collector {
    taken: Arc<Taken>,
    port: ReservedPort,
    /// It serves as long as it is there.
    _serving: Background,
}

#[derive(Debug, Default)]
struct Taken {
    posts: Mutex<Vec<Post>>,
    came: Condvar,
}

impl Collector {
    /// Starts one on a port of its own.
    ///
    /// # Panics
    /// If it cannot listen.
    pub fn start(manner: Manner) -> Self {
        let port = ReservedPort::new();
        let taken = Arc::<Taken>::default();
        let shared = Arc::clone(&taken);
        let serving = Background::listen("collector", port.number(), move |listener| {
            serve(listener, shared, manner)
        })
        .unwrap_or_else(|error| panic!("the collector does not listen: {error}"));
        Self {
            taken,
            port,
            _serving: serving,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Its URL with this path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// All that came so far.
    pub fn posts(&self) -> Vec<Post> {
        lock(&self.taken.posts).clone()
    }

    /// What came to this path so far.
    pub fn at(&self, path: &str) -> Vec<Post> {
        let posts = self.posts().into_iter();
        posts.filter(|post| post.path == path).collect()
    }

    /// Waits for so many posts. Blocks its thread.
    ///
    /// # Panics
    /// If they do not come.
    pub fn wait_for(&self, count: usize) {
        let too_few = |posts: &mut Vec<Post>| posts.len() < count;
        let posts = lock(&self.taken.posts);
        let waited = self.taken.came.wait_timeout_while(posts, PATIENCE, too_few);
        let (posts, waited) = waited.unwrap_or_else(std::sync::PoisonError::into_inner);
        assert!(!waited.timed_out(), "only {} posts", posts.len());
    }
}

async fn serve(listener: TcpListener, taken: Arc<Taken>, manner: Manner) {
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            Ok((stream, _)) = listener.accept() => stream,
            Some(_) = connections.join_next() => continue,
        };
        let taken = Arc::clone(&taken);
        let service = service_fn(move |request| take(Arc::clone(&taken), manner, request));
        connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn take(
    taken: Arc<Taken>,
    manner: Manner,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, mut body) = request.into_parts();
    let mut bytes = Vec::new();
    // A sender that goes away in the middle has sent nothing.
    while let Some(frame) = body.frame().await {
        match frame.map(http_body::Frame::into_data) {
            Ok(Ok(data)) => bytes.extend_from_slice(&data),
            Ok(Err(_)) => {}
            Err(_) => std::future::pending().await,
        }
    }
    if parts
        .headers
        .get(CONTENT_ENCODING)
        .is_some_and(|coding| coding == "gzip")
    {
        let mut whole = Vec::new();
        if let Err(error) = GzDecoder::new(&bytes[..]).read_to_end(&mut whole) {
            panic!("a body that is not of its content coding came: {error}");
        }
        bytes = whole;
    }
    let count = {
        let mut posts = lock(&taken.posts);
        posts.push(Post {
            path: parts.uri.path().to_owned(),
            headers: parts.headers,
            body: bytes.into(),
        });
        taken.came.notify_all();
        posts.len()
    };
    let status = match manner {
        Manner::Refuses(status) => status,
        Manner::RefusesOnce(status) if count == 1 => status,
        Manner::Takes | Manner::RefusesOnce(_) => 200,
        Manner::Postpones(_) => 503,
        Manner::Hangs => std::future::pending().await,
        Manner::Slow(pause) => {
            tokio::time::sleep(pause).await;
            200
        }
    };
    let mut response = Response::builder().status(status);
    if let Manner::Postpones(until) = manner {
        response = response.header(RETRY_AFTER, until);
    }
    let response = response.body(Full::default());
    Ok(response.expect("a status and nothing else is an answer"))
}
