//! The key with which the tokens of service accounts are signed, and by which they are known again.
//!
//! ECDSA on P-256 with SHA-256, `ES256` of RFC 7518: a fortieth of the cost of RSA to sign, and every client that reads a
//! JWKS knows it.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use super::claims::{Reference, legacy_claims};
use super::jwt::{Jwt, complete, to_be_signed};

const ALGORITHM: &str = "ES256";
/// Bytes of one coordinate of a point.
const COORDINATE: usize = 32;
/// What comes before the point in the SubjectPublicKeyInfo of a P-256 key (RFC 5480, section 2).
const INFO_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// A key that signs the tokens of service accounts. Clones are the same key.
#[derive(Clone)]
pub struct ServiceAccountKey {
    pair: Arc<EcdsaKeyPair>,
    /// The point, uncompressed: 4, x, y.
    point: Vec<u8>,
    id: String,
}

impl std::fmt::Debug for ServiceAccountKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ServiceAccountKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Why a key cannot sign tokens.
#[derive(Debug, thiserror::Error)]
pub enum ServiceAccountKeyError {
    /// No PEM text of a PKCS #8 key.
    #[error("cannot read the key of service accounts")]
    Pem(#[source] rustls_pki_types::pem::Error),
    /// Another sort of key.
    #[error("the key of service accounts is not an ECDSA key on P-256")]
    Algorithm,
}

impl ServiceAccountKey {
    /// Reads a PKCS #8 private key on P-256 from a PEM text.
    ///
    /// # Errors
    /// The text holds no such key.
    pub fn from_pem(pem: &str) -> Result<Self, ServiceAccountKeyError> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(ServiceAccountKeyError::Pem)?;
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.secret_pkcs8_der(), &random)
            .map_err(|_| ServiceAccountKeyError::Algorithm)?;
        let point = pair.public_key().as_ref().to_vec();
        if point.len() != 1 + 2 * COORDINATE {
            return Err(ServiceAccountKeyError::Algorithm);
        }
        // Upstream's name of a key: the digest of its SubjectPublicKeyInfo.
        let info = [INFO_PREFIX.as_slice(), &point].concat();
        let id = BASE64.encode(digest(&SHA256, &info));
        Ok(Self { pair: Arc::new(pair), point, id })
    }

    /// The token with these claims. `None` when the machine has no randomness to give.
    pub(crate) fn sign(&self, claims: &Value) -> Option<String> {
        let header = json!({ "alg": ALGORITHM, "kid": self.id });
        let signed = to_be_signed(&header, claims);
        let signature = self.pair.sign(&SystemRandom::new(), signed.as_bytes()).ok()?;
        Some(complete(&signed, signature.as_ref()))
    }

    /// The token of a service account that a Secret holds, of the type `kubernetes.io/service-account-token`. It has no
    /// end of its own: it holds as long as the account exists and the Secret holds it. `None` when the machine has no
    /// randomness to give.
    pub fn secret_token(&self, namespace: &str, account: &str, account_uid: &str, secret: &str) -> Option<String> {
        let account = Reference { name: account.to_owned(), uid: account_uid.to_owned() };
        self.sign(&legacy_claims(namespace, &account, secret))
    }

    /// Whether this key has signed the token.
    pub(crate) fn has_signed(&self, token: &Jwt<'_>) -> bool {
        let named = token.header_text("kid");
        token.header_text("alg") == ALGORITHM
            && (named.is_empty() || named == self.id)
            && UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.point)
                .verify(token.signed.as_bytes(), &token.signature)
                .is_ok()
    }

    /// The public key as a JSON Web Key (RFC 7517).
    pub(crate) fn to_jwk(&self) -> Value {
        let (x, y) = self.point[1..].split_at(COORDINATE);
        json!({
            "use": "sig",
            "kty": "EC",
            "kid": self.id,
            "crv": "P-256",
            "alg": ALGORITHM,
            "x": BASE64.encode(x),
            "y": BASE64.encode(y),
        })
    }

    /// The name of the algorithm in tokens.
    pub(crate) fn algorithm(&self) -> &'static str {
        ALGORITHM
    }
}
