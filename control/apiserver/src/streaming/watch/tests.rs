use bytes::Bytes;
use http::HeaderMap;

use super::{Framing, wants_messages};

fn events(framing: Framing, chunk: &'static [u8]) -> Vec<Bytes> {
    let mut chunk = Bytes::from_static(chunk);
    std::iter::from_fn(|| framing.take(&mut chunk)).collect()
}

#[test]
fn a_chunk_falls_into_its_events() {
    assert_eq!(events(Framing::Lines, b"{1}\n{2}\n"), ["{1}\n", "{2}\n"]);
    assert_eq!(events(Framing::Lengths, b"\0\0\0\x02ab\0\0\0\0\0\0\0\x01c"), ["ab", "", "c"]);
}

#[test]
fn what_is_cut_off_is_no_event() {
    for (framing, chunk) in
        [(Framing::Lines, &b"{1}"[..]), (Framing::Lengths, b"\0\0\0\x02a"), (Framing::Lengths, b"\0")]
    {
        assert_eq!(events(framing, chunk), [""; 0], "{framing:?}");
    }
}

#[test]
fn only_a_websocket_carries_messages() {
    let headers = |pairs: &[(&'static str, &'static str)]| {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect::<HeaderMap>()
    };
    assert!(wants_messages(&headers(&[("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")])));
    assert!(!wants_messages(&headers(&[("connection", "Upgrade"), ("upgrade", "h2c")])));
    assert!(!wants_messages(&headers(&[("upgrade", "websocket")])));
    assert!(!wants_messages(&headers(&[])));
}
