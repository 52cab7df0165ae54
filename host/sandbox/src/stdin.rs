//! Where a container's standard input comes from.

use crate::limits::STREAM_CHUNK_BYTES_MAX;
use bytes::{Bytes, BytesMut};
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, ReadBuf};
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::cli::{IsTerminal, StdinStream};
use wasmtime_wasi_io::poll::Pollable;
use wasmtime_wasi_io::streams::{InputStream, StreamError, StreamResult};

/// The standard input of a container.
pub struct Input {
    source: Source,
}

enum Source {
    Empty,
    Process,
    Reader(Arc<Shared>),
}

impl Input {
    /// At its end from the start.
    #[must_use]
    pub fn empty() -> Self {
        Self { source: Source::Empty }
    }

    /// The standard input of this process, for `coracle run`. Read only when the guest asks for it.
    #[must_use]
    pub fn process_stdin() -> Self {
        Self { source: Source::Process }
    }

    /// Read from `reader` when the guest asks for it, at most 64 KiB ahead.
    #[must_use]
    pub fn reader(reader: impl AsyncRead + Send + 'static) -> Self {
        let state = State { reader: Box::pin(reader), buffer: BytesMut::new(), end: None };
        Self { source: Source::Reader(Arc::new(Shared { state: Mutex::new(state) })) }
    }

    /// Gives the instance that `builder` is for this input.
    pub(crate) fn connect(self, builder: &mut WasiCtxBuilder) {
        match self.source {
            Source::Empty => {}
            Source::Process => {
                builder.inherit_stdin();
            }
            Source::Reader(shared) => {
                builder.stdin(ReaderStdin { shared });
            }
        }
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.source {
            Source::Empty => "empty",
            Source::Process => "process",
            Source::Reader(_) => "reader",
        };
        write!(formatter, "Input({name})")
    }
}

struct Shared {
    state: Mutex<State>,
}

struct State {
    reader: Pin<Box<dyn AsyncRead + Send>>,
    buffer: BytesMut,
    /// Set once the reader has ended: `None` inside for a plain end of file.
    end: Option<Option<io::ErrorKind>>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ready when bytes are buffered or the end is known.
    fn poll_fill(&self, cx: &mut Context<'_>) -> Poll<()> {
        let state = &mut *self.state();
        if !state.buffer.is_empty() || state.end.is_some() {
            return Poll::Ready(());
        }
        state.buffer.reserve(STREAM_CHUNK_BYTES_MAX);
        match ready!(tokio_util::io::poll_read_buf(state.reader.as_mut(), cx, &mut state.buffer)) {
            Ok(0) => state.end = Some(None),
            Ok(_) => {}
            Err(error) => state.end = Some(Some(error.kind())),
        }
        Poll::Ready(())
    }
}

struct ReaderStdin {
    shared: Arc<Shared>,
}

impl IsTerminal for ReaderStdin {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdinStream for ReaderStdin {
    fn p2_stream(&self) -> Box<dyn InputStream> {
        Box::new(ReaderStream { shared: Arc::clone(&self.shared) })
    }

    fn async_stream(&self) -> Box<dyn AsyncRead + Send + Sync> {
        Box::new(ReaderStream { shared: Arc::clone(&self.shared) })
    }
}

struct ReaderStream {
    shared: Arc<Shared>,
}

impl InputStream for ReaderStream {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        let mut state = self.shared.state();
        if !state.buffer.is_empty() {
            let count = size.min(state.buffer.len());
            return Ok(state.buffer.split_to(count).freeze());
        }
        match state.end {
            None => Ok(Bytes::new()),
            Some(None) => Err(StreamError::Closed),
            Some(Some(kind)) => Err(StreamError::LastOperationFailed(io::Error::from(kind).into())),
        }
    }
}

#[async_trait::async_trait]
impl Pollable for ReaderStream {
    async fn ready(&mut self) {
        std::future::poll_fn(|cx| self.shared.poll_fill(cx)).await;
    }
}

impl AsyncRead for ReaderStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.shared.poll_fill(cx));
        let mut state = self.shared.state();
        let count = into.remaining().min(state.buffer.len());
        into.put_slice(&state.buffer.split_to(count));
        match state.end {
            Some(Some(kind)) if count == 0 => Poll::Ready(Err(kind.into())),
            _ => Poll::Ready(Ok(())),
        }
    }
}
