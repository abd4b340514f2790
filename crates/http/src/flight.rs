//! One piece of work for all who wait for the same thing.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use tokio_util::task::TaskTracker;
use tracing::Span;

/// The span of work that a request begins and others may wait for, which may go on when that request has its answer. There is none
/// where there is none of the request.
pub(crate) fn part_of_request(span: fn() -> Span) -> Span {
    if Span::current().is_none() {
        Span::none()
    } else {
        span()
    }
}

/// The work under way, by what it is for.
///
/// Work goes on when those who asked for it leave: the next one finds what it brought.
#[derive(Clone)]
pub(crate) struct Flights<K, T: Clone>(Arc<Inner<K, T>>);

struct Inner<K, T: Clone> {
    under_way: Mutex<HashMap<K, Shared<BoxFuture<'static, T>>>>,
    tasks: TaskTracker,
}

impl<K, T> Flights<K, T>
where
    K: Eq + Hash + Clone + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// `tasks` is what runs the work.
    pub(crate) fn new(tasks: TaskTracker) -> Self {
        Self(Arc::new(Inner {
            under_way: Mutex::default(),
            tasks,
        }))
    }

    /// What is being done for this key, else what `kept` gives, else what `begin` begins.
    ///
    /// `kept` is asked while nothing can begin or end: what a piece of work leaves there before it ends is never missed.
    pub(crate) fn join<F>(
        &self,
        key: &K,
        kept: impl FnOnce() -> Option<T>,
        begin: impl FnOnce() -> F,
    ) -> Joined<T>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let mut under_way = self.0.lock();
        // What has its result was for those who asked before that: it may be older than the question.
        if let Some(work) = under_way.get(key).filter(|work| work.peek().is_none()) {
            return Joined::UnderWay(work.clone());
        }
        if let Some(kept) = kept() {
            return Joined::Kept(kept);
        }
        let work = begin().boxed().shared();
        under_way.insert(key.clone(), work.clone());
        drop(under_way);
        let running = Running {
            inner: Arc::clone(&self.0),
            key: key.clone(),
            work: work.clone(),
        };
        self.0.tasks.spawn(async move {
            running.work.clone().await;
        });
        Joined::UnderWay(work)
    }
}

/// What [`Flights::join`] found.
pub(crate) enum Joined<T: Clone> {
    /// It was there already.
    Kept(T),
    /// It is to come.
    UnderWay(Shared<BoxFuture<'static, T>>),
}

impl<T: Clone> Joined<T> {
    /// Waits for it.
    pub(crate) async fn get(self) -> T {
        match self {
            Self::Kept(kept) => kept,
            Self::UnderWay(work) => work.await,
        }
    }
}

impl<K, T: Clone> Inner<K, T> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, Shared<BoxFuture<'static, T>>>> {
        self.under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes work off the list when it ends, whichever way.
struct Running<K: Eq + Hash, T: Clone> {
    inner: Arc<Inner<K, T>>,
    key: K,
    work: Shared<BoxFuture<'static, T>>,
}

impl<K: Eq + Hash, T: Clone> Drop for Running<K, T> {
    fn drop(&mut self) {
        let mut under_way = self.inner.lock();
        if under_way
            .get(&self.key)
            .is_some_and(|work| work.ptr_eq(&self.work))
        {
            under_way.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use tokio::sync::Semaphore;

    use super::*;

    /// Lets others go on until something is so.
    async fn until(is_so: impl Fn() -> bool) {
        let wait = async {
            while !is_so() {
                tokio::task::yield_now().await;
            }
        };
        let waited = tokio::time::timeout(std::time::Duration::from_secs(10), wait).await;
        waited.expect("it becomes so");
    }

    #[tokio::test]
    async fn many_wait_for_one() {
        let flights = Flights::<u8, usize>::new(TaskTracker::new());
        let (begun, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
        let join = || {
            let (begun, gate) = (Arc::clone(&begun), Arc::clone(&gate));
            let work = || async move {
                let count = begun.fetch_add(1, SeqCst);
                drop(gate.acquire().await);
                count
            };
            flights.join(&1, || None, work).get()
        };
        let waiting: Vec<_> = std::iter::repeat_with(join).take(100).collect();
        gate.add_permits(1);
        assert_eq!(futures::future::join_all(waiting).await, vec![0; 100]);
        until(|| flights.0.lock().is_empty()).await;
        gate.add_permits(1);
        assert_eq!(join().await, 1, "what has ended begins anew");
    }

    #[tokio::test]
    async fn it_goes_on_when_those_who_asked_leave() {
        let flights = Flights::<u8, ()>::new(TaskTracker::new());
        let done = Arc::new(AtomicUsize::new(0));
        let (gate, seen) = (Arc::new(Semaphore::new(0)), Arc::clone(&done));
        let entered = Arc::clone(&gate);
        drop(flights.join(
            &1,
            || None,
            || async move {
                drop(entered.acquire().await);
                seen.fetch_add(1, SeqCst);
            },
        ));
        gate.add_permits(1);
        until(|| done.load(SeqCst) == 1).await;
    }

    #[tokio::test]
    async fn what_is_kept_is_not_fetched() {
        let flights = Flights::<u8, u8>::new(TaskTracker::new());
        let joined = flights.join(&1, || Some(7), || async { 8 });
        assert_eq!(joined.get().await, 7);
    }
}
