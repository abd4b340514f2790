//! The id that ties a request, its answer and its log lines together.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use http::HeaderValue;

/// Longest id that is taken over from a client.
const LONGEST: usize = 128;

/// An id that is safe in headers, JSON and logs.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    /// Takes over the id that a proxy or client gave, when it is sane, else makes one.
    pub(crate) fn from_header(given: Option<&HeaderValue>) -> Self {
        match given {
            Some(value) if is_sane(value.as_bytes()) => Self(value.clone()),
            _ => Self::next(),
        }
    }

    /// Unique for this process and very likely unique among processes.
    fn next() -> Self {
        static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(0));
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let text = format!("{:016x}{count:08x}", *PROCESS);
        Self(HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("unknown")))
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
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
