//! When to try again after a request failed: after 1 second, then 2, 4, 8, and 10 from then on, for each pod by itself. The numbers are
//! upstream's (`podInitialBackoffSeconds`, `podMaxBackoffSeconds`).

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use tokio::time::Instant;

use crate::pod::PodKey;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct Backoff {
    due: BTreeSet<(Instant, PodKey)>,
    failures: HashMap<PodKey, u32>,
}

impl Backoff {
    /// When the next pod is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// One more failure of this pod.
    pub(super) fn retry_later(&mut self, key: PodKey) {
        let failures = self.failures.entry(key.clone()).or_default();
        let delay = FIRST.saturating_mul(2_u32.saturating_pow(*failures)).min(LONGEST);
        *failures += 1;
        self.due.insert((Instant::now() + delay, key));
    }

    /// The pods whose time has come.
    pub(super) fn take_due(&mut self) -> Vec<PodKey> {
        let now = Instant::now();
        let mut due = Vec::new();
        while self.due.first().is_some_and(|(at, _)| *at <= now) {
            due.extend(self.due.pop_first().map(|(_, key)| key));
        }
        due
    }

    /// The pod succeeded, or is gone.
    pub(super) fn clear(&mut self, key: &PodKey) {
        if self.failures.remove(key).is_some() {
            self.due.retain(|(_, waiting)| waiting != key);
        }
    }
}
