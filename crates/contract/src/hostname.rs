//! Names under which deployments are reached.

use std::{fmt, net::Ipv6Addr, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    error::{Invalid, excerpt},
    ids::text_name,
};

/// Longest route key, in bytes; a snapshot id fits.
const MAX_ROUTE_KEY: usize = 512;

/// A host as it stands in a request or a publish: lower case, without port and trailing dot.
///
/// DNS names (RFC 1123, with underscores and leading hyphens, which occur in generated names) and IP addresses. Names
/// in other scripts come in their ASCII form (`xn--...`, RFC 5890), as browsers send them.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Hostname(Arc<str>);

impl Hostname {
    /// The host as text; an IPv6 address in brackets.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The host of an authority, `host[:port]` as in a `Host` header (RFC 9110, section 7.2).
    pub fn from_authority(authority: &str) -> Result<Self, Invalid> {
        let (host, port) = split_port(authority);
        if let Some(port) = port
            && !port.bytes().all(|b| b.is_ascii_digit())
        {
            return Err(Invalid::new(
                "host",
                format!("`{}` has no valid port", excerpt(authority)),
            ));
        }
        host.parse()
    }

    /// The host of what a publish names: a host, a host with a port, or a URL.
    pub fn from_host_or_url(text: &str) -> Result<Self, Invalid> {
        let rest = match text.split_once("://") {
            Some(("http" | "https", rest)) => rest,
            Some(_) => {
                return Err(Invalid::new(
                    "host",
                    format!(
                        "`{}` is neither a hostname nor an http(s) URL",
                        excerpt(text)
                    ),
                ));
            }
            None => text,
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        Self::from_authority(authority)
    }

    /// Whether this is an IP address, below which no names can be made.
    pub fn is_ip(&self) -> bool {
        self.0.starts_with('[') || is_numeric(self.0.rsplit('.').next().unwrap_or_default())
    }

    /// Whether browsers treat it as this machine: `localhost` and every name under it (RFC 6761, section 6.3).
    pub fn is_localhost(&self) -> bool {
        &*self.0 == "localhost" || self.0.ends_with(".localhost")
    }
}

impl FromStr for Hostname {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = |problem: &str| {
            Err(Invalid::new(
                "host",
                format!("`{}` {problem}", excerpt(text)),
            ))
        };
        if let Some(address) = text.strip_prefix('[') {
            return match address.strip_suffix(']').map(str::parse::<Ipv6Addr>) {
                Some(Ok(address)) => Ok(Self(format!("[{address}]").into())),
                _ => invalid("is not an IPv6 address in brackets"),
            };
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        if name.is_empty() {
            return invalid("is empty");
        }
        if name.len() > 253 {
            return invalid("is longer than 253 characters");
        }
        for label in name.split('.') {
            if label.is_empty() {
                return invalid("has an empty label");
            }
            if label.len() > 63 {
                return invalid("has a label of more than 63 characters");
            }
            if !label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
            {
                return invalid(
                    "has a character other than letters, digits, `-`, `_` and `.` (write names in other scripts in \
                     their xn-- form)",
                );
            }
        }
        if name.bytes().any(|b| b.is_ascii_uppercase()) {
            Ok(Self(name.to_ascii_lowercase().into()))
        } else {
            Ok(Self(name.into()))
        }
    }
}

/// Splits `host:port`; the colons of a bracketed IPv6 address are not port separators.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

/// Whether a last label makes the host an IPv4 address to browsers (WHATWG URL, "ends in a number").
fn is_numeric(label: &str) -> bool {
    label.bytes().all(|b| b.is_ascii_digit())
        || label
            .strip_prefix("0x")
            .is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// The key of a deployment in a path-addressed URL, e.g. `t_main.shop.web.acme`. It may hold dots.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct RouteKey(Arc<str>);

impl RouteKey {
    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RouteKey {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let invalid = |problem: String| Err(Invalid::new("route key", problem));
        if text.is_empty() || text == "." || text == ".." {
            return invalid(format!("`{text}` is not a name"));
        }
        if text.len() > MAX_ROUTE_KEY {
            return invalid(format!("is longer than {MAX_ROUTE_KEY} bytes"));
        }
        if text
            .chars()
            .any(|c| c.is_control() || matches!(c, '/' | '\\'))
        {
            return invalid(format!(
                "`{}` has a slash or a control character",
                excerpt(text)
            ));
        }
        Ok(Self(text.into()))
    }
}

text_name!(Hostname);
text_name!(RouteKey);

/// What a deployment is recorded under: a hostname or a route key.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct DeploymentName(Arc<str>);

impl DeploymentName {
    /// The name as text, as it stands in a storage key.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Hostname> for DeploymentName {
    fn from(host: Hostname) -> Self {
        Self(host.0)
    }
}

impl From<RouteKey> for DeploymentName {
    fn from(key: RouteKey) -> Self {
        Self(key.0)
    }
}

impl FromStr for DeploymentName {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        text.parse::<RouteKey>().map(Self::from)
    }
}

text_name!(DeploymentName);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn authorities() {
        let long_label = format!("{}.test", "a".repeat(64));
        let long_name = format!("{}a", "a.".repeat(127));
        let cases = [
            ("usual", "shop.edge.test", Some("shop.edge.test")),
            (
                "port is dropped",
                "shop.edge.test:8080",
                Some("shop.edge.test"),
            ),
            (
                "empty port is allowed",
                "shop.edge.test:",
                Some("shop.edge.test"),
            ),
            ("case is folded", "Shop.EDGE.test", Some("shop.edge.test")),
            (
                "one trailing dot",
                "shop.edge.test.:80",
                Some("shop.edge.test"),
            ),
            ("two trailing dots", "shop.edge.test..", None),
            ("IPv6", "[::1]:8080", Some("[::1]")),
            ("IPv6 is normalised", "[0:0::1]", Some("[::1]")),
            ("IPv6 without brackets", "::1", None),
            ("IPv4", "127.0.0.1:1", Some("127.0.0.1")),
            ("underscore", "a_b.test", Some("a_b.test")),
            ("leading hyphen", "-a.test", Some("-a.test")),
            ("punycode", "xn--bcher-kva.test", Some("xn--bcher-kva.test")),
            ("umlaut", "bücher.test", None),
            ("user info", "a@b.test", None),
            ("bad port", "a.test:8x", None),
            ("empty", "", None),
            ("space", "a b", None),
            ("slash", "a/b", None),
            ("long label", &long_label, None),
            ("long name", &long_name, None),
        ];
        for (name, text, expected) in cases {
            let found = Hostname::from_authority(text).ok();
            assert_eq!(
                found.as_ref().map(Hostname::as_str),
                expected,
                "case `{name}`"
            );
        }
    }

    #[test]
    fn hosts_of_urls() {
        let cases = [
            ("host", "shop.test", Some("shop.test")),
            ("url", "https://shop.test:8443/a?b#c", Some("shop.test")),
            ("url without path", "http://shop.test?x", Some("shop.test")),
            ("other scheme", "ftp://shop.test", None),
            ("path without scheme", "shop.test/a", Some("shop.test")),
            ("credentials", "https://u:p@shop.test", None),
        ];
        for (name, text, expected) in cases {
            let found = Hostname::from_host_or_url(text).ok();
            assert_eq!(
                found.as_ref().map(Hostname::as_str),
                expected,
                "case `{name}`"
            );
        }
    }

    #[test]
    fn addresses() {
        for (text, expected) in [
            ("127.0.0.1", true),
            ("[::1]", true),
            ("x-127.0.0.1", true),
            ("a.b", false),
            ("a.0x7f", true),
        ] {
            assert_eq!(
                text.parse::<Hostname>().unwrap().is_ip(),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn route_keys() {
        for (text, valid) in [
            ("t_main.shop.web.acme", true),
            ("Ada L-1.shop.web.acme", true),
            ("..", false),
            ("a/b", false),
            ("a\\b", false),
            ("a\nb", false),
            ("", false),
        ] {
            assert_eq!(text.parse::<RouteKey>().is_ok(), valid, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_taken_or_refused_without_panic(text: String) {
            if let Ok(host) = Hostname::from_host_or_url(&text) {
                prop_assert_eq!(host.as_str().parse::<Hostname>().unwrap(), host);
            }
        }
    }
}
