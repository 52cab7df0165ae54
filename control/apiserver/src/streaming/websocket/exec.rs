//! exec and attach over WebSocket.

use bytes::Bytes;
use coracle_control_api::remote_command::{Channel, PAYLOAD_BYTES_MAX, StreamOptions};
use futures::stream::SplitSink;
use futures::{SinkExt as _, Stream, StreamExt as _};
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

use super::{Dialect, Socket, close, next_message, open};
use crate::streaming::exec::{self, ClientGone, Event, Output};
use crate::streaming::host::HostCall;
use crate::streaming::upgrade::Connection;

/// Runs a session over an upgraded connection.
pub(in crate::streaming) async fn run(
    connection: Connection,
    dialect: Dialect,
    options: StreamOptions,
    host: HostCall,
    shutdown: CancellationToken,
) {
    let (mut sink, mut stream) = open(connection).await.split();
    // An empty message on the first channel that is read tells the client that the streams are there.
    let first = if options.stdout {
        Channel::Stdout
    } else if options.stderr && !options.tty {
        Channel::Stderr
    } else {
        Channel::Error
    };
    if sink.send(dialect.encode(first as u8, &[])).await.is_err() {
        return;
    }
    let mut output = Messages { sink, dialect };
    exec::run(host, events(&mut stream, dialect, options), &mut output, shutdown).await;
    close(output.sink, stream).await;
}

/// What the client sends, until it has gone.
fn events(
    stream: &mut futures::stream::SplitStream<Socket>,
    dialect: Dialect,
    options: StreamOptions,
) -> impl Stream<Item = Event> + Send {
    futures::stream::unfold((stream, options), move |(stream, options)| async move {
        loop {
            let message = next_message(stream).await?;
            let Some((channel, data)) = dialect.decode(message) else { continue };
            if let Some(event) = event(dialect, &options, channel, data) {
                return Some((event, (stream, options)));
            }
        }
    })
}

/// What a message means; nothing for a channel that the client did not ask for.
fn event(dialect: Dialect, options: &StreamOptions, channel: u8, data: Bytes) -> Option<Event> {
    const STDIN: u8 = Channel::Stdin as u8;
    const RESIZE: u8 = Channel::Resize as u8;
    const CLOSE: u8 = Channel::Close as u8;
    match channel {
        STDIN if options.stdin => Some(Event::Data(Channel::Stdin, data)),
        RESIZE if data.len() <= PAYLOAD_BYTES_MAX => Some(Event::Data(Channel::Resize, data)),
        CLOSE if dialect.has_close && *data == [STDIN] && options.stdin => Some(Event::End(Channel::Stdin)),
        _ => None,
    }
}

struct Messages {
    sink: SplitSink<Socket, Message>,
    dialect: Dialect,
}

impl Messages {
    async fn write(&mut self, message: Message) -> Result<(), ClientGone> {
        self.sink.send(message).await.map_err(|_| ClientGone)
    }
}

impl Output for Messages {
    async fn send(&mut self, channel: Channel, data: Bytes) -> Result<(), ClientGone> {
        self.write(self.dialect.encode(channel as u8, &data)).await
    }

    async fn keep_alive(&mut self) -> Result<(), ClientGone> {
        self.write(Message::Ping(Bytes::new())).await
    }

    async fn finish(&mut self, status: Bytes) -> Result<(), ClientGone> {
        let text = if self.dialect.status_is_json { Some(status) } else { exec::sentence(&status) };
        match text {
            Some(text) => self.write(self.dialect.encode(Channel::Error as u8, &text)).await,
            None => Ok(()),
        }
    }
}
