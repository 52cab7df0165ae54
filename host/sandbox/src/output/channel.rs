//! A bounded buffer between a guest that prints and a task that keeps what it printed.

use super::{LogSink, SinkClosed};
use crate::limits::STREAM_CHUNK_BYTES_MAX;
use bytes::{Bytes, BytesMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Makes a buffer of `capacity_bytes` (at least 1). Several writers may overshoot it by one chunk each.
#[must_use]
pub fn log_channel(capacity_bytes: usize) -> (LogWriter, LogReader) {
    let shared = Arc::new(Shared {
        capacity_bytes: capacity_bytes.max(1),
        state: Mutex::new(State::default()),
        readable: Notify::new(),
        writable: Notify::new(),
    });
    (LogWriter { shared: Arc::clone(&shared) }, LogReader { shared })
}

struct Shared {
    capacity_bytes: usize,
    state: Mutex<State>,
    readable: Notify,
    writable: Notify,
}

#[derive(Default)]
struct State {
    buffer: BytesMut,
    writer_gone: bool,
    reader_gone: bool,
}

impl Shared {
    /// The state is a buffer and two flags: no panic can leave it half changed, so poison means nothing.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The container's end. Dropping it lets the reader see the end after what is buffered.
pub struct LogWriter {
    shared: Arc<Shared>,
}

#[async_trait::async_trait]
impl LogSink for LogWriter {
    fn permit(&self) -> Result<usize, SinkClosed> {
        let state = self.shared.state();
        if state.reader_gone {
            return Err(SinkClosed);
        }
        Ok(self.shared.capacity_bytes.saturating_sub(state.buffer.len()).min(STREAM_CHUNK_BYTES_MAX))
    }

    fn write(&self, bytes: Bytes) -> Result<(), SinkClosed> {
        let mut state = self.shared.state();
        if state.reader_gone {
            return Err(SinkClosed);
        }
        state.buffer.extend_from_slice(&bytes);
        drop(state);
        self.shared.readable.notify_one();
        Ok(())
    }

    async fn ready(&self) {
        loop {
            // Registered before the check, so a reader that drains in between is not missed.
            let writable = self.shared.writable.notified();
            tokio::pin!(writable);
            writable.as_mut().enable();
            if !matches!(self.permit(), Ok(0)) {
                return;
            }
            writable.await;
        }
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.shared.state().writer_gone = true;
        self.shared.readable.notify_one();
    }
}

impl std::fmt::Debug for LogWriter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("LogWriter").finish_non_exhaustive()
    }
}

/// The keeper's end. Dropping it makes the guest's next write fail.
pub struct LogReader {
    shared: Arc<Shared>,
}

impl LogReader {
    /// Everything that is buffered, at least one byte; `None` when the container is gone and all was read.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn next(&mut self) -> Option<Bytes> {
        loop {
            {
                let mut state = self.shared.state();
                if !state.buffer.is_empty() {
                    let bytes = state.buffer.split().freeze();
                    drop(state);
                    self.shared.writable.notify_waiters();
                    return Some(bytes);
                }
                if state.writer_gone {
                    return None;
                }
            }
            self.shared.readable.notified().await;
        }
    }

    /// All there is up to the end, as text: for tests and for `exec`-like callers.
    pub async fn read_to_end(&mut self) -> String {
        let mut all = Vec::new();
        while let Some(bytes) = self.next().await {
            all.extend_from_slice(&bytes);
        }
        String::from_utf8_lossy(&all).into_owned()
    }
}

impl Drop for LogReader {
    fn drop(&mut self) {
        self.shared.state().reader_gone = true;
        self.shared.writable.notify_waiters();
    }
}

impl std::fmt::Debug for LogReader {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("LogReader").finish_non_exhaustive()
    }
}
