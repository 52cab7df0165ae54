//! Who a request comes from: a client certificate, a bearer token, or nobody.

use std::collections::HashMap;
use std::sync::Arc;

use coracle_control_api::status::Status;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use ring::digest::{SHA256, digest};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::authorization::{Attributes, refusal};
use crate::config::StaticToken;
use crate::request_info::decode;
use crate::user::{AUTHENTICATED, UserInfo};

/// The user that stands for nobody.
pub(crate) const ANONYMOUS: &str = "system:anonymous";
/// The group of the resources that stand for parts of an identity.
const IDENTITY: &str = "authentication.k8s.io";
const UNAUTHENTICATED: &str = "system:unauthenticated";

/// The static tokens, found by their digest, so that a lookup takes the same time however much of a token is right.
#[derive(Debug, Default)]
pub(crate) struct TokenTable {
    users: HashMap<[u8; 32], Arc<UserInfo>>,
}

impl TokenTable {
    pub(crate) fn new(tokens: &[StaticToken]) -> Self {
        let users = tokens.iter().map(|token| {
            let groups: Vec<&str> = token.groups.iter().map(String::as_str).collect();
            let user = UserInfo { uid: token.uid.clone(), ..UserInfo::new(token.user.clone(), &groups) };
            (fingerprint(&token.token), Arc::new(user))
        });
        Self { users: users.collect() }
    }

    /// The user of a token.
    pub(crate) fn find(&self, token: &str) -> Option<Arc<UserInfo>> {
        self.users.get(&fingerprint(token)).cloned()
    }
}

fn fingerprint(token: &str) -> [u8; 32] {
    let digest = digest(&SHA256, token.as_bytes());
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.as_ref());
    bytes
}

/// The user that a client certificate names: common name and organizations. Its chain has been verified by TLS.
pub(crate) fn certificate_user(der: &[u8]) -> Option<UserInfo> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let subject = certificate.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?;
    let groups: Vec<&str> = subject.iter_organization().filter_map(|group| group.as_str().ok()).collect();
    (!name.is_empty()).then(|| UserInfo::new(name, &groups))
}

/// Nobody in particular.
pub(crate) fn anonymous() -> UserInfo {
    UserInfo { name: ANONYMOUS.to_owned(), groups: vec![UNAUTHENTICATED.to_owned()], ..UserInfo::default() }
}

/// Establishes the user of a request. A client certificate comes before a token, as upstream.
///
/// # Errors
/// 401 for a token that nobody has, and for nobody.
pub(crate) fn authenticate(
    tokens: &TokenTable,
    certificate: Option<&Arc<UserInfo>>,
    headers: &HeaderMap,
) -> Result<Arc<UserInfo>, Status> {
    if let Some(user) = certificate {
        return Ok(Arc::clone(user));
    }
    match bearer_token(headers) {
        Some(token) => tokens.find(token).ok_or_else(Status::unauthorized),
        None => Ok(Arc::new(anonymous())),
    }
}

fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The user as which the request's author wants to act, if one is named.
///
/// # Errors
/// 403 unless the author may impersonate that user, as `allowed` says; 500 when groups are named without a user, as
/// upstream.
pub(crate) fn impersonate(
    user: &Arc<UserInfo>,
    headers: &HeaderMap,
    allowed: &dyn Fn(&Attributes<'_>) -> bool,
) -> Result<Arc<UserInfo>, Status> {
    const EXTRA: &str = "impersonate-extra-";
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let name = text("impersonate-user");
    let groups: Vec<&str> =
        headers.get_all("impersonate-group").iter().filter_map(|value| value.to_str().ok()).collect();
    let extra: Vec<(String, Vec<String>)> = headers
        .keys()
        .filter_map(|key| {
            let values = headers.get_all(key).iter().filter_map(|value| value.to_str().ok()).map(str::to_owned);
            Some((decode(key.as_str().strip_prefix(EXTRA)?), values.collect()))
        })
        .collect();
    if name.is_empty() {
        let rest = !groups.is_empty() || !extra.is_empty() || !text("impersonate-uid").is_empty();
        return if rest {
            Err(Status::internal("requested impersonation without impersonating a user"))
        } else {
            Ok(Arc::clone(user))
        };
    }
    may_impersonate(user, name, &groups, text("impersonate-uid"), &extra, allowed)?;
    let mut groups: Vec<String> = groups.into_iter().map(str::to_owned).collect();
    if let Some((namespace, _)) = name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'))
        && groups.is_empty()
    {
        groups = vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")];
    }
    let nobody = name == ANONYMOUS;
    let everyone = if nobody { UNAUTHENTICATED } else { AUTHENTICATED };
    if !groups.iter().any(|group| group == everyone) {
        groups.push(everyone.to_owned());
    }
    Ok(Arc::new(UserInfo { name: name.to_owned(), uid: text("impersonate-uid").to_owned(), groups, extra }))
}

/// Each part of the wanted identity is a resource with the verb `impersonate`.
fn may_impersonate(
    user: &UserInfo,
    name: &str,
    groups: &[&str],
    uid: &str,
    extra: &[(String, Vec<String>)],
    allowed: &dyn Fn(&Attributes<'_>) -> bool,
) -> Result<(), Status> {
    let account = name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
    let mut wanted = vec![match account {
        Some((namespace, name)) => Attributes { resource: "serviceaccounts", namespace, name, ..Attributes::default() },
        None => Attributes { resource: "users", name, ..Attributes::default() },
    }];
    let by_group = |name| Attributes { resource: "groups", name, ..Attributes::default() };
    wanted.extend(groups.iter().copied().map(by_group));
    if !uid.is_empty() {
        wanted.push(Attributes { group: IDENTITY, resource: "uids", name: uid, ..Attributes::default() });
    }
    for (key, values) in extra {
        wanted.extend(values.iter().map(|value| Attributes {
            group: IDENTITY,
            resource: "userextras",
            subresource: key,
            name: value,
            ..Attributes::default()
        }));
    }
    for mut attributes in wanted {
        attributes.verb = "impersonate";
        if !allowed(&attributes) {
            return Err(refusal(user, &attributes, ""));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
