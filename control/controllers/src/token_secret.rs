//! Secrets that hold the token of a service account, as everyone had them before tokens were requested and expired: a
//! Secret of that type which names its account is given a token, the cluster's certificate and its namespace, and goes
//! with the account.

use std::sync::Arc;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::Api;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Context;
use crate::meta::{Meta, ObjectKey};
use crate::observed::{ACCOUNT_UID, TokenSecret};
use crate::queue::{Next, Queue};
use crate::requests::{Deletion, RequestError};
use crate::worker::{self, Reconcile};

#[derive(Debug, PartialEq, Eq)]
enum Action {
    Nothing,
    /// Its account is gone, or another of that name.
    Delete,
    /// Give it what it lacks.
    Fill {
        token: bool,
    },
}

/// What to do about a Secret, given the account that it names.
fn plan(secret: &TokenSecret, account: Option<&Meta>, ca_pem: &str) -> Action {
    if secret.meta.deleting || secret.account.is_empty() {
        return Action::Nothing;
    }
    let Some(account) =
        account.filter(|account| matches!(&*secret.account_uid, uid if uid.is_empty() || *uid == *account.uid))
    else {
        return Action::Delete;
    };
    let complete = *secret.ca == *ca_pem.as_bytes()
        && *secret.namespace == *secret.meta.key.namespace.as_bytes()
        && secret.account_uid == account.uid;
    if complete && secret.has_token { Action::Nothing } else { Action::Fill { token: !secret.has_token } }
}

pub(crate) fn start(context: &Context, tasks: &mut JoinSet<()>, stopped: &watch::Receiver<bool>) {
    let queue = Arc::new(Queue::default());
    let marked = queue.clone();
    context.observed.token_secrets.subscribe(move |change| {
        if let Some(secret) = change.new {
            marked.add(secret.meta.key.clone());
        }
    });
    let (marked, secrets) = (queue.clone(), context.observed.token_secrets.clone());
    context.observed.service_accounts.subscribe(move |change| {
        let Some(account) = change.latest() else { return };
        if change.old.is_some() && change.new.is_some() && change.gone().is_none() {
            return;
        }
        let of = |secret: &TokenSecret| {
            secret.meta.key.namespace == account.key.namespace && secret.account == account.key.name
        };
        for secret in secrets.filter(of) {
            marked.add(secret.meta.key.clone());
        }
    });
    worker::start(Controller { context: context.clone() }, queue, context, tasks, stopped);
}

struct Controller {
    context: Context,
}

impl Controller {
    /// Whether the account is there although it has not been seen yet; then its own event brings us back.
    async fn is_there(&self, secret: &TokenSecret) -> Result<bool, RequestError> {
        let requests = &self.context.requests;
        let accounts: Api<ServiceAccount> = Api::namespaced(requests.client(), &secret.meta.key.namespace);
        let account = requests.bounded(accounts.get_metadata_opt(&secret.account)).await?;
        let uid = account.and_then(|account| account.metadata.uid);
        Ok(uid.is_some_and(|uid| secret.account_uid.is_empty() || *uid == *secret.account_uid))
    }

    async fn fill(
        &self,
        secrets: &Api<Secret>,
        secret: &TokenSecret,
        uid: &str,
        token: bool,
    ) -> Result<(), RequestError> {
        let config = &self.context.config;
        let Some(signer) = &config.secret_token_signer else { return Ok(()) };
        let key = &secret.meta.key;
        let bytes = |text: &str| ByteString(text.as_bytes().to_vec());
        let mut data = json!({ "ca.crt": bytes(&config.ca_pem), "namespace": bytes(&key.namespace) });
        if token {
            // Without a token the Secret is looked at again at its next change.
            let Some(token) = signer.sign(&key.namespace, &secret.account, uid, &key.name) else { return Ok(()) };
            data["token"] = json!(bytes(&token));
        }
        let patch =
            json!({ "metadata": { "uid": &*secret.meta.uid, "annotations": { ACCOUNT_UID: uid } }, "data": data });
        match self.context.requests.patch(secrets, &key.name, patch).await {
            // Another of that name; its own event comes.
            Err(error) if error.is_conflict() => Ok(()),
            other => other,
        }
    }
}

impl Reconcile for Controller {
    type Key = ObjectKey;
    const NAME: &'static str = "service account token";

    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, RequestError> {
        let Context { config, observed, requests, .. } = &self.context;
        let Some(secret) = observed.token_secrets.get(key) else { return Ok(Next::Wait) };
        let secrets: Api<Secret> = Api::namespaced(requests.client(), &key.namespace);
        let account = observed.service_accounts.get(&ObjectKey::new(&key.namespace, &secret.account));
        match plan(&secret, account.as_deref(), &config.ca_pem) {
            Action::Nothing => {}
            Action::Delete => {
                if !self.is_there(&secret).await? {
                    requests.delete(&secrets, &secret.meta, Deletion::default()).await?;
                }
            }
            Action::Fill { token } => {
                let uid = account.map(|account| account.uid.clone()).unwrap_or_default();
                self.fill(&secrets, &secret, &uid, token).await?;
            }
        }
        Ok(Next::Wait)
    }
}

#[cfg(test)]
mod tests;
