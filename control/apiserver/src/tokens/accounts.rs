//! Tokens of service accounts: signed here, and known again as long as what they stand for exists.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use coracle_control_api::meta;
use coracle_control_store::Snapshot;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::claims::{Claims, LEGACY_ISSUER, Reference, user_name};
use super::jwt::Jwt;
use super::key::ServiceAccountKey;
use super::{Fingerprint, TokenUser, both};
use crate::user::{CREDENTIAL_ID, UserInfo};

/// Tokens whose signature is remembered; with more in use, some are verified again now and then.
const KNOWN_MAX: usize = 8192;
/// Clocks may differ by so much, and what was deleted so recently still counts, as upstream.
const LEEWAY_SECONDS: i64 = 60;

/// A token that says it is ours and is not.
const BAD_SIGNATURE: &str = "go-jose/go-jose: error in cryptographic primitive";

/// A token whose signature is right.
#[derive(Debug)]
struct Known {
    claims: Claims,
    user: Arc<UserInfo>,
}

/// The issuer of tokens for service accounts.
#[derive(Debug)]
pub(crate) struct AccountTokens {
    key: ServiceAccountKey,
    issuer: String,
    audiences: Vec<String>,
    known: Mutex<HashMap<Fingerprint, Arc<Known>>>,
}

impl AccountTokens {
    pub(super) fn new(key: ServiceAccountKey, issuer: String, audiences: Vec<String>) -> Self {
        Self { key, issuer, audiences, known: Mutex::default() }
    }

    /// The `iss` of new tokens.
    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The token with these claims. `None` when the machine has no randomness to give.
    pub(crate) fn sign(&self, claims: &Value) -> Option<String> {
        self.key.sign(claims)
    }

    /// `/.well-known/openid-configuration`; `address` is where the keys are, unless the issuer is a URL of its own.
    pub(crate) fn configuration(&self, address: &str) -> Value {
        json!({
            "issuer": self.issuer,
            "jwks_uri": format!("https://{address}/openid/v1/jwks"),
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [self.key.algorithm()],
        })
    }

    /// `/openid/v1/jwks`.
    pub(crate) fn key_set(&self) -> Value {
        json!({ "keys": [self.key.to_jwk()] })
    }

    /// The user of a token; `None` for a token of another issuer.
    pub(super) fn user(
        &self,
        snapshot: &Snapshot,
        token: &str,
        digest: &Fingerprint,
        audiences: &[String],
        now: Timestamp,
    ) -> Option<Result<TokenUser, String>> {
        let known = match self.remembered(digest) {
            Some(known) => known,
            None => match self.verify(token)? {
                Ok(known) => self.remember(*digest, known),
                Err(cause) => return Some(Err(cause)),
            },
        };
        let claimed = if known.claims.audiences.is_empty() { &self.audiences } else { &known.claims.audiences };
        let shared = both(claimed, audiences);
        if shared.is_empty() {
            let cause =
                format!("token audiences {} is invalid for the target audiences {}", list(claimed), list(audiences));
            return Some(Err(cause));
        }
        let valid = check_time(&known.claims, now).and_then(|()| check_objects(snapshot, &known.claims, token, now));
        Some(valid.map(|()| TokenUser { user: Arc::clone(&known.user), audiences: shared }))
    }

    fn remembered(&self, digest: &Fingerprint) -> Option<Arc<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
    }

    fn remember(&self, digest: Fingerprint, known: Known) -> Arc<Known> {
        let known = Arc::new(known);
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= KNOWN_MAX {
            // Whoever is still in use comes back with his next request.
            all.clear();
        }
        all.insert(digest, Arc::clone(&known));
        known
    }

    fn verify(&self, token: &str) -> Option<Result<Known, String>> {
        let jwt = Jwt::parse(token)?;
        let issuer = jwt.text("iss");
        if issuer != self.issuer && issuer != LEGACY_ISSUER {
            return None;
        }
        if !self.key.has_signed(&jwt) {
            return Some(Err(BAD_SIGNATURE.to_owned()));
        }
        let Some(claims) = Claims::read(&jwt) else {
            return Some(Err(
                "service account token claims could not be validated due to unexpected private claim".to_owned()
            ));
        };
        let user = Arc::new(user_of(&claims));
        Some(Ok(Known { claims, user }))
    }
}

/// As Go prints a list of texts with `%q`.
fn list(texts: &[String]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| format!("{text:?}")).collect();
    format!("[{}]", texts.join(" "))
}

fn check_time(claims: &Claims, now: Timestamp) -> Result<(), String> {
    let now = now.as_second();
    if claims.expires.is_some_and(|expires| now - LEEWAY_SECONDS > expires) {
        return Err("service account token has expired".to_owned());
    }
    if claims.not_before.is_some_and(|start| now + LEEWAY_SECONDS < start) {
        return Err("service account token is not valid yet".to_owned());
    }
    Ok(())
}

/// Whether everything that the token stands for is still there.
fn check_objects(snapshot: &Snapshot, claims: &Claims, token: &str, now: Timestamp) -> Result<(), String> {
    let Claims { namespace, account, bound, .. } = claims;
    let invalidated = || {
        if claims.legacy { "Token has been invalidated" } else { "service account token has been invalidated" }
            .to_owned()
    };
    let find = |plural: &str, place: &str, name: &str| {
        Found::look(snapshot, &format!("/registry/core/{plural}/{place}{name}"), now)
    };
    let place = format!("{namespace}/");
    match find("serviceaccounts", &place, &account.name) {
        Found::Nothing => return Err(format!("serviceaccounts {:?} not found", account.name)),
        Found::Deleted => return Err(format!("service account {namespace}/{} has been deleted", account.name)),
        Found::Here { uid } if uid != account.uid => {
            return Err(format!("service account UID ({uid}) does not match claim ({})", account.uid));
        }
        Found::Here { .. } => {}
    }
    if claims.legacy {
        let secret = bound.secret.as_ref().map(|secret| secret.name.as_str()).unwrap_or_default();
        return check_secret_token(snapshot, namespace, secret, token).ok_or_else(invalidated);
    }
    let check = |found: Found, object: &Reference, shown: &str, named: &str| match found {
        Found::Here { uid } if uid == object.uid => Ok(()),
        Found::Here { uid } => {
            Err(format!("{shown} UID ({uid}) does not match service account {named} ref claim ({})", object.uid))
        }
        Found::Nothing | Found::Deleted => Err(invalidated()),
    };
    if let Some(secret) = &bound.secret {
        check(find("secrets", &place, &secret.name), secret, "secret", "secret")?;
    }
    match (&bound.pod, &bound.node) {
        // The node of a pod is told, not relied on.
        (Some(pod), _) => check(find("pods", &place, &pod.name), pod, "pod", "pod"),
        (None, Some(node)) => check(find("nodes", "", &node.name), node, "node", "node"),
        (None, None) => Ok(()),
    }
}

/// A token in a Secret is the one that the Secret holds now.
fn check_secret_token(snapshot: &Snapshot, namespace: &str, name: &str, token: &str) -> Option<()> {
    let entry = snapshot.get(format!("/registry/core/secrets/{namespace}/{name}").as_bytes())?;
    let secret: Value = serde_json::from_slice(&entry.value).ok()?;
    let held = secret.pointer("/data/token").and_then(Value::as_str)?;
    let held = BASE64.decode(held).ok()?;
    (!meta::is_being_deleted(&secret) && held == token.as_bytes()).then_some(())
}

/// What there is of an object.
enum Found {
    Nothing,
    /// It goes away, since longer than clocks differ.
    Deleted,
    Here {
        uid: String,
    },
}

impl Found {
    fn look(snapshot: &Snapshot, key: &str, now: Timestamp) -> Self {
        let Some(entry) = snapshot.get(key.as_bytes()) else { return Self::Nothing };
        let metadata = crate::stored::metadata(&entry.value).unwrap_or_default();
        let text = |name: &str| {
            let raw = crate::stored::find(metadata, &[name])?;
            serde_json::from_slice::<String>(raw).ok()
        };
        let deleted = text("deletionTimestamp").and_then(|time| time.parse::<Timestamp>().ok());
        if deleted.is_some_and(|time| time.as_second() < now.as_second() - LEEWAY_SECONDS) {
            return Self::Deleted;
        }
        Self::Here { uid: text("uid").unwrap_or_default() }
    }
}

fn user_of(claims: &Claims) -> UserInfo {
    const PREFIX: &str = "authentication.kubernetes.io/";
    let namespace = &claims.namespace;
    let everyone = format!("system:serviceaccounts:{namespace}");
    let mut user = UserInfo {
        uid: claims.account.uid.clone(),
        ..UserInfo::new(user_name(namespace, &claims.account.name), &["system:serviceaccounts", &everyone])
    };
    let mut tell = |key: &str, value: &str| {
        if !value.is_empty() {
            user.extra.push((key.to_owned(), vec![value.to_owned()]));
        }
    };
    if !claims.id.is_empty() {
        tell(CREDENTIAL_ID, &format!("JTI={}", claims.id));
    }
    for (name, object) in [("node", &claims.bound.node), ("pod", &claims.bound.pod)] {
        if let Some(object) = object {
            tell(&format!("{PREFIX}{name}-name"), &object.name);
            tell(&format!("{PREFIX}{name}-uid"), &object.uid);
        }
    }
    user
}
