//! A watch whose client, a browser most likely, wants every event as one message of a WebSocket.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use coracle_control_api::status::Status;
use futures::Stream;
use http::header::UPGRADE;
use http::{HeaderMap, Request};

use super::upgrade::{self, Offer};
use super::websocket;
use crate::call::Call;

/// How the events follow each other in the chunks of a watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Each is a line of text, and ends with its line break.
    Lines,
    /// Each comes after its length in four bytes, the highest first.
    Lengths,
}

/// Whether the client wants messages. What it would upgrade to besides is passed over, as upstream does.
pub(crate) fn wants_messages(headers: &HeaderMap) -> bool {
    let upgrade = headers.get(UPGRADE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    upgrade::is_upgrade(headers) && upgrade.eq_ignore_ascii_case("websocket")
}

/// Answers with an upgrade and sends the events of `chunks`, each of which ends with an event. The session ends with them, or when the
/// client goes; what it sends is not read.
///
/// # Errors
/// 400 when it is no upgrade after all, 429 when too many sessions are open.
pub(crate) fn serve(
    call: &Call,
    mut request: Request<Body>,
    framing: Framing,
    chunks: impl Stream<Item = Bytes> + Send + 'static,
) -> Result<Response, Status> {
    let Offer::WebSocket { key, protocols } = upgrade::offer(&call.headers)? else {
        return Err(Status::bad_request("a watch is carried by HTTP or by a WebSocket"));
    };
    let upgrade = upgrade::take(&mut request)?;
    // There is one way to send events, by whatever name the client knows it.
    let protocol = protocols.first().map(String::as_str).unwrap_or_default();
    let answer = upgrade::websocket_answer(&key, protocol);
    let shutdown = call.shared.shutdown.clone();
    upgrade::switch(&call.shared.sessions, upgrade, answer, async move |connection| {
        websocket::run_watch(connection, framing, chunks, shutdown).await;
    })
}

impl Framing {
    /// Takes the first event off a chunk; nothing when none is left.
    pub(super) fn take(self, chunk: &mut Bytes) -> Option<Bytes> {
        match self {
            Self::Lines => {
                let end = chunk.iter().position(|byte| *byte == b'\n')?;
                Some(chunk.split_to(end + 1))
            }
            Self::Lengths => {
                let (length, rest) = chunk.split_first_chunk::<4>()?;
                let length =
                    usize::try_from(u32::from_be_bytes(*length)).ok().filter(|length| *length <= rest.len())?;
                let _ = chunk.split_to(4);
                Some(chunk.split_to(length))
            }
        }
    }
}

#[cfg(test)]
mod tests;
