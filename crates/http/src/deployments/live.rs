//! A deployment as it is served: a build under a name.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering::SeqCst},
};

use favonius_contract::{
    ApplicationUid, AssetRef, Delimiter, DeploymentName, Publication, Snapshot, SnapshotId,
    version_labels,
};

use super::build::Build;
use crate::serve::{Facts, Rules, own_rules};

/// What a name answers with.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) build: Arc<Build>,
    /// What publishing added; none for a snapshot that somebody copied to the name by hand.
    pub(crate) publication: Option<Publication>,
    /// The name that it was loaded for; a version may be loaded by its id.
    pub(crate) name: Option<DeploymentName>,
    /// Whether the name stands for this one version for ever, so that what it serves may be kept for ever too.
    pub(crate) is_version: bool,
    /// Whether the name is a hostname, as [`Hostname`](favonius_contract::Hostname) writes it.
    pub(crate) is_host: bool,
    /// What the build says of headers and redirects, once that was read. Not with the build: what could not be checked in an outage
    /// is read again after it.
    pub(crate) rules: OnceLock<Rules>,
    /// What follows from the path of a manifest that stands in the place of the build's own.
    manifest_facts: OnceLock<Facts>,
    /// What the name answered with before, once that was asked for; the newest first.
    pub(super) past: OnceLock<Arc<[SnapshotId]>>,
    /// The connection to the changes under which it was read.
    epoch: u64,
    /// Whether a change of the name was told since.
    stale: AtomicBool,
}

impl Live {
    /// The deployment that a name stands for, as it was read in this epoch.
    pub(super) fn named(
        name: DeploymentName,
        build: Arc<Build>,
        publication: Option<Publication>,
        delimiter: Delimiter,
        epoch: u64,
    ) -> Self {
        let says_so = publication
            .as_ref()
            .is_some_and(|publication| publication.version);
        // Records of another worker, and those made by hand, do not say it; their name does.
        let [label, _] = version_labels(&build.snapshot.snapshot_id, usize::MAX);
        let named_so = || {
            name.as_str()
                .strip_prefix(label.as_str())
                .is_some_and(|rest| rest.starts_with(delimiter.as_str()))
        };
        Self {
            rules: rules_of(&build),
            manifest_facts: OnceLock::new(),
            is_version: says_so || named_so(),
            is_host: is_host(name.as_str()),
            name: Some(name),
            build,
            publication,
            past: OnceLock::new(),
            epoch,
            stale: AtomicBool::new(false),
        }
    }

    /// A version by itself.
    pub(super) fn version(build: Arc<Build>) -> Self {
        Self {
            rules: rules_of(&build),
            manifest_facts: OnceLock::new(),
            publication: None,
            name: None,
            is_version: true,
            is_host: false,
            build,
            past: OnceLock::new(),
            epoch: 0,
            stale: AtomicBool::new(false),
        }
    }

    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.build.snapshot
    }

    /// Whose name it is.
    pub(crate) fn owner(&self) -> &ApplicationUid {
        match &self.publication {
            Some(publication) => &publication.application_uid,
            None => &self.build.snapshot.application_uid,
        }
    }

    /// The manifest that publishing gave the name, in the place of the build's own.
    pub(crate) fn manifest(&self) -> Option<AssetRef> {
        self.publication.as_ref()?.manifest
    }

    /// What follows from the path of the asset at this index; without one it is the [`manifest`](Self::manifest).
    pub(crate) fn facts(&self, index: Option<usize>, path: &str) -> &Facts {
        index
            .and_then(|index| self.build.facts(index, path))
            .unwrap_or_else(|| self.manifest_facts.get_or_init(|| Facts::of(path)))
    }

    /// What the name answered with before, as far as that needs no asking: the hostname of a version stands for one build.
    pub(crate) fn past(&self) -> Option<&[SnapshotId]> {
        if self.is_version || self.name.is_none() {
            return Some(&[]);
        }
        self.past.get().map(|past| &**past)
    }

    /// Whether every change since it was read would have been told, and none was.
    pub(super) fn is_followed(&self, epoch: u64) -> bool {
        epoch % 2 == 1 && self.epoch == epoch && !self.is_stale()
    }

    /// Whether a change was told since.
    pub(super) fn is_stale(&self) -> bool {
        self.stale.load(SeqCst)
    }

    /// A change was told.
    pub(super) fn set_stale(&self) {
        self.stale.store(true, SeqCst);
    }

    /// About how many bytes of memory this takes by itself. Its build counts in full, although others may share it.
    pub(super) fn memory_bytes(&self) -> usize {
        let rules = own_rules::memory_bytes(self.snapshot());
        size_of::<Self>() + self.build.memory_bytes() + rules
    }
}

/// None, where a build brings none; else they have to be read.
fn rules_of(build: &Build) -> OnceLock<Rules> {
    if own_rules::are_in(&build.snapshot) {
        OnceLock::new()
    } else {
        Rules::default().into()
    }
}

/// Whether a name is written as a [`Hostname`](favonius_contract::Hostname) is: in lower case, without port and without trailing dot.
fn is_host(name: &str) -> bool {
    let is_label = |label: &[u8]| {
        (1..=63).contains(&label.len())
            && label
                .iter()
                .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
    };
    name.len() <= 253 && name.as_bytes().split(|&b| b == b'.').all(is_label)
}

#[cfg(test)]
mod tests {
    use favonius_contract::Hostname;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_host_is_its_own_hostname(host in "([a-zA-Z0-9_-]{1,64}[.:]?){0,4}") {
            let hostname = Hostname::from_authority(&host);
            let same = hostname.is_ok_and(|hostname| hostname.as_str() == host);
            prop_assert_eq!(is_host(&host), same, "{}", host);
        }
    }
}
