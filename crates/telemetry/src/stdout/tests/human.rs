use tracing::{error, info, warn};

use super::*;
use crate::{Level, fatal};

const PLAIN: Format = Format::Human { colour: false };
const COLOUR: Format = Format::Human { colour: true };

#[test]
fn lines_for_people() {
    let cases: [(&str, &dyn Fn(), &str); 8] = [
        (
            "the usual",
            &|| info!(server.port = 8080, otel.enabled = false, "Worker listening"),
            " INFO Worker listening server.port=8080 otel.enabled=false",
        ),
        ("a warning", &|| warn!("x"), " WARN x"),
        ("an error", &|| error!("x"), "ERROR x"),
        ("the end", &|| fatal!("x"), "FATAL x"),
        ("no message", &|| info!(a = 1), " INFO a=1"),
        (
            "values in quotes where they need it",
            &|| info!(a = "b", c = "d e", f = "", g = "h=i", j = "k\"l", "x y"),
            r#" INFO x y a=b c="d e" f="" g="h=i" j="k\"l""#,
        ),
        (
            "what a terminal would obey",
            &|| info!(a = "\x1b]0;t\x07", "one\ntwo\r\x1b[2J\u{202e}x"),
            r#" INFO one\ntwo\r\u{1b}[2J\u{202e}x a="\u{1b}]0;t\u{7}""#,
        ),
        (
            "other scripts",
            &|| info!(a = "鍵", "ключ é 🔑"),
            " INFO ключ é 🔑 a=鍵",
        ),
    ];
    for (name, log, expected) in cases {
        let line = logged(&settings(), PLAIN, log);
        assert_eq!(
            line,
            format!("2026-11-21T07:46:24.930Z {expected}\n"),
            "case `{name}`"
        );
    }
}

#[test]
fn colours() {
    let lines = logged(&settings(), COLOUR, || {
        info!(a = 1, "x");
        fatal!("x");
    });
    assert_eq!(
        lines,
        concat!(
            "\x1b[2m2026-11-21T07:46:24.930Z\x1b[0m \x1b[32m INFO\x1b[0m x \x1b[2ma=\x1b[0m1\n",
            "\x1b[2m2026-11-21T07:46:24.930Z\x1b[0m \x1b[1;31mFATAL\x1b[0m x\n",
        )
    );
    for level in Level::ALL {
        let mut head = Vec::new();
        crate::stdout::human::head(&mut head, "t", level, true);
        let name = level.as_str().to_uppercase();
        assert!(String::from_utf8(head).unwrap().contains(&name));
    }
}

#[test]
fn traces() {
    let sink = Sink::default();
    let output = Output::to(sink.clone()).format(PLAIN).clock(|| NOW);
    let (ours, guard) = layer(&settings().trace_ids(), output).unwrap();
    let subscriber = tracing_subscriber::registry().with(tracer()).with(ours);
    tracing::subscriber::with_default(subscriber, || {
        tracing::info_span!("s").in_scope(|| info!("x"));
    });
    assert!(guard.flush(Duration::from_secs(10)));
    let line = sink.text();
    let expected = " INFO x trace_id=4bf92f3577b34da6a3ce929d0e0e4736 span_id=0000000000000001";
    assert_eq!(line, format!("2026-11-21T07:46:24.930Z {expected}\n"));
}
