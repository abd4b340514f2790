//! From the path of a request to the asset that answers it.
//!
//! In this order, and never by the query:
//!
//! 1. the asset of this very path;
//! 2. `index.html` in it, when it ends with a slash;
//! 3. the path with `.html`;
//! 4. `index.html` below it: a redirect to the form with the slash, since the page's relative URLs need it;
//! 5. the nearest `404.html` upwards, with 404;
//! 6. the application's `index.html`, for a navigation only: its client-side router knows the path.
//!
//! So a missing script, style or image is never answered with a page and 200, and an application that brings a
//! `404.html` for a path has no shell there.
//!
//! Wherever a path is looked up it is tried as it is, then without the base that the build was made for (clients put
//! the base before most paths and not before all), then, in a server-rendered build, below `client/`. What is below
//! `server/` in such a build is code with the application's secrets in it: no path leads there.

mod request;

use std::borrow::Cow;

use favonius_contract::{AssetRef, MANIFEST_FILE, MAX_ASSET_PATH, Snapshot, SnapshotKind};
use http::StatusCode;
use percent_encoding::utf8_percent_encode;

use super::{media_type, percent::NOT_IN_PATH};

pub(crate) use request::{accepts_html, decode, is_navigation};

const INDEX: &str = "index.html";
const NOT_FOUND_PAGE: &str = "404.html";
const CLIENT: &str = "client/";
const SERVER: &str = "server/";

/// What the request is after, beside the path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wants {
    /// See [`is_navigation`].
    pub(crate) navigation: bool,
}

/// Why an asset answers a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// It is what the path names.
    Named,
    /// It is the application's shell: the path is left to the router in the browser.
    Shell,
    /// It is the page that says that there is nothing.
    NotFoundPage,
}

impl Role {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Named | Self::Shell => StatusCode::OK,
            Self::NotFoundPage => StatusCode::NOT_FOUND,
        }
    }
}

/// What answers a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Resolved<'a> {
    /// This asset.
    Asset {
        /// Where it stands in the snapshot; for the manifest, the path that was asked for.
        path: Cow<'a, str>,
        /// Which of the snapshot's assets it is, unless it is a manifest in the place of the build's own.
        index: Option<usize>,
        asset: AssetRef,
        role: Role,
    },
    /// 308 to this path, to which the query is to be added.
    Redirect {
        /// Percent-encoded; begins with exactly one slash.
        location_path: String,
    },
}

/// An asset, and where it stands.
struct Place<'a> {
    path: Cow<'a, str>,
    index: Option<usize>,
    asset: AssetRef,
}

impl<'a> Place<'a> {
    fn with(self, role: Role) -> Resolved<'a> {
        Resolved::Asset {
            path: self.path,
            index: self.index,
            asset: self.asset,
            role,
        }
    }
}

/// The asset of this very path, and the path that it has in the snapshot.
pub(crate) fn exact<'a>(snapshot: &'a Snapshot, path: &str) -> Option<(usize, &'a str)> {
    let place = Lookup::new(snapshot).asset(path, "")?;
    let index = place.index?;
    Some((index, snapshot.asset_at(index)?.0))
}

/// Finds what a decoded path names in a deployment of this snapshot, of rules 1 to 4.
///
/// `manifest_override` is the manifest that publishing gave the hostname. It stands for the build's own wherever that
/// stands, and at the root even of a build without one.
pub(crate) fn named<'a>(
    snapshot: &Snapshot,
    manifest_override: Option<AssetRef>,
    path: &'a str,
) -> Option<Resolved<'a>> {
    let lookup = Lookup::new(snapshot);
    if let Some(place) = lookup.manifest(manifest_override, path) {
        return Some(place.with(Role::Named));
    }
    if let Some(place) = lookup.asset(path, "") {
        return Some(place.with(Role::Named));
    }
    if is_directory(path) {
        return Some(lookup.asset(path, INDEX)?.with(Role::Named));
    }
    if let Some(place) = lookup.asset(path, ".html") {
        return Some(place.with(Role::Named));
    }
    let directory = [path, "/"].concat();
    lookup.asset(&directory, INDEX)?;
    let location_path = format!("/{}", utf8_percent_encode(&directory, NOT_IN_PATH));
    Some(Resolved::Redirect { location_path })
}

/// Finds what answers a path that names nothing, of rules 5 and 6.
pub(crate) fn fallback<'a>(
    snapshot: &'a Snapshot,
    path: &'a str,
    wants: Wants,
) -> Option<Resolved<'a>> {
    let lookup = Lookup::new(snapshot);
    if let Some(place) = lookup.not_found_page(path) {
        return Some(place.with(Role::NotFoundPage));
    }
    if wants.navigation {
        return Some(lookup.shell()?.with(Role::Shell));
    }
    None
}

fn is_directory(path: &str) -> bool {
    path.is_empty() || path.ends_with('/')
}

struct Lookup<'a> {
    snapshot: &'a Snapshot,
    /// What the build was made for, as browsers see it, e.g. `shop/`; empty for the root.
    base: &'a str,
    server_rendered: bool,
}

impl<'a> Lookup<'a> {
    fn new(snapshot: &'a Snapshot) -> Self {
        let server_rendered = snapshot.kind == SnapshotKind::ServerRendered;
        let base = snapshot.base().unwrap_or_default();
        Self {
            snapshot,
            base: base
                .strip_prefix(CLIENT)
                .filter(|_| server_rendered)
                .unwrap_or(base),
            server_rendered,
        }
    }

    fn manifest<'p>(&self, replacement: Option<AssetRef>, path: &'p str) -> Option<Place<'p>> {
        // Nearly all paths end otherwise, and to look for a slash costs more.
        if !path.ends_with(MANIFEST_FILE) || media_type::file_name(path) != MANIFEST_FILE {
            return None;
        }
        let own = self.snapshot.manifest_path();
        if path != MANIFEST_FILE && (own != Some(path) || self.is_private(path)) {
            return None;
        }
        let (index, asset) = if let Some(asset) = replacement {
            (None, asset)
        } else {
            let (index, asset) = self.snapshot.find(own?)?;
            (Some(index), asset)
        };
        Some(Place {
            path: Cow::Borrowed(path),
            index,
            asset,
        })
    }

    /// The asset at `path` and `suffix` put together, in the places where it may stand.
    fn asset<'p>(&self, path: &'p str, suffix: &str) -> Option<Place<'p>> {
        let found = self.at("", path, suffix);
        if found.is_some() || (self.base.is_empty() && !self.server_rendered) {
            return found;
        }
        let without_base = path
            .strip_prefix(self.base)
            .filter(|_| !self.base.is_empty());
        let client = self.server_rendered.then_some(CLIENT);
        let bare = || self.at("", without_base?, suffix);
        bare()
            .or_else(|| self.at(client?, path, suffix))
            .or_else(|| self.at(client?, without_base?, suffix))
    }

    fn at<'p>(&self, prefix: &str, path: &'p str, suffix: &str) -> Option<Place<'p>> {
        // Nothing longer is in any snapshot; this bounds the work for paths of many segments.
        if prefix.len() + path.len() + suffix.len() > MAX_ASSET_PATH {
            return None;
        }
        // Most places are empty, so that nothing is put together before something is there.
        let parts = [prefix, path, suffix];
        let (index, asset) = self.snapshot.find_joined(parts)?;
        let path = if prefix.is_empty() && suffix.is_empty() {
            Cow::Borrowed(path)
        } else {
            Cow::Owned(parts.concat())
        };
        if self.is_private(&path) {
            return None;
        }
        Some(Place {
            path,
            index: Some(index),
            asset,
        })
    }

    fn is_private(&self, path: &str) -> bool {
        self.server_rendered && path.starts_with(SERVER)
    }

    fn not_found_page<'p>(&self, path: &'p str) -> Option<Place<'p>> {
        let mut above = path;
        loop {
            let directory = above
                .rfind('/')
                .and_then(|slash| above.get(..=slash))
                .unwrap_or_default();
            if let Some(found) = self.asset(directory, NOT_FOUND_PAGE) {
                return Some(found);
            }
            above = directory.strip_suffix('/')?;
        }
    }

    fn shell(&self) -> Option<Place<'a>> {
        self.asset(self.base, INDEX)
            .or_else(|| self.asset("", INDEX))
    }
}

#[cfg(test)]
mod tests;
