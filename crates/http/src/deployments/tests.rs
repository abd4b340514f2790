//! The rules of the module, against a store whose server can go away.

use std::sync::atomic::AtomicUsize;

use async_trait::async_trait;
use favonius_contract::{ApplicationUid, AssetRef, Hostname, SnapshotDocument};
use favonius_storage::{
    Applied, Change, CommitError, EmbeddedRecords, ErrorKind, HistoryEntry, Order, Publish,
    VersionEntry,
};
use futures::stream::BoxStream;
use tokio::sync::{Semaphore, broadcast};
use tokio_stream::wrappers::BroadcastStream;

use super::*;

/// A record store whose server can stop, hang, and stop to tell its changes.
#[derive(Debug)]
struct Moody {
    inner: EmbeddedRecords,
    down: AtomicBool,
    reads: AtomicUsize,
    /// Reads take one each; none while it hangs.
    permits: Semaphore,
    events: broadcast::Sender<ChangeEvent>,
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl RecordStore for Moody {
    async fn deployment(&self, name: &DeploymentName) -> Result<Option<Deployment>, StorageError> {
        self.reads.fetch_add(1, SeqCst);
        if self.down.load(SeqCst) {
            return Err(StorageError::new(
                ErrorKind::Unavailable,
                "read",
                name.as_str(),
            ));
        }
        let found = self.inner.deployment(name).await;
        // What was read is on its way back: changes from here on are not in it.
        self.permits.acquire().await.unwrap().forget();
        found
    }

    async fn snapshot(&self, id: &SnapshotId) -> Result<Option<SnapshotDocument>, StorageError> {
        self.inner.snapshot(id).await
    }

    async fn known_assets(&self, uid: &ApplicationUid) -> Result<Vec<AssetRef>, StorageError> {
        self.inner.known_assets(uid).await
    }

    async fn knows_asset(
        &self,
        uid: &ApplicationUid,
        asset: AssetRef,
    ) -> Result<bool, StorageError> {
        self.inner.knows_asset(uid, asset).await
    }

    async fn versions(
        &self,
        uid: &ApplicationUid,
        limit: usize,
    ) -> Result<Vec<VersionEntry>, StorageError> {
        self.inner.versions(uid, limit).await
    }

    async fn names(&self, uid: &ApplicationUid) -> Result<Vec<DeploymentName>, StorageError> {
        self.inner.names(uid).await
    }

    async fn history(&self, name: &DeploymentName) -> Result<Vec<HistoryEntry>, StorageError> {
        self.inner.history(name).await
    }

    async fn commit(&self, changes: Vec<Change>) -> Result<Vec<Applied>, CommitError> {
        self.inner.commit(changes).await
    }

    fn changes(&self) -> BoxStream<'static, ChangeEvent> {
        BroadcastStream::new(self.events.subscribe())
            .filter_map(async |event| event.ok())
            .boxed()
    }

    async fn check(&self) -> Result<(), StorageError> {
        if self.down.load(SeqCst) {
            return Err(StorageError::new(
                ErrorKind::Unavailable,
                "reach",
                "the store",
            ));
        }
        Ok(())
    }
}

struct Setup {
    store: Arc<Moody>,
    deployments: Deployments,
    stop: CancellationToken,
}

impl Setup {
    async fn new() -> Self {
        let store = Arc::new(Moody {
            inner: EmbeddedRecords::in_memory().unwrap(),
            down: AtomicBool::new(false),
            reads: AtomicUsize::new(0),
            permits: Semaphore::new(1000),
            events: broadcast::channel(64).0,
        });
        let stop = CancellationToken::new();
        let records = Arc::clone(&store) as Arc<dyn RecordStore>;
        let tasks = TaskTracker::new();
        let deployments = Deployments::start(
            records,
            Delimiter::Hyphen,
            1 << 20,
            Instruments::default(),
            &tasks,
            stop.clone(),
        );
        let setup = Self {
            store,
            deployments,
            stop,
        };
        while setup.store.events.receiver_count() == 0 {
            tokio::task::yield_now().await;
        }
        setup.tell(ChangeEvent::Connected).await;
        setup
    }

    /// Tells a change, and waits until it was heard.
    async fn tell(&self, event: ChangeEvent) {
        self.store.events.send(event).unwrap();
        while !self.store.events.is_empty() {
            tokio::task::yield_now().await;
        }
        tokio::task::yield_now().await;
    }

    async fn publish(&self, host: &str, user: &str) {
        let json =
            format!(r#"{{"application_uid":"a.b.c","snapshot_id":"{user}.a.b.c","assets":{{}}}}"#);
        let document = SnapshotDocument::parse(json.into_bytes()).unwrap();
        let publish = Publish {
            name: name(host),
            application: "a.b.c".parse().unwrap(),
            snapshot_id: document.snapshot().snapshot_id.clone(),
            order: Order::Local {
                now_ms: 1,
                replica: String::new(),
            },
            manifest: None,
            version: false,
            takeover: false,
        };
        let changes = vec![Change::SnapshotStored(document), Change::Published(publish)];
        self.store.inner.commit(changes).await.unwrap();
    }

    /// Which user's build the host answers with.
    async fn user(&self, host: &str) -> Option<String> {
        let live = self.deployments.get(&name(host)).await.unwrap()?;
        let id = live.snapshot().snapshot_id.as_str();
        Some(id.split('.').next().unwrap().to_owned())
    }

    fn reads(&self) -> usize {
        self.store.reads.load(SeqCst)
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn name(host: &str) -> DeploymentName {
    host.parse::<Hostname>().unwrap().into()
}

#[tokio::test]
async fn a_followed_deployment_is_read_once() {
    let setup = Setup::new().await;
    setup.publish("a.test", "one").await;
    for _ in 0..10 {
        assert_eq!(setup.user("a.test").await.as_deref(), Some("one"));
    }
    assert_eq!(setup.reads(), 1);
    setup.publish("a.test", "two").await;
    setup.tell(ChangeEvent::Name(name("a.test"))).await;
    assert_eq!(setup.user("a.test").await.as_deref(), Some("two"));
    assert_eq!(setup.reads(), 2);
}

#[tokio::test]
async fn a_deployment_that_is_not_followed_is_read_each_time() {
    let setup = Setup::new().await;
    setup.publish("a.test", "one").await;
    assert_eq!(setup.user("a.test").await.as_deref(), Some("one"));
    setup.tell(ChangeEvent::Disconnected).await;
    setup.publish("a.test", "two").await;
    assert_eq!(setup.user("a.test").await.as_deref(), Some("two"));
    setup.publish("a.test", "three").await;
    assert_eq!(setup.user("a.test").await.as_deref(), Some("three"));
    // Once it is followed again, what was read before is read once more, and then not any more.
    setup.publish("a.test", "four").await;
    setup.tell(ChangeEvent::Connected).await;
    assert_eq!(setup.user("a.test").await.as_deref(), Some("four"));
    let reads = setup.reads();
    assert_eq!(setup.user("a.test").await.as_deref(), Some("four"));
    assert_eq!(setup.reads(), reads);
}

#[tokio::test]
async fn while_the_store_is_down_the_last_known_is_served() {
    let setup = Setup::new().await;
    setup.publish("a.test", "one").await;
    assert_eq!(setup.user("a.test").await.as_deref(), Some("one"));
    setup.store.down.store(true, SeqCst);
    setup.tell(ChangeEvent::Disconnected).await;
    for _ in 0..10 {
        assert_eq!(setup.user("a.test").await.as_deref(), Some("one"));
    }
    assert!(
        setup.reads() <= 3,
        "a store that is down is not asked for each request: {}",
        setup.reads()
    );
    assert!(setup.deployments.served_stale() >= 9);
    let unknown = setup.deployments.get(&name("b.test")).await;
    assert!(
        unknown.is_err(),
        "what is not known is an error, never absent"
    );

    setup.publish("a.test", "two").await;
    setup.store.down.store(false, SeqCst);
    setup.tell(ChangeEvent::Connected).await;
    assert_eq!(setup.user("a.test").await.as_deref(), Some("two"));
    assert_eq!(setup.user("b.test").await, None);
}

#[tokio::test]
async fn a_publish_right_after_an_outage_is_served_at_once() {
    let setup = Setup::new().await;
    setup.publish("a.test", "one").await;
    assert_eq!(setup.user("a.test").await.as_deref(), Some("one"));
    setup.store.down.store(true, SeqCst);
    setup.tell(ChangeEvent::Disconnected).await;
    assert_eq!(setup.user("a.test").await.as_deref(), Some("one"));
    // It answers the publish before anybody has noticed that it answers again.
    setup.store.down.store(false, SeqCst);
    setup.publish("a.test", "two").await;
    setup.deployments.changed(&name("a.test"));
    assert_eq!(setup.user("a.test").await.as_deref(), Some("two"));
}

#[tokio::test]
async fn absence_is_remembered_for_a_moment_and_dropped_by_a_change() {
    let setup = Setup::new().await;
    for _ in 0..10 {
        assert_eq!(setup.user("a.test").await, None);
    }
    assert_eq!(setup.reads(), 1);
    setup.publish("a.test", "one").await;
    setup.tell(ChangeEvent::Name(name("a.test"))).await;
    assert_eq!(setup.user("a.test").await.as_deref(), Some("one"));
}

#[tokio::test]
async fn many_who_wait_for_one_name_cause_one_read() {
    let setup = Setup::new().await;
    setup.publish("a.test", "one").await;
    let users = futures::future::join_all((0..100).map(|_| setup.user("a.test"))).await;
    assert!(users.iter().all(|user| user.as_deref() == Some("one")));
    assert_eq!(setup.reads(), 1);
}

#[tokio::test]
async fn a_read_from_before_a_change_does_not_count_after_it() {
    let setup = Setup::new().await;
    setup.publish("a.test", "one").await;
    setup.store.permits.forget_permits(1000);
    let begun_before = setup.user("a.test");
    let changed_while_it_hangs = async {
        while setup.reads() == 0 {
            tokio::task::yield_now().await;
        }
        // Let the read take its snapshot of the store before the change.
        tokio::time::sleep(Duration::from_millis(50)).await;
        setup.publish("a.test", "two").await;
        setup.deployments.changed(&name("a.test"));
        let after = setup.user("a.test");
        let release = async {
            while setup.reads() < 2 {
                tokio::task::yield_now().await;
            }
            setup.store.permits.add_permits(1000);
        };
        tokio::join!(after, release).0
    };
    let (before, after) = tokio::join!(begun_before, changed_while_it_hangs);
    assert_eq!(before.as_deref(), Some("one"));
    assert_eq!(after.as_deref(), Some("two"), "asked after the publish");
    assert_eq!(
        setup.user("a.test").await.as_deref(),
        Some("two"),
        "and it stays so"
    );
}

#[tokio::test]
async fn a_store_that_hangs_delays_the_last_known_once() {
    let setup = Setup::new().await;
    setup.publish("a.test", "one").await;
    assert_eq!(setup.user("a.test").await.as_deref(), Some("one"));
    setup.store.permits.forget_permits(1000);
    setup.tell(ChangeEvent::Disconnected).await;
    let asked = tokio::time::timeout(Duration::from_secs(10), setup.user("a.test")).await;
    assert_eq!(asked.expect("not for ever").as_deref(), Some("one"));
    let reads = setup.reads();
    let begun = Instant::now();
    for _ in 0..100 {
        assert_eq!(setup.user("a.test").await.as_deref(), Some("one"));
    }
    assert_eq!(setup.reads(), reads, "nobody asks again");
    assert!(begun.elapsed() < PATIENCE * 50, "nor waits again");
    setup.store.permits.add_permits(1000);
}

#[tokio::test]
async fn names_of_one_build_share_it() {
    let setup = Setup::new().await;
    for (host, user) in [("a.test", "one"), ("b.test", "one"), ("c.test", "two")] {
        setup.publish(host, user).await;
    }
    let live = async |host| setup.deployments.get(&name(host)).await.unwrap().unwrap();
    let (a, b, c) = (
        live("a.test").await,
        live("b.test").await,
        live("c.test").await,
    );
    assert!(Arc::ptr_eq(&a.build, &b.build));
    assert!(!Arc::ptr_eq(&a.build, &c.build));
    let id = &a.snapshot().snapshot_id;
    let version = setup.deployments.version(id).await.unwrap().unwrap();
    assert!(Arc::ptr_eq(&a.build, &version.build));
    // A change of one name is no change of the others.
    setup.tell(ChangeEvent::Name(name("a.test"))).await;
    let reads = setup.reads();
    live("b.test").await;
    assert_eq!(setup.reads(), reads);
    let again = live("a.test").await;
    assert_eq!(setup.reads(), reads + 1);
    assert!(Arc::ptr_eq(&a.build, &again.build));
}
