//! Text for people.

use std::io::Write as _;

use super::fields::Value;
use crate::Level;

const DIM: &str = "\x1b[2m";
const PLAIN: &str = "\x1b[0m";

/// Adds ` name=value`, the value in quotes if it has spaces.
pub(crate) fn field(out: &mut Vec<u8>, name: &str, value: &Value<'_>, colour: bool) {
    let (dim, plain) = if colour { (DIM, PLAIN) } else { ("", "") };
    let written = match value {
        Value::Plain(value) => write!(out, " {dim}{name}={plain}{value}"),
        Value::Text(value) => {
            let bare = !value.is_empty()
                && value
                    .chars()
                    .all(|c| !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '='));
            let quote = if bare { "" } else { "\"" };
            write!(out, " {dim}{name}={plain}{quote}").map(|()| {
                text(out, value, !bare);
                out.extend_from_slice(quote.as_bytes());
            })
        }
    };
    // Writing to memory does not fail.
    written.unwrap_or_default();
}

/// Adds text without what a terminal would obey: escape sequences, line breaks, directions of writing.
pub(crate) fn text(out: &mut Vec<u8>, text: &str, quoted: bool) {
    let mut buffer = [0; 4];
    for c in text.chars() {
        let directs = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || directs || quoted && matches!(c, '"' | '\\') {
            write!(out, "{}", c.escape_default()).unwrap_or_default();
        } else {
            out.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
        }
    }
}

/// Adds the time and the level.
pub(crate) fn head(out: &mut Vec<u8>, timestamp: &str, level: Level, colour: bool) {
    let name = level.as_str().to_uppercase();
    let written = if colour {
        let hue = match level {
            Level::Trace => "\x1b[35m",
            Level::Debug => "\x1b[34m",
            Level::Info => "\x1b[32m",
            Level::Warn => "\x1b[33m",
            Level::Error => "\x1b[31m",
            Level::Fatal => "\x1b[1;31m",
        };
        write!(out, "{DIM}{timestamp}{PLAIN} {hue}{name:>5}{PLAIN}")
    } else {
        write!(out, "{timestamp} {name:>5}")
    };
    written.unwrap_or_default();
}
