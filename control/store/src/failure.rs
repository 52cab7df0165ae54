//! How the parts of the store tell each other, and the owner, that it is over.

use tokio::sync::watch;

/// Why the store stopped for good. The process must report this and end: only a restart finds out what is on the disk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreFailure {
    /// [`Store::close`](crate::Store::close) was called.
    #[error("the store is closed")]
    Closed,
    /// The log or the checkpoint could not be written, or a part of the store ended by itself.
    #[error("the store has failed and stopped: {reason}")]
    Failed { reason: String },
}

/// The first reason wins, and stays.
#[derive(Clone, Debug, Default)]
pub(crate) struct Failure(watch::Sender<Option<StoreFailure>>);

impl Failure {
    pub(crate) fn fail(&self, reason: &str) {
        if self.set(StoreFailure::Failed { reason: reason.to_owned() }) {
            tracing::error!(reason, "the store has failed and stopped");
        }
    }

    pub(crate) fn close(&self) {
        self.set(StoreFailure::Closed);
    }

    fn set(&self, failure: StoreFailure) -> bool {
        self.0.send_if_modified(|current| {
            let first = current.is_none();
            current.get_or_insert(failure);
            first
        })
    }

    pub(crate) fn get(&self) -> Option<StoreFailure> {
        self.0.borrow().clone()
    }

    /// Waits for the end.
    pub(crate) async fn wait(&self) -> StoreFailure {
        let mut receiver = self.0.subscribe();
        let failure = receiver.wait_for(Option::is_some).await.ok().and_then(|failure| failure.clone());
        failure.unwrap_or(StoreFailure::Closed)
    }
}
