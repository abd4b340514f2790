//! What a request brings as `Authorization: Bearer` (RFC 6750).

use http::{HeaderMap, header};

/// What stands behind the scheme, if it is that one (RFC 9110, section 11.1: whatever its case).
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let given = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = given.split_at_checked("bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
}
