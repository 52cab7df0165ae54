//! The memory budget of a container, and each instance's account with it.

#[cfg(test)]
mod tests;

use crate::limits::{HOST_CALL_BYTES_MAX, HOST_CALL_BYTES_MIN, TABLE_ELEMENT_BYTES};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;
use wasmtime::ResourceLimiter;

/// The bytes of all linear memories and tables of all instances of a container.
pub(super) struct MemoryBudget {
    limit: u64,
    used: AtomicU64,
    peak: AtomicU64,
    released: Notify,
}

impl MemoryBudget {
    pub(super) fn new(limit: Option<u64>) -> Self {
        Self {
            limit: limit.unwrap_or(u64::MAX),
            used: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            released: Notify::new(),
        }
    }

    pub(super) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    pub(super) fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }

    fn take(&self, bytes: u64) -> bool {
        let fits = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.limit);
        match self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits) {
            Ok(before) => {
                self.peak.fetch_max(before + bytes, Ordering::Relaxed);
                true
            }
            Err(_) => false,
        }
    }

    fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
        self.released.notify_waiters();
    }

    /// An account that has `bytes` already, once the budget has room for them beside the instances that run. An instance
    /// that is alone gets an account whatever it needs, and finds out by itself.
    pub(super) async fn open_account(self: &Arc<Self>, bytes: u64) -> MemoryAccount {
        loop {
            let released = self.released.notified();
            tokio::pin!(released);
            // Registered before the check, so that an instance that ends in between is not missed.
            released.as_mut().enable();
            if self.take(bytes) {
                return MemoryAccount { budget: Some(Arc::clone(self)), prepaid: bytes, ..MemoryAccount::unlimited() };
            }
            if self.used() == 0 {
                return self.account();
            }
            released.await;
        }
    }

    /// An account with nothing in it.
    pub(super) fn account(self: &Arc<Self>) -> MemoryAccount {
        MemoryAccount { budget: Some(Arc::clone(self)), ..MemoryAccount::unlimited() }
    }
}

/// The guest asked for more than there is. Ends the guest: it is the error of the `memory.grow` that asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "out of memory: the program asked for {} when {} of its {} were in use",
    readable(*asked_bytes), readable(*used_bytes), readable(*limit_bytes)
)]
pub(crate) struct OutOfMemory {
    asked_bytes: u64,
    used_bytes: u64,
    limit_bytes: u64,
    /// The instance would not fit if it were alone.
    pub(crate) alone: bool,
}

/// A number of bytes in the largest unit of which there is at least one.
fn readable(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.iter().find(|(size, _)| bytes >= *size) {
        None => format!("{bytes} bytes"),
        Some((size, unit)) if bytes.is_multiple_of(*size) => format!("{} {unit}", bytes / size),
        Some((size, unit)) => format!("{}.{} {unit}", bytes / size, bytes % size * 10 / size),
    }
}

/// What one instance has taken. Given back when it is dropped.
pub(crate) struct MemoryAccount {
    budget: Option<Arc<MemoryBudget>>,
    /// Taken from the budget, in use.
    taken: u64,
    /// Taken from the budget, not yet in use.
    prepaid: u64,
    /// The growth that wasmtime is busy with.
    last: u64,
}

impl MemoryAccount {
    /// Draws on nothing.
    pub(crate) fn unlimited() -> Self {
        Self { budget: None, taken: 0, prepaid: 0, last: 0 }
    }

    fn grow(&mut self, bytes: u64) -> wasmtime::Result<bool> {
        let Some(budget) = &self.budget else {
            return Ok(true);
        };
        let from_prepaid = bytes.min(self.prepaid);
        let rest = bytes - from_prepaid;
        if rest > 0 && !budget.take(rest) {
            return Err(wasmtime::Error::from(OutOfMemory {
                asked_bytes: bytes,
                used_bytes: budget.used() - self.prepaid,
                limit_bytes: budget.limit,
                alone: self.taken.saturating_add(bytes) > budget.limit,
            }));
        }
        self.prepaid -= from_prepaid;
        self.taken += bytes;
        self.last = bytes;
        Ok(true)
    }

    /// Bytes that one host call may copy out of the guest: no more than the guest may have.
    pub(crate) fn host_call_bytes_max(&self) -> usize {
        let limit = self.budget.as_ref().map_or(u64::MAX, |budget| budget.limit);
        usize::try_from(limit).unwrap_or(usize::MAX).clamp(HOST_CALL_BYTES_MIN, HOST_CALL_BYTES_MAX)
    }

    /// The growth was allowed, and then failed for another reason.
    fn undo(&mut self) {
        self.taken -= self.last;
        self.prepaid += self.last;
        self.last = 0;
    }
}

impl Drop for MemoryAccount {
    fn drop(&mut self) {
        if let Some(budget) = &self.budget {
            budget.give_back(self.taken + self.prepaid);
        }
    }
}

/// `usize` to `u64` without loss on every machine there is.
fn wide(value: usize) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

impl ResourceLimiter for MemoryAccount {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.grow(wide(desired.saturating_sub(current)))
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.undo();
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.grow(wide(desired.saturating_sub(current)).saturating_mul(wide(TABLE_ELEMENT_BYTES)))
    }

    fn table_grow_failed(&mut self, _error: wasmtime::Error) -> wasmtime::Result<()> {
        self.undo();
        Ok(())
    }
}
