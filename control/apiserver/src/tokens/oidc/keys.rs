//! The public keys of an issuer (RFC 7517), and the signatures that they verify (RFC 7518).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, EcdsaVerificationAlgorithm, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384,
    RSA_PSS_2048_8192_SHA512, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde_json::Value;

use crate::tokens::jwt::Jwt;

/// The most keys of one issuer that are read; a token is tried with no more.
const KEYS_MAX: usize = 64;

/// How a token is signed. ES512 is not among them: ring has no P-521.
#[derive(Clone, Copy)]
pub(super) enum Algorithm {
    Rsa(&'static RsaParameters),
    Ecdsa(Curve, &'static EcdsaVerificationAlgorithm),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Curve {
    P256,
    P384,
}

impl Curve {
    /// Bytes of one coordinate.
    const fn coordinate(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
        }
    }
}

impl Algorithm {
    /// What every issuer offers.
    pub(super) const RS256: &str = "RS256";

    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            Self::RS256 => Self::Rsa(&RSA_PKCS1_2048_8192_SHA256),
            "RS384" => Self::Rsa(&RSA_PKCS1_2048_8192_SHA384),
            "RS512" => Self::Rsa(&RSA_PKCS1_2048_8192_SHA512),
            "PS256" => Self::Rsa(&RSA_PSS_2048_8192_SHA256),
            "PS384" => Self::Rsa(&RSA_PSS_2048_8192_SHA384),
            "PS512" => Self::Rsa(&RSA_PSS_2048_8192_SHA512),
            "ES256" => Self::Ecdsa(Curve::P256, &ECDSA_P256_SHA256_FIXED),
            "ES384" => Self::Ecdsa(Curve::P384, &ECDSA_P384_SHA384_FIXED),
            _ => return None,
        })
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Material {
    /// Modulus and exponent, without leading zeros.
    Rsa { n: Vec<u8>, e: Vec<u8> },
    /// The point, uncompressed: 4, x, y.
    Point(Curve, Vec<u8>),
}

#[derive(Debug, PartialEq, Eq)]
struct Key {
    /// Empty for a key without a name.
    id: String,
    /// The only algorithm that the key is for; empty when it does not say.
    algorithm: String,
    material: Material,
}

impl Key {
    /// `None` for a key that signs nothing that can be verified here.
    fn read(jwk: &Value) -> Option<Self> {
        let text = |name: &str| jwk.get(name).and_then(Value::as_str).unwrap_or_default();
        if !matches!(text("use"), "" | "sig") {
            return None;
        }
        let bytes = |name: &str| BASE64.decode(text(name).trim_end_matches('=')).ok();
        let material = match (text("kty"), text("crv")) {
            ("RSA", _) => Material::Rsa { n: number(&bytes("n")?)?, e: number(&bytes("e")?)? },
            ("EC", "P-256") => point(Curve::P256, &bytes("x")?, &bytes("y")?)?,
            ("EC", "P-384") => point(Curve::P384, &bytes("x")?, &bytes("y")?)?,
            _ => return None,
        };
        Some(Self { id: text("kid").to_owned(), algorithm: text("alg").to_owned(), material })
    }

    fn has_signed(&self, token: &Jwt<'_>, name: &str) -> bool {
        if !self.algorithm.is_empty() && self.algorithm != name {
            return false;
        }
        let (message, signature) = (token.signed.as_bytes(), token.signature.as_slice());
        match (&self.material, Algorithm::of(name)) {
            (Material::Rsa { n, e }, Some(Algorithm::Rsa(parameters))) => {
                RsaPublicKeyComponents { n, e }.verify(parameters, message, signature).is_ok()
            }
            (Material::Point(curve, point), Some(Algorithm::Ecdsa(wanted, algorithm))) if *curve == wanted => {
                UnparsedPublicKey::new(algorithm, point).verify(message, signature).is_ok()
            }
            _ => false,
        }
    }
}

/// An unsigned number as ring takes it: some bytes, the first of them not zero.
fn number(bytes: &[u8]) -> Option<Vec<u8>> {
    let first = bytes.iter().position(|byte| *byte != 0)?;
    Some(bytes[first..].to_vec())
}

fn point(curve: Curve, x: &[u8], y: &[u8]) -> Option<Material> {
    let size = curve.coordinate();
    (x.len() == size && y.len() == size).then(|| Material::Point(curve, [&[4], x, y].concat()))
}

/// The keys of an issuer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct KeySet {
    keys: Vec<Key>,
}

impl KeySet {
    /// Reads a JWKS; `None` when it is none. Keys that cannot be used are passed over.
    pub(super) fn read(document: &Value) -> Option<Self> {
        let keys = document.get("keys")?.as_array()?;
        Some(Self { keys: keys.iter().filter_map(Key::read).take(KEYS_MAX).collect() })
    }

    /// Whether one of the keys has signed the token: the one that it names, or any if it names none.
    pub(super) fn has_signed(&self, token: &Jwt<'_>) -> bool {
        let (id, algorithm) = (token.header_text("kid"), token.header_text("alg"));
        self.keys.iter().filter(|key| id.is_empty() || key.id == id).any(|key| key.has_signed(token, algorithm))
    }
}
