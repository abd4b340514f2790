//! Which hostname a version gets.

use std::{fmt, str::FromStr};

use sha2::{Digest, Sha256};

use crate::{Hostname, SnapshotId, error::Invalid};

/// Longest DNS label (RFC 1035, section 2.3.4).
const MAX_LABEL: usize = 63;
/// Shortest application label that still says something: a letter, a hyphen and 8 digits of a hash.
const MIN_LABEL: usize = 10;

/// What joins the application label and the edge host in a hostname.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Delimiter {
    /// `label-edge.example.com`: one wildcard certificate for `*.example.com` is enough.
    #[default]
    Hyphen,
    /// `label.edge.example.com`
    Dot,
    /// `label_edge.example.com`
    Underscore,
}

impl Delimiter {
    /// The character.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hyphen => "-",
            Self::Dot => ".",
            Self::Underscore => "_",
        }
    }
}

impl FromStr for Delimiter {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "-" => Ok(Self::Hyphen),
            "." => Ok(Self::Dot),
            "_" => Ok(Self::Underscore),
            _ => Err(Invalid::new("delimiter", "is none of `-`, `.`, `_`")),
        }
    }
}

/// The origin below which versions get their hostnames: scheme, host and port of the edge's URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeHost {
    scheme: &'static str,
    host: Hostname,
    port: Option<u16>,
}

impl EdgeHost {
    /// The host without scheme and port.
    pub fn host(&self) -> &Hostname {
        &self.host
    }

    /// The URL of a name on this edge, without a trailing slash.
    pub fn url(&self, host: &Hostname) -> String {
        match self.port {
            Some(port) => format!("{}://{host}:{port}", self.scheme),
            None => format!("{}://{host}", self.scheme),
        }
    }

    /// The edge's own URL, without a trailing slash.
    pub fn origin(&self) -> String {
        self.url(&self.host)
    }

    /// The hostname of an application label on this edge; `None` where none can be made, because the edge is an IP
    /// address or the name would be too long.
    pub fn hostname(&self, label: &str, delimiter: Delimiter) -> Option<Hostname> {
        if self.host.is_ip() {
            return None;
        }
        format!("{label}{}{}", delimiter.as_str(), self.host)
            .parse()
            .ok()
    }

    /// The application label of a hostname on this edge: what stands before the delimiter and the edge host.
    pub fn label_of<'h>(&self, host: &'h Hostname, delimiter: Delimiter) -> Option<&'h str> {
        host.as_str()
            .strip_suffix(self.host.as_str())?
            .strip_suffix(delimiter.as_str())
            .filter(|label| !label.is_empty())
    }

    /// How long an application label may be so that the first DNS label of the hostname fits.
    fn room(&self, delimiter: Delimiter) -> Option<usize> {
        let taken = match delimiter {
            Delimiter::Dot => 0,
            Delimiter::Hyphen | Delimiter::Underscore => {
                1 + self.host.as_str().split('.').next().map_or(0, str::len)
            }
        };
        MAX_LABEL
            .checked_sub(taken)
            .filter(|room| *room >= MIN_LABEL)
    }

    /// The hostnames that a version may have on this edge, the usual one first. The second is for when another
    /// snapshot's id is cleaned to the same label. Empty where no hostname can be made.
    pub fn version_hostnames(&self, id: &SnapshotId, delimiter: Delimiter) -> Vec<Hostname> {
        let Some(room) = self.room(delimiter) else {
            return Vec::new();
        };
        version_labels(id, room)
            .into_iter()
            .filter_map(|label| self.hostname(&label, delimiter))
            .collect()
    }
}

impl FromStr for EdgeHost {
    type Err = Invalid;

    /// Reads an http(s) URL or a bare `host[:port]`, which means https.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (scheme, rest) = match text.split_once("://") {
            Some(("http", rest)) => ("http", rest),
            Some(("https", rest)) => ("https", rest),
            Some(_) => return Err(Invalid::new("edge URL", "is neither http nor https")),
            None => ("https", text),
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = Hostname::from_authority(authority)?;
        let port = match authority.rsplit_once(':') {
            Some((_, port)) if !port.is_empty() && !port.ends_with(']') => Some(
                port.parse()
                    .map_err(|_| Invalid::new("edge URL", "has a port beyond 65535"))?,
            ),
            _ => None,
        };
        Ok(Self { scheme, host, port })
    }
}

impl fmt::Display for EdgeHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin())
    }
}

/// The application labels that a version may have in `room` characters: the id in lower case with everything but
/// letters, digits and hyphens as a hyphen, cut where it is too long; then the same with a hash of the exact id.
pub fn version_labels(id: &SnapshotId, room: usize) -> [String; 2] {
    let clean: String = id
        .as_str()
        .to_lowercase()
        .chars()
        .map(|c| {
            if c.is_ascii_lowercase() || c.is_ascii_digit() {
                c
            } else {
                '-'
            }
        })
        .collect();
    let digest = Sha256::digest(id.as_str());
    let hash: String = hex::encode(digest).chars().take(8).collect();
    // Each character of `clean` is one byte, so any cut is on a boundary.
    let kept = clean.get(..room.saturating_sub(9)).unwrap_or(&clean);
    let hashed = format!("{kept}-{hash}");
    if clean.len() <= room {
        [clean, hashed]
    } else {
        [hashed.clone(), hashed]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn version_hostnames() {
        let id = "alice-42.shop.web.acme";
        let long = format!("{}-1.shop.web.acme", "x".repeat(70));
        let cases = [
            (
                "hyphen",
                id,
                "http://ze.example.com",
                Delimiter::Hyphen,
                Some("alice-42-shop-web-acme-ze.example.com"),
            ),
            (
                "dot",
                id,
                "http://ze.example.com",
                Delimiter::Dot,
                Some("alice-42-shop-web-acme.ze.example.com"),
            ),
            (
                "underscore",
                id,
                "ze.example.com",
                Delimiter::Underscore,
                Some("alice-42-shop-web-acme_ze.example.com"),
            ),
            (
                "cleaned",
                "Dr. Ada Ö@x-1.shop.web.acme",
                "ze.example.com",
                Delimiter::Dot,
                Some("dr--ada---x-1-shop-web-acme.ze.example.com"),
            ),
            ("address", id, "http://127.0.0.1:8080", Delimiter::Dot, None),
        ];
        for (name, id, edge, delimiter, expected) in cases {
            let edge: EdgeHost = edge.parse().unwrap();
            let found = edge.version_hostnames(&id.parse().unwrap(), delimiter);
            assert_eq!(
                found.first().map(Hostname::as_str),
                expected,
                "case `{name}`"
            );
        }
        let edge: EdgeHost = "ze.example.com".parse().unwrap();
        for delimiter in [Delimiter::Hyphen, Delimiter::Dot, Delimiter::Underscore] {
            let [first, ..] = &edge.version_hostnames(&long.parse().unwrap(), delimiter)[..] else {
                panic!("a long id has a hostname")
            };
            let label = first.as_str().split('.').next().unwrap();
            assert_eq!(label.len(), 63, "{first}");
        }
    }

    #[test]
    fn two_ids_that_are_cleaned_alike_have_different_second_names() {
        let edge: EdgeHost = "ze.example.com".parse().unwrap();
        let names = |id: &str| edge.version_hostnames(&id.parse().unwrap(), Delimiter::Hyphen);
        let (one, two) = (names("u-1.a-b.c.d"), names("u-1.a.b-c.d"));
        assert_eq!(one[0], two[0]);
        assert_ne!(one[1], two[1]);
    }

    #[test]
    fn urls_keep_scheme_and_port() {
        let cases = [
            ("http://ze.test:8080/", "http://x.test:8080"),
            ("https://ze.test", "https://x.test"),
            ("ze.test:9", "https://x.test:9"),
        ];
        for (edge, expected) in cases {
            let edge: EdgeHost = edge.parse().unwrap();
            assert_eq!(edge.url(&"x.test".parse().unwrap()), expected);
        }
        for wrong in ["ftp://x", "", "http://", "http://a b", "http://x:99999"] {
            assert!(wrong.parse::<EdgeHost>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn every_name_is_a_hostname_with_its_label(user in "[^\\p{Cc}]{1,100}", build in 0u64..1_000_000) {
            let id: SnapshotId = match format!("{user}-{build}.shop.web.acme").parse() {
                Ok(id) => id,
                Err(_) => return Ok(()),
            };
            let edge: EdgeHost = "https://ze.example.com".parse().unwrap();
            for delimiter in [Delimiter::Hyphen, Delimiter::Dot, Delimiter::Underscore] {
                let names = edge.version_hostnames(&id, delimiter);
                prop_assert_eq!(names.len(), 2);
                for name in names {
                    prop_assert!(edge.label_of(&name, delimiter).is_some());
                }
            }
        }
    }
}
