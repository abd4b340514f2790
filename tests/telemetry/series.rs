//! Time series are few, whatever comes in.

use std::collections::BTreeSet;

use favonius_testing::{Client, WorkerProcess};
use futures::{StreamExt as _, stream};
use http::Method;

use crate::support::{APP, Site, show};

const MANY: u32 = 10_000;

/// How many requests were answered, and the names and labels of all values of the page of metrics.
async fn series(client: &Client) -> (f64, BTreeSet<String>) {
    let page = client.get("/metrics").send().await.expect_status(200);
    let text = page.text();
    let values = text.lines().filter(|line| !line.starts_with('#'));
    let values = values.map(|line| line.rsplit_once(' ').unwrap());
    let answered = values
        .clone()
        .filter(|(name, _)| name.starts_with("http_server_request_duration_seconds_count"))
        .map(|(_, value)| value.parse::<f64>().unwrap())
        .sum();
    (answered, values.map(|(name, _)| name.to_owned()).collect())
}

/// Sends the n-th of many requests, no two of which are alike.
async fn ask(client: &Client, n: u32) {
    let method = match n % 5 {
        0 => Method::HEAD,
        1 => Method::from_bytes(format!("VERB{n}").as_bytes()).unwrap(),
        _ => Method::GET,
    };
    let paths = [
        format!("/page-{n}"),
        format!("/__favonius/{n}"),
        format!("/__zephyr/v1/t/tag-{n}/x"),
        format!("/{n}.js?query={n}"),
        format!("/__get_application_hash_list__?application_uid=app-{n}.web.acme"),
        format!("/upload/{n}"),
    ];
    let host = if n.is_multiple_of(3) {
        "www.test".to_owned()
    } else {
        format!("host-{n}.test")
    };
    let request = client
        .request(method, &paths[n as usize % paths.len()])
        .host(&host);
    let agent = format!("agent/{n}");
    let request = request
        .header("user-agent", agent)
        .header("x-request-id", format!("id-{n}"))
        .header("referer", format!("http://from-{n}.test/"));
    // Any answer will do, but there must be one.
    let _reply = request.send().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_different_requests_do_not_add_one() {
    let dir = tempfile::tempdir().unwrap();
    let worker = WorkerProcess::builder().embedded(dir.path()).start().await;
    let client = worker.client();
    let site = Site::new(&worker, APP);
    site.ship(1, &["www.test"]).await;
    // One of each kind first, and metrics themselves.
    for n in 0..60 {
        ask(&client, n).await;
    }
    drop(series(&client).await);
    let (answered_before, before) = series(&client).await;
    let many = stream::iter(60..MANY + 60).map(|n| ask(&client, n));
    assert_eq!(many.buffer_unordered(32).count().await, MANY as usize);
    let (answered, after) = series(&client).await;
    // The page before counts as well.
    assert!(
        (answered - answered_before - f64::from(MANY) - 1.0).abs() < 0.5,
        "{answered_before}, {answered}"
    );
    let added: Vec<_> = after.difference(&before).collect();
    assert_eq!(added, Vec::<&String>::new());
    show(
        "series",
        format!("{} of them after {MANY} requests", after.len()),
    );
    assert!(after.len() < 2_000, "{}", after.len());
}
