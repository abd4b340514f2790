//! Whose turn it is to send an application's files to a region. Two events often need the same files, and may be in the hands of
//! two processes of this region: they are to cross once.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use favonius_contract::{ApplicationUid, replication::TargetRegion};
use favonius_storage::{ReplicatedRecords, StorageError};
use tokio::{
    sync::OwnedMutexGuard,
    time::{Instant, sleep},
};

/// For how long a turn lasts; it is renewed. One of a process that died ends by itself.
const TURN: Duration = Duration::from_secs(30);
/// How long something is kept that is given back.
const AT_ONCE: Duration = Duration::from_millis(1);
/// How often it is asked whether another process is done.
const POLL: Duration = Duration::from_millis(50);
/// How long it is waited for another process: longer than a turn of one that died.
const PATIENCE: Duration = Duration::from_secs(40);

/// Turns of one target. Within a process they are locks, between those of a region leases.
#[derive(Debug)]
pub(crate) struct Turns {
    records: Arc<dyn ReplicatedRecords>,
    target: TargetRegion,
    taker: String,
    locks: Mutex<HashMap<ApplicationUid, Arc<tokio::sync::Mutex<()>>>>,
    leases: Mutex<HashSet<String>>,
}

/// A turn, to be ended with [`Turns::end`].
#[derive(Debug)]
pub(crate) struct Turn {
    role: String,
    _lock: OwnedMutexGuard<()>,
}

impl Turns {
    pub(crate) fn new(
        records: Arc<dyn ReplicatedRecords>,
        target: TargetRegion,
        taker: String,
    ) -> Self {
        Self {
            records,
            target,
            taker,
            locks: Mutex::default(),
            leases: Mutex::default(),
        }
    }

    /// Waits for the turn. `None` when another process has it for too long.
    pub(crate) async fn wait(
        &self,
        application: &ApplicationUid,
    ) -> Result<Option<Turn>, StorageError> {
        let lock = {
            let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
            // Those that nobody waits for are made anew when they are needed.
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
            Arc::clone(locks.entry(application.clone()).or_default())
        };
        let lock = lock.lock_owned().await;
        let role = format!("send:{}:{application}", self.target);
        let until = Instant::now() + PATIENCE;
        while !self.lease(&role).await? {
            if Instant::now() >= until {
                return Ok(None);
            }
            sleep(POLL).await;
        }
        self.leases().insert(role.clone());
        Ok(Some(Turn { role, _lock: lock }))
    }

    /// Does the work, and keeps the turn meanwhile.
    pub(crate) async fn during<T>(&self, turn: &Turn, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                // Should that fail, another process may send the same, which costs time and nothing else.
                () = sleep(TURN / 3) => drop(self.lease(&turn.role).await),
            }
        }
    }

    /// The next one may begin at once.
    pub(crate) async fn end(&self, turn: Turn) {
        self.leases().remove(&turn.role);
        self.give_back(&turn.role).await;
    }

    /// Ends turns whose work was given up half way.
    pub(crate) async fn end_all(&self) {
        let roles: Vec<String> = self.leases().drain().collect();
        for role in roles {
            self.give_back(&role).await;
        }
    }

    async fn lease(&self, role: &str) -> Result<bool, StorageError> {
        self.records.lease(role, &self.taker, TURN).await
    }

    async fn give_back(&self, role: &str) {
        // Should that fail, it ends by itself.
        drop(self.records.lease(role, &self.taker, AT_ONCE).await);
    }

    fn leases(&self) -> MutexGuard<'_, HashSet<String>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
