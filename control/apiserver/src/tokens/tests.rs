use super::jwt::Jwt;
use super::*;
use serde_json::json;

fn key() -> ServiceAccountKey {
    ServiceAccountKey::from_pem(&rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap()
}

#[test]
fn a_key_knows_its_own_tokens_and_no_others() {
    let (key, other) = (key(), key());
    let token = key.sign(&json!({"iss": "me", "aud": "one", "exp": 12.7})).unwrap();
    let jwt = Jwt::parse(&token).unwrap();
    assert!(key.has_signed(&jwt));
    assert!(!other.has_signed(&jwt));
    assert_eq!((jwt.audiences(), jwt.seconds("exp")), (vec!["one".to_owned()], Some(12)));
    let (head, signature) = token.rsplit_once('.').unwrap();
    let changed = key.sign(&json!({"iss": "you"})).unwrap();
    let mixed = format!("{}.{signature}", changed.rsplit_once('.').unwrap().0);
    assert!(!key.has_signed(&Jwt::parse(&mixed).unwrap()));
    for nonsense in ["", ".", "..", "a.b.c", head] {
        assert!(Jwt::parse(nonsense).is_none(), "{nonsense}");
    }
}

#[test]
fn a_token_without_an_algorithm_is_refused() {
    let key = key();
    let token = key.sign(&json!({"iss": "me"})).unwrap();
    let claims = token.split('.').nth(1).unwrap();
    use base64::Engine as _;
    let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
    assert!(!key.has_signed(&Jwt::parse(&format!("{header}.{claims}.")).unwrap()));
}

#[test]
fn claims_have_upstreams_form() {
    let reference = |name: &str, uid: &str| Reference { name: name.to_owned(), uid: uid.to_owned() };
    let bound = Bound { pod: Some(reference("p", "2")), node: Some(reference("edge", "")), ..Bound::default() };
    let claims = new_claims(&NewToken {
        issuer: "https://issuer",
        namespace: "shop",
        account: &reference("bot", "1"),
        bound: &bound,
        audiences: &["a".to_owned()],
        now: 1000,
        lifetime_seconds: 600,
        warn_after_seconds: Some(60),
        id: "x",
    });
    assert_eq!(
        claims,
        json!({
            "iss": "https://issuer", "sub": "system:serviceaccount:shop:bot", "aud": ["a"], "jti": "x",
            "iat": 1000, "nbf": 1000, "exp": 1600,
            "kubernetes.io": {
                "namespace": "shop", "serviceaccount": {"name": "bot", "uid": "1"}, "pod": {"name": "p", "uid": "2"},
                "node": {"name": "edge"}, "warnafter": 1060,
            },
        })
    );
}

#[test]
fn a_key_is_found_by_the_name_that_its_tokens_say() {
    let key = key();
    let jwk = key.to_jwk();
    let token = key.sign(&json!({"iss": "me"})).unwrap();
    assert_eq!(jwk["kid"], Jwt::parse(&token).unwrap().header["kid"]);
    // An independent reader of PKCS #8 and SubjectPublicKeyInfo agrees about the key's digest.
    let pem = rcgen::KeyPair::generate().unwrap();
    use rcgen::PublicKeyData as _;
    let digest = ring::digest::digest(&ring::digest::SHA256, &pem.subject_public_key_info());
    use base64::Engine as _;
    let expected = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest);
    assert_eq!(ServiceAccountKey::from_pem(&pem.serialize_pem()).unwrap().to_jwk()["kid"], expected);
}
