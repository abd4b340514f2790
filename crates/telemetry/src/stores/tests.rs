use std::{collections::BTreeMap, io};

use bytes::Bytes;
use favonius_storage::{EmbeddedRecords, conformance};
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::{
    GetOptions, GetRange, ObjectStoreExt as _, PutMode, PutMultipartOptions, memory::InMemory,
    path::Path,
};
use tracing_subscriber::Registry;

use super::*;
use crate::{MetricsFormat, Telemetry, TelemetryGuard, TelemetrySettings, stdout::Output};

fn telemetry() -> TelemetryGuard {
    let settings = TelemetrySettings::new("edge").prometheus();
    let (_, guard) = Telemetry::layer::<Registry>(&settings, Output::to(io::sink())).unwrap();
    guard
}

/// How often each operation ended how, of those that did.
fn counts(guard: &TelemetryGuard) -> BTreeMap<(String, String), u64> {
    let text = guard.prometheus().unwrap().text(MetricsFormat::Text, true);
    let name = "favonius_storage_operation_duration_seconds_count{";
    let lines = text.lines().filter_map(|line| line.strip_prefix(name));
    lines
        .map(|line| {
            let (labels, count) = line.rsplit_once("} ").unwrap();
            let label = |name: &str| {
                let (_, rest) = labels.split_once(&format!("{name}=\"")).unwrap();
                rest.split_once('"').unwrap().0.to_owned()
            };
            assert_eq!(label("backend"), "embedded");
            let key = (label("operation"), label("outcome"));
            (key, count.parse().unwrap())
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn measured_records_keep_every_promise() {
    let guard = telemetry();
    conformance::run_all(async || MeasuredRecords {
        inner: Arc::new(EmbeddedRecords::in_memory().unwrap()),
        meter: Meter::new(Backend::Embedded, &guard.instruments()),
    })
    .await;
    let counts = counts(&guard);
    for (operation, outcome) in [
        ("deployment", "ok"),
        ("deployment", "absent"),
        ("snapshot", "ok"),
        ("known_assets", "ok"),
        ("knows_asset", "ok"),
        ("versions", "ok"),
        ("names", "ok"),
        ("history", "ok"),
        ("commit", "ok"),
        ("commit", "conflict"),
        ("check", "ok"),
    ] {
        let key = (operation.to_owned(), outcome.to_owned());
        assert!(counts.get(&key) > Some(&0), "{key:?} in {counts:?}");
    }
}

mod assets_in_measured_objects {
    use super::*;

    fn fresh() -> (Arc<dyn ObjectStore>, TelemetryGuard) {
        let guard = telemetry();
        let objects = Arc::new(InMemory::new());
        let measured = measured_objects(objects, Backend::Embedded, &guard.instruments());
        (measured, guard)
    }
    favonius_storage::assets_suite!(fresh);
}

#[tokio::test]
async fn each_operation_on_objects_is_measured() {
    let guard = telemetry();
    let objects = measured_objects(
        Arc::new(InMemory::new()),
        Backend::Embedded,
        &guard.instruments(),
    );
    let (one, two, three) = (Path::from("one"), Path::from("two"), Path::from("three"));
    objects.put(&one, "content".into()).await.unwrap();
    let create = PutMode::Create.into();
    let exists = objects.put_opts(&one, "other".into(), create).await;
    exists.unwrap_err();
    objects.copy(&one, &two).await.unwrap();
    objects.rename(&two, &three).await.unwrap();
    objects.head(&one).await.unwrap();
    objects.head(&two).await.unwrap_err();
    let content = objects.get(&one).await.unwrap().bytes().await.unwrap();
    assert_eq!(content, "content");
    let range = GetOptions {
        range: Some(GetRange::Bounded(0..3)),
        ..GetOptions::default()
    };
    objects.get_opts(&one, range).await.unwrap();
    objects.get_ranges(&one, &[0..1, 2..3]).await.unwrap();
    let listed: Vec<_> = objects.list(None).try_collect().await.unwrap();
    assert_eq!(listed.len(), 2);
    let none = Path::from("none");
    assert_eq!(objects.list(Some(&none)).count().await, 0);
    objects.list_with_delimiter(None).await.unwrap();
    let options = PutMultipartOptions::default();
    let mut upload = objects.put_multipart_opts(&two, options).await.unwrap();
    upload.put_part(Bytes::from("part").into()).await.unwrap();
    upload.complete().await.unwrap();
    objects.delete(&three).await.unwrap();

    let expected = [
        (("complete_upload", "ok"), 1),
        (("copy", "ok"), 2),
        (("create_upload", "ok"), 1),
        (("delete", "ok"), 1),
        (("get", "ok"), 3),
        (("head", "absent"), 1),
        (("head", "ok"), 1),
        (("list", "ok"), 3),
        (("put", "conflict"), 1),
        (("put", "ok"), 1),
        (("put_part", "ok"), 1),
    ];
    let expected = expected
        .map(|((operation, outcome), count)| ((operation.to_owned(), outcome.to_owned()), count));
    assert_eq!(counts(&guard), BTreeMap::from(expected));
}

/// A record store that never answers.
#[tokio::test(start_paused = true)]
async fn what_is_given_up_late_is_told() {
    let guard = telemetry();
    let meter = Meter::new(Backend::Embedded, &guard.instruments());
    for (millis, expected) in [(999, 0), (1000, 1), (5000, 2)] {
        let never = std::future::pending::<Result<(), ()>>();
        let work = meter.measure(Operation::Check, never, |_| Outcome::Ok);
        let limit = Duration::from_millis(millis);
        tokio::time::timeout(limit, work).await.unwrap_err();
        let key = ("check".to_owned(), "abandoned".to_owned());
        assert_eq!(
            counts(&guard).get(&key).copied().unwrap_or(0),
            expected,
            "{millis}"
        );
    }
}

#[test]
fn nothing_is_put_around_a_store_that_nobody_measures() {
    let objects: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let same = measured_objects(Arc::clone(&objects), Backend::S3, &Instruments::default());
    assert!(Arc::ptr_eq(&objects, &same));
}
