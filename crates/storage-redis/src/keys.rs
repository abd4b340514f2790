//! Under which keys everything is kept.

use favonius_contract::{ApplicationUid, DeploymentName, SnapshotId, replication::TargetRegion};
use favonius_storage::ChangeEvent;

use crate::InvalidOptions;

/// What stands under a key.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Key<'a> {
    /// String: what a name answers with.
    Name(&'a DeploymentName),
    /// String: a snapshot as it was uploaded.
    Snapshot(&'a SnapshotId),
    /// Set of `<hash>.<size>`: the assets that an application uploaded.
    Assets(&'a ApplicationUid),
    /// Sorted set: the snapshots of an application by the time of their build.
    Versions(&'a ApplicationUid),
    /// Set: the names that an application published to.
    Names(&'a ApplicationUid),
    /// List of `HistoryEntry`, newest first: what a name answered with.
    History(&'a DeploymentName),
    /// Hash: what regions have to agree on, `s:<snapshot id>` and `n:<name>`.
    States,
    /// Stream: what other regions are to be told, with a consumer group for each.
    Outbox,
    /// Stream: what a region refused for good.
    Dead(&'a TargetRegion),
    /// String: a one-time name that was used.
    Once(&'a str),
    /// String: who has a role.
    Lease(&'a str),
    /// Never there: for asking whether it could be written.
    Probe,
}

/// The words between the stem and the rest of a key.
const FAMILIES: [&str; 9] = [
    "hashes:",
    "versions:",
    "hosts:",
    "history:",
    "states",
    "outbox",
    "once:",
    "lease:",
    "probe",
];

/// The prefixes of the keys.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    envs: String,
    snapshots: String,
    stem: String,
}

impl Keys {
    /// Checks that no key can be taken for another.
    pub(crate) fn new(envs: &str, snapshots: &str) -> Result<Self, InvalidOptions> {
        let stem = stem(envs);
        let families = FAMILIES.map(|family| format!("{stem}{family}"));
        let ours = families.iter().map(String::as_str);
        let pairs = [(envs, snapshots)]
            .into_iter()
            .chain(ours.flat_map(|family| [(envs, family), (snapshots, family)]));
        for (prefix, other) in pairs {
            if prefix.starts_with(other) || other.starts_with(prefix) {
                return Err(InvalidOptions::Prefix {
                    prefix: prefix.into(),
                    other: other.into(),
                });
            }
        }
        Ok(Self {
            envs: envs.into(),
            snapshots: snapshots.into(),
            stem,
        })
    }

    /// Whether all keys are in one slot of a cluster.
    pub(crate) fn share_a_slot(&self) -> bool {
        let tag = hash_tag(&self.envs);
        tag.is_some() && tag == hash_tag(&self.snapshots)
    }

    /// The key as text.
    pub(crate) fn text(&self, key: Key<'_>) -> String {
        let Self {
            envs,
            snapshots,
            stem,
        } = self;
        match key {
            Key::Name(name) => format!("{envs}{name}"),
            Key::Snapshot(id) => format!("{snapshots}{id}"),
            Key::Assets(application) => format!("{stem}hashes:{application}"),
            Key::Versions(application) => format!("{stem}versions:{application}"),
            Key::Names(application) => format!("{stem}hosts:{application}"),
            Key::History(name) => format!("{stem}history:{name}"),
            Key::States => format!("{stem}states"),
            Key::Outbox => format!("{stem}outbox"),
            Key::Dead(target) => format!("{stem}outbox:dead:{target}"),
            Key::Once(name) => format!("{stem}once:{name}"),
            Key::Lease(role) => format!("{stem}lease:{role}"),
            Key::Probe => format!("{stem}probe"),
        }
    }

    /// The prefixes under which changes matter to readers.
    pub(crate) fn watched(&self) -> [&str; 2] {
        [&self.envs, &self.snapshots]
    }

    /// What changed when this key did; `None` for what is none of ours.
    pub(crate) fn changed(&self, key: &[u8]) -> Option<ChangeEvent> {
        let key = std::str::from_utf8(key).ok()?;
        if let Some(name) = key.strip_prefix(&self.envs) {
            name.parse().ok().map(ChangeEvent::Name)
        } else {
            let id = key.strip_prefix(&self.snapshots)?;
            id.parse().ok().map(ChangeEvent::Snapshot)
        }
    }
}

/// What further keys begin with: the envs prefix without its last word, so that `{tag}:envs:` makes `{tag}:hashes:` and
/// `{tag}:test-envs:` makes `{tag}:test-hashes:`. A prefix of another form is taken as a whole, after its hash tag.
fn stem(envs: &str) -> String {
    let words = envs.strip_suffix(':').unwrap_or(envs);
    if let Some(stem) = words.strip_suffix("envs") {
        return stem.into();
    }
    let tag = hash_tag(envs).map_or(String::new(), |tag| format!("{{{tag}}}:"));
    format!("{tag}favonius:{envs}:")
}

/// The part of a key that decides on its slot: what stands between the first brace and the next closing one, unless
/// that is nothing.
fn hash_tag(key: &str) -> Option<&str> {
    let (_, rest) = key.split_once('{')?;
    let (tag, _) = rest.split_once('}')?;
    (!tag.is_empty()).then_some(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENVS: &str = "{ze-k8s-worker}:envs:";
    const SNAPSHOTS: &str = "{ze-k8s-worker}:snapshots:";

    fn name(text: &str) -> DeploymentName {
        text.parse().unwrap()
    }

    #[test]
    fn keys_are_what_operators_find_in_their_redis() {
        let keys = Keys::new(ENVS, SNAPSHOTS).unwrap();
        let application: ApplicationUid = "a.b.c".parse().unwrap();
        let id: SnapshotId = "ada-1.a.b.c".parse().unwrap();
        let www = name("www.example.com");
        let region: TargetRegion = "https://eu.test/".parse().unwrap();
        let cases = [
            (Key::Name(&www), "{ze-k8s-worker}:envs:www.example.com"),
            (Key::Snapshot(&id), "{ze-k8s-worker}:snapshots:ada-1.a.b.c"),
            (Key::Assets(&application), "{ze-k8s-worker}:hashes:a.b.c"),
            (
                Key::Versions(&application),
                "{ze-k8s-worker}:versions:a.b.c",
            ),
            (Key::Names(&application), "{ze-k8s-worker}:hosts:a.b.c"),
            (
                Key::History(&www),
                "{ze-k8s-worker}:history:www.example.com",
            ),
            (Key::States, "{ze-k8s-worker}:states"),
            (Key::Outbox, "{ze-k8s-worker}:outbox"),
            (
                Key::Dead(&region),
                "{ze-k8s-worker}:outbox:dead:https://eu.test",
            ),
            (Key::Once("x"), "{ze-k8s-worker}:once:x"),
            (Key::Lease("x"), "{ze-k8s-worker}:lease:x"),
            (Key::Probe, "{ze-k8s-worker}:probe"),
        ];
        for (key, expected) in cases {
            assert_eq!(keys.text(key), expected, "{key:?}");
        }
    }

    #[test]
    fn further_keys_follow_the_envs_prefix() {
        let cases = [
            ("{x}:envs:", "{x}:"),
            ("{x}:envs", "{x}:"),
            ("{x}:test-envs:", "{x}:test-"),
            ("prod:envs:", "prod:"),
            ("envs:", ""),
            ("{x}/names/", "{x}:favonius:{x}/names/:"),
            ("names:", "favonius:names::"),
            ("a{}b:hosts:", "favonius:a{}b:hosts::"),
        ];
        for (envs, expected) in cases {
            assert_eq!(stem(envs), expected, "{envs}");
        }
    }

    #[test]
    fn prefixes_that_run_into_each_other_are_refused() {
        let cases = [
            ("the usual ones", ENVS, SNAPSHOTS, true),
            ("without a tag", "a:envs:", "a:snapshots:", true),
            ("without an end", "a/", "b/", true),
            ("the same", "{x}:envs:", "{x}:envs:", false),
            ("one within the other", "{x}:envs:", "{x}:", false),
            ("nothing", "", "{x}:snapshots:", false),
            ("one of our own", "{x}:envs:", "{x}:hashes:", false),
            (
                "within one of our own",
                "{x}:envs:",
                "{x}:history:old:",
                false,
            ),
            ("one that is a whole key", "{x}:envs:", "{x}:states", false),
            ("around our own", "{x}:envs:", "{x}:h", false),
        ];
        for (case, envs, snapshots, valid) in cases {
            assert_eq!(Keys::new(envs, snapshots).is_ok(), valid, "case `{case}`");
        }
    }

    #[test]
    fn a_cluster_needs_one_hash_tag() {
        let cases = [
            (ENVS, SNAPSHOTS, true),
            ("a{x}envs:", "{x}snapshots:", true),
            ("{x}:envs:", "{y}:snapshots:", false),
            ("x:envs:", "x:snapshots:", false),
            ("{}x:envs:", "{}x:snapshots:", false),
            ("{}{x}:envs:", "{x}:snapshots:", false),
        ];
        for (envs, snapshots, expected) in cases {
            let keys = Keys::new(envs, snapshots).unwrap();
            assert_eq!(keys.share_a_slot(), expected, "{envs} {snapshots}");
        }
    }

    #[test]
    fn changed_keys_are_told_apart() {
        let keys = Keys::new(ENVS, SNAPSHOTS).unwrap();
        let cases: [(&[u8], Option<ChangeEvent>); 6] = [
            (
                b"{ze-k8s-worker}:envs:a b",
                Some(ChangeEvent::Name(name("a b"))),
            ),
            (
                b"{ze-k8s-worker}:snapshots:u-1.a.b.c",
                Some(ChangeEvent::Snapshot("u-1.a.b.c".parse().unwrap())),
            ),
            (b"{ze-k8s-worker}:envs:", None),
            (b"{ze-k8s-worker}:envs:a/b", None),
            (b"{ze-k8s-worker}:envs:\xff", None),
            (b"{ze-k8s-worker}:hashes:a.b.c", None),
        ];
        for (key, expected) in cases {
            let shown = String::from_utf8_lossy(key);
            assert_eq!(keys.changed(key), expected, "{shown}");
        }
    }
}
