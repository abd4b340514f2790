//! How a Redis is reached and what it is used for.

use std::{fmt, path::PathBuf, time::Duration};

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Name or IP address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl Endpoint {
    /// A server at this host and port.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        let host = host.into();
        Self { host, port }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Which servers there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedisTopology {
    /// One server.
    Single(Endpoint),
    /// A Redis Cluster. All keys of a store are in one slot, so that one of its masters holds them.
    Cluster {
        /// Nodes that are asked for the others.
        seeds: Vec<Endpoint>,
    },
    /// A master and its replicas that Sentinels watch.
    Sentinel {
        /// The Sentinels.
        sentinels: Vec<Endpoint>,
        /// The name by which they know the master.
        master: String,
    },
}

/// A password, which is never shown.
#[derive(Clone)]
pub struct Password(String);

impl Password {
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl<T: Into<String>> From<T> for Password {
    fn from(password: T) -> Self {
        Self(password.into())
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Whom to believe that a server is the right one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// PEM file with the certificates of the authorities to trust; `None` for those that the system trusts.
    pub ca_file: Option<PathBuf>,
}

/// How a Redis is reached and what it is used for.
#[derive(Debug, Clone)]
pub struct RedisOptions {
    /// Which servers there are.
    pub topology: RedisTopology,
    /// ACL user; `None` for the default one. Of no use without a password.
    pub username: Option<String>,
    /// Its password. Sentinels that do not take it are asked without one.
    pub password: Option<Password>,
    /// Number of the database.
    pub db: u32,
    /// Whether to speak TLS, to Sentinels as well.
    pub tls: Option<TlsOptions>,
    /// Prefix of the records by name. Its hash tag, if it has one, is carried by all keys that are not named here.
    pub envs_prefix: String,
    /// Prefix of the snapshots.
    pub snapshots_prefix: String,
    /// How long a command may take. A call may take 200 ms more, for what it waits before; and one that sends
    /// megabytes some more.
    pub command_timeout: Duration,
    /// How long it may take to connect, with TLS and log-in.
    pub connect_timeout: Duration,
    /// Most connections at once; one more follows the changes. At least 1.
    pub pool_size: usize,
    /// Whether other regions are to be told what is stored, published and removed here.
    pub announce: bool,
}

impl RedisOptions {
    /// Without password and TLS, and with the usual prefixes and times.
    pub fn new(topology: RedisTopology) -> Self {
        Self {
            topology,
            username: None,
            password: None,
            db: 0,
            tls: None,
            envs_prefix: "{ze-k8s-worker}:envs:".into(),
            snapshots_prefix: "{ze-k8s-worker}:snapshots:".into(),
            command_timeout: Duration::from_millis(1_500),
            connect_timeout: Duration::from_secs(1),
            pool_size: 16,
            announce: false,
        }
    }
}

/// Why a store cannot be made of these options.
#[derive(Debug, thiserror::Error)]
pub enum InvalidOptions {
    /// There is nobody to ask.
    #[error("no {0} is named: name at least one host")]
    NoServer(&'static str),
    /// A key with one prefix could be taken for another kind of key.
    #[error(
        "the prefix `{prefix}` cannot be told from `{other}`: let each prefix end in a word of its own, such as \
         `{{tag}}:envs:`"
    )]
    Prefix {
        /// One of the two prefixes.
        prefix: String,
        /// The other one, or one that is derived from the envs prefix.
        other: String,
    },
    /// In a cluster all keys must be in one slot.
    #[error(
        "the prefixes `{envs}` and `{snapshots}` do not have the same hash tag, which a cluster needs: begin both \
         with the same word in braces, such as `{{tag}}:`"
    )]
    HashTag {
        /// Prefix of the records by name.
        envs: String,
        /// Prefix of the snapshots.
        snapshots: String,
    },
    /// The file with the certificates cannot be used.
    #[error("the certificates in `{file}` cannot be used")]
    Authorities {
        /// Which file.
        file: PathBuf,
        /// Why.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The system trusts nobody.
    #[error(
        "the system has no certificates of authorities: install some, or name a file with them"
    )]
    NoAuthorities,
    /// A pool needs a connection.
    #[error("a pool of 0 connections cannot connect: allow at least 1")]
    NoConnections,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        let mut options =
            RedisOptions::new(RedisTopology::Single(Endpoint::new("localhost", 6379)));
        options.password = Some("hunter2".into());
        let shown = format!("{options:?}");
        assert!(
            shown.contains("***") && !shown.contains("hunter2"),
            "{shown}"
        );
    }

    #[test]
    fn endpoints_are_shown_as_they_are_written() {
        let cases = [
            ("name", Endpoint::new("redis", 6379), "redis:6379"),
            ("IPv4", Endpoint::new("10.0.0.1", 1), "10.0.0.1:1"),
            ("IPv6", Endpoint::new("::1", 6379), "[::1]:6379"),
        ];
        for (name, endpoint, expected) in cases {
            assert_eq!(endpoint.to_string(), expected, "case `{name}`");
        }
    }
}
