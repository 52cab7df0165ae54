//! The versions of the channel protocol.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use tokio_tungstenite::tungstenite::Message;

/// A version of the channel protocol, by the name with which it is negotiated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::streaming) struct Dialect {
    /// Empty where the client names none.
    pub(in crate::streaming) name: &'static str,
    /// Messages are text: a digit for the channel, then base64.
    base64: bool,
    /// The error channel carries a `Status`; before, it carried a sentence, and nothing after a success.
    pub(super) status_is_json: bool,
    /// A client can end a channel by a message on channel 255.
    pub(super) has_close: bool,
}

const V5: Dialect = Dialect { name: "v5.channel.k8s.io", base64: false, status_is_json: true, has_close: true };

/// What is understood besides, as upstream's hosts do. Versions 2 and 3 were never spoken over WebSocket.
const OLDER: &[Dialect] = &[
    Dialect { name: "v4.channel.k8s.io", base64: false, status_is_json: true, has_close: false },
    Dialect { name: "v4.base64.channel.k8s.io", base64: true, status_is_json: true, has_close: false },
    Dialect { name: "channel.k8s.io", base64: false, status_is_json: false, has_close: false },
    Dialect { name: "base64.channel.k8s.io", base64: true, status_is_json: false, has_close: false },
];

/// What a client speaks that names nothing.
const UNNAMED: Dialect = Dialect { name: "", base64: false, status_is_json: false, has_close: false };

impl Dialect {
    /// The newest version if it is offered at all, else the first one offered that is understood.
    pub(in crate::streaming) fn choose(offered: &[String]) -> Option<Self> {
        if offered.is_empty() {
            return Some(UNNAMED);
        }
        if offered.iter().any(|offer| offer == V5.name) {
            return Some(V5);
        }
        Self::choose_among(offered, OLDER)
    }

    /// The first version offered that is one of these.
    pub(super) fn choose_among(offered: &[String], known: &[Self]) -> Option<Self> {
        offered.iter().find_map(|offer| known.iter().find(|dialect| dialect.name == offer)).copied()
    }

    /// The version of this name.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::choose(&[name.to_owned()])
    }

    /// The message that carries these bytes on a channel, at most 9 of them.
    pub(super) fn encode(self, channel: u8, data: &[u8]) -> Message {
        if self.base64 {
            let mut text = String::with_capacity(data.len() * 4 / 3 + 5);
            text.push(char::from(b'0'.saturating_add(channel)));
            BASE64.encode_string(data, &mut text);
            return Message::Text(text.into());
        }
        let mut bytes = Vec::with_capacity(data.len() + 1);
        bytes.push(channel);
        bytes.extend_from_slice(data);
        Message::Binary(bytes.into())
    }

    /// Channel and bytes of a message; `None` for one that says nothing, which upstream passes over as well.
    pub(super) fn decode(self, message: Message) -> Option<(u8, Bytes)> {
        let mut data = match message {
            Message::Binary(data) => data,
            Message::Text(text) => Bytes::from(text),
            _ => return None,
        };
        let first = *data.first()?;
        let rest = data.split_off(1);
        if !self.base64 {
            return Some((first, rest));
        }
        let decoded = BASE64.decode(&rest).ok()?;
        Some((first.checked_sub(b'0')?, Bytes::from(decoded)))
    }
}

#[cfg(test)]
mod tests;
