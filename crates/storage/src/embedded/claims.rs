//! Who has taken what. One process has the database, so this is kept in memory: after a restart nobody has anything.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use favonius_contract::replication::TargetRegion;
use tokio::time::Instant;

use crate::{CLAIMED_AFTER, Clock};

/// Events and roles that somebody has.
#[derive(Debug)]
pub(super) struct Claims {
    /// When the store was opened.
    begun: Instant,
    /// What tells how long that is ago, instead of the runtime.
    stopwatch: Option<Clock>,
    events: Mutex<HashMap<TargetRegion, Taken>>,
    /// Who has it, and until when.
    roles: Mutex<HashMap<String, (String, Duration)>>,
}

/// Which of a target's events are taken, by whom, and when something was heard last.
pub(super) type Taken = HashMap<u64, (String, Duration)>;

impl Claims {
    pub(super) fn new(stopwatch: Option<Clock>) -> Self {
        Self {
            begun: Instant::now(),
            stopwatch,
            events: Mutex::default(),
            roles: Mutex::default(),
        }
    }

    /// A time that only grows, whatever the time of day does.
    pub(super) fn now(&self) -> Duration {
        match &self.stopwatch {
            Some(clock) => Duration::from_millis(clock.now_ms()),
            None => self.begun.elapsed(),
        }
    }

    /// All claims. Events must be read while this is held, or two take the same.
    pub(super) fn events(&self) -> MutexGuard<'_, HashMap<TargetRegion, Taken>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The taker still has them.
    pub(super) fn hold(&self, target: &TargetRegion, taker: &str, numbers: &[u64], now: Duration) {
        if let Some(all) = self.events().get_mut(target) {
            for number in numbers {
                if let Some((who, since)) = all.get_mut(number)
                    && who == taker
                {
                    *since = now;
                }
            }
        }
    }

    /// The taker does not have them any more.
    pub(super) fn release(&self, target: &TargetRegion, taker: &str, numbers: &[u64]) {
        if let Some(all) = self.events().get_mut(target) {
            for number in numbers {
                if all.get(number).is_some_and(|(who, _)| who == taker) {
                    all.remove(number);
                }
            }
        }
    }

    /// They are not in the queue any more, so nobody can have them.
    pub(super) fn remove(&self, target: &TargetRegion, numbers: &[u64]) {
        if let Some(all) = self.events().get_mut(target) {
            for number in numbers {
                all.remove(number);
            }
        }
    }

    /// Takes a role unless somebody else has it.
    pub(super) fn lease(&self, role: &str, holder: &str, duration: Duration) -> bool {
        let now = self.now();
        let mut roles = self.roles.lock().unwrap_or_else(PoisonError::into_inner);
        roles.retain(|_, (_, until)| *until > now);
        if roles.get(role).is_some_and(|(who, _)| who != holder) {
            return false;
        }
        let until = now.saturating_add(duration);
        roles.insert(role.to_owned(), (holder.to_owned(), until));
        true
    }
}

/// Whether nobody has an event, or its taker is silent.
pub(super) fn is_free(taken: &Taken, number: u64, now: Duration) -> bool {
    taken
        .get(&number)
        .is_none_or(|(_, since)| now.saturating_sub(*since) >= CLAIMED_AFTER)
}

/// A time of day in milliseconds since the Unix epoch, and a while.
pub(super) fn after(now_ms: u64, duration: Duration) -> u64 {
    now_ms.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}
