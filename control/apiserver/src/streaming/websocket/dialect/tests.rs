use super::*;

fn choose(offered: &[&str]) -> Option<&'static str> {
    let offered: Vec<String> = offered.iter().map(|offer| (*offer).to_owned()).collect();
    Dialect::choose(&offered).map(|dialect| dialect.name)
}

#[test]
fn the_newest_version_wins_and_else_the_order_of_the_client() {
    assert_eq!(choose(&["v4.channel.k8s.io", "v5.channel.k8s.io"]), Some("v5.channel.k8s.io"));
    assert_eq!(choose(&["v3.channel.k8s.io", "base64.channel.k8s.io", "v4.channel.k8s.io"]), {
        Some("base64.channel.k8s.io")
    });
    assert_eq!(choose(&[]), Some(""));
    assert_eq!(choose(&["chat"]), None);
}

#[test]
fn messages_come_back_as_they_went() {
    for name in ["v5.channel.k8s.io", "base64.channel.k8s.io"] {
        let dialect = Dialect::named(name).unwrap();
        let (channel, data) = dialect.decode(dialect.encode(3, b"foo\n")).unwrap();
        assert_eq!((channel, &*data), (3, &b"foo\n"[..]));
        assert_eq!(dialect.decode(Message::Binary(Bytes::new())), None);
    }
    let base64 = Dialect::named("v4.base64.channel.k8s.io").unwrap();
    assert_eq!(base64.encode(1, b"\n"), Message::Text("1Cg==".into()));
    assert_eq!(base64.decode(Message::Text("0?".into())), None);
    assert_eq!(base64.decode(Message::Text("\u{1}Cg==".into())), None);
}
