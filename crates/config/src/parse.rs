//! From the text of a value to what it means. Every function names in its error what it takes, and
//! never the text, which may be a secret.

use std::{
    net::{IpAddr, Ipv6Addr},
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{problem::Reason, read::read_bytes, source::parse_array};

/// Bound for nearly every timeout and interval: longer ones are slips, such as seconds taken for
/// milliseconds.
const HOUR_MS: u64 = 60 * 60 * 1000;

/// A decimal number without sign, within `range`.
pub(crate) fn whole(range: RangeInclusive<u64>) -> impl Fn(&str) -> Result<u64, Reason> {
    move |text| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = if digits { text.parse().ok() } else { None };
        number
            .filter(|number| range.contains(number))
            .ok_or_else(|| {
                Reason::new(format!(
                    "is not a whole number from {} to {}",
                    range.start(),
                    range.end()
                ))
            })
    }
}

/// Milliseconds, at most an hour.
pub(crate) fn millis(least: u64) -> impl Fn(&str) -> Result<Duration, Reason> {
    millis_within(least..=HOUR_MS)
}

/// Milliseconds, within `range`.
pub(crate) fn millis_within(
    range: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<Duration, Reason> {
    let number = whole(range);
    move |text| match number(text) {
        Ok(number) => Ok(Duration::from_millis(number)),
        Err(reason) => Err(Reason::new(format!("{reason} (milliseconds)"))),
    }
}

/// A number that sizes something in memory.
pub(crate) fn size(range: RangeInclusive<u64>) -> impl Fn(&str) -> Result<usize, Reason> {
    let number = whole(range);
    move |text| {
        let number = number(text)?;
        usize::try_from(number).map_err(|_| Reason::new("is too large for this machine"))
    }
}

/// A TCP port; 0 lets the system choose.
pub(crate) fn port_or_any(text: &str) -> Result<u16, Reason> {
    port(0, text)
}

/// A TCP port to connect to.
pub(crate) fn port_of_peer(text: &str) -> Result<u16, Reason> {
    port(1, text)
}

fn port(least: u16, text: &str) -> Result<u16, Reason> {
    match whole(u64::from(least)..=u64::from(u16::MAX))(text).map(u16::try_from) {
        Ok(Ok(port)) => Ok(port),
        // Kubernetes sets <SERVICE>_PORT for every Service, and ours may be called ze-worker.
        _ if text.starts_with("tcp://") || text.starts_with("udp://") => Err(Reason::new(
            "is not a port number but what Kubernetes sets for a Service whose name gives this \
             key; set `enableServiceLinks: false` in the pod, or the key in the file",
        )),
        _ => Err(Reason::new(format!(
            "is not a port number from {least} to {}",
            u16::MAX
        ))),
    }
}

/// `true`, `false`, `1` or `0`.
pub(crate) fn boolean(text: &str) -> Result<bool, Reason> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(Reason::new("is neither true nor false")),
    }
}

/// One of a few words, in any case.
pub(crate) fn choice<T: Copy>(words: &[(&str, T)]) -> impl Fn(&str) -> Result<T, Reason> {
    move |text| {
        let found = words
            .iter()
            .find(|(word, _)| word.eq_ignore_ascii_case(text));
        found.map(|(_, value)| *value).ok_or_else(|| {
            let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            Reason::new(format!("is none of: {}", words.join(" ")))
        })
    }
}

/// An IP address, also in the brackets that URLs put around version 6.
pub(crate) fn ip(text: &str) -> Result<IpAddr, Reason> {
    let bracketed = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let parsed = match bracketed {
        Some(text) => text.parse::<Ipv6Addr>().map(IpAddr::V6),
        None => text.parse(),
    };
    parsed.map_err(|_| Reason::new("is not an IP address"))
}

/// Text of at most `longest` bytes without control characters.
pub(crate) fn line(longest: usize) -> impl Fn(&str) -> Result<String, Reason> {
    move |text| {
        if text.chars().any(char::is_control) {
            return Err(Reason::new("holds a control character"));
        }
        if text.len() > longest {
            return Err(Reason::new(format!("is longer than {longest} bytes")));
        }
        Ok(text.to_owned())
    }
}

/// A word of at most `longest` characters: ASCII letters, digits and those of `others`, the first a
/// letter or digit.
pub(crate) fn word(
    others: &'static str,
    lengths: RangeInclusive<usize>,
) -> impl Fn(&str) -> Result<String, Reason> {
    move |text| {
        let fits = lengths.contains(&text.len())
            && text.starts_with(|first: char| first.is_ascii_alphanumeric())
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || others.contains(c));
        if fits {
            return Ok(text.to_owned());
        }
        Err(Reason::new(format!(
            "is not {} to {} letters, digits and {}, beginning with a letter or digit",
            lengths.start(),
            lengths.end(),
            others
                .chars()
                .map(String::from)
                .collect::<Vec<_>>()
                .join(" "),
        )))
    }
}

/// The items of a list: a JSON array of strings, or text with commas. May hold blank ones.
pub(crate) fn parse_list(text: &str) -> Result<Vec<String>, Reason> {
    if text.starts_with('[') {
        return parse_array(text).map_err(Reason::new);
    }
    Ok(text.split(',').map(str::to_owned).collect())
}

/// A file that can be read now and holds a PEM block whose label ends in `label`. The content is
/// checked by whoever uses it.
pub(crate) fn pem(label: &'static str) -> impl Fn(&str) -> Result<PathBuf, Reason> {
    move |text| {
        let path = Path::new(text);
        let bytes = read_bytes(path).map_err(Reason::new)?;
        let mark = format!("{label}-----");
        let found = String::from_utf8_lossy(&bytes)
            .lines()
            .any(|line| line.starts_with("-----BEGIN ") && line.trim_end().ends_with(&mark));
        if found {
            return Ok(path.to_owned());
        }
        Err(Reason::new(format!(
            "is a file without a PEM block `-----BEGIN {label}-----`"
        )))
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use proptest::prelude::*;

    use super::*;

    fn show<T: Debug>(result: Result<T, Reason>) -> String {
        match result {
            Ok(value) => format!("{value:?}"),
            Err(reason) => format!("error: {reason}"),
        }
    }

    #[test]
    fn numbers() {
        let range = "error: is not a whole number from 1 to 10";
        for (text, expected) in [
            ("1", "1"),
            ("10", "10"),
            ("007", "7"),
            ("0", range),
            ("11", range),
            ("+5", range),
            ("-5", range),
            ("5.0", range),
            ("1e1", range),
            ("", range),
            ("five", range),
            ("99999999999999999999999", range),
        ] {
            assert_eq!(show(whole(1..=10)(text)), expected, "{text}");
        }
        assert_eq!(show(millis(1)("1500")), "1.5s");
        let reason = "error: is not a whole number from 1 to 3600000 (milliseconds)";
        assert_eq!(show(millis(1)("3600001")), reason);
        assert_eq!(show(size(1..=10)("3")), "3");
    }

    #[test]
    fn ports() {
        assert_eq!(show(port_or_any("0")), "0");
        assert_eq!(show(port_or_any("65535")), "65535");
        assert_eq!(
            show(port_or_any("65536")),
            "error: is not a port number from 0 to 65535"
        );
        assert_eq!(
            show(port_of_peer("0")),
            "error: is not a port number from 1 to 65535"
        );
        assert!(show(port_or_any("tcp://10.96.0.9:8080")).contains("enableServiceLinks"));
    }

    #[test]
    fn booleans_and_choices() {
        for text in ["true", "TRUE", "True", "1"] {
            assert_eq!(show(boolean(text)), "true", "{text}");
        }
        for text in ["false", "False", "0"] {
            assert_eq!(show(boolean(text)), "false", "{text}");
        }
        for text in ["yes", "on", "2", "t", ""] {
            assert_eq!(
                show(boolean(text)),
                "error: is neither true nor false",
                "{text}"
            );
        }
        let colour = choice(&[("red", 1), ("green", 2)]);
        assert_eq!(show(colour("Green")), "2");
        assert_eq!(show(colour("blue")), "error: is none of: red green");
    }

    #[test]
    fn addresses() {
        for (text, expected) in [
            ("127.0.0.1", "127.0.0.1"),
            ("::1", "::1"),
            ("[::1]", "::1"),
            ("[127.0.0.1]", "error: is not an IP address"),
            ("localhost", "error: is not an IP address"),
            ("127.0.0.1:80", "error: is not an IP address"),
        ] {
            assert_eq!(show(ip(text)), expected, "{text}");
        }
    }

    #[test]
    fn words_and_lines() {
        let name = word("-.", 3..=5);
        for (text, fits) in [
            ("a-b", true),
            ("9.z", true),
            ("ab", false),
            ("abcdef", false),
            ("-ab", false),
            ("a_b", false),
        ] {
            assert_eq!(name(text).is_ok(), fits, "{text}");
        }
        assert_eq!(show(line(3)("a b")), "\"a b\"");
        assert_eq!(show(line(3)("abcd")), "error: is longer than 3 bytes");
        assert_eq!(show(line(3)("a\nb")), "error: holds a control character");
    }

    #[test]
    fn lists() {
        for (text, expected) in [
            ("a", r#"["a"]"#),
            ("a, b,", r#"["a", " b", ""]"#),
            (r#"["a", "b",]"#, r#"["a", "b"]"#),
            ("[]", "[]"),
            ("[1]", "error: is an array of other things than strings"),
            (
                "[a]",
                "error: is not valid JSON: line 1 column 2: unexpected token",
            ),
            (
                r#"["a"] x"#,
                "error: is not valid JSON: line 1 column 7: text cannot contain more than one JSON value",
            ),
        ] {
            assert_eq!(show(parse_list(text)), expected, "{text}");
        }
    }

    #[test]
    fn pem_files() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.pem");
        let text = path.to_str().unwrap();
        let key = "# a key\n-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n";
        std::fs::write(&path, key).unwrap();
        assert_eq!(pem("PRIVATE KEY")(text).unwrap(), path);
        let reason = "error: is a file without a PEM block `-----BEGIN CERTIFICATE-----`";
        assert_eq!(show(pem("CERTIFICATE")(text)), reason);
        std::fs::remove_file(&path).unwrap();
        assert!(show(pem("CERTIFICATE")(text)).starts_with("error: cannot be read: No such file"));
    }

    proptest! {
        #[test]
        fn no_text_makes_a_parser_panic(text in ".{0,60}") {
            drop((port_or_any(&text), boolean(&text), ip(&text), parse_list(&text)));
            drop((whole(0..=9)(&text), word("-", 1..=9)(&text), line(9)(&text)));
            drop(parse_list(&format!("[{text}")));
        }
    }
}
