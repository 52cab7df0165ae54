//! Streams over WebSocket: each message begins with the number of its channel. The events of a watch are messages as they are.

mod dialect;
mod exec;
mod port_forward;
mod tunnel;
mod watch;

use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt as _, StreamExt as _};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::upgrade::Connection;

pub(super) use dialect::Dialect;
pub(super) use exec::run as run_exec;
pub(super) use port_forward::{PROTOCOLS as PORT_FORWARD_PROTOCOLS, run as run_port_forward};
pub(super) use tunnel::{TUNNEL_PREFIX, run as run_tunnel};
pub(super) use watch::run as run_watch;

/// The largest message that a client may send. Upstream's clients send 32 KiB at most.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// What waits to be written to a client before the writer waits.
const WRITE_BYTES_MAX: usize = 256 * 1024;

type Socket = WebSocketStream<Connection>;

async fn open(connection: Connection) -> Socket {
    let config = config().max_write_buffer_size(WRITE_BYTES_MAX + MESSAGE_BYTES_MAX);
    WebSocketStream::from_raw_socket(connection, Role::Server, Some(config)).await
}

/// Opens a socket over which messages of any size are sent, one after the other, so that no more than one of them is in its buffer.
async fn open_for_any_size(connection: Connection) -> Socket {
    WebSocketStream::from_raw_socket(connection, Role::Server, Some(config())).await
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX))
        .write_buffer_size(0)
}

/// The next message that carries data; `None` when the client has gone. Pings are answered on the way.
async fn next_message(socket: &mut SplitStream<Socket>) -> Option<Message> {
    loop {
        match socket.next().await? {
            Ok(message @ (Message::Binary(_) | Message::Text(_))) => return Some(message),
            Ok(Message::Close(_)) => return None,
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(%error, "a WebSocket ended badly");
                return None;
            }
        }
    }
}

/// Says goodbye and lets the client do the same, so that what was written last is not lost with the connection.
async fn close(mut sink: SplitSink<Socket, Message>, mut stream: SplitStream<Socket>) {
    let farewell = async {
        // Without a code, clients of Go take the end for an error.
        let normal = CloseFrame { code: CloseCode::Normal, reason: Utf8Bytes::from_static("") };
        if sink.send(Message::Close(Some(normal))).await.is_ok() {
            while let Some(Ok(_)) = stream.next().await {}
        }
    };
    // A client that does not answer is left.
    let _ = tokio::time::timeout(super::CLOSING_TIMEOUT, farewell).await;
}
