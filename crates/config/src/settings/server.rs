//! Listening, logging, limits, cache and probes.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use crate::{
    keys,
    parse::{boolean, choice, ip, millis, pem, port_or_any, whole},
    problem::Reason,
    reader::{Checked, Reader},
    secret::Secret,
    service_url::ServiceUrl,
    settings::header_secret,
};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// What one S3 object may have without being sent in parts.
const UPLOAD_LIMIT: u64 = 5 * GIB;
/// A snapshot is parsed in memory.
const SNAPSHOT_LIMIT: u64 = GIB;
/// Beyond this a number of bytes is a slip.
const CACHE_LIMIT: u64 = 1024 * GIB;
const CACHE_DEFAULT_MOST: u64 = GIB;
const CACHE_DEFAULT_WITHOUT_LIMIT: u64 = 256 * MIB;

/// Listening, logging, limits, cache and probes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Server {
    /// Address to listen on.
    pub host: BindHost,
    /// Port for HTTP; 0 takes a free one.
    pub port: u16,
    /// Certificate and key, when the worker terminates TLS itself.
    pub tls: Option<TlsFiles>,
    /// Origin for URLs of versions whose snapshot has no usable domain.
    pub public_url: Option<ServiceUrl>,
    /// Joins the label of an application and the edge domain.
    pub delimiter: Delimiter,
    /// Least serious level that is logged.
    pub log_level: LogLevel,
    /// Whether each request is logged.
    pub access_log: bool,
    /// How long requests under way may take after SIGTERM.
    pub shutdown_grace: Duration,
    /// Largest asset in bytes.
    pub upload_max_bytes: u64,
    /// Largest body of a snapshot or publish request in bytes.
    pub snapshot_max_bytes: u64,
    /// What happens to an asset whose hash does not match its bytes.
    pub asset_hash: AssetHashMode,
    /// Size of the in-memory asset cache in bytes; 0 is no cache.
    pub cache_bytes: u64,
    /// Memory that the control group of the process may use, in bytes, if it is limited.
    pub memory_limit: Option<u64>,
    /// When the worker calls itself ready.
    pub readyz: Readyz,
    /// Where and to whom metrics are shown.
    pub metrics: Metrics,
}

/// Address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindHost {
    /// Every address of both families through one IPv6 socket; of IPv4 alone on a machine without
    /// IPv6.
    DualStack,
    /// This address only.
    Address(IpAddr),
}

impl BindHost {
    /// The addresses to try in order, until one can be bound. Only when an address family is
    /// missing (not when a port is taken) does the next one make sense.
    pub fn candidates(self, port: u16) -> Vec<SocketAddr> {
        match self {
            Self::DualStack => vec![
                SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)),
                SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
            ],
            Self::Address(ip) => vec![SocketAddr::from((ip, port))],
        }
    }

    fn parse(text: &str) -> Result<Self, Reason> {
        Ok(match ip(text)? {
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Self::DualStack,
            address => Self::Address(address),
        })
    }
}

/// Certificate and key as PEM files, which existed when they were checked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsFiles {
    /// The certificate chain, leaf first.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// What joins the label of an application and the edge domain in a hostname.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delimiter {
    /// `-`
    Hyphen,
    /// `.`
    Dot,
    /// `_`
    Underscore,
}

impl Delimiter {
    /// The character.
    pub fn as_char(self) -> char {
        match self {
            Self::Hyphen => '-',
            Self::Dot => '.',
            Self::Underscore => '_',
        }
    }
}

/// Levels of log records, the least serious first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Every step.
    Trace,
    /// For finding faults.
    Debug,
    /// The normal course.
    Info,
    /// Worth a look.
    Warn,
    /// Something failed.
    Error,
    /// What ends the process.
    Fatal,
}

impl LogLevel {
    const WORDS: [(&'static str, Self); 6] = [
        ("trace", Self::Trace),
        ("debug", Self::Debug),
        ("info", Self::Info),
        ("warn", Self::Warn),
        ("error", Self::Error),
        ("fatal", Self::Fatal),
    ];

    /// The name in lower case, as it stands in settings and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Fatal => "fatal",
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What happens to an asset whose hash does not match its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssetHashMode {
    /// It is rejected.
    Strict,
    /// It is logged and kept.
    Warn,
    /// It is not looked at.
    Off,
}

/// When the worker calls itself ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readyz {
    /// While the back ends answer.
    Strict,
    /// Also while known deployments can be served from memory.
    Serving,
}

/// Where and to whom metrics are shown.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Metrics {
    /// Port of a listener of their own (0 takes a free one), else they are on the HTTP port.
    pub port: Option<u16>,
    /// Bearer token to ask for.
    pub token: Option<Secret>,
}

impl Server {
    pub(super) fn read(reader: &mut Reader<'_>) -> Checked<Self> {
        let host = reader.value(keys::HOST, BindHost::parse);
        let port = reader.value(keys::PORT, port_or_any);
        let tls = TlsFiles::read(reader);
        let public_url = reader.optional(keys::PUBLIC_URL, ServiceUrl::parse_origin);
        let delimiter = reader.value(
            keys::DELIMITER,
            choice(&[
                ("-", Delimiter::Hyphen),
                (".", Delimiter::Dot),
                ("_", Delimiter::Underscore),
            ]),
        );
        let log_level = reader.value(keys::LOG_LEVEL, choice(&LogLevel::WORDS));
        let access_log = reader.value(keys::ACCESS_LOG, boolean);
        let shutdown_grace = reader.value(keys::SHUTDOWN_GRACE_MS, millis(0));
        let upload_max_bytes = reader.value(keys::UPLOAD_MAX_BYTES, whole(1..=UPLOAD_LIMIT));
        let snapshot_max_bytes = reader.value(keys::SNAPSHOT_MAX_BYTES, whole(1..=SNAPSHOT_LIMIT));
        let asset_hash = reader.value(
            keys::ASSET_HASH,
            choice(&[
                ("strict", AssetHashMode::Strict),
                ("warn", AssetHashMode::Warn),
                ("off", AssetHashMode::Off),
            ]),
        );
        let cache_bytes = read_cache_bytes(reader);
        let readyz = reader.value(
            keys::READYZ,
            choice(&[("strict", Readyz::Strict), ("serving", Readyz::Serving)]),
        );
        let metrics = Metrics::read(reader, port);
        Ok(Self {
            host: host?,
            port: port?,
            tls: tls?,
            public_url: public_url?,
            delimiter: delimiter?,
            log_level: log_level?,
            access_log: access_log?,
            shutdown_grace: shutdown_grace?,
            upload_max_bytes: upload_max_bytes?,
            snapshot_max_bytes: snapshot_max_bytes?,
            asset_hash: asset_hash?,
            cache_bytes: cache_bytes?,
            memory_limit: reader.memory_limit(),
            readyz: readyz?,
            metrics: metrics?,
        })
    }
}

impl TlsFiles {
    fn read(reader: &mut Reader<'_>) -> Checked<Option<Self>> {
        let cert = reader.optional(keys::TLS_CERT_FILE, pem("CERTIFICATE"));
        let key = reader.optional(keys::TLS_KEY_FILE, pem("PRIVATE KEY"));
        match (cert?, key?) {
            (Some(cert), Some(key)) => Ok(Some(Self { cert, key })),
            (None, None) => Ok(None),
            (Some(_), None) => {
                Err(reader.missing(keys::TLS_KEY_FILE, " with ZE_WORKER_TLS_CERT_FILE"))
            }
            (None, Some(_)) => {
                Err(reader.missing(keys::TLS_CERT_FILE, " with ZE_WORKER_TLS_KEY_FILE"))
            }
        }
    }
}

impl Metrics {
    fn read(reader: &mut Reader<'_>, http_port: Checked<u16>) -> Checked<Self> {
        let port = reader.optional(keys::METRICS_PORT, port_or_any);
        let token = reader.optional(keys::METRICS_TOKEN, header_secret);
        let (port, token) = (port?, token?);
        // Two listeners may both take a free port.
        if port.is_some_and(|port| port != 0) && port == http_port.ok() {
            let message = "is the HTTP port; leave it unset to have /metrics there";
            return Err(reader.conflict(keys::METRICS_PORT, message));
        }
        Ok(Self { port, token })
    }
}

fn read_cache_bytes(reader: &mut Reader<'_>) -> Checked<u64> {
    let limit = reader.memory_limit();
    let default = limit
        .map_or(CACHE_DEFAULT_WITHOUT_LIMIT, |limit| {
            (limit / 4).min(CACHE_DEFAULT_MOST)
        })
        .to_string();
    let bytes = reader.value_or(keys::CACHE_BYTES, &default, whole(0..=CACHE_LIMIT))?;
    if let Some(limit) = limit.filter(|limit| bytes >= *limit) {
        let message = format!("is as much as the memory limit of {limit} bytes, or more");
        reader.warn(keys::CACHE_BYTES, message);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dual_stack_falls_back_to_ipv4_and_an_address_to_nothing() {
        let candidates = |text: &str| {
            let host = BindHost::parse(text).unwrap();
            host.candidates(80)
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        };
        assert_eq!(candidates("::"), ["[::]:80", "0.0.0.0:80"]);
        assert_eq!(candidates("[::]"), ["[::]:80", "0.0.0.0:80"]);
        assert_eq!(candidates("0.0.0.0"), ["0.0.0.0:80"]);
        assert_eq!(candidates("::1"), ["[::1]:80"]);
    }

    #[test]
    fn every_level_has_its_word() {
        for (word, level) in LogLevel::WORDS {
            assert_eq!(level.to_string(), word);
        }
        assert!(LogLevel::WORDS.map(|(_, level)| level).is_sorted());
    }
}
