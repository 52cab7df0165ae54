//! Which keys a controller has to look at, and when.
//!
//! A key is in the queue at most once, so that a storm of events about one object is one piece of work, and the queue is
//! no larger than the set of objects. A key that is marked while it is worked on is worked on again afterwards, never twice at a time.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// The pause after the first failure of a key; it doubles with each further one.
const BACKOFF_FIRST: Duration = Duration::from_millis(10);
/// The longest pause between two tries of a key that keeps failing.
const BACKOFF_LONGEST: Duration = Duration::from_secs(60);

/// How a piece of work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing to do until something changes.
    Wait,
    /// Look again at this time, or earlier if something changes.
    At(Instant),
}

impl Next {
    pub(crate) fn after(delay: Duration) -> Self {
        Self::At(Instant::now() + delay)
    }
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Queue<K> {
    state: Mutex<State<K>>,
    changed: Notify,
}

#[derive(Debug)]
struct State<K> {
    ready: VecDeque<K>,
    ready_set: HashSet<K>,
    running: HashSet<K>,
    marked_while_running: HashSet<K>,
    timers: BTreeSet<(Instant, K)>,
    timer_of: HashMap<K, Instant>,
    failures: HashMap<K, u32>,
}

impl<K> Default for Queue<K> {
    fn default() -> Self {
        let state = State {
            ready: VecDeque::new(),
            ready_set: HashSet::new(),
            running: HashSet::new(),
            marked_while_running: HashSet::new(),
            timers: BTreeSet::new(),
            timer_of: HashMap::new(),
            failures: HashMap::new(),
        };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }
}

impl<K: Clone + Eq + Hash + Ord> Queue<K> {
    /// Marks the key: it will be looked at soon.
    pub(crate) fn add(&self, key: K) {
        if self.state().mark(key) {
            self.changed.notify_one();
        }
    }

    /// Marks the key for a later time. Of several such times the earliest counts.
    pub(crate) fn add_at(&self, key: K, at: Instant) {
        if self.state().schedule(key, at) {
            self.changed.notify_one();
        }
    }

    /// Waits for a key to work on. Every key that is returned must be given back through [`Queue::done`].
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: a key is taken out only in the last step. Meant for one waiter at a time.
    pub(crate) async fn next(&self) -> K {
        loop {
            let changed = self.changed.notified();
            let timer = {
                let mut state = self.state();
                if let Some(key) = state.take(Instant::now()) {
                    return key;
                }
                state.timers.first().map(|(at, _)| *at)
            };
            match timer {
                None => changed.await,
                // Both arms are cancel-safe: the loop reads the state anew.
                Some(at) => tokio::select! {
                    () = changed => {}
                    () = tokio::time::sleep_until(at) => {}
                },
            }
        }
    }

    /// Gives back a key: `None` says that the work failed and is to be tried again after a pause.
    pub(crate) fn done(&self, key: K, next: Option<Next>) {
        let mut state = self.state();
        state.running.remove(&key);
        match next {
            Some(next) => {
                state.failures.remove(&key);
                if let Next::At(at) = next {
                    state.schedule(key.clone(), at);
                }
            }
            None => {
                let failures = state.failures.entry(key.clone()).or_default();
                let pause = BACKOFF_FIRST.saturating_mul(2_u32.saturating_pow(*failures)).min(BACKOFF_LONGEST);
                *failures = failures.saturating_add(1);
                state.schedule(key.clone(), Instant::now() + pause);
            }
        }
        if state.marked_while_running.remove(&key) {
            state.mark(key);
        }
        drop(state);
        self.changed.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Eq + Hash + Ord> State<K> {
    fn mark(&mut self, key: K) -> bool {
        if self.running.contains(&key) {
            self.marked_while_running.insert(key);
            return false;
        }
        let new = self.ready_set.insert(key.clone());
        if new {
            self.ready.push_back(key);
        }
        new
    }

    fn schedule(&mut self, key: K, at: Instant) -> bool {
        if let Some(earlier) = self.timer_of.get(&key) {
            if *earlier <= at {
                return false;
            }
            let replaced = (*earlier, key.clone());
            self.timers.remove(&replaced);
        }
        self.timer_of.insert(key.clone(), at);
        self.timers.insert((at, key));
        true
    }

    fn take(&mut self, now: Instant) -> Option<K> {
        while self.timers.first().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, key)) = self.timers.pop_first() {
                self.timer_of.remove(&key);
                self.mark(key);
            }
        }
        let key = self.ready.pop_front()?;
        self.ready_set.remove(&key);
        // What was to be looked at later is looked at now, and says itself when it wants to be looked at again.
        if let Some(at) = self.timer_of.remove(&key) {
            self.timers.remove(&(at, key.clone()));
        }
        self.running.insert(key.clone());
        Some(key)
    }
}

#[cfg(test)]
mod tests;
