//! Counting fuel while a guest runs.
//!
//! The exact count lies in the store, which the guest's future borrows as long as it runs. What can be seen from outside is
//! that a future which has used up an interval wakes itself and returns. So a poll during which the future's own waker was
//! called counts as one interval; when the instance ends, the estimate is replaced by the exact number.

use crate::FUEL_YIELD_INTERVAL;
use futures::task::AtomicWaker;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Wake, Waker};

/// The fuel of one container.
pub(super) struct Fuel {
    budget: Option<u64>,
    spent: AtomicU64,
}

impl Fuel {
    pub(super) fn new(budget: Option<u64>) -> Self {
        Self { budget, spent: AtomicU64::new(0) }
    }

    pub(super) fn spent(&self) -> u64 {
        self.spent.load(Ordering::Relaxed)
    }

    /// What an instance that starts now may burn.
    pub(super) fn grant(&self) -> u64 {
        self.budget.map_or(u64::MAX, |budget| budget.saturating_sub(self.spent()))
    }

    pub(super) fn is_exhausted(&self) -> bool {
        self.grant() == 0
    }
}

/// The fuel of one instance.
pub(super) struct InstanceFuel {
    granted: u64,
    counted: u64,
}

impl InstanceFuel {
    pub(super) fn new(granted: u64) -> Self {
        Self { granted, counted: 0 }
    }

    /// One interval was used up. What was granted bounds the estimate.
    pub(super) fn count_yield(&mut self, fuel: &Fuel) {
        let more = FUEL_YIELD_INTERVAL.min(self.granted - self.counted);
        self.counted += more;
        fuel.spent.fetch_add(more, Ordering::Relaxed);
    }

    /// The instance has ended with `left` units in its store.
    pub(super) fn settle(&mut self, fuel: &Fuel, left: u64) {
        let exact = self.granted.saturating_sub(left);
        // Wrapping addition of the difference is right in both directions.
        fuel.spent.fetch_add(exact.wrapping_sub(self.counted), Ordering::Relaxed);
        self.counted = exact;
    }
}

/// Passes wake-ups on and remembers that there was one.
#[derive(Default)]
pub(super) struct YieldWaker {
    outer: AtomicWaker,
    woken: AtomicBool,
}

impl YieldWaker {
    /// The waker for one poll, on behalf of `outer`.
    pub(super) fn arm(self: &Arc<Self>, outer: &Waker) -> Waker {
        self.outer.register(outer);
        self.woken.store(false, Ordering::Relaxed);
        Waker::from(Arc::clone(self))
    }

    /// Whether the future woke itself since `arm`.
    pub(super) fn was_woken(&self) -> bool {
        self.woken.load(Ordering::Relaxed)
    }
}

impl Wake for YieldWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Relaxed);
        self.outer.wake();
    }
}
