//! What can be wrong with a value from outside.

/// A value that does not have the form that it must have.
///
/// The text names what it should be and why this one is not, and never repeats more than a short piece of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {problem}")]
pub struct Invalid {
    what: &'static str,
    problem: String,
}

impl Invalid {
    pub(crate) fn new(what: &'static str, problem: impl Into<String>) -> Self {
        Self {
            what,
            problem: problem.into(),
        }
    }

    /// Which kind of value it is, e.g. `application_uid`.
    pub fn what(&self) -> &'static str {
        self.what
    }
}

impl From<Invalid> for String {
    fn from(invalid: Invalid) -> Self {
        invalid.to_string()
    }
}

/// A JSON document that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidDocument {
    /// It is no JSON, or a field has the wrong type. The text has line and column.
    #[error("the body is not the JSON it should be: {0}")]
    Json(#[from] serde_json::Error),
    /// A field's value is not acceptable.
    #[error("{field}: {problem}")]
    Field {
        /// Where in the document, e.g. `assets["a/../b"].path`.
        field: String,
        /// What is wrong and what to do.
        problem: String,
    },
}

impl InvalidDocument {
    pub(crate) fn field(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Field {
            field: field.into(),
            problem: problem.into(),
        }
    }
}

/// A piece of foreign text that is safe and short enough for a message.
pub(crate) fn excerpt(text: &str) -> String {
    let mut short: String = text
        .chars()
        .take(80)
        .flat_map(char::escape_default)
        .collect();
    if text.chars().nth(80).is_some() {
        short.push_str("...");
    }
    short
}
