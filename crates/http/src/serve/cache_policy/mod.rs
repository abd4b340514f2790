//! How long browsers and CDNs may keep an asset without asking again.
//!
//! 1. What names other files (HTML, manifests, remote entries) and service workers are asked for again every time.
//! 2. On the name of a version everything else is kept for a year: the name stands for one build for ever.
//! 3. Elsewhere that holds for file names with a fingerprint of the content, which the bundler put there.
//! 4. All else is asked for again, which costs a round trip and no body.

mod fingerprint;

use super::media_type::{self, file_name};

/// How long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Policy {
    /// For a year: it never changes under its name.
    Keep,
    /// Until it is asked for again, since it may change at any time.
    Revalidate,
    /// Not at all, as errors are not.
    Discard,
}

impl Policy {
    pub(crate) const ALL: [Self; 3] = [Self::Keep, Self::Revalidate, Self::Discard];

    /// That of an asset that answers with 200, 206 or 304.
    ///
    /// `path` is where the asset stands in the snapshot, not what was asked for. `version_name` says that the request came
    /// under the name of one version.
    pub(crate) fn of(path: &str, version_name: bool) -> Self {
        let keep = !changes_under_its_name(path) && (version_name || fingerprint::is_in(path));
        if keep { Self::Keep } else { Self::Revalidate }
    }

    /// The value of `Cache-Control`.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "public, max-age=31536000, immutable",
            Self::Revalidate => "public, max-age=0, must-revalidate",
            Self::Discard => "no-store",
        }
    }
}

/// Whether an asset is one of those by which a browser learns of a new deployment.
fn changes_under_its_name(path: &str) -> bool {
    if media_type::is_html(path) {
        return true;
    }
    let name = file_name(path).to_ascii_lowercase();
    let Some((stem, extension)) = name.rsplit_once('.') else {
        return false;
    };
    match extension {
        "xhtml" | "webmanifest" | "appcache" => true,
        // zephyr-manifest, mf-manifest, asset-manifest, the statistics of Module Federation, Angular's worker's list.
        "json" => {
            stem == "manifest" || stem.ends_with("-manifest") || matches!(stem, "mf-stats" | "ngsw")
        }
        "js" | "mjs" | "cjs" => {
            stem == "remoteentry"
                || matches!(stem, "sw" | "ngsw-worker" | "registersw")
                || stem.ends_with("-sw")
                || stem.contains("service-worker")
                || stem.contains("serviceworker")
        }
        "zip" | "ts" => name.starts_with("@mf-types."),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
