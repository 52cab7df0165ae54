//! The objects that every cluster has from its first start.

pub(crate) mod roles;

use std::sync::Arc;

use bytes::Bytes;
use coracle_control_api::kinds::{self, api_service, flow_control, priority_class};
use coracle_control_api::meta;
use coracle_control_store::{Condition, Operation, Transaction, TransactionOutcome};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::server::{BootstrapError, Shared};
use crate::stored;
use crate::{aggregation, pipeline};

const NAMESPACES: &[&str] = &["default", "kube-system", "kube-public", "kube-node-lease"];
/// What the system's priority classes are for.
const PRIORITIES: [&str; 2] = [
    "Used for system critical pods that must not be moved from their current node.",
    "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
];
/// Others may write at the same time, when several servers start.
const ATTEMPTS_MAX: usize = 16;

/// Makes what is missing, in one transaction.
pub(crate) async fn bootstrap(shared: &Arc<Shared>, now: Timestamp) -> Result<(), BootstrapError> {
    for _ in 0..ATTEMPTS_MAX {
        let snapshot = shared.store.snapshot();
        let missing: Vec<(Bytes, Bytes)> =
            objects(now).into_iter().filter(|(key, _)| snapshot.get(key).is_none()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let conditions =
            missing.iter().map(|(key, _)| Condition::ModRevision { key: key.clone(), revision: 0 }).collect();
        let operations = missing.into_iter().map(|(key, value)| Operation::Put { key, value }).collect();
        let transaction = Transaction { conditions, operations };
        match shared.store.transact(transaction).await.map_err(BootstrapError::Write)? {
            TransactionOutcome::Applied { .. } => return Ok(()),
            TransactionOutcome::Conflict { .. } => {}
        }
    }
    Err(BootstrapError::Contended)
}

fn objects(now: Timestamp) -> Vec<(Bytes, Bytes)> {
    let mut objects = Vec::new();
    for namespace in NAMESPACES {
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        objects.extend(make("", "namespaces", &body, now));
        let body = json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": "default", "namespace": namespace},
        });
        objects.extend(make("", "serviceaccounts", &body, now));
    }
    let rbac = "rbac.authorization.k8s.io";
    for role in roles::cluster_roles() {
        objects.extend(make(rbac, "clusterroles", &role, now));
    }
    for binding in roles::cluster_role_bindings() {
        objects.extend(make(rbac, "clusterrolebindings", &binding, now));
    }
    for ((name, value), what) in priority_class::SYSTEM.iter().zip(PRIORITIES) {
        let body = json!({
            "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name}, "value": value,
            "description": what,
        });
        objects.extend(make("scheduling.k8s.io", "priorityclasses", &body, now));
    }
    for service in aggregation::built_in_services() {
        objects.extend(make(api_service::GROUP, api_service::PLURAL, &service, now));
    }
    let flow = "flowcontrol.apiserver.k8s.io";
    for level in flow_control::bootstrap::levels() {
        objects.extend(make(flow, "prioritylevelconfigurations", &level, now));
    }
    for schema in flow_control::bootstrap::schemas() {
        objects.extend(make(flow, "flowschemas", &schema, now));
    }
    objects
}

/// An object as a create of it would store it.
pub(crate) fn make(group: &str, plural: &str, body: &Value, now: Timestamp) -> Option<(Bytes, Bytes)> {
    let kind = kinds::find(group, "v1", plural)?;
    let mut object = pipeline::canonical(kind, body)?;
    meta::set_creation_timestamp(&mut object, now);
    meta::set_uid(&mut object, &uuid::Uuid::new_v4().to_string());
    kind.prepare_create(&mut object);
    let key = kind.storage_key(meta::namespace(&object), meta::name(&object));
    Some((Bytes::from(key), stored::encode(&object)))
}
