//! Hosts with ports, as Redis settings list them.

use std::{fmt, net::Ipv6Addr};

use crate::{
    parse::{port_of_peer, word},
    problem::Reason,
};

/// Enough to find the rest of any cluster.
const MAX_HOSTS: usize = 64;

/// A host name or address, and a port. Prints as `host:port`, IPv6 in brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// The name or address, without brackets.
    pub host: String,
    /// The port, not 0.
    pub port: u16,
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Hosts with commas between them, at least one, each with its port if it has one.
pub(super) fn parse_hosts(text: &str) -> Result<Vec<(String, Option<u16>)>, Reason> {
    if text.contains("://") {
        return Err(Reason::new(
            "is a URL; only the host belongs here, the rest has its own keys",
        ));
    }
    let hosts = text
        .split(',')
        .map(str::trim)
        .filter(|host| !host.is_empty());
    let hosts = hosts.map(parse_host).collect::<Result<Vec<_>, _>>()?;
    match hosts.len() {
        0 => Err(Reason::new("names no host")),
        1..=MAX_HOSTS => Ok(hosts),
        _ => Err(Reason::new(format!("names more than {MAX_HOSTS} hosts"))),
    }
}

/// `host`, `host:port`, an IPv6 address, or one in brackets with or without port.
fn parse_host(text: &str) -> Result<(String, Option<u16>), Reason> {
    let (host, port) = if text.parse::<Ipv6Addr>().is_ok() {
        return Ok((text.to_owned(), None));
    } else if let Some((address, rest)) = text.strip_prefix('[').and_then(|t| t.split_once(']')) {
        if address.parse::<Ipv6Addr>().is_err() || !(rest.is_empty() || rest.starts_with(':')) {
            return Err(Reason::new(
                "has brackets around something else than an IPv6 address",
            ));
        }
        (address, rest.strip_prefix(':'))
    } else {
        match text.split_once(':') {
            Some((host, port)) => (is_host(host)?, Some(port)),
            None => (is_host(text)?, None),
        }
    };
    let port = port.map(port_of_peer).transpose();
    let port = port.map_err(|_| Reason::new("has something else than a port after the colon"))?;
    Ok((host.to_owned(), port))
}

/// Underscores are not in the standard for hostnames, but in the names of containers.
fn is_host(text: &str) -> Result<&str, Reason> {
    word(".-_", 1..=253)(text).map_err(|_| Reason::new("is not a host name or address"))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hosts() {
        let cases = [
            ("a name", "redis", Ok("redis:1")),
            ("a name with port", "redis:6380", Ok("redis:6380")),
            ("a container", "my_redis-1.local", Ok("my_redis-1.local:1")),
            ("IPv4", "10.0.0.1:6380", Ok("10.0.0.1:6380")),
            ("IPv6", "fd00::1", Ok("[fd00::1]:1")),
            ("IPv6 in brackets", "[fd00::1]", Ok("[fd00::1]:1")),
            ("IPv6 with port", "[fd00::1]:6380", Ok("[fd00::1]:6380")),
            ("seeds", "a:1, b:2 ,,c", Ok("a:1 b:2 c:1")),
            ("nothing", ",", Err("names no host")),
            (
                "a URL",
                "redis://:pw@h",
                Err("is a URL; only the host belongs here, the rest has its own keys"),
            ),
            ("credentials", "pw@h", Err("is not a host name or address")),
            ("white space", "a b", Err("is not a host name or address")),
            ("no host", ":6379", Err("is not a host name or address")),
            (
                "no port",
                "a:",
                Err("has something else than a port after the colon"),
            ),
            (
                "port 0",
                "a:0",
                Err("has something else than a port after the colon"),
            ),
            (
                "brackets",
                "[a]:1",
                Err("has brackets around something else than an IPv6 address"),
            ),
            (
                "after brackets",
                "[::1]1",
                Err("has brackets around something else than an IPv6 address"),
            ),
        ];
        for (name, text, expected) in cases {
            let hosts = parse_hosts(text).map(|hosts| {
                let hosts = hosts.into_iter();
                let shown = hosts.map(|(host, port)| {
                    HostPort {
                        host,
                        port: port.unwrap_or(1),
                    }
                    .to_string()
                });
                shown.collect::<Vec<_>>().join(" ")
            });
            let hosts = hosts.map_err(|reason| reason.to_string());
            assert_eq!(
                hosts.as_deref().map_err(String::as_str),
                expected,
                "case `{name}`: {text}"
            );
        }
        assert!(parse_hosts(&"a,".repeat(64)).is_ok());
        assert!(parse_hosts(&"a,".repeat(65)).is_err());
    }

    proptest! {
        #[test]
        fn what_is_taken_as_a_host_prints_as_one(text in "[a-z0-9:.\\[\\]_-]{1,20}") {
            if let Ok((host, port)) = parse_host(&text) {
                let printed = HostPort { host: host.clone(), port: port.unwrap_or(9) }.to_string();
                let again = parse_host(&printed).map_err(|reason| reason.to_string());
                prop_assert_eq!(again, Ok((host, Some(port.unwrap_or(9)))));
            }
        }
    }
}
