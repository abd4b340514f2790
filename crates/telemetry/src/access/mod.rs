//! The access log: a line for each request.
//!
//! The way of all other lines, an event of `tracing` whose fields are written one by one, costs a third of what a request does.
//! So these lines are put together at once, from parts that are ready, and written many at a time.

use std::{cell::RefCell, fmt, sync::Arc};

use opentelemetry_proto::tonic::logs::v1::LogRecord;

use crate::{
    Level, LevelHandle, TraceIds,
    instruments::{Ending, Request, method_label},
    otlp,
    stdout::{
        Clock, Format, Queue,
        fields::{Fields, Value},
        json,
        line::{Renderer, write_timestamp},
    },
};

/// What is written of a host or a path, in bytes.
const LONGEST: usize = 1024;
/// How much room a thread keeps for its next line.
const KEPT_ROOM: usize = 4 * 1024;

pub(crate) const MESSAGE: &str = "Request";

thread_local! {
    static LINE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What the access log says of a request.
#[derive(Debug, Clone, Copy)]
pub struct Access<'a> {
    /// The request and its answer.
    pub request: Request<'a>,
    /// The host that was asked, without a port; empty when none was named.
    pub host: &'a str,
    /// The path that was asked for, without a query.
    pub path: &'a str,
    /// How many bytes of content were sent.
    pub content: u64,
    /// What ties the request, its answer and its lines together.
    pub request_id: &'a str,
    /// The trace that it is of.
    pub trace: Option<TraceIds>,
}

impl Access<'_> {
    pub(crate) fn method(&self) -> &'static str {
        method_label(self.request.method)
    }

    pub(crate) fn host(&self) -> &str {
        cut(self.host)
    }

    pub(crate) fn path(&self) -> &str {
        cut(self.path)
    }

    pub(crate) fn status(&self) -> Option<u16> {
        self.request.status.map(|status| status.as_u16())
    }

    /// Why the answer did not come to its end, if it did not.
    pub(crate) fn error(&self) -> Option<&'static str> {
        let ending = self.request.ending;
        (ending != Ending::Whole).then(|| ending.as_str())
    }

    fn micros(&self) -> u64 {
        u64::try_from(self.request.took.as_micros()).unwrap_or(u64::MAX)
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "exact up to 285 years of microseconds"
    )]
    pub(crate) fn duration_ms(&self) -> f64 {
        self.micros() as f64 / 1000.0
    }
}

fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(LONGEST))
        .unwrap_or_default()
}

/// Where the lines of requests go: standard output, and the collector that logs are exported to. They are of level `info`.
///
/// The default makes events of `tracing`, for whatever subscriber there is. Clones write to the same.
#[derive(Clone, Default)]
pub struct AccessLog(Option<Arc<Sinks>>);

struct Sinks {
    level: LevelHandle,
    renderer: Arc<Renderer>,
    clock: Arc<Clock>,
    lines: Queue,
    records: Option<Arc<otlp::Queue<LogRecord>>>,
    /// What stands between the time and the method.
    head: Vec<u8>,
}

impl AccessLog {
    pub(crate) fn new(
        level: LevelHandle,
        renderer: Arc<Renderer>,
        lines: Queue,
        records: Option<Arc<otlp::Queue<LogRecord>>>,
    ) -> Self {
        let mut head = Vec::new();
        json::field(&mut head, "level", &Value::Text(Level::Info.as_str()));
        head.extend_from_slice(renderer.service());
        json::field(&mut head, "message", &Value::Text(MESSAGE));
        head.extend_from_slice(br#","http.request.method":""#);
        Self(Some(Arc::new(Sinks {
            level,
            clock: renderer.clock(),
            renderer,
            lines,
            records,
            head,
        })))
    }

    /// Writes a line.
    pub fn write(&self, access: &Access<'_>) {
        let Some(sinks) = &self.0 else {
            emit(access);
            return;
        };
        if sinks.level.get() > Level::Info {
            return;
        }
        let now_ms = (sinks.clock)();
        if sinks.renderer.format() == Format::Json {
            LINE.with_borrow_mut(|line| {
                line.clear();
                sinks.json(line, now_ms, access);
                sinks.lines.push_unhurried(line);
                line.shrink_to(KEPT_ROOM);
            });
        } else {
            let line = sinks
                .renderer
                .line(Level::Info, sinks.fields(access), access.trace);
            sinks.lines.push_unhurried(&line);
        }
        if let Some(records) = &sinks.records {
            let (record, bytes) = otlp::access_record(now_ms, access);
            records.push(record, bytes);
        }
    }
}

impl Sinks {
    fn json(&self, line: &mut Vec<u8>, now_ms: u64, access: &Access<'_>) {
        line.extend_from_slice(br#"{"timestamp":""#);
        write_timestamp(line, now_ms);
        line.push(b'"');
        line.extend_from_slice(&self.head);
        // Methods and routes are fixed words.
        line.extend_from_slice(access.method().as_bytes());
        line.extend_from_slice(br#"","http.route":""#);
        line.extend_from_slice(access.request.route.as_str().as_bytes());
        line.extend_from_slice(br#"","server.address":"#);
        json::plain_text(line, access.host());
        line.extend_from_slice(br#","url.path":"#);
        json::plain_text(line, access.path());
        if let Some(status) = access.status() {
            line.extend_from_slice(br#","http.response.status_code":"#);
            json::number(line, status.into());
        }
        if let Some(error) = access.error() {
            line.extend_from_slice(br#","error.type":"#);
            json::plain_text(line, error);
        }
        line.extend_from_slice(br#","http.response.body.size":"#);
        json::number(line, access.content);
        line.extend_from_slice(br#","duration_ms":"#);
        let micros = access.micros();
        json::number(line, micros / 1000);
        line.push(b'.');
        for place in [100, 10, 1] {
            let digit = u8::try_from(micros / place % 10).unwrap_or_default();
            line.push(b'0' + digit);
        }
        line.extend_from_slice(br#","request_id":"#);
        json::plain_text(line, access.request_id);
        if let Some(ids) = access.trace {
            self.renderer.trace(line, ids);
        }
        line.extend_from_slice(b"}\n");
    }

    /// The same one by one, for people.
    fn fields(&self, access: &Access<'_>) -> Fields {
        let mut fields = Fields::new(self.renderer.format()).say(MESSAGE);
        fields.put("http.request.method", &Value::Text(access.method()));
        fields.put("http.route", &Value::Text(access.request.route.as_str()));
        fields.put("server.address", &Value::Text(access.host()));
        fields.put("url.path", &Value::Text(access.path()));
        if let Some(status) = access.status() {
            fields.put(
                "http.response.status_code",
                &Value::Plain(format_args!("{status}")),
            );
        }
        if let Some(error) = access.error() {
            fields.put("error.type", &Value::Text(error));
        }
        let (content, ms) = (access.content, access.duration_ms());
        fields.put(
            "http.response.body.size",
            &Value::Plain(format_args!("{content}")),
        );
        fields.put("duration_ms", &Value::Plain(format_args!("{ms:.3}")));
        fields.put("request_id", &Value::Text(access.request_id));
        fields
    }
}

/// The same as an event.
fn emit(access: &Access<'_>) {
    tracing::info!(
        http.request.method = access.method(),
        http.route = access.request.route.as_str(),
        server.address = access.host(),
        url.path = access.path(),
        http.response.status_code = access.status(),
        error.type = access.error(),
        http.response.body.size = access.content,
        duration_ms = access.duration_ms(),
        request_id = access.request_id,
        "Request"
    );
}

impl fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessLog")
            .field("direct", &self.0.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
