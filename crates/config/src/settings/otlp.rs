//! Which signal goes where.
//!
//! A signal is exported when telemetry is not disabled, its exporter is not `none`, and the base
//! endpoint is set, or its own endpoint is set, or its exporter is `otlp`. Its own endpoint wins over
//! the base, which wins over the standard's default.

use std::{borrow::Cow, fmt};

use percent_encoding::percent_decode_str;

use crate::{
    keys::{self, Key},
    parse::choice,
    problem::Reason,
    reader::{Checked, Reader},
    secret::Secret,
    service_url::ServiceUrl,
};

/// Where OTLP over HTTP goes by the standard when only the exporter is named.
const DEFAULT_BASE: &str = "http://localhost:4318";

/// Where one signal goes. `Debug` counts the headers: a token pasted without a name ends up as one.
#[derive(Clone)]
#[non_exhaustive]
pub struct SignalExport {
    /// The whole URL to post to.
    pub endpoint: ServiceUrl,
    /// Headers to send: lower-case names, each once, and values of printable ASCII.
    pub headers: Vec<(String, Secret)>,
}

impl fmt::Debug for SignalExport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignalExport")
            .field("endpoint", &self.endpoint)
            .field("headers", &self.headers.len())
            .finish()
    }
}

/// The keys of one signal.
#[derive(Clone, Copy)]
pub(super) struct Signal {
    exporter: &'static Key,
    endpoint: &'static Key,
    headers: &'static Key,
    path: &'static str,
}

pub(super) const TRACES: Signal = Signal {
    exporter: keys::TRACES_EXPORTER,
    endpoint: keys::TRACES_ENDPOINT,
    headers: keys::TRACES_HEADERS,
    path: "/v1/traces",
};
pub(super) const METRICS: Signal = Signal {
    exporter: keys::METRICS_EXPORTER,
    endpoint: keys::METRICS_ENDPOINT,
    headers: keys::METRICS_HEADERS,
    path: "/v1/metrics",
};
pub(super) const LOGS: Signal = Signal {
    exporter: keys::LOGS_EXPORTER,
    endpoint: keys::LOGS_ENDPOINT,
    headers: keys::LOGS_HEADERS,
    path: "/v1/logs",
};

/// What holds for all signals.
pub(super) struct Common {
    base: Option<ServiceUrl>,
    headers: Vec<(String, Secret)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Exporter {
    Otlp,
    None,
}

impl Common {
    pub(super) fn read(reader: &mut Reader<'_>) -> Checked<Self> {
        let base = reader.optional(keys::EXPORTER_ENDPOINT, ServiceUrl::parse_base);
        let headers = reader.optional(keys::EXPORTER_HEADERS, parse_headers);
        Ok(Self {
            base: base?,
            headers: headers?.unwrap_or_default(),
        })
    }
}

impl Signal {
    /// The plan for this signal. `common` may be the mark of a problem: the keys of the signal are
    /// read all the same.
    pub(super) fn read(
        self,
        reader: &mut Reader<'_>,
        disabled: bool,
        common: &Checked<Common>,
    ) -> Checked<Option<SignalExport>> {
        let exporters = [("otlp", Exporter::Otlp), ("none", Exporter::None)];
        let exporter = reader.optional(self.exporter, choice(&exporters));
        let endpoint = reader.optional(self.endpoint, ServiceUrl::parse);
        let headers = reader.optional(self.headers, parse_headers);
        let (exporter, endpoint, headers) = (exporter?, endpoint?, headers?);
        let common = common.as_ref().map_err(|noted| *noted)?;
        if disabled || exporter == Some(Exporter::None) {
            return Ok(None);
        }
        let asked_for = exporter == Some(Exporter::Otlp);
        let endpoint = match (endpoint, &common.base) {
            (Some(own), _) => own,
            (None, Some(base)) => base.join(self.path),
            (None, None) if asked_for => default_base().join(self.path),
            (None, None) => return Ok(None),
        };
        let headers = merge(&common.headers, headers.unwrap_or_default());
        Ok(Some(SignalExport { endpoint, headers }))
    }
}

fn default_base() -> ServiceUrl {
    ServiceUrl::parse_base(DEFAULT_BASE).expect("the default of the standard is a URL")
}

/// All headers, a signal's own in place of the common one of the same name.
fn merge(common: &[(String, Secret)], own: Vec<(String, Secret)>) -> Vec<(String, Secret)> {
    let kept = common
        .iter()
        .filter(|(name, _)| own.iter().all(|(other, _)| other != name));
    let mut merged: Vec<_> = kept.cloned().collect();
    merged.extend(own);
    merged
}

/// `name=value,name=value` with percent-encoded values. Of two with one name the last counts.
pub(super) fn parse_headers(text: &str) -> Result<Vec<(String, Secret)>, Reason> {
    let mut headers = Vec::<(String, Secret)>::new();
    for (index, pair) in pairs(text).enumerate() {
        let wrong = |what: &str| Reason::new(format!("is wrong in header {}: {what}", index + 1));
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| wrong("there is no `=`"))?;
        let name = name.trim().to_ascii_lowercase();
        if name.is_empty() || !name.bytes().all(is_token_byte) {
            return Err(wrong("what stands before `=` is no header name"));
        }
        let value =
            decode(value.trim()).ok_or_else(|| wrong("the value is not percent-encoded"))?;
        if !value
            .bytes()
            .all(|byte| matches!(byte, b' '..=b'~' | b'\t'))
        {
            return Err(wrong(
                "the value holds characters that are not printable ASCII",
            ));
        }
        headers.retain(|(other, _)| *other != name);
        headers.push((name, Secret::new(value)));
    }
    Ok(headers)
}

/// `key=value,key=value`, both percent-encoded, in the order written. Of two with one key the last
/// counts.
pub(super) fn parse_attributes(text: &str) -> Result<Vec<(String, String)>, Reason> {
    let mut attributes = Vec::<(String, String)>::new();
    for (index, pair) in pairs(text).enumerate() {
        let wrong = |what: &str| Reason::new(format!("is wrong in pair {}: {what}", index + 1));
        let (key, value) = pair
            .split_once('=')
            .ok_or_else(|| wrong("there is no `=`"))?;
        let undecodable = || wrong("it is not percent-encoded");
        let key = decode(key.trim()).ok_or_else(undecodable)?;
        let value = decode(value.trim()).ok_or_else(undecodable)?;
        if key.is_empty() {
            return Err(wrong("there is no key before `=`"));
        }
        attributes.retain(|(other, _)| *other != key);
        attributes.push((key, value));
    }
    Ok(attributes)
}

fn pairs(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(str::trim)
        .filter(|pair| !pair.is_empty())
}

/// `None` when the bytes are no UTF-8. A `%` that begins no escape stands for itself.
fn decode(text: &str) -> Option<String> {
    percent_decode_str(text)
        .decode_utf8()
        .ok()
        .map(Cow::into_owned)
}

/// RFC 9110, section 5.6.2.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn exposed(headers: &[(String, Secret)]) -> String {
        let pairs = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.expose()));
        pairs.collect::<Vec<_>>().join("; ")
    }

    #[test]
    fn headers() {
        let cases = [
            ("one", "api-key=k", Ok("api-key: k")),
            (
                "encoded",
                "Authorization=Bearer%20a%2Cb",
                Ok("authorization: Bearer a,b"),
            ),
            ("equals signs in the value", "a=b==", Ok("a: b==")),
            ("blanks", " a = b , , c=d,", Ok("a: b; c: d")),
            ("empty value", "a=", Ok("a: ")),
            ("the last counts", "a=1,b=2,A=3", Ok("b: 2; a: 3")),
            ("nothing", ",", Ok("")),
            (
                "no equals sign",
                "a=b,hunter2",
                Err("is wrong in header 2: there is no `=`"),
            ),
            (
                "no name",
                "=v",
                Err("is wrong in header 1: what stands before `=` is no header name"),
            ),
            (
                "bad name",
                "a b=v",
                Err("is wrong in header 1: what stands before `=` is no header name"),
            ),
            (
                "line end",
                "a=%0d%0ab",
                Err(
                    "is wrong in header 1: the value holds characters that are not printable ASCII",
                ),
            ),
            (
                "no UTF-8",
                "a=%ff",
                Err("is wrong in header 1: the value is not percent-encoded"),
            ),
        ];
        for (name, text, expected) in cases {
            let parsed = parse_headers(text).map(|headers| exposed(&headers));
            let parsed = parsed.map_err(|reason| reason.to_string());
            assert_eq!(
                parsed.as_deref().map_err(String::as_str),
                expected,
                "case `{name}`: {text}"
            );
        }
    }

    #[test]
    fn attributes() {
        let cases = [
            ("two", "a.b=c,d=e", Ok(vec![("a.b", "c"), ("d", "e")])),
            ("encoded", "a%3D=%C3%BC%20x", Ok(vec![("a=", "\u{fc} x")])),
            (
                "the last counts",
                "a=1,b=2,a=3",
                Ok(vec![("b", "2"), ("a", "3")]),
            ),
            (
                "no equals sign",
                "a",
                Err("is wrong in pair 1: there is no `=`"),
            ),
            (
                "no key",
                "a=1,=2",
                Err("is wrong in pair 2: there is no key before `=`"),
            ),
            (
                "no UTF-8",
                "a=%ff",
                Err("is wrong in pair 1: it is not percent-encoded"),
            ),
        ];
        for (name, text, expected) in cases {
            let parsed = parse_attributes(text).map_err(|reason| reason.to_string());
            let parsed = parsed.as_ref().map_err(String::as_str).map(|attributes| {
                attributes
                    .iter()
                    .map(|(key, value)| (key.as_str(), value.as_str()))
                    .collect()
            });
            assert_eq!(parsed, expected, "case `{name}`: {text}");
        }
    }

    #[test]
    fn own_headers_replace_common_ones_of_the_same_name() {
        let common = parse_headers("authorization=a,x-tenant=t").unwrap();
        let own = parse_headers("Authorization=b,x-dataset=d").unwrap();
        assert_eq!(
            exposed(&merge(&common, own)),
            "x-tenant: t; authorization: b; x-dataset: d"
        );
        assert_eq!(
            exposed(&merge(&common, Vec::new())),
            "authorization: a; x-tenant: t"
        );
    }

    proptest! {
        #[test]
        fn what_is_taken_as_a_header_can_be_sent(text in ".{0,40}") {
            for (name, value) in parse_headers(&text).unwrap_or_default() {
                prop_assert!(!name.is_empty() && name.bytes().all(is_token_byte));
                prop_assert!(value.expose().bytes().all(|byte| byte == b'\t' || !byte.is_ascii_control()));
            }
        }
    }
}
