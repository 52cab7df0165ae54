//! The one protocol between the API server and a host for exec, attach and port-forward.
//!
//! A client speaks WebSocket channels or SPDY/3.1; the API server ends those protocols and speaks this one with the host,
//! over whatever a `HostLinks` router is: a call in the same process, or a stream to another machine. So a host
//! implements one thing, and neither HTTP upgrades nor client versions reach it.
//!
//! # The calls
//! Each is a POST whose request body and answer body are both streams of frames, sent at the same time:
//!
//! | path | query |
//! |---|---|
//! | `/exec/{namespace}/{pod}/{container}` | `command=..` once per word, `stdin`, `stdout`, `stderr`, `tty` (each `true` when wanted) |
//! | `/attach/{namespace}/{pod}/{container}` | `stdin`, `stdout`, `stderr`, `tty` |
//! | `/portForward/{namespace}/{pod}` | `port=N`: one connection to that TCP port of the pod |
//!
//! The host answers 200 as soon as the container, or the port's pod, is known to be there; the streams run from then on.
//! Before that it refuses with an HTTP code and one line of plain text, as on its other paths, and reads no body.
//! [`StreamOptions`] is the query of the first two.
//!
//! # The frames
//! `channel` (one byte), `length` (four bytes, big endian), `length` bytes of payload; at most [`PAYLOAD_BYTES_MAX`]. The
//! boundaries between the frames of a byte stream mean nothing.
//!
//! | channel | towards the host | towards the API server |
//! |---|---|---|
//! | 0 [`Channel::Stdin`] | bytes for standard input, or for the port | bytes from the port (port-forward only) |
//! | 1 [`Channel::Stdout`], 2 [`Channel::Stderr`] | never | bytes that the program writes; with a tty all are on 1 |
//! | 3 [`Channel::Error`] | never | how it ended: one `metav1.Status` as JSON, the last frame of an answer |
//! | 4 [`Channel::Resize`] | the terminal's size: [`TerminalSize`] as JSON | never |
//! | 255 [`Channel::Close`] | one byte, a channel that ends: 0 is end of input | 0: the port's side has ended its stream (half-close) |
//!
//! An exec or attach ends with channel 3 and the end of the answer body: success is [`success_status`], a program that
//! exits with another code than 0 [`exit_status`], anything else [`failure_status`]. A port-forward ends when the answer
//! body ends; when the port cannot be reached, or the connection breaks, channel 3 says why before that.
//!
//! The end of the request body means that the client has gone altogether: an exec'd program loses its terminal and is to
//! be ended; an attached one goes on. A client that only ends its input sends `Close` of channel 0 and listens on.
//!
//! # Bounds
//! Nothing is promised to be read ahead: each side stops reading a body when it cannot pass on what came, and so the
//! bodies themselves are the flow control. A [`FrameDecoder`] holds what was pushed and not taken, which is one frame and
//! one chunk of the body when its owner takes all frames after each push.

mod options;
mod outcome;

pub use options::{ParseStreamOptionsError, StreamOptions};
pub use outcome::{exit_status, failure_status, success_status};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

/// The most bytes that one frame carries. Longer data goes in several frames.
pub const PAYLOAD_BYTES_MAX: usize = 64 * 1024;
/// The bytes of a frame before its payload.
pub const HEADER_BYTES: usize = 5;
/// The media type of both bodies.
pub const CONTENT_TYPE: &str = "application/vnd.coracle.streams";

/// What a frame is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Channel {
    /// Standard input; both directions of a port-forward.
    Stdin = 0,
    /// Standard output.
    Stdout = 1,
    /// Standard error.
    Stderr = 2,
    /// A `metav1.Status` that says how it ended.
    Error = 3,
    /// The size of the terminal.
    Resize = 4,
    /// One byte: the channel on which nothing more comes.
    Close = 255,
}

impl Channel {
    fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            0 => Self::Stdin,
            1 => Self::Stdout,
            2 => Self::Stderr,
            3 => Self::Error,
            4 => Self::Resize,
            255 => Self::Close,
            _ => return None,
        })
    }
}

/// A piece of one of the streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Which stream.
    pub channel: Channel,
    /// At most [`PAYLOAD_BYTES_MAX`] bytes.
    pub payload: Bytes,
}

impl Frame {
    /// The channel that this frame closes, when it closes one.
    #[must_use]
    pub fn closes(&self) -> Option<Channel> {
        match (self.channel, &*self.payload) {
            (Channel::Close, [byte]) => Channel::from_byte(*byte),
            _ => None,
        }
    }
}

/// Why what came is not a sequence of frames. Nothing after it can be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeFrameError {
    /// The first byte of a frame names no channel.
    #[error("a frame names channel {0}, which there is not")]
    UnknownChannel(u8),
    /// The length is above [`PAYLOAD_BYTES_MAX`].
    #[error("a frame of {0} bytes is too long")]
    TooLong(u32),
    /// The stream ended inside a frame.
    #[error("the stream ended inside a frame")]
    Truncated,
}

/// The frames that carry these bytes on a channel: none for no bytes, several for more than [`PAYLOAD_BYTES_MAX`].
#[must_use]
pub fn encode(channel: Channel, data: &[u8]) -> Bytes {
    let frames = data.len().div_ceil(PAYLOAD_BYTES_MAX);
    let mut out = BytesMut::with_capacity(data.len() + frames * HEADER_BYTES);
    for piece in data.chunks(PAYLOAD_BYTES_MAX) {
        out.put_u8(channel as u8);
        // A piece has at most `PAYLOAD_BYTES_MAX` bytes.
        out.put_u32(u32::try_from(piece.len()).unwrap_or(u32::MAX));
        out.put_slice(piece);
    }
    out.freeze()
}

/// The frame that ends a channel.
#[must_use]
pub fn encode_close(channel: Channel) -> Bytes {
    encode(Channel::Close, &[channel as u8])
}

/// Takes frames out of the chunks of a body, however those are cut.
#[derive(Debug, Default)]
pub struct FrameDecoder {
    buffer: BytesMut,
}

impl FrameDecoder {
    /// A decoder at the beginning of a body.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what came.
    pub fn push(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// The next whole frame, if it has come.
    ///
    /// # Errors
    /// What came is not a frame; the same error is given from then on.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, DecodeFrameError> {
        let &[byte, a, b, c, d, ..] = &*self.buffer else { return Ok(None) };
        let channel = Channel::from_byte(byte).ok_or(DecodeFrameError::UnknownChannel(byte))?;
        let length = u32::from_be_bytes([a, b, c, d]);
        let payload_bytes = usize::try_from(length).unwrap_or(usize::MAX);
        if payload_bytes > PAYLOAD_BYTES_MAX {
            return Err(DecodeFrameError::TooLong(length));
        }
        if self.buffer.len() < HEADER_BYTES + payload_bytes {
            return Ok(None);
        }
        self.buffer.advance(HEADER_BYTES);
        Ok(Some(Frame { channel, payload: self.buffer.split_to(payload_bytes).freeze() }))
    }

    /// Says that nothing more comes.
    ///
    /// # Errors
    /// A frame has begun and not ended.
    pub fn finish(&self) -> Result<(), DecodeFrameError> {
        if self.buffer.is_empty() { Ok(()) } else { Err(DecodeFrameError::Truncated) }
    }
}

/// The payload of [`Channel::Resize`], as upstream's clients write it: `{"Width":80,"Height":24}`, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Columns.
    #[serde(rename = "Width")]
    pub width: u16,
    /// Rows.
    #[serde(rename = "Height")]
    pub height: u16,
}

#[cfg(test)]
mod tests;
