//! Two regions, and HTTP between them.

use std::time::Duration;

use favonius_contract::SnapshotDocument;
use favonius_http::EdgeOptions;
use favonius_replication::ReplicationOptions;
use favonius_storage::{Change, Order, Publish, RecordStore as _};
use http::StatusCode;

use crate::{
    server::{self, start},
    support::{APP, NOW_MS, TestEdge, replication, snapshot},
};

const FILES: &[(&str, &[u8])] = &[
    ("index.html", b"hello"),
    ("assets/a.js", b"1"),
    ("_headers", b"/*\n  x-rule: yes\n"),
];

fn edge(how: ReplicationOptions) -> TestEdge {
    TestEdge::in_region(how, EdgeOptions::default())
}

/// Nobody listens there.
const NOWHERE: &str = "http://127.0.0.1:9";

/// Makes the name answer with the files here, without having their bytes.
async fn name_without_files(edge: &TestEdge, name: &str) {
    let document = snapshot(APP, "ada-1", FILES).to_string().into_bytes();
    let publish = Publish {
        name: name.parse().unwrap(),
        application: APP.parse().unwrap(),
        snapshot_id: format!("ada-1.{APP}").parse().unwrap(),
        order: Order::Local {
            now_ms: NOW_MS,
            replica: "us".into(),
        },
        manifest: None,
        version: false,
        takeover: false,
    };
    let changes = vec![
        Change::SnapshotStored(SnapshotDocument::parse(document).unwrap()),
        Change::Published(publish),
    ];
    edge.records.commit(changes).await.unwrap();
}

#[tokio::test]
async fn what_is_deployed_here_is_served_there() {
    let there = edge(replication("eu", NOWHERE));
    let running = start(&there, server::options());
    let target = format!("http://{}", running.address);
    let here = edge(ReplicationOptions {
        delivers: true,
        ..replication("us", &target)
    });
    let version = here.deploy("ada-1", FILES, &["www.test"], |_| ()).await;
    for host in ["www.test", &*version] {
        let arrived = async {
            while there.get(host, "/").await.status != StatusCode::OK {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let arrived = tokio::time::timeout(Duration::from_secs(20), arrived).await;
        arrived.unwrap_or_else(|_| panic!("{host} does not arrive"));
        assert_eq!(there.get(host, "/").await.text(), "hello");
        let script = there.get(host, "/assets/a.js").await;
        assert_eq!((script.text(), script.header("x-rule")), ("1", "yes"));
    }
}

#[tokio::test]
async fn files_that_are_not_here_are_fetched_when_they_are_asked_for() {
    let there = edge(replication("eu", NOWHERE));
    there.deploy("ada-1", FILES, &["www.test"], |_| ()).await;
    let running = start(&there, server::options());
    let target = format!("http://{}", running.address);
    let here = edge(ReplicationOptions {
        reads_through: true,
        ..replication("us", &target)
    });
    name_without_files(&here, "www.test").await;
    let script = here.ask("HEAD", "www.test", "/assets/a.js", &[]).await;
    assert_eq!(script.status, StatusCode::OK, "{script:?}");
    assert_eq!(script.header("x-rule"), "yes");
    for (path, content) in [("/assets/a.js", "1"), ("/", "hello")] {
        let answer = here.get("www.test", path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {answer:?}");
        assert_eq!(answer.text(), content, "{path}");
    }
    assert_eq!(here.edge.pending_assets(), 0, "nobody had to come again");
}

#[tokio::test]
async fn files_that_nobody_has_are_still_pending() {
    let there = edge(replication("eu", NOWHERE));
    let running = start(&there, server::options());
    let target = format!("http://{}", running.address);
    let of_nobody = ReplicationOptions {
        reads_through: true,
        ..replication("us", &target)
    };
    let unreachable = ReplicationOptions {
        reads_through: true,
        ..replication("us", NOWHERE)
    };
    let off = replication("us", &target);
    for how in [of_nobody, unreachable, off] {
        let here = edge(how);
        name_without_files(&here, "www.test").await;
        for count in 1..=2 {
            let answer = here.get("www.test", "/assets/a.js").await;
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(answer.error(), "asset_pending");
            assert_eq!(here.edge.pending_assets(), count);
        }
    }
}
