use super::*;
use http::HeaderValue;

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_static(value));
    }
    headers
}

fn tokens() -> TokenTable {
    let tokens = StaticToken::parse_file("right,alice,7,\"a,b\"").unwrap();
    TokenTable::new(&tokens)
}

#[test]
fn a_token_is_its_user() {
    let user = authenticate(&tokens(), None, &headers(&[("authorization", "Bearer right")])).unwrap();
    assert_eq!((user.name.as_str(), user.uid.as_str()), ("alice", "7"));
    assert_eq!(user.groups, ["a", "b", AUTHENTICATED]);
    let error = authenticate(&tokens(), None, &headers(&[("authorization", "Bearer wrong")])).unwrap_err();
    assert_eq!(error.code, 401);
}

#[test]
fn nobody_is_anonymous() {
    assert_eq!(authenticate(&tokens(), None, &HeaderMap::new()).unwrap().name, ANONYMOUS);
}

#[test]
fn a_certificate_is_its_subject() {
    let directory = tempfile::tempdir().unwrap();
    let pki = crate::pki::Pki::open_or_create(directory.path(), &[]).unwrap();
    let identity = pki.issue_client("system:node:edge", Some("system:nodes")).unwrap();
    use rustls_pki_types::pem::PemObject as _;
    let der = rustls_pki_types::CertificateDer::from_pem_slice(identity.certificate_pem.as_bytes()).unwrap();
    let user = certificate_user(&der).unwrap();
    assert_eq!(user, UserInfo::node("edge"));
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
fn a_service_account_has_its_groups() {
    let asked = headers(&[("impersonate-user", "system:serviceaccount:shop:default")]);
    let user = impersonate(&Arc::new(UserInfo::admin()), &asked, &|_| true).unwrap();
    assert_eq!(user.groups, ["system:serviceaccounts", "system:serviceaccounts:shop", AUTHENTICATED]);
}
