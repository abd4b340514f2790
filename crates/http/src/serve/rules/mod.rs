//! What a deployment says about its own answers, in its files `_headers` and `_redirects`.
//!
//! The formats are those of Netlify and Cloudflare Pages, so that a site can move here as it is. Three things hold
//! whatever stands in the files, and whatever is asked for:
//!
//! 1. A redirect to a path stays on the host, and one to a URL goes to exactly the host that the rule names.
//! 2. A rewrite leads to a path inside of the deployment.
//! 3. No header is set that the edge, or a proxy in front of it, would act upon ([`headers`] has the list).
//!
//! A line that cannot be used is left out and reported, and the other lines count: a deployment with a mistake in a
//! rule is better than none.
//!
//! # Cost
//! Files are read once, when a deployment is loaded. To match, a pattern looks at each byte of a path a fixed number of
//! times at most; nothing is tried twice. A thousand usual rules take microseconds, and a thousand that are made to be
//! slow take milliseconds for the longest paths.

mod headers;
mod lines;
mod pattern;
mod problem;
mod redirects;
mod template;

use http::{HeaderName, HeaderValue};

use self::{headers::Headers, redirects::Redirects};
pub(crate) use self::{
    headers::{governs_caching, is_for_the_whole_origin},
    problem::Problem,
    redirects::{Asked, Redirect},
};

/// Where header rules stand, at the root of a deployment.
pub(crate) const HEADERS_FILE: &str = "_headers";
/// Where redirect rules stand, at the root of a deployment.
pub(crate) const REDIRECTS_FILE: &str = "_redirects";

/// Sections of `_headers`, and rules of `_redirects`: what follows is ignored.
const MAX_RULES: usize = 1000;

/// What the files of a deployment say; without them, nothing.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    headers: Headers,
    redirects: Redirects,
}

impl Rules {
    /// Reads both files. What cannot be used is left out, and told of.
    pub(crate) fn parse(headers: Option<&[u8]>, redirects: Option<&[u8]>) -> (Self, Vec<Problem>) {
        let (headers, mut problems) = headers.map(Headers::parse).unwrap_or_default();
        let (redirects, more) = redirects.map(Redirects::parse).unwrap_or_default();
        problems.extend(more);
        (Self { headers, redirects }, problems)
    }

    /// Whether [`Self::headers_for`] may have anything.
    pub(crate) fn has_headers(&self) -> bool {
        !self.headers.is_empty()
    }

    /// Whether [`Self::redirect`] may have anything.
    pub(crate) fn has_redirects(&self) -> bool {
        !self.redirects.is_empty()
    }

    /// What to do to the headers of the answer for a decoded path without its leading slash.
    ///
    /// Each name is there once: with a value it replaces what the edge would send, without one it takes that away.
    pub(crate) fn headers_for(&self, path: &str) -> Vec<(HeaderName, Option<HeaderValue>)> {
        self.headers.of(path)
    }

    /// What the first rule that holds for a request says.
    ///
    /// Ask with `forced_only` before a file is looked for: that finds only rules that hold where there is a file. Ask
    /// again without it when no file was found.
    pub(crate) fn redirect(&self, asked: &Asked<'_>, forced_only: bool) -> Option<Redirect> {
        self.redirects.find(asked, forced_only)
    }
}

#[cfg(test)]
mod tests;
