//! Who is to be asked about writes: the webhooks and policies that the store has, ready to be matched.
//!
//! They are read when they have changed and at no other time. A watch tells of changes; nobody waits on it, it is looked at
//! when a write comes, so that what was configured before a write is asked about it.

use std::sync::{Arc, Mutex, PoisonError};

use coracle_control_store::{Snapshot, Store, Watch};
use futures::FutureExt as _;
use serde_json::Value;

use super::policy::Policy;
use super::webhook::Hook;

const PREFIX: &str = "/registry/admissionregistration.k8s.io/";

/// Everything that is configured.
#[derive(Debug, Default)]
pub(crate) struct Configured {
    /// In order.
    pub(crate) mutating: Vec<Hook>,
    pub(crate) validating: Vec<Hook>,
    pub(crate) validating_policies: Vec<Policy>,
    pub(crate) mutating_policies: Vec<Policy>,
}

impl Configured {
    fn of(snapshot: &Snapshot) -> Self {
        Self {
            mutating: hooks(snapshot, "mutatingwebhookconfigurations"),
            validating: hooks(snapshot, "validatingwebhookconfigurations"),
            mutating_policies: Policy::all(
                &read(snapshot, "mutatingadmissionpolicies"),
                &read(snapshot, "mutatingadmissionpolicybindings"),
            ),
            validating_policies: Policy::all(
                &read(snapshot, "validatingadmissionpolicies"),
                &read(snapshot, "validatingadmissionpolicybindings"),
            ),
        }
    }
}

/// The objects of a plural, by name.
fn read(snapshot: &Snapshot, plural: &str) -> Vec<Value> {
    let entries = snapshot.prefix(format!("{PREFIX}{plural}/").as_bytes());
    entries.filter_map(|entry| serde_json::from_slice(&entry.value).ok()).collect()
}

fn hooks(snapshot: &Snapshot, plural: &str) -> Vec<Hook> {
    read(snapshot, plural).iter().flat_map(Hook::all).collect()
}

/// What is configured, as of the last look.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    current: Mutex<Option<Current>>,
}

#[derive(Debug)]
struct Current {
    watch: Watch,
    configured: Arc<Configured>,
}

impl Cache {
    /// What is configured in everything that the store has applied.
    pub(crate) fn get(&self, store: &Store) -> Arc<Configured> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(current) = &mut *current {
            match current.watch.next().now_or_never() {
                None => return Arc::clone(&current.configured),
                Some(Ok(_)) => {
                    // The snapshot below has all that the watch can still tell.
                    while let Some(Ok(_)) = current.watch.next().now_or_never() {}
                    current.configured = Arc::new(Configured::of(&store.snapshot()));
                    return Arc::clone(&current.configured);
                }
                Some(Err(_)) => {}
            }
        }
        let snapshot = store.snapshot();
        let configured = Arc::new(Configured::of(&snapshot));
        *current = store
            .watch(PREFIX.as_bytes(), snapshot.revision())
            .ok()
            .map(|watch| Current { watch, configured: Arc::clone(&configured) });
        configured
    }
}
