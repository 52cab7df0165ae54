//! The flow schemas and priority levels that every cluster has, and what is done to keep them.

use coracle_control_api::kinds::flow_control::bootstrap::{levels, schemas};
use coracle_control_api::meta;
use serde_json::{Value, json};

use super::{Repair, Wanted};

const GROUP: &str = "flowcontrol.apiserver.k8s.io";
/// Says that the server may bring the object up to date.
const AUTO_UPDATE: &str = "apf.kubernetes.io/autoupdate-spec";
/// So many levels and schemas, the first ones, are as they are shipped whatever anybody writes into them.
const MANDATORY: usize = 2;

pub(super) fn objects() -> Vec<Wanted> {
    let repair = |index: usize| -> Repair { if index < MANDATORY { restore } else { update } };
    let levels = levels().into_iter().enumerate();
    let levels =
        levels.filter_map(|(index, level)| Wanted::new(GROUP, "prioritylevelconfigurations", level, repair(index)));
    let schemas = schemas().into_iter().enumerate();
    let schemas =
        schemas.filter_map(|(index, schema)| Wanted::new(GROUP, "flowschemas", with_status(schema), repair(index)));
    levels.chain(schemas).collect()
}

/// The status of a schema whose level is there.
fn with_status(mut schema: Value) -> Value {
    let level = schema.pointer("/spec/priorityLevelConfiguration/name").and_then(Value::as_str).unwrap_or_default();
    let message =
        format!("This FlowSchema references the PriorityLevelConfiguration object named {level:?} and it exists");
    schema["status"] = json!({
        "conditions": [{"type": "Dangling", "status": "False", "reason": "Found", "message": message}],
    });
    schema
}

/// Brings the spec back to what is shipped.
fn restore(current: &Value, made: &Value) -> Option<Value> {
    if current.get("spec") == made.get("spec") {
        return None;
    }
    let mut object = current.clone();
    object["spec"] = made.get("spec").cloned().unwrap_or_default();
    meta::set_generation(&mut object, meta::generation(current) + 1);
    Some(object)
}

/// The same, for as long as the object lets the server.
fn update(current: &Value, made: &Value) -> Option<Value> {
    if meta::annotation(current, AUTO_UPDATE) == Some("true") { restore(current, made) } else { None }
}
