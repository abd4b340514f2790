//! The way to another region over HTTP. Each request carries a token of its own, which is good for it alone and for a minute.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::{Duration, UNIX_EPOCH},
};

use async_trait::async_trait;
use bytes::Bytes;
use favonius_auth::{MintRequest, Minter, Scope, request_digest};
use favonius_contract::{
    SnapshotDocument,
    replication::{
        DigestAnswer, DigestRequest, FetchRequest, Lacking, LackingRequest, NamesAnswer,
        NamesRequest, OwnedAsset, TargetRegion,
    },
};
use favonius_storage::Clock;
use favonius_telemetry::pass_on_trace;
use futures::{Stream, StreamExt, stream};
use httpdate::parse_http_date;
use reqwest::{
    Body, Method, Response, StatusCode, Url,
    header::{CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderMap, HeaderValue, RETRY_AFTER},
    redirect,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

use crate::{IncomingBody, LinkError, OutgoingBody, RegionLink};

/// Longest time for reaching a region.
const CONNECT: Duration = Duration::from_secs(5);
/// Longest time for an answer, counted from the last piece of the request. The region itself gives up after 20 s.
const ANSWER: Duration = Duration::from_secs(25);
/// Longest time without a piece of a request or of an answer moving on.
const SILENCE: Duration = Duration::from_secs(25);
/// In pieces of this many bytes documents are sent.
const PIECE: usize = 64 * 1024;
/// For how long a connection is kept that nobody uses.
const IDLE: Duration = Duration::from_mins(1);
/// Longest time for one asset, whatever its size.
const LONGEST: Duration = Duration::from_hours(6);
/// For how long a token is good.
const TOKEN_FOR: Duration = Duration::from_mins(1);
/// By how many seconds a region's clock may differ before it matters.
const TOLERATED_S: i64 = 3;
/// By how many it may differ before it is not believed.
const MOST_WRONG_S: i64 = 3600;
/// How much of a JSON answer is read.
const MOST_ANSWER: usize = 64 * 1024 * 1024;
/// How much of the reason for a refusal is kept.
const MOST_REASON: usize = 500;

/// Who sends, over which connections: shared by the links to all regions.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    minter: Arc<Minter>,
    replica: Arc<str>,
    clock: Clock,
}

impl Client {
    /// `plain` if no region is reached over TLS: a machine without certificates can speak plain HTTP.
    pub(crate) fn new(
        minter: Arc<Minter>,
        replica: &str,
        clock: Clock,
        plain: bool,
    ) -> Result<Self, reqwest::Error> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("favonius/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            // Sooner than the other side closes them, which a request on its way would find out too late.
            .pool_idle_timeout(IDLE)
            // What counts is our configuration, not HTTP_PROXY.
            .no_proxy()
            // The tokens are for one region only.
            .redirect(redirect::Policy::none());
        if plain {
            builder = builder.tls_certs_only([]);
        }
        Ok(Self {
            http: builder.build()?,
            minter,
            replica: replica.into(),
            clock,
        })
    }
}

/// The way to one region.
pub(crate) struct HttpLink {
    client: Client,
    base: Url,
    /// How far the region's clock is ahead of ours, in seconds, by its last answer: a token is good by its clock.
    ahead_s: AtomicI64,
}

/// What an edge says when it refuses.
#[derive(Deserialize)]
struct Refusal {
    error: String,
    #[serde(default)]
    message: String,
    lacking: Option<Lacking>,
}

impl HttpLink {
    pub(crate) fn new(client: Client, target: &TargetRegion) -> Result<Self, url::ParseError> {
        Ok(Self {
            client,
            base: Url::parse(target.as_str())?,
            ahead_s: AtomicI64::new(0),
        })
    }

    fn url(&self, query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        let path = format!("{}/upload", self.base.path().trim_end_matches('/'));
        url.set_path(&path);
        url.query_pairs_mut().extend_pairs(query);
        url
    }

    /// Sends a request with a token of its own. `body_hash` is the hash of a body that the token is to stand for.
    async fn send(
        &self,
        url: Url,
        body: Body,
        length: u64,
        body_hash: Option<&str>,
        progress: &Notify,
    ) -> Result<Response, LinkError> {
        // What stands before it may be taken away by a proxy; the region sees this much.
        let query = url.query().unwrap_or_default();
        let bound = request_digest("POST", &format!("/upload?{query}"), body_hash);
        let token = self.token(bound)?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_LENGTH, length.into());
        headers.insert("can-write-jwt", token);
        if body_hash.is_some() {
            let json = HeaderValue::from_static("application/json");
            headers.insert(CONTENT_TYPE, json);
        }
        pass_on_trace(&tracing::Span::current(), &mut headers);
        let request = self
            .client
            .http
            .request(Method::POST, url)
            .headers(headers)
            .timeout(LONGEST)
            .body(body);
        let response = while_it_moves(request.send(), progress).await?;
        let response = response.map_err(|error| unreachable(&error))?;
        self.note_clock(response.headers());
        if response.status().is_success() {
            Ok(response)
        } else {
            Err(refused(response).await)
        }
    }

    /// Learns how the region's clock stands. One that is about right is left alone.
    fn note_clock(&self, headers: &HeaderMap) {
        let date = headers.get(DATE).and_then(|date| date.to_str().ok());
        let Some(date) = date.and_then(|date| parse_http_date(date).ok()) else {
            return;
        };
        let Ok(theirs) = date.duration_since(UNIX_EPOCH) else {
            return;
        };
        let ours = Duration::from_millis(self.client.clock.now_ms());
        let ahead = theirs.as_secs().cast_signed() - ours.as_secs().cast_signed();
        let is_wrong = (TOLERATED_S..=MOST_WRONG_S).contains(&ahead.abs());
        self.ahead_s
            .store(if is_wrong { ahead } else { 0 }, Relaxed);
    }

    fn token(&self, bound: String) -> Result<HeaderValue, LinkError> {
        let scope = Scope::Replica {
            name: self.client.replica.to_string(),
        };
        let id: u128 = rand::random();
        let request = MintRequest::new(scope, TOKEN_FOR).for_request(format!("{id:032x}"), bound);
        let now_s = self.client.clock.now_ms() / 1000;
        let now_s = now_s.saturating_add_signed(self.ahead_s.load(Relaxed));
        let minted = self.client.minter.mint(&request, now_s);
        let token = minted.map_err(|error| LinkError::unavailable(error.to_string()))?;
        let mut token = HeaderValue::try_from(token)
            .map_err(|_| LinkError::unavailable("a token is no header value"))?;
        token.set_sensitive(true);
        Ok(token)
    }

    /// Sends a document and reads a document.
    async fn ask<T: DeserializeOwned>(
        &self,
        kind: &str,
        request: &impl Serialize,
    ) -> Result<T, LinkError> {
        let response = self.ask_for_body(kind, request).await?;
        let whole = whole(response).await?;
        serde_json::from_slice(&whole)
            .map_err(|error| LinkError::unavailable(format!("it gave a strange answer: {error}")))
    }

    async fn ask_for_body(
        &self,
        kind: &str,
        request: &impl Serialize,
    ) -> Result<Response, LinkError> {
        let json = serde_json::to_vec(request)
            .map_err(|error| LinkError::Refused(format!("it cannot be written: {error}")))?;
        let hash = hex::encode(Sha256::digest(&json));
        let length = json.len() as u64;
        let url = self.url(&[("type", kind)]);
        let (body, progress) = in_pieces(json.into());
        self.send(url, body, length, Some(&hash), &progress).await
    }
}

#[async_trait]
impl RegionLink for HttpLink {
    async fn lacking(&self, request: &LackingRequest) -> Result<Lacking, LinkError> {
        self.ask("lacking", request).await
    }

    async fn send_asset(
        &self,
        owned: &OwnedAsset,
        path: &str,
        body: OutgoingBody,
    ) -> Result<(), LinkError> {
        let hash = owned.asset.hash.to_string();
        let url = self.url(&[
            ("type", "file"),
            ("hash", &hash),
            ("filename", path),
            ("application_uid", owned.application_uid.as_str()),
            ("listed", "1"),
        ]);
        let (body, progress) = moving(body);
        let sent = self.send(url, body, owned.asset.size, None, &progress);
        whole(sent.await?).await.map(drop)
    }

    async fn send_snapshot(&self, document: &SnapshotDocument) -> Result<(), LinkError> {
        let json = document.json();
        let hash = hex::encode(Sha256::digest(json));
        let url = self.url(&[("type", "snapshot")]);
        let length = json.len() as u64;
        let (body, progress) = in_pieces(Bytes::copy_from_slice(json));
        let sent = self.send(url, body, length, Some(&hash), &progress);
        whole(sent.await?).await.map(drop)
    }

    async fn names(&self, request: &NamesRequest) -> Result<NamesAnswer, LinkError> {
        self.ask("names", request).await
    }

    async fn digest(&self, request: &DigestRequest) -> Result<DigestAnswer, LinkError> {
        self.ask("digest", request).await
    }

    async fn fetch(&self, owned: &OwnedAsset) -> Result<Option<IncomingBody>, LinkError> {
        let request = FetchRequest {
            asset: owned.clone(),
        };
        match self.ask_for_body("fetch", &request).await {
            Ok(response) => Ok(Some(pieces(response).boxed())),
            Err(LinkError::Refused(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// A body, and what tells that it moves.
fn moving<E>(body: impl Stream<Item = Result<Bytes, E>> + Send + 'static) -> (Body, Arc<Notify>)
where
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
{
    let progress = Arc::new(Notify::new());
    let moved = Arc::clone(&progress);
    let body = Body::wrap_stream(body.inspect(move |_| moved.notify_one()));
    (body, progress)
}

/// A document as such a body: a large one on a slow way takes its time.
fn in_pieces(mut document: Bytes) -> (Body, Arc<Notify>) {
    moving(stream::iter(std::iter::from_fn(move || {
        let piece = document.split_to(document.len().min(PIECE));
        (!piece.is_empty()).then_some(Ok::<_, std::convert::Infallible>(piece))
    })))
}

/// Gives up when nothing moves: neither the request nor, after its last piece, the answer.
async fn while_it_moves<T>(
    work: impl Future<Output = T>,
    progress: &Notify,
) -> Result<T, LinkError> {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return Ok(done),
            () = progress.notified() => {}
            () = sleep(ANSWER) => return Err(LinkError::unavailable("it did not answer in time")),
        }
    }
}

/// The pieces of an answer, each of which must come in time.
fn pieces(response: Response) -> impl Stream<Item = Result<Bytes, LinkError>> + Send {
    stream::unfold(Some(response), async |response| {
        let mut response = response?;
        let piece = match timeout(SILENCE, response.chunk()).await {
            Ok(Ok(Some(piece))) => return Some((Ok(piece), Some(response))),
            Ok(Ok(None)) => return None,
            Ok(Err(error)) => unreachable(&error),
            Err(_) => LinkError::unavailable("its answer stopped half way"),
        };
        Some((Err(piece), None))
    })
}

/// Reads an answer of bounded size.
async fn whole(response: Response) -> Result<Vec<u8>, LinkError> {
    let mut whole = Vec::new();
    let mut pieces = std::pin::pin!(pieces(response));
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        if whole.len() + piece.len() > MOST_ANSWER {
            return Err(LinkError::unavailable("its answer is too long"));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole)
}

fn unreachable(error: &reqwest::Error) -> LinkError {
    let what = if error.is_timeout() {
        "it did not answer in time"
    } else if error.is_connect() {
        "it cannot be reached"
    } else {
        "the connection broke"
    };
    // The innermost cause says why; the URL is known.
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    LinkError::unavailable(format!("{what}: {cause}"))
}

/// What an answer that is no success means.
async fn refused(response: Response) -> LinkError {
    let status = response.status();
    let retry_after = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.trim().parse().ok())
        .map(Duration::from_secs);
    let body = whole(response).await.unwrap_or_default();
    meaning(status, retry_after, &body)
}

/// What is wrong with a request, whoever says so: a proxy in front of the edge may have a limit of its own.
const WRONG: [StatusCode; 7] = [
    StatusCode::BAD_REQUEST,
    StatusCode::LENGTH_REQUIRED,
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::URI_TOO_LONG,
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    StatusCode::UNPROCESSABLE_ENTITY,
    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
];

/// Beside what is wrong for everybody only an edge can refuse for good: a proxy that finds no edge, or a server that is none, may
/// be put right.
fn meaning(status: StatusCode, retry_after: Option<Duration>, body: &[u8]) -> LinkError {
    let Ok(refusal) = serde_json::from_slice::<Refusal>(body) else {
        let why = format!("status {}, and not from an edge", status.as_u16());
        return if WRONG.contains(&status) {
            LinkError::Refused(why)
        } else {
            LinkError::Unavailable { why, retry_after }
        };
    };
    if let (StatusCode::CONFLICT, Some(lacking)) = (status, refusal.lacking) {
        return LinkError::Incomplete(lacking);
    }
    let message: String = refusal.message.chars().take(MOST_REASON).collect();
    let why = format!("status {}, {}: {message}", status.as_u16(), refusal.error);
    match status {
        // Something is wrong with the key or a clock, not with what was sent.
        StatusCode::UNAUTHORIZED
        | StatusCode::REQUEST_TIMEOUT
        | StatusCode::TOO_EARLY
        | StatusCode::TOO_MANY_REQUESTS => LinkError::Unavailable { why, retry_after },
        StatusCode::INTERNAL_SERVER_ERROR => LinkError::Failed(why),
        status if status.is_client_error() => LinkError::Refused(why),
        // An edge that does not replicate yet, or is of an older version (501), may be set right as well.
        _ => LinkError::Unavailable { why, retry_after },
    }
}

impl fmt::Debug for HttpLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HttpLink")
            .field(&self.base.as_str())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> HttpLink {
        let minter = Minter::new("a secret of the tests that is long enough").unwrap();
        let clock = Clock::manual(1_800_000_000_000);
        let client = Client::new(Arc::new(minter), "eu", clock, true).unwrap();
        HttpLink::new(client, &"http://us.test/edge/".parse().unwrap()).unwrap()
    }

    #[test]
    fn only_an_edge_refuses_for_good() {
        let edge = br#"{"status":0,"error":"odd","message":"It is odd"}"#;
        let lacking = br#"{"error":"incomplete","lacking":{"snapshots":["ada-1.a.b.c"]}}"#;
        let cases: [(u16, &[u8], &str); 15] = [
            (400, edge, "refused"),
            (403, edge, "refused"),
            (409, edge, "refused"),
            (409, lacking, "incomplete"),
            (413, edge, "refused"),
            (422, edge, "refused"),
            (401, edge, "unavailable"),
            (408, edge, "unavailable"),
            (429, edge, "unavailable"),
            (500, edge, "failed"),
            (501, edge, "unavailable"),
            (503, edge, "unavailable"),
            (413, b"<html>nginx</html>", "refused"),
            (404, b"<html>nginx</html>", "unavailable"),
            (302, b"", "unavailable"),
        ];
        for (status, body, expected) in cases {
            let status = StatusCode::from_u16(status).unwrap();
            let meaning = meaning(status, Some(Duration::from_secs(7)), body);
            let found = match &meaning {
                LinkError::Refused(why) => {
                    assert!(body != edge || why.contains("It is odd"), "{why}");
                    "refused"
                }
                LinkError::Failed(_) => "failed",
                LinkError::Incomplete(lacking) => {
                    assert_eq!(lacking.snapshots.len(), 1);
                    "incomplete"
                }
                LinkError::Unavailable { retry_after, .. } => {
                    assert_eq!(*retry_after, Some(Duration::from_secs(7)));
                    "unavailable"
                }
            };
            assert_eq!(found, expected, "{status}: {meaning:?}");
        }
    }

    #[test]
    fn a_url_keeps_what_stands_before_it() {
        let url = link().url(&[("type", "file"), ("filename", "a b/&c.js")]);
        let expected = "http://us.test/edge/upload?type=file&filename=a+b%2F%26c.js";
        assert_eq!(url.as_str(), expected);
    }

    #[test]
    fn tokens_go_by_the_clock_of_who_takes_them() {
        let link = link();
        // 1,800,000,000 s after 1970 is 2027-01-15T08:00:00Z.
        let cases = [
            ("Fri, 15 Jan 2027 08:10:00 GMT", 600),
            ("Fri, 15 Jan 2027 07:50:00 GMT", -600),
            ("Fri, 15 Jan 2027 08:00:01 GMT", 0),
            // That is no clock.
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ];
        for (date, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(DATE, date.parse().unwrap());
            link.note_clock(&headers);
            assert_eq!(link.ahead_s.load(Relaxed), expected, "{date}");
        }
    }
}
