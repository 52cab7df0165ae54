//! The processor time of the calling thread. The one place of this crate that depends on the operating system's clocks.

use std::time::Duration;

/// Processor time that this thread has used since it began. Costs a system call, about 0.2 microseconds.
#[cfg(unix)]
pub(crate) fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(seconds, nanos)
}

/// Elsewhere the wall clock stands in: guests return within microseconds, so it errs only when the thread is pre-empted,
/// and then against the guest.
#[cfg(not(unix))]
pub(crate) fn thread_time() -> Duration {
    use std::sync::OnceLock;
    use std::time::Instant;
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}
