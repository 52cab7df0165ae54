//! Where objects of one kind are found.

use std::sync::{Arc, PoisonError, RwLock};

use kube::discovery::ApiResource;

/// How the API serves a kind now: a custom kind may come to be served in another version. Clones are the same source.
#[derive(Clone, Debug)]
pub(super) struct Source(Arc<RwLock<ApiResource>>);

impl Source {
    pub(super) fn new(resource: ApiResource) -> Self {
        Self(Arc::new(RwLock::new(resource)))
    }

    pub(super) fn resource(&self) -> ApiResource {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes that the kind is served otherwise now.
    pub(super) fn set(&self, resource: ApiResource) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = resource;
    }
}
