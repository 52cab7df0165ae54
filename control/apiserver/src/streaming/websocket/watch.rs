//! The events of a watch, each one message: text where they are text, binary where they are protobuf.

use bytes::Bytes;
use futures::{SinkExt as _, Stream, StreamExt as _};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_util::sync::CancellationToken;

use super::{close, next_message, open_for_any_size};
use crate::streaming::KEEP_ALIVE_INTERVAL;
use crate::streaming::upgrade::Connection;
use crate::streaming::watch::Framing;

/// Sends the events over an upgraded connection until they end or the client goes.
pub(in crate::streaming) async fn run(
    connection: Connection,
    framing: Framing,
    chunks: impl Stream<Item = Bytes> + Send,
    shutdown: CancellationToken,
) {
    let (mut sink, mut stream) = open_for_any_size(connection).await.split();
    let input = async { while next_message(&mut stream).await.is_some() {} };
    let output = async {
        let mut chunks = std::pin::pin!(chunks);
        loop {
            // A stream keeps its place when nobody waits for it any more.
            let mut chunk = match tokio::time::timeout(KEEP_ALIVE_INTERVAL, chunks.next()).await {
                Ok(Some(chunk)) => chunk,
                Ok(None) => return,
                Err(_) => {
                    if sink.send(Message::Ping(Bytes::new())).await.is_err() {
                        return;
                    }
                    continue;
                }
            };
            while let Some(event) = framing.take(&mut chunk) {
                let Some(message) = message(framing, event) else { return };
                if sink.send(message).await.is_err() {
                    return;
                }
            }
        }
    };
    tokio::select! {
        () = input => {}
        () = output => {}
        () = shutdown.cancelled() => {}
    }
    close(sink, stream).await;
}

fn message(framing: Framing, event: Bytes) -> Option<Message> {
    match framing {
        Framing::Lines => Utf8Bytes::try_from(event).ok().map(Message::Text),
        Framing::Lengths => Some(Message::Binary(event)),
    }
}
