//! What a token of a service account claims, in upstream's form. Pure: the time and the random id are arguments.

use serde_json::{Map, Value, json};

use super::jwt::Jwt;

/// The issuer of tokens that were kept in Secrets before tokens were bound and expired.
pub(super) const LEGACY_ISSUER: &str = "kubernetes/serviceaccount";
/// Upstream's own claim.
const PRIVATE: &str = "kubernetes.io";

/// An object that a token names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Reference {
    pub(crate) name: String,
    /// Empty when it was not known.
    pub(crate) uid: String,
}

/// What a token is bound to, beside its account: it ends with it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Bound {
    pub(crate) pod: Option<Reference>,
    /// The pod's node, which is told only; or, without a pod, the node that the token is bound to.
    pub(crate) node: Option<Reference>,
    pub(crate) secret: Option<Reference>,
}

/// What a new token is made from.
#[derive(Debug)]
pub(crate) struct NewToken<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) account: &'a Reference,
    pub(crate) bound: &'a Bound,
    pub(crate) audiences: &'a [String],
    /// Seconds since 1970.
    pub(crate) now: i64,
    pub(crate) lifetime_seconds: i64,
    /// Seconds after which the token still holds, but its use is remarkable.
    pub(crate) warn_after_seconds: Option<i64>,
    /// A random name of the token.
    pub(crate) id: &'a str,
}

/// The claims of a new token.
pub(crate) fn new_claims(token: &NewToken<'_>) -> Value {
    let reference = |reference: &Reference| {
        let mut object = Map::new();
        object.insert("name".to_owned(), json!(reference.name));
        if !reference.uid.is_empty() {
            object.insert("uid".to_owned(), json!(reference.uid));
        }
        Value::Object(object)
    };
    let mut private = Map::new();
    private.insert("namespace".to_owned(), json!(token.namespace));
    private.insert("serviceaccount".to_owned(), reference(token.account));
    for (name, object) in [("pod", &token.bound.pod), ("node", &token.bound.node), ("secret", &token.bound.secret)] {
        if let Some(object) = object {
            private.insert(name.to_owned(), reference(object));
        }
    }
    if let Some(seconds) = token.warn_after_seconds {
        private.insert("warnafter".to_owned(), json!(token.now.saturating_add(seconds)));
    }
    json!({
        "iss": token.issuer,
        "sub": user_name(token.namespace, &token.account.name),
        "aud": token.audiences,
        "iat": token.now,
        "nbf": token.now,
        "exp": token.now.saturating_add(token.lifetime_seconds),
        "jti": token.id,
        PRIVATE: private,
    })
}

/// The claims of a token that is kept in a Secret and ends with it.
pub(super) fn legacy_claims(namespace: &str, account: &Reference, secret: &str) -> Value {
    json!({
        "iss": LEGACY_ISSUER,
        "sub": user_name(namespace, &account.name),
        "kubernetes.io/serviceaccount/namespace": namespace,
        "kubernetes.io/serviceaccount/secret.name": secret,
        "kubernetes.io/serviceaccount/service-account.name": account.name,
        "kubernetes.io/serviceaccount/service-account.uid": account.uid,
    })
}

/// The user that an account is.
pub(crate) fn user_name(namespace: &str, account: &str) -> String {
    format!("system:serviceaccount:{namespace}:{account}")
}

/// What a verified token claims.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Claims {
    pub(crate) namespace: String,
    pub(crate) account: Reference,
    pub(crate) bound: Bound,
    pub(crate) audiences: Vec<String>,
    /// Seconds since 1970; `None` for a token without an end.
    pub(crate) expires: Option<i64>,
    pub(crate) not_before: Option<i64>,
    /// Seconds since 1970 after which the use of the token is remarkable.
    pub(crate) warn_after: Option<i64>,
    /// Empty for a token without an id.
    pub(crate) id: String,
    /// A token that is kept in a Secret.
    pub(crate) legacy: bool,
}

impl Claims {
    /// Reads the claims; `None` when they name no account.
    pub(super) fn read(token: &Jwt<'_>) -> Option<Self> {
        let claims =
            if token.text("iss") == LEGACY_ISSUER { Self::read_legacy(token) } else { Self::read_bound(token) };
        (!claims.namespace.is_empty() && !claims.account.name.is_empty()).then_some(claims)
    }

    fn read_bound(token: &Jwt<'_>) -> Self {
        let null = Value::Null;
        let private = token.claims.get(PRIVATE).unwrap_or(&null);
        let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let reference = |name: &str| {
            let object = private.get(name)?;
            Some(Reference { name: text(object, "name"), uid: text(object, "uid") })
        };
        Self {
            namespace: text(private, "namespace"),
            account: reference("serviceaccount").unwrap_or_default(),
            bound: Bound { pod: reference("pod"), node: reference("node"), secret: reference("secret") },
            audiences: token.audiences(),
            expires: token.seconds("exp"),
            not_before: token.seconds("nbf"),
            warn_after: private.get("warnafter").and_then(Value::as_i64),
            id: token.text("jti").to_owned(),
            legacy: false,
        }
    }

    fn read_legacy(token: &Jwt<'_>) -> Self {
        let text = |name: &str| token.text(&format!("kubernetes.io/serviceaccount/{name}")).to_owned();
        let secret = Reference { name: text("secret.name"), uid: String::new() };
        Self {
            namespace: text("namespace"),
            account: Reference { name: text("service-account.name"), uid: text("service-account.uid") },
            bound: Bound { secret: Some(secret), ..Bound::default() },
            audiences: token.audiences(),
            legacy: true,
            ..Self::default()
        }
    }
}
