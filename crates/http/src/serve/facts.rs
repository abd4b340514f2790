//! What the answers with an asset have in common, worked out once for each asset of a deployment.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use http::HeaderValue;

use super::{cache_policy, media_type};

/// What follows from the path of an asset.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(super) media_type: HeaderValue,
    pub(super) is_html: bool,
    /// Whether it has forms in other codings, or may have.
    pub(crate) is_compressible: bool,
    /// `Cache-Control` under the name of a version, and under others.
    under_version: &'static str,
    under_others: &'static str,
    /// Whether it is known that the application uploaded it itself. It stays so.
    owned: AtomicBool,
}

impl Facts {
    pub(crate) fn of(path: &str) -> Self {
        let media_type = media_type::media_type(path);
        Self {
            is_html: media_type::is_html(path),
            is_compressible: media_type::is_compressible(&media_type),
            under_version: cache_policy::cache_control(path, true),
            under_others: cache_policy::cache_control(path, false),
            owned: AtomicBool::new(false),
            media_type,
        }
    }

    pub(super) fn cache_control(&self, version_name: bool) -> HeaderValue {
        HeaderValue::from_static(if version_name {
            self.under_version
        } else {
            self.under_others
        })
    }

    /// Whether browsers learn of a new deployment by it, so that it is asked for again every time.
    pub(super) fn changes_under_its_name(&self) -> bool {
        self.under_version == cache_policy::REVALIDATE
    }

    pub(super) fn is_owned(&self) -> bool {
        self.owned.load(Relaxed)
    }

    pub(super) fn set_owned(&self) {
        self.owned.store(true, Relaxed);
    }
}
