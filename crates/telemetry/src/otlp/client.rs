//! Posts to the collector.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use http::{
    HeaderValue, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use reqwest::{Response, redirect};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use super::settings::Endpoint;

/// Longest time for one attempt.
const ATTEMPT: Duration = Duration::from_secs(10);
/// Longest time for reaching the collector.
const CONNECT: Duration = Duration::from_secs(5);
/// Most attempts for one batch.
const ATTEMPTS: u32 = 5;
/// The pause after the first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// How much of an answer is read. A collector says little.
const MOST_ANSWER: usize = 64 * 1024;

/// Posts to the collector, over connections that it keeps.
#[derive(Debug, Clone)]
pub(crate) struct Client(reqwest::Client);

/// Why a batch was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Status(StatusCode, Option<Duration>),
    Unreachable,
    TimedOut,
    Broken,
}

impl Failure {
    /// What the standard calls retryable, and what never arrived.
    fn is_passing(&self) -> bool {
        match self {
            Self::Status(status, _) => matches!(status.as_u16(), 429 | 502 | 503 | 504),
            Self::Unreachable => true,
            Self::TimedOut | Self::Broken => false,
        }
    }

    pub(crate) fn reason(&self) -> Cow<'static, str> {
        match self {
            Self::Status(status, _) => {
                format!("the collector answered with status {}", status.as_u16()).into()
            }
            Self::Unreachable => "the collector cannot be reached".into(),
            Self::TimedOut => "the collector did not answer in time".into(),
            Self::Broken => "the connection to the collector broke".into(),
        }
    }
}

impl Client {
    /// `plain` if TLS is not needed: a machine without certificates can speak plain HTTP.
    pub(crate) fn new(plain: bool) -> Result<Self, reqwest::Error> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("favonius/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .timeout(ATTEMPT)
            // What counts is our configuration, not HTTP_PROXY.
            .no_proxy()
            // The headers are for one host only.
            .redirect(redirect::Policy::none());
        if plain {
            builder = builder.tls_certs_only([]);
        }
        builder.build().map(Self)
    }

    /// Sends a batch, again after a pause where that may help. Returns what the collector answers.
    ///
    /// Takes no longer than `within`, and makes no further attempt once `closing`.
    pub(crate) async fn send(
        &self,
        to: &Endpoint,
        body: Bytes,
        within: Duration,
        closing: &mut watch::Receiver<bool>,
    ) -> Result<Bytes, Failure> {
        let deadline = Instant::now() + within;
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            let remaining = deadline.saturating_duration_since(Instant::now());
            let failure = match timeout(remaining, self.attempt(to, body.clone())).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(failure)) => failure,
                Err(_) => Failure::TimedOut,
            };
            let wait = match failure {
                // One that asks for longer than there is gets no further attempt, however long that is.
                Failure::Status(_, Some(asked)) => asked.min(within),
                _ => pause.mul_f64(rand::random_range(0.5..1.0)),
            };
            let hopeless = attempt >= ATTEMPTS || Instant::now() + wait >= deadline;
            if hopeless || !failure.is_passing() || waited_to_close(wait, closing).await {
                return Err(failure);
            }
            pause *= 2;
        }
        Err(Failure::TimedOut)
    }

    async fn attempt(&self, to: &Endpoint, body: Bytes) -> Result<Bytes, Failure> {
        let request = self
            .0
            .post(to.url.clone())
            .headers(to.headers.clone())
            .header(
                CONTENT_TYPE,
                HeaderValue::from_static("application/x-protobuf"),
            )
            .body(body);
        let response = request.send().await.map_err(|error| failure(&error))?;
        let status = response.status();
        if !status.is_success() {
            return Err(Failure::Status(status, retry_after(&response)));
        }
        answer(response).await
    }
}

/// Waits for the pause, or for the end if that comes first; says whether it came.
async fn waited_to_close(pause: Duration, closing: &mut watch::Receiver<bool>) -> bool {
    tokio::select! {
        () = sleep(pause) => false,
        // An error means that nobody can say any more.
        _ = closing.wait_for(|closing| *closing) => true,
    }
}

fn failure(error: &reqwest::Error) -> Failure {
    if error.is_connect() {
        Failure::Unreachable
    } else if error.is_timeout() {
        Failure::TimedOut
    } else {
        Failure::Broken
    }
}

/// In seconds; a date is not understood, and then the usual pause is made.
fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    value.parse().ok().map(Duration::from_secs)
}

/// The answer, empty if it is too long to be one. Reading stops there.
async fn answer(mut response: Response) -> Result<Bytes, Failure> {
    let mut answer = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| failure(&error))? {
        if answer.len() + chunk.len() > MOST_ANSWER {
            return Ok(Bytes::new());
        }
        answer.extend_from_slice(&chunk);
    }
    Ok(answer.into())
}
