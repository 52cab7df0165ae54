//! Everything that is measured and limited about one container, shared by all its instances.

use super::fuel::Fuel;
use super::memory::MemoryBudget;
use super::processor::Processor;
use crate::exit::CODE_KILLED;
use crate::{ExitReason, ExitReport, Limits, Usage};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::time::Instant;

pub(super) struct Meter {
    pub(super) processor: Processor,
    pub(super) fuel: Fuel,
    pub(super) memory: Arc<MemoryBudget>,
    instances: AtomicU64,
}

impl Meter {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            processor: Processor::new(limits.cpu_millis, Instant::now()),
            fuel: Fuel::new(limits.fuel),
            memory: Arc::new(MemoryBudget::new(limits.memory_bytes)),
            instances: AtomicU64::new(0),
        }
    }

    pub(super) fn count_instance(&self) {
        self.instances.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn usage(&self) -> Usage {
        let (cpu_periods, cpu_periods_throttled) = self.processor.periods();
        Usage {
            cpu_time: self.processor.used(),
            throttled_time: self.processor.throttled(),
            cpu_periods,
            cpu_periods_throttled,
            fuel: self.fuel.spent(),
            memory_bytes: self.memory.used(),
            memory_bytes_peak: self.memory.peak(),
            instances: self.instances.load(Ordering::Relaxed),
        }
    }

    /// The report of a container whose task ended without one.
    pub(super) fn aborted(&self) -> ExitReport {
        ExitReport {
            code: CODE_KILLED,
            reason: ExitReason::Error,
            message: Some("the host ended the container's task".to_owned()),
            usage: self.usage(),
        }
    }
}
