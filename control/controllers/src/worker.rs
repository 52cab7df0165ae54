//! Takes keys from a controller's queue and works on them, several at a time.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::{Id, JoinSet};

use crate::Context;
use crate::queue::{Next, Queue};
use crate::requests::RequestError;

/// What a controller does with one key.
pub(crate) trait Reconcile: Send + Sync + 'static {
    /// What the controller looks at.
    type Key: Clone + Eq + Hash + Ord + fmt::Debug + Send + Sync + 'static;
    /// The controller's name in the log.
    const NAME: &'static str;
    /// Brings what `key` names to what it should be. After an error it is called again with a growing pause.
    fn reconcile(&self, key: &Self::Key) -> impl Future<Output = Result<Next, RequestError>> + Send;
}

/// Runs `controller` on `queue` until told to stop.
pub(crate) fn start<C: Reconcile>(
    controller: C,
    queue: Arc<Queue<C::Key>>,
    context: &Context,
    tasks: &mut JoinSet<()>,
    stopped: &watch::Receiver<bool>,
) {
    let worker = Worker { controller: Arc::new(controller), queue, context: context.clone(), running: JoinSet::new() };
    tasks.spawn(worker.run(stopped.clone()));
}

struct Worker<C: Reconcile> {
    controller: Arc<C>,
    queue: Arc<Queue<C::Key>>,
    context: Context,
    running: JoinSet<()>,
}

/// Gives the key back even when the work panics, so that the key is never lost.
struct Borrowed<K: Clone + Eq + Hash + Ord> {
    queue: Arc<Queue<K>>,
    key: Option<K>,
}

impl<K: Clone + Eq + Hash + Ord> Drop for Borrowed<K> {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.queue.done(key, None);
        }
    }
}

impl<C: Reconcile> Worker<C> {
    async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        // Cancel-safe arms: waiting has no effect.
        tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => return,
            () = self.context.observed.wait_until_synced() => {}
        }
        loop {
            let room = self.running.len() < self.context.config.concurrency_max.max(1);
            // Cancel-safe arms: a channel, a queue that says so, and a join set.
            tokio::select! {
                _ = stopped.wait_for(|stopped| *stopped) => break,
                key = self.queue.next(), if room => { self.spawn(key); }
                Some(ended) = self.running.join_next(), if !self.running.is_empty() => {
                    if let Err(error) = ended {
                        tracing::error!(controller = C::NAME, %error, "a reconciliation failed in itself");
                    }
                }
            }
        }
        let drained = async { while self.running.join_next().await.is_some() {} };
        if tokio::time::timeout(self.context.config.stop_timeout, drained).await.is_err() {
            self.running.shutdown().await;
        }
    }

    fn spawn(&mut self, key: C::Key) -> Id {
        let controller = self.controller.clone();
        let mut borrowed = Borrowed { queue: self.queue.clone(), key: Some(key.clone()) };
        let handle = self.running.spawn(async move {
            let next = match controller.reconcile(&key).await {
                Ok(next) => Some(next),
                Err(error) => {
                    let cause = error.cause();
                    tracing::info!(controller = C::NAME, ?key, %error, cause, "a reconciliation will be tried again");
                    None
                }
            };
            if let Some(key) = borrowed.key.take() {
                borrowed.queue.done(key, next);
            }
        });
        handle.id()
    }
}
