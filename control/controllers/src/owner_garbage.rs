//! Deletes objects whose owners are gone, and carries out how an owner's deletion is to treat its dependents.
//!
//! Background: the owner goes at once, its dependents follow. Foreground: the owner waits, with a finalizer, until the dependents that
//! block it are gone. Orphan: the owner waits until no dependent names it any more. The graph of who owns whom is kept from the
//! shared watches of every built-in kind and from one watch per custom kind; that an owner is absent from it is never enough to delete
//! anything: the API server is asked first. Only of an owner whose kind is no longer served it counts that it was seen to go.

mod custom;
mod graph;
mod plan;
mod source;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::PropagationPolicy;
use kube::core::{DynamicObject, GroupVersionKind};
use kube::discovery::{ApiResource, Scope};
use kube::{Api, discovery};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Context;
use crate::informer::{Cache, Kept};
use crate::kind::Kind;
use crate::meta::Meta;
use crate::observed::Visit;
use crate::queue::{Next, Queue};
use crate::requests::{Deletion, RequestError, without_finalizer};
use crate::worker::{self, Reconcile};
use custom::CustomKinds;
use graph::{Graph, Uid};
use plan::{Action, OwnerState, plan};
use source::Source;

pub(crate) fn start(context: &Context, tasks: &mut JoinSet<()>, stopped: &watch::Receiver<bool>) {
    let queue = Arc::new(Queue::default());
    let graph = Arc::new(Mutex::new(Graph::default()));
    let mut follow = Follow { graph: graph.clone(), queue: queue.clone() };
    context.observed.visit(&mut follow);
    let custom = CustomKinds::start(context, follow, stopped);
    worker::start(Controller { context: context.clone(), graph, custom }, queue, context, tasks, stopped);
}

struct Follow {
    graph: Arc<Mutex<Graph>>,
    queue: Arc<Queue<Uid>>,
}

impl Follow {
    /// Takes every change of a kind's objects into the graph.
    fn subscribe<V: Kept>(&self, source: &Source, cache: &Arc<Cache<V>>) {
        let (graph, queue, source) = (self.graph.clone(), self.queue.clone(), source.clone());
        cache.subscribe(move |change| {
            let mut graph = graph.lock().unwrap_or_else(PoisonError::into_inner);
            let mut touched = Vec::new();
            if let Some(gone) = change.gone() {
                touched.extend(graph.remove(&gone.meta().uid));
            }
            if let Some(new) = change.new {
                touched.extend(graph.set(&source, new.meta()));
            }
            drop(graph);
            touched.into_iter().for_each(|uid| queue.add(uid));
        });
    }

    /// Takes in that an object went of which no watch tells any more.
    fn gone(&self, meta: &Meta) {
        let touched = self.graph.lock().unwrap_or_else(PoisonError::into_inner).remove(&meta.uid);
        touched.into_iter().for_each(|uid| self.queue.add(uid));
    }
}

impl Visit for Follow {
    fn visit<V: Kept>(&mut self, kind: Kind, cache: &Arc<Cache<V>>) {
        // Events own nothing and are owned by nobody, and there are many.
        if kind.path() != ("", "events") {
            self.subscribe(&Source::new(kind.resource()), cache);
        }
    }
}

struct Controller {
    context: Context,
    graph: Arc<Mutex<Graph>>,
    custom: Arc<CustomKinds>,
}

impl Controller {
    fn graph(&self) -> MutexGuard<'_, Graph> {
        self.graph.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of each owner: from the graph, or, when it is not there, from the API server.
    async fn owner_states(&self, meta: &Meta) -> Result<Vec<OwnerState>, RequestError> {
        let mut states = Vec::with_capacity(meta.owners.len());
        for owner in &meta.owners {
            let known = self.graph().owner_state(&owner.uid);
            states.push(match known {
                Some(state) => state,
                None => self.look_up(meta, owner).await?,
            });
        }
        Ok(states)
    }

    async fn look_up(&self, dependent: &Meta, owner: &OwnerReference) -> Result<OwnerState, RequestError> {
        let requests = &self.context.requests;
        let Some((resource, scope)) = self.resource_of(owner).await? else {
            let gone = self.graph().was_seen_to_go(&owner.uid);
            return Ok(if gone { OwnerState::Absent } else { OwnerState::Unknown });
        };
        let owners: Api<DynamicObject> = match scope {
            Scope::Cluster => Api::all_with(requests.client(), &resource),
            // An owner in a namespace owns within its namespace only.
            Scope::Namespaced if dependent.key.namespace.is_empty() => return Ok(OwnerState::Unknown),
            Scope::Namespaced => Api::namespaced_with(requests.client(), &dependent.key.namespace, &resource),
        };
        let found = requests.bounded(owners.get_metadata_opt(&owner.name)).await?;
        Ok(match found {
            Some(found) if found.metadata.uid.as_ref() == Some(&owner.uid) => OwnerState::Present,
            _ => OwnerState::Absent,
        })
    }

    async fn resource_of(&self, owner: &OwnerReference) -> Result<Option<(ApiResource, Scope)>, RequestError> {
        let (group, version) = owner.api_version.split_once('/').unwrap_or(("", &owner.api_version));
        if let Some(kind) = Kind::find(group, version, &owner.kind) {
            return Ok(Some((kind.resource(), if kind.is_namespaced() { Scope::Namespaced } else { Scope::Cluster })));
        }
        let wanted = GroupVersionKind::gvk(group, version, &owner.kind);
        let client = self.context.requests.client();
        let found = match self.context.requests.bounded(discovery::pinned_kind(&client, &wanted)).await {
            Ok((resource, capabilities)) => Some((resource, capabilities.scope)),
            Err(error) if error.is_not_found() || error.is_discovery_miss() => None,
            Err(error) => return Err(error),
        };
        Ok(found)
    }

    async fn carry_out(&self, source: &Source, meta: &Meta, action: Action) -> Result<(), RequestError> {
        let requests = &self.context.requests;
        let objects: Api<DynamicObject> = match &*meta.key.namespace {
            "" => Api::all_with(requests.client(), &source.resource()),
            namespace => Api::namespaced_with(requests.client(), namespace, &source.resource()),
        };
        match action {
            Action::Nothing => Ok(()),
            Action::Delete(propagation) => {
                requests
                    .delete(&objects, meta, Deletion { propagation: Some(propagation), grace_period_seconds: None })
                    .await
            }
            Action::KeepOwners(kept) => requests.rewrite(&objects, meta, |_| json!({"ownerReferences": kept})).await,
            Action::DeleteDependents(dependents) => {
                for (source, dependent) in dependents {
                    // Who has dependents waits for them in turn, so that the first owner goes last of all.
                    let leaf = self.graph().dependents(&dependent.uid).is_empty();
                    let how = if leaf { PropagationPolicy::Background } else { PropagationPolicy::Foreground };
                    Box::pin(self.carry_out(&source, &dependent, Action::Delete(how))).await?;
                }
                Ok(())
            }
            Action::ReleaseDependents(dependents) => {
                for (source, dependent) in dependents {
                    let kept = dependent.owners.iter().filter(|owner| *owner.uid != *meta.uid).cloned().collect();
                    Box::pin(self.carry_out(&source, &dependent, Action::KeepOwners(kept))).await?;
                }
                Ok(())
            }
            Action::RemoveFinalizer(finalizer) => requests.rewrite(&objects, meta, without_finalizer(finalizer)).await,
        }
    }
}

impl Reconcile for Controller {
    type Key = Uid;
    const NAME: &'static str = "owner garbage";

    async fn reconcile(&self, uid: &Uid) -> Result<Next, RequestError> {
        let Some((source, meta)) = self.graph().object(uid) else { return Ok(Next::Wait) };
        if meta.deleting {
            // Its dependents may be of a kind of which nothing was shown yet.
            self.custom.wait_until_synced().await;
        }
        let owners = if meta.deleting { Vec::new() } else { self.owner_states(&meta).await? };
        let dependents = self.graph().dependents(uid);
        let action = plan(&meta, &owners, dependents);
        self.carry_out(&source, &meta, action).await?;
        Ok(Next::Wait)
    }
}
