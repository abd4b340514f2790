//! The header of an answer with an asset. What follows from the kind of file is put together once; an answer gets a copy and fills
//! in the rest, which costs a fraction of putting it together each time: no name is hashed, and nothing grows.

use std::sync::OnceLock;

use favonius_storage::Coding;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::{DEPLOYMENT, cache_policy::Policy};
use crate::{cross_origin::allow_all_origins, request_id::REQUEST_ID};

/// Stands for what is to be filled in. No value of ours is empty.
const OPEN: HeaderValue = HeaderValue::from_static("");
/// As many as an answer can well have, with some of an application's own rules.
const ROOM: usize = 20;

/// What answers carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carried<'a> {
    /// 304.
    Nothing,
    /// Bytes of the asset itself, so many.
    Plain(&'a HeaderValue),
    /// A form of it, of so many bytes.
    Coded(Coding, &'a HeaderValue),
}

/// What answers with the same kind of file do not have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Particulars<'a> {
    pub(super) carried: Carried<'a>,
    pub(super) etag: &'a HeaderValue,
    pub(super) modified: Option<&'a HeaderValue>,
    /// The id of the snapshot.
    pub(super) deployment: &'a HeaderValue,
}

/// The headers of all answers with one kind of file, but for their particulars. Each is put together when it is first used: few kinds
/// of files need all of them.
#[derive(Debug)]
pub(super) struct Heads {
    media_type: HeaderValue,
    is_compressible: bool,
    /// By how long they may be kept and what they carry.
    made: [[OnceLock<HeaderMap>; 3]; Policy::ALL.len()],
}

impl Heads {
    pub(super) fn of(media_type: HeaderValue, is_compressible: bool) -> Self {
        Self {
            media_type,
            is_compressible,
            made: Default::default(),
        }
    }

    /// Whether the kind of file has forms in other codings, or may have.
    pub(super) fn is_compressible(&self) -> bool {
        self.is_compressible
    }

    pub(super) fn head(&self, policy: Policy, with: &Particulars<'_>) -> HeaderMap {
        let [keep, revalidate, discard] = &self.made;
        let [nothing, plain, coded] = match policy {
            Policy::Keep => keep,
            Policy::Revalidate => revalidate,
            Policy::Discard => discard,
        };
        let head = match with.carried {
            Carried::Nothing => nothing,
            Carried::Plain(_) => plain,
            Carried::Coded(..) => coded,
        };
        with.fill(head.get_or_init(|| self.put_together(policy, with.carried)))
    }

    fn put_together(&self, policy: Policy, carried: Carried<'_>) -> HeaderMap {
        // Of copies only the index has this room, so that it need not be made anew for a few more.
        let mut headers = HeaderMap::with_capacity(ROOM);
        for name in [header::ETAG, DEPLOYMENT, header::LAST_MODIFIED] {
            headers.insert(name, OPEN);
        }
        if carried != Carried::Nothing {
            headers.insert(header::CONTENT_LENGTH, OPEN);
            headers.insert(header::CONTENT_TYPE, self.media_type.clone());
            headers.insert(
                header::X_CONTENT_TYPE_OPTIONS,
                HeaderValue::from_static("nosniff"),
            );
            headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        }
        if let Carried::Coded(..) = carried {
            headers.insert(header::CONTENT_ENCODING, OPEN);
        }
        // These an answer has whether or not it carries the asset (RFC 9110, section 15.4.5).
        let policy = HeaderValue::from_static(policy.as_str());
        headers.insert(header::CACHE_CONTROL, policy);
        if self.is_compressible {
            headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        }
        allow_all_origins(&mut headers);
        // Every answer gets one in the end, and a place that is there costs less than one that is added.
        headers.insert(REQUEST_ID, OPEN);
        headers
    }
}

impl Particulars<'_> {
    fn fill(&self, head: &HeaderMap) -> HeaderMap {
        let mut headers = head.clone();
        for (name, value) in &mut headers {
            if value.is_empty()
                && let Some(own) = self.value(name)
            {
                *value = own;
            }
        }
        if self.modified.is_none() {
            headers.remove(header::LAST_MODIFIED);
        }
        headers
    }

    fn value(&self, name: &HeaderName) -> Option<HeaderValue> {
        if *name == header::ETAG {
            return Some(self.etag.clone());
        }
        if *name == DEPLOYMENT {
            return Some(self.deployment.clone());
        }
        if *name == header::LAST_MODIFIED {
            return self.modified.cloned();
        }
        match self.carried {
            Carried::Plain(length) | Carried::Coded(_, length)
                if *name == header::CONTENT_LENGTH =>
            {
                Some(length.clone())
            }
            Carried::Coded(coding, _) if *name == header::CONTENT_ENCODING => {
                Some(HeaderValue::from_static(coding.as_str()))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_filled_in_but_the_request_id() {
        let media_type = HeaderValue::from_static("text/css");
        let (tag, length, id, date) = ("\"t\"", "7", "v1", "Thu, 01 Jan 2026 00:00:00 GMT");
        let [etag, size, deployment, date] = [tag, length, id, date].map(HeaderValue::from_static);
        let contents = [
            Carried::Nothing,
            Carried::Plain(&size),
            Carried::Coded(Coding::Zstd, &size),
        ];
        for is_compressible in [false, true] {
            let heads = Heads::of(media_type.clone(), is_compressible);
            for policy in Policy::ALL {
                for carried in contents {
                    for modified in [None, Some(&date)] {
                        let with = Particulars {
                            carried,
                            etag: &etag,
                            modified,
                            deployment: &deployment,
                        };
                        let headers = heads.head(policy, &with);
                        let open: Vec<_> = headers
                            .iter()
                            .filter(|(_, value)| value.is_empty())
                            .map(|(name, _)| name)
                            .collect();
                        assert_eq!(open, [REQUEST_ID], "{policy:?} {carried:?}");
                        let get = |name| headers.get(name).map(|value| value.to_str().unwrap());
                        let sent = (carried != Carried::Nothing).then_some(length);
                        let coding = matches!(carried, Carried::Coded(..)).then_some("zstd");
                        assert_eq!(get(header::ETAG), Some(tag));
                        assert_eq!(get(DEPLOYMENT), Some(id));
                        assert_eq!(headers.get(header::LAST_MODIFIED), modified);
                        assert_eq!(get(header::CONTENT_LENGTH), sent);
                        assert_eq!(get(header::CONTENT_ENCODING), coding);
                        assert_eq!(
                            get(header::CONTENT_TYPE),
                            sent.is_some().then_some("text/css")
                        );
                        assert_eq!(get(header::CACHE_CONTROL), Some(policy.as_str()));
                        let varies = is_compressible.then_some("Accept-Encoding");
                        assert_eq!(get(header::VARY), varies);
                    }
                }
            }
        }
    }
}
