//! What the answers with an asset have in common, worked out once for each asset of a build.

use std::{
    collections::HashMap,
    sync::{
        Arc, LazyLock, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use http::HeaderValue;

use super::{cache_policy::Policy, head::Heads, media_type};

/// What follows from the path of an asset.
#[derive(Debug)]
pub(crate) struct Facts {
    kind: Arc<Kind>,
    /// How long it may be kept under the name of a version, and under others.
    under_version: Policy,
    under_others: Policy,
    /// Whether it is known that the application uploaded it itself. It stays so.
    owned: AtomicBool,
}

/// What all files of one kind have in common. There are as many kinds as there are media types.
#[derive(Debug)]
pub(super) struct Kind {
    pub(super) is_html: bool,
    pub(super) heads: Heads,
}

/// By media type, and whether they are pages: some have the type of a page by another extension.
type Kinds = Mutex<HashMap<(HeaderValue, bool), Arc<Kind>>>;

impl Kind {
    fn of(path: &str) -> Arc<Self> {
        static KNOWN: LazyLock<Kinds> = LazyLock::new(Kinds::default);
        let (media_type, is_html) = (media_type::media_type(path), media_type::is_html(path));
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = known
            .entry((media_type, is_html))
            .or_insert_with_key(|key| {
                let (media_type, is_html) = key;
                let is_compressible = media_type::is_compressible(media_type);
                Arc::new(Self {
                    is_html: *is_html,
                    heads: Heads::of(media_type.clone(), is_compressible),
                })
            });
        Arc::clone(kind)
    }
}

impl Facts {
    pub(crate) fn of(path: &str) -> Self {
        Self {
            kind: Kind::of(path),
            under_version: Policy::of(path, true),
            under_others: Policy::of(path, false),
            owned: AtomicBool::new(false),
        }
    }

    pub(super) fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Whether it has forms in other codings, or may have.
    pub(crate) fn is_compressible(&self) -> bool {
        self.kind.heads.is_compressible()
    }

    pub(super) fn policy(&self, version_name: bool) -> Policy {
        if version_name {
            self.under_version
        } else {
            self.under_others
        }
    }

    /// Whether browsers learn of a new deployment by it, so that it is asked for again every time.
    pub(super) fn changes_under_its_name(&self) -> bool {
        self.under_version == Policy::Revalidate
    }

    pub(super) fn is_owned(&self) -> bool {
        self.owned.load(Relaxed)
    }

    pub(super) fn set_owned(&self) {
        self.owned.store(true, Relaxed);
    }
}
