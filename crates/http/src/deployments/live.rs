//! A deployment as it is served.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use favonius_contract::{
    AssetRef, Delimiter, Deployment, DeploymentName, Snapshot, SnapshotId, version_labels,
};
use favonius_storage::Clock;
use http::HeaderValue;

use crate::serve::{Facts, LastModified, Rules, own_rules};

/// A deployment together with what need not be worked out again for each request.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) deployment: Deployment,
    /// The name that it was loaded for; a version may be loaded by its id.
    pub(crate) name: Option<DeploymentName>,
    /// Whether the name stands for this one version for ever, so that what it serves may be kept for ever too.
    pub(crate) is_version: bool,
    /// What it says of headers and redirects, once that was read.
    pub(crate) rules: OnceLock<Rules>,
    /// What the name answered with before, once that was asked for; the newest first.
    pub(super) past: OnceLock<Arc<[SnapshotId]>>,
    /// For each asset of the snapshot, in its order, once it was asked for.
    facts: Box<[OnceLock<Facts>]>,
    shown_id: HeaderValue,
    /// What is said where nothing answers a path.
    pub(crate) not_found: Arc<str>,
    modified: Option<(LastModified, HeaderValue)>,
    /// Whether that is over. It stays so, and the time need not be asked for again.
    is_past: AtomicBool,
}

impl Live {
    /// The deployment that a name stands for.
    pub(super) fn named(
        name: DeploymentName,
        deployment: Deployment,
        delimiter: Delimiter,
    ) -> Self {
        let says_so = deployment
            .publication
            .as_ref()
            .is_some_and(|publication| publication.version);
        // Records of another worker, and those made by hand, do not say it; their name does.
        let [label, _] = version_labels(&deployment.snapshot.snapshot_id, usize::MAX);
        let named_so = || {
            name.as_str()
                .strip_prefix(label.as_str())
                .is_some_and(|rest| rest.starts_with(delimiter.as_str()))
        };
        let is_version = says_so || named_so();
        Self::new(Some(name), is_version, deployment)
    }

    /// A version by itself.
    pub(super) fn version(deployment: Deployment) -> Self {
        Self::new(None, true, deployment)
    }

    fn new(name: Option<DeploymentName>, is_version: bool, deployment: Deployment) -> Self {
        let snapshot = &deployment.snapshot;
        let facts = std::iter::repeat_with(OnceLock::new)
            .take(snapshot.asset_count())
            .collect();
        let modified = LastModified::from_unix_ms(snapshot.created_at_ms)
            .map(|modified| (modified, modified.header()));
        let rules = OnceLock::new();
        if !own_rules::are_in(snapshot) {
            // It is new, so that nothing is there.
            drop(rules.set(Rules::default()));
        }
        Self {
            shown_id: shown(&snapshot.snapshot_id),
            not_found: format!(
                "There is no such file in version {} of {}",
                snapshot.snapshot_id, snapshot.application_uid
            )
            .into(),
            deployment,
            name,
            is_version,
            rules,
            past: OnceLock::new(),
            facts,
            modified,
            is_past: AtomicBool::new(false),
        }
    }

    pub(crate) fn snapshot(&self) -> &Snapshot {
        &self.deployment.snapshot
    }

    /// The manifest that publishing gave the name, in the place of the build's own.
    pub(crate) fn manifest(&self) -> Option<AssetRef> {
        self.deployment.publication.as_ref()?.manifest
    }

    /// What the name answered with before, as far as that needs no asking: the hostname of a version stands for one build.
    pub(crate) fn past(&self) -> Option<Arc<[SnapshotId]>> {
        if self.is_version || self.name.is_none() {
            return Some(Arc::new([]));
        }
        self.past.get().map(Arc::clone)
    }

    /// What follows from the path of the asset at this index, which has this path.
    pub(crate) fn facts(&self, index: usize, path: &str) -> Option<&Facts> {
        Some(self.facts.get(index)?.get_or_init(|| Facts::of(path)))
    }

    /// The id of the snapshot, fit for a header.
    pub(crate) fn shown_id(&self) -> &HeaderValue {
        &self.shown_id
    }

    /// When it was built. A builder's clock may be ahead, and a date in the future is not allowed (RFC 9110, section 8.8.2.1).
    pub(crate) fn modified(&self, clock: &Clock) -> Option<(LastModified, &HeaderValue)> {
        let (modified, header) = self.modified.as_ref()?;
        if !self.is_past.load(Relaxed) {
            if self.deployment.snapshot.created_at_ms > clock.now_ms() {
                return None;
            }
            self.is_past.store(true, Relaxed);
        }
        Some((*modified, header))
    }

    /// About how many bytes of memory this takes.
    pub(super) fn memory_bytes(&self) -> usize {
        let facts = self.facts.len() * size_of::<OnceLock<Facts>>();
        let snapshot = &self.deployment.snapshot;
        size_of::<Self>() + facts + snapshot.memory_bytes() + own_rules::memory_bytes(snapshot)
    }
}

/// An id may hold what a header must not; then it is escaped as in a URL.
fn shown(id: &SnapshotId) -> HeaderValue {
    let id = id.as_str();
    let plain = HeaderValue::from_str(id).ok().filter(|_| id.is_ascii());
    plain.unwrap_or_else(|| {
        let escaped = percent_encoding::utf8_percent_encode(id, percent_encoding::CONTROLS);
        HeaderValue::try_from(escaped.to_string()).unwrap_or(HeaderValue::from_static("unknown"))
    })
}
