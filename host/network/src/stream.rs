//! A connection in memory: two bounded pipes and the rules by which TCP ends one.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::pipe::Pipe;

/// Both directions of one connection. Endpoint 0 dialled, endpoint 1 accepted; pipe `i` carries what endpoint `i` writes.
#[derive(Debug)]
struct Connection {
    pipes: [Pipe; 2],
    addresses: [SocketAddr; 2],
    /// Halves that each endpoint still holds.
    halves: [AtomicU8; 2],
}

impl Connection {
    /// One half of the endpoint is gone; with the last one the connection ends for the peer. As in TCP, bytes that the
    /// endpoint never read turn the end into a reset, because the peer would otherwise take them for received.
    fn half_dropped(&self, side: usize) {
        if self.halves[side].fetch_sub(1, Ordering::AcqRel) != 1 {
            return;
        }
        if self.pipes[1 - side].close() {
            self.pipes.iter().for_each(|pipe| pipe.reset(false));
        }
    }
}

/// One end of a connection between two programs of this host.
///
/// # Guarantees
/// - Bytes arrive in the order written, all of them, once.
/// - At most `stream_buffer_bytes` are in flight in each direction; then the writer waits.
/// - Shutting down the writing side lets the peer read what was written and then the end; the other direction goes on.
/// - Dropping a stream that was read to its end, or that nothing had arrived on, is an orderly end: the peer reads what
///   was written and then the end, and its writes fail with `BrokenPipe`.
/// - Dropping a stream with unread bytes, or [`Stream::reset`], is a reset: the peer's writes fail with
///   `ConnectionReset`, and its reads do once they have taken what had arrived (nothing more after `reset`).
///
/// # Caveats
/// One task may wait on each half at a time; a second one replaces the first.
pub struct Stream {
    read: ReadHalf,
    write: WriteHalf,
}

/// The reading half of a [`Stream`]. Dropped alone, it takes and forgets what the peer still sends.
pub struct ReadHalf {
    connection: Arc<Connection>,
    side: usize,
}

/// The writing half of a [`Stream`]. Dropped, it shuts down the writing side.
pub struct WriteHalf {
    connection: Arc<Connection>,
    side: usize,
}

impl Stream {
    /// A connected pair: the end that dialled and the end that accepts.
    pub(crate) fn pair(dialler: SocketAddr, listener: SocketAddr, buffer_bytes: usize) -> (Self, Self) {
        let connection = Arc::new(Connection {
            pipes: [Pipe::new(buffer_bytes), Pipe::new(buffer_bytes)],
            addresses: [dialler, listener],
            halves: [AtomicU8::new(2), AtomicU8::new(2)],
        });
        (Self::end(&connection, 0), Self::end(&connection, 1))
    }

    fn end(connection: &Arc<Connection>, side: usize) -> Self {
        Self {
            read: ReadHalf { connection: Arc::clone(connection), side },
            write: WriteHalf { connection: Arc::clone(connection), side },
        }
    }

    /// The address of this end.
    pub fn local_address(&self) -> SocketAddr {
        self.read.connection.addresses[self.read.side]
    }

    /// The address of the other end.
    pub fn peer_address(&self) -> SocketAddr {
        self.read.connection.addresses[1 - self.read.side]
    }

    /// The two halves, to be used by two tasks.
    pub fn into_split(self) -> (ReadHalf, WriteHalf) {
        (self.read, self.write)
    }

    /// Cuts the connection at once, in both directions; what is in flight is lost.
    pub fn reset(self) {
        for pipe in &self.read.connection.pipes {
            pipe.reset(true);
        }
    }
}

impl ReadHalf {
    /// The address of this end.
    pub fn local_address(&self) -> SocketAddr {
        self.connection.addresses[self.side]
    }

    /// The address of the other end.
    pub fn peer_address(&self) -> SocketAddr {
        self.connection.addresses[1 - self.side]
    }

    /// At most `length_max` bytes, without copying and without waiting: `None` when there is nothing yet, an empty
    /// piece at the end of the stream.
    ///
    /// # Errors
    /// `ConnectionReset` when the connection was cut and everything that had arrived was read.
    pub fn try_read(&self, length_max: usize) -> io::Result<Option<Bytes>> {
        self.pipe().try_read(length_max)
    }

    /// Waits until reading yields bytes, the end, or an error.
    ///
    /// # Cancel safety
    /// Cancel-safe: nothing is taken.
    pub async fn readable(&self) {
        poll_fn(|context| self.poll_readable(context)).await;
    }

    /// As [`readable`](Self::readable), to be polled.
    pub fn poll_readable(&self, context: &mut Context<'_>) -> Poll<()> {
        self.pipe().poll_readable(context)
    }

    fn pipe(&self) -> &Pipe {
        &self.connection.pipes[1 - self.side]
    }
}

impl WriteHalf {
    /// The address of this end.
    pub fn local_address(&self) -> SocketAddr {
        self.connection.addresses[self.side]
    }

    /// The address of the other end.
    pub fn peer_address(&self) -> SocketAddr {
        self.connection.addresses[1 - self.side]
    }

    /// How many bytes a write would take now.
    ///
    /// # Errors
    /// `BrokenPipe` after a shutdown or when the peer is gone, `ConnectionReset` when the connection was cut.
    pub fn room(&self) -> io::Result<usize> {
        self.pipe().room()
    }

    /// Takes as much of `data` as there is room for, without copying larger pieces and without waiting, leaves the rest
    /// in `data`, and answers how many bytes it took.
    ///
    /// # Errors
    /// As [`room`](Self::room).
    pub fn try_write(&self, data: &mut Bytes) -> io::Result<usize> {
        self.pipe().try_write(data)
    }

    /// Waits until a write would take bytes or fail.
    ///
    /// # Cancel safety
    /// Cancel-safe: nothing is written.
    pub async fn writable(&self) {
        poll_fn(|context| self.poll_writable(context)).await;
    }

    /// As [`writable`](Self::writable), to be polled.
    pub fn poll_writable(&self, context: &mut Context<'_>) -> Poll<()> {
        self.pipe().poll_writable(context)
    }

    /// Shuts down the writing side: the peer reads what was written, then the end.
    pub fn shutdown_now(&self) {
        self.pipe().finish();
    }

    fn pipe(&self) -> &Pipe {
        &self.connection.pipes[self.side]
    }
}

impl Drop for ReadHalf {
    fn drop(&mut self) {
        self.pipe().discard();
        self.connection.half_dropped(self.side);
    }
}

impl Drop for WriteHalf {
    fn drop(&mut self) {
        self.pipe().finish();
        self.connection.half_dropped(self.side);
    }
}

impl AsyncRead for ReadHalf {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.pipe().poll_read(context, into)
    }
}

impl AsyncWrite for WriteHalf {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.pipe().poll_write(context, &[IoSlice::new(data)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.pipe().poll_write(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shutdown_now();
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.read).poll_read(context, into)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.write).poll_write(context, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.write).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.write).poll_shutdown(context)
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Stream({} -> {})", self.local_address(), self.peer_address())
    }
}

impl fmt::Debug for ReadHalf {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "ReadHalf({} -> {})", self.local_address(), self.peer_address())
    }
}

impl fmt::Debug for WriteHalf {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "WriteHalf({} -> {})", self.local_address(), self.peer_address())
    }
}

#[cfg(test)]
mod tests;
