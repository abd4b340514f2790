//! Whom a failure is told to, and what follows for the header of the answer.

use std::sync::LazyLock;

use http::{HeaderMap, HeaderValue, header};

use crate::{cross_origin::allow_all_origins, request_id::REQUEST_ID};

/// As many headers as such an answer can well have: in copies the index has this room, and need not be made anew.
const ROOM: usize = 12;

/// Who reads why a request cannot be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    /// A program that uploads or operates.
    Client,
    /// A script on a page of whatever origin.
    Script,
    /// Somebody before a browser.
    Person,
}

impl Reader {
    /// The headers that all answers to it have; they are put together once.
    pub(super) fn head(self) -> &'static HeaderMap {
        static HEADS: LazyLock<[HeaderMap; 3]> = LazyLock::new(|| {
            [Reader::Client, Reader::Script, Reader::Person].map(Reader::new_head)
        });
        let [client, script, person] = &*HEADS;
        match self {
            Self::Client => client,
            Self::Script => script,
            Self::Person => person,
        }
    }

    fn new_head(self) -> HeaderMap {
        let media_type = match self {
            Self::Client | Self::Script => "application/json",
            Self::Person => "text/html; charset=utf-8",
        };
        let mut headers = HeaderMap::with_capacity(ROOM);
        for (name, value) in [
            (header::CONTENT_TYPE, media_type),
            (header::CACHE_CONTROL, "no-store"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            // Every answer gets one in the end, and a place that is there costs less than one that is added.
            (REQUEST_ID, ""),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if self != Self::Client {
            allow_all_origins(&mut headers);
            // The first tells whether it is for a person; by the second, what is not there now may come in another form later.
            headers.insert(
                header::VARY,
                HeaderValue::from_static("Accept, Accept-Encoding"),
            );
        }
        headers
    }
}
