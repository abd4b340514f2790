//! What a request asks for: its path in plain text, and whether somebody goes to a page.

use std::borrow::Cow;

use http::{HeaderMap, Method, header::ACCEPT};
use percent_encoding::percent_decode_str;

use crate::serve::{media_type, percent};

/// Why a request's path names nothing: 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadPath {
    #[error("the path has a `%` that two hexadecimal digits do not follow: write `%25`")]
    Percent,
    #[error("the path is not UTF-8 once percent-decoded")]
    NotUtf8,
    #[error("the path has a `.` or `..` segment")]
    DotSegment,
    #[error("the path has a backslash or a control character")]
    Character,
}

/// Decodes the path of a request target, once, and drops its leading slash.
pub(crate) fn decode(raw_path: &str) -> Result<Cow<'_, str>, BadPath> {
    let raw = raw_path.strip_prefix('/').unwrap_or(raw_path);
    if is_simple(raw) {
        return Ok(Cow::Borrowed(raw));
    }
    if !percent::is_well_formed(raw) {
        return Err(BadPath::Percent);
    }
    let path = percent_decode_str(raw)
        .decode_utf8()
        .map_err(|_| BadPath::NotUtf8)?;
    if path.contains(|c: char| c == '\\' || c.is_control()) {
        return Err(BadPath::Character);
    }
    if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(BadPath::DotSegment);
    }
    Ok(path)
}

/// Whether a path is what nearly all are: nothing to decode, and nothing to object to.
fn is_simple(raw: &str) -> bool {
    let mut before = b'/';
    raw.bytes().all(|byte| {
        let begins_with_dot = byte == b'.' && before == b'/';
        before = byte;
        !begins_with_dot
            && (byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'.' | b'~'))
    })
}

/// Whether a request is a person going to a page: GET or HEAD, `Accept` asks for HTML by name, and the path does not
/// end in the name of a file. Scripts, styles, images and `fetch` ask for `*/*` or for their own types.
pub(crate) fn is_navigation(method: &Method, headers: &HeaderMap, path: &str) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
        && accepts_html(headers)
        && !media_type::names_a_file(path)
}

/// Whether the client can read HTML.
pub(crate) fn accepts_html(headers: &HeaderMap) -> bool {
    headers
        .get_all(ACCEPT)
        .iter()
        // What scripts and styles are asked for with.
        .filter(|line| line.as_bytes() != b"*/*")
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .any(|range| {
            let mut parts = range.split(';').map(str::trim);
            let html = parts
                .next()
                .is_some_and(|media_range| media_range.eq_ignore_ascii_case("text/html"));
            html && !parts.any(refuses)
        })
}

/// Whether a parameter of `Accept` is a weight of zero: "not this".
fn refuses(parameter: &str) -> bool {
    parameter
        .split_once('=')
        .filter(|(name, _)| name.trim().eq_ignore_ascii_case("q"))
        .and_then(|(_, weight)| weight.trim().parse::<f32>().ok())
        .is_some_and(|weight| weight <= 0.0)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::{super::tests::rows, *};

    #[test]
    fn paths_are_decoded_once() {
        let cases = [
            ("usual", "/assets/main.js", Ok("assets/main.js")),
            ("root", "/", Ok("")),
            ("no slash", "", Ok("")),
            (
                "encoded",
                "/data/men%C3%BA%20(50%25)%20&%20m+s.txt",
                Ok("data/menú (50%) & m+s.txt"),
            ),
            (
                "encoded separators",
                "/%40scope%23frag%3F.txt",
                Ok("@scope#frag?.txt"),
            ),
            ("once", "/%2525", Ok("%25")),
            ("encoded slash", "/a%2Fb", Ok("a/b")),
            ("two slashes", "//host/x", Ok("/host/x")),
            ("dots in names", "/a/...b/..c/d..", Ok("a/...b/..c/d..")),
            ("hidden", "/.well-known/x", Ok(".well-known/x")),
            ("unencoded UTF-8", "/風", Ok("風")),
            ("parent", "/a/../b", Err(BadPath::DotSegment)),
            ("parent, encoded", "/a/%2e%2E/b", Err(BadPath::DotSegment)),
            (
                "parent behind an encoded slash",
                "/a%2f..%2fb",
                Err(BadPath::DotSegment),
            ),
            ("parent at the end", "/a/..", Err(BadPath::DotSegment)),
            ("current", "/./a", Err(BadPath::DotSegment)),
            ("NUL", "/a%00", Err(BadPath::Character)),
            ("line break", "/a%0d%0ab", Err(BadPath::Character)),
            ("delete", "/a%7f", Err(BadPath::Character)),
            ("upper control", "/a%C2%85", Err(BadPath::Character)),
            ("backslash", "/a%5Cb", Err(BadPath::Character)),
            ("plain backslash", "/\\host", Err(BadPath::Character)),
            ("not UTF-8", "/%ff", Err(BadPath::NotUtf8)),
            ("overlong slash", "/%c0%af", Err(BadPath::NotUtf8)),
            ("surrogate", "/%ed%a0%80", Err(BadPath::NotUtf8)),
            ("no digits", "/100%", Err(BadPath::Percent)),
            ("one digit", "/100%2", Err(BadPath::Percent)),
            ("other letters", "/100%zz", Err(BadPath::Percent)),
            ("percent twice", "/%%25", Err(BadPath::Percent)),
        ];
        for (name, raw, expected) in cases {
            assert_eq!(
                decode(raw).as_deref().map_err(|problem| *problem),
                expected,
                "case `{name}`"
            );
        }
        assert!(matches!(decode("/assets/main.js"), Ok(Cow::Borrowed(_))));
    }

    #[test]
    fn navigations() {
        const CHROME: &str =
            "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";
        // Name, method, lines of Accept, path, expected.
        let table = "
            browser            | GET  | CHROME                             | users/5           | true
            root               | GET  | CHROME                             |                   | true
            HEAD               | HEAD | CHROME                             | users/5           | true
            POST               | POST | CHROME                             | users/5           | false
            no Accept          | GET  |                                    | users/5           | false
            anything           | GET  | */*                                | users/5           | false
            any text           | GET  | text/*                             | users/5           | false
            JSON               | GET  | application/json                   | users/5           | false
            image              | GET  | image/avif,image/webp,*/*;q=0.8    | users/5           | false
            capitals           | GET  | Text/HTML                          | users/5           | true
            weighted           | GET  | application/json, text/html; q=0.1 | users/5           | true
            refused            | GET  | */*, text/html;q=0                 | users/5           | false
            refused in full    | GET  | text/html; level=1; Q=0.000        | users/5           | false
            second line        | GET  | image/png & text/html              | users/5           | true
            longer name        | GET  | text/html2                         | users/5           | false
            script             | GET  | CHROME                             | assets/main.js    | false
            image by hand      | GET  | CHROME                             | img/a.PNG         | false
            page by hand       | GET  | CHROME                             | missing.html      | false
            version            | GET  | CHROME                             | docs/v1.2         | true
            person             | GET  | CHROME                             | users/john.doe    | true
            handle             | GET  | CHROME                             | @user             | true
            domain             | GET  | CHROME                             | sites/example.com | true
            dot in a directory | GET  | CHROME                             | a.js/b            | true
        ";
        for [name, method, accept, path, expected] in rows(table) {
            let mut headers = HeaderMap::new();
            for value in accept.split('&').filter(|value| !value.is_empty()) {
                let value = value.trim().replace("CHROME", CHROME);
                headers.append(ACCEPT, HeaderValue::try_from(value).unwrap());
            }
            assert_eq!(
                is_navigation(&method.parse().unwrap(), &headers, path),
                expected == "true",
                "case `{name}`"
            );
        }
    }

    proptest! {
        #[test]
        fn any_path_is_decoded_or_refused(raw in "(/|%[0-9a-f]{2}|%|\\.|\\\\|[a-z]|\\PC){0,20}") {
            if let Ok(path) = decode(&raw) {
                prop_assert!(!path.split('/').any(|segment| segment == "." || segment == ".."));
                prop_assert!(!path.chars().any(|c| c.is_control() || c == '\\'));
            }
        }
    }
}
