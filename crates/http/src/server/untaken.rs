//! Ends HTTP/2 streams whose peer takes nothing.
//!
//! On HTTP/1.1 a peer that takes nothing stops the connection, and the guard ends that. An HTTP/2 connection goes on for its
//! other streams; what stops is one stream's body, from which nobody asks for more. So each stream's task carries a note of when
//! its body last gave something, and is dropped, which resets the stream, when nobody came for the rest for too long.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

tokio::task_local! {
    static NOTE: Note;
}

/// When a body last gave something; `None` while it has nothing to give. Clones share it.
#[derive(Debug, Clone, Default)]
struct Note(Arc<Mutex<Option<Instant>>>);

impl Note {
    fn get(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    /// Resolves when what was given has been the last for this long.
    async fn untaken_for(&self, limit: Duration) {
        loop {
            let until = match self.get() {
                None => Instant::now() + limit,
                Some(since) if since.elapsed() >= limit => return,
                Some(since) => since + limit,
            };
            tokio::time::sleep_until(until).await;
        }
    }
}

/// Runs a stream's task to its end, or until its peer has taken nothing for this long.
pub(super) async fn bounded<F: Future>(limit: Duration, stream: F) -> Option<F::Output> {
    let note = Note::default();
    tokio::select! {
        // First: a stream that ends at once needs no timer.
        biased;
        output = NOTE.scope(note.clone(), stream) => Some(output),
        () = note.untaken_for(limit) => {
            tracing::debug!("A stream was ended because its peer takes nothing of it");
            None
        }
    }
}

/// A body tells that it gave something, or that it has nothing to give. Outside of a stream's task this does nothing.
pub(super) fn note(gave: bool) {
    // There is no note on HTTP/1.1.
    NOTE.try_with(|note| note.set(gave.then(Instant::now))).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_mins(1);

    /// What a body does: whether it gives something, and for how many seconds nothing else happens.
    type Step = (bool, u64);

    async fn stream(steps: &[Step]) {
        for (gives, seconds) in steps {
            note(*gives);
            tokio::time::sleep(Duration::from_secs(*seconds)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_nobody_takes_is_ended() {
        let cases: [(&str, &[Step], Option<u64>); 6] = [
            ("ends at once", &[], None),
            ("taken slowly", &[(true, 59), (true, 59), (true, 59)], None),
            ("has nothing to give", &[(false, 1000)], None),
            ("never taken", &[(true, 1000)], Some(60)),
            (
                "not taken in the end",
                &[(false, 100), (true, 1000)],
                Some(160),
            ),
            (
                "given, then waits, then not taken",
                &[(true, 30), (false, 300), (true, 61)],
                Some(390),
            ),
        ];
        for (name, steps, ended_after) in cases {
            let begun = Instant::now();
            let whole = bounded(LIMIT, stream(steps)).await.is_some();
            assert_eq!(whole, ended_after.is_none(), "case `{name}`");
            if let Some(seconds) = ended_after {
                assert_eq!(begun.elapsed().as_secs(), seconds, "case `{name}`");
            }
        }
    }

    #[test]
    fn nothing_happens_outside_of_a_stream() {
        note(true);
    }
}
