//! What is learnt of a request on its way, for its audit event.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::user::UserInfo;

/// The notes of one request.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    annotations: BTreeMap<String, String>,
    impersonated: Option<Arc<UserInfo>>,
    panicked: bool,
}

impl Notes {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // What is kept is whole between any two steps; a panic elsewhere does not spoil it.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an annotation; the first value of a key stays, as upstream.
    pub(crate) fn annotate(&self, key: &str, value: &str) {
        self.lock().annotations.entry(key.to_owned()).or_insert_with(|| value.to_owned());
    }

    /// Says as whom the author acts.
    pub(crate) fn impersonate(&self, user: &Arc<UserInfo>) {
        self.lock().impersonated = Some(Arc::clone(user));
    }

    /// Says that the handler panicked.
    pub(crate) fn panicked(&self) {
        self.lock().panicked = true;
    }

    pub(super) fn has_panicked(&self) -> bool {
        self.lock().panicked
    }

    pub(super) fn annotations(&self) -> BTreeMap<String, String> {
        self.lock().annotations.clone()
    }

    pub(super) fn impersonated(&self) -> Option<Arc<UserInfo>> {
        self.lock().impersonated.clone()
    }
}
