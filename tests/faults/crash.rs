//! `kill -9` in the middle of everything, on embedded storage: what was acknowledged is there afterwards.

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use favonius_testing::{Client, WorkerProcess, asset_hash};
use serde_json::Value;

use crate::support::{APP, Build, Site, Worker, show};

/// What the worker said 200 to.
#[derive(Debug, Default)]
struct Acknowledged {
    /// Paths and bytes.
    files: Vec<(String, Vec<u8>)>,
    /// The host of the version and the build.
    snapshots: Vec<(String, Build)>,
    /// The host and the build.
    published: Vec<(String, Build)>,
}

/// Deploys build after build until the worker is gone.
async fn deploy_until_killed(site: &Site, first: u32, done: &Mutex<Acknowledged>) {
    let mut site = site.clone();
    site.client = Client::new(site.client.address());
    for number in (first..).step_by(10) {
        let large = vec![number.to_le_bytes()[0]; 40_000 + number as usize];
        let build = site.build_with(number, &[("large.bin", large), ("empty.txt", Vec::new())]);
        for (path, content) in build.app.files() {
            let hash = asset_hash(content, path);
            let target = format!("/upload?type=file&hash={hash}&filename={path}");
            let request = site
                .client
                .post(&target)
                .token(&site.token)
                .body(content.clone());
            match request.try_send().await {
                Ok(reply) => drop(reply.expect_status(200)),
                Err(_) => return,
            }
            done.lock()
                .unwrap()
                .files
                .push((path.clone(), content.clone()));
        }
        let request = site.client.post("/upload?type=snapshot&skip_assets=true");
        let request = request.token(&site.token).json(&build.snapshot);
        let Ok(reply) = request.try_send().await else {
            return;
        };
        let url = reply.expect_status(200).json();
        let url = url
            .pointer("/urls/version")
            .and_then(Value::as_str)
            .unwrap();
        let host = url
            .split_once("://")
            .unwrap()
            .1
            .split([':', '/'])
            .next()
            .unwrap()
            .to_owned();
        done.lock().unwrap().snapshots.push((host, build.clone()));

        let host = format!("site-{number}.test");
        let body = serde_json::json!({
            "app_version": {"application_uid": APP, "snapshot_id": build.snapshot_id},
            "urls": [host], "url_ids": [],
        });
        let request = site
            .client
            .post("/upload?type=envs")
            .token(&site.token)
            .json(&body);
        let Ok(reply) = request.try_send().await else {
            return;
        };
        drop(reply.expect_status(200));
        done.lock().unwrap().published.push((host, build));
    }
}

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9() {
    const ROUNDS: u32 = 5;
    let dir = tempfile::tempdir().unwrap();
    let worker = Worker::start(WorkerProcess::builder().embedded(dir.path())).await;
    let site = Site::new(&worker, APP);
    let done = Mutex::<Acknowledged>::default();
    for round in 0..ROUNDS {
        let deployers = (0..6).map(|n| deploy_until_killed(&site, round * 100_000 + n, &done));
        let kill = async {
            // Another moment each time.
            tokio::time::sleep(Duration::from_millis(400 + u64::from(round) * 173)).await;
            worker.sigkill();
        };
        tokio::join!(futures::future::join_all(deployers), kill);
        worker.start_again().await;
        check(&site, &done, &dir.path().join("assets")).await;
    }
    let done = done.into_inner().unwrap();
    show(
        "kill -9",
        format!(
            "{ROUNDS} kills; all of {} files, {} snapshots, {} publishes that were acknowledged are there",
            done.files.len(),
            done.snapshots.len(),
            done.published.len()
        ),
    );
    assert!(
        done.published.len() > ROUNDS as usize,
        "it was too slow to mean anything"
    );
}

async fn check(site: &Site, done: &Mutex<Acknowledged>, assets: &Path) {
    let (files, snapshots, published) = {
        let done = done.lock().unwrap();
        (
            done.files.clone(),
            done.snapshots.clone(),
            done.published.clone(),
        )
    };
    let listed = site.client.hash_list(APP).await.expect_status(200).json();
    let listed: std::collections::BTreeSet<&str> = listed["hashes"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    for (path, content) in &files {
        let hash = asset_hash(content, path);
        assert!(
            listed.contains(&*hash),
            "{path} was acknowledged and is not listed"
        );
    }
    // A listed hash is never uploaded again, so its bytes have to be there, acknowledged or not.
    let stored = std::fs::read_dir(assets).unwrap();
    let stored: Vec<String> = stored
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    for hash in listed {
        let found = stored.iter().any(|name| name.starts_with(hash));
        assert!(
            found,
            "{hash} is listed and not among {} files",
            stored.len()
        );
    }
    for (host, build) in snapshots.iter().chain(&published) {
        for (path, content) in build.app.files() {
            let reply = site.get(host, &format!("/{path}")).await;
            let same = reply.status == 200 && reply.body == *content;
            assert!(
                same,
                "{path} of build {} under {host}: {}",
                build.number, reply.status
            );
        }
    }
    // What was under way when the end came can be finished.
    let unfinished = files.last().unwrap();
    let stored = site
        .client
        .upload_file(&site.token, &unfinished.0, &unfinished.1)
        .await;
    assert_eq!(stored.status, 200, "{}", stored.text());
}
