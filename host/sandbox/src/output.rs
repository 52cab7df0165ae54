//! Where a container's standard output and standard error go.

mod channel;
mod stream;
#[cfg(test)]
mod tests;

pub use channel::{LogReader, LogWriter, log_channel};
pub(crate) use stream::SinkStdout;

use bytes::Bytes;
use std::fmt;
use std::io::{IsTerminal as _, Write as _};
use std::sync::Arc;

/// The sink is gone: the guest's write fails with a broken pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the output is closed")]
pub struct SinkClosed;

/// Takes what a container prints. Shared by all instances of the container.
///
/// # Guarantees
/// A guest is never made to hold more than [`STREAM_CHUNK_BYTES_MAX`](crate::limits::STREAM_CHUNK_BYTES_MAX) per stream on the
/// host's side: it calls `write` only after `permit` said how much is welcome, and waits on `ready` otherwise.
///
/// # Assumptions
/// `write` and `permit` return at once; the time they take is charged to the container.
#[async_trait::async_trait]
pub trait LogSink: Send + Sync + 'static {
    /// Bytes that the next `write` may carry; 0 when the sink is full. Several instances may be told the same number at
    /// once, so a sink must take a little more than it promised.
    ///
    /// # Errors
    /// [`SinkClosed`] when nobody will ever take the bytes.
    fn permit(&self) -> Result<usize, SinkClosed>;

    /// Takes the bytes.
    ///
    /// # Errors
    /// [`SinkClosed`] when nobody will ever take the bytes.
    fn write(&self, bytes: Bytes) -> Result<(), SinkClosed>;

    /// Waits until `permit` is not 0 or the sink is closed.
    async fn ready(&self);

    /// Whether the guest is told that it writes to a terminal.
    fn is_terminal(&self) -> bool {
        false
    }
}

/// A standard stream of a container that is written to.
#[derive(Clone)]
pub struct Output {
    pub(crate) sink: Arc<dyn LogSink>,
}

impl Output {
    /// Everything is swallowed.
    #[must_use]
    pub fn null() -> Self {
        Self { sink: Arc::new(Null) }
    }

    /// The standard output of this process, for `coracle run`: written at once, unbuffered, on the guest's thread.
    #[must_use]
    pub fn process_stdout() -> Self {
        Self { sink: Arc::new(Process::Stdout) }
    }

    /// The standard error of this process, for `coracle run`.
    #[must_use]
    pub fn process_stderr() -> Self {
        Self { sink: Arc::new(Process::Stderr) }
    }

    /// A sink of the caller's.
    #[must_use]
    pub fn sink(sink: Arc<dyn LogSink>) -> Self {
        Self { sink }
    }

    /// The same, and the guest is told that it writes to a terminal.
    #[must_use]
    pub fn as_terminal(&self) -> Self {
        Self { sink: Arc::new(Terminal(Arc::clone(&self.sink))) }
    }

    /// A bounded buffer and its reader. A guest that prints faster than the reader reads waits.
    #[must_use]
    pub fn channel(capacity_bytes: usize) -> (Self, LogReader) {
        let (writer, reader) = log_channel(capacity_bytes);
        (Self { sink: Arc::new(writer) }, reader)
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Output").finish_non_exhaustive()
    }
}

struct Terminal(Arc<dyn LogSink>);

#[async_trait::async_trait]
impl LogSink for Terminal {
    fn permit(&self) -> Result<usize, SinkClosed> {
        self.0.permit()
    }

    fn write(&self, bytes: Bytes) -> Result<(), SinkClosed> {
        self.0.write(bytes)
    }

    async fn ready(&self) {
        self.0.ready().await;
    }

    fn is_terminal(&self) -> bool {
        true
    }
}

struct Null;

#[async_trait::async_trait]
impl LogSink for Null {
    fn permit(&self) -> Result<usize, SinkClosed> {
        Ok(crate::limits::STREAM_CHUNK_BYTES_MAX)
    }

    fn write(&self, _bytes: Bytes) -> Result<(), SinkClosed> {
        Ok(())
    }

    async fn ready(&self) {}
}

enum Process {
    Stdout,
    Stderr,
}

#[async_trait::async_trait]
impl LogSink for Process {
    fn permit(&self) -> Result<usize, SinkClosed> {
        Ok(crate::limits::STREAM_CHUNK_BYTES_MAX)
    }

    /// A guest has its own line buffer, so each write is passed on at once.
    fn write(&self, bytes: Bytes) -> Result<(), SinkClosed> {
        let written = match self {
            Self::Stdout => {
                let mut stdout = std::io::stdout().lock();
                stdout.write_all(&bytes).and_then(|()| stdout.flush())
            }
            Self::Stderr => std::io::stderr().lock().write_all(&bytes),
        };
        written.map_err(|_broken_pipe| SinkClosed)
    }

    async fn ready(&self) {}

    fn is_terminal(&self) -> bool {
        match self {
            Self::Stdout => std::io::stdout().is_terminal(),
            Self::Stderr => std::io::stderr().is_terminal(),
        }
    }
}
