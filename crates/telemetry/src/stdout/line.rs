//! Puts lines together.

use std::{cell::RefCell, fmt, sync::Arc};

use time::{UtcDateTime, format_description::StaticFormatDescription, macros::format_description};

use super::{
    Clock, Format,
    fields::{Fields, Value},
    human, json,
};
use crate::{Level, TelemetrySettings, trace::TraceIds};

/// RFC 3339 in UTC with milliseconds.
const TIMESTAMP: StaticFormatDescription =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// Puts lines together for one service.
pub(crate) struct Renderer {
    format: Format,
    clock: Arc<Clock>,
    /// The members that are the same in every line, as they stand there.
    service: Vec<u8>,
}

impl Renderer {
    pub(crate) fn new(settings: &TelemetrySettings, format: Format, clock: Arc<Clock>) -> Self {
        let mut service = Vec::new();
        json::field(&mut service, "service", &Value::Text(&settings.service));
        json::field(&mut service, "replica", &Value::Text(&settings.replica));
        Self {
            format,
            clock,
            service,
        }
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    pub(crate) fn clock(&self) -> Arc<Clock> {
        Arc::clone(&self.clock)
    }

    /// The members of JSON lines that are the same in each.
    pub(crate) fn service(&self) -> &[u8] {
        &self.service
    }

    /// One line with its line break.
    pub(crate) fn line(&self, level: Level, fields: Fields, ids: Option<TraceIds>) -> Vec<u8> {
        let (message, fields) = fields.finish();
        let mut line = Vec::with_capacity(256 + fields.len());
        let timestamp = timestamp((self.clock)());
        match self.format {
            Format::Json => {
                line.extend_from_slice(b"{\"timestamp\":");
                json::text(&mut line, &timestamp);
                json::field(&mut line, "level", &Value::Text(level.as_str()));
                line.extend_from_slice(&self.service);
                if let Some(message) = message {
                    json::field(&mut line, "message", &Value::Text(&message));
                }
            }
            Format::Human { colour } => {
                human::head(&mut line, &timestamp, level, colour);
                if let Some(message) = message {
                    line.push(b' ');
                    human::text(&mut line, &message, false);
                }
            }
        }
        line.extend_from_slice(&fields);
        if let Some(ids) = ids {
            self.trace(&mut line, ids);
        }
        if self.format == Format::Json {
            line.push(b'}');
        }
        line.push(b'\n');
        line
    }

    /// Adds the trace that a line is of.
    pub(crate) fn trace(&self, line: &mut Vec<u8>, ids: TraceIds) {
        let TraceIds {
            trace_id, span_id, ..
        } = ids;
        self.id(line, "trace_id", format_args!("{trace_id:032x}"));
        self.id(line, "span_id", format_args!("{span_id:016x}"));
    }

    fn id(&self, line: &mut Vec<u8>, name: &str, digits: fmt::Arguments<'_>) {
        let digits = digits.to_string();
        match self.format {
            Format::Json => json::field(line, name, &Value::Text(&digits)),
            Format::Human { colour } => human::field(line, name, &Value::Text(&digits), colour),
        }
    }

    /// The line that tells of lines that are not there.
    pub(crate) fn dropped(&self, lines: u64) -> Vec<u8> {
        let mut fields =
            Fields::new(self.format).say("Log lines dropped: the output does not keep up");
        fields.put("log.dropped", &Value::Plain(format_args!("{lines}")));
        self.line(Level::Warn, fields, None)
    }
}

thread_local! {
    /// A second and how it is written: most lines are of the same as the one before.
    static SECOND: RefCell<(u64, String)> = const { RefCell::new((u64::MAX, String::new())) };
}

/// Where the milliseconds stand in a time.
const MILLIS_AT: usize = "2026-11-21T07:46:24.".len();

/// Adds a time, as [`timestamp`] writes it.
pub(crate) fn write_timestamp(out: &mut Vec<u8>, ms: u64) {
    SECOND.with_borrow_mut(|(second, written)| {
        if *second != ms / 1000 {
            *written = timestamp(ms);
            *second = ms / 1000;
        }
        let at = out.len() + MILLIS_AT;
        out.extend_from_slice(written.as_bytes());
        // What no calendar has is written as a beginning, which has none.
        let millis = if written.starts_with("1970-01-01T00:00:00") {
            if ms < 1000 { ms } else { 0 }
        } else {
            ms % 1000
        };
        let places = out.get_mut(at..at + 3).unwrap_or_default();
        for (place, unit) in places.iter_mut().zip([100, 10, 1]) {
            *place = b'0' + u8::try_from(millis / unit % 10).unwrap_or_default();
        }
    });
}

/// A time that no calendar of four-digit years has is written as the beginning of 1970.
fn timestamp(ms: u64) -> String {
    UtcDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000)
        .unwrap_or(UtcDateTime::UNIX_EPOCH)
        .format(TIMESTAMP)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps() {
        let cases = [
            (0, "1970-01-01T00:00:00.000Z"),
            (1, "1970-01-01T00:00:00.001Z"),
            (1_795_247_184_930, "2026-11-21T07:46:24.930Z"),
            (1_709_210_096_007, "2024-02-29T12:34:56.007Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
            (253_402_300_800_000, "1970-01-01T00:00:00.000Z"),
            (u64::MAX, "1970-01-01T00:00:00.000Z"),
        ];
        for (ms, expected) in cases {
            assert_eq!(timestamp(ms), expected, "{ms}");
            let mut quick = Vec::new();
            write_timestamp(&mut quick, ms);
            assert_eq!(String::from_utf8(quick).unwrap(), expected, "{ms}");
        }
    }
}
