//! Every key there is, in one table that drives reading, defaults, the detection of misspelt names,
//! the effective configuration and `docs/configuration.md`.

mod backends;
mod telemetry;
mod worker;

pub(crate) use backends::*;
pub(crate) use telemetry::*;
pub(crate) use worker::*;

/// One key of the configuration.
#[derive(Debug)]
pub struct Key {
    /// The name, the same in the file and in the environment.
    pub name: &'static str,
    /// What the key is about.
    pub section: Section,
    /// What holds when nothing sets it.
    pub default: Fallback,
    /// Whether the value must never be shown.
    pub secret: bool,
    /// A value that would be taken, or for a secret how to come by one.
    pub example: &'static str,
    /// What the key does, as one paragraph of Markdown.
    pub about: &'static str,
}

/// What holds when a key is not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// This value, as one would write it.
    Value(&'static str),
    /// A value that depends on the surroundings, in words.
    Derived(&'static str),
    /// Nothing: what the key turns on stays off.
    Unset,
    /// There is none: the key has to be set (its description says when).
    Required,
}

/// Groups of keys, in the order in which they are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// Where settings come from.
    File,
    /// Write tokens.
    Tokens,
    /// Listening, logging, shutting down.
    Server,
    /// Sizes, checks and the cache.
    Assets,
    /// Readiness and metrics.
    Probes,
    /// Which back ends are used.
    Storage,
    /// The bucket; read when storage is `s3-redis`.
    S3,
    /// The records; read when storage is `s3-redis`.
    Redis,
    /// Other regions.
    Replication,
    /// Traces, metrics and logs over OTLP.
    Telemetry,
}

impl Section {
    /// The heading in documentation and listings.
    pub fn title(self) -> &'static str {
        match self {
            Self::File => "Configuration file",
            Self::Tokens => "Write tokens",
            Self::Server => "Server",
            Self::Assets => "Assets and cache",
            Self::Probes => "Probes and metrics",
            Self::Storage => "Storage",
            Self::S3 => "S3",
            Self::Redis => "Redis",
            Self::Replication => "Replication",
            Self::Telemetry => "OpenTelemetry",
        }
    }
}

impl Key {
    /// The default in words: the value itself, `(unset)`, `(required)`, or how it is found.
    pub fn default_text(&self) -> &'static str {
        match self.default {
            Fallback::Value(text) | Fallback::Derived(text) => text,
            Fallback::Unset => "(unset)",
            Fallback::Required => "(required)",
        }
    }
}

/// Every key, in the order in which they are shown.
pub fn all() -> impl Iterator<Item = &'static Key> {
    [WORKER, BACKENDS, TELEMETRY].into_iter().flatten().copied()
}

/// The key of that name.
pub fn find(name: &str) -> Option<&'static Key> {
    all().find(|key| key.name == name)
}

const OWN_PREFIX: &str = "ZE_WORKER_";
const TELEMETRY_PREFIX: &str = "OTEL_";

/// Whether an environment variable of that name is any business of ours.
pub(crate) fn may_be_setting(name: &str) -> bool {
    is_own(name) || is_telemetry(name) || name == NODE_ENV.name
}

/// Whether the name is in our name space, where every unknown one is a misspelling.
pub(crate) fn is_own(name: &str) -> bool {
    name.starts_with(OWN_PREFIX)
}

/// Whether the name is OpenTelemetry's. Those that are not in the table are handed on as they are.
pub(crate) fn is_telemetry(name: &str) -> bool {
    name.starts_with(TELEMETRY_PREFIX)
}

/// The key whose name is nearest to `name`, and how alike they are, from 0 to 1.
pub(crate) fn nearest(name: &str) -> Option<(&'static Key, f64)> {
    let name = name.to_ascii_uppercase();
    all()
        .map(|key| (key, strsim::normalized_damerau_levenshtein(&name, key.name)))
        .max_by(|(_, left), (_, right)| left.total_cmp(right))
}

/// Declares keys as constants and lists them in a table, so that none can be missing from it.
macro_rules! keys {
    ($table:ident: $($constant:ident {
        name: $name:literal, section: $section:ident, default: $default:expr, secret: $secret:literal,
        example: $example:literal,
        about: $about:literal $(,)?
    })*) => {
        $(
            pub(crate) const $constant: &$crate::keys::Key = &$crate::keys::Key {
                name: $name,
                section: $crate::keys::Section::$section,
                default: $default,
                secret: $secret,
                example: $example,
                about: $about,
            };
        )*
        pub(crate) const $table: &[&$crate::keys::Key] = &[$($constant),*];
    };
}
use keys;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_sections_hold_together() {
        let names: BTreeSet<_> = all().map(|key| key.name).collect();
        assert_eq!(names.len(), all().count());
        assert!(all().map(|key| key.section).is_sorted());
        assert!(all().all(|key| may_be_setting(key.name)));
    }

    #[test]
    fn texts_fit_a_table_row() {
        for key in all() {
            assert!(!key.example.is_empty(), "{}", key.name);
            assert!(key.about.ends_with('.'), "{}: {}", key.name, key.about);
            assert!(
                !key.about.contains(['\n', '|']),
                "{}: {}",
                key.name,
                key.about
            );
        }
    }

    #[test]
    fn a_misspelt_name_finds_the_right_key() {
        for (misspelt, expected) in [
            ("ZE_WORKER_PROT", "ZE_WORKER_PORT"),
            ("ZE_WORKER_JWT_SECERT", "ZE_WORKER_JWT_SECRET"),
            ("ze_worker_redis_hots", "ZE_WORKER_REDIS_HOST"),
            ("ZE_WORKER_REPLICA_URLS", "ZE_WORKER_REPLICAS_URLS"),
            ("ZE_WORKER_LOGLEVEL", "ZE_WORKER_LOG_LEVEL"),
            ("REDIS_PASSWORD", "ZE_WORKER_REDIS_PASSWORD"),
        ] {
            let found = nearest(misspelt).map(|(key, _)| key.name);
            assert_eq!(found, Some(expected), "{misspelt}");
        }
    }
}
