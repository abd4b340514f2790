//! Records that other regions are told of.

use std::time::Duration;

use async_trait::async_trait;
use favonius_contract::replication::{NameRecord, NameState, RegionEvent, TargetRegion};
use favonius_storage::{
    Applied, CLAIMED_AFTER, Change, CommitError, DeadLetter, EventId, QueueState, QueuedEvent,
    ReplicatedRecords, StateEntry, StorageError,
};
use futures::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};

use crate::{
    RedisRecords,
    keys::Key,
    outbox::{AT_ONCE, time_of},
    records::Inner,
    scripts::{CLAIM, FORGET},
};

/// States that one step of a scan asks for.
const SCAN_STEP: &str = "1000";
/// Longest that something is remembered: for ever, and still a time that Redis takes.
const LONGEST_MS: u64 = 1 << 42;

/// States as they stand in the hash: field and value.
type States = Vec<(Vec<u8>, Vec<u8>)>;

impl Inner {
    /// The next states, and where it goes on.
    async fn scan(&self, cursor: &str) -> Result<(States, Option<String>), StorageError> {
        let key = self.keys.text(Key::States);
        let (next, states): (String, States) = self
            .ask(
                "list states in",
                "HSCAN",
                &key,
                &[cursor, "COUNT", SCAN_STEP],
            )
            .await?;
        Ok((states, (next != "0").then_some(next)))
    }

    /// Whether a key is this holder's for so long.
    async fn claim(
        &self,
        doing: &'static str,
        key: Key<'_>,
        holder: &str,
        duration: Duration,
    ) -> Result<bool, StorageError> {
        let duration = u64::try_from(duration.as_millis()).unwrap_or(LONGEST_MS);
        let duration = duration.clamp(1, LONGEST_MS).to_string();
        let arguments = [holder.as_bytes().into(), duration.as_bytes().into()];
        self.run(doing, &CLAIM, &[self.keys.text(key)], &arguments)
            .await
    }
}

/// What cannot be read is left out: to another region it is lacking, and is written anew.
fn state((field, value): &(Vec<u8>, Vec<u8>)) -> Option<StateEntry> {
    let field = str::from_utf8(field).ok()?;
    if let Some(id) = field.strip_prefix("s:") {
        return id.parse().ok().map(StateEntry::Snapshot);
    }
    let name = field.strip_prefix("n:")?.parse().ok()?;
    let state = serde_json::from_slice(value).ok()?;
    Some(StateEntry::Name(NameRecord { name, state }))
}

fn is_removal_before(entry: &(Vec<u8>, Vec<u8>), time_ms: u64) -> bool {
    match state(entry) {
        Some(StateEntry::Name(NameRecord {
            state: NameState::Removed(removal),
            ..
        })) => removal.published_at < time_ms,
        _ => false,
    }
}

#[async_trait]
impl ReplicatedRecords for RedisRecords {
    async fn commit_replicated(&self, changes: Vec<Change>) -> Result<Vec<Applied>, CommitError> {
        self.0.commit(&changes, false).await
    }

    fn states(&self) -> BoxStream<'static, Result<StateEntry, StorageError>> {
        let store = self.clone();
        let pages = stream::try_unfold(Some("0".to_owned()), move |cursor| {
            let store = store.clone();
            async move {
                let Some(cursor) = cursor else {
                    return Ok(None);
                };
                let (states, next) = store.0.scan(&cursor).await?;
                let entries: Vec<StateEntry> = states.iter().filter_map(state).collect();
                Ok(Some((entries, next)))
            }
        });
        pages
            .map_ok(|entries| stream::iter(entries.into_iter().map(Ok)))
            .try_flatten()
            .boxed()
    }

    async fn forget_removals(&self, before_ms: u64) -> Result<u64, StorageError> {
        let keys = [self.0.keys.text(Key::States)];
        let mut forgotten = 0;
        let mut cursor = Some("0".to_owned());
        while let Some(here) = cursor {
            let (mut states, next) = self.0.scan(&here).await?;
            states.retain(|entry| is_removal_before(entry, before_ms));
            for some in states.chunks(AT_ONCE) {
                let pairs = some.iter().flat_map(|(field, value)| [field, value]);
                let arguments: Vec<_> = pairs.map(|bytes| bytes.as_slice().into()).collect();
                let count: u64 = self
                    .0
                    .run("forget removals in", &FORGET, &keys, &arguments)
                    .await?;
                forgotten += count;
            }
            cursor = next;
        }
        Ok(forgotten)
    }

    async fn use_once(&self, name: &str, remember: Duration) -> Result<bool, StorageError> {
        // Each call is a holder of its own: when it is made again as its answer was lost, it is not its own rival.
        let holder = format!("{:032x}", rand::random::<u128>());
        self.0
            .claim("use once", Key::Once(name), &holder, remember)
            .await
    }

    async fn lease(
        &self,
        role: &str,
        holder: &str,
        duration: Duration,
    ) -> Result<bool, StorageError> {
        self.0
            .claim("take a role by", Key::Lease(role), holder, duration)
            .await
    }

    async fn open_queue(&self, target: &TargetRegion) -> Result<(), StorageError> {
        self.0.open_queue(target).await
    }

    async fn take(
        &self,
        target: &TargetRegion,
        taker: &str,
        limit: usize,
    ) -> Result<Vec<QueuedEvent>, StorageError> {
        let mut events = Vec::new();
        // Those that are for others, or cannot be read, are not what was asked for.
        while events.len() < limit {
            let asked = AT_ONCE.min(limit - events.len());
            let (entries, more) = self.0.take_some(target, taker, asked).await?;
            for entry in entries {
                match serde_json::from_slice(&entry.json) {
                    Ok(event) => events.push(QueuedEvent {
                        event,
                        queued_at_ms: time_of(entry.id.as_str()),
                        id: entry.id,
                    }),
                    Err(error) => {
                        let reason = format!("it cannot be read: {error}");
                        self.0
                            .bury_json(target, &entry.id, &entry.json, &reason)
                            .await?;
                    }
                }
            }
            if !more {
                break;
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
        self.0
            .set_silence("keep events of", target, taker, 0, events)
            .await
    }

    async fn release(
        &self,
        target: &TargetRegion,
        taker: &str,
        events: &[EventId],
    ) -> Result<(), StorageError> {
        let silence = CLAIMED_AFTER.as_millis();
        self.0
            .set_silence("give back events to", target, taker, silence, events)
            .await
    }

    async fn acknowledge(
        &self,
        target: &TargetRegion,
        events: &[EventId],
    ) -> Result<(), StorageError> {
        self.0.acknowledge_all(target, events).await
    }

    async fn bury(
        &self,
        target: &TargetRegion,
        event: &QueuedEvent,
        reason: &str,
    ) -> Result<(), StorageError> {
        let json = json(&event.event);
        self.0
            .bury_json(target, &event.id, json.as_bytes(), reason)
            .await
    }

    async fn enqueue(
        &self,
        target: &TargetRegion,
        events: Vec<RegionEvent>,
    ) -> Result<(), StorageError> {
        let events: Vec<String> = events.iter().map(json).collect();
        self.0.enqueue_json(target, &events).await
    }

    async fn queue_state(&self, target: &TargetRegion) -> Result<QueueState, StorageError> {
        self.0.state_of(target).await
    }

    async fn queues(&self) -> Result<Vec<TargetRegion>, StorageError> {
        self.0.open_queues().await
    }

    async fn dead_letters(
        &self,
        target: &TargetRegion,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, StorageError> {
        self.0.letters(target, "+", limit).await
    }

    async fn retry(
        &self,
        target: &TargetRegion,
        letters: Option<&[EventId]>,
    ) -> Result<u64, StorageError> {
        if let Some(letters) = letters {
            return self.0.retry_some(target, letters).await;
        }
        // Up to the last of now: those that are buried again meanwhile would have no end.
        let Some(last) = self.0.last_letter(target).await? else {
            return Ok(0);
        };
        let mut count = 0;
        loop {
            let letters = self.0.letters(target, &last, AT_ONCE).await?;
            if letters.is_empty() {
                return Ok(count);
            }
            let ids: Vec<EventId> = letters.into_iter().map(|letter| letter.id).collect();
            count += self.0.retry_some(target, &ids).await?;
        }
    }

    async fn trim(&self, keep_from_ms: u64) -> Result<Vec<(TargetRegion, u64)>, StorageError> {
        let lost = self.0.trim_all(keep_from_ms).await?;
        let known = |(target, count): (String, u64)| Some((target.parse().ok()?, count));
        Ok(lost.into_iter().filter_map(known).collect())
    }
}

fn json(event: &RegionEvent) -> String {
    serde_json::to_string(event).expect("plain fields always serialise")
}
