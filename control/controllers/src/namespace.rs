//! A namespace that is deleted takes everything in it along, and goes when nothing is left.
//!
//! Pods go first, since the other objects may still serve them (upstream: `OrderedNamespaceDeletion`). What is in a namespace is asked
//! of the API server's discovery each time, so that kinds defined later are found as well.

mod content;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1 as api;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Context;
use crate::informer::{Cache, Kept};
use crate::kind::Kind;
use crate::meta::ObjectKey;
use crate::observed::{Namespace, Visit};
use crate::queue::{Next, Queue};
use crate::requests::RequestError;
use crate::worker::{self, Reconcile};
use content::{Content, Remaining};

/// How long to wait before content that went through no watch of ours is counted again.
const RECOUNT_PERIOD: Duration = Duration::from_secs(10);

/// What to do with a namespace whose content was just deleted.
#[derive(Debug, PartialEq)]
enum Action {
    /// Not ours to touch.
    Nothing,
    /// Nothing is left in it.
    Finalize,
    /// Say what is left and wait until it goes.
    Report(Vec<api::NamespaceCondition>),
}

fn plan(namespace: Option<&Namespace>, remaining: &Remaining, now: Timestamp) -> Action {
    match namespace {
        Some(namespace) if namespace.meta.deleting && namespace.ours_to_finalize => {}
        _ => return Action::Nothing,
    }
    if remaining.is_empty() {
        return Action::Finalize;
    }
    let condition = |kind: &str, status: bool, reason: &str, message: String| api::NamespaceCondition {
        type_: kind.to_owned(),
        status: if status { "True" } else { "False" }.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_transition_time: Some(Time(now)),
    };
    let failed = remaining.failure_messages();
    let failure = "NamespaceDeletionContentFailure";
    Action::Report(vec![
        if failed.is_empty() {
            let message = "All content successfully deleted, may be waiting on finalization";
            condition(failure, false, "ContentDeleted", message.to_owned())
        } else {
            condition(failure, true, "ContentDeletionFailed", failed)
        },
        match remaining.resource_message() {
            Some(message) => condition("NamespaceContentRemaining", true, "SomeResourcesRemain", message),
            None => {
                let message = "All content successfully removed".to_owned();
                condition("NamespaceContentRemaining", false, "ContentRemoved", message)
            }
        },
        match remaining.finalizer_message() {
            Some(message) => condition("NamespaceFinalizersRemaining", true, "SomeFinalizersRemain", message),
            None => {
                let message = "All content-preserving finalizers finished".to_owned();
                condition("NamespaceFinalizersRemaining", false, "ContentHasNoFinalizers", message)
            }
        },
    ])
}

pub(crate) fn start(context: &Context, tasks: &mut JoinSet<()>, stopped: &watch::Receiver<bool>) {
    let queue = Arc::new(Queue::default());
    let marked = queue.clone();
    context.observed.namespaces.subscribe(move |change| {
        if let Some(namespace) = change.new.filter(|namespace| namespace.meta.deleting) {
            marked.add(namespace.meta.key.name.clone());
        }
    });
    context.observed.visit(&mut Recount { namespaces: context.observed.namespaces.clone(), queue: queue.clone() });
    worker::start(Controller { context: context.clone() }, queue, context, tasks, stopped);
}

/// An object that goes may have been the last in its namespace.
struct Recount {
    namespaces: Arc<Cache<Namespace>>,
    queue: Arc<Queue<Arc<str>>>,
}

impl Visit for Recount {
    fn visit<V: Kept>(&mut self, kind: Kind, cache: &Arc<Cache<V>>) {
        if !kind.is_namespaced() {
            return;
        }
        let (namespaces, queue) = (self.namespaces.clone(), self.queue.clone());
        cache.subscribe(move |change| {
            let Some(gone) = change.gone() else { return };
            let namespace = &gone.meta().key.namespace;
            if namespaces.get(&ObjectKey::new("", namespace)).is_some_and(|namespace| namespace.meta.deleting) {
                queue.add(namespace.clone());
            }
        });
    }
}

struct Controller {
    context: Context,
}

impl Controller {
    async fn finalize(&self, name: &str) -> Result<Next, RequestError> {
        let requests = &self.context.requests;
        let namespaces: Api<api::Namespace> = Api::all(requests.client());
        let Some(mut namespace) = requests.bounded(namespaces.get_opt(name)).await? else { return Ok(Next::Wait) };
        if namespace.metadata.deletion_timestamp.is_none() {
            return Ok(Next::Wait);
        }
        if let Some(finalizers) = namespace.spec.as_mut().and_then(|spec| spec.finalizers.as_mut()) {
            finalizers.retain(|finalizer| finalizer != "kubernetes");
        }
        let parameters = PostParams::default();
        let finalized = namespaces.replace_subresource("finalize", name, &parameters, &namespace);
        match requests.bounded(finalized).await {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(Next::Wait),
        }
    }

    async fn report(&self, name: &str, conditions: &[api::NamespaceCondition]) -> Result<Next, RequestError> {
        let requests = &self.context.requests;
        let namespaces: Api<api::Namespace> = Api::all(requests.client());
        let known = match requests.bounded(namespaces.get_opt(name)).await? {
            Some(namespace) => namespace.status.and_then(|status| status.conditions).unwrap_or_default(),
            None => return Ok(Next::Wait),
        };
        let news: Vec<Value> =
            conditions.iter().filter(|condition| is_news(condition, &known)).map(|news| json!(news)).collect();
        if !news.is_empty() {
            requests.patch_status(&namespaces, name, json!({"status": {"conditions": news}})).await?;
        }
        Ok(Next::after(RECOUNT_PERIOD))
    }
}

fn is_news(condition: &api::NamespaceCondition, known: &[api::NamespaceCondition]) -> bool {
    let same = |other: &&api::NamespaceCondition| {
        other.type_ == condition.type_ && other.status == condition.status && other.message == condition.message
    };
    !known.iter().any(|other| same(&other))
}

impl Reconcile for Controller {
    type Key = Arc<str>;
    const NAME: &'static str = "namespace";

    async fn reconcile(&self, name: &Arc<str>) -> Result<Next, RequestError> {
        let namespace = self.context.observed.namespaces.get(&ObjectKey::new("", name));
        if plan(namespace.as_deref(), &Remaining::default(), Timestamp::now()) == Action::Nothing {
            return Ok(Next::Wait);
        }
        let remaining = Content::new(&self.context.requests, name).delete().await?;
        match plan(namespace.as_deref(), &remaining, Timestamp::now()) {
            Action::Nothing => Ok(Next::Wait),
            Action::Finalize => self.finalize(name).await,
            Action::Report(conditions) => self.report(name, &conditions).await,
        }
    }
}

#[cfg(test)]
mod tests;
