//! Pieces of JSON.

use std::io::Write as _;

use super::fields::Value;

/// Adds `,"name":value`.
pub(crate) fn field(out: &mut Vec<u8>, name: &str, value: &Value<'_>) {
    out.push(b',');
    text(out, name);
    out.push(b':');
    match value {
        Value::Text(value) => text(out, value),
        // Writing to memory does not fail.
        Value::Plain(value) => out.write_fmt(*value).unwrap_or_default(),
    }
}

/// Adds a string in quotes. Escaped are `"`, `\` and control characters, so that a line is a line.
pub(crate) fn text(out: &mut Vec<u8>, text: &str) {
    // As above; a string can always be written as JSON.
    serde_json::to_writer(&mut *out, text).unwrap_or_default();
}

/// The same, quick for text that has nothing to escape.
pub(crate) fn plain_text(out: &mut Vec<u8>, plain: &str) {
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
    if plain.bytes().all(is_plain) {
        out.push(b'"');
        out.extend_from_slice(plain.as_bytes());
        out.push(b'"');
    } else {
        text(out, plain);
    }
}

/// Adds a number.
pub(crate) fn number(out: &mut Vec<u8>, number: u64) {
    // As above, for numbers.
    serde_json::to_writer(&mut *out, &number).unwrap_or_default();
}
