//! Assets in a directory, as the embedded back end keeps them.
#![expect(clippy::unwrap_used, reason = "test support")]

use std::{convert::Infallible, fs, sync::Arc, time::Duration};

use bytes::Bytes;
use favonius_contract::{AssetHash, AssetRef};
use favonius_storage::{Assets, Claim, HashCheck, embedded_assets};
use futures::{StreamExt, stream};
use object_store::ObjectStore;
use tempfile::TempDir;
use tokio_util::task::TaskTracker;

fn fresh() -> (Arc<dyn ObjectStore>, TempDir) {
    let dir = TempDir::new().unwrap();
    (embedded_assets(&dir.path().join("assets")).unwrap(), dir)
}

favonius_storage::assets_suite!(fresh);

#[tokio::test]
async fn no_file_is_left_of_an_upload_that_was_given_up() {
    let (store, dir) = fresh();
    let tasks = TaskTracker::new();
    let assets = Assets::new(store, tasks.clone());
    let content = Bytes::from(vec![1; 9 * 1024 * 1024]);
    let claim = Claim {
        asset: AssetRef {
            hash: AssetHash::of(&content, "other"),
            size: 10 * 1024 * 1024,
        },
        path: "x",
        path_is_listed: false,
        content_hash_too: false,
        check: HashCheck::Strict,
    };
    let part = stream::iter([Ok::<_, Infallible>(content)]);
    assets.put(claim, part.clone()).await.unwrap_err();
    let stuck = assets.put(claim, part.chain(stream::pending()));
    assert!(
        tokio::time::timeout(Duration::from_millis(500), stuck)
            .await
            .is_err()
    );
    tasks.close();
    tasks.wait().await;
    let left: Vec<_> = fs::read_dir(dir.path().join("assets")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}
