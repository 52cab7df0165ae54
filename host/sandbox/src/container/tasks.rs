//! A set of tasks with an owner: dropping the last handle aborts them all.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::task::JoinSet;

/// Handles share the set. A task must not hold a handle of the set it is in, or the set would keep itself alive.
#[derive(Clone, Default)]
pub(super) struct Tasks {
    set: Arc<Mutex<JoinSet<()>>>,
}

impl Tasks {
    pub(super) fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        let mut set = self.set();
        while set.try_join_next().is_some() {}
        set.spawn(future);
    }

    /// Waits until all are done.
    ///
    /// # Cancel safety
    /// The tasks stay in the set when the future is dropped.
    pub(super) async fn join_all(&self) {
        while poll_fn(|cx| self.set().poll_join_next(cx)).await.is_some() {}
    }

    /// Ends all at their next await and waits until they are gone.
    pub(super) async fn abort_all(&self) {
        let mut set = std::mem::take(&mut *self.set());
        set.shutdown().await;
    }

    /// Changing the set cannot panic half-way, so poison means nothing.
    fn set(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
