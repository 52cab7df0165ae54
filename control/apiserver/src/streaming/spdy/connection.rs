//! One SPDY connection: its streams as pairs of an input and an output, with bounded queues between.

use std::collections::HashMap;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{Notify, mpsc};

use super::frame::{
    CANCEL, FrameReader, FrameWriter, Incoming, Outgoing, PIECE_BYTES_MAX, PROTOCOL_ERROR, REFUSED_STREAM, SpdyError,
};
use super::header::Headers;
use crate::streaming::{CLOSING_TIMEOUT, KEEP_ALIVE_INTERVAL, QUEUE_CHUNKS};

/// Streams that one connection may have open.
const STREAMS_MAX: usize = 512;
/// Frames that wait for the writer.
const FRAMES_QUEUED: usize = 32;
/// Frames that are written together.
const BATCH_FRAMES: usize = 16;
/// The window of a stream and of a connection, as long as nothing else was said.
const WINDOW_BYTES: i64 = 64 * 1024;
/// So much has to be read before the other side is told that there is room again.
const WINDOW_STEP_BYTES: u32 = 32 * 1024;
/// The number of our pings: servers have even ones.
const PING_ID: u32 = 2;

/// A stream that the client has opened.
pub(super) struct SpdyStream {
    pub(super) headers: Headers,
    pub(super) id: u32,
    pub(super) input: StreamInput,
    pub(super) output: StreamOutput,
}

impl SpdyStream {
    /// The value of a header; empty when it is not there.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }
}

/// What comes on a stream.
#[derive(Debug)]
pub(super) enum Piece {
    Data(Bytes),
    /// The client sends nothing more.
    End,
}

/// What comes on a stream.
pub(super) struct StreamInput {
    id: u32,
    pieces: mpsc::Receiver<Piece>,
    frames: mpsc::Sender<Outgoing>,
    unannounced: u32,
}

impl StreamInput {
    /// The next piece; `None` after the end, and when the stream was reset or the connection is gone.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Piece> {
        if self.unannounced >= WINDOW_STEP_BYTES {
            let delta = self.unannounced;
            for stream in [self.id, 0] {
                // Without a writer nobody waits for the room.
                let _ = self.frames.send(Outgoing::WindowUpdate { stream, delta }).await;
            }
            self.unannounced = 0;
        }
        let piece = self.pieces.recv().await?;
        if let Piece::Data(data) = &piece {
            self.unannounced = self.unannounced.saturating_add(u32::try_from(data.len()).unwrap_or(u32::MAX));
        }
        Some(piece)
    }
}

/// The stream or its connection is gone.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the stream is gone")]
pub(super) struct StreamGone;

/// What goes on a stream. Dropped before it was finished, it resets the stream.
pub(super) struct StreamOutput {
    id: u32,
    frames: mpsc::Sender<Outgoing>,
    shared: Arc<Shared>,
    finished: bool,
}

impl StreamOutput {
    /// Sends bytes; waits while the client has no room.
    pub(super) async fn send(&mut self, mut data: Bytes) -> Result<(), StreamGone> {
        while !data.is_empty() {
            let length = self.shared.take(self.id, data.len().min(PIECE_BYTES_MAX)).await?;
            let piece = data.split_to(length);
            let frame = Outgoing::Data { stream: self.id, data: piece, fin: false };
            self.frames.send(frame).await.map_err(|_| StreamGone)?;
        }
        Ok(())
    }

    /// Says that nothing more comes.
    pub(super) async fn finish(&mut self) -> Result<(), StreamGone> {
        if self.finished {
            return Ok(());
        }
        self.finished = true;
        let frame = Outgoing::Data { stream: self.id, data: Bytes::new(), fin: true };
        self.frames.send(frame).await.map_err(|_| StreamGone)
    }
}

impl Drop for StreamOutput {
    fn drop(&mut self) {
        if !self.finished {
            // With the queue full or the connection gone the client learns it from the connection's end.
            let _ = self.frames.try_send(Outgoing::Reset { stream: self.id, reason: CANCEL });
        }
        self.shared.finish_output(self.id);
    }
}

/// How much may be sent. It binds once the client has shown that it counts.
#[derive(Debug)]
struct Window {
    left: i64,
    binds: bool,
}

impl Window {
    fn room(&self) -> usize {
        if self.binds { usize::try_from(self.left).unwrap_or(0) } else { usize::MAX }
    }

    fn take(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}

#[derive(Debug)]
struct Entry {
    /// None after the client has sent its last.
    pieces: Option<mpsc::Sender<Piece>>,
    has_output: bool,
    window: Window,
}

#[derive(Debug)]
struct Streams {
    entries: HashMap<u32, Entry>,
    last: u32,
    initial_window: i64,
    /// Whether the client counts what is sent on streams.
    binds: bool,
    whole: Window,
}

/// What the reader and the streams share.
struct Shared {
    streams: Mutex<Streams>,
    changed: Notify,
}

impl Shared {
    fn new() -> Self {
        let whole = Window { left: WINDOW_BYTES, binds: false };
        let streams = Streams { entries: HashMap::new(), last: 0, initial_window: WINDOW_BYTES, binds: false, whole };
        Self { streams: Mutex::new(streams), changed: Notify::new() }
    }

    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for room and takes at most `wanted` bytes of it.
    async fn take(&self, stream: u32, wanted: usize) -> Result<usize, StreamGone> {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            {
                let mut streams = self.streams();
                let Streams { entries, whole, .. } = &mut *streams;
                let window = &mut entries.get_mut(&stream).ok_or(StreamGone)?.window;
                let length = wanted.min(window.room()).min(whole.room());
                if length > 0 {
                    window.take(length);
                    whole.take(length);
                    return Ok(length);
                }
            }
            changed.await;
        }
    }

    fn finish_output(&self, stream: u32) {
        let mut streams = self.streams();
        if let Some(entry) = streams.entries.get_mut(&stream) {
            entry.has_output = false;
            if entry.pieces.is_none() {
                streams.entries.remove(&stream);
            }
        }
    }

    /// The client has sent its last on a stream; what was on the way there is handed out.
    fn finish_input(&self, stream: u32) -> Option<mpsc::Sender<Piece>> {
        let mut streams = self.streams();
        let entry = streams.entries.get_mut(&stream)?;
        let pieces = entry.pieces.take();
        if !entry.has_output {
            streams.entries.remove(&stream);
        }
        pieces
    }

    fn input(&self, stream: u32) -> Option<mpsc::Sender<Piece>> {
        self.streams().entries.get(&stream)?.pieces.clone()
    }

    fn remove(&self, stream: u32) {
        self.streams().entries.remove(&stream);
        self.changed.notify_waiters();
    }

    fn set_initial_window(&self, bytes: u32) {
        let mut streams = self.streams();
        let difference = i64::from(bytes) - streams.initial_window;
        (streams.initial_window, streams.binds) = (i64::from(bytes), true);
        for entry in streams.entries.values_mut() {
            entry.window.binds = true;
            entry.window.left = entry.window.left.saturating_add(difference);
        }
        drop(streams);
        self.changed.notify_waiters();
    }

    fn widen(&self, stream: u32, delta: u32) {
        let mut streams = self.streams();
        if stream == 0 {
            streams.whole.binds = true;
            streams.whole.left = streams.whole.left.saturating_add(i64::from(delta));
        } else {
            streams.binds = true;
            for (id, entry) in &mut streams.entries {
                entry.window.binds = true;
                if *id == stream {
                    entry.window.left = entry.window.left.saturating_add(i64::from(delta));
                }
            }
        }
        drop(streams);
        self.changed.notify_waiters();
    }

    /// Takes up a stream, or says why it is reset.
    fn open(&self, stream: u32, fin: bool) -> Result<mpsc::Receiver<Piece>, u32> {
        let mut streams = self.streams();
        if stream.is_multiple_of(2) || stream <= streams.last {
            return Err(PROTOCOL_ERROR);
        }
        streams.last = stream;
        if streams.entries.len() >= STREAMS_MAX {
            return Err(REFUSED_STREAM);
        }
        let (sender, pieces) = mpsc::channel(QUEUE_CHUNKS);
        if fin {
            // There is room for one in a new queue.
            let _ = sender.try_send(Piece::End);
        }
        let window = Window { left: streams.initial_window, binds: streams.binds };
        streams.entries.insert(stream, Entry { pieces: (!fin).then_some(sender), has_output: true, window });
        Ok(pieces)
    }

    fn end(&self) {
        self.streams().entries.clear();
        self.changed.notify_waiters();
    }
}

/// Serves a connection until the client hangs up or breaks the protocol. Streams that the client opens go to `opened`.
pub(super) async fn run(
    reader: impl AsyncRead + Unpin,
    writer: impl AsyncWrite + Unpin,
    opened: mpsc::Sender<SpdyStream>,
) {
    let (frames, queue) = mpsc::channel(FRAMES_QUEUED);
    let shared = Arc::new(Shared::new());
    let reading = Reading { shared: Arc::clone(&shared), frames, opened };
    let mut writing = pin!(write(writer, queue));
    let written = tokio::select! {
        read = reading.run(reader) => match read {
            Ok(()) => Ok(()),
            Err(error) => {
                tracing::debug!(%error, "a SPDY connection ended badly");
                // The client is told so, if it still listens.
                tokio::time::timeout(CLOSING_TIMEOUT, writing).await.unwrap_or(Ok(()))
            }
        },
        written = writing.as_mut() => written,
    };
    if let Err(error) = written {
        tracing::debug!(%error, "a SPDY client takes nothing more");
    }
    shared.end();
}

/// Writes frames until nobody has any, or one says that it is the last.
async fn write(mut writer: impl AsyncWrite + Unpin, mut queue: mpsc::Receiver<Outgoing>) -> io::Result<()> {
    let mut encoder = FrameWriter::new().map_err(io::Error::other)?;
    let mut out = Vec::new();
    loop {
        let frame = match tokio::time::timeout(KEEP_ALIVE_INTERVAL, queue.recv()).await {
            Ok(Some(frame)) => frame,
            Ok(None) => return writer.shutdown().await,
            Err(_) => Outgoing::Ping(PING_ID),
        };
        let mut is_last = matches!(frame, Outgoing::GoAway { .. });
        encoder.write(&mut out, frame).map_err(io::Error::other)?;
        for _ in 1..BATCH_FRAMES {
            let Ok(frame) = queue.try_recv() else { break };
            is_last |= matches!(frame, Outgoing::GoAway { .. });
            encoder.write(&mut out, frame).map_err(io::Error::other)?;
        }
        writer.write_all(&out).await?;
        writer.flush().await?;
        out.clear();
        if is_last {
            return writer.shutdown().await;
        }
    }
}

/// Why reading ended.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    #[error("the client broke the protocol: {0}")]
    Protocol(#[from] SpdyError),
}

struct Reading {
    shared: Arc<Shared>,
    frames: mpsc::Sender<Outgoing>,
    opened: mpsc::Sender<SpdyStream>,
}

impl Reading {
    async fn run(&self, mut reader: impl AsyncRead + Unpin) -> Result<(), ReadError> {
        let mut frames = FrameReader::new();
        loop {
            loop {
                match frames.next() {
                    Ok(Some(Incoming::GoAway)) => return Ok(()),
                    Ok(Some(frame)) => self.take(frame).await,
                    Ok(None) => break,
                    Err(error) => {
                        let last = self.shared.streams().last;
                        self.send(Outgoing::GoAway { last }).await;
                        return Err(error.into());
                    }
                }
            }
            frames.buffer().reserve(PIECE_BYTES_MAX);
            if reader.read_buf(frames.buffer()).await? == 0 {
                return Ok(());
            }
        }
    }

    async fn send(&self, frame: Outgoing) {
        // Without a writer the connection is about to end.
        let _ = self.frames.send(frame).await;
    }

    async fn take(&self, frame: Incoming) {
        match frame {
            Incoming::Open { stream, headers, fin } => self.open(stream, headers, fin).await,
            Incoming::Data { stream, data, fin } => {
                if !data.is_empty()
                    && let Some(pieces) = self.shared.input(stream)
                {
                    // Nobody listens any more; the rest is dropped.
                    let _ = pieces.send(Piece::Data(data)).await;
                }
                if fin {
                    self.end(stream).await;
                }
            }
            Incoming::Headers { stream, fin: true } => self.end(stream).await,
            Incoming::Reset { stream } => self.shared.remove(stream),
            Incoming::InitialWindow(bytes) => self.shared.set_initial_window(bytes),
            Incoming::WindowUpdate { stream, delta } => self.shared.widen(stream, delta),
            // Even numbers are answers to our own.
            Incoming::Ping(id) if id % 2 == 1 => self.send(Outgoing::Ping(id)).await,
            Incoming::Ping(_) | Incoming::Headers { .. } | Incoming::GoAway | Incoming::Other => {}
        }
    }

    async fn end(&self, stream: u32) {
        if let Some(pieces) = self.shared.finish_input(stream) {
            let _ = pieces.send(Piece::End).await;
        }
    }

    async fn open(&self, stream: u32, headers: Headers, fin: bool) {
        let pieces = match self.shared.open(stream, fin) {
            Ok(pieces) => pieces,
            Err(reason) => return self.send(Outgoing::Reset { stream, reason }).await,
        };
        // Clients take data only after this.
        self.send(Outgoing::Accept { stream }).await;
        let input = StreamInput { id: stream, pieces, frames: self.frames.clone(), unannounced: 0 };
        let output =
            StreamOutput { id: stream, frames: self.frames.clone(), shared: Arc::clone(&self.shared), finished: false };
        // Without a session the stream is dropped, and reset by that.
        let _ = self.opened.send(SpdyStream { headers, id: stream, input, output }).await;
    }
}

#[cfg(test)]
mod tests;
