//! Conditional requests (RFC 9110, section 13): is what the client has still right?

use std::{
    io::Write as _,
    time::{Duration, UNIX_EPOCH},
};

use favonius_contract::AssetRef;
use favonius_storage::Coding;
use http::{
    HeaderMap, HeaderValue,
    header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE},
};

/// What the preconditions of a GET or HEAD come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Precondition {
    /// Answer as if there were none.
    Met,
    /// 304: the client has it.
    NotModified,
    /// 412: the client wants only what is no longer there.
    Failed,
}

/// The strong validator of an asset in one of its forms.
///
/// A form is a content coding, by its name. Each form has its own tag, as a cache may keep several side by side.
pub(crate) fn etag(asset: AssetRef, form: Option<&str>) -> HeaderValue {
    Tag::of(asset).header(form)
}

/// What the validators of all forms of an asset have in common.
pub(crate) struct Tag {
    /// Half of the hash in hexadecimal digits, which is enough to tell the versions of one URL apart, a dot, and the size.
    text: [u8; Self::LONGEST],
    length: usize,
}

impl Tag {
    /// 32 digits, a dot, and the digits of the largest size.
    const LONGEST: usize = 32 + 1 + 20;

    pub(crate) fn of(asset: AssetRef) -> Self {
        let mut this = Self {
            text: [0; Self::LONGEST],
            length: 0,
        };
        let mut rest = &mut this.text[..];
        let (half, _) = asset.hash.as_bytes().split_at(16);
        let mut digits = [0; 32];
        let hexadecimal = hex::encode_to_slice(half, &mut digits);
        debug_assert!(hexadecimal.is_ok(), "two digits for each of 16 bytes");
        let written = rest
            .write_all(&digits)
            .and_then(|()| write!(rest, ".{}", asset.size));
        debug_assert!(written.is_ok(), "there is room for the longest");
        this.length = Self::LONGEST - rest.len();
        this
    }

    fn as_bytes(&self) -> &[u8] {
        self.text.get(..self.length).unwrap_or_default()
    }

    /// The validator of one form.
    pub(crate) fn header(&self, form: Option<&str>) -> HeaderValue {
        let mut tag = Vec::with_capacity(self.length + 8);
        tag.push(b'"');
        tag.extend_from_slice(self.as_bytes());
        if let Some(form) = form {
            tag.push(b'-');
            tag.extend(
                form.bytes()
                    .filter(|byte| byte.is_ascii_alphanumeric() || *byte == b'-'),
            );
        }
        tag.push(b'"');
        HeaderValue::try_from(tag)
            .expect("hexadecimal digits, digits, letters, `.`, `-` and quotes")
    }

    /// Which form a tag, with its quotes, is the validator of. `None` when it is of no form of this asset.
    pub(crate) fn form(&self, opaque: &[u8]) -> Option<Form> {
        let inner = opaque.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        let form = inner.strip_prefix(self.as_bytes())?;
        if form.is_empty() {
            return Some(Form::Plain);
        }
        let name = form.strip_prefix(b"-")?;
        Coding::ALL
            .into_iter()
            .find(|coding| coding.as_str().as_bytes() == name)
            .map(Form::Coded)
    }
}

/// A form of an asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// The asset as it is.
    Plain,
    /// The asset in a coding.
    Coded(Coding),
}

/// When the content was made, in whole seconds, as `Last-Modified` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LastModified(u64);

impl LastModified {
    /// Start of the year 10000, which an HTTP date cannot express.
    const END: u64 = 253_402_300_800;

    /// From milliseconds since the Unix epoch. `None` for 0, which stands for unknown, and beyond the year 9999.
    pub(crate) fn from_unix_ms(ms: u64) -> Option<Self> {
        Some(ms / 1000)
            .filter(|seconds| ms != 0 && *seconds < Self::END)
            .map(Self)
    }

    /// The value of the `Last-Modified` header.
    pub(crate) fn header(self) -> HeaderValue {
        let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(self.0));
        HeaderValue::try_from(date).expect("an HTTP date is ASCII")
    }

    /// Reads any of the three forms of an HTTP date.
    pub(super) fn parse(value: &HeaderValue) -> Option<Self> {
        let date = httpdate::parse_http_date(value.to_str().ok()?).ok()?;
        let seconds = date.duration_since(UNIX_EPOCH).ok()?.as_secs();
        Some(Self(seconds))
    }
}

/// Whether a request has any precondition.
pub(crate) fn asks(headers: &HeaderMap) -> bool {
    [
        IF_NONE_MATCH,
        IF_MODIFIED_SINCE,
        IF_MATCH,
        IF_UNMODIFIED_SINCE,
    ]
    .iter()
    .any(|name| headers.contains_key(name))
}

/// Evaluates the preconditions of a GET or HEAD in the order of RFC 9110, section 13.2.2.
///
/// A malformed header is ignored. Dates count only where the client sent no tags.
///
/// `If-Modified-Since` is met by exactly our date and no other (as nginx does): a rollback makes content *older*, and a
/// cache that asks by a later date must still get it.
///
/// `is_ours` is shown tags with their quotes and says which of them stand for what would be sent now.
pub(crate) fn evaluate(
    headers: &HeaderMap,
    mut is_ours: impl FnMut(&[u8]) -> bool,
    last_modified: Option<LastModified>,
) -> Precondition {
    if headers.contains_key(IF_MATCH) {
        if matches(headers, &IF_MATCH, &mut is_ours, Comparison::Strong) == Some(false) {
            return Precondition::Failed;
        }
    } else if let (Some(since), Some(modified)) =
        (date(headers, &IF_UNMODIFIED_SINCE), last_modified)
        && modified > since
    {
        return Precondition::Failed;
    }
    let unmodified = if headers.contains_key(IF_NONE_MATCH) {
        matches(headers, &IF_NONE_MATCH, &mut is_ours, Comparison::Weak) == Some(true)
    } else {
        last_modified.is_some() && date(headers, &IF_MODIFIED_SINCE) == last_modified
    };
    if unmodified {
        Precondition::NotModified
    } else {
        Precondition::Met
    }
}

/// The date in a header that may occur once.
fn date(headers: &HeaderMap, name: &http::HeaderName) -> Option<LastModified> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    LastModified::parse(value)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

/// Whether a list of tags, over all lines of the header, holds this one. `None` when it is malformed.
fn matches(
    headers: &HeaderMap,
    name: &http::HeaderName,
    is_ours: &mut impl FnMut(&[u8]) -> bool,
    comparison: Comparison,
) -> Option<bool> {
    let mut lines = headers.get_all(name).iter();
    if headers.get_all(name).iter().count() == 1
        && lines
            .next()
            .is_some_and(|line| line.as_bytes().trim_ascii() == b"*")
    {
        return Some(true);
    }
    let mut found = false;
    for line in headers.get_all(name) {
        let mut rest = line.as_bytes();
        loop {
            rest = trim_list(rest);
            if rest.is_empty() {
                break;
            }
            let (weak, opaque, after) = entity_tag(rest)?;
            // Between two tags there is a comma.
            let after = after.trim_ascii_start();
            if !after.is_empty() && !after.starts_with(b",") {
                return None;
            }
            found |= (comparison == Comparison::Weak || !weak) && is_ours(opaque);
            rest = after;
        }
    }
    Some(found)
}

/// Without leading white space and commas: a list may have empty elements.
fn trim_list(mut rest: &[u8]) -> &[u8] {
    while let [b' ' | b'\t' | b',', after @ ..] = rest {
        rest = after;
    }
    rest
}

/// The first tag of a list: whether it is weak, the tag with its quotes, and what follows. A tag may hold commas.
fn entity_tag(text: &[u8]) -> Option<(bool, &[u8], &[u8])> {
    let (weak, text) = match text.strip_prefix(b"W/") {
        Some(opaque) => (true, opaque),
        None => (false, text),
    };
    let inner = text.strip_prefix(b"\"")?;
    let length = inner.iter().position(|&byte| byte == b'"')?;
    let (tag, after) = text.split_at_checked(length + 2)?;
    inner
        .get(..length)?
        .iter()
        .all(|&byte| byte == 0x21 || (0x23..=0x7e).contains(&byte) || byte >= 0x80)
        .then_some((weak, tag, after))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TAG: &str = r#""0123.5""#;
    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
    const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

    fn is_tag(shown: &[u8]) -> bool {
        shown == TAG.as_bytes()
    }

    fn modified() -> Option<LastModified> {
        LastModified::parse(&HeaderValue::from_static(DATE))
    }

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn tags_tell_forms_apart() {
        let asset = AssetRef {
            hash: [0xab; 32].into(),
            size: 438,
        };
        let plain = "\"abababababababababababababababab.438";
        assert_eq!(etag(asset, None), format!("{plain}\""));
        assert_eq!(etag(asset, Some("br")), format!("{plain}-br\""));
        assert_eq!(etag(asset, Some("map-br")), format!("{plain}-map-br\""));
        assert_eq!(etag(asset, Some("a\"\n b")), format!("{plain}-ab\""));

        let tag = Tag::of(asset);
        for (form, expected) in [
            ("", Some(Form::Plain)),
            ("-br", Some(Form::Coded(Coding::Brotli))),
            ("-zstd", Some(Form::Coded(Coding::Zstd))),
            ("-gzip", Some(Form::Coded(Coding::Gzip))),
            ("-map", None),
            ("0", None),
            ("-", None),
        ] {
            let shown = format!("{plain}{form}\"");
            assert_eq!(tag.form(shown.as_bytes()), expected, "{form}");
        }
        let largest = AssetRef {
            size: u64::MAX,
            ..asset
        };
        let tag = etag(largest, None);
        assert_eq!(Tag::of(largest).form(tag.as_bytes()), Some(Form::Plain));
    }

    const NONE: &str = "if-none-match";
    const SINCE: &str = "if-modified-since";

    type Case = (
        &'static str,
        &'static [(&'static str, &'static str)],
        Precondition,
    );

    fn check(cases: &[Case]) {
        for (name, lines, expected) in cases {
            let found = evaluate(&headers(lines), is_tag, modified());
            assert_eq!(found, *expected, "case `{name}`");
        }
    }

    #[test]
    fn tags() {
        use Precondition::{Met, NotModified};
        let cases: &[Case] = &[
            ("none", &[], Met),
            ("same tag", &[(NONE, TAG)], NotModified),
            ("weak form of it", &[(NONE, r#"W/"0123.5""#)], NotModified),
            ("another", &[(NONE, r#""0123.6""#)], Met),
            ("another form", &[(NONE, r#""0123.5-br""#)], Met),
            ("any", &[(NONE, "*")], NotModified),
            ("any, spaced", &[(NONE, " * ")], NotModified),
            (
                "in a list",
                &[(NONE, r#""a", W/"b" ,"0123.5""#)],
                NotModified,
            ),
            (
                "a comma in a tag",
                &[(NONE, r#""a,b", "0123.5""#)],
                NotModified,
            ),
            ("ours inside another", &[(NONE, r#""x,0123.5,""#)], Met),
            ("empty elements", &[(NONE, r#", ,"0123.5",,"#)], NotModified),
            (
                "several lines",
                &[(NONE, r#""a""#), (NONE, TAG)],
                NotModified,
            ),
            ("unquoted", &[(NONE, "0123.5")], Met),
            ("half quoted", &[(NONE, r#""0123.5"#)], Met),
            ("no comma", &[(NONE, r#""a" "0123.5""#)], Met),
            ("any among others", &[(NONE, r#""0123.5", *"#)], Met),
            ("lower-case weak", &[(NONE, r#"w/"0123.5""#)], Met),
            ("space in a tag", &[(NONE, r#""a b", "0123.5""#)], Met),
            ("empty", &[(NONE, "")], Met),
        ];
        check(cases);
    }

    #[test]
    fn dates_and_precedence() {
        use Precondition::{Failed, Met, NotModified};
        let cases: &[Case] = &[
            ("same date", &[(SINCE, DATE)], NotModified),
            (
                "same date, old form",
                &[(SINCE, "Sunday, 06-Nov-94 08:49:37 GMT")],
                NotModified,
            ),
            ("earlier date", &[(SINCE, EARLIER)], Met),
            ("later date: rolled back since", &[(SINCE, LATER)], Met),
            ("no date", &[(SINCE, "yesterday")], Met),
            ("two dates", &[(SINCE, DATE), (SINCE, DATE)], Met),
            (
                "tag outranks date",
                &[(NONE, r#""old""#), (SINCE, DATE)],
                Met,
            ),
            (
                "malformed tag does too",
                &[(NONE, "old"), (SINCE, DATE)],
                Met,
            ),
            ("if-match same", &[("if-match", TAG)], Met),
            ("if-match any", &[("if-match", "*")], Met),
            ("if-match other", &[("if-match", r#""old""#)], Failed),
            (
                "if-match is strong",
                &[("if-match", r#"W/"0123.5""#)],
                Failed,
            ),
            ("if-match malformed", &[("if-match", "old")], Met),
            (
                "if-match, then 304",
                &[("if-match", TAG), (NONE, TAG)],
                NotModified,
            ),
            (
                "if-match first",
                &[("if-match", r#""old""#), (NONE, TAG)],
                Failed,
            ),
            ("unmodified since", &[("if-unmodified-since", DATE)], Met),
            (
                "modified since",
                &[("if-unmodified-since", EARLIER)],
                Failed,
            ),
            (
                "if-match outranks date",
                &[("if-match", TAG), ("if-unmodified-since", EARLIER)],
                Met,
            ),
        ];
        check(cases);
    }

    #[test]
    fn without_a_date_of_ours_dates_say_nothing() {
        for name in ["if-modified-since", "if-unmodified-since"] {
            for value in [DATE, "garbage"] {
                let found = evaluate(&headers(&[(name, value)]), is_tag, None);
                assert_eq!(found, Precondition::Met, "{name}: {value}");
            }
        }
    }

    #[test]
    fn dates() {
        let cases = [
            ("unknown", 0, None),
            ("fractions are dropped", 784_111_777_999, Some(DATE)),
            (
                "within the first second",
                1,
                Some("Thu, 01 Jan 1970 00:00:00 GMT"),
            ),
            (
                "last that can be said",
                253_402_300_799_999,
                Some("Fri, 31 Dec 9999 23:59:59 GMT"),
            ),
            ("year 10000", 253_402_300_800_000, None),
            ("saturated", u64::MAX, None),
        ];
        for (name, ms, expected) in cases {
            let found = LastModified::from_unix_ms(ms).map(LastModified::header);
            assert_eq!(
                found,
                expected.map(HeaderValue::from_static),
                "case `{name}`"
            );
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(value: Vec<u8>) {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                for name in [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE] {
                    let headers = HeaderMap::from_iter([(name, value.clone())]);
                    evaluate(&headers, is_tag, modified());
                }
            }
        }

        #[test]
        fn what_we_send_comes_back_as_not_modified(digest: [u8; 32], size: u64, ms in 1u64..253_402_300_800_000) {
            let tag = etag(AssetRef { hash: digest.into(), size }, Some("br"));
            let modified = LastModified::from_unix_ms(ms).unwrap();
            let by_tag = HeaderMap::from_iter([(IF_NONE_MATCH, tag.clone())]);
            prop_assert_eq!(evaluate(&by_tag, |shown| shown == tag.as_bytes(), Some(modified)), Precondition::NotModified);
            let by_date = HeaderMap::from_iter([(IF_MODIFIED_SINCE, modified.header())]);
            prop_assert_eq!(evaluate(&by_date, |_| false, Some(modified)), Precondition::NotModified);
        }
    }
}
