use std::{
    collections::HashSet,
    io::ErrorKind,
    sync::{
        Barrier,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Instant,
};

use tracing::{error, info};

use super::*;
use crate::fatal;

const PATIENCE: Duration = Duration::from_secs(10);

/// A writer that says when it is asked to write, and waits until it may.
struct Gate {
    asked: Sender<()>,
    may: Receiver<()>,
    sink: Sink,
}

impl Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.asked.send(()).ok();
        self.may.recv().ok();
        self.sink.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn gate() -> (Gate, Receiver<()>, Sender<()>, Sink) {
    let ((asked, is_asked), (let_it, may)) = (channel(), channel());
    let sink = Sink::default();
    let gate = Gate {
        asked,
        may,
        sink: sink.clone(),
    };
    (gate, is_asked, let_it, sink)
}

/// A line of a fixed length.
fn line(n: u32) {
    info!(n = 100 + n, "x");
}

#[test]
fn what_an_output_that_stands_still_does_not_take_is_dropped_and_reported() {
    let (gate, asked, let_it, sink) = gate();
    let length = logged(&settings(), Format::Json, || line(0)).len();
    let output = Output::to(gate).queue_bytes(3 * length + 1);
    with_layer(&settings(), output, |guard| {
        line(0);
        asked.recv_timeout(PATIENCE).unwrap();
        // The first is being written. Three wait, the others find no room.
        (1..=8).for_each(line);
        assert_eq!(guard.lost_lines(), 5);
        assert!(!guard.flush(Duration::from_millis(20)));
        drop(let_it);
        assert!(guard.flush(PATIENCE));
        line(9);
        assert!(guard.flush(PATIENCE));
        assert_eq!(guard.lost_lines(), 5);
    });
    let lines: Vec<String> = sink
        .text()
        .lines()
        .map(|line| {
            line.split_once(r#""replica":"primary","#)
                .unwrap()
                .1
                .to_owned()
        })
        .collect();
    let numbered = |n: u32| format!(r#""message":"x","n":{}}}"#, 100 + n);
    let report = r#""message":"Log lines dropped: the output does not keep up","log.dropped":5}"#;
    let expected = [0, 1, 2, 3]
        .map(numbered)
        .into_iter()
        .chain([report.into(), numbered(9)]);
    assert_eq!(lines, expected.collect::<Vec<_>>());
    assert!(sink.text().contains(r#""level":"warn""#));
}

#[test]
fn what_ends_the_process_finds_room() {
    let (gate, asked, let_it, sink) = gate();
    let output = Output::to(gate).queue_bytes(1000);
    with_layer(&settings(), output, |guard| {
        line(0);
        asked.recv_timeout(PATIENCE).unwrap();
        (1..=1000).for_each(line);
        fatal!("the end");
        drop(let_it);
        assert!(guard.flush(PATIENCE));
    });
    let text = sink.text();
    assert!(text.contains(r#""log.dropped":99"#), "{text}");
    assert!(
        text.contains(
            r#""level":"fatal","service":"edge","replica":"primary","message":"the end"}"#
        )
    );
}

#[test]
fn a_line_that_never_fits_is_reported_too() {
    let sink = Sink::default();
    with_layer(
        &settings(),
        Output::to(sink.clone()).queue_bytes(400),
        |guard| {
            info!(a = "x".repeat(400), "too long");
            assert!(guard.flush(PATIENCE));
            assert_eq!(guard.lost_lines(), 1);
        },
    );
    assert!(
        sink.text().contains(r#""log.dropped":1}"#),
        "{}",
        sink.text()
    );
}

#[test]
fn the_end_writes_what_waits_and_takes_no_more() {
    let sink = Sink::default();
    let (layer, guard) = layer::<Registry>(&settings(), Output::to(sink.clone())).unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        (0..1000).for_each(line);
        drop(guard);
        assert_eq!(sink.text().lines().count(), 1000);
        line(0);
    });
    assert_eq!(sink.text().lines().count(), 1000);
}

#[test]
fn the_end_does_not_wait_for_an_output_that_stands_still() {
    let (gate, asked, let_it, _) = gate();
    let (layer, guard) = layer::<Registry>(&settings(), Output::to(gate)).unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        line(0);
        asked.recv_timeout(PATIENCE).unwrap();
        let start = Instant::now();
        guard.queue.close(Duration::from_millis(50));
        assert!(start.elapsed() >= Duration::from_millis(50));
    });
    drop(let_it);
}

/// Fails in one way at every other call, and else takes a few bytes.
struct Awkward {
    sink: Sink,
    kind: ErrorKind,
    calls: usize,
}

impl Write for Awkward {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.calls += 1;
        if self.calls.is_multiple_of(2) {
            return Err(self.kind.into());
        }
        self.sink.write(bytes.get(..7).unwrap_or(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.calls += 1;
        if self.calls.is_multiple_of(2) {
            Err(self.kind.into())
        } else {
            Ok(())
        }
    }
}

#[test]
fn an_output_that_fails_now_and_then_gets_it_all() {
    for kind in [ErrorKind::Interrupted, ErrorKind::WouldBlock] {
        let sink = Sink::default();
        let output = Output::to(Awkward {
            sink: sink.clone(),
            kind,
            calls: 0,
        });
        with_layer(&settings(), output, |guard| {
            line(0);
            line(1);
            assert!(guard.flush(PATIENCE));
            assert_eq!(guard.lost_lines(), 0, "{kind}");
        });
        let expected = logged(&settings(), Format::Json, || {
            [0, 1].into_iter().for_each(line);
        });
        assert_eq!(sink.text(), expected, "{kind}");
    }
}

#[test]
fn an_output_that_is_gone_loses_lines_and_nothing_else() {
    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(ErrorKind::BrokenPipe.into())
        }
    }

    with_layer(&settings(), Output::to(Gone), |guard| {
        for lost in 1..=3 {
            error!("x\ny");
            assert!(guard.flush(PATIENCE));
            assert_eq!(guard.lost_lines(), lost);
        }
    });
}

#[test]
fn a_writer_that_panics_takes_nobody_with_it() {
    struct Bomb;

    impl Write for Bomb {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            panic!("the writer of a test");
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    with_layer(&settings(), Output::to(Bomb), |guard| {
        line(0);
        assert!(!guard.flush(PATIENCE));
        line(1);
        assert!(guard.lost_lines() >= 1);
    });
}

#[test]
fn lines_of_many_threads_never_mix() {
    const THREADS: usize = 8;
    const LINES: usize = 300;
    /// Takes a few bytes at a time.
    struct Small(Sink);

    impl Write for Small {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.write(bytes.get(..61).unwrap_or(bytes))
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let sink = Sink::default();
    let (layer, guard) = layer::<Registry>(&settings(), Output::to(Small(sink.clone()))).unwrap();
    let subscriber = tracing::Dispatch::new(tracing_subscriber::registry().with(layer));
    let start = Barrier::new(THREADS);
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let (subscriber, start) = (&subscriber, &start);
            scope.spawn(move || {
                let _subscriber = tracing::dispatcher::set_default(subscriber);
                start.wait();
                for n in 0..LINES {
                    info!(thread, n, padding = "x".repeat(n), "x");
                }
            });
        }
    });
    assert!(guard.flush(PATIENCE));
    assert_eq!(guard.lost_lines(), 0);
    let mut seen = HashSet::new();
    let mut last = [0; THREADS];
    for line in sink.text().lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let number = |name: &str| usize::try_from(line[name].as_u64().unwrap()).unwrap();
        let (thread, n) = (number("thread"), number("n"));
        assert_eq!(line["padding"].as_str().unwrap().len(), n);
        assert!(seen.insert((thread, n)));
        // Of one thread in its order.
        assert!(n >= last[thread]);
        last[thread] = n;
    }
    assert_eq!(seen.len(), THREADS * LINES);
}
