//! What can be set, and every bound, with the defaults together here.

use std::collections::BTreeSet;
use std::time::Duration;

use coracle_control_api::kind::Kind;
use coracle_control_api::kinds::admission_registration::beta_kinds;

use crate::admission::{NOT_BUILT, PLUGINS};
use crate::aggregation::FrontProxy;
use crate::audit::Audit;
use crate::tokens::{OidcConfig, OidcConfigError, ServiceAccountKey};

/// One line of a static token file.
#[derive(Clone, PartialEq, Eq)]
pub struct StaticToken {
    /// The bearer token.
    pub token: String,
    /// The user's name.
    pub user: String,
    /// The user's uid.
    pub uid: String,
    /// The user's groups.
    pub groups: Vec<String>,
}

impl std::fmt::Debug for StaticToken {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("StaticToken")
            .field("user", &self.user)
            .field("uid", &self.uid)
            .field("groups", &self.groups)
            .finish_non_exhaustive()
    }
}

/// What the API server can be told. [`ApiServerConfig::default`] has the values that `coracle up` uses.
#[derive(Debug, Clone)]
pub struct ApiServerConfig {
    /// Bearer tokens that are accepted as they stand.
    pub tokens: Vec<StaticToken>,
    /// Admission plugins that run besides those that do by default, by upstream's names.
    pub enabled_admission_plugins: BTreeSet<String>,
    /// Admission plugins that do not run, by upstream's names.
    pub disabled_admission_plugins: BTreeSet<String>,
    /// Group versions that are served besides those that are by default: `admissionregistration.k8s.io/v1beta1`.
    pub runtime_config: BTreeSet<String>,
    /// The `iss` claim of service account tokens.
    pub service_account_issuer: String,
    /// The longest time that a token of a service account may be asked for; a longer one is shortened.
    pub service_account_max_token_expiration: Option<Duration>,
    /// The key that signs the tokens of service accounts. Without one there are no such tokens.
    pub service_account_key: Option<ServiceAccountKey>,
    /// The audiences that this server is; a token that names none of them is for somebody else. Empty means the issuer.
    pub api_audiences: Vec<String>,
    /// Whether Secrets of the type `bootstrap.kubernetes.io/token` in `kube-system` are tokens.
    pub bootstrap_tokens: bool,
    /// A foreign issuer whose tokens are believed; nobody without it.
    pub oidc: Option<OidcConfig>,
    /// By what servers that the API is extended by believe this one. Without it they get no client certificate.
    pub front_proxy: Option<FrontProxy>,
    /// Who is told what of every request; nobody without it.
    pub audit: Option<Audit>,
    /// The authority whose client certificates are believed, PEM: told to servers that the API is extended by.
    pub client_ca_pem: Option<String>,
    /// `HOST:PORT` under which clients reach the server: told in `/api`, and the endpoint of the service
    /// `default/kubernetes`.
    pub advertised_address: String,
    /// The largest request body, in bytes; a larger one is answered with 413.
    pub body_bytes_max: usize,
    /// The most connections that are served at once; further ones wait in the listener's queue.
    pub connections_max: usize,
    /// The requests that are worked on at once, all priority levels together; one waits for its turn no longer
    /// than a quarter of the request timeout.
    pub requests_max: usize,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// How long the headers of an HTTP/1.1 request may take.
    pub header_timeout: Duration,
    /// How long a request other than a watch, a log or a proxied one may take.
    pub request_timeout: Duration,
    /// How long a list or watch at a future resource version waits for the store to get there.
    pub revision_wait: Duration,
    /// The shortest time after which a watch without `timeoutSeconds` ends; the longest is twice that.
    pub watch_timeout_min: Duration,
    /// The time between two bookmarks of a watch.
    pub bookmark_interval: Duration,
    /// An answer of at least this many bytes is compressed where the client accepts it.
    pub gzip_bytes_min: usize,
    /// How long open requests may go on after a shutdown began.
    pub drain_timeout: Duration,
}

impl Default for ApiServerConfig {
    fn default() -> Self {
        Self {
            tokens: Vec::new(),
            enabled_admission_plugins: BTreeSet::new(),
            disabled_admission_plugins: BTreeSet::new(),
            runtime_config: BTreeSet::new(),
            service_account_issuer: "https://kubernetes.default.svc.cluster.local".to_owned(),
            service_account_max_token_expiration: None,
            service_account_key: None,
            front_proxy: None,
            audit: None,
            client_ca_pem: None,
            api_audiences: Vec::new(),
            bootstrap_tokens: true,
            oidc: None,
            advertised_address: "127.0.0.1:6443".to_owned(),
            body_bytes_max: 3 * 1024 * 1024,
            connections_max: 4096,
            requests_max: 600,
            handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(60),
            revision_wait: Duration::from_secs(3),
            watch_timeout_min: Duration::from_secs(1800),
            bookmark_interval: Duration::from_secs(60),
            gzip_bytes_min: 128 * 1024,
            drain_timeout: Duration::from_secs(10),
        }
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ApiServerConfigError {
    /// A plugin that upstream does not have.
    #[error("{flag} plugin {name:?} is unknown")]
    UnknownAdmissionPlugin {
        /// The option, without its dashes.
        flag: &'static str,
        /// The name that was given.
        name: String,
    },
    /// A plugin that only upstream has.
    #[error("enable-admission-plugins plugin {0:?} is not built")]
    AdmissionPluginNotBuilt(String),
    /// Plugins that shall run and not run.
    #[error("[{0}] in enable-admission-plugins and disable-admission-plugins overlapped")]
    AdmissionPluginsOverlap(String),
    /// A token that no client could send.
    #[error("the token of user `{0}` is empty")]
    EmptyToken(String),
    /// A group version that cannot be switched on.
    #[error("group version `{0}` cannot be switched on")]
    UnknownGroupVersion(String),
    /// No issuer of service account tokens.
    #[error("service-account-issuer should not be an empty string")]
    NoIssuer,
    /// Something with a colon that is no URL.
    #[error("service-account-issuer {0:?} contained a ':' but was not a valid URL")]
    Issuer(String),
    /// A lifetime of tokens that is too short or too long.
    #[error("the service-account-max-token-expiration must be between 1 hour and 2^32 seconds")]
    MaxTokenExpiration,
    /// A foreign issuer that cannot be used.
    #[error(transparent)]
    Oidc(#[from] OidcConfigError),
    /// A bound of zero.
    #[error("`{0}` must be greater than 0")]
    Zero(&'static str),
}

/// Between these lies what tokens of service accounts may be limited to, as upstream.
const TOKEN_EXPIRATION_MIN: Duration = Duration::from_secs(3600);
const TOKEN_EXPIRATION_MAX: Duration = Duration::from_secs(1 << 32);
/// The group version of mutating admission policies.
const MUTATING_POLICIES: &str = "admissionregistration.k8s.io/v1beta1";

impl ApiServerConfig {
    /// The kinds that are served only where they are switched on.
    pub(crate) fn optional_kinds(&self) -> Vec<Kind> {
        if self.runtime_config.contains(MUTATING_POLICIES) { beta_kinds() } else { Vec::new() }
    }

    /// The audiences that this server is.
    pub(crate) fn audiences(&self) -> Vec<String> {
        if self.api_audiences.is_empty() {
            return vec![self.service_account_issuer.clone()];
        }
        self.api_audiences.clone()
    }

    /// Checks what can be checked before anything binds.
    ///
    /// # Errors
    /// Names the first value that cannot be used.
    pub fn validate(&self) -> Result<(), ApiServerConfigError> {
        self.validate_plugins()?;
        if let Some(version) = self.runtime_config.iter().find(|version| *version != MUTATING_POLICIES) {
            return Err(ApiServerConfigError::UnknownGroupVersion(version.clone()));
        }
        if let Some(token) = self.tokens.iter().find(|token| token.token.is_empty()) {
            return Err(ApiServerConfigError::EmptyToken(token.user.clone()));
        }
        self.validate_tokens()?;
        if let Some(oidc) = &self.oidc {
            oidc.validate(&self.service_account_issuer)?;
        }
        let bounds = [
            ("body_bytes_max", self.body_bytes_max),
            ("connections_max", self.connections_max),
            ("requests_max", self.requests_max),
        ];
        for (name, value) in bounds {
            if value == 0 {
                return Err(ApiServerConfigError::Zero(name));
            }
        }
        Ok(())
    }
}

impl ApiServerConfig {
    fn validate_tokens(&self) -> Result<(), ApiServerConfigError> {
        let issuer = &self.service_account_issuer;
        if issuer.is_empty() {
            return Err(ApiServerConfigError::NoIssuer);
        }
        if issuer.contains(':') && issuer.parse::<http::Uri>().is_err() {
            return Err(ApiServerConfigError::Issuer(issuer.clone()));
        }
        let allowed = TOKEN_EXPIRATION_MIN..=TOKEN_EXPIRATION_MAX;
        if self.service_account_max_token_expiration.is_some_and(|longest| !allowed.contains(&longest)) {
            return Err(ApiServerConfigError::MaxTokenExpiration);
        }
        Ok(())
    }

    fn validate_plugins(&self) -> Result<(), ApiServerConfigError> {
        let (enabled, disabled) = (&self.enabled_admission_plugins, &self.disabled_admission_plugins);
        for (flag, names) in [("enable-admission-plugins", enabled), ("disable-admission-plugins", disabled)] {
            if let Some(name) = names.iter().find(|name| PLUGINS.iter().all(|plugin| plugin.name != name.as_str())) {
                return Err(ApiServerConfigError::UnknownAdmissionPlugin { flag, name: name.clone() });
            }
        }
        if let Some(name) = enabled.iter().find(|name| NOT_BUILT.contains(&name.as_str())) {
            return Err(ApiServerConfigError::AdmissionPluginNotBuilt(name.clone()));
        }
        let both: Vec<&str> = enabled.intersection(disabled).map(String::as_str).collect();
        if !both.is_empty() {
            return Err(ApiServerConfigError::AdmissionPluginsOverlap(both.join(" ")));
        }
        Ok(())
    }
}

/// Why a token file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ParseTokensError {
    /// Fewer than three columns.
    #[error("line {line} of the token file has {columns} columns; token, user and uid are required")]
    Columns {
        /// Counted from 1.
        line: usize,
        /// How many columns the line has.
        columns: usize,
    },
    /// An empty token.
    #[error("line {line} of the token file has an empty token")]
    EmptyToken {
        /// Counted from 1.
        line: usize,
    },
    /// A quote that is never closed.
    #[error("line {line} of the token file has a quote that is not closed")]
    Quote {
        /// Counted from 1.
        line: usize,
    },
}

impl StaticToken {
    /// Reads a token file: CSV with the columns token, user, uid and, optionally, the groups in one quoted column.
    ///
    /// # Errors
    /// Names the first line that cannot be read.
    pub fn parse_file(text: &str) -> Result<Vec<Self>, ParseTokensError> {
        let mut tokens = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line_number = index + 1;
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let columns = split_csv(line).ok_or(ParseTokensError::Quote { line: line_number })?;
            if columns.len() < 3 {
                return Err(ParseTokensError::Columns { line: line_number, columns: columns.len() });
            }
            if columns[0].is_empty() {
                return Err(ParseTokensError::EmptyToken { line: line_number });
            }
            let groups = columns.get(3).map(String::as_str).unwrap_or_default();
            let groups = groups.split(',').map(str::trim).filter(|group| !group.is_empty()).map(str::to_owned);
            tokens.push(Self {
                token: columns[0].clone(),
                user: columns[1].clone(),
                uid: columns[2].clone(),
                groups: groups.collect(),
            });
        }
        Ok(tokens)
    }
}

/// The columns of one CSV line; `None` when a quote is not closed. Blanks before a column do not count.
fn split_csv(line: &str) -> Option<Vec<String>> {
    let mut columns = Vec::new();
    let mut characters = line.trim_end().chars().peekable();
    loop {
        while characters.peek() == Some(&' ') {
            characters.next();
        }
        let mut column = String::new();
        if characters.peek() == Some(&'"') {
            characters.next();
            loop {
                match characters.next()? {
                    '"' if characters.peek() == Some(&'"') => {
                        characters.next();
                        column.push('"');
                    }
                    '"' => break,
                    other => column.push(other),
                }
            }
        }
        loop {
            match characters.next() {
                None => {
                    columns.push(column);
                    return Some(columns);
                }
                Some(',') => break,
                Some(other) => column.push(other),
            }
        }
        columns.push(column);
    }
}

#[cfg(test)]
mod tests;
