use std::{error::Error, fmt, path::Path};

use proptest::prelude::*;
use serde_json::Value;
use tracing::{debug, error, info, trace, warn};

use super::*;
use crate::{Level, fatal};

/// What comes out in JSON at the lowest level.
fn json(log: impl FnOnce()) -> String {
    logged(&settings().level(Level::Trace), Format::Json, log)
}

/// The one line that comes out, read.
fn one(log: impl FnOnce()) -> Value {
    let text = json(log);
    let line = text.strip_suffix('\n').unwrap();
    assert!(!line.contains('\n'), "{line}");
    serde_json::from_str(line).unwrap()
}

#[derive(Debug, thiserror::Error)]
#[error("could not {what}")]
struct Failure {
    what: &'static str,
    #[source]
    cause: Option<Box<Failure>>,
}

fn failure() -> Failure {
    let cause = |what, cause: Failure| Failure {
        what,
        cause: Some(Box::new(cause)),
    };
    let refused = Failure {
        what: "connect",
        cause: None,
    };
    cause("publish `a.test`", cause("commit", refused))
}

#[test]
fn the_line_that_operators_look_for() {
    let line = json(|| info!(server.port = 8080, otel.enabled = false, "Worker listening"));
    assert_eq!(
        line,
        concat!(
            r#"{"timestamp":"2026-11-21T07:46:24.930Z","level":"info","service":"edge","replica":"primary","#,
            r#""message":"Worker listening","server.port":8080,"otel.enabled":false}"#,
            "\n"
        )
    );
}

#[test]
fn service_and_replica() {
    let settings = TelemetrySettings::new("a \"b\"").replica("eu-west\n");
    let line = logged(&settings, Format::Json, || info!("x"));
    let expected = r#","level":"info","service":"a \"b\"","replica":"eu-west\n","message":"x"}"#;
    assert_eq!(line, format!("{TIMESTAMP}{expected}\n"));
}

#[test]
fn levels() {
    let lines = json(|| {
        trace!("t");
        debug!("d");
        info!("i");
        warn!("w");
        error!("e");
        fatal!("f");
        fatal!(code = 2, "f {}", 1);
    });
    let levels: Vec<String> = lines
        .lines()
        .map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            format!(
                "{} {}",
                line["level"].as_str().unwrap(),
                line["message"].as_str().unwrap()
            )
        })
        .collect();
    let expected = [
        "trace t",
        "debug d",
        "info i",
        "warn w",
        "error e",
        "fatal f",
        "fatal f 1",
    ];
    assert_eq!(levels, expected);
}

/// Each case is an event and what stands in its line after the replica.
#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn fields() {
    let absent: Option<u8> = None;
    let cases: [(&str, &dyn Fn(), &str); 24] = [
        ("a message alone", &|| info!("x"), r#""message":"x""#),
        ("no message", &|| info!(a = 1), r#""a":1"#),
        (
            "a message with values",
            &|| info!("{} of {n}", 1, n = 2),
            r#""message":"1 of 2""#,
        ),
        ("an empty message", &|| info!(""), r#""message":"""#),
        (
            "order",
            &|| info!(z = 1, a = 2, m = 3, "x"),
            r#""message":"x","z":1,"a":2,"m":3"#,
        ),
        (
            "a message as a field",
            &|| info!(a = 1, message = "x"),
            r#""message":"x","a":1"#,
        ),
        (
            "a message of another type",
            &|| info!(message = 7),
            r#""event.message":7"#,
        ),
        (
            "signed",
            &|| info!(a = -1_i64, b = i64::MIN),
            r#""a":-1,"b":-9223372036854775808"#,
        ),
        (
            "unsigned",
            &|| info!(a = u64::MAX),
            r#""a":18446744073709551615"#,
        ),
        (
            "128 bits",
            &|| info!(a = i128::MIN, b = u128::MAX),
            BITS_128,
        ),
        (
            "floats",
            &|| info!(a = 1.5, b = -0.0, c = 2.0),
            r#""a":1.5,"b":-0.0,"c":2.0"#,
        ),
        (
            "large and small floats",
            &|| info!(a = 1e300, b = 1e-7),
            r#""a":1e300,"b":1e-7"#,
        ),
        (
            "floats that JSON has not",
            &|| info!(a = f64::NAN, b = f64::NEG_INFINITY),
            r#""a":"NaN","b":"-inf""#,
        ),
        (
            "booleans",
            &|| info!(a = true, b = false),
            r#""a":true,"b":false"#,
        ),
        (
            "text",
            &|| info!(a = "b", c = String::from("d")),
            r#""a":"b","c":"d""#,
        ),
        (
            "numbers as text",
            &|| info!(a = "1", b = %2, c = ?3),
            r#""a":"1","b":"2","c":"3""#,
        ),
        (
            "Debug",
            &|| info!(a = ?[Some("x")], b = ?()),
            r#""a":"[Some(\"x\")]","b":"()""#,
        ),
        (
            "bytes",
            &|| info!(a = &b"x\xff\0"[..]),
            r#""a":"x\ufffd\u0000""#,
        ),
        (
            "a path",
            &|| info!(a = %Path::new("/tmp/x").display()),
            r#""a":"/tmp/x""#,
        ),
        (
            "nothing",
            &|| info!(a = absent, b = Some(1), "x"),
            r#""message":"x","b":1"#,
        ),
        (
            "not given yet",
            &|| info!(a = tracing::field::Empty, "x"),
            r#""message":"x""#,
        ),
        (
            "a keyword",
            &|| info!(r#type = "file", "x"),
            r#""message":"x","type":"file""#,
        ),
        (
            "quoted names",
            &|| info!("a b\"c" = 1, "x"),
            r#""message":"x","a b\"c":1"#,
        ),
        (
            "names that every line has",
            &|| {
                info!(
                    level = 1,
                    service = 2,
                    replica = 3,
                    timestamp = 4,
                    trace_id = 5,
                    span_id = 6,
                    "x"
                );
            },
            concat!(
                r#""message":"x","event.level":1,"event.service":2,"event.replica":3,"#,
                r#""event.timestamp":4,"event.trace_id":5,"event.span_id":6"#
            ),
        ),
    ];
    for (name, log, expected) in cases {
        let head = format!(r#"{TIMESTAMP},"level":"info","service":"edge","replica":"primary","#);
        let expected = expected.replace("\\ufffd", "\u{fffd}");
        assert_eq!(json(log), format!("{head}{expected}}}\n"), "case `{name}`");
    }
}

const BITS_128: &str = concat!(
    r#""a":-170141183460469231731687303715884105728,"#,
    r#""b":340282366920938463463374607431768211455"#
);

#[test]
fn what_is_not_a_letter() {
    let text = "\" \\ / \n \r \t \u{8} \u{c} \0 \u{1b}[31m \u{7f} \u{2028} é 鍵 🔑";
    let line = json(|| info!(a = text, "{text}"));
    assert!(
        !line
            .trim_end()
            .contains(|c: char| c.is_ascii_control() && c != '\u{7f}'),
        "{line}"
    );
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (line["message"].as_str(), line["a"].as_str()),
        (Some(text), Some(text))
    );
}

#[test]
fn errors_have_their_causes() {
    let error = failure();
    let error: &(dyn Error + 'static) = &error;
    let line = one(|| warn!(error, "Not published"));
    assert_eq!(
        line["error"],
        "could not publish `a.test`: could not commit: could not connect"
    );
    let line = one(|| warn!(error = %failure(), "Not published"));
    assert_eq!(line["error"], "could not publish `a.test`");
}

/// An error that is its own cause.
#[derive(Debug)]
struct Circle;

impl fmt::Display for Circle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("o")
    }
}

impl Error for Circle {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self)
    }
}

#[test]
fn an_error_that_is_its_own_cause_has_an_end() {
    let circle: &(dyn Error + 'static) = &Circle;
    let line = one(|| warn!(error = circle, "x"));
    assert_eq!(line["error"], ["o"; 32].join(": "));
}

/// Says something and fails then.
struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("half")?;
        Err(fmt::Error)
    }
}

#[test]
fn a_value_that_cannot_be_shown_spoils_nothing() {
    let line = one(|| info!(a = %Broken, b = 1, "x {Broken}"));
    assert_eq!(line["message"], "x half");
    assert_eq!(
        (&line["a"], &line["b"]),
        (&Value::from("half"), &Value::from(1))
    );
}

/// Writes without an end, and would never return if it were not stopped.
struct Endless;

impl fmt::Debug for Endless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        loop {
            f.write_str("ab鍵")?;
        }
    }
}

#[test]
fn large_values_are_cut() {
    let cut = |value: &Value| {
        let text = value.as_str().unwrap();
        let kept = text.strip_suffix("... (cut)").unwrap_or(text);
        (kept.len(), kept.len() < text.len())
    };
    let letters = |n: usize| "x".repeat(n);
    let cases = [
        ("just fits", letters(8192), (8192, false)),
        ("one more", letters(8193), (8192, true)),
        ("many more", letters(1 << 20), (8192, true)),
        (
            "in the middle of a character",
            "é".repeat(4097),
            (8192, true),
        ),
        (
            "in the middle of one of three bytes",
            "鍵".repeat(4000),
            (8190, true),
        ),
    ];
    for (name, text, expected) in cases {
        let line = one(|| info!(a = text, b = ?text.len(), c = text.as_bytes(), "{text}"));
        assert_eq!(cut(&line["a"]), expected, "case `{name}`");
        assert_eq!(cut(&line["message"]), expected, "case `{name}`");
        assert_eq!(line["b"], text.len().to_string(), "case `{name}`");
        let bytes = cut(&line["c"]);
        assert!(
            bytes.1 == expected.1 && bytes.0 <= 8192,
            "case `{name}`: {bytes:?}"
        );
    }
    let line = one(|| info!(a = ?Endless, "x {Endless:?}"));
    assert_eq!(cut(&line["a"]), (8192, true));
}

#[test]
fn a_line_does_not_grow_without_bound() {
    let text = "\0".repeat(10_000);
    let text = text.as_str();
    let line = json(|| {
        info!(
            a = text,
            b = text,
            c = text,
            d = text,
            e = text,
            f = 1,
            "{text}"
        );
    });
    assert!(line.len() < 256 << 10, "{}", line.len());
    let line: Value = serde_json::from_str(&line).unwrap();
    assert!(line["a"].is_string() && line.get("f").is_none());
    assert_eq!(line["event.fields_left_out"], 5);
}

proptest! {
    #[test]
    fn every_text_makes_one_line_of_json(message in any::<String>(), value in any::<String>(), bytes in any::<Vec<u8>>()) {
        let line = one(|| info!(value, bytes = &bytes[..], "{message}"));
        prop_assert_eq!(line["message"].as_str(), Some(&*message));
        prop_assert_eq!(line["value"].as_str(), Some(&*value));
        prop_assert_eq!(line["bytes"].as_str(), Some(&*String::from_utf8_lossy(&bytes)));
    }

    #[test]
    fn every_number_is_one(float in any::<f64>(), signed in any::<i64>(), unsigned in any::<u64>()) {
        let line = json(|| info!(float, signed, unsigned));
        if float.is_finite() {
            // Read by the standard library: that of JSON is not exact to the last digit.
            let (_, digits) = line.split_once("\"float\":").unwrap();
            let (digits, _) = digits.split_once(',').unwrap();
            prop_assert_eq!(digits.parse::<f64>(), Ok(float));
        }
        let line: Value = serde_json::from_str(&line).unwrap();
        prop_assert_eq!(line["signed"].as_i64(), Some(signed));
        prop_assert_eq!(line["unsigned"].as_u64(), Some(unsigned));
    }
}
