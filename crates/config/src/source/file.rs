//! The JSON file: one flat object, with comments and trailing commas.
//!
//! Nothing but those two is added to JSON: a looser reading would take typing errors for settings.
//! Messages never repeat the text of the file, because it holds secrets.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use jsonc_parser::{
    CollectOptions, ParseOptions, ParseStringErrorKind,
    ast::Value,
    errors::{ParseError, ParseErrorKind},
    parse_to_ast,
};

use crate::read::read_text;

/// A value as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Literal {
    /// A string, or the digits of a number, or `true` or `false`.
    Text(String),
    /// An array of strings.
    List(Vec<String>),
}

impl Literal {
    /// Whether this counts as unset.
    pub(crate) fn is_blank(&self) -> bool {
        match self {
            Self::Text(text) => text.trim().is_empty(),
            Self::List(_) => false,
        }
    }
}

/// What one key of the file is set to.
#[derive(Debug)]
pub(crate) struct Property {
    /// The value, or what is there instead of one.
    pub(crate) value: Result<Literal, &'static str>,
    /// From 1.
    pub(crate) line: usize,
    /// The line where the same key stands again.
    pub(crate) repeated_on: Option<usize>,
}

/// The file, read and parsed.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) path: PathBuf,
    pub(crate) properties: BTreeMap<String, Property>,
}

impl File {
    /// Reads a file. An error says why, and where in the file, as the end of a sentence that starts
    /// with its path.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        let text = read_text(path)?;
        Ok(Self {
            path: path.to_owned(),
            properties: parse(&text)?,
        })
    }
}

/// JSON with comments and trailing commas.
const SYNTAX: ParseOptions = ParseOptions {
    allow_comments: true,
    allow_trailing_commas: true,
    allow_loose_object_property_names: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

fn parse(text: &str) -> Result<BTreeMap<String, Property>, String> {
    // Editors on Windows put a byte order mark first.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let parsed = parse_to_ast(text, &CollectOptions::default(), &SYNTAX);
    let object = match parsed.map_err(|error| syntax_error(&error))?.value {
        Some(Value::Object(object)) => object,
        Some(_) => return Err("holds no JSON object: it has to start with `{`".to_owned()),
        None => return Err("is empty: it has to hold a JSON object".to_owned()),
    };
    let mut lines = Lines {
        text,
        offset: 0,
        line: 1,
    };
    let mut properties = BTreeMap::<String, Property>::new();
    for property in object.properties {
        let line = lines.line_of(property.range.start);
        let value = literal(property.value);
        properties
            .entry(property.name.into_string())
            .and_modify(|first| first.repeated_on = Some(line))
            .or_insert(Property {
                value,
                line,
                repeated_on: None,
            });
    }
    Ok(properties)
}

/// Finds the lines of ascending offsets in one pass.
struct Lines<'a> {
    text: &'a str,
    offset: usize,
    line: usize,
}

impl Lines<'_> {
    fn line_of(&mut self, offset: usize) -> usize {
        let passed = self.text.get(self.offset..offset).unwrap_or_default();
        self.line += passed.matches('\n').count();
        self.offset = offset;
        self.line
    }
}

fn literal(value: Value<'_>) -> Result<Literal, &'static str> {
    Ok(match value {
        Value::StringLit(string) => Literal::Text(string.value.into_owned()),
        Value::NumberLit(number) => Literal::Text(number.value.to_owned()),
        Value::BooleanLit(boolean) => Literal::Text(boolean.value.to_string()),
        Value::Array(array) => Literal::List(strings(array.elements)?),
        Value::Object(_) => return Err("is an object; the file is flat"),
        Value::NullKeyword(_) => return Err("is null; remove the key to leave it unset"),
    })
}

fn strings(elements: Vec<Value<'_>>) -> Result<Vec<String>, &'static str> {
    elements
        .into_iter()
        .map(|element| match element {
            Value::StringLit(string) => Ok(string.value.into_owned()),
            _ => Err("is an array of other things than strings"),
        })
        .collect()
}

/// The strings of a JSON array that is written inside a string.
pub(crate) fn parse_array(text: &str) -> Result<Vec<String>, String> {
    let parsed = parse_to_ast(text, &CollectOptions::default(), &SYNTAX);
    match parsed.map_err(|error| syntax_error(&error))?.value {
        Some(Value::Array(array)) => strings(array.elements).map_err(str::to_owned),
        _ => Err("is not a JSON array".to_owned()),
    }
}

fn syntax_error(error: &ParseError) -> String {
    let what = match error.kind() {
        // Its own text repeats what the string holds.
        ParseErrorKind::String(ParseStringErrorKind::InvalidUnicodeEscapeSequence(_)) => {
            "invalid Unicode escape in a string".to_owned()
        }
        kind => {
            let text = kind.to_string();
            let mut chars = text.chars();
            chars
                .next()
                .into_iter()
                .flat_map(char::to_lowercase)
                .chain(chars)
                .collect()
        }
    };
    format!(
        "is not valid JSON: line {} column {}: {what}",
        error.line_display(),
        error.column_display()
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str) -> Result<String, String> {
        let properties = parse(text)?;
        let shown = properties
            .iter()
            .map(|(name, property)| match &property.value {
                Ok(Literal::Text(text)) => format!("{name}@{}={text}", property.line),
                Ok(Literal::List(items)) => format!("{name}@{}={items:?}", property.line),
                Err(what) => format!("{name}@{} {what}", property.line),
            });
        Ok(shown.collect::<Vec<_>>().join(" | "))
    }

    #[test]
    fn values_are_taken_as_they_are_written() {
        let text = "\u{feff}// a comment with a \" in it\n{\n  \"A\": \"x y\", /* and\n another */ \"B\": 8080,\n\
                    \"C\": true, // \"D\": 1,\n  \"E\": -1.50e3,\r\n  \"F\": [\"u\", \"v\",],\n\
                    \"G\": \"\\u00fc\\n//\",\n}\n// end";
        let expected =
            "A@3=x y | B@4=8080 | C@5=true | E@6=-1.50e3 | F@7=[\"u\", \"v\"] | G@8=\u{fc}\n//";
        assert_eq!(shown(text).as_deref(), Ok(expected));
    }

    #[test]
    fn what_no_key_can_take_is_kept_as_such() {
        let text = r#"{"A": null, "B": {"C": 1}, "D": [1], "E": [["x"]]}"#;
        let expected = "A@1 is null; remove the key to leave it unset \
                        | B@1 is an object; the file is flat \
                        | D@1 is an array of other things than strings \
                        | E@1 is an array of other things than strings";
        assert_eq!(shown(text).as_deref(), Ok(expected));
    }

    #[test]
    fn syntax_errors_say_where() {
        let cases = [
            ("empty", " \n", "is empty: it has to hold a JSON object"),
            (
                "only a comment",
                "// {}",
                "is empty: it has to hold a JSON object",
            ),
            (
                "an array",
                "[1]",
                "holds no JSON object: it has to start with `{`",
            ),
            (
                "missing comma",
                "{\n \"A\": 1\n \"B\": 2}",
                "line 2 column 8: expected comma",
            ),
            (
                "missing colon",
                "{\n\"A\" 1}",
                "line 2 column 5: expected colon after the string or word in object property",
            ),
            (
                "missing value",
                "{\"A\":}",
                "line 1 column 6: unexpected close brace",
            ),
            (
                "two commas",
                "{\"A\":1,,}",
                "line 1 column 8: unexpected token in object",
            ),
            (
                "no quotes",
                "{A: 1}",
                "line 1 column 2: expected string for object property",
            ),
            (
                "single quotes",
                "{\n\n  'A': 1}",
                "line 3 column 3: single-quoted strings are not allowed",
            ),
            (
                "a word",
                "{\"A\": True}",
                "line 1 column 7: unexpected token",
            ),
            (
                "not closed",
                "{\"A\": 1",
                "line 1 column 1: unterminated object",
            ),
            (
                "string not closed",
                "{\n\"A\": \"hunter2\n}",
                "line 2 column 6: unterminated string literal",
            ),
            (
                "comment not closed",
                "{} /*",
                "line 1 column 4: unterminated comment block",
            ),
            (
                "text after it",
                "{}\n{}",
                "line 2 column 1: text cannot contain more than one JSON value",
            ),
            (
                "escape",
                "{\"A\": \"\\x41\"}",
                "line 1 column 8: invalid escape",
            ),
            (
                "surrogate",
                "{\"A\": \"\\ud800\"}",
                "line 1 column 8: invalid Unicode escape in a string",
            ),
            (
                "columns are characters",
                "{\"\u{fc}\": x}",
                "line 1 column 7: unexpected token",
            ),
        ];
        for (name, text, expected) in cases {
            let error = shown(text).unwrap_err();
            let error = error.strip_prefix("is not valid JSON: ").unwrap_or(&error);
            assert_eq!(error, expected, "case `{name}`: {text}");
        }
        let deep = format!("{{\"A\": {}", "[".repeat(100_000));
        assert!(shown(&deep).unwrap_err().contains("nesting depth"));
    }

    #[test]
    fn a_repeated_key_is_marked() {
        let properties = parse("{\n\"A\": 1,\n\"B\": 2,\n\"A\": 1}").unwrap();
        let marks: Vec<_> = properties
            .values()
            .map(|property| property.repeated_on)
            .collect();
        assert_eq!(marks, [Some(4), None]);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "[{}\\[\\]\":,/* \\\\nutrefals0-9.\n'-]{0,60}") {
            drop(parse(&text));
            drop(parse(&format!("{{\"A\": {text}}}")));
        }

        #[test]
        fn any_string_comes_back(value in any::<String>()) {
            let units = value.encode_utf16().map(|unit| format!("\\u{unit:04x}"));
            let escaped = units.collect::<Vec<_>>().concat();
            let properties = parse(&format!("{{\"A\": \"{escaped}\"}}"));
            let property = properties.unwrap().remove("A").unwrap();
            prop_assert_eq!(property.value, Ok(Literal::Text(value)));
        }
    }
}
