//! Frames of SPDY/3.1: what comes, taken apart; what goes, put together.

use bytes::{Buf as _, Bytes, BytesMut};

use super::header::{HeaderDecoder, HeaderEncoder, Headers};

/// The largest control frame that is read.
const CONTROL_BYTES_MAX: usize = 64 * 1024;
/// Data frames are handed on in pieces of at most so many bytes, and sent in such frames.
pub(super) const PIECE_BYTES_MAX: usize = 32 * 1024;
/// The bytes before what a frame is about.
const HEAD_BYTES: usize = 8;
/// The most settings of one frame; there are eight kinds.
const SETTINGS_MAX: u32 = 64;
const VERSION: u16 = 3;
const FIN: u8 = 1;

const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const SETTINGS: u16 = 4;
const PING: u16 = 6;
const GOAWAY: u16 = 7;
const HEADERS: u16 = 8;
const WINDOW_UPDATE: u16 = 9;

/// The setting that says how large the window of a new stream is.
pub(super) const INITIAL_WINDOW_SIZE: u32 = 7;

/// Why a stream is reset.
pub(super) const PROTOCOL_ERROR: u32 = 1;
/// There are too many streams.
pub(super) const REFUSED_STREAM: u32 = 3;
/// Nobody needs the stream any more.
pub(super) const CANCEL: u32 = 5;

/// Why a connection cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum SpdyError {
    #[error("a control frame is of another version of SPDY")]
    Version,
    #[error("a frame or header block is too large")]
    TooLarge,
    #[error("a frame is malformed")]
    Malformed,
    #[error("a header block cannot be decompressed or compressed")]
    Compression,
}

/// What came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Incoming {
    Open {
        stream: u32,
        headers: Headers,
        fin: bool,
    },
    /// A piece of a data frame; `fin` only with the last one.
    Data {
        stream: u32,
        data: Bytes,
        fin: bool,
    },
    Reset {
        stream: u32,
    },
    /// The client's window for each stream.
    InitialWindow(u32),
    Ping(u32),
    GoAway,
    WindowUpdate {
        stream: u32,
        delta: u32,
    },
    /// The stream ends with headers, of which nobody knows anything.
    Headers {
        stream: u32,
        fin: bool,
    },
    /// A frame that says nothing to a server.
    Other,
}

/// A data frame of which the rest is still to come.
#[derive(Debug, Clone, Copy)]
struct Rest {
    stream: u32,
    bytes: usize,
    fin: bool,
}

/// Takes frames out of what comes, however it is cut. It holds one control frame, or one piece of data, at most, and
/// what was pushed and not taken.
pub(super) struct FrameReader {
    buffer: BytesMut,
    rest: Option<Rest>,
    headers: HeaderDecoder,
}

impl FrameReader {
    pub(super) fn new() -> Self {
        Self { buffer: BytesMut::new(), rest: None, headers: HeaderDecoder::new() }
    }

    /// Where to put what comes.
    pub(super) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next frame or piece, if it has come.
    pub(super) fn next(&mut self) -> Result<Option<Incoming>, SpdyError> {
        if let Some(rest) = self.rest.take() {
            return Ok(self.take_data(rest));
        }
        let &[a, b, c, d, flags, e, f, g, ..] = &*self.buffer else { return Ok(None) };
        let word = u32::from_be_bytes([a, b, c, d]);
        let length = usize::try_from(u32::from_be_bytes([0, e, f, g])).map_err(|_| SpdyError::TooLarge)?;
        if a & 0x80 == 0 {
            self.buffer.advance(HEAD_BYTES);
            return Ok(self.take_data(Rest { stream: word, bytes: length, fin: flags & FIN != 0 }));
        }
        if u16::from_be_bytes([a & 0x7f, b]) != VERSION {
            return Err(SpdyError::Version);
        }
        if length > CONTROL_BYTES_MAX {
            return Err(SpdyError::TooLarge);
        }
        if self.buffer.len() < HEAD_BYTES + length {
            return Ok(None);
        }
        self.buffer.advance(HEAD_BYTES);
        let payload = self.buffer.split_to(length).freeze();
        self.control(u16::from_be_bytes([c, d]), flags, payload).map(Some)
    }

    fn take_data(&mut self, rest: Rest) -> Option<Incoming> {
        let Rest { stream, bytes, fin } = rest;
        let length = bytes.min(self.buffer.len()).min(PIECE_BYTES_MAX);
        if length == 0 && bytes > 0 {
            self.rest = Some(Rest { stream, bytes, fin });
            return None;
        }
        let data = self.buffer.split_to(length).freeze();
        let whole = length == bytes;
        if !whole {
            self.rest = Some(Rest { stream, bytes: bytes - length, fin });
        }
        Some(Incoming::Data { stream, data, fin: fin && whole })
    }

    fn control(&mut self, kind: u16, flags: u8, mut payload: Bytes) -> Result<Incoming, SpdyError> {
        let fin = flags & FIN != 0;
        Ok(match kind {
            SYN_STREAM => {
                let stream = take_stream(&mut payload)?;
                // The associated stream, the priority and the slot.
                skip(&mut payload, 6)?;
                Incoming::Open { stream, headers: self.headers.decode(&payload)?, fin }
            }
            SYN_REPLY | HEADERS => {
                let stream = take_stream(&mut payload)?;
                // Every block moves the state of the decompression, also one that says nothing.
                self.headers.decode(&payload)?;
                Incoming::Headers { stream, fin }
            }
            RST_STREAM => Incoming::Reset { stream: take_stream(&mut payload)? },
            SETTINGS => settings(payload)?,
            PING => Incoming::Ping(take_word(&mut payload)?),
            GOAWAY => Incoming::GoAway,
            WINDOW_UPDATE => {
                let stream = take_stream(&mut payload)?;
                Incoming::WindowUpdate { stream, delta: take_word(&mut payload)? & 0x7fff_ffff }
            }
            _ => Incoming::Other,
        })
    }
}

fn settings(mut payload: Bytes) -> Result<Incoming, SpdyError> {
    let count = take_word(&mut payload)?;
    let mut found = Incoming::Other;
    for _ in 0..count.min(SETTINGS_MAX) {
        let (id, value) = (take_word(&mut payload)? & 0x00ff_ffff, take_word(&mut payload)?);
        if id == INITIAL_WINDOW_SIZE {
            found = Incoming::InitialWindow(value & 0x7fff_ffff);
        }
    }
    Ok(found)
}

fn take_word(payload: &mut Bytes) -> Result<u32, SpdyError> {
    if payload.len() < 4 { Err(SpdyError::Malformed) } else { Ok(payload.get_u32()) }
}

fn take_stream(payload: &mut Bytes) -> Result<u32, SpdyError> {
    Ok(take_word(payload)? & 0x7fff_ffff)
}

fn skip(payload: &mut Bytes, bytes: usize) -> Result<(), SpdyError> {
    if payload.len() < bytes {
        return Err(SpdyError::Malformed);
    }
    payload.advance(bytes);
    Ok(())
}

/// What goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outgoing {
    /// The stream is taken, with no headers.
    Accept {
        stream: u32,
    },
    /// At most [`PIECE_BYTES_MAX`] bytes.
    Data {
        stream: u32,
        data: Bytes,
        fin: bool,
    },
    Reset {
        stream: u32,
        reason: u32,
    },
    Ping(u32),
    GoAway {
        last: u32,
    },
    WindowUpdate {
        stream: u32,
        delta: u32,
    },
}

/// Puts frames together.
pub(super) struct FrameWriter {
    headers: HeaderEncoder,
}

impl FrameWriter {
    pub(super) fn new() -> Result<Self, SpdyError> {
        Ok(Self { headers: HeaderEncoder::new()? })
    }

    /// Appends a frame.
    pub(super) fn write(&mut self, out: &mut Vec<u8>, frame: Outgoing) -> Result<(), SpdyError> {
        match frame {
            Outgoing::Accept { stream } => {
                let mut payload = stream.to_be_bytes().to_vec();
                payload.extend(self.headers.encode(&Headers::new())?);
                put_control(out, SYN_REPLY, 0, &payload);
            }
            Outgoing::Data { stream, data, fin } => {
                out.extend_from_slice(&stream.to_be_bytes());
                put_length(out, u8::from(fin), data.len());
                out.extend_from_slice(&data);
            }
            Outgoing::Reset { stream, reason } => put_control(out, RST_STREAM, 0, &words([stream, reason])),
            Outgoing::Ping(id) => put_control(out, PING, 0, &id.to_be_bytes()),
            Outgoing::GoAway { last } => put_control(out, GOAWAY, 0, &words([last, 0])),
            Outgoing::WindowUpdate { stream, delta } => put_control(out, WINDOW_UPDATE, 0, &words([stream, delta])),
        }
        Ok(())
    }

    /// Appends the frame with which a client opens a stream.
    #[cfg(test)]
    pub(super) fn open(&mut self, out: &mut Vec<u8>, stream: u32, headers: &Headers) {
        let mut payload = words([stream, 0]).to_vec();
        payload.extend([0, 0]);
        payload.extend(self.headers.encode(headers).unwrap());
        put_control(out, SYN_STREAM, 0, &payload);
    }
}

fn words([first, second]: [u32; 2]) -> [u8; 8] {
    ((u64::from(first) << 32) | u64::from(second)).to_be_bytes()
}

fn put_control(out: &mut Vec<u8>, kind: u16, flags: u8, payload: &[u8]) {
    out.extend_from_slice(&(0x8000 | VERSION).to_be_bytes());
    out.extend_from_slice(&kind.to_be_bytes());
    put_length(out, flags, payload.len());
    out.extend_from_slice(payload);
}

fn put_length(out: &mut Vec<u8>, flags: u8, length: usize) {
    // No frame is made here that has more bytes than three bytes can say.
    let [_, a, b, c] = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    out.extend_from_slice(&[flags, a, b, c]);
}

#[cfg(test)]
mod tests;
