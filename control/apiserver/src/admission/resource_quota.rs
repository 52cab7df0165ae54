//! ResourceQuota: what the objects of a namespace use together stays within its quotas.
//!
//! Upstream charges a quota before the object is written, and a controller corrects what was charged in vain. Here the
//! charge is part of the transaction that writes the object, under the condition that the quota is still as it was when
//! the charge was planned: so concurrent writes can never exceed it, and none is charged for nothing. Since all writes
//! of a namespace then want to change the same quota, those of one server take turns.

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use bytes::Bytes;
use coracle_control_api::quota::{Charge, Counted};
use coracle_control_store::{Condition, Operation};
use serde_json::{Map, Value};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::{Action, Asking, Effects, Request};
use crate::stored;

/// Namespaces that share a turn wait for each other without need, which only costs time.
const TURNS: usize = 64;

/// Whose turn it is to charge the quotas of a namespace.
#[derive(Debug)]
pub(crate) struct Turns(Vec<Arc<Mutex<()>>>);

impl Default for Turns {
    fn default() -> Self {
        Self((0..TURNS).map(|_| Arc::default()).collect())
    }
}

impl Turns {
    async fn take(&self, namespace: &str) -> Option<OwnedMutexGuard<()>> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(namespace);
        let index = usize::try_from(hash % TURNS as u64).unwrap_or(0);
        match self.0.get(index) {
            Some(turn) => Some(Arc::clone(turn).lock_owned().await),
            None => None,
        }
    }
}

/// Whether this write can change what is used: objects come, services and claims change, pods are resized.
fn concerns(request: &Request<'_>) -> bool {
    match request.action {
        Action::Delete | Action::Connect => false,
        Action::Create => request.subresource.is_empty(),
        Action::Update if request.is("", "pods") => request.subresource == "resize",
        Action::Update if request.is("", "persistentvolumeclaims") => matches!(request.subresource, "" | "status"),
        Action::Update => request.is_core("services"),
    }
}

pub(super) fn validate<'a>(
    request: &'a Request<'a>,
    object: Option<&'a Value>,
    effects: &'a mut Effects,
) -> Asking<'a> {
    Box::pin(async move {
        let namespace = request.call.namespace();
        let counted = Counted { group: &request.call.kind.group, plural: &request.call.kind.plural };
        let prefix = format!("/registry/core/resourcequotas/{namespace}/");
        let Some(object) = object.filter(|_| !namespace.is_empty() && counted.is_counted() && concerns(request)) else {
            return Ok(());
        };
        if request.snapshot.prefix(prefix.as_bytes()).next().is_none() {
            return Ok(());
        }
        let shared = &request.call.shared;
        let turn = shared.admission.turns.take(namespace).await;
        let charge = Charge { counted, new: object, old: request.old, now: request.call.now };
        // What others did while this one waited for its turn counts.
        for entry in shared.store.snapshot().prefix(prefix.as_bytes()) {
            let mut quota: Value = serde_json::from_slice(&entry.value).unwrap_or_default();
            let planned = charge.plan(&quota).map_err(|refusal| request.forbid(&refusal))?;
            let Some(used) = planned.filter(|_| !request.dry_run) else { continue };
            set_used(&mut quota, used);
            effects.conditions.push(Condition::ModRevision { key: entry.key.clone(), revision: entry.mod_revision });
            effects.operations.push(Operation::Put { key: Bytes::clone(&entry.key), value: stored::encode(&quota) });
        }
        if !effects.operations.is_empty() {
            effects.turn = turn;
        }
        Ok(())
    })
}

fn set_used(quota: &mut Value, used: Map<String, Value>) {
    let status = quota.as_object_mut().map(|quota| quota.entry("status").or_insert_with(|| Value::Object(Map::new())));
    if let Some(status) = status.and_then(Value::as_object_mut) {
        status.insert("used".to_owned(), Value::Object(used));
    }
}
