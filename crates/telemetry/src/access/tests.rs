use std::time::Duration;

use http::{Method, StatusCode};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use tracing_subscriber::{Registry, layer::SubscriberExt as _};

use super::*;
use crate::{
    Telemetry, TelemetrySettings,
    instruments::Route,
    stdout::{Output, tests::Sink},
};

/// What is written with these settings.
fn written(settings: &TelemetrySettings, format: Format, write: impl FnOnce(&AccessLog)) -> String {
    let sink = Sink::default();
    let output = Output::to(sink.clone())
        .clock(|| 1_795_247_184_930)
        .format(format);
    let (_layer, guard) = Telemetry::layer::<Registry>(settings, output).unwrap();
    write(&guard.reporter().access_log);
    drop(guard);
    sink.text()
}

fn settings() -> TelemetrySettings {
    TelemetrySettings::new("edge").replica("eu")
}

const TRACE: TraceIds = TraceIds {
    trace_id: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736,
    span_id: 0x00f0_67aa_0ba9_02b7,
    flags: 1,
};

fn access<'a>(host: &'a str, path: &'a str) -> Access<'a> {
    Access {
        request: Request {
            method: &Method::GET,
            route: Route::Deployment,
            status: Some(StatusCode::OK),
            ending: Ending::Whole,
            took: Duration::from_nanos(12_034_567),
        },
        host,
        path,
        content: 1234,
        request_id: "r-1",
        trace: None,
    }
}

#[test]
fn a_line() {
    let line = written(&settings(), Format::Json, |log| {
        log.write(&Access {
            trace: Some(TRACE),
            ..access("www.test", "/assets/app.js")
        });
    });
    let expected = concat!(
        r#"{"timestamp":"2026-11-21T07:46:24.930Z","level":"info","service":"edge","replica":"eu","#,
        r#""message":"Request","http.request.method":"GET","http.route":"/*","server.address":"www.test","#,
        r#""url.path":"/assets/app.js","http.response.status_code":200,"http.response.body.size":1234,"#,
        r#""duration_ms":12.034,"request_id":"r-1","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","#,
        r#""span_id":"00f067aa0ba902b7"}"#,
        "\n"
    );
    assert_eq!(line, expected);
}

#[test]
fn a_request_without_an_answer() {
    let line = written(&settings(), Format::Json, |log| {
        let mut access = access("", "/");
        access.request.status = None;
        access.request.ending = Ending::Cancelled;
        access.request.took = Duration::ZERO;
        log.write(&access);
    });
    let line: Json = serde_json::from_str(&line).unwrap();
    assert_eq!(line.get("http.response.status_code"), None);
    assert_eq!(line["error.type"], "cancelled");
    assert_eq!(line["duration_ms"], json!(0.0));
    assert_eq!(line.get("trace_id"), None);
}

#[test]
fn for_people() {
    let format = Format::Human { colour: false };
    let line = written(&settings(), format, |log| {
        log.write(&access("www.test", "/a b"));
    });
    let expected = "2026-11-21T07:46:24.930Z  INFO Request http.request.method=GET http.route=/* \
                    server.address=www.test url.path=\"/a b\" http.response.status_code=200 \
                    http.response.body.size=1234 duration_ms=12.034 request_id=r-1\n";
    assert_eq!(line, expected);
}

#[test]
fn the_level_is_that_of_all_lines() {
    let lines = written(&settings().level(Level::Warn), Format::Json, |log| {
        log.write(&access("www.test", "/"));
    });
    assert_eq!(lines, "");
}

#[test]
fn without_telemetry_it_is_an_event() {
    let sink = Sink::default();
    let output = Output::to(sink.clone()).clock(|| 1_795_247_184_930);
    let (layer, guard) = Telemetry::layer::<Registry>(&settings(), output).unwrap();
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::with_default(subscriber, || {
        AccessLog::default().write(&access("www.test", "/a"));
    });
    drop(guard);
    let event = sink.text();
    let direct = written(&settings(), Format::Json, |log| {
        log.write(&access("www.test", "/a"));
    });
    let [event, direct] = [event, direct].map(|line| serde_json::from_str::<Json>(&line).unwrap());
    assert_eq!(event, direct);
}

proptest! {
    #[test]
    fn whatever_is_asked_for_is_one_line_of_json(host: String, path: String, id: String, micros: u64) {
        let line = written(&settings(), Format::Json, |log| {
            let mut access = access(&host, &path);
            access.request_id = &id;
            access.request.took = Duration::from_micros(micros);
            log.write(&access);
        });
        prop_assert_eq!(line.matches('\n').count(), 1);
        let line: Json = serde_json::from_str(&line).unwrap();
        prop_assert_eq!(line["server.address"].as_str(), Some(cut(&host)));
        prop_assert_eq!(line["url.path"].as_str(), Some(cut(&path)));
        prop_assert_eq!(line["request_id"].as_str(), Some(id.as_str()));
    }
}

#[test]
fn long_paths_are_cut() {
    let path = format!("/{}", "ä".repeat(LONGEST));
    let line = written(&settings(), Format::Json, |log| {
        log.write(&access("www.test", &path));
    });
    let line: Json = serde_json::from_str(&line).unwrap();
    assert_eq!(line["url.path"].as_str().map(str::len), Some(LONGEST - 1));
}
