//! People who deploy: what they were told is done is written down, to be compared with what became of it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use favonius_contract::{
    ApplicationUid, AssetHash, AssetRef, DeploymentName, SnapshotDocument, SnapshotId,
    replication::NameState,
};
use favonius_replication::{ReplicationStores, Replicator};
use favonius_storage::{Change, Claim, CommitError, HashCheck, Order, Publish, Remove, StateEntry};
use futures::{StreamExt, stream};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::json;
use tokio::time::sleep;

use crate::regions::APPLICATIONS;

/// Names that are fought for.
const NAMES: [&str; 4] = ["www.test", "shop.test", "beta.test", "blog.test"];

/// What people were told is done.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// The newest state of each name that was acknowledged.
    pub(crate) names: BTreeMap<DeploymentName, NameState>,
    pub(crate) snapshots: Vec<SnapshotId>,
    pub(crate) count: u64,
    /// People go home at the end.
    pub(crate) is_over: bool,
}

/// Someone who deploys to one worker.
pub(crate) struct Deployer {
    pub(crate) worker: String,
    pub(crate) stores: ReplicationStores,
    pub(crate) replicator: Replicator,
    pub(crate) ledger: Arc<Mutex<Ledger>>,
    pub(crate) random: StdRng,
    pub(crate) builds: u64,
}

impl Deployer {
    pub(crate) fn new(
        worker: &str,
        stores: ReplicationStores,
        replicator: Replicator,
        ledger: Arc<Mutex<Ledger>>,
        seed: u64,
    ) -> Self {
        Self {
            worker: worker.to_owned(),
            stores,
            replicator,
            ledger,
            random: StdRng::seed_from_u64(seed),
            builds: seed % 1_000_000 * 1_000,
        }
    }

    pub(crate) async fn run(mut self) {
        loop {
            let wait = self.random.random_range(50..4_000);
            sleep(Duration::from_millis(wait)).await;
            if self.ledger.lock().unwrap().is_over {
                return;
            }
            if self.random.random_bool(0.12) {
                self.remove().await;
            } else {
                self.deploy().await;
            }
        }
    }

    async fn deploy(&mut self) {
        let application: ApplicationUid = self.one_of(&APPLICATIONS).parse().unwrap();
        let document = self.build(&application).await;
        let id = document.snapshot().snapshot_id.clone();
        let version = format!("{}.v.test", id.as_str().replace('.', "-"));
        let changes = vec![
            Change::SnapshotStored(document),
            self.publish(&version, &application, &id, true),
        ];
        if !self.commit(changes).await {
            return;
        }
        self.ledger.lock().unwrap().snapshots.push(id.clone());
        self.pause().await;
        let mut changes = Vec::new();
        for name in NAMES {
            if self.random.random_bool(0.4) {
                changes.push(self.publish(name, &application, &id, false));
            }
        }
        if !changes.is_empty() {
            self.commit(changes).await;
        }
    }

    /// Uploads the files of a build; some of them are those of earlier ones.
    async fn build(&mut self, application: &ApplicationUid) -> SnapshotDocument {
        self.builds += 1;
        let id = format!("{}-{}.{application}", self.worker, self.builds);
        let mut assets = serde_json::Map::new();
        for number in 0..self.random.random_range(1..5) {
            let content = if self.random.random_bool(0.3) {
                format!("shared {number}")
            } else {
                format!("{number} of {id}")
            };
            // The client hashes a path without the base.
            let hashed = format!("assets/{number}.js");
            let asset = AssetRef {
                hash: AssetHash::of(content.as_bytes(), &hashed),
                size: content.len() as u64,
            };
            let claim = Claim {
                asset,
                path: &hashed,
                path_is_listed: false,
                content_hash_too: false,
                check: HashCheck::Strict,
            };
            let body = stream::iter([Ok::<_, std::io::Error>(Bytes::from(content))]);
            self.stores.assets.put(claim, body).await.unwrap();
            self.pause().await;
            let stored = Change::AssetStored {
                application: application.clone(),
                asset,
            };
            self.stores.records.commit(vec![stored]).await.unwrap();
            let path = format!("base/{hashed}");
            let entry = json!({"path": path, "hash": asset.hash.to_string(), "size": asset.size});
            assets.insert(path, entry);
            self.pause().await;
        }
        let json = json!({
            "application_uid": application,
            "snapshot_id": id,
            "createdAt": self.stores.clock.now_ms(),
            "assets": assets,
        });
        SnapshotDocument::parse(json.to_string().into_bytes()).unwrap()
    }

    async fn remove(&mut self) {
        let name = self.one_of(&NAMES);
        let application = self.one_of(&APPLICATIONS);
        let change = Change::Removed(Remove {
            name: name.parse().unwrap(),
            application: application.parse().unwrap(),
            order: self.order(),
            takeover: self.random.random_bool(0.5),
        });
        self.commit(vec![change]).await;
    }

    fn publish(
        &mut self,
        name: &str,
        application: &ApplicationUid,
        id: &SnapshotId,
        version: bool,
    ) -> Change {
        Change::Published(Publish {
            name: name.parse().unwrap(),
            application: application.clone(),
            snapshot_id: id.clone(),
            order: self.order(),
            manifest: None,
            version,
            takeover: self.random.random_bool(0.5),
        })
    }

    fn order(&self) -> Order {
        Order::Local {
            now_ms: self.stores.clock.now_ms(),
            replica: self.worker.clone(),
        }
    }

    /// Commits, and writes down what is so from now on. Tells whether it was allowed.
    async fn commit(&mut self, changes: Vec<Change>) -> bool {
        let names: Vec<DeploymentName> = changes
            .iter()
            .filter_map(|change| match change {
                Change::Published(publish) => Some(publish.name.clone()),
                Change::Removed(remove) => Some(remove.name.clone()),
                _ => None,
            })
            .collect();
        match self.stores.records.commit(changes).await {
            Ok(_) => {}
            Err(CommitError::Rejected(_)) => return false,
            Err(CommitError::Storage(error)) => panic!("{error}"),
        }
        // Nothing comes between this and the commit: what is read is what was written.
        self.acknowledge(&names);
        self.replicator.wake();
        true
    }

    fn acknowledge(&self, names: &[DeploymentName]) {
        let mut states = self.stores.records.states();
        let mut ledger = self.ledger.lock().unwrap();
        ledger.count += 1;
        while let Some(Some(entry)) = futures::FutureExt::now_or_never(states.next()) {
            let StateEntry::Name(record) = entry.unwrap() else {
                continue;
            };
            if !names.contains(&record.name) {
                continue;
            }
            let known = ledger.names.get(&record.name);
            if known.is_none_or(|known| record.state.is_newer_than(known)) {
                ledger.names.insert(record.name, record.state);
            }
        }
    }

    fn one_of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.random.random_range(0..all.len())]
    }

    async fn pause(&mut self) {
        if self.random.random_bool(0.5) {
            let wait = self.random.random_range(1..300);
            sleep(Duration::from_millis(wait)).await;
        }
    }
}
