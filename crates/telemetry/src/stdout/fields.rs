//! Collects what an event says.

use std::{
    error::Error,
    fmt::{self, Write as _},
};

use tracing::{
    Event,
    field::{Field, Visit},
};
use tracing_log::NormalizeEvent as _;

use super::{Format, human, json};

/// Longest value, in bytes before escaping; the rest is cut off.
pub(crate) const MAX_VALUE: usize = 8 * 1024;
/// When the fields of an event have become this long, in bytes, the rest of them is left out.
pub(crate) const MAX_FIELDS: usize = 48 * 1024;
/// Most causes that are followed. An error may, by mistake, be its own cause.
const MAX_CAUSES: usize = 32;
/// What a value ends in when it was cut.
const CUT: &str = "... (cut)";
/// Names that every line has. A field of such a name gets a prefix, for an object with a name twice says nothing.
const TAKEN: [&str; 7] = [
    "timestamp",
    "level",
    "service",
    "replica",
    "message",
    "trace_id",
    "span_id",
];

/// The fields of one event, written in the form of the line.
pub(crate) struct Fields {
    format: Format,
    message: Option<String>,
    written: Vec<u8>,
    left_out: u64,
    from_log: bool,
}

/// A value of a field.
pub(crate) enum Value<'a> {
    Text(&'a str),
    /// What stands in JSON as it is: a number, `true` or `false`.
    Plain(fmt::Arguments<'a>),
}

impl Fields {
    pub(crate) fn new(format: Format) -> Self {
        Self {
            format,
            message: None,
            written: Vec::new(),
            left_out: 0,
            from_log: false,
        }
    }

    /// For what an event says.
    pub(crate) fn of(event: &Event<'_>, format: Format) -> Self {
        let mut fields = Self::new(format);
        fields.from_log = event.is_log();
        event.record(&mut fields);
        fields
    }

    /// A message of our own.
    pub(crate) fn say(mut self, message: &str) -> Self {
        self.message = Some(message.to_owned());
        self
    }

    /// Adds a field.
    pub(crate) fn put(&mut self, name: &str, value: &Value<'_>) {
        // Where the event stands in the code of others says nothing to an operator.
        if self.from_log && name.starts_with("log.") {
            return;
        }
        if self.written.len() >= MAX_FIELDS {
            self.left_out += 1;
            return;
        }
        let prefix = if TAKEN.contains(&name) { "event." } else { "" };
        self.write(&format!("{prefix}{name}"), value);
    }

    fn write(&mut self, name: &str, value: &Value<'_>) {
        match self.format {
            Format::Json => json::field(&mut self.written, name, value),
            Format::Human { colour } => human::field(&mut self.written, name, value, colour),
        }
    }

    /// The message, if there is one, and the fields as they stand in a line.
    pub(crate) fn finish(mut self) -> (Option<String>, Vec<u8>) {
        if self.left_out > 0 {
            let left_out = self.left_out;
            self.write(
                "event.fields_left_out",
                &Value::Plain(format_args!("{left_out}")),
            );
        }
        (self.message, self.written)
    }

    fn text(&mut self, field: &Field, text: Capped) {
        let text = text.finish();
        match name(field) {
            "message" if self.message.is_none() => self.message = Some(text),
            name => self.put(name, &Value::Text(&text)),
        }
    }

    fn plain(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        self.put(name(field), &Value::Plain(value));
    }
}

/// The name of a field; one that is a keyword of Rust is written `r#type`.
pub(crate) fn name(field: &Field) -> &'static str {
    let name = field.name();
    name.strip_prefix("r#").unwrap_or(name)
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        if value.is_finite() {
            // `{:?}` keeps the point of a whole number, and an exponent is as JSON has it.
            self.plain(field, format_args!("{value:?}"));
        } else {
            self.text(field, Capped::of(&value));
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.plain(field, format_args!("{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.plain(field, format_args!("{value}"));
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.plain(field, format_args!("{value}"));
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.plain(field, format_args!("{value}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.plain(field, format_args!("{value}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, Capped::of(&value));
    }

    fn record_bytes(&mut self, field: &Field, value: &[u8]) {
        self.text(field, Capped::bytes(value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.text(field, Capped::error(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, Capped::debug(value));
    }
}

/// Text up to [`MAX_VALUE`]: whoever writes more is stopped, so that a huge value costs no more than a large one.
#[derive(Default)]
pub(crate) struct Capped {
    text: String,
    cut: bool,
}

impl Capped {
    pub(crate) fn of(value: &impl fmt::Display) -> Self {
        let mut text = Self::default();
        text.add(format_args!("{value}"));
        text
    }

    pub(crate) fn debug(value: &dyn fmt::Debug) -> Self {
        let mut text = Self::default();
        text.add(format_args!("{value:?}"));
        text
    }

    pub(crate) fn bytes(value: &[u8]) -> Self {
        let start = value.get(..MAX_VALUE + 1).unwrap_or(value);
        Self::of(&String::from_utf8_lossy(start))
    }

    /// An error with its causes.
    pub(crate) fn error(value: &(dyn Error + 'static)) -> Self {
        let mut text = Self::default();
        let mut next = Some(value);
        for depth in 0..MAX_CAUSES {
            let Some(error) = next else { break };
            let colon = if depth == 0 { "" } else { ": " };
            text.add(format_args!("{colon}{error}"));
            next = error.source();
        }
        text
    }

    /// Adds what fits. A value that reports a failure of its own ends where it failed.
    fn add(&mut self, value: fmt::Arguments<'_>) {
        self.write_fmt(value).ok();
    }

    pub(crate) fn finish(mut self) -> String {
        if self.cut {
            self.text.push_str(CUT);
        }
        self.text
    }
}

impl fmt::Write for Capped {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        let room = MAX_VALUE.saturating_sub(self.text.len());
        if !self.cut && piece.len() <= room {
            self.text.push_str(piece);
            return Ok(());
        }
        if !self.cut {
            let fits = piece
                .get(..piece.floor_char_boundary(room))
                .unwrap_or_default();
            self.text.push_str(fits);
        }
        self.cut = true;
        Err(fmt::Error)
    }
}
