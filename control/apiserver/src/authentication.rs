//! Who a request comes from: a client certificate, a bearer token, or nobody.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use coracle_control_api::status::Status;
use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderValue, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use jiff::Timestamp;
use ring::digest::{SHA256, digest};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::authorization::{Attributes, refusal};
use crate::request_info::decode;
use crate::server::Shared;
use crate::user::{AUTHENTICATED, CREDENTIAL_ID, UserInfo};

/// The user that stands for nobody.
pub(crate) const ANONYMOUS: &str = "system:anonymous";
/// The group of the resources that stand for parts of an identity.
const IDENTITY: &str = "authentication.k8s.io";
const UNAUTHENTICATED: &str = "system:unauthenticated";
/// The subprotocol in which a browser, which cannot set headers on a WebSocket, says its token.
const TOKEN_PROTOCOL: &str = "base64url.bearer.authorization.k8s.io.";
/// The attribute of a certificate's subject that is the user's uid, as upstream.
const UID_ATTRIBUTE: &str = "1.3.6.1.4.1.57683.2";

/// The user that a client certificate names: common name, organizations and uid. Its chain has been verified by TLS.
pub(crate) fn certificate_user(der: &[u8]) -> Option<UserInfo> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let subject = certificate.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?;
    let groups: Vec<&str> = subject.iter_organization().filter_map(|group| group.as_str().ok()).collect();
    let mut uids = subject.iter_attributes().filter(|attribute| attribute.attr_type().to_id_string() == UID_ATTRIBUTE);
    let uid = uids.next().and_then(|attribute| attribute.as_str().ok()).unwrap_or_default().to_owned();
    let digest: String = digest(&SHA256, der).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let extra = vec![(CREDENTIAL_ID.to_owned(), vec![format!("X509SHA256={digest}")])];
    (!name.is_empty()).then(|| UserInfo { uid, extra, ..UserInfo::new(name, &groups) })
}

/// Nobody in particular.
pub(crate) fn anonymous() -> UserInfo {
    UserInfo { name: ANONYMOUS.to_owned(), groups: vec![UNAUTHENTICATED.to_owned()], ..UserInfo::default() }
}

/// Establishes the user of a request. A client certificate comes before a token, as upstream. A token is taken out of the
/// headers, so that it goes no further.
///
/// # Errors
/// 401 for a token that nobody has.
pub(crate) async fn authenticate(
    shared: &Shared,
    certificate: Option<&Arc<UserInfo>>,
    headers: &mut HeaderMap,
    now: Timestamp,
) -> Result<Arc<UserInfo>, Status> {
    if let Some(user) = certificate {
        return Ok(Arc::clone(user));
    }
    let Some(token) = bearer_token(headers).map(str::to_owned).or_else(|| take_protocol_token(headers)) else {
        return Ok(Arc::new(anonymous()));
    };
    let snapshot = shared.store.snapshot();
    let known = shared.tokens.user(&snapshot, &token, shared.tokens.audiences(), now).await;
    let known = known.map_err(|cause| {
        tracing::debug!(cause, "a token is not known");
        Status::unauthorized()
    })?;
    headers.remove(AUTHORIZATION);
    Ok(known.user)
}

fn bearer_token(headers: &HeaderMap) -> Option<&str> {
    let mut words = headers.get(AUTHORIZATION)?.to_str().ok()?.trim().split(' ');
    let scheme = words.next()?;
    // With two blanks between them there is no token, as upstream.
    words.next().filter(|token| scheme.eq_ignore_ascii_case("bearer") && !token.is_empty())
}

/// The token that a WebSocket's subprotocols carry; the other subprotocols stay.
fn take_protocol_token(headers: &mut HeaderMap) -> Option<String> {
    let upgrade = headers.get(UPGRADE)?.to_str().ok()?;
    if !upgrade.eq_ignore_ascii_case("websocket") {
        return None;
    }
    let protocols: Vec<String> = headers
        .get_all(SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(|protocol| protocol.trim().to_owned()))
        .collect();
    let encoded = protocols.iter().find_map(|protocol| protocol.strip_prefix(TOKEN_PROTOCOL))?;
    let token = String::from_utf8(BASE64.decode(encoded.trim_end_matches('=')).ok()?).ok()?;
    let rest: Vec<&str> =
        protocols.iter().filter(|protocol| !protocol.starts_with(TOKEN_PROTOCOL)).map(String::as_str).collect();
    // A server must choose one of the subprotocols; the token's own is none.
    let rest = HeaderValue::from_str(&rest.join(", ")).ok().filter(|rest| !rest.is_empty())?;
    headers.insert(SEC_WEBSOCKET_PROTOCOL, rest);
    Some(token)
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
    // Whoever is said to be in one of the two groups is not put into the other one.
    let said = |group: &String| group == everyone || (!nobody && group == UNAUTHENTICATED);
    if !groups.iter().any(said) {
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
