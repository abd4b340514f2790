//! A collector that keeps what it is sent.

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use prost::Message;
use tokio::{net::TcpListener, runtime::Runtime};

/// How a collector answers.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Manner {
    Takes,
    /// With this status.
    Refuses(u16),
    /// With this status, the first time only.
    RefusesOnce(u16),
    Hangs,
    Slow(Duration),
}

/// What came.
#[derive(Debug, Clone)]
pub(crate) struct Post {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Post {
    pub(crate) fn decode<M: Message + Default>(&self) -> M {
        M::decode(&self.body[..]).unwrap()
    }
}

#[derive(Default)]
struct Taken {
    posts: Mutex<Vec<Post>>,
    came: Condvar,
}

pub(crate) struct Collector {
    taken: Arc<Taken>,
    address: SocketAddr,
    /// It serves as long as it is there.
    _runtime: Runtime,
}

impl Collector {
    pub(crate) fn start(manner: Manner) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime
            .block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))
            .unwrap();
        let address = listener.local_addr().unwrap();
        let taken = Arc::new(Taken::default());
        let shared = Arc::clone(&taken);
        let handle = runtime.handle().clone();
        runtime.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let shared = Arc::clone(&shared);
                let service = service_fn(move |request| take(Arc::clone(&shared), manner, request));
                handle.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self {
            taken,
            address,
            _runtime: runtime,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn posts(&self) -> Vec<Post> {
        self.taken.posts.lock().unwrap().clone()
    }

    /// What came to this path so far.
    pub(crate) fn at(&self, path: &str) -> Vec<Post> {
        let posts = self.posts().into_iter();
        posts.filter(|post| post.path == path).collect()
    }

    /// Waits for so many posts.
    pub(crate) fn wait_for(&self, count: usize) {
        let posts = self.taken.posts.lock().unwrap();
        let too_few = |posts: &mut Vec<Post>| posts.len() < count;
        let longest = Duration::from_secs(30);
        let (posts, waited) = self
            .taken
            .came
            .wait_timeout_while(posts, longest, too_few)
            .unwrap();
        assert!(!waited.timed_out(), "only {} posts", posts.len());
    }
}

async fn take(
    taken: Arc<Taken>,
    manner: Manner,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let mut body = Limited::new(body, 64 << 20);
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        bytes.extend_from_slice(&frame.unwrap().into_data().unwrap());
    }
    let count = {
        let mut posts = taken.posts.lock().unwrap();
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
        Manner::Hangs => std::future::pending().await,
        Manner::Slow(pause) => {
            tokio::time::sleep(pause).await;
            200
        }
    };
    let response = Response::builder().status(status);
    Ok(response.body(Full::default()).unwrap())
}
