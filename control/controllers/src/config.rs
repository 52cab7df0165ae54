//! What an operator may set, with every default in one place.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What [`SecretTokenSigner`] calls.
type Sign = dyn Fn(&str, &str, &str, &str) -> Option<String> + Send + Sync;

/// Makes the token of a service account for a Secret to hold. Clones are the same signer.
#[derive(Clone)]
pub struct SecretTokenSigner(Arc<Sign>);

impl SecretTokenSigner {
    /// `sign` is given the namespace, the name and the uid of the account, and the name of the Secret; it has no token
    /// when the machine cannot make one now.
    pub fn new(sign: impl Fn(&str, &str, &str, &str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(sign))
    }

    pub(crate) fn sign(&self, namespace: &str, account: &str, account_uid: &str, secret: &str) -> Option<String> {
        (self.0)(namespace, account, account_uid, secret)
    }
}

impl fmt::Debug for SecretTokenSigner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SecretTokenSigner").finish_non_exhaustive()
    }
}

/// How the controllers behave. The defaults are upstream's unless a field says otherwise.
#[derive(Clone, Debug)]
pub struct ControllersConfig {
    /// The cluster's certificate authority, in PEM: the content of `ca.crt` in every `kube-root-ca.crt` ConfigMap.
    pub ca_pem: String,
    /// Signs the tokens that Secrets of service accounts hold. Without it they stay empty.
    pub secret_token_signer: Option<SecretTokenSigner>,
    /// A node whose Lease was not renewed for this long is unreachable. Default: 40 seconds.
    pub node_monitor_grace_period: Duration,
    /// A pod bound to a node that does not exist is deleted after this long. Default: 40 seconds.
    pub missing_node_quarantine: Duration,
    /// An Event that was not written for this long is deleted. Default: 1 hour.
    pub event_time_to_live: Duration,
    /// Pods that ended (Succeeded or Failed) are kept up to this number; the oldest are deleted first. Default: 12,500.
    pub terminated_pods_max: usize,
    /// Objects that one controller works on at the same time. Default: 16.
    pub concurrency_max: usize,
    /// How long one API request may take before it counts as failed. Default: 30 seconds.
    pub request_timeout: Duration,
    /// How long [`Controllers::stop`](crate::Controllers::stop) waits for requests in flight. Default: 5 seconds.
    pub stop_timeout: Duration,
}

impl ControllersConfig {
    /// The defaults, for the cluster whose certificate authority is `ca_pem`.
    #[must_use]
    pub fn new(ca_pem: impl Into<String>) -> Self {
        Self {
            ca_pem: ca_pem.into(),
            secret_token_signer: None,
            node_monitor_grace_period: Duration::from_secs(40),
            missing_node_quarantine: Duration::from_secs(40),
            event_time_to_live: Duration::from_secs(3600),
            terminated_pods_max: 12_500,
            concurrency_max: 16,
            request_timeout: Duration::from_secs(30),
            stop_timeout: Duration::from_secs(5),
        }
    }
}
