//! What a request for a deployment asks.

use http::{HeaderMap, HeaderValue, Method, Request, Uri, header};

use super::conditional::Conditions;
use crate::request_id::REQUEST_ID;

/// What the headers of a request have of what every answer depends on. It is found in one pass: most of it is in no request, and each
/// look for one name costs a hash.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Fields<'a> {
    /// The first one, and whether there are more.
    pub(super) host: Option<&'a HeaderValue>,
    pub(super) has_more_hosts: bool,
    /// The first one.
    pub(crate) request_id: Option<&'a HeaderValue>,
    pub(super) conditions: Conditions,
    pub(super) has_range: bool,
}

impl<'a> Fields<'a> {
    pub(crate) fn of(headers: &'a HeaderMap) -> Self {
        let mut fields = Self::default();
        for (name, value) in headers {
            if *name == header::HOST {
                fields.has_more_hosts = fields.host.is_some();
                fields.host = fields.host.or(Some(value));
            } else if *name == header::RANGE {
                fields.has_range = true;
            } else if *name == REQUEST_ID {
                fields.request_id = fields.request_id.or(Some(value));
            } else {
                fields.conditions.note(name);
            }
        }
        fields
    }
}

/// A request without its body, and whether its answer may be waited for.
///
/// Nearly all answers are in memory. So a request is first answered without waiting, on the spot; only where that leads to a store,
/// it begins again as a task that may wait. Before anything that waits stands [`wait`](Self::wait), which ends the attempt.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) fields: Fields<'a>,
    may_wait: bool,
    is_repeated: bool,
}

impl<'a> Question<'a> {
    /// One that is answered on the spot or not at all.
    pub(crate) fn at_once<B>(request: &'a Request<B>, fields: Fields<'a>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            fields,
            may_wait: false,
            is_repeated: false,
        }
    }

    /// One whose answer may be waited for; it may have been tried at once before.
    pub(crate) fn patient<B>(request: &'a Request<B>, is_repeated: bool) -> Self {
        Self {
            may_wait: true,
            is_repeated,
            ..Self::at_once(request, Fields::of(request.headers()))
        }
    }

    /// Whether what is found in memory was found before for the same request.
    pub(crate) fn is_repeated(&self) -> bool {
        self.is_repeated
    }

    /// Stands before what waits for a store. Where that may not be it never resolves, so that nothing is begun and left.
    pub(crate) async fn wait(&self) {
        if !self.may_wait {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_several_counts() {
        let mut headers = HeaderMap::new();
        assert!(Fields::of(&headers).host.is_none());
        for (host, has_more) in [("a.test", false), ("b.test", true), ("c.test", true)] {
            headers.append(header::HOST, HeaderValue::from_static(host));
            let fields = Fields::of(&headers);
            assert_eq!(fields.host.unwrap(), "a.test");
            assert_eq!(fields.has_more_hosts, has_more, "{host}");
        }
        for id in ["1", "2"] {
            headers.append(REQUEST_ID, HeaderValue::from_static(id));
            assert_eq!(Fields::of(&headers).request_id.unwrap(), "1");
        }
        assert!(!Fields::of(&headers).has_range && !Fields::of(&headers).conditions.are_any());
        headers.insert(header::RANGE, HeaderValue::from_static("bytes=0-"));
        headers.insert(header::IF_MATCH, HeaderValue::from_static("*"));
        assert!(Fields::of(&headers).has_range && Fields::of(&headers).conditions.are_any());
    }
}
