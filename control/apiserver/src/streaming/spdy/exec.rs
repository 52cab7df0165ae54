//! exec and attach over SPDY: one stream for each of the program's, which the client opens after the upgrade.

use bytes::{Buf as _, Bytes, BytesMut};
use coracle_control_api::remote_command::{Channel, StreamOptions, TerminalSize};
use futures::{Stream, StreamExt as _};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::connection::{self, Piece, SpdyStream, StreamInput, StreamOutput};
use crate::streaming::exec::{self, ClientGone, Event, Output};
use crate::streaming::host::HostCall;
use crate::streaming::upgrade::Connection;
use crate::streaming::{CLOSING_TIMEOUT, OPENING_TIMEOUT};

const V4: &str = "v4.channel.k8s.io";
const V3: &str = "v3.channel.k8s.io";

/// The versions that are spoken, as upstream's hosts do. Version 5 exists over WebSocket only.
pub(in crate::streaming) const PROTOCOLS: &[&str] = &[V4, V3, "v2.channel.k8s.io", "channel.k8s.io"];

/// Streams that wait to be taken up.
const OPENED_QUEUED: usize = 8;
/// The most bytes of sizes of the terminal that are kept until one is whole.
const SIZES_BYTES_MAX: usize = 1024;

/// Runs a session over an upgraded connection.
pub(in crate::streaming) async fn run(
    connection: Connection,
    protocol: &str,
    options: StreamOptions,
    host: HostCall,
    shutdown: CancellationToken,
) {
    let (reader, writer) = tokio::io::split(connection);
    let (opened, mut streams) = mpsc::channel(OPENED_QUEUED);
    let session = async {
        let opening = Streams::open(&mut streams, &options, protocol);
        let Ok(Some(streams)) = tokio::time::timeout(OPENING_TIMEOUT, opening).await else {
            return tracing::debug!("timed out waiting for client to create streams");
        };
        let Streams { stdin, resize, mut output } = streams;
        exec::run(host, events(stdin, resize), &mut output, shutdown).await;
        // The client hangs up when it has read everything; hanging up first could lose what it has not.
        tokio::time::sleep(CLOSING_TIMEOUT).await;
    };
    tokio::select! {
        () = connection::run(reader, writer, opened) => {}
        () = session => {}
    }
}

/// The streams of a session, all there.
struct Streams {
    stdin: Option<StreamInput>,
    resize: Option<StreamInput>,
    output: Outputs,
}

struct Outputs {
    error: StreamOutput,
    stdout: Option<StreamOutput>,
    stderr: Option<StreamOutput>,
    /// Directions in which nothing goes; they are only ended.
    unused: Vec<StreamOutput>,
    status_is_json: bool,
}

impl Streams {
    /// Waits for every stream that the options name. `None` when the client has gone.
    async fn open(opened: &mut mpsc::Receiver<SpdyStream>, options: &StreamOptions, protocol: &str) -> Option<Self> {
        let resizes = options.tty && matches!(protocol, V4 | V3);
        let mut missing = vec!["error"];
        for (name, wanted) in [
            ("stdin", options.stdin),
            ("stdout", options.stdout),
            ("stderr", options.stderr && !options.tty),
            ("resize", resizes),
        ] {
            missing.extend(wanted.then_some(name));
        }
        let mut found: Vec<(&str, SpdyStream)> = Vec::new();
        while !missing.is_empty() {
            let stream = opened.recv().await?;
            // A stream that nobody asked for is dropped, and reset by that.
            if let Some(position) = missing.iter().position(|name| *name == stream.header("streamtype")) {
                found.push((missing.swap_remove(position), stream));
            }
        }
        let mut unused = Vec::new();
        let (mut stdin, mut resize) = (None, None);
        let (mut error, mut stdout, mut stderr) = (None, None, None);
        for (name, SpdyStream { input, output, .. }) in found {
            match name {
                "stdin" => stdin = Some(input),
                "resize" => resize = Some(input),
                _ => {}
            }
            match name {
                "error" => error = Some(output),
                "stdout" => stdout = Some(output),
                "stderr" => stderr = Some(output),
                _ => unused.push(output),
            }
        }
        let output = Outputs { error: error?, stdout, stderr, unused, status_is_json: protocol == V4 };
        Some(Self { stdin, resize, output })
    }
}

/// What the client sends. It never ends: that the client has gone is seen by its connection.
fn events(stdin: Option<StreamInput>, resize: Option<StreamInput>) -> impl Stream<Item = Event> + Send {
    let stdin = futures::stream::unfold(stdin, |input| async {
        let mut input = input?;
        Some(match input.next().await {
            Some(Piece::Data(data)) => (Event::Data(Channel::Stdin, data), Some(input)),
            Some(Piece::End) | None => (Event::End(Channel::Stdin), None),
        })
    });
    let resize = futures::stream::unfold((resize, Sizes::default()), |(input, mut sizes)| async {
        let mut input = input?;
        loop {
            if let Some(size) = sizes.next() {
                return Some((Event::Data(Channel::Resize, size), (Some(input), sizes)));
            }
            let Some(Piece::Data(data)) = input.next().await else { return None };
            sizes.push(&data);
        }
    });
    futures::stream::select(stdin, resize).chain(futures::stream::pending())
}

/// Takes sizes out of a stream of JSON, however it is cut.
#[derive(Debug, Default)]
struct Sizes {
    text: BytesMut,
}

impl Sizes {
    fn push(&mut self, data: &[u8]) {
        if self.text.len() + data.len() > SIZES_BYTES_MAX {
            self.text.clear();
        }
        self.text.extend_from_slice(&data[..data.len().min(SIZES_BYTES_MAX)]);
    }

    fn next(&mut self) -> Option<Bytes> {
        let mut values = serde_json::Deserializer::from_slice(&self.text).into_iter::<TerminalSize>();
        match values.next()? {
            Ok(size) => {
                let taken = values.byte_offset();
                self.text.advance(taken);
                serde_json::to_vec(&size).ok().map(Bytes::from)
            }
            Err(error) if error.is_eof() => None,
            Err(_) => {
                self.text.clear();
                None
            }
        }
    }
}

impl Output for Outputs {
    async fn send(&mut self, channel: Channel, data: Bytes) -> Result<(), ClientGone> {
        let output = match channel {
            Channel::Stdout => &mut self.stdout,
            Channel::Stderr => &mut self.stderr,
            Channel::Stdin | Channel::Error | Channel::Resize | Channel::Close => return Ok(()),
        };
        match output {
            Some(output) => output.send(data).await.map_err(|_| ClientGone),
            None => Ok(()),
        }
    }

    /// The connection has its own.
    async fn keep_alive(&mut self) -> Result<(), ClientGone> {
        Ok(())
    }

    async fn finish(&mut self, status: Bytes) -> Result<(), ClientGone> {
        let text = if self.status_is_json { Some(status) } else { exec::sentence(&status) };
        if let Some(text) = text {
            self.error.send(text).await.map_err(|_| ClientGone)?;
        }
        let all = self.stdout.iter_mut().chain(&mut self.stderr).chain([&mut self.error]).chain(&mut self.unused);
        for output in all {
            // A stream that the client has reset needs no end.
            let _ = output.finish().await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
