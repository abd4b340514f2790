//! Texts with what a pattern took put into them: `/blog/:year/:splat`.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    pattern::{self, SPLAT},
    problem::{Reason, shown},
};
use crate::serve::percent::{NOT_IN_PATH, NOT_IN_URL};

const NOT_IN_SEGMENT: &AsciiSet = &NOT_IN_PATH.add(b'/');
/// What would end a value of a query, or stand for something else there.
const NOT_IN_QUERY: &AsciiSet = &NOT_IN_PATH
    .add(b'&')
    .add(b'+')
    .add(b'=')
    .add(b';')
    .add(b'\'');
/// In a header anything may be a separator, so only what surely is none stands there as it is.
const NOT_IN_HEADER: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/')
    .remove(b'@')
    .remove(b':');

/// Where a text stands, and so how what is put into it is encoded.
#[derive(Debug)]
pub(super) struct Place {
    /// For the text itself; without it, the text is taken as it is.
    text: Option<&'static AsciiSet>,
    segment: &'static AsciiSet,
    splat: &'static AsciiSet,
    /// Behind this a name that nothing has is a mistake; elsewhere it is text, as in `/wiki/Help:Contents`.
    names_follow: Option<char>,
}

pub(super) const PATH: Place = Place {
    text: Some(NOT_IN_URL),
    segment: NOT_IN_SEGMENT,
    splat: NOT_IN_PATH,
    names_follow: Some('/'),
};
/// Of a query, or of a fragment.
pub(super) const QUERY: Place = Place {
    text: Some(NOT_IN_URL),
    segment: NOT_IN_QUERY,
    splat: NOT_IN_QUERY,
    names_follow: Some('='),
};
pub(super) const HEADER: Place = Place {
    text: None,
    segment: NOT_IN_HEADER,
    splat: NOT_IN_HEADER,
    names_follow: None,
};

#[derive(Debug)]
pub(super) struct Template(Vec<Piece>);

#[derive(Debug)]
enum Piece {
    Text(String),
    Value {
        index: usize,
        encode: &'static AsciiSet,
    },
}

impl Template {
    /// Reads a text in which these names may stand.
    pub(super) fn parse(text: &str, names: &[String], place: &Place) -> Result<Self, Reason> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let Some((name, behind)) = pattern::name(rest) else {
                plain.push(c);
                rest = rest.get(c.len_utf8()..).unwrap_or_default();
                continue;
            };
            if let Some(index) = names.iter().position(|known| known == name) {
                push_text(&mut pieces, &mut plain, place)?;
                let encode = if name == SPLAT {
                    place.splat
                } else {
                    place.segment
                };
                pieces.push(Piece::Value { index, encode });
            } else if place.names_follow.is_some_and(|c| plain.ends_with(c)) {
                return Err(format!(
                    "nothing on the left side is called {}: add it there, or write `%3A` for the colon",
                    shown(name)
                )
                .into());
            } else {
                plain.push(':');
                plain.push_str(name);
            }
            rest = behind;
        }
        push_text(&mut pieces, &mut plain, place)?;
        Ok(Self(pieces))
    }

    /// The text, if it is always the same.
    pub(super) fn as_text(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The text with the values in it: visible ASCII and white space, if the template is. `None` if it is longer than
    /// `limit`, since a name can stand in a template very often.
    pub(super) fn render(&self, values: &[&str], limit: usize) -> Option<String> {
        let mut rendered = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => rendered.push_str(text),
                Piece::Value { index, encode } => {
                    rendered.extend(utf8_percent_encode(values.get(*index)?, encode));
                }
            }
            if rendered.len() > limit {
                return None;
            }
        }
        Some(rendered)
    }
}

fn push_text(pieces: &mut Vec<Piece>, plain: &mut String, place: &Place) -> Result<(), Reason> {
    if plain.is_empty() {
        return Ok(());
    }
    let mut text = std::mem::take(plain);
    if let Some(encode) = place.text {
        // A `%` that begins nothing would take what is put in behind it.
        pattern::decoded(&text)?;
        text = utf8_percent_encode(&text, encode).to_string();
    }
    pieces.push(Piece::Text(text));
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_encoded_for_their_place() {
        let cases = [
            (
                "path",
                &PATH,
                "/x-:a/:splat",
                "/x-p%2Fq%20%3F&=%25%C3%A9;/r/s%3F%23%0D%0A%5C",
            ),
            (
                "query",
                &QUERY,
                "x=:a&y=:splat",
                "x=p/q%20%3F%26%3D%25%C3%A9%3B&y=r/s%3F%23%0D%0A%5C",
            ),
            (
                "header",
                &HEADER,
                "a \":a\"; :splat",
                "a \"p/q%20%3F%26%3D%25%C3%A9%3B\"; r/s%3F%23%0D%0A%5C",
            ),
        ];
        let names = ["a".to_owned(), SPLAT.to_owned()];
        for (name, place, text, expected) in cases {
            let template = Template::parse(text, &names, place).unwrap();
            let rendered = template.render(&["p/q ?&=%é;", "r/s?#\r\n\\"], 100);
            assert_eq!(rendered.as_deref(), Some(expected), "case `{name}`");
        }
    }

    #[test]
    fn names() {
        let cases = [
            ("none", "/a", Some("/a")),
            ("known", "/:a", Some("/1")),
            ("inside of a segment", "/x-:a-:b.html", Some("/x-1-2.html")),
            ("longest name", "/x:ab", Some("/x:ab")),
            ("unknown", "/:c", None),
            ("unknown inside of a segment", "/Help:c", Some("/Help:c")),
            ("no splat", "/:splat", None),
            ("colons", "/::a:", Some("/:1:")),
            ("port", "/x:80", Some("/x:80")),
            ("encoded by the author", "/%3Aa%2F", Some("/%3Aa%2F")),
            ("not encoded by the author", "/é\"", Some("/%C3%A9%22")),
            ("percent", "/100%", None),
            ("percent before a value", "/%:a", None),
            ("half a byte before a value", "/%4:a", None),
            ("part of a character", "/%C3:a", None),
        ];
        let names = ["a".to_owned(), "b".to_owned()];
        for (name, text, expected) in cases {
            let rendered = Template::parse(text, &names, &PATH)
                .ok()
                .and_then(|template| template.render(&["1", "2"], 100));
            assert_eq!(rendered.as_deref(), expected, "case `{name}`");
        }
    }

    #[test]
    fn a_text_has_a_limit() {
        let template = Template::parse("/:a:a:a", &["a".to_owned()], &PATH).unwrap();
        assert!(template.render(&["123"], 10).is_some());
        assert_eq!(template.render(&["1234"], 10), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "(:[ab]|%4|[a=/]|\\PC){0,12}", value: String) {
            for place in [&PATH, &QUERY, &HEADER] {
                if let Ok(template) = Template::parse(&text, &["a".to_owned()], place)
                    && let Some(rendered) = template.render(&[&value], 1000)
                {
                    prop_assert!(place.text.is_none() || rendered.bytes().all(|byte| byte.is_ascii_graphic()));
                }
            }
        }
    }
}
