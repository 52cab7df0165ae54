use super::*;

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_static(value));
    }
    headers
}

#[test]
fn protocols_are_read_from_commas_and_lines() {
    let headers = headers(&[
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "k"),
        ("sec-websocket-protocol", "v5.channel.k8s.io, v4.channel.k8s.io"),
        ("sec-websocket-protocol", "channel.k8s.io"),
    ]);
    let Ok(Offer::WebSocket { protocols, .. }) = offer(&headers) else { panic!("no WebSocket") };
    assert_eq!(protocols, ["v5.channel.k8s.io", "v4.channel.k8s.io", "channel.k8s.io"]);
}

#[test]
fn what_is_no_upgrade_is_told_so() {
    let text = |pairs: &[_]| offer(&headers(pairs)).unwrap_err().message;
    assert_eq!(text(&[]), "Upgrade request required");
    assert_eq!(text(&[("upgrade", "websocket")]), "Upgrade request required");
    assert_eq!(text(&[("connection", "upgrade"), ("upgrade", "websocket")]), "missing or bad WebSocket Version");
    assert!(text(&[("connection", "upgrade"), ("upgrade", "h2c")]).starts_with("unable to upgrade"));
}

#[test]
fn a_websocket_key_is_answered_as_the_standard_says() {
    // The example of RFC 6455, section 1.3.
    let answer = websocket_answer("dGhlIHNhbXBsZSBub25jZQ==", "");
    assert_eq!(answer.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert!(!answer.headers().contains_key("sec-websocket-protocol"));
}

#[test]
fn a_spdy_client_chooses_or_is_told_what_there_is() {
    let offered = ["v5.channel.k8s.io".to_owned(), "v4.channel.k8s.io".to_owned()];
    let (answer, chosen) = spdy_answer(&offered, &["v4.channel.k8s.io", "v3.channel.k8s.io"]);
    assert_eq!((answer.status().as_u16(), chosen), (101, Some("v4.channel.k8s.io")));
    let (refusal, _) = spdy_answer(&offered[..1], &["v4.channel.k8s.io"]);
    assert_eq!(refusal.status(), 403);
    assert_eq!(refusal.headers()["x-accepted-stream-protocol-versions"], "v4.channel.k8s.io");
    assert_eq!(spdy_answer(&[], &["v4.channel.k8s.io"]).0.status(), 400);
}
