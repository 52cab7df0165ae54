//! The token bucket of processor time.

pub(super) mod clock;
#[cfg(test)]
mod tests;

use crate::limits::{CPU_CARRY_MAX, CPU_MILLIS_MIN, CPU_PERIOD};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The processor time of one container: what it used, and when it may go on.
pub(super) struct Processor {
    limit: Option<Mutex<Bucket>>,
    used_ns: AtomicU64,
    throttled_ns: AtomicU64,
}

/// Refilled by `quota` every period. May be overdrawn, by as much as one stretch between two yields; the debt is taken
/// from the next periods, so the average holds.
struct Bucket {
    quota: Duration,
    period_start: Instant,
    /// Nanoseconds; negative is debt.
    balance_ns: i64,
    periods: u64,
    periods_throttled: u64,
    /// The current period is among `periods_throttled`.
    ran_dry: bool,
}

impl Processor {
    /// `millis` thousandths of a core, from `now` on.
    pub(super) fn new(millis: Option<u32>, now: Instant) -> Self {
        let limit = millis.map(|millis| {
            let quota = CPU_PERIOD * millis.max(CPU_MILLIS_MIN) / 1000;
            Mutex::new(Bucket {
                quota,
                period_start: now,
                balance_ns: nanos(quota),
                periods: 1,
                periods_throttled: 0,
                ran_dry: false,
            })
        });
        Self { limit, used_ns: AtomicU64::new(0), throttled_ns: AtomicU64::new(0) }
    }

    /// `Ok` if an instance may run at `now`, else when to ask again.
    pub(super) fn admit(&self, now: Instant) -> Result<(), Instant> {
        let Some(bucket) = &self.limit else {
            return Ok(());
        };
        let mut bucket = lock(bucket);
        bucket.advance(now);
        if bucket.balance_ns > 0 {
            return Ok(());
        }
        if !bucket.ran_dry {
            bucket.ran_dry = true;
            bucket.periods_throttled += 1;
        }
        Err(bucket.solvent_at())
    }

    /// An instance has used `time`.
    pub(super) fn debit(&self, time: Duration) {
        self.used_ns.fetch_add(nanos(time).unsigned_abs(), Ordering::Relaxed);
        if let Some(bucket) = &self.limit {
            let mut bucket = lock(bucket);
            bucket.balance_ns = bucket.balance_ns.saturating_sub(nanos(time));
        }
    }

    /// An instance has waited for `time` because the bucket was dry.
    pub(super) fn add_throttled(&self, time: Duration) {
        self.throttled_ns.fetch_add(nanos(time).unsigned_abs(), Ordering::Relaxed);
    }

    pub(super) fn used(&self) -> Duration {
        Duration::from_nanos(self.used_ns.load(Ordering::Relaxed))
    }

    pub(super) fn throttled(&self) -> Duration {
        Duration::from_nanos(self.throttled_ns.load(Ordering::Relaxed))
    }

    /// Periods so far, and those in which the bucket ran dry.
    pub(super) fn periods(&self) -> (u64, u64) {
        self.limit.as_ref().map_or((0, 0), |bucket| {
            let bucket = lock(bucket);
            (bucket.periods, bucket.periods_throttled)
        })
    }
}

impl Bucket {
    /// Refills for every period that has begun since the last call.
    fn advance(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.period_start);
        if elapsed < CPU_PERIOD {
            return;
        }
        let periods = u32::try_from(elapsed.as_nanos() / CPU_PERIOD.as_nanos()).unwrap_or(u32::MAX);
        self.period_start += CPU_PERIOD * periods;
        let refill = nanos(self.quota).saturating_mul(i64::from(periods));
        let full = nanos(self.quota + CPU_CARRY_MAX.min(self.quota));
        self.balance_ns = self.balance_ns.saturating_add(refill).min(full);
        self.periods += u64::from(periods);
        self.ran_dry = false;
    }

    /// The start of the first period in which the balance is positive.
    fn solvent_at(&self) -> Instant {
        let quota = nanos(self.quota).max(1);
        let periods = self.balance_ns.saturating_neg() / quota + 1;
        self.period_start + CPU_PERIOD * u32::try_from(periods).unwrap_or(u32::MAX)
    }
}

/// A bucket is a handful of numbers, each of them sound on its own, so poison means nothing.
fn lock(bucket: &Mutex<Bucket>) -> MutexGuard<'_, Bucket> {
    bucket.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Saturates after 292 years.
fn nanos(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}
