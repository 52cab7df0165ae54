//! JSON Web Tokens in their compact form (RFC 7519, RFC 7515 section 7.1): taken apart and put together.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::Value;

/// A token that has the right shape; nothing in it has been verified.
#[derive(Debug)]
pub(crate) struct Jwt<'a> {
    pub(crate) header: Value,
    pub(crate) claims: Value,
    /// What the signature is about: the first two parts as they stand.
    pub(crate) signed: &'a str,
    pub(crate) signature: Vec<u8>,
}

impl<'a> Jwt<'a> {
    /// Takes a token apart; `None` for what is no such token.
    pub(crate) fn parse(token: &'a str) -> Option<Self> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let object = |part: &str| {
            let value: Value = serde_json::from_slice(&BASE64.decode(part).ok()?).ok()?;
            value.is_object().then_some(value)
        };
        Some(Self {
            header: object(header)?,
            claims: object(claims)?,
            signed,
            signature: BASE64.decode(signature).ok()?,
        })
    }

    /// A text claim; empty when there is none.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.claims.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// A text of the header; empty when there is none.
    pub(crate) fn header_text(&self, name: &str) -> &str {
        self.header.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// A time in seconds since 1970. Fractions are cut.
    pub(crate) fn seconds(&self, name: &str) -> Option<i64> {
        seconds(self.claims.get(name)?)
    }

    /// The audiences: a list, or one text.
    pub(crate) fn audiences(&self) -> Vec<String> {
        texts(self.claims.get("aud"))
    }
}

/// A text, or each text of a list.
pub(crate) fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

/// A number of seconds, with or without a fraction.
#[expect(clippy::cast_possible_truncation, reason = "the fraction is cut, and a cast from float saturates")]
fn seconds(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_f64().map(|seconds| seconds as i64))
}

/// The part of a token that is to be signed.
pub(crate) fn to_be_signed(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| BASE64.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

/// The whole token.
pub(crate) fn complete(signed: &str, signature: &[u8]) -> String {
    format!("{signed}.{}", BASE64.encode(signature))
}
