//! How a container ended, and what it used.

use std::time::Duration;

/// Exit code of a container that ended by a trap: 128 + SIGABRT, what a runtime shows for a native program that aborts.
/// Most traps of real guests are aborts (a panic in Rust ends in `unreachable`), so no trap is given a code of its own.
pub(crate) const CODE_TRAP: i32 = 134;
/// 128 + SIGKILL: out of memory, or stopped after its grace period.
pub(crate) const CODE_KILLED: i32 = 137;
/// 128 + SIGTERM: stopped, and had no way to learn of it.
pub(crate) const CODE_TERMINATED: i32 = 143;
/// 128 + SIGXCPU: the lifetime budget of fuel is spent.
pub(crate) const CODE_FUEL: i32 = 152;

/// Why a container ended. The words are those that `kubectl describe` shows where Kubernetes has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExitReason {
    /// The program ended by itself with code 0.
    Completed,
    /// The program ended by itself with another code, or could not be started.
    Error,
    /// The program asked for more memory than its limit. Code 137.
    OomKilled,
    /// The lifetime budget of fuel is spent. Code 152.
    FuelExhausted,
    /// [`Container::stop`](crate::Container::stop) ended it: code 143 when the guest had no way to learn of it, 0 when a
    /// server was drained within the grace period, 137 when the grace period ran out.
    Stopped,
    /// The program executed an illegal operation, overflowed its stack or aborted. Code 134.
    Trap,
}

impl ExitReason {
    /// The word of Kubernetes for it. See [`ExitReport::kubernetes_reason`].
    #[must_use]
    pub fn as_kubernetes(self) -> &'static str {
        match self {
            Self::Completed => "Completed",
            Self::OomKilled => "OOMKilled",
            Self::FuelExhausted => "FuelExhausted",
            Self::Error | Self::Trap | Self::Stopped => "Error",
        }
    }
}

/// The end of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExitReport {
    /// 0 to 255, by the rules of [`ExitReason`].
    pub code: i32,
    /// Why it ended.
    pub reason: ExitReason,
    /// What went wrong, in one line; `None` for a program that ended by itself or was stopped. The same line and, where
    /// there is one, the Wasm backtrace have been printed to the container's standard error.
    pub message: Option<String>,
    /// What it used from start to end. `fuel` is exact here.
    pub usage: Usage,
}

impl ExitReport {
    /// The reason as `containerStatuses[].state.terminated.reason` spells it, which depends on the code for a container
    /// that was stopped: a drained server has completed.
    #[must_use]
    pub fn kubernetes_reason(&self) -> &'static str {
        match self.reason {
            ExitReason::Stopped if self.code == 0 => ExitReason::Completed.as_kubernetes(),
            reason => reason.as_kubernetes(),
        }
    }
}

/// What a container has used so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time of its instances, host calls included.
    pub cpu_time: Duration,
    /// Time its instances spent waiting for the next period of the CPU limit.
    pub throttled_time: Duration,
    /// Periods of the CPU limit that began while it ran, and those in which it ran dry.
    pub cpu_periods: u64,
    /// See `cpu_periods`.
    pub cpu_periods_throttled: u64,
    /// Units of fuel. Exact for instances that ended; of those that run, what was burnt up to the last yield, so at
    /// most [`FUEL_YIELD_INTERVAL`](crate::FUEL_YIELD_INTERVAL) less than the truth for each.
    pub fuel: u64,
    /// Bytes of linear memories and tables now.
    pub memory_bytes: u64,
    /// The most that `memory_bytes` has been.
    pub memory_bytes_peak: u64,
    /// Instances made: 1 for a command, one per request for an HTTP handler.
    pub instances: u64,
}
