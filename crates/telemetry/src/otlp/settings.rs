//! What is exported, and where to.

use std::{fmt, str::FromStr as _, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue};
use reqwest::Url;

/// Where one signal goes. `Debug` shows neither credentials nor headers.
#[derive(Clone)]
pub struct Endpoint {
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
}

/// Why nothing can be sent to an endpoint. It never shows the text, which may be a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidEndpoint {
    /// Only these two schemes are spoken.
    #[error("the OTLP endpoint is not a URL that starts with http:// or https://")]
    Url,
    /// Not a token of RFC 9110.
    #[error("a header for the OTLP endpoint has a name that no header can have")]
    HeaderName,
    /// Control characters, for example.
    #[error("a header for the OTLP endpoint has a value that no header can have")]
    HeaderValue,
}

impl Endpoint {
    /// The whole URL to post to. User information in it is sent as basic authentication.
    pub fn new(url: &str) -> Result<Self, InvalidEndpoint> {
        let url = Url::parse(url).map_err(|_| InvalidEndpoint::Url)?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
            return Err(InvalidEndpoint::Url);
        }
        Ok(Self {
            url,
            headers: HeaderMap::new(),
        })
    }

    /// Sends this header too, in place of one of the same name.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, InvalidEndpoint> {
        let name = HeaderName::from_str(name).map_err(|_| InvalidEndpoint::HeaderName)?;
        let mut value = HeaderValue::from_str(value).map_err(|_| InvalidEndpoint::HeaderValue)?;
        value.set_sensitive(true);
        self.headers.insert(name, value);
        Ok(self)
    }

    pub(crate) fn is_plain(&self) -> bool {
        self.url.scheme() == "http"
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("host", &self.url.host_str())
            .field("headers", &self.headers.len())
            .finish_non_exhaustive()
    }
}

/// How records are gathered before they are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// Longest wait of a record before it is sent.
    pub schedule_delay: Duration,
    /// Longest time for sending a batch, further attempts included.
    pub export_timeout: Duration,
    /// Most records that wait. What does not fit is dropped.
    pub max_queue_size: usize,
    /// Most records that are sent at once.
    pub max_export_batch_size: usize,
}

impl Default for Batch {
    /// What the standard has for spans.
    fn default() -> Self {
        Self {
            schedule_delay: Duration::from_secs(5),
            export_timeout: Duration::from_secs(30),
            max_queue_size: 2048,
            max_export_batch_size: 512,
        }
    }
}

/// Which traces are kept, of those that begin here or (with a parent) elsewhere. Ratios are from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sampler {
    /// All.
    AlwaysOn,
    /// None.
    AlwaysOff,
    /// This share, by trace id.
    Ratio(f64),
    /// As the caller decided, all where there is none.
    ParentOrAlwaysOn,
    /// As the caller decided, none where there is none.
    ParentOrAlwaysOff,
    /// As the caller decided, this share where there is none.
    ParentOrRatio(f64),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints() {
        for text in [
            "http://collector:4318/v1/traces",
            "https://u:p@collector/x?y=z",
        ] {
            assert!(Endpoint::new(text).is_ok(), "{text}");
        }
        for text in ["", "collector:4318", "grpc://collector", "http://", "/v1"] {
            assert_eq!(
                Endpoint::new(text).err(),
                Some(InvalidEndpoint::Url),
                "{text}"
            );
        }
        let cases = [
            ("authorization", "Bearer x", None),
            ("a b", "x", Some(InvalidEndpoint::HeaderName)),
            ("", "x", Some(InvalidEndpoint::HeaderName)),
            ("a", "x\ny", Some(InvalidEndpoint::HeaderValue)),
        ];
        for (name, value, expected) in cases {
            let endpoint = Endpoint::new("http://collector").unwrap();
            assert_eq!(endpoint.header(name, value).err(), expected, "{name:?}");
        }
    }

    #[test]
    fn nothing_secret_is_shown() {
        let endpoint = Endpoint::new("http://user:hunter2@collector/hunter2?k=hunter2").unwrap();
        let endpoint = endpoint.header("x-token", "hunter2").unwrap();
        assert!(!format!("{endpoint:?}").contains("hunter2"));
    }
}
