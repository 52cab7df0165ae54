//! One direction of a connection: bytes in order, bounded, with one waiting reader and one waiting writer.

use std::collections::VecDeque;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::ReadBuf;

/// A piece handed over by value is kept as it is from this size on. Smaller ones are copied together, so that the memory
/// held stays near the bytes counted.
const WHOLE_CHUNK_BYTES_MIN: usize = 2048;
/// The copying buffer is kept for the next write up to this size once it is empty, so that an idle connection is small.
const IDLE_BUFFER_BYTES_MAX: usize = 2048;

#[derive(Debug)]
pub(crate) struct Pipe {
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Pieces in order; `tail` comes after them.
    chunks: VecDeque<Bytes>,
    tail: BytesMut,
    length: usize,
    /// The writer said that nothing more comes.
    finished: bool,
    /// The reading half is gone while its endpoint still writes: what arrives is taken and forgotten.
    discarding: bool,
    /// Bytes were forgotten unread.
    discarded: bool,
    /// The reading endpoint is gone: writing fails.
    closed: bool,
    /// The connection was cut: writing fails, and so does reading once the buffer is empty.
    reset: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl State {
    fn readable(&self) -> bool {
        self.length > 0 || self.finished || self.reset
    }

    /// Room for writing, or why writing fails.
    fn room(&self, capacity: usize) -> io::Result<usize> {
        if self.finished {
            return Err(io::Error::new(io::ErrorKind::BrokenPipe, "the stream was shut down for writing"));
        }
        if self.reset {
            return Err(reset_error());
        }
        if self.closed {
            return Err(io::Error::new(io::ErrorKind::BrokenPipe, "the peer has closed the connection"));
        }
        Ok(if self.discarding { capacity } else { capacity - self.length })
    }

    /// Takes the bytes; the caller has checked that there is room.
    fn append(&mut self, data: &[u8]) {
        if self.discarding {
            self.discarded = true;
            return;
        }
        self.tail.extend_from_slice(data);
        self.length += data.len();
    }

    fn append_whole(&mut self, data: Bytes) {
        if self.discarding || data.len() < WHOLE_CHUNK_BYTES_MIN {
            return self.append(&data);
        }
        if !self.tail.is_empty() {
            self.chunks.push_back(self.tail.split().freeze());
        }
        self.length += data.len();
        self.chunks.push_back(data);
    }

    fn copy_out(&mut self, into: &mut ReadBuf<'_>) -> usize {
        let mut copied = 0;
        while into.remaining() > 0 && self.length > copied {
            if let Some(front) = self.chunks.front_mut() {
                let count = front.len().min(into.remaining());
                into.put_slice(&front[..count]);
                front.advance(count);
                if front.is_empty() {
                    self.chunks.pop_front();
                }
                copied += count;
            } else {
                let count = self.tail.len().min(into.remaining());
                into.put_slice(&self.tail[..count]);
                self.tail.advance(count);
                copied += count;
            }
        }
        self.length -= copied;
        self.shrink_when_idle();
        copied
    }

    fn take_chunk(&mut self, length_max: usize) -> Bytes {
        let chunk = match self.chunks.front_mut() {
            Some(front) if front.len() > length_max => front.split_to(length_max),
            Some(_) => self.chunks.pop_front().unwrap_or_default(),
            None => self.tail.split_to(self.tail.len().min(length_max)).freeze(),
        };
        self.length -= chunk.len();
        self.shrink_when_idle();
        chunk
    }

    fn shrink_when_idle(&mut self) {
        if self.length == 0 && self.tail.capacity() > IDLE_BUFFER_BYTES_MAX {
            self.tail = BytesMut::new();
        }
    }

    fn forget_bytes(&mut self) {
        self.chunks = VecDeque::new();
        self.tail = BytesMut::new();
        self.length = 0;
    }
}

fn reset_error() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "the connection was reset by the peer")
}

fn remember(slot: &mut Option<Waker>, context: &Context<'_>) {
    match slot {
        Some(waker) if waker.will_wake(context.waker()) => {}
        Some(_) | None => *slot = Some(context.waker().clone()),
    }
}

/// Wakes outside the lock, so that the woken task does not run into it.
fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl Pipe {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity: capacity.max(1), state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Copies what is there. Zero bytes in a buffer with room mean the end.
    pub(crate) fn poll_read(&self, context: &Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if into.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let mut state = self.lock();
        if !state.readable() {
            remember(&mut state.reader, context);
            return Poll::Pending;
        }
        if state.copy_out(into) == 0 && state.reset {
            return Poll::Ready(Err(reset_error()));
        }
        let writer = state.writer.take();
        drop(state);
        wake(writer);
        Poll::Ready(Ok(()))
    }

    /// One piece of at most `length_max` bytes, without copying. `None`: nothing yet. An empty piece: the end.
    pub(crate) fn try_read(&self, length_max: usize) -> io::Result<Option<Bytes>> {
        let mut state = self.lock();
        if !state.readable() {
            return Ok(None);
        }
        if state.length == 0 {
            return if state.reset { Err(reset_error()) } else { Ok(Some(Bytes::new())) };
        }
        if length_max == 0 {
            return Ok(None);
        }
        let chunk = state.take_chunk(length_max);
        let writer = state.writer.take();
        drop(state);
        wake(writer);
        Ok(Some(chunk))
    }

    pub(crate) fn poll_readable(&self, context: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.readable() {
            return Poll::Ready(());
        }
        remember(&mut state.reader, context);
        Poll::Pending
    }

    /// Takes as many bytes as there is room for, over all slices, and waits when there is none.
    pub(crate) fn poll_write(&self, context: &Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let mut state = self.lock();
        let room = match state.room(self.capacity) {
            Ok(room) => room,
            Err(error) => return Poll::Ready(Err(error)),
        };
        let offered: usize = slices.iter().map(|slice| slice.len()).sum();
        if offered == 0 {
            return Poll::Ready(Ok(0));
        }
        if room == 0 {
            remember(&mut state.writer, context);
            return Poll::Pending;
        }
        let mut written = 0;
        for slice in slices {
            let count = slice.len().min(room - written);
            state.append(&slice[..count]);
            written += count;
        }
        let reader = state.reader.take();
        drop(state);
        wake(reader);
        Poll::Ready(Ok(written))
    }

    /// Takes as much of `data` as there is room for and leaves the rest in it.
    pub(crate) fn try_write(&self, data: &mut Bytes) -> io::Result<usize> {
        let mut state = self.lock();
        let count = state.room(self.capacity)?.min(data.len());
        if count == 0 {
            return Ok(0);
        }
        state.append_whole(data.split_to(count));
        let reader = state.reader.take();
        drop(state);
        wake(reader);
        Ok(count)
    }

    pub(crate) fn room(&self) -> io::Result<usize> {
        self.lock().room(self.capacity)
    }

    /// Ready when writing would take at least one byte or fail.
    pub(crate) fn poll_writable(&self, context: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        match state.room(self.capacity) {
            Ok(0) => {
                remember(&mut state.writer, context);
                Poll::Pending
            }
            Ok(_) | Err(_) => Poll::Ready(()),
        }
    }

    /// The writer's end: the reader gets what is buffered, then the end.
    pub(crate) fn finish(&self) {
        let mut state = self.lock();
        state.finished = true;
        let wakers = (state.reader.take(), state.writer.take());
        drop(state);
        wake(wakers.0);
        wake(wakers.1);
    }

    /// The reading half is gone, the endpoint may still write.
    pub(crate) fn discard(&self) {
        let mut state = self.lock();
        state.discarding = true;
        state.discarded |= state.length > 0;
        state.forget_bytes();
        let writer = state.writer.take();
        drop(state);
        wake(writer);
    }

    /// The reading endpoint is gone. Answers whether bytes went unread.
    pub(crate) fn close(&self) -> bool {
        let mut state = self.lock();
        state.closed = true;
        let unread = state.discarded || state.length > 0;
        state.forget_bytes();
        let writer = state.writer.take();
        drop(state);
        wake(writer);
        unread
    }

    /// Cuts the pipe. With `forget`, what is buffered is lost as well.
    pub(crate) fn reset(&self, forget: bool) {
        let mut state = self.lock();
        state.reset = true;
        if forget {
            state.forget_bytes();
        }
        let wakers = (state.reader.take(), state.writer.take());
        drop(state);
        wake(wakers.0);
        wake(wakers.1);
    }
}
