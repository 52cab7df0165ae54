//! Bootstrap tokens: `ID.SECRET`, each a Secret `bootstrap-token-ID` in `kube-system`, with which a machine that has no
//! identity yet asks for one.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use coracle_control_api::meta;
use coracle_control_store::Snapshot;
use jiff::Timestamp;
use serde_json::Value;

use crate::user::UserInfo;

const ID_LENGTH: usize = 6;
const SECRET_LENGTH: usize = 16;
const TYPE: &str = "bootstrap.kubernetes.io/token";
/// The group of all users with such a token; further groups begin with it and a colon.
const GROUP: &str = "system:bootstrappers";

/// The two parts of a token that has the form of a bootstrap token.
fn parts(token: &str) -> Option<(&str, &str)> {
    let (id, secret) = token.split_once('.')?;
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    (id.len() == ID_LENGTH && secret.len() == SECRET_LENGTH && plain(id) && plain(secret)).then_some((id, secret))
}

/// The user of a bootstrap token that is good now.
pub(super) fn user(snapshot: &Snapshot, token: &str, now: Timestamp) -> Option<Arc<UserInfo>> {
    let (id, secret) = parts(token)?;
    let entry = snapshot.get(format!("/registry/core/secrets/kube-system/bootstrap-token-{id}").as_bytes())?;
    let object: Value = serde_json::from_slice(&entry.value).ok()?;
    user_of(&object, id, secret, now).map(Arc::new)
}

fn user_of(object: &Value, id: &str, secret: &str, now: Timestamp) -> Option<UserInfo> {
    let data = |name: &str| {
        let text = object.get("data")?.get(name)?.as_str()?;
        String::from_utf8(BASE64.decode(text).ok()?).ok()
    };
    let good = object.get("type").and_then(Value::as_str) == Some(TYPE)
        && !meta::is_being_deleted(object)
        && same(data("token-secret")?.as_bytes(), secret.as_bytes())
        && data("token-id").as_deref() == Some(id)
        && !is_expired(data("expiration").as_deref(), now)
        && data("usage-bootstrap-authentication").as_deref() == Some("true");
    if !good {
        return None;
    }
    let more = data("auth-extra-groups").unwrap_or_default();
    let mut groups = vec![GROUP];
    for group in more.split(',').map(str::trim).filter(|group| !group.is_empty()) {
        if !is_group(group) {
            return None;
        }
        groups.push(group);
    }
    groups[1..].sort_unstable();
    groups.dedup();
    Some(UserInfo::new(format!("system:bootstrap:{id}"), &groups))
}

/// A time that cannot be read is past.
fn is_expired(expiration: Option<&str>, now: Timestamp) -> bool {
    match expiration {
        None | Some("") => false,
        Some(text) => text.parse::<Timestamp>().map_or(true, |time| time < now),
    }
}

/// `system:bootstrappers:` and a name of small letters, digits, colons and dashes that ends with none of the latter.
fn is_group(group: &str) -> bool {
    let Some(name) = group.strip_prefix(GROUP).and_then(|rest| rest.strip_prefix(':')) else { return false };
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b':' | b'-');
    let last = name.bytes().next_back().is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    last && name.len() <= 256 && name.bytes().all(inner)
}

/// Whether two texts are the same, in a time that does not tell how much of them is.
fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |all, (left, right)| all | (left ^ right)) == 0
}

#[cfg(test)]
mod tests;
