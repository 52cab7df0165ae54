use super::*;
use http::HeaderValue;

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_static(value));
    }
    headers
}

#[test]
fn a_token_comes_after_the_word_bearer() {
    let token = |value| bearer_token(&headers(&[("authorization", value)])).map(str::to_owned);
    assert_eq!(token("Bearer right").as_deref(), Some("right"));
    assert_eq!(token("bearer right and more").as_deref(), Some("right"));
    assert_eq!(token("Bearer  right"), None);
    assert_eq!(token("Basic right"), None);
}

#[test]
fn a_websocket_may_carry_its_token_in_a_subprotocol() {
    let mut asked = headers(&[
        ("upgrade", "websocket"),
        ("sec-websocket-protocol", "v5.channel.k8s.io, base64url.bearer.authorization.k8s.io.cmlnaHQ"),
    ]);
    assert_eq!(take_protocol_token(&mut asked).as_deref(), Some("right"));
    assert_eq!(asked["sec-websocket-protocol"], "v5.channel.k8s.io");
    let mut alone = headers(&[
        ("upgrade", "websocket"),
        ("sec-websocket-protocol", "base64url.bearer.authorization.k8s.io.cmlnaHQ"),
    ]);
    assert_eq!(take_protocol_token(&mut alone), None);
}

#[test]
fn a_certificate_is_its_subject() {
    let directory = tempfile::tempdir().unwrap();
    let pki = crate::pki::Pki::open_or_create(directory.path(), &[]).unwrap();
    let identity = pki.issue_client("system:node:edge", Some("system:nodes")).unwrap();
    use rustls_pki_types::pem::PemObject as _;
    let der = rustls_pki_types::CertificateDer::from_pem_slice(identity.certificate_pem.as_bytes()).unwrap();
    let user = certificate_user(&der).unwrap();
    assert_eq!((user.name.as_str(), &user.groups), ("system:node:edge", &UserInfo::node("edge").groups));
    assert!(user.extra[0].1[0].starts_with("X509SHA256="), "{user:?}");
    assert_eq!(certificate_user(b"nonsense"), None);
}

#[test]
fn only_masters_impersonate() {
    let asked = headers(&[("impersonate-user", "bob"), ("impersonate-group", "g"), ("impersonate-extra-a%2fb", "c")]);
    let bob = impersonate(&Arc::new(UserInfo::admin()), &asked, &|_| true).unwrap();
    assert_eq!(bob.name, "bob");
    assert_eq!(bob.groups, ["g", AUTHENTICATED]);
    assert_eq!(bob.extra, [("a/b".to_owned(), vec!["c".to_owned()])]);
    assert_eq!(impersonate(&Arc::new(UserInfo::new("alice", &[])), &asked, &|_| false).unwrap_err().code, 403);
    let groups_only = headers(&[("impersonate-group", "g")]);
    assert!(impersonate(&Arc::new(UserInfo::admin()), &groups_only, &|_| true).is_err());
}

#[test]
fn whoever_is_impersonated_as_unauthenticated_stays_so() {
    let asked = headers(&[("impersonate-user", "bob"), ("impersonate-group", "system:unauthenticated")]);
    let bob = impersonate(&Arc::new(UserInfo::admin()), &asked, &|_| true).unwrap();
    assert_eq!(bob.groups, [UNAUTHENTICATED]);
}

#[test]
fn a_service_account_has_its_groups() {
    let asked = headers(&[("impersonate-user", "system:serviceaccount:shop:default")]);
    let user = impersonate(&Arc::new(UserInfo::admin()), &asked, &|_| true).unwrap();
    assert_eq!(user.groups, ["system:serviceaccounts", "system:serviceaccounts:shop", AUTHENTICATED]);
}
