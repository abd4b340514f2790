//! Why a request to an edge failed, in words that help.

use std::{error::Error, fmt, io};

use serde_json::{Map, Value};

/// Longest piece of an unexpected answer that is shown, in characters.
const SHOWN_CHARS: usize = 200;
/// How many of the missing files a message names.
const NAMED: usize = 5;

/// A request that failed for good.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EdgeError {
    /// Nobody answered.
    #[error("could not {what}: no answer from {edge} ({hint})")]
    NoAnswer {
        what: String,
        edge: String,
        hint: String,
        #[source]
        cause: reqwest::Error,
    },
    /// The edge answered that it will not.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// The edge agreed, but in words that are not an edge's.
    #[error("could not {what}: {edge} does not answer like an edge ({problem}): is its URL right?")]
    Strange {
        what: String,
        edge: String,
        problem: String,
    },
    /// A file could not be read for upload.
    #[error("could not read {file}")]
    File {
        file: String,
        #[source]
        cause: io::Error,
    },
    /// A file is not what it was when it was hashed.
    #[error("{file} changed while it was being deployed: deploy again when the build is complete")]
    Changed { file: String },
}

impl EdgeError {
    /// The machine-readable name of a refusal.
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Self::Refused(refusal) => refusal.error.as_deref(),
            _ => None,
        }
    }
}

/// An answer other than 2xx.
#[derive(Debug)]
pub(crate) struct Refusal {
    what: String,
    edge: String,
    pub(crate) status: u16,
    /// The name that the edge gives the failure, e.g. `assets_missing`.
    pub(crate) error: Option<String>,
    message: String,
    request_id: Option<String>,
    /// All fields of the answer.
    pub(crate) details: Map<String, Value>,
}

impl Refusal {
    /// Reads an answer, whatever it is: what stands before an edge answers as it likes.
    pub(super) fn read(
        what: &str,
        edge: &str,
        status: u16,
        location: Option<&str>,
        body: &[u8],
    ) -> Self {
        let details = match serde_json::from_slice(body) {
            Ok(Value::Object(details)) => details,
            _ => Map::new(),
        };
        let text = |name: &str| details.get(name).and_then(Value::as_str).map(str::to_owned);
        let message = text("message").unwrap_or_else(|| match location {
            Some(location) => {
                format!(
                    "it redirects to {}: use that URL if it is trusted",
                    excerpt(location)
                )
            }
            None if body.trim_ascii().is_empty() => "it gives no reason".to_owned(),
            None => format!("it says: {}", excerpt(&String::from_utf8_lossy(body))),
        });
        Self {
            what: what.to_owned(),
            edge: edge.to_owned(),
            status,
            error: text("error"),
            message,
            request_id: text("request_id"),
            details,
        }
    }

    /// What to do that the edge cannot know of.
    fn hint(&self) -> Option<&'static str> {
        match (self.status, self.error.as_deref()) {
            (401, _) => Some(
                "Give a valid token in FAVONIUS_TOKEN or with --token-file; `favonius token` makes one",
            ),
            (403, _) => {
                Some("The token has to be for this application; `favonius token` makes one")
            }
            (422, Some("hash_mismatch")) => {
                Some("If a build was running meanwhile, deploy again when it is complete")
            }
            (409, Some("snapshot_exists")) => Some("With --build, give another id"),
            (404, None) => Some("Is its URL right?"),
            _ => None,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "could not {}: {} answered {}",
            self.what, self.edge, self.status
        )?;
        if let Some(error) = &self.error {
            write!(f, " {error}")?;
        }
        write!(f, ": {}", self.message)?;
        if let Some(Value::Array(missing)) = self.details.get("missing") {
            let names: Vec<_> = missing
                .iter()
                .filter_map(Value::as_str)
                .take(NAMED)
                .collect();
            let more = if missing.len() > NAMED { ", ..." } else { "" };
            write!(f, " [{}{more}]", names.join(", "))?;
        }
        if let Some(hint) = self.hint() {
            write!(f, ". {hint}")?;
        }
        match &self.request_id {
            Some(id) => write!(f, " (request {id})"),
            None => Ok(()),
        }
    }
}

impl Error for Refusal {}

/// A piece of foreign text that is safe to print: on one line, without control characters.
fn excerpt(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    let line = words.join(" ");
    let mut short: String = line
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .take(SHOWN_CHARS)
        .collect();
    if line.chars().nth(SHOWN_CHARS).is_some() {
        short.push_str("...");
    }
    short
}

/// Whether two sides could not agree on TLS, which they will not do next time either.
pub(super) fn is_tls(error: &reqwest::Error) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        // What rustls has to say comes as an I/O error of this kind.
        if let Some(io) = error.downcast_ref::<io::Error>() {
            if io.kind() == io::ErrorKind::InvalidData {
                return true;
            }
            // `source` skips what is wrapped.
            cause = io.get_ref().map(|inner| inner as &(dyn Error + 'static));
            continue;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(status: u16, location: Option<&str>, body: &str) -> String {
        Refusal::read(
            "publish",
            "http://edge.test",
            status,
            location,
            body.as_bytes(),
        )
        .to_string()
    }

    #[test]
    fn refusals_say_what_the_edge_says() {
        for (name, status, location, body, expected) in [
            (
                "an edge's answer",
                401,
                None,
                r#"{"status":401,"error":"unauthenticated","message":"It has expired","request_id":"r1"}"#,
                "could not publish: http://edge.test answered 401 unauthenticated: It has expired. Give a valid \
                 token in FAVONIUS_TOKEN or with --token-file; `favonius token` makes one (request r1)",
            ),
            (
                "missing files",
                409,
                None,
                r#"{"error":"assets_missing","message":"Nothing was published","missing":["a","b","c","d","e","f"]}"#,
                "could not publish: http://edge.test answered 409 assets_missing: Nothing was published \
                 [a, b, c, d, e, ...]",
            ),
            (
                "a proxy's page",
                502,
                None,
                "<html>\n<h1>Bad\u{1b}[31m Gateway</h1>\n",
                "could not publish: http://edge.test answered 502: it says: <html> <h1>Bad\u{fffd}[31m Gateway</h1>",
            ),
            (
                "a redirect",
                308,
                Some("https://edge.test/upload"),
                "",
                "could not publish: http://edge.test answered 308: it redirects to https://edge.test/upload: use \
                 that URL if it is trusted",
            ),
            (
                "nothing",
                500,
                None,
                " ",
                "could not publish: http://edge.test answered 500: it gives no reason",
            ),
        ] {
            assert_eq!(shown(status, location, body), expected, "case `{name}`");
        }
        let long = shown(500, None, &"x".repeat(1000));
        assert!(long.len() < 300 && long.ends_with("x..."), "{long}");
    }
}
