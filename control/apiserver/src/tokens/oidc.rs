//! Tokens of a foreign OpenID Connect issuer, as upstream's `--oidc-*` flags describe it.
//!
//! The issuer's keys are read in the background; until the first answer its tokens are nobody's. What a token claims is
//! checked before its signature, so that a token that would be refused anyway never makes the issuer be asked.
//!
//! Not there: distributed claims (`_claim_names`), several audiences and expressions, which upstream has in its
//! AuthenticationConfiguration.

mod config;
mod issuer;
mod keys;

use std::sync::Arc;

use coracle_control_api::go_text;
use jiff::Timestamp;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::jwt::Jwt;
use crate::user::{CREDENTIAL_ID, UserInfo};
pub use config::{OidcConfig, OidcConfigError};
use issuer::{Issuer, Signature};

/// A token may be used so much before its time, as upstream.
const NOT_BEFORE_LEEWAY_SECONDS: i64 = 5 * 60;
/// How Google's old tokens name their issuer.
const GOOGLE: &str = "accounts.google.com";

/// A foreign issuer and what his tokens mean here.
#[derive(Debug)]
pub(crate) struct OidcTokens {
    config: OidcConfig,
    name_prefix: String,
    issuer: Issuer,
}

impl OidcTokens {
    pub(super) fn new(config: OidcConfig) -> Self {
        let issuer = Issuer::new(config.issuer_url.clone(), config.authorities_pem.clone());
        Self { name_prefix: config.name_prefix(), issuer, config }
    }

    /// Keeps the issuer's keys until `shutdown`.
    pub(crate) async fn keep(&self, shutdown: CancellationToken) {
        self.issuer.keep(shutdown).await;
    }

    /// The user of a token; `None` for a token of another issuer.
    pub(super) async fn user(&self, token: &str, now: Timestamp) -> Option<Result<Arc<UserInfo>, String>> {
        let jwt = Jwt::parse(token)?;
        let claimed = jwt.text("iss");
        let is_google = claimed == GOOGLE && self.config.issuer_url.strip_prefix("https://") == Some(GOOGLE);
        if claimed != self.config.issuer_url && !is_google {
            return None;
        }
        Some(self.verify(&jwt, now).await)
    }

    async fn verify(&self, jwt: &Jwt<'_>, now: Timestamp) -> Result<Arc<UserInfo>, String> {
        self.check(jwt, now).map_err(|cause| format!("oidc: verify token: {cause}"))?;
        match self.issuer.check(jwt).await {
            Signature::Right => {}
            Signature::Unknown => return Err("oidc: authenticator not initialized".to_owned()),
            Signature::Wrong => {
                return Err(
                    "oidc: verify token: failed to verify signature: failed to verify id token signature".to_owned()
                );
            }
        }
        user_of(&self.config, &self.name_prefix, &jwt.claims).map(Arc::new).map_err(|cause| format!("oidc: {cause}"))
    }

    /// Whether a token of the issuer is for this server, now, and signed in a way that is allowed.
    fn check(&self, jwt: &Jwt<'_>, now: Timestamp) -> Result<(), String> {
        let audiences = jwt.audiences();
        if !audiences.contains(&self.config.client_id) {
            let client = &self.config.client_id;
            return Err(format!("oidc: expected audience {client:?} got {audiences:?}"));
        }
        let now = now.as_second();
        if jwt.seconds("exp").is_none_or(|expiry| expiry < now) {
            return Err("oidc: token is expired".to_owned());
        }
        match (jwt.claims.get("nbf"), jwt.seconds("nbf")) {
            (None, _) => {}
            (Some(_), Some(start)) if start <= now.saturating_add(NOT_BEFORE_LEEWAY_SECONDS) => {}
            _ => return Err("current time before the nbf (not before) time".to_owned()),
        }
        let algorithm = jwt.header_text("alg");
        let allowed = &self.config.signing_algorithms;
        if !allowed.iter().any(|name| name == algorithm) {
            return Err(format!(
                "oidc: id token signed with unsupported algorithm, expected {allowed:?} got {algorithm:?}"
            ));
        }
        // An extension that a token calls critical must be understood (RFC 7515, section 4.1.11), and none is here.
        if jwt.header.get("crit").is_some() {
            return Err("oidc: malformed jwt: unsupported crit header".to_owned());
        }
        Ok(())
    }
}

/// The user that verified claims describe.
fn user_of(config: &OidcConfig, name_prefix: &str, claims: &Value) -> Result<UserInfo, String> {
    let claim = &config.username_claim;
    let name = match claims.get(claim) {
        Some(Value::String(name)) if !name.is_empty() => name,
        Some(Value::String(_)) => return Err(format!("parse username claims {claim:?}: claim is empty")),
        Some(_) => return Err(format!("parse username claims {claim:?}: claim is not a string")),
        None => return Err(format!("parse username claims {claim:?}: claim not present")),
    };
    if claim == "email" {
        match claims.get("email_verified") {
            None | Some(Value::Bool(true)) => {}
            Some(Value::Bool(false)) => return Err("email not verified".to_owned()),
            Some(_) => return Err("parse 'email_verified' claim: claim is not a boolean".to_owned()),
        }
    }
    let groups = groups_of(config, claims)?;
    for (name, wanted) in &config.required_claims {
        match claims.get(name) {
            Some(Value::String(found)) if found == wanted => {}
            Some(Value::String(found)) => {
                return Err(format!("required claim {name} value does not match. Got = {found}, want = {wanted}"));
            }
            Some(_) => return Err(format!("parse claim {name}: claim is not a string")),
            None => return Err(format!("required claim {name} not present in ID token")),
        }
    }
    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
    let mut user = UserInfo::new(format!("{name_prefix}{name}"), &groups);
    if let Some(id) = claims.get("jti").and_then(Value::as_str).filter(|id| !id.is_empty()) {
        user.extra.push((CREDENTIAL_ID.to_owned(), vec![format!("JTI={id}")]));
    }
    Ok(user)
}

/// The groups, which may be one text or a list of them.
fn groups_of(config: &OidcConfig, claims: &Value) -> Result<Vec<String>, String> {
    let claim = &config.groups_claim;
    let list = match claims.get(claim).filter(|_| !claim.is_empty()) {
        None | Some(Value::Null) => &[],
        Some(Value::Array(list)) => list.as_slice(),
        Some(other) => std::slice::from_ref(other),
    };
    let prefix = &config.groups_prefix;
    let prefixed = list.iter().map(|group| group.as_str().map(|group| format!("{prefix}{group}")));
    prefixed
        .collect::<Option<_>>()
        .ok_or_else(|| format!("parse groups claim {}: claim is not a string", go_text::quote(claim)))
}

#[cfg(test)]
mod tests;
