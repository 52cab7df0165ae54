//! The objects that every cluster has: made at the first start, and put right again at every later one.

mod address;
mod flow_control;
pub(crate) mod roles;
mod system_roles;

use std::sync::Arc;

use bytes::Bytes;
use coracle_control_api::kind::Kind;
use coracle_control_api::kinds::{self, api_service, priority_class};
use coracle_control_api::meta;
use coracle_control_store::{Condition, Operation, Snapshot, Transaction, TransactionOutcome};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::call::decode;
use crate::claims::Claims;
use crate::config::ApiServerConfig;
use crate::server::{BootstrapError, Shared};
use crate::stored;
use crate::{aggregation, pipeline};

const NAMESPACES: &[&str] = &["default", "kube-system", "kube-public", "kube-node-lease"];
/// What the system's priority classes are for.
const PRIORITIES: [&str; 2] = [
    "Used for system critical pods that must not be moved from their current node.",
    "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
];
/// Where servers that the API is extended by find out whose clients to believe.
const EXTENSION_AUTHENTICATION: &str = "extension-apiserver-authentication";
/// Others may write at the same time, when several servers start.
const ATTEMPTS_MAX: usize = 16;

/// Makes what is missing and puts right what is not as it must be, in one transaction.
pub(crate) async fn bootstrap(shared: &Arc<Shared>, now: Timestamp) -> Result<(), BootstrapError> {
    for _ in 0..ATTEMPTS_MAX {
        let snapshot = shared.store.snapshot();
        let mut transaction = Transaction { conditions: Vec::new(), operations: Vec::new() };
        for wanted in objects(&shared.config) {
            wanted.plan(&snapshot, now, &mut transaction);
        }
        if transaction.operations.is_empty() {
            return Ok(());
        }
        match shared.store.transact(transaction).await.map_err(BootstrapError::Write)? {
            TransactionOutcome::Applied { .. } => return Ok(()),
            TransactionOutcome::Conflict { .. } => {}
        }
    }
    Err(BootstrapError::Contended)
}

/// What an object that is there has to become; `None` when it may stay as it is. The arguments are what is there and what
/// would be made.
type Repair = fn(&Value, &Value) -> Option<Value>;

/// An object that every cluster has.
struct Wanted {
    kind: &'static Arc<Kind>,
    /// As a client would send it.
    body: Value,
    repair: Repair,
}

impl Wanted {
    /// An object of version v1 of the group; `None` for a kind that is not in the table, which a test rules out.
    fn new(group: &str, plural: &str, body: Value, repair: Repair) -> Option<Self> {
        Some(Self { kind: kinds::find(group, "v1", plural)?, body, repair })
    }

    /// Adds what is to be done about the object.
    fn plan(&self, snapshot: &Snapshot, now: Timestamp, transaction: &mut Transaction) {
        let Some(made) = self.make(now) else { return };
        let key = Bytes::from(self.kind.storage_key(meta::namespace(&made), meta::name(&made)));
        let (object, revision, claims) = match snapshot.get(&key) {
            None => {
                let claims = Claims::between(self.kind, &made, None);
                (made, 0, claims)
            }
            Some(entry) => {
                let Ok(current) = decode(self.kind, &entry) else { return };
                let Some(object) = (self.repair)(&current, &made) else { return };
                (object, entry.mod_revision, Claims::default())
            }
        };
        if claims.conditions.iter().any(|condition| !holds(snapshot, condition)) {
            tracing::warn!(name = meta::name(&object), "an object of the system lacks what another one holds");
            return;
        }
        transaction.conditions.push(Condition::ModRevision { key: key.clone(), revision });
        transaction.operations.push(Operation::Put { key, value: stored::encode(&object) });
        transaction.conditions.extend(claims.conditions);
        transaction.operations.extend(claims.operations);
    }

    /// The object as a create of it would store it.
    fn make(&self, now: Timestamp) -> Option<Value> {
        let mut object = pipeline::canonical(self.kind, &self.body)?;
        meta::set_creation_timestamp(&mut object, now);
        meta::set_uid(&mut object, &uuid::Uuid::new_v4().to_string());
        self.kind.prepare_create(&mut object);
        if let Some(status) = self.body.get("status") {
            object["status"] = status.clone();
            let conditions = object.pointer_mut("/status/conditions").and_then(Value::as_array_mut);
            for condition in conditions.into_iter().flatten() {
                condition["lastTransitionTime"] = json!(meta::format_time(now));
            }
        }
        Some(object)
    }
}

fn holds(snapshot: &Snapshot, condition: &Condition) -> bool {
    let Condition::ModRevision { key, revision } = condition;
    snapshot.get(key).map_or(0, |entry| entry.mod_revision) == *revision
}

/// What is there stays.
fn keep(_: &Value, _: &Value) -> Option<Value> {
    None
}

/// Top-level fields of what is there become those that would be made, where they differ.
fn with_fields(current: &Value, made: &Value, fields: &[&str]) -> Option<Value> {
    let null = Value::Null;
    if fields.iter().all(|field| current.get(field).unwrap_or(&null) == made.get(field).unwrap_or(&null)) {
        return None;
    }
    let mut object = current.clone();
    for field in fields {
        object[*field] = made.get(field).cloned().unwrap_or_default();
    }
    Some(object)
}

fn objects(config: &ApiServerConfig) -> Vec<Wanted> {
    let mut objects = Vec::new();
    for namespace in NAMESPACES {
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        objects.extend(Wanted::new("", "namespaces", body, keep));
        let body = json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": "default", "namespace": namespace},
        });
        objects.extend(Wanted::new("", "serviceaccounts", body, keep));
    }
    objects.extend(roles());
    for ((name, value), what) in priority_class::SYSTEM.iter().zip(PRIORITIES) {
        let body = json!({
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": value,
            "description": what,
        });
        objects.extend(Wanted::new("scheduling.k8s.io", "priorityclasses", body, keep));
    }
    for service in aggregation::built_in_services() {
        objects.extend(Wanted::new(api_service::GROUP, api_service::PLURAL, service, keep));
    }
    objects.extend(flow_control::objects());
    if let Some(pem) = &config.client_ca_pem {
        let body = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": EXTENSION_AUTHENTICATION, "namespace": "kube-system"},
            "data": {"client-ca-file": pem},
        });
        objects.extend(Wanted::new("", "configmaps", body, |current, made| {
            let wanted = made.pointer("/data/client-ca-file")?;
            if current.pointer("/data/client-ca-file") == Some(wanted) {
                return None;
            }
            let mut object = current.clone();
            object["data"]["client-ca-file"] = wanted.clone();
            Some(object)
        }));
    }
    objects.extend(address::objects(&config.advertised_address));
    objects
}

/// An object as a create of it would store it, and its key.
pub(crate) fn make(group: &str, plural: &str, body: &Value, now: Timestamp) -> Option<(Bytes, Bytes)> {
    let wanted = Wanted::new(group, plural, body.clone(), keep)?;
    let object = wanted.make(now)?;
    let key = wanted.kind.storage_key(meta::namespace(&object), meta::name(&object));
    Some((Bytes::from(key), stored::encode(&object)))
}

fn roles() -> impl Iterator<Item = Wanted> {
    let group = "rbac.authorization.k8s.io";
    let of = move |plural: &'static str, bodies: Vec<Value>, repair: Repair| {
        bodies.into_iter().filter_map(move |body| Wanted::new(group, plural, body, repair))
    };
    let mut cluster_roles = roles::cluster_roles();
    cluster_roles.extend(system_roles::cluster_roles());
    let mut cluster_bindings = roles::cluster_role_bindings();
    cluster_bindings.extend(system_roles::cluster_role_bindings());
    of("clusterroles", cluster_roles, roles::repair_role)
        .chain(of("clusterrolebindings", cluster_bindings, roles::repair_binding))
        .chain(of("roles", system_roles::roles(), roles::repair_role))
        .chain(of("rolebindings", system_roles::role_bindings(), roles::repair_binding))
}

#[cfg(test)]
mod tests;
