use tracing::{debug, error, info, info_span, trace, trace_span, warn};
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, filter_fn},
    layer::Context,
};

use super::*;
use crate::{Level, fatal};

/// The messages that come out.
fn messages(lines: &str) -> Vec<String> {
    lines
        .lines()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            line["message"].as_str().unwrap().to_owned()
        })
        .collect()
}

/// One event of each level by us (upper case) and by two libraries (lower case).
fn speak() {
    trace!("T");
    debug!("D");
    info!("I");
    warn!("W");
    error!("E");
    fatal!("F");
    trace!(target: "hyper::proto", "t");
    debug!(target: "h2", "d");
    info!(target: "redis::client", "i");
    warn!(target: "rustls", "w");
    error!(target: "object_store::aws", "e");
}

#[test]
fn what_each_level_lets_through() {
    let cases = [
        (Level::Trace, "TDIWEFtdiwe"),
        (Level::Debug, "DIWEFdiwe"),
        (Level::Info, "IWEFwe"),
        (Level::Warn, "WEFwe"),
        (Level::Error, "EFe"),
        (Level::Fatal, "F"),
    ];
    for (level, expected) in cases {
        let lines = logged(&settings().level(level), Format::Json, speak);
        assert_eq!(messages(&lines).concat(), expected, "{level}");
    }
}

#[test]
fn the_level_can_change() {
    let sink = Sink::default();
    with_layer(&settings(), Output::to(sink.clone()), |guard| {
        let handle = guard.level().clone();
        for level in [Level::Info, Level::Fatal, Level::Debug, Level::Error] {
            handle.set(level);
            assert_eq!((handle.get(), guard.level().get()), (level, level));
            speak();
        }
        assert!(guard.flush(Duration::from_secs(10)));
    });
    assert_eq!(messages(&sink.text()).concat(), "IWEFweFDIWEFdiweEFe");
}

/// Another subscriber's own layer sees what it wants, whatever our level.
#[test]
fn the_level_concerns_our_layer_alone() {
    #[derive(Clone, Default)]
    struct Count(Arc<Mutex<u32>>);

    impl<S: Subscriber> Layer<S> for Count {
        fn on_event(&self, _: &tracing::Event<'_>, _: Context<'_, S>) {
            *self.0.lock().unwrap() += 1;
        }
    }

    let (sink, count) = (Sink::default(), Count::default());
    let settings = settings().level(Level::Fatal);
    let (ours, guard) = layer(&settings, Output::to(sink.clone())).unwrap();
    let subscriber = tracing_subscriber::registry()
        .with(count.clone())
        .with(ours);
    tracing::subscriber::with_default(subscriber, speak);
    assert!(guard.flush(Duration::from_secs(10)));
    assert_eq!(
        (
            messages(&sink.text()).concat().as_str(),
            *count.0.lock().unwrap()
        ),
        ("F", 11)
    );
}

#[test]
fn an_event_that_is_asked_for_and_not_logged_takes_no_other_with_it() {
    let sink = Sink::default();
    let (ours, guard) = layer(&settings(), Output::to(sink.clone())).unwrap();
    let other = tracing_subscriber::layer::Identity::new().with_filter(LevelFilter::TRACE);
    let subscriber = tracing_subscriber::registry().with(other).with(ours);
    tracing::subscriber::with_default(subscriber, || {
        for n in 0..3 {
            assert!(tracing::enabled!(tracing::Level::DEBUG));
            info!("{n}");
        }
    });
    assert!(guard.flush(Duration::from_secs(10)));
    assert_eq!(messages(&sink.text()).concat(), "012");
}

/// The span ids in the lines, `-` where there is none.
fn span_ids(settings: &TelemetrySettings, log: impl FnOnce()) -> Vec<String> {
    let sink = Sink::default();
    let (ours, guard) = layer(settings, Output::to(sink.clone())).unwrap();
    // Spans called `plain` have no ids.
    let tracer = tracer().with_filter(filter_fn(|metadata| metadata.name() != "plain"));
    let subscriber = tracing_subscriber::registry().with(tracer).with(ours);
    tracing::subscriber::with_default(subscriber, log);
    assert!(guard.flush(Duration::from_secs(10)));
    let text = sink.text();
    let ids = text.lines().map(|line| {
        let tail = r#","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":""#;
        match line.split_once(tail) {
            Some((_, id)) => id.trim_end_matches("\"}").to_owned(),
            None => "-".into(),
        }
    });
    ids.collect()
}

#[test]
fn lines_name_the_trace_that_they_belong_to() {
    let scenario = || {
        warn!("outside");
        let outer = info_span!("outer");
        outer.in_scope(|| {
            warn!("in a span");
            trace_span!("inner").in_scope(|| warn!("in a span below the level"));
            info_span!("plain").in_scope(|| warn!("in a span without ids"));
            info_span!(target: "hyper", "library").in_scope(|| warn!("in a library's span"));
            warn!(parent: None, "in none");
        });
        warn!(parent: &outer, "by name");
        info_span!("plain").in_scope(|| warn!("in a span without ids or parents"));
    };
    let [one, two] = ["0000000000000001", "0000000000000002"];
    for level in [Level::Trace, Level::Warn] {
        let found = span_ids(&settings().level(level).trace_ids(), scenario);
        assert_eq!(found, ["-", one, two, one, one, "-", one, "-"], "{level}");
    }
    assert_eq!(span_ids(&settings(), scenario), ["-"; 8]);
}
