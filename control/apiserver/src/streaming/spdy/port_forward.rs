//! port-forward over SPDY: each connection is a pair of streams, one for the data and one for what goes wrong, joined by
//! the request id in their headers.

use std::collections::HashMap;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::connection::{self, Piece, SpdyStream, StreamInput, StreamOutput};
use crate::streaming::OPENING_TIMEOUT;
use crate::streaming::host::HostStream;
use crate::streaming::port_forward::{CHUNK_BYTES, Target, parse_port};

/// The protocol that is spoken.
pub(in crate::streaming) const PROTOCOLS: &[&str] = &["portforward.k8s.io"];

/// Streams that wait to be taken up.
const OPENED_QUEUED: usize = 8;

/// Forwards connections until the client hangs up or the server goes down.
pub(in crate::streaming) async fn run(
    reader: impl AsyncRead + Unpin,
    writer: impl AsyncWrite + Unpin,
    target: Target,
    shutdown: CancellationToken,
) {
    let (opened, streams) = mpsc::channel(OPENED_QUEUED);
    tokio::select! {
        () = connection::run(reader, writer, opened) => {}
        () = serve(streams, target) => {}
        () = shutdown.cancelled() => {}
    }
}

async fn serve(mut opened: mpsc::Receiver<SpdyStream>, target: Target) {
    let mut pairs = Pairs::default();
    let mut forwards = JoinSet::new();
    loop {
        let oldest = pairs.oldest();
        tokio::select! {
            stream = opened.recv() => {
                let Some(stream) = stream else { return };
                if let Some(pair) = pairs.add(stream) {
                    forwards.spawn(forward(pair, target.clone()));
                }
            }
            Some(_) = forwards.join_next() => {}
            () = tokio::time::sleep_until(oldest.unwrap_or_else(Instant::now) + OPENING_TIMEOUT), if oldest.is_some() => {
                pairs.forget_old().await;
            }
        }
    }
}

/// A connection to be made.
struct Pair {
    port: u16,
    data: SpdyStream,
    error: SpdyStream,
}

/// Streams whose other half has not come. Their number is bounded by that of the connection's streams.
#[derive(Default)]
struct Pairs {
    halves: HashMap<String, (Instant, SpdyStream)>,
}

impl Pairs {
    /// Takes up a stream; gives the pair when it is whole. A stream that makes no sense is dropped, and reset by that.
    fn add(&mut self, stream: SpdyStream) -> Option<Pair> {
        let is_data = match stream.header("streamtype") {
            "data" => true,
            "error" => false,
            _ => return None,
        };
        let port = parse_port(stream.header("port")).ok()?;
        let id = match stream.header("requestid") {
            // Clients of old open the error stream first, and the data stream right after.
            "" if is_data => stream.id.saturating_sub(2).to_string(),
            "" => stream.id.to_string(),
            id => id.to_owned(),
        };
        let Some((_, other)) = self.halves.remove(&id) else {
            self.halves.insert(id, (Instant::now(), stream));
            return None;
        };
        let other_is_data = other.header("streamtype") == "data";
        match (is_data, other_is_data) {
            (true, false) => Some(Pair { port, data: stream, error: other }),
            (false, true) => Some(Pair { port, data: other, error: stream }),
            _ => None,
        }
    }

    fn oldest(&self) -> Option<Instant> {
        self.halves.values().map(|(since, _)| *since).min()
    }

    async fn forget_old(&mut self) {
        let now = Instant::now();
        let old: Vec<String> = self
            .halves
            .iter()
            .filter(|(_, (since, _))| now >= *since + OPENING_TIMEOUT)
            .map(|(id, _)| id.clone())
            .collect();
        for id in old {
            if let Some((_, mut stream)) = self.halves.remove(&id) {
                let text = "timed out waiting for the other stream of the connection";
                // A client that has gone needs no text.
                let _ = stream.output.send(Bytes::from_static(text.as_bytes())).await;
                let _ = stream.output.finish().await;
            }
        }
    }
}

async fn forward(pair: Pair, target: Target) {
    let Pair { port, mut data, mut error } = pair;
    let failed = match target.connect(port).await {
        Ok(stream) => carry(stream, &mut data.input, &mut data.output).await.err(),
        Err(cause) => Some(cause),
    };
    if let Some(cause) = failed {
        let text = target.failure(port, &cause);
        // As above.
        let _ = error.output.send(Bytes::from(text)).await;
    }
    // Clients wait for the end of the error stream, whatever became of the data.
    let _ = error.output.finish().await;
    let _ = data.output.finish().await;
}

/// Carries bytes until the pod's side has ended, or the client has given up the stream.
async fn carry(stream: HostStream, input: &mut StreamInput, output: &mut StreamOutput) -> Result<(), String> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let up = async {
        loop {
            match input.next().await {
                Some(Piece::Data(data)) => {
                    if writer.write_all(&data).await.is_err() {
                        break;
                    }
                }
                Some(Piece::End) => {
                    // The pod may well have more to say after it has heard everything.
                    let _ = writer.shutdown().await;
                    break;
                }
                None => return,
            }
        }
        std::future::pending().await
    };
    let down = async {
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            match reader.read(&mut buffer).await {
                Ok(0) => return Ok(()),
                Ok(length) => {
                    if output.send(Bytes::copy_from_slice(&buffer[..length])).await.is_err() {
                        return Ok(());
                    }
                }
                Err(error) => return Err(error.to_string()),
            }
        }
    };
    tokio::select! {
        () = up => Ok(()),
        result = down => result,
    }
}
