//! Empties the queue of one target.
//!
//! 1. What the target does not answer for is given back and tried again after a while, which grows: any process of the region
//!    may be the one that gets through.
//! 2. What it refuses for good is buried with the reason, and the queue goes on.
//! 3. What it answers a few times that it cannot do is kept back, and the queue goes on.
//! 4. What is not all here yet is kept back and tried again for a while; then it is left to repair.

use std::{sync::Arc, time::Duration};

use favonius_contract::replication::{RegionEvent, TargetRegion};
use favonius_storage::{DeadLetter, EventId, QueuedEvent, StorageError};
use favonius_telemetry::instruments::Delivery;
use tokio::{
    sync::Notify,
    time::{Instant, MissedTickBehavior, interval, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{
    ReplicationStores,
    backoff::Backoff,
    courier::{Courier, Delivered, Undelivered},
    report::Report,
};

/// Events that are worked on at once.
const BATCH: usize = 64;
/// How often the queue is looked at when nobody says that there is something.
const LOOK: Duration = Duration::from_secs(1);
/// How often it is said that events are still being worked on.
const HOLD: Duration = Duration::from_secs(10);
/// How long something that is not all here is waited for.
const NOT_HERE_FOR: Duration = Duration::from_mins(2);
/// How often in a row a target may fail on an event before others are tried.
const FAILURES: u32 = 3;
/// How many events are kept back at most.
const KEPT_BACK: usize = 256;
/// Among how many dead letters one of the same content is looked for.
const LETTERS: usize = 1_000;
/// Longest wait that a target may ask for.
const LONGEST_RETRY_AFTER: Duration = Duration::from_mins(1);

/// Empties the queue of one target.
pub(crate) struct Sender {
    pub(crate) stores: ReplicationStores,
    pub(crate) target: TargetRegion,
    pub(crate) taker: String,
    pub(crate) courier: Courier,
    pub(crate) report: Arc<Report>,
    pub(crate) wake: Arc<Notify>,
    pub(crate) seed: u64,
}

/// What a sender has in its hands.
struct Hands {
    /// Events that are being worked on.
    batch: Vec<EventId>,
    kept_back: Vec<KeptBack>,
    backoff: Backoff,
    /// The event that the target failed on last, and how often in a row.
    failed: Option<(EventId, u32)>,
}

/// An event that is for later.
struct KeptBack {
    event: QueuedEvent,
    /// Until when it is waited for, if not for ever.
    until: Option<Instant>,
    again_at: Instant,
    backoff: Backoff,
}

/// What is to be done with the events of a batch.
#[derive(Default)]
struct Fates {
    done: Vec<EventId>,
    given_back: Vec<EventId>,
    buried: Vec<(QueuedEvent, String)>,
    not_here: Vec<(QueuedEvent, String)>,
    failed: Vec<(QueuedEvent, String)>,
    /// Whether the target was asked for something and answered.
    answered: bool,
    /// Why the target, or our own store, was not to be reached.
    down: Option<(String, Option<Duration>)>,
}

impl Sender {
    /// Runs until it is stopped. What was taken is then given back.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let mut hands = Hands {
            batch: Vec::new(),
            kept_back: Vec::new(),
            backoff: Backoff::new(self.seed),
            failed: None,
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = self.send(&mut hands) => {}
        }
        let kept_back = hands.kept_back.into_iter().map(|kept| kept.event.id);
        let all: Vec<EventId> = hands.batch.into_iter().chain(kept_back).collect();
        self.give_back(&all).await;
        self.courier.leave().await;
    }

    /// Never ends.
    async fn send(&self, hands: &mut Hands) {
        let mut pause = Duration::ZERO;
        let mut hold = interval(HOLD);
        hold.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.open(&mut hands.backoff).await;
        loop {
            let is_failing = hands.backoff.is_failing();
            let next = Instant::now() + if is_failing { pause } else { LOOK };
            let due = hands.kept_back.iter().map(|kept| kept.again_at).min();
            let until = due
                .filter(|_| !is_failing)
                .map_or(next, |due| due.min(next));
            loop {
                tokio::select! {
                    biased;
                    _ = hold.tick() => {
                        self.hold(hands.kept_back.iter().map(|kept| &kept.event)).await;
                    }
                    // While it does not answer, news changes nothing.
                    () = self.wake.notified(), if !is_failing => break,
                    () = sleep_until(until) => break,
                }
            }
            // Until the queue is empty, or something does not work.
            loop {
                match self.work(hands).await {
                    Worked::On => {}
                    Worked::Off => break,
                    Worked::Down(wait) => {
                        pause = wait;
                        break;
                    }
                }
            }
        }
    }

    /// Opens the queue, however often that takes.
    async fn open(&self, backoff: &mut Backoff) {
        while let Err(error) = self.stores.records.open_queue(&self.target).await {
            self.note_down(&error.to_string());
            sleep(backoff.next()).await;
        }
        backoff.reset();
    }
}

/// How a round of work ended.
enum Worked {
    /// There may be more to do.
    On,
    /// There is nothing to do.
    Off,
    /// Something does not answer: not before this time is over.
    Down(Duration),
}

impl Sender {
    /// Takes some events, delivers them, and does with each what came of it.
    async fn work(&self, hands: &mut Hands) -> Worked {
        // Of a target that did not answer only one event is tried.
        let limit = if hands.backoff.is_failing() { 1 } else { BATCH };
        let now = Instant::now();
        let mut batch: Vec<QueuedEvent> = hands
            .kept_back
            .iter()
            .filter(|kept| kept.again_at <= now)
            .take(limit)
            .map(|kept| kept.event.clone())
            .collect();
        let room = limit - batch.len();
        if room > 0 {
            match self
                .stores
                .records
                .take(&self.target, &self.taker, room)
                .await
            {
                // One that was kept back for too long without a word may come again.
                Ok(taken) => {
                    for event in taken {
                        if !batch.iter().any(|known| known.id == event.id) {
                            batch.push(event);
                        }
                    }
                }
                Err(error) => return self.down(&mut hands.backoff, &error.to_string(), None),
            }
        }
        if batch.is_empty() {
            if hands.backoff.is_failing() && hands.kept_back.is_empty() {
                // Another process got through, or has them: whether the target answers will be seen with the next.
                hands.backoff.reset();
                self.report.standing().last_error = None;
            }
            return Worked::Off;
        }
        hands.batch = batch.iter().map(|queued| queued.id.clone()).collect();
        let events: Vec<RegionEvent> = batch.iter().map(|queued| queued.event.clone()).collect();
        let outcomes = {
            let mut deliver = std::pin::pin!(self.courier.deliver(&events));
            let mut hold = interval(HOLD);
            hold.tick().await;
            loop {
                tokio::select! {
                    biased;
                    outcomes = &mut deliver => break outcomes,
                    _ = hold.tick() => {
                        let kept = hands.kept_back.iter().map(|kept| &kept.event);
                        self.hold(batch.iter().chain(kept)).await;
                    }
                }
            }
        };
        let fates = self.fates(batch, outcomes);
        let worked = self.settle(fates, hands).await;
        hands.batch.clear();
        worked
    }

    fn fates(
        &self,
        batch: Vec<QueuedEvent>,
        outcomes: Vec<Result<Delivered, Undelivered>>,
    ) -> Fates {
        let mut fates = Fates::default();
        for (queued, outcome) in batch.into_iter().zip(outcomes) {
            match outcome {
                Ok(delivered) => {
                    self.report.event(match delivered {
                        Delivered::Applied => Delivery::Delivered,
                        Delivered::NotNeeded => Delivery::Superseded,
                    });
                    fates.answered = true;
                    fates.done.push(queued.id);
                }
                Err(Undelivered::Unavailable { why, retry_after }) => {
                    self.report.event(Delivery::Retried);
                    fates.down.get_or_insert((why, retry_after));
                    fates.given_back.push(queued.id);
                }
                Err(Undelivered::Failed(why)) => fates.failed.push((queued, why)),
                Err(Undelivered::Refused(reason)) => {
                    fates.answered = true;
                    fates.buried.push((queued, reason));
                }
                Err(Undelivered::NotHere(why)) => fates.not_here.push((queued, why)),
            }
        }
        fates
    }

    async fn settle(&self, mut fates: Fates, hands: &mut Hands) -> Worked {
        let mut done = std::mem::take(&mut fates.done);
        if !done.is_empty() {
            self.report.standing().last_success_ms = Some(self.stores.clock.now_ms());
        }
        for (queued, why) in std::mem::take(&mut fates.not_here) {
            if !self.keep_back(hands, &queued, &why, Some(NOT_HERE_FOR)) {
                done.push(queued.id);
            }
        }
        for (queued, why) in std::mem::take(&mut fates.failed) {
            self.failed(hands, &mut fates, queued, why);
        }
        hands.kept_back.retain(|kept| {
            let id = &kept.event.id;
            !done.contains(id)
                && !fates.given_back.contains(id)
                && !fates.buried.iter().any(|(buried, _)| buried.id == *id)
        });
        let written_off = self.write_off(&done, &fates.buried).await;
        self.give_back(&fates.given_back).await;
        if let Err(error) = written_off {
            // They will be delivered once more, which changes nothing.
            let buried = fates.buried.into_iter().map(|(queued, _)| queued.id);
            done.extend(buried);
            self.give_back(&done).await;
            return self.down(&mut hands.backoff, &error.to_string(), None);
        }
        if let Some((why, retry_after)) = fates.down {
            return self.down(&mut hands.backoff, &why, retry_after);
        }
        if fates.answered {
            self.up(&mut hands.backoff);
        }
        Worked::On
    }

    /// The target answers that it cannot do something. It may be all that it can say now; when that goes on, it is this event, which
    /// is then kept back so that others get their turn.
    fn failed(&self, hands: &mut Hands, fates: &mut Fates, queued: QueuedEvent, why: String) {
        let before = match hands.failed.take() {
            Some((id, failures)) if id == queued.id => failures,
            _ => 0,
        };
        let is_kept = hands
            .kept_back
            .iter()
            .any(|kept| kept.event.id == queued.id);
        if (is_kept || before + 1 >= FAILURES) && self.keep_back(hands, &queued, &why, None) {
            self.report.standing().last_error = Some(why);
            return;
        }
        hands.failed = Some((queued.id.clone(), before + 1));
        self.report.event(Delivery::Retried);
        fates.down.get_or_insert((why, None));
        fates.given_back.push(queued.id);
    }

    async fn write_off(
        &self,
        done: &[EventId],
        buried: &[(QueuedEvent, String)],
    ) -> Result<(), StorageError> {
        let records = &self.stores.records;
        if !done.is_empty() {
            records.acknowledge(&self.target, done).await?;
        }
        for (queued, reason) in buried {
            self.report.event(Delivery::Buried);
            if queued.event.repair && self.is_buried(&queued.event).await? {
                // It was found again by comparing, and nobody has seen to it yet.
                let id = std::slice::from_ref(&queued.id);
                records.acknowledge(&self.target, id).await?;
                continue;
            }
            records.bury(&self.target, queued, reason).await?;
            tracing::error!(
                region = self.target.as_str(),
                event = queued.id.as_str(),
                reason,
                "A region refused a change for good: it is among its dead letters"
            );
        }
        Ok(())
    }

    /// Whether there is a dead letter of what an event says.
    async fn is_buried(&self, event: &RegionEvent) -> Result<bool, StorageError> {
        let records = &self.stores.records;
        let letters = records.dead_letters(&self.target, LETTERS).await?;
        let says_the_same = |letter: &DeadLetter| {
            serde_json::from_str::<RegionEvent>(&letter.event).is_ok_and(|buried| {
                let has = |record| buried.names.contains(record);
                let lists = |id| buried.snapshots.contains(id);
                event.names.iter().all(has) && event.snapshots.iter().all(lists)
            })
        };
        Ok(letters.iter().any(says_the_same))
    }

    /// Keeps an event for later. If that is for a while only, it is then left to repair, which `false` says.
    fn keep_back(
        &self,
        hands: &mut Hands,
        queued: &QueuedEvent,
        why: &str,
        patience: Option<Duration>,
    ) -> bool {
        let kept_back = &mut hands.kept_back;
        let now = Instant::now();
        if let Some(kept) = kept_back.iter_mut().find(|kept| kept.event.id == queued.id) {
            if kept.until.is_none_or(|until| now < until) {
                kept.again_at = now + kept.backoff.next();
                self.report.event(Delivery::Retried);
                return true;
            }
        } else if kept_back.len() < KEPT_BACK {
            let mut backoff = Backoff::new(self.seed ^ queued.queued_at_ms);
            kept_back.push(KeptBack {
                event: queued.clone(),
                until: patience.map(|patience| now + patience),
                again_at: now + backoff.next(),
                backoff,
            });
            self.report.event(Delivery::Retried);
            return true;
        }
        if patience.is_some() {
            self.report.event(Delivery::LeftToRepair);
            tracing::warn!(
                region = self.target.as_str(),
                event = queued.id.as_str(),
                why,
                "A change cannot be sent, as not all of it is here: it is left to repair"
            );
        }
        false
    }

    fn down(&self, backoff: &mut Backoff, why: &str, retry_after: Option<Duration>) -> Worked {
        if !backoff.is_failing() {
            tracing::warn!(
                region = self.target.as_str(),
                error = why,
                "A region cannot be sent to: trying again"
            );
        }
        self.note_down(why);
        let asked_for = retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER);
        Worked::Down(backoff.next().max(asked_for))
    }

    fn note_down(&self, why: &str) {
        self.report.standing().last_error = Some(why.to_owned());
    }

    fn up(&self, backoff: &mut Backoff) {
        if backoff.is_failing() {
            tracing::info!(
                region = self.target.as_str(),
                "A region can be sent to again"
            );
        }
        backoff.reset();
        self.report.standing().last_error = None;
    }

    /// Says that events are still being worked on. Should that fail, others may deliver them as well, which changes nothing.
    async fn hold(&self, events: impl Iterator<Item = &QueuedEvent>) {
        let ids: Vec<EventId> = events.map(|queued| queued.id.clone()).collect();
        if !ids.is_empty() {
            let held = self.stores.records.hold(&self.target, &self.taker, &ids);
            drop(held.await);
        }
    }

    /// Should that fail, they are claimed when this process was silent for long enough.
    async fn give_back(&self, events: &[EventId]) {
        if !events.is_empty() {
            let records = &self.stores.records;
            drop(records.release(&self.target, &self.taker, events).await);
        }
    }
}
