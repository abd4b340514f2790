//! The Redis that records are kept in.

use std::path::PathBuf;

use crate::{
    keys::{self, Key},
    parse::{boolean, choice, line, pem, port_of_peer, whole, word},
    problem::Reason,
    reader::{Checked, Reader},
    secret::Secret,
    settings::{HostPort, host_port::parse_hosts, warn_of_white_space},
};

/// Where Sentinels listen unless told otherwise.
const SENTINEL_PORT: &str = "26379";
/// Redis numbers its databases with an `int`.
const MAX_DB: u64 = i32::MAX as u64;

/// The Redis that records are kept in, and how it is spoken to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RedisSettings {
    /// Which servers to connect to.
    pub topology: RedisTopology,
    /// ACL user.
    pub username: Option<String>,
    /// Password.
    pub password: Option<Secret>,
    /// Whether connections use TLS.
    pub tls: bool,
    /// PEM bundle of the authorities to trust, else those of the system.
    pub ca_file: Option<PathBuf>,
    /// Database number, 0 in a cluster.
    pub db: u32,
    /// Prefix of the records by hostname. Neither prefix begins with the other.
    pub prefix_envs: String,
    /// Prefix of the snapshots.
    pub prefix_snapshots: String,
}

/// Which servers to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisTopology {
    /// One server.
    Single(HostPort),
    /// A Redis Cluster. Both prefixes then have the same hash tag.
    Cluster {
        /// Nodes to ask for the rest, at least one.
        seeds: Vec<HostPort>,
    },
    /// A replicated server, found through Sentinels.
    Sentinel {
        /// The Sentinels, at least one.
        sentinels: Vec<HostPort>,
        /// The name by which they know the master.
        master: String,
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Single,
    Cluster,
    Sentinel,
}

impl RedisSettings {
    /// The hash tag of the envs prefix with its braces, which every further key carries. A prefix
    /// need not have one outside a cluster.
    pub fn hash_tag(&self) -> Option<&str> {
        hash_tag(&self.prefix_envs)
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Checked<Self> {
        let modes = [
            ("single", Mode::Single),
            ("cluster", Mode::Cluster),
            ("sentinel", Mode::Sentinel),
        ];
        let mode = reader.value(keys::REDIS_MODE, choice(&modes));
        let topology = match mode {
            Ok(mode) => RedisTopology::read(reader, mode),
            Err(noted) => {
                let checked = reader.check_only(noted, |reader| read_hosts(reader, Mode::Cluster));
                checked.and(Err(noted))
            }
        };
        let username = reader.optional(keys::REDIS_USERNAME, line(256));
        let password = reader.optional(keys::REDIS_PASSWORD, |text| Ok(Secret::new(text)));
        let tls = reader.value(keys::REDIS_TLS, boolean);
        let ca_file = reader.optional(keys::REDIS_CA_FILE, pem("CERTIFICATE"));
        let db = read_db(reader, mode);
        let prefixes = read_prefixes(reader, mode);
        let (prefix_envs, prefix_snapshots) = prefixes?;
        let this = Self {
            topology: topology?,
            username: username?,
            password: password?,
            tls: tls?,
            ca_file: ca_file?,
            db: db?,
            prefix_envs,
            prefix_snapshots,
        };
        this.warn(reader);
        Ok(this)
    }

    fn warn(&self, reader: &mut Reader<'_>) {
        if let Some(password) = &self.password {
            warn_of_white_space(reader, keys::REDIS_PASSWORD, password);
        }
        if self.ca_file.is_some() && !self.tls {
            reader.warn(
                keys::REDIS_CA_FILE,
                "has no effect: ZE_WORKER_REDIS_TLS is not true",
            );
        }
        if self.username.is_some() && self.password.is_none() {
            let message = "has no effect without ZE_WORKER_REDIS_PASSWORD";
            reader.warn(keys::REDIS_USERNAME, message);
        }
        let by_sentinel = matches!(self.topology, RedisTopology::Sentinel { .. });
        if !by_sentinel && reader.is_set(keys::REDIS_SENTINEL_MASTER) {
            let message = "has no effect: ZE_WORKER_REDIS_MODE is not sentinel";
            reader.warn(keys::REDIS_SENTINEL_MASTER, message);
        }
    }
}

impl RedisTopology {
    fn read(reader: &mut Reader<'_>, mode: Mode) -> Checked<Self> {
        let hosts = read_hosts(reader, mode);
        if mode == Mode::Sentinel {
            let master = read_master(reader);
            return Ok(Self::Sentinel {
                sentinels: hosts?,
                master: master?,
            });
        }
        let mut hosts = hosts?;
        if mode == Mode::Cluster {
            return Ok(Self::Cluster { seeds: hosts });
        }
        if let (Some(host), true) = (hosts.pop(), hosts.is_empty()) {
            return Ok(Self::Single(host));
        }
        let message = "is a list, which ZE_WORKER_REDIS_MODE has to be cluster or sentinel for";
        Err(reader.conflict(keys::REDIS_HOST, message))
    }
}

/// The hosts, at least one, each with its own port or the common one.
fn read_hosts(reader: &mut Reader<'_>, mode: Mode) -> Checked<Vec<HostPort>> {
    let hosts = reader.required(keys::REDIS_HOST, parse_hosts);
    let default = match mode {
        Mode::Single | Mode::Cluster => keys::REDIS_PORT.default_text(),
        Mode::Sentinel => SENTINEL_PORT,
    };
    let common = reader.value_or(keys::REDIS_PORT, default, port_of_peer);
    let (hosts, common) = (hosts?, common?);
    Ok(hosts
        .into_iter()
        .map(|(host, port)| HostPort {
            host,
            port: port.unwrap_or(common),
        })
        .collect())
}

fn read_master(reader: &mut Reader<'_>) -> Checked<String> {
    let key = keys::REDIS_SENTINEL_MASTER;
    match reader.optional(key, word("-_.", 1..=255))? {
        Some(master) => Ok(master),
        None => Err(reader.missing(key, " when ZE_WORKER_REDIS_MODE is sentinel")),
    }
}

fn read_db(reader: &mut Reader<'_>, mode: Checked<Mode>) -> Checked<u32> {
    let db = reader.value(keys::REDIS_DB, |text| {
        let number = whole(0..=MAX_DB)(text)?;
        u32::try_from(number).map_err(|_| Reason::new("is too large"))
    })?;
    if db != 0 && matches!(mode, Ok(Mode::Cluster)) {
        return Err(reader.conflict(keys::REDIS_DB, "is not 0, the only database of a cluster"));
    }
    Ok(db)
}

fn read_prefixes(reader: &mut Reader<'_>, mode: Checked<Mode>) -> Checked<(String, String)> {
    let envs_key = keys::REDIS_PREFIX_ENVS;
    let snapshots_key = keys::REDIS_PREFIX_SNAPSHOTS;
    let envs = reader.value(envs_key, line(256));
    let snapshots = reader.value(snapshots_key, line(256));
    let (envs, snapshots) = (envs?, snapshots?);
    // One of the two that was left alone is hardly the culprit.
    let changed: &Key = if reader.is_set(snapshots_key) {
        snapshots_key
    } else {
        envs_key
    };
    // Redis refuses to track overlapping prefixes, and a scan of one would find the other's keys.
    if envs.starts_with(&snapshots) || snapshots.starts_with(&envs) {
        let message = "begins with the other prefix, or the other way round; keys would get mixed";
        return Err(reader.conflict(changed, message));
    }
    if matches!(mode, Ok(Mode::Cluster)) {
        let mut tagless = None;
        for (key, prefix) in [(envs_key, &envs), (snapshots_key, &snapshots)] {
            if hash_tag(prefix).is_none() {
                let message = "has no hash tag (a part in braces), which a cluster needs";
                tagless = Some(reader.conflict(key, message));
            }
        }
        if let Some(noted) = tagless {
            return Err(noted);
        }
        if hash_tag(&envs) != hash_tag(&snapshots) {
            let message = "has another hash tag than the other prefix; a cluster would put their \
                           keys on different slots";
            return Err(reader.conflict(changed, message));
        }
    }
    Ok((envs, snapshots))
}

/// What Redis Cluster hashes of a key that starts with `prefix`, with the braces: from the first `{`
/// to the first `}` after it, unless there is nothing between.
fn hash_tag(prefix: &str) -> Option<&str> {
    let start = prefix.find('{')?;
    let from = prefix.get(start..)?;
    let end = from.find('}')?;
    from.get(..=end).filter(|tag| tag.len() > "{}".len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_tags_are_those_of_the_cluster_specification() {
        for (prefix, expected) in [
            ("{ze-k8s-worker}:envs:", Some("{ze-k8s-worker}")),
            ("foo{{bar}}zap", Some("{{bar}")),
            ("foo{bar}{zap}", Some("{bar}")),
            ("foo{}{bar}", None),
            ("foo{bar", None),
            ("}foo{", None),
            ("foo", None),
        ] {
            assert_eq!(hash_tag(prefix), expected, "{prefix}");
        }
    }
}
