//! What is to be known of a foreign issuer, by upstream's flags.

use std::collections::BTreeMap;

use http::Uri;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::keys::Algorithm;

/// An OpenID Connect issuer whose ID tokens are believed, as kube-apiserver's `--oidc-*` flags describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OidcConfig {
    /// The `iss` claim, an `https` URL; its discovery document lies below it.
    pub issuer_url: String,
    /// The audience that a token must name.
    pub client_id: String,
    /// The claim that is the user's name.
    pub username_claim: String,
    /// What comes before the user's name. Empty means `ISSUER#`, unless the claim is `email`; `-` means nothing.
    pub username_prefix: String,
    /// The claim that has the user's groups, a text or a list of texts; empty for none.
    pub groups_claim: String,
    /// What comes before the name of each group.
    pub groups_prefix: String,
    /// The authorities that the issuer's certificate is verified by, PEM; those of the system without it.
    pub authorities_pem: Option<String>,
    /// Claims that a token must have with these texts.
    pub required_claims: BTreeMap<String, String>,
    /// The algorithms that a token may be signed with, by their names of RFC 7518.
    pub signing_algorithms: Vec<String>,
}

/// Why an issuer cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum OidcConfigError {
    /// One does not go without the other.
    #[error("oidc-issuer-url and oidc-client-id must be specified together when any oidc-* flags are set")]
    Incomplete,
    /// Something about the URL.
    #[error("oidc-issuer-url {url:?}: {cause}")]
    IssuerUrl {
        /// The URL that was given.
        url: String,
        /// In upstream's words.
        cause: &'static str,
    },
    /// The name of the user is nowhere.
    #[error("oidc-username-claim must not be empty")]
    NoUsernameClaim,
    /// An algorithm that is unknown, or that cannot be verified here (ES512).
    #[error("oidc: unsupported signing alg: {0:?}")]
    Algorithm(String),
    /// No certificate in the bundle.
    #[error("oidc-ca-file holds no certificate")]
    NoAuthorities,
    /// A claim without a name.
    #[error("oidc-required-claim must be of the form NAME=VALUE")]
    RequiredClaim,
}

impl OidcConfig {
    /// An issuer with upstream's defaults: the claim `sub` with the prefix `ISSUER#`, no groups, RS256.
    pub fn new(issuer_url: impl Into<String>, client_id: impl Into<String>) -> Self {
        Self {
            issuer_url: issuer_url.into(),
            client_id: client_id.into(),
            username_claim: "sub".to_owned(),
            username_prefix: String::new(),
            groups_claim: String::new(),
            groups_prefix: String::new(),
            authorities_pem: None,
            required_claims: BTreeMap::new(),
            signing_algorithms: vec![Algorithm::RS256.to_owned()],
        }
    }

    /// Checks what can be checked without asking the issuer, who must not be the issuer of service accounts.
    ///
    /// # Errors
    /// Names the first value that cannot be used.
    pub(crate) fn validate(&self, service_account_issuer: &str) -> Result<(), OidcConfigError> {
        if self.issuer_url.is_empty() || self.client_id.is_empty() {
            return Err(OidcConfigError::Incomplete);
        }
        let bad = |cause| Err(OidcConfigError::IssuerUrl { url: self.issuer_url.clone(), cause });
        if self.issuer_url == service_account_issuer {
            return bad("URL must not overlap with disallowed issuers");
        }
        if self.issuer_url.contains('#') {
            return bad("URL must not contain a fragment");
        }
        let Ok(url) = self.issuer_url.parse::<Uri>() else { return bad("URL cannot be parsed") };
        if url.scheme_str() != Some("https") {
            return bad("URL scheme must be https");
        }
        if url.authority().is_none_or(|authority| authority.as_str().contains('@')) {
            return bad("URL must not contain a username or password");
        }
        if url.query().is_some() {
            return bad("URL must not contain a query");
        }
        if self.username_claim.is_empty() {
            return Err(OidcConfigError::NoUsernameClaim);
        }
        if let Some(name) = self.signing_algorithms.iter().find(|name| Algorithm::of(name).is_none()) {
            return Err(OidcConfigError::Algorithm(name.clone()));
        }
        if self.required_claims.keys().any(String::is_empty) {
            return Err(OidcConfigError::RequiredClaim);
        }
        let has_authority =
            |pem: &String| CertificateDer::pem_slice_iter(pem.as_bytes()).next().is_some_and(|first| first.is_ok());
        if self.authorities_pem.as_ref().is_some_and(|pem| !has_authority(pem)) {
            return Err(OidcConfigError::NoAuthorities);
        }
        Ok(())
    }

    /// What comes before the user's name, by upstream's rules.
    pub(super) fn name_prefix(&self) -> String {
        match self.username_prefix.as_str() {
            "" if self.username_claim != "email" => format!("{}#", self.issuer_url),
            "-" => String::new(),
            prefix => prefix.to_owned(),
        }
    }
}
