//! SPDY inside the messages of a WebSocket, as kubectl forwards ports since 1.31.

use std::io;

use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _, TryStreamExt as _};
use tokio_tungstenite::tungstenite::Message;
use tokio_util::io::{CopyToBytes, SinkWriter, StreamReader};
use tokio_util::sync::CancellationToken;

use super::open;
use crate::streaming::port_forward::Target;
use crate::streaming::spdy;
use crate::streaming::upgrade::Connection;

/// Before the name of the protocol inside.
pub(in crate::streaming) const TUNNEL_PREFIX: &str = "SPDY/3.1+";

/// Forwards ports over an upgraded connection.
pub(in crate::streaming) async fn run(connection: Connection, target: Target, shutdown: CancellationToken) {
    let (sink, stream) = open(connection).await.split();
    let chunks = stream.map_err(io::Error::other).try_take_while(|message| {
        let goes_on = !message.is_close();
        async move { Ok(goes_on) }
    });
    let chunks = chunks.try_filter_map(|message| async move {
        Ok(match message {
            Message::Binary(data) if !data.is_empty() => Some(data),
            _ => None,
        })
    });
    let reader = StreamReader::new(Box::pin(chunks));
    let messages = sink
        .sink_map_err(io::Error::other)
        .with(|data: Bytes| async move { Ok::<_, io::Error>(Message::Binary(data)) });
    let writer = SinkWriter::new(CopyToBytes::new(Box::pin(messages)));
    spdy::run_port_forward(reader, writer, target, shutdown).await;
}
