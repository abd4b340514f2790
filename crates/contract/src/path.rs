//! Paths of assets inside a deployment.

use std::{fmt, str::FromStr};

use crate::error::{Invalid, excerpt};

/// Longest asset path, in bytes.
pub const MAX_ASSET_PATH: usize = 1024;

/// The path of an asset in a snapshot: relative, `/` separated, with no segment that a file system or a browser would
/// resolve to somewhere else.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AssetPath(Box<str>);

impl AssetPath {
    /// The path as text, without a leading slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Checks a path without keeping it; a leading slash is dropped.
    pub fn check(text: &str) -> Result<&str, Invalid> {
        let invalid = |problem: &str| {
            Err(Invalid::new(
                "asset path",
                format!("`{}` {problem}", excerpt(text)),
            ))
        };
        let path = text.strip_prefix('/').unwrap_or(text);
        if path.is_empty() {
            return invalid("is empty");
        }
        if path.len() > MAX_ASSET_PATH {
            return invalid("is longer than 1,024 bytes");
        }
        // Most paths are plain: thousands of a snapshot are looked at once, byte by byte.
        let plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'\\';
        if !path.bytes().all(plain) {
            if path.contains('\\') {
                return invalid("has a backslash: separate with `/`");
            }
            if path.chars().any(char::is_control) {
                return invalid("has a control character");
            }
        }
        for segment in path.as_bytes().split(|byte| *byte == b'/') {
            match segment {
                b"" => return invalid("has an empty segment"),
                b"." | b".." => return invalid("has a `.` or `..` segment"),
                _ => {}
            }
        }
        Ok(path)
    }
}

impl FromStr for AssetPath {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::check(text).map(|path| Self(path.into()))
    }
}

impl fmt::Display for AssetPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<AssetPath> for Box<str> {
    fn from(path: AssetPath) -> Self {
        path.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asset_paths() {
        let long = "a".repeat(1024);
        let cases = [
            ("usual", "assets/main-1.js", Some("assets/main-1.js")),
            ("leading slash", "/index.html", Some("index.html")),
            (
                "any script",
                "data/風 (50%) & más+#?.txt",
                Some("data/風 (50%) & más+#?.txt"),
            ),
            ("dot directory", ".well-known/x", Some(".well-known/x")),
            ("1,024 bytes", &long, Some(long.as_str())),
            ("1,025 bytes", &format!("{long}a"), None),
            ("parent", "a/../b", None),
            ("current", "./a", None),
            ("empty segment", "a//b", None),
            ("trailing slash", "a/", None),
            ("two leading slashes", "//host/a", None),
            ("backslash", "a\\b", None),
            ("NUL", "a\0b", None),
            ("line break", "a\nb", None),
            ("DEL", "a\x7fb", None),
            ("control character beyond ASCII", "a\u{85}b", None),
            ("empty", "", None),
            ("only a slash", "/", None),
        ];
        for (name, text, expected) in cases {
            let found = text.parse::<AssetPath>().ok();
            assert_eq!(
                found.as_ref().map(AssetPath::as_str),
                expected,
                "case `{name}`"
            );
        }
    }
}
