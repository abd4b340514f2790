//! Waiting for something to become true.

use std::fmt::Debug;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

/// Calls `check` every 20 ms until it is `Ok` and returns what it then gives. An `Err` says what was seen instead.
///
/// ```
/// # use std::time::Duration;
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let mut asked = 0;
/// let answer = favonius_testing::eventually("the third answer", Duration::from_secs(5), async || {
///     asked += 1;
///     if asked == 3 { Ok("yes") } else { Err(format!("asked {asked} times")) }
/// })
/// .await;
/// assert_eq!(answer, "yes");
/// # });
/// ```
///
/// # Panics
/// When `deadline` has passed, also in the middle of a check, with `what` and the last `Err`.
pub async fn eventually<T, S: Debug>(
    what: &str,
    deadline: Duration,
    mut check: impl AsyncFnMut() -> Result<T, S>,
) -> T {
    let end = Instant::now() + deadline;
    let mut last = None;
    loop {
        let Ok(outcome) = timeout_at(end, check()).await else {
            panic!("not within {deadline:?}: {what}; a check did not end, before it: {last:?}");
        };
        match outcome {
            Ok(value) => return value,
            Err(state) => last = Some(state),
        }
        assert!(
            Instant::now() < end,
            "not within {deadline:?}: {what}; last seen: {last:?}"
        );
        sleep(Duration::from_millis(20)).await;
    }
}

/// The same for code that is not async: `check` gives `Ok(Some(value))` when done, `Ok(None)` to be asked again and `Err(why)` to
/// give up at once.
pub(crate) fn wait_blocking<T>(
    what: &str,
    deadline: Duration,
    mut check: impl FnMut() -> Result<Option<T>, String>,
) -> Result<T, String> {
    let end = std::time::Instant::now() + deadline;
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(value) = check()? {
            return Ok(value);
        }
        if std::time::Instant::now() >= end {
            return Err(format!("not within {deadline:?}: {what}"));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    #[should_panic(expected = "the moon is blue; last seen: Some(\"white\")")]
    async fn the_last_state_is_in_the_panic() {
        eventually("the moon is blue", Duration::from_secs(1), async || {
            Err::<(), _>("white")
        })
        .await;
    }

    #[tokio::test(start_paused = true)]
    #[should_panic(expected = "an answer; a check did not end, before it: None")]
    async fn a_check_that_hangs_does_not_hang_the_test() {
        eventually("an answer", Duration::from_secs(1), async || {
            std::future::pending::<Result<(), ()>>().await
        })
        .await;
    }
}
