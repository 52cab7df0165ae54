use super::*;
use serde_json::json;

fn secret(change: &[(&str, &str)]) -> Value {
    let mut data = serde_json::Map::new();
    let usual = [
        ("token-id", "abcdef"),
        ("token-secret", "0123456789abcdef"),
        ("usage-bootstrap-authentication", "true"),
        ("expiration", "2030-01-01T00:00:00Z"),
        ("auth-extra-groups", "system:bootstrappers:kubeadm:default-node-token"),
    ];
    for (key, value) in usual.iter().chain(change) {
        data.insert((*key).to_owned(), json!(BASE64.encode(value)));
    }
    json!({"type": TYPE, "metadata": {"name": "bootstrap-token-abcdef"}, "data": data})
}

fn known(change: &[(&str, &str)]) -> Option<UserInfo> {
    let now = "2029-12-31T23:59:59Z".parse().unwrap();
    user_of(&secret(change), "abcdef", "0123456789abcdef", now)
}

#[test]
fn a_good_token_is_a_bootstrapper() {
    let user = known(&[]).unwrap();
    assert_eq!(user.name, "system:bootstrap:abcdef");
    assert_eq!(
        user.groups,
        ["system:bootstrappers", "system:bootstrappers:kubeadm:default-node-token", "system:authenticated"]
    );
}

#[test]
fn what_is_wrong_with_a_token_makes_it_nobodys() {
    for change in [
        ("token-secret", "0123456789abcdee"),
        ("token-id", "abcdee"),
        ("usage-bootstrap-authentication", "false"),
        ("expiration", "2029-12-31T23:59:58Z"),
        ("expiration", "tomorrow"),
        ("auth-extra-groups", "system:masters"),
        ("auth-extra-groups", "system:bootstrappers:x-"),
    ] {
        assert_eq!(known(&[change]), None, "{change:?}");
    }
    for token in ["abcdef", "abcdef.0123456789abcde", "Abcdef.0123456789abcdef", "abcdef.0123456789abcdef0"] {
        assert_eq!(parts(token), None, "{token}");
    }
}
