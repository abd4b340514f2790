//! Range requests (RFC 9110, section 14): one range of bytes, or the whole.
//!
//! A server may always answer with the whole. We do so for everything but one well-formed range of bytes: several
//! ranges cost more than they save, and a client that sends something else is best served with what it can surely read.

use std::ops::Range;

use http::{
    HeaderMap, HeaderValue, Method,
    header::{IF_RANGE, RANGE},
};

use super::conditional::LastModified;

/// What of the content to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Selection {
    /// 200 with all of it.
    Whole,
    /// 206 with these bytes: never empty, always inside the content.
    Part(Range<u64>),
    /// 416: the range begins behind the end.
    Unsatisfiable,
}

/// Selects what of a content of `size` bytes the request asks for.
///
/// Only GET has ranges. `If-Range` must hold our very validator, strong or by date, else the whole is sent. Of an empty
/// content the whole is sent, as there is no part of it and some clients ask for a range always.
pub(crate) fn select(
    method: &Method,
    headers: &HeaderMap,
    size: u64,
    etag: &HeaderValue,
    last_modified: Option<LastModified>,
) -> Selection {
    if method != Method::GET || size == 0 {
        return Selection::Whole;
    }
    let Some(range) = only(headers, &RANGE) else {
        return Selection::Whole;
    };
    if headers.contains_key(IF_RANGE)
        && !only(headers, &IF_RANGE).is_some_and(|value| is_ours(value, etag, last_modified))
    {
        return Selection::Whole;
    }
    parse(range.as_bytes(), size).unwrap_or(Selection::Whole)
}

/// The value of a header that stands there exactly once.
fn only<'a>(headers: &'a HeaderMap, name: &http::HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

fn is_ours(value: &HeaderValue, etag: &HeaderValue, last_modified: Option<LastModified>) -> bool {
    let value_bytes = value.as_bytes().trim_ascii();
    if value_bytes.starts_with(b"\"") || value_bytes.starts_with(b"W/") {
        // Our tags are strong, so a weak one is never equal.
        return value_bytes == etag.as_bytes();
    }
    last_modified.is_some() && LastModified::parse(value) == last_modified
}

/// Reads `bytes=<first>-<last>`, `bytes=<first>-` or `bytes=-<length>`. `None` when it is anything else.
fn parse(range: &[u8], size: u64) -> Option<Selection> {
    let (unit, set) = split_once(range, b'=')?;
    if !unit.trim_ascii().eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    let (first, last) = split_once(set.trim_ascii(), b'-')?;
    let part = match (first.trim_ascii(), last.trim_ascii()) {
        (b"", length) => size.saturating_sub(number(length)?)..size,
        (first, b"") => number(first)?..size,
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            first..last.saturating_add(1).min(size)
        }
    };
    Some(if part.is_empty() {
        Selection::Unsatisfiable
    } else {
        Selection::Part(part)
    })
}

fn split_once(bytes: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|&byte| byte == separator)?;
    let (before, after) = bytes.split_at_checked(at)?;
    Some((before, after.get(1..)?))
}

/// A decimal number. One that is too large for us is as good as the largest: no content is that long.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, digit| {
        digit.is_ascii_digit().then(|| {
            number
                .saturating_mul(10)
                .saturating_add(u64::from(digit - b'0'))
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TAG: &str = r#""0123.5""#;
    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn selected(method: &Method, lines: &[(&'static str, &str)], size: u64) -> Selection {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::try_from(*value).unwrap());
        }
        let modified = LastModified::parse(&HeaderValue::from_static(DATE));
        select(
            method,
            &headers,
            size,
            &HeaderValue::from_static(TAG),
            modified,
        )
    }

    #[test]
    fn ranges() {
        use Selection::{Part, Unsatisfiable, Whole};
        let cases = [
            ("first bytes", "bytes=0-4", 10, Part(0..5)),
            ("one byte", "bytes=9-9", 10, Part(9..10)),
            ("to the end", "bytes=3-", 10, Part(3..10)),
            ("all of it", "bytes=0-", 10, Part(0..10)),
            ("last bytes", "bytes=-3", 10, Part(7..10)),
            ("last, more than there are", "bytes=-99", 10, Part(0..10)),
            ("end beyond the end", "bytes=5-99", 10, Part(5..10)),
            ("unit in capitals", "Bytes=1-2", 10, Part(1..3)),
            ("spaced", "bytes= 1-2 ", 10, Part(1..3)),
            ("leading zeros", "bytes=001-002", 10, Part(1..3)),
            (
                "last number there is",
                "bytes=0-18446744073709551615",
                10,
                Part(0..10),
            ),
            (
                "larger than numbers are",
                "bytes=5-99999999999999999999999",
                10,
                Part(5..10),
            ),
            (
                "suffix larger still",
                "bytes=-99999999999999999999999",
                10,
                Part(0..10),
            ),
            ("begins behind the end", "bytes=10-", 10, Unsatisfiable),
            ("wholly behind the end", "bytes=10-12", 10, Unsatisfiable),
            (
                "far behind",
                "bytes=99999999999999999999999-",
                10,
                Unsatisfiable,
            ),
            ("last none", "bytes=-0", 10, Unsatisfiable),
            ("several", "bytes=0-1,4-5", 10, Whole),
            ("backwards", "bytes=5-4", 10, Whole),
            ("another unit", "lines=0-4", 10, Whole),
            ("no unit", "0-4", 10, Whole),
            ("nothing", "bytes=", 10, Whole),
            ("only a hyphen", "bytes=-", 10, Whole),
            ("negative", "bytes=--5", 10, Whole),
            ("signed", "bytes=+1-2", 10, Whole),
            ("words", "bytes=a-b", 10, Whole),
            ("three numbers", "bytes=1-2-3", 10, Whole),
            ("empty header", "", 10, Whole),
            ("of nothing, from the start", "bytes=0-", 0, Whole),
            ("of nothing, the last", "bytes=-5", 0, Whole),
            (
                "largest content",
                "bytes=18446744073709551614-",
                u64::MAX,
                Part(u64::MAX - 1..u64::MAX),
            ),
            (
                "its last number",
                "bytes=0-18446744073709551615",
                u64::MAX,
                Part(0..u64::MAX),
            ),
        ];
        for (name, range, size, expected) in cases {
            assert_eq!(
                selected(&Method::GET, &[("range", range)], size),
                expected,
                "case `{name}`"
            );
        }
    }

    type Lines<'a> = &'a [(&'static str, &'a str)];

    #[test]
    fn when_a_range_counts() {
        let part = Selection::Part(0..5);
        let range = ("range", "bytes=0-4");
        let cases: [(&str, Method, Lines<'_>, Selection); 11] = [
            ("no range", Method::GET, &[], Selection::Whole),
            ("HEAD", Method::HEAD, &[range], Selection::Whole),
            ("two lines", Method::GET, &[range, range], Selection::Whole),
            (
                "same tag",
                Method::GET,
                &[range, ("if-range", TAG)],
                part.clone(),
            ),
            (
                "weak tag",
                Method::GET,
                &[range, ("if-range", r#"W/"0123.5""#)],
                Selection::Whole,
            ),
            (
                "other tag",
                Method::GET,
                &[range, ("if-range", r#""x""#)],
                Selection::Whole,
            ),
            ("same date", Method::GET, &[range, ("if-range", DATE)], part),
            (
                "later date",
                Method::GET,
                &[range, ("if-range", "Sun, 06 Nov 1994 08:49:38 GMT")],
                Selection::Whole,
            ),
            (
                "garbage",
                Method::GET,
                &[range, ("if-range", "x")],
                Selection::Whole,
            ),
            (
                "two validators",
                Method::GET,
                &[range, ("if-range", TAG), ("if-range", TAG)],
                Selection::Whole,
            ),
            (
                "validator alone",
                Method::GET,
                &[("if-range", TAG)],
                Selection::Whole,
            ),
        ];
        for (name, method, lines, expected) in cases {
            assert_eq!(selected(&method, lines, 10), expected, "case `{name}`");
        }
    }

    #[test]
    fn without_a_date_of_ours_none_is_equal() {
        let headers = HeaderMap::from_iter([
            (RANGE, HeaderValue::from_static("bytes=0-4")),
            (IF_RANGE, HeaderValue::from_static("garbage")),
        ]);
        let tag = HeaderValue::from_static(TAG);
        assert_eq!(
            select(&Method::GET, &headers, 10, &tag, None),
            Selection::Whole
        );
    }

    proptest! {
        #[test]
        fn a_part_is_inside_and_not_empty(range in "(bytes=)?[0-9]{0,22}-?[0-9]{0,22}", size: u64) {
            if let Selection::Part(part) = selected(&Method::GET, &[("range", &range)], size) {
                prop_assert!(part.start < part.end && part.end <= size);
            }
        }

        #[test]
        fn a_range_inside_is_taken_as_it_is(first in 0u64..1000, length in 1u64..1000, more in 0u64..1000) {
            let range = format!("bytes={first}-{}", first + length - 1);
            let found = selected(&Method::GET, &[("range", &range)], first + length + more);
            prop_assert_eq!(found, Selection::Part(first..first + length));
        }

        #[test]
        fn any_text_is_read_without_panic(range in "[ -~]*", size: u64) {
            selected(&Method::GET, &[("range", &range)], size);
        }
    }
}
