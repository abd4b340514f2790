//! Records that other regions are told of.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use favonius_contract::replication::{RegionEvent, TargetRegion};
use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use redb::ReadableDatabase;

use super::{
    EmbeddedRecords, claims, outbox,
    states::{self, Cursor},
    steps::json,
};
use crate::{
    Applied, Change, CommitError, DeadLetter, EventId, QueueState, QueuedEvent, ReplicatedRecords,
    StateEntry, StorageError,
};

#[async_trait]
impl ReplicatedRecords for EmbeddedRecords {
    async fn commit_replicated(&self, changes: Vec<Change>) -> Result<Vec<Applied>, CommitError> {
        self.commit_and_announce(changes, false).await
    }

    fn states(&self) -> BoxStream<'static, Result<StateEntry, StorageError>> {
        let store = self.clone();
        // One view for all of them: a name that changes its table meanwhile would be missed.
        let begin = async move {
            let view = |db: &redb::Database| Ok(db.begin_read()?);
            let view = store.read_database("list", "states".into(), view).await?;
            Ok::<_, StorageError>((store, Some(Cursor::new(view))))
        };
        stream::once(begin)
            .map_ok(|begin| {
                stream::try_unfold(begin, |(store, cursor)| async move {
                    let Some(cursor) = cursor else {
                        return Ok(None);
                    };
                    let page = move |_: &redb::Database| cursor.read();
                    let (found, next) = store.read_database("list", "states".into(), page).await?;
                    let found = stream::iter(found.into_iter().map(Ok));
                    Ok::<_, StorageError>(Some((found, (store, next))))
                })
                .try_flatten()
            })
            .try_flatten()
            .boxed()
    }

    async fn forget_removals(&self, before_ms: u64) -> Result<u64, StorageError> {
        self.write(move |tables, _| states::forget_removals(tables, before_ms))
            .await
    }

    async fn use_once(&self, name: &str, remember: Duration) -> Result<bool, StorageError> {
        let name = name.to_owned();
        let now_ms = self.clock.now_ms();
        let until_ms = claims::after(now_ms, remember);
        self.write(move |tables, _| states::use_once(tables, &name, now_ms, until_ms))
            .await
    }

    async fn lease(
        &self,
        role: &str,
        holder: &str,
        duration: Duration,
    ) -> Result<bool, StorageError> {
        Ok(self.claims.lease(role, holder, duration))
    }

    async fn open_queue(&self, target: &TargetRegion) -> Result<(), StorageError> {
        let target = target.clone();
        self.write(move |tables, _| outbox::open(tables, &target))
            .await
    }

    async fn take(
        &self,
        target: &TargetRegion,
        taker: &str,
        limit: usize,
    ) -> Result<Vec<QueuedEvent>, StorageError> {
        let now = self.claims.now();
        let claims = Arc::clone(&self.claims);
        let (key, who) = (target.clone(), taker.to_owned());
        let take = move |db: &redb::Database| {
            let mut all = claims.events();
            let claimed = all.entry(key.clone()).or_default();
            let view = db.begin_read()?;
            let is_free = |number| claims::is_free(claimed, number, now);
            let found = outbox::waiting(&view, &key, limit, is_free)?;
            for event in found.iter().filter(|waiting| waiting.event.is_ok()) {
                claimed.insert(event.number, (who.clone(), now));
            }
            Ok(found)
        };
        let found = self
            .read_database("take events of", target.to_string(), take)
            .await?;
        let mut events = Vec::with_capacity(found.len());
        for waiting in found {
            match waiting.event {
                Ok(event) => events.push(QueuedEvent {
                    id: outbox::id_of(waiting.number),
                    event,
                    queued_at_ms: waiting.queued_at_ms,
                }),
                Err(error) => {
                    let reason = format!("it cannot be read: {error}");
                    self.bury_number(target, waiting.number, reason).await?;
                }
            }
        }
        Ok(events)
    }

    async fn hold(
        &self,
        target: &TargetRegion,
        taker: &str,
        events: &[EventId],
    ) -> Result<(), StorageError> {
        let numbers = outbox::numbers(events);
        self.claims.hold(target, taker, &numbers, self.claims.now());
        Ok(())
    }

    async fn release(
        &self,
        target: &TargetRegion,
        taker: &str,
        events: &[EventId],
    ) -> Result<(), StorageError> {
        self.claims.release(target, taker, &outbox::numbers(events));
        Ok(())
    }

    async fn acknowledge(
        &self,
        target: &TargetRegion,
        events: &[EventId],
    ) -> Result<(), StorageError> {
        let numbers = outbox::numbers(events);
        let (told, done) = (target.clone(), numbers.clone());
        self.write(move |tables, _| outbox::acknowledge(tables, &told, &done))
            .await?;
        self.claims.remove(target, &numbers);
        Ok(())
    }

    async fn bury(
        &self,
        target: &TargetRegion,
        event: &QueuedEvent,
        reason: &str,
    ) -> Result<(), StorageError> {
        for number in outbox::numbers(std::slice::from_ref(&event.id)) {
            self.bury_number(target, number, reason.to_owned()).await?;
        }
        Ok(())
    }

    async fn enqueue(
        &self,
        target: &TargetRegion,
        events: Vec<RegionEvent>,
    ) -> Result<(), StorageError> {
        let (target, now_ms) = (target.clone(), self.clock.now_ms());
        self.write(move |tables, _| {
            events
                .iter()
                .try_for_each(|event| outbox::enqueue(tables, &target, &json(event), now_ms))
        })
        .await
    }

    async fn queue_state(&self, target: &TargetRegion) -> Result<QueueState, StorageError> {
        let key = target.clone();
        self.read("read the queue of", target.to_string(), move |view| {
            outbox::state(view, &key)
        })
        .await
    }

    async fn queues(&self) -> Result<Vec<TargetRegion>, StorageError> {
        self.read("list", "queues".into(), outbox::queues).await
    }

    async fn dead_letters(
        &self,
        target: &TargetRegion,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, StorageError> {
        let key = target.clone();
        self.read("list dead letters of", target.to_string(), move |view| {
            outbox::letters(view, &key, limit)
        })
        .await
    }

    async fn retry(
        &self,
        target: &TargetRegion,
        letters: Option<&[EventId]>,
    ) -> Result<u64, StorageError> {
        let numbers = letters.map(outbox::numbers);
        let (target, now_ms) = (target.clone(), self.clock.now_ms());
        self.write(move |tables, _| outbox::retry(tables, &target, numbers, now_ms))
            .await
    }

    async fn trim(&self, keep_from_ms: u64) -> Result<Vec<(TargetRegion, u64)>, StorageError> {
        let trimmed = self
            .write(move |tables, _| outbox::trim(tables, keep_from_ms))
            .await?;
        for (target, numbers) in &trimmed {
            self.claims.remove(target, numbers);
        }
        let count = |numbers: Vec<u64>| u64::try_from(numbers.len()).unwrap_or(u64::MAX);
        Ok(trimmed
            .into_iter()
            .map(|(target, numbers)| (target, count(numbers)))
            .collect())
    }
}

impl EmbeddedRecords {
    async fn bury_number(
        &self,
        target: &TargetRegion,
        number: u64,
        reason: String,
    ) -> Result<(), StorageError> {
        let (key, now_ms) = (target.clone(), self.clock.now_ms());
        self.write(move |tables, _| outbox::bury(tables, &key, number, &reason, now_ms))
            .await?;
        self.claims.remove(target, &[number]);
        Ok(())
    }
}
