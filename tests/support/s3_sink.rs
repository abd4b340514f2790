//! An S3 server that forgets what it is given, for tests that upload more than a disk should take.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use favonius_testing::{Background, ReservedPort, Settings};
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Takes objects in one request or in parts, remembers their sizes and drops their bytes. It knows what the worker asks of a
/// bucket and nothing else, and checks no signatures.
#[derive(Debug)]
pub(crate) struct S3Sink {
    port: ReservedPort,
    taken: Arc<Taken>,
    _serving: Background,
}

#[derive(Debug, Default)]
struct Taken {
    /// Size by key; of an upload in parts as far as it has come.
    sizes: Mutex<BTreeMap<String, u64>>,
    complete: Mutex<BTreeMap<String, u64>>,
    bytes: AtomicU64,
}

impl S3Sink {
    pub(crate) fn start() -> Self {
        let port = ReservedPort::new();
        let taken = Arc::<Taken>::default();
        let shared = Arc::clone(&taken);
        let serving = Background::listen("s3 sink", port.number(), move |listener| {
            serve(listener, shared)
        });
        Self {
            port,
            taken,
            _serving: serving.unwrap(),
        }
    }

    /// How many objects are complete.
    pub(crate) fn objects(&self) -> usize {
        self.taken.complete.lock().unwrap().len()
    }

    /// How many bytes came.
    pub(crate) fn bytes(&self) -> u64 {
        self.taken.bytes.load(SeqCst)
    }
}

impl Settings for S3Sink {
    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            (
                "ZE_WORKER_S3_ENDPOINT",
                format!("http://{}", self.port.address()),
            ),
            ("ZE_WORKER_S3_ACCESS_KEY_ID", "anybody".to_owned()),
            (
                "ZE_WORKER_S3_SECRET_ACCESS_KEY",
                "test-secret-key".to_owned(),
            ),
            ("ZE_WORKER_S3_BUCKET", "sink".to_owned()),
        ]
    }
}

async fn serve(listener: TcpListener, taken: Arc<Taken>) {
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted.unwrap().0,
            Some(_) = connections.join_next() => continue,
        };
        let taken = Arc::clone(&taken);
        let service = service_fn(move |request| answer(request, Arc::clone(&taken)));
        connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer(
    request: Request<Incoming>,
    taken: Arc<Taken>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, mut body) = request.into_parts();
    let key = head.uri.path().trim_start_matches("/sink/").to_owned();
    let query = head.uri.query().unwrap_or_default();
    let is_part = query.contains("uploadId=");
    let mut size = 0;
    while let Some(Ok(frame)) = body.frame().await {
        size += frame.data_ref().map_or(0, |data| data.len() as u64);
    }
    let response = || Response::builder().header("etag", "\"sunk\"");
    let respond = |xml: String| response().body(Full::from(xml)).unwrap();
    let mut sizes = taken.sizes.lock().unwrap();
    let mut complete = taken.complete.lock().unwrap();
    Ok(match head.method {
        Method::PUT if is_part => {
            taken.bytes.fetch_add(size, SeqCst);
            *sizes.entry(key).or_default() += size;
            respond(String::new())
        }
        Method::PUT => {
            taken.bytes.fetch_add(size, SeqCst);
            complete.insert(key, size);
            respond(String::new())
        }
        Method::POST if is_part => {
            let size = sizes.remove(&key).unwrap_or_default();
            complete.insert(key.clone(), size);
            respond(format!(
                "<CompleteMultipartUploadResult><Location>/sink/{key}</Location><Bucket>sink</Bucket>\
                 <Key>{key}</Key><ETag>\"sunk\"</ETag></CompleteMultipartUploadResult>"
            ))
        }
        Method::POST => respond(format!(
            "<InitiateMultipartUploadResult><Bucket>sink</Bucket><Key>{key}</Key>\
             <UploadId>one</UploadId></InitiateMultipartUploadResult>"
        )),
        Method::DELETE => {
            sizes.remove(&key);
            respond(String::new())
        }
        Method::GET => respond(
            "<ListBucketResult><Name>sink</Name><IsTruncated>false</IsTruncated></ListBucketResult>"
                .to_owned(),
        ),
        _ => match complete.get(&key) {
            Some(size) => response()
                .header("content-length", size.to_string())
                .header("last-modified", "Sat, 21 Nov 2026 10:00:00 GMT")
                .body(Full::default())
                .unwrap(),
            None => Response::builder().status(404).body(Full::default()).unwrap(),
        },
    })
}
