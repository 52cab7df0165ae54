//! A WebSocket client of the channel protocols.

use std::time::Duration;

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use http::Request;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::tls::Served;

pub(super) struct Socket {
    pub(super) protocol: String,
    socket: WebSocketStream<TokioIo<Upgraded>>,
    _connection: JoinSet<()>,
}

impl Socket {
    pub(super) async fn open(served: &Served, path: &str, protocols: &str) -> Self {
        Self::open_accepting(served, path, protocols, "*/*").await
    }

    pub(super) async fn open_accepting(served: &Served, path: &str, protocols: &str, accept: &str) -> Self {
        let stream = served.connect("http/1.1", None).await;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let _ = connection.with_upgrades().await;
        });
        let mut request = Request::get(path)
            .header("host", "localhost")
            .header("authorization", "Bearer t")
            .header("accept", accept)
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        if !protocols.is_empty() {
            request = request.header("sec-websocket-protocol", protocols);
        }
        let answer = sender.send_request(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), 101);
        assert_eq!(answer.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let protocol = answer.headers().get("sec-websocket-protocol").map(|value| value.to_str().unwrap().to_owned());
        let upgraded = TokioIo::new(hyper::upgrade::on(answer).await.unwrap());
        let socket = WebSocketStream::from_raw_socket(upgraded, Role::Client, None).await;
        Self { protocol: protocol.unwrap_or_default(), socket, _connection: tasks }
    }

    pub(super) async fn send(&mut self, channel: u8, data: &[u8]) {
        let message = if self.protocol.contains("base64") {
            Message::Text(format!("{}{}", char::from(b'0' + channel), BASE64.encode(data)).into())
        } else {
            Message::Binary(Bytes::from([&[channel], data].concat()))
        };
        self.socket.send(message).await.unwrap();
    }

    /// The next message with data, as it is; `None` at the end.
    pub(super) async fn next_message(&mut self) -> Option<Message> {
        loop {
            let next = tokio::time::timeout(Duration::from_secs(10), self.socket.next());
            match next.await.expect("nothing comes")?.ok()? {
                message @ (Message::Binary(_) | Message::Text(_)) => return Some(message),
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }

    /// Channel and bytes of the next message; `None` at the end.
    pub(super) async fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        match self.next_message().await? {
            Message::Text(text) => Some((text.as_bytes()[0] - b'0', BASE64.decode(&text[1..]).unwrap())),
            message => Some((message.clone().into_data()[0], message.into_data()[1..].to_vec())),
        }
    }
}
