//! A [`LogSink`] as WASI wants to see it.

use super::{LogSink, Output, SinkClosed};
use bytes::Bytes;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi_io::poll::Pollable;
use wasmtime_wasi_io::streams::{OutputStream, StreamError, StreamResult};

/// A standard stream of one instance. Streams are handed out once per call of `get-stdout`, so all state is the sink's.
pub(crate) struct SinkStdout {
    sink: Arc<dyn LogSink>,
}

impl From<&Output> for SinkStdout {
    fn from(output: &Output) -> Self {
        Self { sink: Arc::clone(&output.sink) }
    }
}

impl IsTerminal for SinkStdout {
    fn is_terminal(&self) -> bool {
        self.sink.is_terminal()
    }
}

impl StdoutStream for SinkStdout {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(SinkStream { sink: Arc::clone(&self.sink) })
    }

    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(SinkWriter { sink: Arc::clone(&self.sink), waiting: None })
    }
}

struct SinkStream {
    sink: Arc<dyn LogSink>,
}

impl From<SinkClosed> for StreamError {
    fn from(_: SinkClosed) -> Self {
        Self::Closed
    }
}

impl OutputStream for SinkStream {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        Ok(self.sink.write(bytes)?)
    }

    /// What was written is in the sink: there is nothing of ours to push on.
    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(self.sink.permit()?)
    }
}

#[async_trait::async_trait]
impl Pollable for SinkStream {
    async fn ready(&mut self) {
        self.sink.ready().await;
    }
}

/// The same for hosts of WASI 0.3, which read standard streams as `AsyncWrite`.
struct SinkWriter {
    sink: Arc<dyn LogSink>,
    waiting: Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>,
}

impl AsyncWrite for SinkWriter {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            if let Some(waiting) = &mut self.waiting {
                ready!(waiting.as_mut().poll(cx));
                self.waiting = None;
            }
            let permit = self.sink.permit().map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
            if permit > 0 {
                let count = permit.min(data.len());
                let written = self.sink.write(Bytes::copy_from_slice(&data[..count]));
                return Poll::Ready(written.map(|()| count).map_err(|_| io::ErrorKind::BrokenPipe.into()));
            }
            let sink = Arc::clone(&self.sink);
            self.waiting = Some(Box::pin(SyncFuture::new(async move { sink.ready().await })));
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A future that is only ever polled through `&mut`, and so may be shared without being looked at.
struct SyncFuture {
    inner: std::sync::Mutex<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl SyncFuture {
    fn new(future: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { inner: std::sync::Mutex::new(Box::pin(future)) }
    }
}

impl Future for SyncFuture {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.inner.get_mut() {
            Ok(future) => future.as_mut().poll(cx),
            Err(poisoned) => poisoned.into_inner().as_mut().poll(cx),
        }
    }
}
