//! One streamed call to a host's agent.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::Router;
use axum::body::{Body, BodyDataStream};
use bytes::{Buf as _, Bytes};
use coracle_control_api::remote_command::{
    CONTENT_TYPE, Channel, DecodeFrameError, Frame, FrameDecoder, PAYLOAD_BYTES_MAX, encode, encode_close,
};
use coracle_control_api::status::Status;
use futures::StreamExt as _;
use http::Request;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio_util::sync::PollSender;

use super::QUEUE_CHUNKS;
use crate::subresources::{agent_error, ask};

/// Both directions of a call.
#[derive(Debug)]
pub(super) struct HostCall {
    pub(super) sender: HostSender,
    pub(super) receiver: HostReceiver,
}

/// Frames to the host. Dropped, it tells the host that the client has gone.
#[derive(Debug)]
pub(super) struct HostSender {
    chunks: mpsc::Sender<Bytes>,
}

/// Frames from the host.
#[derive(Debug)]
pub(super) struct HostReceiver {
    body: BodyDataStream,
    decoder: FrameDecoder,
}

/// The host takes nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the host takes no more input")]
pub(super) struct HostGone;

/// Why frames of the host cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReceiveError {
    #[error("the connection to the host broke")]
    Broken(#[source] axum::Error),
    #[error("the host broke the protocol")]
    Protocol(#[from] DecodeFrameError),
}

/// Begins a call: POST to `target`, a path with its query.
///
/// # Errors
/// The host's refusal, in its words.
pub(super) async fn open(agent: Router, target: &str) -> Result<HostCall, Status> {
    let (chunks, mut queue) = mpsc::channel::<Bytes>(QUEUE_CHUNKS);
    let body = futures::stream::poll_fn(move |context| queue.poll_recv(context)).map(Ok::<_, std::convert::Infallible>);
    let request = Request::post(target).header(http::header::CONTENT_TYPE, CONTENT_TYPE).body(Body::from_stream(body));
    let request = request.map_err(|_| Status::bad_request("the options cannot be passed to the host"))?;
    let answer = ask(agent, request).await?;
    if !answer.status().is_success() {
        return Err(agent_error(answer).await);
    }
    let receiver = HostReceiver { body: answer.into_body().into_data_stream(), decoder: FrameDecoder::new() };
    Ok(HostCall { sender: HostSender { chunks }, receiver })
}

impl HostSender {
    /// Sends bytes on a channel; waits while the host does not read.
    ///
    /// # Errors
    /// The host takes nothing more.
    pub(super) async fn send(&self, channel: Channel, data: &[u8]) -> Result<(), HostGone> {
        for piece in data.chunks(PAYLOAD_BYTES_MAX) {
            self.chunks.send(encode(channel, piece)).await.map_err(|_| HostGone)?;
        }
        Ok(())
    }

    /// Says that nothing more comes on a channel.
    ///
    /// # Errors
    /// The host takes nothing more.
    pub(super) async fn close(&self, channel: Channel) -> Result<(), HostGone> {
        self.chunks.send(encode_close(channel)).await.map_err(|_| HostGone)
    }
}

impl HostReceiver {
    /// The next frame; `None` at the end.
    ///
    /// # Errors
    /// The connection broke, or what came makes no sense.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Option<Frame>, ReceiveError> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Frame>, ReceiveError>> {
        loop {
            if let Some(frame) = self.decoder.next_frame()? {
                return Poll::Ready(Ok(Some(frame)));
            }
            match ready!(self.body.poll_next_unpin(context)) {
                Some(Ok(chunk)) => self.decoder.push(&chunk),
                Some(Err(error)) => return Poll::Ready(Err(ReceiveError::Broken(error))),
                None => {
                    self.decoder.finish()?;
                    return Poll::Ready(Ok(None));
                }
            }
        }
    }
}

/// A connection to a TCP port of a pod, through its host.
#[derive(Debug)]
pub(crate) struct HostStream {
    chunks: PollSender<Bytes>,
    receiver: HostReceiver,
    unread: Bytes,
    ended: bool,
}

/// Connects to a port of a pod. That the port is closed is seen when the stream is read.
///
/// # Errors
/// The host's refusal, in its words.
pub(crate) async fn open_port(agent: Router, pod: &str, port: u16) -> Result<HostStream, Status> {
    let HostCall { sender, receiver } = open(agent, &format!("/portForward/{pod}?port={port}")).await?;
    Ok(HostStream { chunks: PollSender::new(sender.chunks), receiver, unread: Bytes::new(), ended: false })
}

fn gone<E>(_: E) -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, HostGone)
}

/// What the host says of a connection that broke.
fn failure(payload: &[u8]) -> io::Result<()> {
    let status: serde_json::Value = serde_json::from_slice(payload).unwrap_or_default();
    if status["status"] == "Success" {
        return Ok(());
    }
    let text = status["message"].as_str().unwrap_or("the connection to the port broke");
    Err(io::Error::new(io::ErrorKind::ConnectionReset, text.to_owned()))
}

impl AsyncRead for HostStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.unread.is_empty() && !self.ended {
            match ready!(self.receiver.poll_next(context)) {
                Err(error) => return Poll::Ready(Err(io::Error::other(error))),
                Ok(None) => self.ended = true,
                Ok(Some(frame)) => match frame.channel {
                    Channel::Stdin => self.unread = frame.payload,
                    Channel::Close => self.ended = frame.closes() == Some(Channel::Stdin),
                    Channel::Error => {
                        self.ended = true;
                        failure(&frame.payload)?;
                    }
                    Channel::Stdout | Channel::Stderr | Channel::Resize => {}
                },
            }
        }
        let length = self.unread.len().min(buffer.remaining());
        buffer.put_slice(&self.unread[..length]);
        self.unread.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for HostStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.chunks.poll_reserve(context)).map_err(gone)?;
        let length = data.len().min(PAYLOAD_BYTES_MAX);
        self.chunks.send_item(encode(Channel::Stdin, &data[..length])).map_err(gone)?;
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Ends this direction only, as TCP does.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.chunks.poll_reserve(context)).map_err(gone)?;
        Poll::Ready(self.chunks.send_item(encode_close(Channel::Stdin)).map_err(gone))
    }
}
