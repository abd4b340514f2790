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

fn evaluate(
    headers: &HeaderMap,
    is_ours: impl FnMut(&[u8]) -> bool,
    last_modified: Option<LastModified>,
) -> Precondition {
    let mut conditions = Conditions::default();
    headers.keys().for_each(|name| conditions.note(name));
    super::evaluate(headers, conditions, is_ours, last_modified)
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
