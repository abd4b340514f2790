//! Making values that are no secrets fit for messages.

use crate::secret::REDACTED;

/// Characters of a value that a message repeats; the rest is cut.
const SHOWN_CHARS: usize = 100;

/// The text of a value that is no secret, fit for a message.
///
/// Credentials inside it are still removed, because people paste connection URLs into keys that ask
/// for less: `redis://:password@host` as a host name, say. Whatever may be user information (all up
/// to the last `@`, unless a path) and all after a `?` or `#` is replaced. The rule looks at text and
/// not at a parsed URL, so that it holds for malformed ones as well.
pub(crate) fn redact(value: &str) -> String {
    let (start, rest) = match value.rsplit_once('@') {
        Some((before, after)) if may_hold_credentials(before) => {
            (format!("{}{REDACTED}@", scheme(before)), after)
        }
        _ => (String::new(), value),
    };
    match rest.split_once(['?', '#']) {
        Some((location, _)) => format!("{start}{location}?{REDACTED}"),
        None => format!("{start}{rest}"),
    }
}

/// Paths keep their `@`: `/data/@scope` is no user name.
fn may_hold_credentials(before_at: &str) -> bool {
    before_at.contains("://") || !before_at.starts_with(['/', '.'])
}

/// `https://` of `https://user:password`; nothing when what stands there is no scheme.
fn scheme(text: &str) -> &str {
    const MARK: &str = "://";
    match text.split_once(MARK) {
        Some((scheme, _)) if scheme.bytes().all(|byte| byte.is_ascii_alphabetic()) => {
            text.get(..scheme.len() + MARK.len()).unwrap_or_default()
        }
        _ => "",
    }
}

/// A value as messages repeat it: credentials removed, quoted, on one line, cut when long.
pub(crate) fn quote(value: &str) -> String {
    format!("\"{}\"", one_line(&truncate(redact(value))))
}

/// A value as the listing has it: credentials removed, on one line, whole.
pub(crate) fn value_line(value: &str) -> String {
    one_line(&redact(value))
}

/// The name of a key that may be anything: on one line, and not too long.
pub(crate) fn name(name: &str) -> String {
    one_line(&truncate(name.to_owned()))
}

/// Escapes what would break the line or turn its direction; quotes and backslashes stay.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\'' | '\\' => line.push(c),
            c => line.extend(c.escape_debug()),
        }
    }
    line
}

fn truncate(text: String) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn credentials_are_cut_out_of_plain_values() {
        let cases = [
            ("nothing to hide", "redis.example.com", "redis.example.com"),
            (
                "user and password",
                "https://me:pw@a.example/x",
                "https://***@a.example/x",
            ),
            (
                "password with an at sign",
                "https://me:p@w@a.example",
                "https://***@a.example",
            ),
            (
                "password with a question mark",
                "redis://:p?w@host:6379",
                "redis://***@host:6379",
            ),
            ("no scheme", "me:pw@a.example", "***@a.example"),
            ("a list", "http://a:b@x,http://c:d@y", "http://***@y"),
            ("a scheme that is none", "to ken://x@y", "***@y"),
            (
                "query",
                "https://a.example/?key=1",
                "https://a.example/?***",
            ),
            (
                "query with an at sign",
                "https://a.example/?key=1@2",
                "https://***@2",
            ),
            (
                "fragment",
                "https://a.example/#key",
                "https://a.example/?***",
            ),
            ("a path", "/data/@scope/x", "/data/@scope/x"),
            ("a relative path", "./@scope", "./@scope"),
        ];
        for (name, value, expected) in cases {
            assert_eq!(redact(value), expected, "case `{name}`: {value}");
        }
    }

    #[test]
    fn long_values_are_cut_in_messages_only() {
        let long = "\u{fc}".repeat(500);
        let cut = format!("\"{}...\"", "\u{fc}".repeat(SHOWN_CHARS));
        assert_eq!(quote(&long), cut);
        assert_eq!(value_line(&long), long);
    }

    #[test]
    fn what_is_shown_stays_on_one_line() {
        assert_eq!(quote("a\nb\"\u{1b}"), r#""a\nb"\u{1b}""#);
        assert_eq!(name("KEY\r\n\u{202e}"), r"KEY\r\n\u{202e}");
    }

    proptest! {
        #[test]
        fn user_information_never_survives(
            scheme in "(https?|rediss?)",
            user in "[a-z]{0,8}",
            junk in "[ -~]{0,20}",
            host in "[a-z]{1,10}",
        ) {
            // The marker cannot come from the other parts, which have no capitals around it.
            let value = format!("{scheme}://{user}:{junk}SECRETMARK{junk}@{host}");
            prop_assert!(!redact(&value).contains("SECRETMARK"), "{}", redact(&value));
        }
    }
}
