//! RuntimeClass: a pod gets what its runtime class costs and where it runs.

use coracle_control_api::status::Status;
use serde_json::{Map, Value};

use super::{Action, Request, tolerations};

const MISMATCH: &str = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead";
const UNDEFINED: &str = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead";

/// The class that the pod names.
///
/// # Errors
/// 403 when there is none of that name.
fn class(request: &Request<'_>, pod: &Value) -> Result<Option<Value>, Status> {
    let name = pod.pointer("/spec/runtimeClassName").and_then(Value::as_str).unwrap_or_default();
    if name.is_empty() {
        return Ok(None);
    }
    let key = format!("/registry/node.k8s.io/runtimeclasses/{name}");
    let entry = request.snapshot.get(key.as_bytes());
    let class = entry.and_then(|entry| serde_json::from_slice(&entry.value).ok());
    class.map(Some).ok_or_else(|| request.forbid(&format!("pod rejected: RuntimeClass {name:?} not found")))
}

fn map<'a>(object: &'a Value, pointer: &str) -> Option<&'a Map<String, Value>> {
    object.pointer(pointer).and_then(Value::as_object)
}

pub(super) fn mutate(request: &Request<'_>, pod: &mut Value) -> Result<(), Status> {
    if request.action != Action::Create || !request.is_core("pods") {
        return Ok(());
    }
    let Some(class) = class(request, pod)? else { return Ok(()) };
    let overhead = map(&class, "/overhead/podFixed");
    if let Some(overhead) = overhead {
        if map(pod, "/spec/overhead").is_some_and(|given| !given.is_empty() && given != overhead) {
            return Err(request.forbid(MISMATCH));
        }
        set(pod, "overhead", Value::Object(overhead.clone()));
    }
    if let Some(selector) = map(&class, "/scheduling/nodeSelector") {
        let mut merged = map(pod, "/spec/nodeSelector").cloned().unwrap_or_default();
        for (key, value) in selector {
            let given = merged.insert(key.clone(), value.clone());
            if let Some(given) = given.filter(|given| given != value) {
                let (value, given) =
                    (value.as_str().unwrap_or_default(), given.as_str().unwrap_or_default().to_owned());
                return Err(request.forbid(&format!(
                    "conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; pod.spec.nodeSelector[{key}] = \
                     {given}"
                )));
            }
        }
        set(pod, "nodeSelector", Value::Object(merged));
    }
    if let Some(more) = class.pointer("/scheduling/tolerations").and_then(Value::as_array) {
        tolerations::add(pod, more);
    }
    Ok(())
}

fn set(pod: &mut Value, field: &str, value: Value) {
    if let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut) {
        spec.insert(field.to_owned(), value);
    }
}

/// Other plugins may have changed the pod since.
pub(super) fn validate(request: &Request<'_>, pod: Option<&Value>) -> Result<(), Status> {
    let Some(pod) = pod.filter(|_| request.action == Action::Create && request.is_core("pods")) else { return Ok(()) };
    let class = class(request, pod)?;
    let wanted = class.as_ref().and_then(|class| map(class, "/overhead/podFixed"));
    let given = map(pod, "/spec/overhead").filter(|overhead| !overhead.is_empty());
    match (wanted, given) {
        (Some(wanted), given) if given != Some(wanted) => Err(request.forbid(MISMATCH)),
        (None, Some(_)) => Err(request.forbid(UNDEFINED)),
        _ => Ok(()),
    }
}
