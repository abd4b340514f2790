//! An HTTP client for tests: it sends what it is told to and shows what comes back.

mod connect;
mod raw;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::TryStream;
use http::header::{CONTENT_TYPE, HOST};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde_json::Value;

use crate::tls::TestCa;
use connect::Connector;
pub(crate) use raw::raw_http_blocking;
pub use raw::{RawConnection, raw_http};

type Body = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// A client of one server, found by its address and never by a name: the `Host` of each request is free.
///
/// It follows no redirects, uses no proxy, decodes no content coding, retries nothing, stores no cookies, and adds only a `Host` where
/// none is given. Connections are kept and used again, for other hosts as well. Clones share them.
#[derive(Debug, Clone)]
pub struct Client {
    inner: legacy::Client<Connector, Body>,
    address: SocketAddr,
    opened: Arc<AtomicUsize>,
    http2: bool,
    timeout: Duration,
}

/// Why there is no answer, or no whole one.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No answer, or not the end of it, in time.
    #[error("no whole answer within {0:?}")]
    Timeout(Duration),
    /// No connection, or it broke before the head of the answer.
    #[error("no answer")]
    Request(#[source] legacy::Error),
    /// The connection broke in the middle of the body.
    #[error("the body broke off after {read} bytes")]
    Body {
        /// How many bytes had come.
        read: usize,
        /// What broke.
        #[source]
        cause: hyper::Error,
    },
}

impl ClientError {
    /// Whether nothing listens there.
    pub fn is_connect(&self) -> bool {
        matches!(self, Self::Request(error) if error.is_connect())
    }
}

impl Client {
    /// HTTP/1.1.
    pub fn new(address: SocketAddr) -> Self {
        Self::build(address, None, false, true)
    }

    /// HTTP/1.1 with a connection for each request.
    pub fn without_reuse(address: SocketAddr) -> Self {
        Self::build(address, None, false, false)
    }

    /// HTTP/2 without TLS, by prior knowledge (RFC 9113 section 3.3). A host is then sent as `:authority`.
    pub fn http2(address: SocketAddr) -> Self {
        Self::build(address, None, true, true)
    }

    /// HTTP/1.1 over TLS with a server whose certificate is for `localhost` and of this authority.
    pub fn tls(address: SocketAddr, ca: &TestCa) -> Self {
        Self::build(address, Some(ca), false, true)
    }

    fn build(address: SocketAddr, ca: Option<&TestCa>, http2: bool, reuse: bool) -> Self {
        let opened = Arc::<AtomicUsize>::default();
        let connector = Connector {
            address,
            tls: ca.map(|ca| Arc::new(ca.client_config())),
            opened: Arc::clone(&opened),
        };
        let inner = legacy::Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(if reuse { usize::MAX } else { 0 })
            .pool_timer(TokioTimer::new())
            .retry_canceled_requests(false)
            .http2_only(http2)
            .build(connector);
        Self {
            inner,
            address,
            opened,
            http2,
            timeout: Duration::from_secs(30),
        }
    }

    /// The server's address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections were opened so far.
    pub fn connections_opened(&self) -> usize {
        self.opened.load(Ordering::SeqCst)
    }

    /// A GET of a path with query, sent as it stands here.
    pub fn get(&self, target: &str) -> RequestBuilder<'_> {
        self.request(Method::GET, target)
    }

    /// A HEAD.
    pub fn head(&self, target: &str) -> RequestBuilder<'_> {
        self.request(Method::HEAD, target)
    }

    /// A POST, with no body unless one is given.
    pub fn post(&self, target: &str) -> RequestBuilder<'_> {
        self.request(Method::POST, target)
    }

    /// Any method.
    ///
    /// # Panics
    /// If `target` is not a path that HTTP allows: write those with [`raw_http`].
    pub fn request(&self, method: Method, target: &str) -> RequestBuilder<'_> {
        let ok = target.starts_with('/') && !target.contains('#');
        assert!(
            ok,
            "`{target}` is no path that a request can have; see raw_http"
        );
        RequestBuilder {
            client: self,
            method,
            target: target.to_owned(),
            headers: HeaderMap::new(),
            body: Body::new(http_body_util::Empty::new().map_err(|never| match never {})),
            timeout: self.timeout,
        }
    }
}

/// A request that is being put together.
#[derive(Debug)]
#[must_use = "nothing happens until it is sent"]
pub struct RequestBuilder<'c> {
    client: &'c Client,
    method: Method,
    target: String,
    headers: HeaderMap,
    body: Body,
    timeout: Duration,
}

impl RequestBuilder<'_> {
    /// The `Host` header; on HTTP/2 the `:authority`. Given twice, HTTP/1.1 sends both.
    pub fn host(self, host: &str) -> Self {
        self.header(HOST.as_str(), host)
    }

    /// Adds a header. Its value may be any bytes but control characters, UTF-8 or not.
    ///
    /// # Panics
    /// If the name or the value cannot be sent: write those with [`raw_http`].
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        let shown = || format!("{name}: {}", String::from_utf8_lossy(value));
        let name = HeaderName::from_bytes(name.as_bytes());
        let name = name.unwrap_or_else(|_| panic!("not a header: {}; see raw_http", shown()));
        let parsed = HeaderValue::from_bytes(value);
        let parsed = parsed.unwrap_or_else(|_| panic!("not a header: {}; see raw_http", shown()));
        self.headers.append(name, parsed);
        self
    }

    /// The token as the published clients send it.
    pub fn token(self, token: &str) -> Self {
        self.header("can_write_jwt", token)
    }

    /// A body of known length.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Body::new(Full::new(body.into()).map_err(|never| match never {}));
        self
    }

    /// A JSON body with its content type.
    pub fn json(self, value: &Value) -> Self {
        self.header(CONTENT_TYPE.as_str(), "application/json; charset=utf-8")
            .body(value.to_string())
    }

    /// A body in pieces. It is sent in chunks unless a `content-length` header is added.
    pub fn body_stream<S>(mut self, pieces: S) -> Self
    where
        S: TryStream<Ok = Bytes, Error = std::io::Error> + Send + 'static,
    {
        let frames = futures::TryStreamExt::map_ok(pieces, Frame::data);
        self.body = Body::new(StreamBody::new(frames).map_err(Into::into));
        self
    }

    /// How long the whole exchange may take; 30 s otherwise.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sends it and reads the whole answer.
    ///
    /// # Panics
    /// If there is none, see [`try_send`](Self::try_send).
    pub async fn send(self) -> Reply {
        let shown = format!("{} {}", self.method, self.target);
        let reply = self.try_send().await;
        reply.unwrap_or_else(|error| panic!("{shown}: {}", chain(&error)))
    }

    /// Sends it and reads the whole answer.
    pub async fn try_send(self) -> Result<Reply, ClientError> {
        let timeout = self.timeout;
        let exchange = async {
            let mut streaming = self.exchange().await?;
            let mut body = Vec::new();
            while let Some(piece) = streaming.next().await? {
                body.extend_from_slice(&piece);
            }
            Ok(Reply {
                status: streaming.status,
                version: streaming.version,
                headers: streaming.headers,
                body: body.into(),
            })
        };
        tokio::time::timeout(timeout, exchange)
            .await
            .map_err(|_| ClientError::Timeout(timeout))?
    }

    /// Sends it and returns when the head of the answer is there; the time allowed is for that alone.
    pub async fn send_streaming(self) -> Result<StreamingReply, ClientError> {
        let timeout = self.timeout;
        let exchange = tokio::time::timeout(timeout, self.exchange());
        exchange.await.map_err(|_| ClientError::Timeout(timeout))?
    }

    async fn exchange(mut self) -> Result<StreamingReply, ClientError> {
        // One authority for all HTTP/1.1 requests, so that connections serve any host; HTTP/2 has no other place for it.
        let mut authority = self.client.address.to_string();
        if self.client.http2
            && let Some(host) = self.headers.remove(HOST)
        {
            authority = String::from_utf8_lossy(host.as_bytes()).into_owned();
        }
        let parsed: Authority = authority
            .parse()
            .unwrap_or_else(|error| panic!("`{authority}` is no authority: {error}"));
        let uri = Uri::builder()
            .scheme("http")
            .authority(parsed)
            .path_and_query(&*self.target);
        let uri = uri.build().unwrap_or_else(|error| {
            panic!(
                "`{}` is no path that a request can have ({error}); see raw_http",
                self.target
            )
        });
        let mut request = Request::new(self.body);
        *request.method_mut() = self.method;
        *request.uri_mut() = uri;
        *request.headers_mut() = self.headers;
        let response = self
            .client
            .inner
            .request(request)
            .await
            .map_err(ClientError::Request)?;
        let (head, body) = response.into_parts();
        Ok(StreamingReply {
            status: head.status,
            version: head.version,
            headers: head.headers,
            body,
            read: 0,
        })
    }
}

/// An answer with its whole body.
#[derive(Debug, Clone)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// The protocol it came by.
    pub version: Version,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body as sent: a content coding is still on it.
    pub body: Bytes,
}

impl Reply {
    /// The first value of a header, if it is there and text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as text; bytes that are not UTF-8 are replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If it is none; it is shown.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in: {self:?}"))
    }

    /// The reply itself, if its status is this one.
    ///
    /// # Panics
    /// If it is another; the whole answer is shown.
    #[track_caller]
    #[must_use]
    pub fn expect_status(self, status: u16) -> Self {
        let text = self.text();
        assert_eq!(self.status.as_u16(), status, "{:?}\n{text}", self.headers);
        self
    }
}

/// An answer whose body is still coming. Dropping it breaks the connection off.
#[derive(Debug)]
pub struct StreamingReply {
    /// Its status.
    pub status: StatusCode,
    /// The protocol it came by.
    pub version: Version,
    /// Its headers.
    pub headers: HeaderMap,
    body: Incoming,
    read: usize,
}

impl StreamingReply {
    /// The next piece of the body; `None` at its proper end. Waits as long as it takes.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(|cause| ClientError::Body {
                read: self.read,
                cause,
            })?;
            if let Ok(data) = frame.into_data() {
                self.read += data.len();
                return Ok(Some(data));
            }
        }
        Ok(None)
    }
}

/// An error and all its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
