//! A build as it is served. What follows from it is worked out once, and names that answer with it share it: a version, its tag and
//! its environments are one build.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use favonius_contract::{Snapshot, SnapshotId};
use favonius_storage::Clock;
use http::HeaderValue;

use crate::serve::{Facts, LastModified};

/// A snapshot together with what need not be worked out again for each request.
#[derive(Debug)]
pub(crate) struct Build {
    pub(crate) snapshot: Snapshot,
    /// For each asset of the snapshot, in its order, once it was asked for.
    facts: Box<[OnceLock<Facts>]>,
    /// The id of the snapshot, fit for a header.
    pub(crate) shown_id: HeaderValue,
    /// What is said where nothing answers a path.
    pub(crate) not_found: Arc<str>,
    modified: Option<(LastModified, HeaderValue)>,
    /// Whether that is over. It stays so, and the time need not be asked for again.
    is_past: AtomicBool,
    /// Where it is known while it is in use.
    known: Builds,
}

impl Drop for Build {
    fn drop(&mut self) {
        let id = &self.snapshot.snapshot_id;
        let mut known = self.known.lock();
        // Another one may be known by the id meanwhile.
        if known.get(id).is_some_and(|build| build.strong_count() == 0) {
            known.remove(id);
        }
    }
}

impl Build {
    fn new(snapshot: Snapshot, known: Builds) -> Self {
        let facts = std::iter::repeat_with(OnceLock::new)
            .take(snapshot.asset_count())
            .collect();
        let modified = LastModified::from_unix_ms(snapshot.created_at_ms)
            .map(|modified| (modified, modified.header()));
        Self {
            shown_id: shown(&snapshot.snapshot_id),
            not_found: format!(
                "There is no such file in version {} of {}",
                snapshot.snapshot_id, snapshot.application_uid
            )
            .into(),
            snapshot,
            facts,
            modified,
            is_past: AtomicBool::new(false),
            known,
        }
    }

    /// What follows from the path of the asset at this index, which has this path.
    pub(crate) fn facts(&self, index: usize, path: &str) -> Option<&Facts> {
        Some(self.facts.get(index)?.get_or_init(|| Facts::of(path)))
    }

    /// When it was built. A builder's clock may be ahead, and a date in the future is not allowed (RFC 9110, section 8.8.2.1).
    pub(crate) fn modified(&self, clock: &Clock) -> Option<(LastModified, &HeaderValue)> {
        let (modified, header) = self.modified.as_ref()?;
        if !self.is_past.load(Relaxed) {
            if self.snapshot.created_at_ms > clock.now_ms() {
                return None;
            }
            self.is_past.store(true, Relaxed);
        }
        Some((*modified, header))
    }

    /// About how many bytes of memory this takes.
    pub(super) fn memory_bytes(&self) -> usize {
        let facts = self.facts.len() * size_of::<OnceLock<Facts>>();
        size_of::<Self>() + facts + self.snapshot.memory_bytes()
    }
}

/// The builds that names answer with; it keeps none of them. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Builds(Arc<Mutex<Known>>);

type Known = HashMap<SnapshotId, Weak<Build>>;

impl Builds {
    /// The build that is in use already, if it is the same; else this one.
    ///
    /// Where one id stands for two builds, in records that somebody wrote by hand, each is served as it is.
    pub(super) fn share(&self, snapshot: Snapshot) -> Arc<Build> {
        // The last to let go of a build takes the lock: nothing is let go of, and nothing compared, while it is held.
        let same = self
            .lock()
            .get(&snapshot.snapshot_id)
            .and_then(Weak::upgrade);
        if let Some(same) = same.filter(|build| build.snapshot == snapshot) {
            return same;
        }
        let build = Arc::new(Build::new(snapshot, self.clone()));
        let id = build.snapshot.snapshot_id.clone();
        self.lock().insert(id, Arc::downgrade(&build));
        build
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Builds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Builds").field(&self.lock().len()).finish()
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

#[cfg(test)]
mod tests {
    use favonius_contract::SnapshotDocument;

    use super::*;

    fn snapshot(id: usize, assets: &str) -> Snapshot {
        let json = format!(
            r#"{{"application_uid":"a.b.c","snapshot_id":"u-{id}.a.b.c","assets":{{{assets}}}}}"#
        );
        SnapshotDocument::parse(json.into_bytes())
            .unwrap()
            .into_snapshot()
    }

    #[test]
    fn only_equal_builds_are_shared() {
        let builds = Builds::default();
        let hash = "ab".repeat(32);
        let asset = format!(r#""x":{{"hash":"{hash}","size":1}}"#);
        let first = builds.share(snapshot(1, &asset));
        assert!(Arc::ptr_eq(&first, &builds.share(snapshot(1, &asset))));
        assert!(!Arc::ptr_eq(&first, &builds.share(snapshot(2, &asset))));
        let other = builds.share(snapshot(1, ""));
        assert_eq!(other.snapshot.asset_count(), 0);
        assert_eq!(first.snapshot.asset_count(), 1);
    }

    #[test]
    fn what_nobody_uses_is_forgotten() {
        let builds = Builds::default();
        let mut used: Vec<_> = (0..1000).map(|id| builds.share(snapshot(id, ""))).collect();
        used.truncate(10);
        assert_eq!(builds.lock().len(), 10);
        let before = used.swap_remove(3);
        let hash = "ab".repeat(32);
        let other = format!(r#""x":{{"hash":"{hash}","size":1}}"#);
        let after = builds.share(snapshot(3, &other));
        drop(before);
        assert!(Arc::ptr_eq(&after, &builds.share(snapshot(3, &other))));
    }
}
