//! Patterns of paths: `/news/:year/*`.
//!
//! A `*` takes whatever there is, also nothing; `:name` takes one segment, which is not empty. Placeholders stand before
//! the first `*` or behind the last one, where there is but one way to read a path: from its beginning, or from its end.
//! Between two `*` there is plain text only, and its first occurrence is as good as any other. So nothing is tried twice.

use percent_encoding::percent_decode_str;

use super::problem::{Reason, shown};
use crate::serve::percent;

/// What a `*` is called in a template.
pub(super) const SPLAT: &str = "splat";

/// A pattern of decoded paths without a leading slash.
#[derive(Debug)]
pub(super) struct Pattern {
    /// From the beginning of the path.
    head: Vec<Part>,
    tail: Option<Tail>,
    names: Vec<String>,
}

/// What stands behind the first `*`.
#[derive(Debug)]
struct Tail {
    between: Vec<String>,
    /// Up to the end of the path.
    last: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    Text(String),
    Segment,
}

impl Pattern {
    /// Reads a pattern that begins with a slash.
    pub(super) fn parse(text: &str) -> Result<Self, Reason> {
        let text = text
            .strip_prefix('/')
            .ok_or("a path begins with a slash: write `/path`")?;
        let mut names = Vec::new();
        let Some((head, rest)) = text.split_once('*') else {
            let head = parts(text, Place::Whole, &mut names)?;
            let tail = None;
            return Ok(Self { head, tail, names });
        };
        let head = parts(head, Place::BeforeStar, &mut names)?;
        let (between, last) = rest.rsplit_once('*').unwrap_or(("", rest));
        let last = parts(last, Place::BehindStar, &mut names)?;
        let mut texts = Vec::new();
        for text in between.split('*').filter(|text| !text.is_empty()) {
            if text
                .split('/')
                .skip(1)
                .any(|segment| name(segment).is_some())
            {
                return Err("a placeholder stands between two `*`, which is not supported".into());
            }
            texts.push(decoded(text)?);
        }
        if texts.is_empty() {
            names.push(SPLAT.to_owned());
        }
        let tail = Some(Tail {
            between: texts,
            last,
        });
        Ok(Self { head, tail, names })
    }

    /// What templates may refer to: the placeholders, and `splat` if there is one `*`.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    pub(super) fn has_star(&self) -> bool {
        self.tail.is_some()
    }

    /// Whether the pattern is plain text up to its only `*`, at its very end, or has none.
    pub(super) fn is_prefix(&self) -> bool {
        let at_the_end = |tail: &Tail| tail.between.is_empty() && tail.last.is_empty();
        self.tail.as_ref().is_none_or(at_the_end)
    }

    /// The values of [`Self::names`], if the path is as the pattern says.
    pub(super) fn matches<'p>(&self, path: &'p str) -> Option<Vec<&'p str>> {
        let mut values = Vec::new();
        let rest = forwards(&self.head, path, &mut values)?;
        let Some(tail) = &self.tail else {
            return rest.is_empty().then_some(values);
        };
        let splat = backwards(&tail.last, rest, &mut values)?;
        if tail.between.is_empty() {
            values.push(splat);
            return Some(values);
        }
        let mut rest = splat;
        for text in &tail.between {
            (_, rest) = rest.split_once(text.as_str())?;
        }
        Some(values)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Whole,
    BeforeStar,
    BehindStar,
}

fn parts(text: &str, place: Place, names: &mut Vec<String>) -> Result<Vec<Part>, Reason> {
    let mut parts = Vec::new();
    let mut plain = String::new();
    let segments = text.split('/').count();
    for (index, segment) in text.split('/').enumerate() {
        if index > 0 {
            plain.push('/');
        }
        let whole = (index > 0 || place != Place::BehindStar)
            && (index + 1 < segments || place != Place::BeforeStar);
        match name(segment) {
            Some((name, "")) if whole => {
                if name == SPLAT {
                    return Err(
                        "`:splat` is what the `*` took: give the placeholder another name".into(),
                    );
                }
                if names.iter().any(|other| other == name) {
                    return Err(format!("the placeholder {} is there twice", shown(name)).into());
                }
                names.push(name.to_owned());
                if !plain.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                }
                parts.push(Part::Segment);
            }
            // Behind a `*` no segment begins.
            Some(_) if index > 0 || place != Place::BehindStar => {
                return Err(format!(
                    "a placeholder is a whole segment, as in `/:name/`, which {} is not",
                    shown(segment)
                )
                .into());
            }
            _ => plain.push_str(&decoded(segment)?),
        }
    }
    if !plain.is_empty() {
        parts.push(Part::Text(plain));
    }
    Ok(parts)
}

/// The name at the beginning of a text that begins with `:name`, and what follows.
pub(super) fn name(text: &str) -> Option<(&str, &str)> {
    let text = text.strip_prefix(':')?;
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let end = text
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    text.split_at_checked(end)
        .filter(|(name, _)| !name.is_empty())
}

/// Paths are compared decoded, so that it does not matter how either is written.
pub(super) fn decoded(text: &str) -> Result<String, Reason> {
    if !percent::is_well_formed(text) {
        return Err(format!(
            "two hexadecimal digits do not follow the `%` in {}: write `%25`",
            shown(text)
        )
        .into());
    }
    match percent_decode_str(text).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => Err(format!("{} is not UTF-8 once decoded", shown(text)).into()),
    }
}

fn forwards<'p>(parts: &[Part], path: &'p str, values: &mut Vec<&'p str>) -> Option<&'p str> {
    parts.iter().try_fold(path, |rest, part| match part {
        Part::Text(text) => rest.strip_prefix(text.as_str()),
        Part::Segment => {
            let end = rest.find('/').unwrap_or(rest.len());
            let (value, rest) = rest.split_at_checked(end)?;
            values.push(value);
            (!value.is_empty()).then_some(rest)
        }
    })
}

/// What is left before the parts.
fn backwards<'p>(parts: &[Part], path: &'p str, values: &mut Vec<&'p str>) -> Option<&'p str> {
    let first = values.len();
    let rest = parts.iter().rev().try_fold(path, |rest, part| match part {
        Part::Text(text) => rest.strip_suffix(text.as_str()),
        Part::Segment => {
            let start = rest.rfind('/').map_or(0, |slash| slash + 1);
            let (rest, value) = rest.split_at_checked(start)?;
            values.push(value);
            (!value.is_empty()).then_some(rest)
        }
    })?;
    values.get_mut(first..)?.reverse();
    Some(rest)
}

#[cfg(test)]
mod tests {
    use std::{fmt::Write, time::Instant};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_and_paths() {
        // Pattern, path, what each name has.
        type Values<'a> = Option<&'a [(&'a str, &'a str)]>;
        let cases: &[(&str, &str, Values<'_>)] = &[
            ("/", "", Some(&[])),
            ("/", "a", None),
            ("/a/b", "a/b", Some(&[])),
            ("/a/b", "a/b/", None),
            ("/a/b", "a/B", None),
            ("/caf%C3%A9", "café", Some(&[])),
            ("/café", "café", Some(&[])),
            ("/100%25", "100%", Some(&[])),
            ("/a%2Ab", "a*b", Some(&[])),
            ("/a%2Ab", "axb", None),
            ("/*", "", Some(&[("splat", "")])),
            ("/*", "a/b/", Some(&[("splat", "a/b/")])),
            ("/news/*", "news/", Some(&[("splat", "")])),
            ("/news/*", "news", None),
            ("/news*", "newsletter", Some(&[("splat", "letter")])),
            ("/**", "a", Some(&[("splat", "a")])),
            ("/*.js", "a/b.js", Some(&[("splat", "a/b")])),
            ("/*.js", "a/b.jsx", None),
            ("/a*a", "a", None),
            ("/a*a", "aa", Some(&[("splat", "")])),
            ("/:x", "a", Some(&[("x", "a")])),
            ("/:x", "", None),
            ("/:x", "a/b", None),
            ("/:x/", "a/", Some(&[("x", "a")])),
            ("/:x/b/:y_2", "1/b/2", Some(&[("x", "1"), ("y_2", "2")])),
            ("/:x//:y", "1//2", Some(&[("x", "1"), ("y", "2")])),
            ("/:x/:y", "1//2", None),
            (
                "/:x/*/:y",
                "1/2/3/4",
                Some(&[("x", "1"), ("y", "4"), ("splat", "2/3")]),
            ),
            ("/:x/*/:y", "1/2", None),
            (
                "/*/:y/z/:w",
                "a/b/z/c",
                Some(&[("y", "b"), ("w", "c"), ("splat", "a")]),
            ),
            ("/a:b/:1", "a:b/:1", Some(&[])),
            ("/*:b", "x:b", Some(&[("splat", "x")])),
            ("/*/a/*.css", "x/a/b/a/y.css", Some(&[])),
            ("/*/a/*.css", "x/b/y.css", None),
            ("/*ab*ab*", "xabab", Some(&[])),
            ("/*ab*ab*", "xab", None),
            ("/*ab*b", "xab", None),
        ];
        for (pattern, path, expected) in cases {
            let pattern_read = Pattern::parse(pattern).unwrap();
            let found = pattern_read.matches(path).map(|values| {
                assert_eq!(values.len(), pattern_read.names().len(), "{pattern}");
                let names = pattern_read.names().iter().map(String::as_str);
                names.zip(values).collect::<Vec<_>>()
            });
            assert_eq!(found.as_deref(), *expected, "case `{pattern}` and `{path}`");
        }
    }

    #[test]
    fn patterns_that_are_none() {
        let cases = [
            ("no slash", "a"),
            ("empty", ""),
            ("name of the splat", "/:splat"),
            ("twice", "/:a/:a"),
            ("twice, around a star", "/:a/*/:a"),
            ("more than the name", "/:a.html"),
            ("name and star", "/:a*"),
            ("between stars", "/*/:a/*"),
            ("percent", "/100%"),
            ("not UTF-8", "/%ff"),
        ];
        for (name, pattern) in cases {
            assert!(Pattern::parse(pattern).is_err(), "case `{name}`");
        }
    }

    #[test]
    fn nothing_is_tried_twice() {
        let path = "a".repeat(60_000);
        let mut pattern = String::from("/*");
        for length in 1..60 {
            write!(pattern, "{}*", "a".repeat(length)).unwrap();
        }
        let pattern = Pattern::parse(&(pattern + "ab*b")).unwrap();
        let start = Instant::now();
        for _ in 0..100 {
            assert_eq!(pattern.matches(&path), None);
        }
        // A matcher that goes back would not live to see it.
        assert!(start.elapsed().as_secs() < 10);
    }

    /// The plain way to say what a pattern means, with all the ways to read a path.
    fn means(pattern: &str, path: &str) -> bool {
        let mut rest = pattern.chars();
        match rest.next() {
            None => path.is_empty(),
            Some('*') => path
                .char_indices()
                .map(|(at, _)| path.split_at(at).1)
                .chain([""])
                .any(|path| means(rest.as_str(), path)),
            Some(c) => path
                .strip_prefix(c)
                .is_some_and(|path| means(rest.as_str(), path)),
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_and_matched(text in "(/|:[a-z]?|\\*|%2[a-f]|[a-c]|\\PC){0,12}", path in "([a-c/:*]|\\PC){0,12}") {
            if let Ok(pattern) = Pattern::parse(&format!("/{text}"))
                && let Some(values) = pattern.matches(&path)
            {
                prop_assert_eq!(values.len(), pattern.names().len());
            }
        }

        #[test]
        fn stars_mean_what_they_mean_elsewhere(text in "[ab/*]{0,10}", path in "[ab/]{0,10}") {
            let pattern = Pattern::parse(&format!("/{text}")).unwrap();
            prop_assert_eq!(pattern.matches(&path).is_some(), means(&text, &path), "{} {}", text, path);
        }
    }
}
