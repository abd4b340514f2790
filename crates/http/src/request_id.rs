//! The id that ties a request, its answer and its log lines together.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use http::{HeaderName, HeaderValue};

/// The header that it stands in, in requests and answers.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id that is taken over from a client.
const LONGEST: usize = 128;

/// An id that is safe in headers, JSON and logs.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(Id);

#[derive(Debug, Clone)]
enum Id {
    Given(HeaderValue),
    /// Digits, in hexadecimal.
    Made([u8; 32]),
}

impl RequestId {
    /// Takes over the id that a proxy or client gave, when it is sane, else makes one.
    pub(crate) fn from_header(given: Option<&HeaderValue>) -> Self {
        match given {
            Some(value) if is_sane(value.as_bytes()) => Self(Id::Given(value.clone())),
            _ => Self::next(),
        }
    }

    /// Unique for this process and very likely unique among processes.
    fn next() -> Self {
        static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(0));
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let id = u128::from(*PROCESS) << 64 | u128::from(count);
        let mut digits = [b'0'; 32];
        let written = hex::encode_to_slice(id.to_be_bytes(), &mut digits);
        debug_assert!(written.is_ok(), "two digits for each of 16 bytes");
        Self(Id::Made(digits))
    }

    pub(crate) fn as_str(&self) -> &str {
        match &self.0 {
            Id::Given(value) => value.to_str().unwrap_or_default(),
            Id::Made(digits) => str::from_utf8(digits).unwrap_or_default(),
        }
    }

    pub(crate) fn into_header(self) -> HeaderValue {
        match self.0 {
            Id::Given(value) => value,
            Id::Made(digits) => {
                HeaderValue::from_bytes(&digits).unwrap_or(HeaderValue::from_static("unknown"))
            }
        }
    }
}

fn is_sane(id: &[u8]) -> bool {
    (1..=LONGEST).contains(&id.len())
        && id
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.:/+=@".contains(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sane_ids_are_taken_over() {
        let long = "a".repeat(129);
        for (given, taken) in [
            ("0af7651916cd43dd8448eb211c80319c", true),
            ("a-b_c.d:e/f+g=", true),
            ("", false),
            ("a b", false),
            ("<script>", false),
            (long.as_str(), false),
        ] {
            let id = RequestId::from_header(Some(&HeaderValue::from_str(given).unwrap()));
            assert_eq!(id.as_str() == given, taken, "{given}");
        }
        assert_ne!(RequestId::next().as_str(), RequestId::next().as_str());
    }
}
