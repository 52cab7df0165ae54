use super::Digest;

#[test]
fn the_digest_of_nothing_is_the_known_one() {
    let text = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(Digest::of(b"").to_string(), text);
    assert_eq!(text.parse(), Ok(Digest::of(b"")));
}

#[test]
fn what_is_no_digest_is_refused() {
    let hex = Digest::of(b"").hex();
    let wrong =
        ["", "sha256:", "sha512:00", &hex, &format!("sha256:{}", hex.to_uppercase()), &format!("sha256:{hex}0")];
    for text in wrong {
        assert!(text.parse::<Digest>().is_err(), "{text}");
    }
}
