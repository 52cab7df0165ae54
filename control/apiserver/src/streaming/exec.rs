//! exec and attach: the streams of a program, over whatever protocol the client speaks.

use std::future::Future;
use std::pin::pin;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use coracle_control_api::remote_command::{Channel, Frame, StreamOptions};
use coracle_control_api::status::Status;
use futures::{Stream, StreamExt as _};
use http::Request;
use tokio_util::sync::CancellationToken;

use super::host::{self, HostCall, HostReceiver, HostSender, ReceiveError};
use super::upgrade::{self, Offer};
use super::{KEEP_ALIVE_INTERVAL, spdy, websocket};
use crate::call::Call;

/// What a client sends.
#[derive(Debug)]
pub(super) enum Event {
    Data(Channel, Bytes),
    /// Nothing more comes on this channel; the client goes on listening.
    End(Channel),
}

/// The client takes nothing more.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the client has gone")]
pub(super) struct ClientGone;

/// What a client is sent, in its protocol.
pub(super) trait Output: Send {
    /// Bytes of standard output or standard error; waits while the client does not read.
    fn send(&mut self, channel: Channel, data: Bytes) -> impl Future<Output = Result<(), ClientGone>> + Send;

    /// Something that a client which is there answers, or at least takes.
    fn keep_alive(&mut self) -> impl Future<Output = Result<(), ClientGone>> + Send;

    /// How it ended, as JSON of a `Status`, and the end of all streams.
    fn finish(&mut self, status: Bytes) -> impl Future<Output = Result<(), ClientGone>> + Send;
}

/// Answers a request for exec or attach: `target` is the host's path, without the query.
///
/// # Errors
/// 400 when it is no upgrade; the host's refusal.
pub(crate) async fn serve(
    call: &Call,
    mut request: Request<Body>,
    agent: Router,
    target: &str,
    options: StreamOptions,
) -> Result<Response, Status> {
    let offer = upgrade::offer(&call.headers)?;
    let upgrade = upgrade::take(&mut request)?;
    let target = format!("{target}?{}", options.to_query());
    let (sessions, shutdown) = (&call.shared.sessions, call.shared.shutdown.clone());
    match offer {
        Offer::WebSocket { key, protocols } => {
            let Some(dialect) = websocket::Dialect::choose(&protocols) else { return Ok(upgrade::no_protocol_fits()) };
            let host = host::open(agent, &target).await?;
            let answer = upgrade::websocket_answer(&key, dialect.name);
            upgrade::switch(sessions, upgrade, answer, async move |connection| {
                websocket::run_exec(connection, dialect, options, host, shutdown).await;
            })
        }
        Offer::Spdy { protocols } => {
            let (answer, chosen) = upgrade::spdy_answer(&protocols, spdy::EXEC_PROTOCOLS);
            let Some(protocol) = chosen else { return Ok(answer) };
            let host = host::open(agent, &target).await?;
            upgrade::switch(sessions, upgrade, answer, async move |connection| {
                spdy::run_exec(connection, protocol, options, host, shutdown).await;
            })
        }
    }
}

/// Carries bytes between a client and a host until the program has ended, the client has gone, or the server goes down.
pub(super) async fn run(
    host: HostCall,
    events: impl Stream<Item = Event> + Send,
    output: &mut impl Output,
    shutdown: CancellationToken,
) {
    let HostCall { sender, mut receiver } = host;
    tokio::select! {
        () = pass_input(&sender, events) => {}
        _ = pass_output(&mut receiver, output) => {}
        () = shutdown.cancelled() => {}
    }
}

/// Ends when the client has gone. What the host takes no more is read and dropped, so that this is noticed.
async fn pass_input(sender: &HostSender, events: impl Stream<Item = Event> + Send) {
    let mut events = pin!(events);
    let mut open = true;
    while let Some(event) = events.next().await {
        if open {
            open = match event {
                Event::Data(channel, data) => sender.send(channel, &data).await.is_ok(),
                Event::End(channel) => sender.close(channel).await.is_ok(),
            };
        }
    }
}

/// Ends when the host has said how it ended.
async fn pass_output(receiver: &mut HostReceiver, output: &mut impl Output) -> Result<(), ClientGone> {
    loop {
        // Nothing is lost when the wait is given up: receiving is cancel-safe.
        let Ok(received) = tokio::time::timeout(KEEP_ALIVE_INTERVAL, receiver.next()).await else {
            output.keep_alive().await?;
            continue;
        };
        match received {
            Ok(Some(Frame { channel: channel @ (Channel::Stdout | Channel::Stderr), payload })) => {
                output.send(channel, payload).await?;
            }
            Ok(Some(Frame { channel: Channel::Error, payload })) => return output.finish(payload).await,
            Ok(Some(_)) => {}
            Ok(None) => return output.finish(broken("the host did not say how it ended")).await,
            Err(error) => {
                let text = match &error {
                    ReceiveError::Broken(source) => format!("{error}: {source}"),
                    ReceiveError::Protocol(source) => format!("{error}: {source}"),
                };
                return output.finish(broken(&text)).await;
            }
        }
    }
}

/// A `Status` for a program of whose end nothing is known.
fn broken(text: &str) -> Bytes {
    Bytes::from(Status::internal(text).to_value().to_string())
}

/// The sentence of a failure, for protocols that carry no `Status`; nothing for a success.
pub(super) fn sentence(status: &[u8]) -> Option<Bytes> {
    let status: serde_json::Value = serde_json::from_slice(status).unwrap_or_default();
    let message = status["message"].as_str().unwrap_or_default();
    (status["status"] != "Success").then(|| Bytes::from(message.to_owned()))
}
