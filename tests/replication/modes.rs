//! The forms that replication has: all regions end with the same, and each file crossed once.

use std::time::Duration;

use favonius_testing::{RecordedRequest, SampleApp, eventually};

use crate::common::{APP, Site, show};
use crate::support::{Mesh, OUTBOX, Plan, Region, metric_of};

const FILES: usize = 500;
/// How long everything may take to arrive.
const ARRIVAL: Duration = Duration::from_mins(5);

/// Deploys and publishes an application of many small files and a few others, in the way that the published clients do.
async fn ship(site: &Site, host: &str) {
    let mut app = SampleApp::generate(30);
    for number in app.files().len()..FILES {
        let content = format!("file {number} of {}", site.application);
        app = app.with_file(&format!("small/{number}.txt"), content);
    }
    let (uid, id) = (&site.application, format!("ada-1.{}", site.application));
    let snapshot = app.snapshot(uid, &id, "http://edge.test");
    let _url = site.client.deploy(&site.token, &app, &snapshot).await;
    let published = site.client.publish(&site.token, uid, &id, &[host]).await;
    let _published = published.expect_status(200);
}

/// What other regions sent to this one and was new to it.
async fn applied(region: &Region, kind: &str) -> u64 {
    let labels = [("kind", kind), ("outcome", "applied")];
    region
        .metric("favonius_replication_received_total", &labels)
        .await
}

/// Requests that wrote a file.
fn written(region: &Region) -> u64 {
    let is_written = |request: &RecordedRequest| {
        request.method == "PUT" && !request.path.contains("/.favonius/")
    };
    let requests = region.s3.requests();
    let written = requests.iter().filter(|request| is_written(request));
    written.count() as u64
}

/// All regions have what one of them was given, and each file crossed once to each other one.
async fn crossed_once(mesh: &Mesh, from: &str) {
    let content = mesh.equal(ARRIVAL).await;
    let files = content.objects.len();
    assert!(files >= FILES, "{files} files");
    // The version has a name of its own.
    let states = &content.records["states"];
    let names = states.iter().filter(|state| state.starts_with("n:"));
    assert_eq!(names.count(), 2, "{states:?}");
    // What failed on the way, on a machine that is too busy to answer in time, is sent once more.
    let retried = [("outcome", "retried")];
    let retried = mesh[from].metric("favonius_replication_events_total", &retried);
    let retried = retried.await;
    for region in &mesh.regions {
        let times = u64::from(region.name != from);
        let counted = [
            applied(region, "asset").await,
            applied(region, "snapshot").await,
            applied(region, "name").await,
            written(region),
        ];
        let files = files as u64;
        let expected = [files * times, times, 2 * times, files];
        let is_once = counted == expected || (retried > 0 && times > 0);
        assert!(
            is_once,
            "{}: {counted:?} assets, snapshots, names, objects; not {expected:?}",
            region.name
        );
        if counted != expected {
            show(
                "modes",
                format!("{retried} retries, {counted:?} for {expected:?}"),
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn two_workers_of_a_region_share_everything() {
    let mesh = Plan::of(&["eu"]).start().await;
    let region = &mesh["eu"];
    ship(&region.site_at(0, APP), "www.test").await;
    same_at_both(region).await;
    // There is nobody to tell.
    assert_eq!(region.redis.cli(&["EXISTS", OUTBOX]), "0");
}

/// Both workers of a region serve the same, at once or nearly.
async fn same_at_both(region: &Region) {
    let pages = async || {
        let first = region.site_at(0, APP).get("www.test", "/").await;
        let second = region.site_at(1, APP).get("www.test", "/").await;
        let is_same = first.status == 200 && second.status == 200 && first.body == second.body;
        is_same.then_some(()).ok_or((first.status, second.status))
    };
    eventually("both serve the same", ARRIVAL, pages).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn one_worker_in_each_of_two_regions() {
    // Nobody asks for a file before it comes, and could not have it.
    let plan = Plan::of(&["eu", "us"]).workers(1);
    let mesh = plan.set("ZE_WORKER_READ_THROUGH", "false").start().await;
    ship(&mesh["eu"].site(APP), "www.test").await;
    crossed_once(&mesh, "eu").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn all_workers_of_a_region_send_to_two_others() {
    let mesh = Plan::of(&["eu", "us", "ap"]).start().await;
    ship(&mesh["eu"].site(APP), "www.test").await;
    crossed_once(&mesh, "eu").await;
    for region in &mesh.regions {
        same_at_both(region).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(
    not(has_redis),
    ignore = "redis-server is not installed: run scripts/setup-tests"
)]
async fn relays_send_and_receive_for_workers() {
    let mesh = Plan::of(&["eu", "us", "ap"]).relays(2).start().await;
    ship(&mesh["eu"].site(APP), "www.test").await;
    crossed_once(&mesh, "eu").await;
    // Nothing went through the workers.
    for region in &mesh.regions {
        for worker in &region.workers {
            let sent = metric_of(worker, "favonius_replication_sent_bytes_total", &[]).await;
            let received = metric_of(worker, "favonius_replication_received_total", &[]).await;
            assert_eq!((sent, received), (0, 0), "{}", region.name);
        }
    }
}
