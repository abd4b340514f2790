//! A client of an edge: the requests of a deployment, sent again when that may help.
//!
//! 1. Every request has a deadline; those that carry bytes have more time the more they carry.
//! 2. Redirects are not followed: whoever they lead to would get the token.
//! 3. The token is sent in `can_write_jwt`, as the published clients do, and in `can-write-jwt` for proxies that drop
//!    names with an underscore.

mod error;
mod options;
mod replication;
mod requests;
mod retry;

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use aws_lc_rs::rand;
use favonius_contract::EdgeHost;
use favonius_storage::Clock;
use reqwest::{
    Certificate, Client, Method, RequestBuilder, Url,
    header::{HeaderValue, LOCATION, RETRY_AFTER},
    redirect,
};

pub(crate) use self::{
    error::EdgeError,
    options::{EdgeArgs, header, parse_origin},
    replication::{Letter, ReceivedState, TargetState},
    requests::Stored,
};
use self::{
    error::{Refusal, is_tls},
    retry::Trouble,
};
use crate::{deploy::Progress, failure::usage};

/// How long a request that carries little may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The slowest upload that is waited for, in bytes a second.
const SLOWEST: u64 = 64 * 1024;
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest answer that is read: the hash list of an application with a million files.
const MAX_ANSWER: usize = 128 * 1024 * 1024;

/// How an edge is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// As the environment says (`HTTPS_PROXY`, `NO_PROXY` and so on).
    Environment,
    /// At this address, without a proxy: it runs on this machine.
    Direct(SocketAddr),
}

/// A client of one edge.
pub(crate) struct Edge {
    http: Client,
    origin: EdgeHost,
    base: Url,
    token: HeaderValue,
    progress: Progress,
    clock: Clock,
}

/// A whole answer.
struct Answer {
    status: u16,
    retry_after: Option<Duration>,
    location: Option<String>,
    body: Vec<u8>,
}

/// Why there is no whole answer.
enum Broken {
    Connection(reqwest::Error),
    TooLong,
}

impl Edge {
    /// A client of the edge at this origin. Nothing is sent yet.
    pub(crate) fn new(
        origin: EdgeHost,
        token: HeaderValue,
        ca_file: Option<&Path>,
        way: Way,
        progress: Progress,
    ) -> anyhow::Result<Self> {
        let base = Url::parse(&origin.origin())
            .map_err(|error| usage(format!("{origin} is not a URL: {error}")))?;
        let mut builder = Client::builder()
            .user_agent(concat!("favonius/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT);
        let trusted = ca_file.map(read_certificates).transpose()?;
        builder = match trusted {
            Some(trusted) => builder.tls_certs_merge(trusted),
            // A machine without any certificates can still reach an edge without TLS.
            None if base.scheme() == "http" => builder.tls_certs_only([]),
            None => builder,
        };
        if let Way::Direct(address) = way {
            builder = builder.no_proxy().resolve(origin.host().as_str(), address);
        }
        let http = builder.build().context("could not set up TLS")?;
        Ok(Self {
            http,
            origin,
            base,
            token,
            progress,
            clock: Clock::system(),
        })
    }

    /// The origin that requests go to.
    pub(crate) fn origin(&self) -> &EdgeHost {
        &self.origin
    }

    /// A request with these parameters in its query.
    fn request(&self, method: Method, path: &str, query: &[(&str, &str)]) -> RequestBuilder {
        let mut url = self.base.clone();
        url.set_path(path);
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(query)
            .finish();
        url.set_query(Some(&query));
        self.http.request(method, url)
    }

    /// A POST by somebody who may write.
    fn write(&self, path: &str, query: &[(&str, &str)]) -> RequestBuilder {
        self.signed(Method::POST, path, query)
    }

    /// A request with the token.
    fn signed(&self, method: Method, path: &str, query: &[(&str, &str)]) -> RequestBuilder {
        self.request(method, path, query)
            .header("can_write_jwt", self.token.clone())
            .header("can-write-jwt", self.token.clone())
    }

    /// Sends a request, again if need be, and gives the body of the 2xx answer. `make` is called for each attempt, and
    /// `what` says what it is for.
    async fn send(
        &self,
        what: &str,
        timeout: Duration,
        make: impl AsyncFn() -> Result<RequestBuilder, EdgeError>,
    ) -> Result<Vec<u8>, EdgeError> {
        let edge = self.origin.origin();
        let mut retries = 0;
        loop {
            let request = make().await?.timeout(timeout);
            let (trouble, error) = match self.attempt(request).await {
                Ok(answer) if (200..300).contains(&answer.status) => return Ok(answer.body),
                Ok(Answer {
                    status,
                    retry_after,
                    location,
                    body,
                }) => {
                    let refusal = Refusal::read(what, &edge, status, location.as_deref(), &body);
                    let error = EdgeError::Refused(Box::new(refusal));
                    (
                        Trouble::Status {
                            status,
                            retry_after,
                        },
                        error,
                    )
                }
                Err(Broken::TooLong) => {
                    let problem = format!("it sends more than {MAX_ANSWER} bytes");
                    return Err(EdgeError::Strange {
                        what: what.to_owned(),
                        edge,
                        problem,
                    });
                }
                Err(Broken::Connection(cause)) => no_answer(what, &edge, retries, cause),
            };
            let Some(pause) = retry::pause(retries, trouble, spread()) else {
                return Err(error);
            };
            self.progress.note(&format!(
                "{error}; trying again in {:.1} s",
                pause.as_secs_f64()
            ));
            tokio::time::sleep(pause).await;
            retries += 1;
        }
    }

    async fn attempt(&self, request: RequestBuilder) -> Result<Answer, Broken> {
        let mut response = request.send().await.map_err(Broken::Connection)?;
        let text = |name| {
            response
                .headers()
                .get(name)?
                .to_str()
                .ok()
                .map(str::to_owned)
        };
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(self.clock.now_ms());
        let retry_after = text(RETRY_AFTER).and_then(|value| retry::retry_after(&value, now));
        let location = text(LOCATION).filter(|_| response.status().is_redirection());
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(Broken::Connection)? {
            if body.len() + piece.len() > MAX_ANSWER {
                return Err(Broken::TooLong);
            }
            body.extend_from_slice(&piece);
        }
        Ok(Answer {
            status,
            retry_after,
            location,
            body,
        })
    }

    /// Reads the body of an answer that should be JSON of a certain form.
    fn read<T: serde::de::DeserializeOwned>(
        &self,
        what: &str,
        body: &[u8],
    ) -> Result<T, EdgeError> {
        serde_json::from_slice(body).map_err(|error| EdgeError::Strange {
            what: what.to_owned(),
            edge: self.origin.origin(),
            problem: error.to_string(),
        })
    }
}

/// How long a request with so many bytes may take.
fn timeout_for(bytes: u64) -> Duration {
    TIMEOUT + Duration::from_secs(bytes / SLOWEST)
}

fn no_answer(what: &str, edge: &str, retries: u32, cause: reqwest::Error) -> (Trouble, EdgeError) {
    let (trouble, hint) = if is_tls(&cause) {
        let hint = "no agreement on TLS: for a private certificate authority give --ca-file, for an edge without TLS \
                    write http://";
        (Trouble::Permanent, hint.to_owned())
    } else if cause.is_builder() {
        (Trouble::Permanent, "the request cannot be made".to_owned())
    } else {
        (
            Trouble::Connection,
            format!("attempt {}; is an edge running there?", retries + 1),
        )
    };
    let (what, edge) = (what.to_owned(), edge.to_owned());
    (
        trouble,
        EdgeError::NoAnswer {
            what,
            edge,
            hint,
            cause: cause.without_url(),
        },
    )
}

/// A random number from 0 to 1.
fn spread() -> f64 {
    let mut byte = [0];
    match rand::fill(&mut byte) {
        Ok(()) => f64::from(byte[0]) / 255.0,
        Err(_) => 0.5,
    }
}

fn read_certificates(file: &Path) -> anyhow::Result<Vec<Certificate>> {
    let shown = file.display();
    let pem = fs::read(file)
        .map_err(|error| usage(format!("--ca-file {shown} cannot be read: {error}")))?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(usage(format!(
            "--ca-file {shown} has no certificate in PEM form"
        ))),
        Err(error) => Err(usage(format!(
            "--ca-file {shown} is not in PEM form: {error}"
        ))),
    }
}
