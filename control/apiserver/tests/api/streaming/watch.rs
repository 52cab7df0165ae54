//! Watches over WebSocket.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::super::tls::{Served, serve};
use super::socket::Socket;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// The next event, which is a text message of its own.
async fn event(socket: &mut Socket) -> Option<(String, String, Value)> {
    let Message::Text(text) = socket.next_message().await? else { panic!("an event as JSON is text") };
    let event: Value = serde_json::from_str(&text).unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Some((text(&event["type"]), text(&event["object"]["metadata"]["name"]), event))
}

async fn make(served: &Served, name: &str, size: usize) {
    let body =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"k": "x".repeat(size)}});
    served.api.post(MAPS, body).await.check(201);
}

#[tokio::test]
async fn every_event_is_one_text_message() {
    let served = serve().await;
    make(&served, "first", 1).await;
    make(&served, "second", 1).await;
    let mut socket = Socket::open(&served, &format!("{MAPS}?watch=1"), "").await;
    assert_eq!(socket.protocol, "");
    let mut seen = Vec::new();
    // The initial state is one chunk of the stream, and yet as many messages as objects.
    for _ in 0..2 {
        let (kind, name, event) = event(&mut socket).await.unwrap();
        assert_eq!((&*kind, &event["object"]["kind"]), ("ADDED", &json!("ConfigMap")));
        seen.push(name);
    }
    assert_eq!(seen, ["first", "second"]);
    // Larger than what a client may send at a time.
    make(&served, "large", 1_040_000).await;
    let (kind, name, large) = event(&mut socket).await.unwrap();
    assert_eq!((&*kind, &*name), ("ADDED", "large"));
    assert_eq!(large["object"]["data"]["k"].as_str().unwrap().len(), 1_040_000);
    served.api.delete(&format!("{MAPS}/first")).await.check(200);
    let (kind, name, _) = event(&mut socket).await.unwrap();
    assert_eq!((&*kind, &*name), ("DELETED", "first"));
    served.shutdown.cancel();
    assert!(event(&mut socket).await.is_none(), "a server that goes ends the watch");
}

#[tokio::test]
async fn a_watch_ends_in_its_time() {
    let served = serve().await;
    let mut socket = Socket::open(&served, &format!("{MAPS}?watch=1&timeoutSeconds=1"), "any.name.at.all").await;
    assert_eq!(socket.protocol, "any.name.at.all");
    assert!(event(&mut socket).await.is_none());
    let selector = "fieldSelector=metadata.name=none";
    let path =
        format!("/api/v1/watch/namespaces/default/configmaps?{selector}&timeoutSeconds=1&allowWatchBookmarks=true");
    let mut socket = Socket::open(&served, &path, "").await;
    make(&served, "other", 1).await;
    let (kind, _, event_) = event(&mut socket).await.unwrap();
    assert_eq!((&*kind, &event_["object"]["kind"]), ("BOOKMARK", &json!("ConfigMap")));
    assert!(event(&mut socket).await.is_none());
}

#[tokio::test]
async fn events_in_protobuf_are_binary_messages_without_their_lengths() {
    let served = serve().await;
    make(&served, "first", 1).await;
    let path = format!("{MAPS}?watch=1");
    let mut socket =
        Socket::open_accepting(&served, &path, "", "application/vnd.kubernetes.protobuf;stream=watch").await;
    let Some(Message::Binary(first)) = socket.next_message().await else { panic!("protobuf is binary") };
    assert!(first.starts_with(b"\x0a\x05ADDED"), "{first:?}");
    make(&served, "second", 1).await;
    let Some(Message::Binary(second)) = socket.next_message().await else { panic!("protobuf is binary") };
    assert!(second.windows(6).any(|bytes| bytes == b"second"), "{second:?}");
}
