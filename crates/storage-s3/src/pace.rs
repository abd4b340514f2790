//! Time limits.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures::{Stream, stream::BoxStream};
use object_store::{Error, Result};
use tokio::time::{Instant, Sleep, sleep, timeout};
use tracing::Span;

/// A timer that is looked at this much later than it rang was not waited for.
const LATE: Duration = Duration::from_secs(1);

/// The time for an operation, or for the next piece of a stream, is over.
#[derive(Debug, thiserror::Error)]
#[error("no answer from S3 within {0:?}")]
pub(crate) struct TimedOut(Duration);

fn timed_out(limit: Duration) -> Error {
    Error::Generic {
        store: crate::store::NAME,
        source: Box::new(TimedOut(limit)),
    }
}

/// Gives the call this much time for all that it does.
pub(crate) async fn within<T>(limit: Duration, call: impl Future<Output = Result<T>>) -> Result<T> {
    match timeout(limit, call).await {
        Ok(outcome) => outcome,
        Err(_) => Err(timed_out(limit)),
    }
}

/// Gives each item of a stream this much time, counted only while the reader waits for it.
///
/// The time of a reader that goes away while it waits, and comes back after the limit, begins anew: the silence was its own.
pub(crate) struct Paced<T> {
    items: Option<BoxStream<'static, Result<T>>>,
    limit: Duration,
    /// Runs while the reader waits.
    timer: Option<Pin<Box<Sleep>>>,
    span: Span,
}

impl<T> Paced<T> {
    /// What the stream does is done in this span.
    pub(crate) fn new(items: BoxStream<'static, Result<T>>, limit: Duration, span: Span) -> Self {
        Self {
            items: Some(items),
            limit,
            timer: None,
            span,
        }
    }
}

impl<T> Stream for Paced<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        let this = &mut *self;
        let Some(items) = &mut this.items else {
            return Poll::Ready(None);
        };
        // The item first: it may be here although the timer has rung.
        if let Poll::Ready(item) = this.span.in_scope(|| items.as_mut().poll_next(cx)) {
            this.timer = None;
            return Poll::Ready(item);
        }
        let limit = this.limit;
        let timer = this.timer.get_or_insert_with(|| Box::pin(sleep(limit)));
        if timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        if timer.deadline().elapsed() > LATE {
            timer.as_mut().reset(Instant::now() + limit);
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
        this.items = None;
        this.timer = None;
        Poll::Ready(Some(Err(timed_out(limit))))
    }
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt, stream};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    fn paced<T: Send + 'static>(items: impl Stream<Item = T> + Send + 'static) -> Paced<T> {
        Paced::new(items.map(Ok).boxed(), LIMIT, Span::none())
    }

    /// An item after each of these waits, counted from when it is asked for.
    fn after(waits: &'static [u64]) -> impl Stream<Item = u64> + Send {
        stream::iter(waits).then(async |wait| {
            sleep(Duration::from_secs(*wait)).await;
            *wait
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_stream_that_keeps_coming_is_not_cut() {
        let items: Vec<_> = paced(after(&[9; 20])).map(Result::unwrap).collect().await;
        assert_eq!(items, [9; 20]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_stream_is_an_error_and_then_over() {
        let begun = Instant::now();
        let mut items = paced(after(&[1, 100, 1]));
        assert_eq!(items.next().await.unwrap().unwrap(), 1);
        let error = items.next().await.unwrap().unwrap_err();
        assert!(error.to_string().ends_with("within 10s"), "{error}");
        assert_eq!(begun.elapsed(), Duration::from_secs(11));
        assert!(items.next().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_pauses_between_items_loses_nothing() {
        let mut items = paced(after(&[1, 1, 9]));
        while let Some(item) = items.next().await {
            item.unwrap();
            sleep(LIMIT * 100).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_goes_away_while_it_waits_finds_the_item_or_a_new_timer() {
        // The item came while it was away.
        let mut items = paced(after(&[5]));
        assert!(timeout(Duration::from_secs(1), items.next()).await.is_err());
        sleep(LIMIT * 100).await;
        assert_eq!(items.next().await.unwrap().unwrap(), 5);

        // The item needs the reader to come about, as a new request does.
        let mut items = paced(after(&[1]).chain(stream::once(async {
            sleep(Duration::from_secs(1)).await;
            sleep(Duration::from_secs(5)).await;
            7
        })));
        items.next().await.unwrap().unwrap();
        assert!(
            timeout(Duration::from_millis(10), items.next())
                .await
                .is_err()
        );
        sleep(LIMIT * 100).await;
        assert_eq!(items.next().await.unwrap().unwrap(), 7);

        // It never comes: the new timer ends it.
        let mut items = paced(stream::pending::<u64>());
        assert!(timeout(Duration::from_secs(1), items.next()).await.is_err());
        sleep(LIMIT * 100).await;
        let back = Instant::now();
        assert!(items.next().await.unwrap().is_err());
        assert_eq!(back.elapsed(), LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_has_its_time_and_no_more() {
        let quick = async { Ok(1) };
        assert_eq!(within(LIMIT, quick).await.unwrap(), 1);
        let begun = Instant::now();
        let never = std::future::pending::<Result<u64>>();
        assert!(within(LIMIT, never).await.is_err());
        assert_eq!(begun.elapsed(), LIMIT);
    }
}
