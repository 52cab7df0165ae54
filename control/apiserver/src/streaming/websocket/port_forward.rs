//! Forwarded ports over WebSocket channels: port `i` of the request has its data on channel `2i`, and what goes wrong on
//! `2i + 1`. Each channel begins with a message that holds the port as two bytes, little endian.

use bytes::Bytes;
use futures::stream::SplitSink;
use futures::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;

use super::{Dialect, Socket, close, next_message, open};
use crate::streaming::port_forward::{CHUNK_BYTES, Target};
use crate::streaming::upgrade::Connection;
use crate::streaming::{KEEP_ALIVE_INTERVAL, QUEUE_CHUNKS};

/// What is spoken here besides SPDY in a tunnel.
pub(in crate::streaming) const PROTOCOLS: &[&str] = &["v4.channel.k8s.io", "v4.base64.channel.k8s.io"];

/// Forwards these ports, one connection each, over an upgraded connection. `protocol` is one of [`PROTOCOLS`] or empty.
pub(in crate::streaming) async fn run(
    connection: Connection,
    protocol: &'static str,
    target: Target,
    ports: Vec<u16>,
    shutdown: CancellationToken,
) {
    let Some(dialect) = Dialect::named(protocol).or_else(|| Dialect::choose(&[])) else { return };
    let (mut sink, mut stream) = open(connection).await.split();
    let (messages, mut queue) = mpsc::channel(QUEUE_CHUNKS);
    let mut inputs = Vec::with_capacity(ports.len());
    let mut forwards = JoinSet::new();
    for (index, port) in (0_u8..=127).zip(ports) {
        for channel in [2 * index, 2 * index + 1] {
            if sink.send(dialect.encode(channel, &port.to_le_bytes())).await.is_err() {
                return;
            }
        }
        let (input, chunks) = mpsc::channel(QUEUE_CHUNKS);
        inputs.push(input);
        let forward = Forward { dialect, channel: 2 * index, port, target: target.clone(), messages: messages.clone() };
        forwards.spawn(forward.run(chunks));
    }
    drop(messages);
    let input = async {
        while let Some(message) = next_message(&mut stream).await {
            let Some((channel, data)) = dialect.decode(message) else { continue };
            if channel % 2 == 0
                && let Some(input) = inputs.get(usize::from(channel / 2))
            {
                // A connection that has ended takes nothing; the others go on.
                let _ = input.send(data).await;
            }
        }
    };
    tokio::select! {
        () = input => {}
        () = write(&mut sink, &mut queue) => {}
        () = shutdown.cancelled() => {}
    }
    forwards.shutdown().await;
    close(sink, stream).await;
}

/// Ends when every connection has, or when the client has gone.
async fn write(sink: &mut SplitSink<Socket, Message>, queue: &mut mpsc::Receiver<Message>) {
    loop {
        let message = match tokio::time::timeout(KEEP_ALIVE_INTERVAL, queue.recv()).await {
            Ok(Some(message)) => message,
            Ok(None) => return,
            Err(_) => Message::Ping(Bytes::new()),
        };
        if sink.send(message).await.is_err() {
            return;
        }
    }
}

struct Forward {
    dialect: Dialect,
    channel: u8,
    port: u16,
    target: Target,
    messages: mpsc::Sender<Message>,
}

impl Forward {
    async fn run(self, chunks: mpsc::Receiver<Bytes>) {
        if let Err(cause) = self.carry(chunks).await {
            let text = self.target.failure(self.port, &cause);
            // Whoever is not there to read it needs no text.
            let _ = self.messages.send(self.dialect.encode(self.channel + 1, text.as_bytes())).await;
        }
    }

    async fn carry(&self, mut chunks: mpsc::Receiver<Bytes>) -> Result<(), String> {
        let stream = self.target.connect(self.port).await?;
        let (mut reader, mut writer) = tokio::io::split(stream);
        let input = async {
            while let Some(chunk) = chunks.recv().await {
                if writer.write_all(&chunk).await.is_err() {
                    break;
                }
            }
            // What the pod still sends goes on until it ends.
            std::future::pending::<()>().await;
        };
        let output = async {
            let mut buffer = vec![0; CHUNK_BYTES];
            loop {
                match reader.read(&mut buffer).await {
                    Ok(0) => return Ok(()),
                    Ok(length) => {
                        let message = self.dialect.encode(self.channel, &buffer[..length]);
                        if self.messages.send(message).await.is_err() {
                            return Ok(());
                        }
                    }
                    Err(error) => return Err(error.to_string()),
                }
            }
        };
        tokio::select! {
            () = input => Ok(()),
            result = output => result,
        }
    }
}
