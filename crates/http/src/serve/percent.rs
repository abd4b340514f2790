//! Percent-encoding (RFC 3986, section 2.1): what is encoded where, and what can be decoded.

use percent_encoding::{AsciiSet, CONTROLS};

/// What may not stand in a URL at all, but for the `%` of what is encoded already.
pub(super) const NOT_IN_URL: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');
/// What may not stand in a path as it is (section 3.3), or would end it.
pub(super) const NOT_IN_PATH: &AsciiSet = &NOT_IN_URL.add(b'%').add(b'?').add(b'#');

/// Whether two hexadecimal digits follow each `%`.
pub(super) fn is_well_formed(text: &str) -> bool {
    let mut pieces = text.as_bytes().split(|&byte| byte == b'%');
    pieces.next();
    pieces.all(|piece| {
        matches!(piece, [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
    })
}
