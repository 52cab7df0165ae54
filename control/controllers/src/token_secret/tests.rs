use super::*;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

fn account(uid: &str) -> Meta {
    Meta::from_api(&ObjectMeta {
        name: Some("bot".to_owned()),
        namespace: Some("shop".to_owned()),
        uid: Some(uid.to_owned()),
        ..ObjectMeta::default()
    })
}

fn secret(uid: &str, has_token: bool) -> TokenSecret {
    TokenSecret {
        meta: account("s"),
        account: Arc::from("bot"),
        account_uid: Arc::from(uid),
        has_token,
        ca: Box::from(b"pem".as_slice()),
        namespace: Box::from(b"shop".as_slice()),
    }
}

#[test]
fn a_new_secret_is_filled_and_a_complete_one_left_alone() {
    assert_eq!(plan(&secret("", false), Some(&account("1")), "pem"), Action::Fill { token: true });
    assert_eq!(plan(&secret("1", true), Some(&account("1")), "pem"), Action::Nothing);
    assert_eq!(plan(&secret("1", true), Some(&account("1")), "new"), Action::Fill { token: false });
}

#[test]
fn a_secret_goes_with_its_account() {
    assert_eq!(plan(&secret("1", true), None, "pem"), Action::Delete);
    assert_eq!(plan(&secret("1", true), Some(&account("2")), "pem"), Action::Delete);
    let nobodys = TokenSecret { account: Arc::from(""), ..secret("", false) };
    assert_eq!(plan(&nobodys, None, "pem"), Action::Nothing);
}
