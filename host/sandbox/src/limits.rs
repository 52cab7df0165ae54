//! Every bound of the sandbox, in one place. None of them is a guest's to choose.

use std::time::Duration;

/// Units of fuel after which a guest's future returns to the scheduler: 30 to 130 microseconds of work.
pub const FUEL_YIELD_INTERVAL: u64 = 1_000_000;

/// How long a guest may hold a thread while it calls the host over and over. A single host call may take longer.
pub const TURN_MAX: Duration = Duration::from_millis(1);

/// The period of the CPU token bucket, as the kernel's CFS quota has it by default.
pub const CPU_PERIOD: Duration = Duration::from_millis(100);

/// How much unused CPU time a container takes into the next period at most. It makes up for timers that fire up to a
/// millisecond late; more would be a burst.
pub const CPU_CARRY_MAX: Duration = Duration::from_millis(5);

/// The smallest CPU limit that is honoured, in thousandths of a core. Less would be a tenth of a millisecond per period.
pub const CPU_MILLIS_MIN: u32 = 1;

/// Bytes that one host call may copy out of a guest, if the container's memory limit does not say less. Programs write
/// whole files in one call.
pub const HOST_CALL_BYTES_MAX: usize = 128 << 20;

/// Bytes that one host call may copy however small the container's memory limit is.
pub const HOST_CALL_BYTES_MIN: usize = 1 << 20;

/// Entries of an instance's resource table: open files, streams, pollables, header maps and so on.
pub const RESOURCES_MAX: usize = 4096;

/// Bytes that one call for random data may ask for.
pub const RANDOM_BYTES_MAX: u64 = 1 << 20;

/// Bytes that a guest may hand to an output stream at once, and that are read from stdin at once.
pub const STREAM_CHUNK_BYTES_MAX: usize = 64 << 10;

/// Bytes of all arguments and environment variables together, as Linux bounds them for `execve`.
pub const ARGS_ENV_BYTES_MAX: usize = 2 << 20;

/// Bytes of one memory at most: what a 32-bit guest can address, and the size of a pool slot.
pub const MEMORY_BYTES_MAX: usize = 4 << 30;

/// Elements of one table at most.
pub const TABLE_ELEMENTS_MAX: usize = 100_000;

/// Bytes that one table element counts for in the memory budget.
pub const TABLE_ELEMENT_BYTES: usize = 8;

/// How long the report of a trap may wait for a full stderr sink before it is dropped.
pub const TRAP_REPORT_TIMEOUT: Duration = Duration::from_secs(2);

/// Longest report of a trap, in bytes: a deep recursion has a deep backtrace.
pub const TRAP_REPORT_BYTES_MAX: usize = 16 << 10;

/// Names of missing imports in one error message at most.
pub const NAMES_IN_MESSAGE_MAX: usize = 20;
