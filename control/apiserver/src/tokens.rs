//! Bearer tokens: how they are made and how they are known again.
//!
//! Four sorts, asked in upstream's order: static tokens of a file, tokens of service accounts that this server signs,
//! bootstrap tokens that lie as Secrets in `kube-system`, and tokens of a foreign OpenID Connect issuer.
//!
//! What never changes about a signed token (its signature and what it claims) is verified once and then remembered, within
//! a bound. What can change (whether the account, the pod, the secret still exist) is looked up on every request in the
//! store's index, so that a token ends with what it stands for and not some seconds later.

mod accounts;
mod bootstrap;
mod claims;
mod jwt;
mod key;
mod oidc;
mod statics;

use std::sync::Arc;

use coracle_control_store::Snapshot;
use jiff::Timestamp;
use ring::digest::{SHA256, digest};

use crate::config::ApiServerConfig;
use crate::user::UserInfo;

pub(crate) use accounts::AccountTokens;
pub(crate) use claims::{Bound, NewToken, Reference, new_claims};
pub use key::{ServiceAccountKey, ServiceAccountKeyError};
pub(crate) use oidc::OidcTokens;
pub use oidc::{OidcConfig, OidcConfigError};

/// What a token says that nobody knows.
pub(crate) const INVALID: &str = "invalid bearer token";
/// A longer token is nobody's; the headers of a request have a bound of their own that is higher.
const TOKEN_BYTES_MAX: usize = 64 * 1024;

/// A user whom a token stands for, and for whom it was meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenUser {
    pub(crate) user: Arc<UserInfo>,
    /// Those of the audiences asked for that the token was issued to.
    pub(crate) audiences: Vec<String>,
}

/// Everyone who knows tokens.
#[derive(Debug)]
pub(crate) struct Tokens {
    statics: statics::StaticTokens,
    accounts: Option<AccountTokens>,
    bootstrap: bool,
    oidc: Option<OidcTokens>,
    /// The audiences that this server itself is.
    audiences: Vec<String>,
}

impl Tokens {
    pub(crate) fn new(config: &ApiServerConfig) -> Self {
        let audiences = config.audiences();
        let issuer = config.service_account_issuer.clone();
        let accounts = config.service_account_key.clone().map(|key| AccountTokens::new(key, issuer, audiences.clone()));
        Self {
            statics: statics::StaticTokens::new(&config.tokens),
            accounts,
            bootstrap: config.bootstrap_tokens,
            oidc: config.oidc.clone().map(OidcTokens::new),
            audiences,
        }
    }

    /// The tokens of service accounts, if this server has a key to sign them with.
    pub(crate) fn accounts(&self) -> Option<&AccountTokens> {
        self.accounts.as_ref()
    }

    /// The tokens of a foreign issuer, if one is believed.
    pub(crate) fn oidc(&self) -> Option<&OidcTokens> {
        self.oidc.as_ref()
    }

    /// The audiences that this server itself is.
    pub(crate) fn audiences(&self) -> &[String] {
        &self.audiences
    }

    /// The user of a token that was issued to one of these audiences.
    ///
    /// # Errors
    /// What is wrong with the token, for a TokenReview; a request is told no more than 401.
    pub(crate) async fn user(
        &self,
        snapshot: &Snapshot,
        token: &str,
        audiences: &[String],
        now: Timestamp,
    ) -> Result<TokenUser, String> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(INVALID.to_owned());
        }
        let digest = fingerprint(token);
        if let Some(user) = self.statics.find(&digest) {
            return self.for_any(user, audiences);
        }
        if let Some(answer) =
            self.accounts.as_ref().and_then(|accounts| accounts.user(snapshot, token, &digest, audiences, now))
        {
            return answer.map_err(|cause| complaint(&cause));
        }
        if self.bootstrap
            && let Some(user) = bootstrap::user(snapshot, token, now)
        {
            return self.for_any(user, audiences);
        }
        if let Some(oidc) = &self.oidc
            && let Some(answer) = oidc.user(token, now).await
        {
            return self.for_any(answer.map_err(|cause| complaint(&cause))?, audiences);
        }
        Err(INVALID.to_owned())
    }

    /// A token that names no audience is for this server.
    fn for_any(&self, user: Arc<UserInfo>, audiences: &[String]) -> Result<TokenUser, String> {
        let audiences = both(&self.audiences, audiences);
        if audiences.is_empty() { Err(INVALID.to_owned()) } else { Ok(TokenUser { user, audiences }) }
    }
}

/// Upstream asks the token of its own loop first, which never knows it and says so.
fn complaint(cause: &str) -> String {
    format!("[{INVALID}, {cause}]")
}

/// What is in both lists, in the order of the first.
fn both(first: &[String], second: &[String]) -> Vec<String> {
    first.iter().filter(|text| second.contains(text)).cloned().collect()
}

/// Tokens are found by their digest, so that a lookup takes the same time however much of a token is right.
type Fingerprint = [u8; 32];

fn fingerprint(token: &str) -> Fingerprint {
    let digest = digest(&SHA256, token.as_bytes());
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest.as_ref());
    bytes
}

#[cfg(test)]
mod tests;
