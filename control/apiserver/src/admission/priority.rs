//! Priority: turns the name of a pod's priority class into its number.

use coracle_control_api::status::Status;
use serde_json::{Value, json};

use super::{Action, Request};

/// Classes that every cluster has, whether or not there are objects for them.
const SYSTEM: &[(&str, i64)] = &[("system-cluster-critical", 2_000_000_000), ("system-node-critical", 2_000_001_000)];
const PREFIX: &str = "/registry/scheduling.k8s.io/priorityclasses/";
const PREEMPTS: &str = "PreemptLowerPriority";

pub(super) fn admit(request: &Request<'_>, pod: &mut Value) -> Result<(), Status> {
    if !request.is_core("pods") {
        return Ok(());
    }
    let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut) else { return Ok(()) };
    match request.action {
        Action::Create => {}
        Action::Update => {
            // A client that does not know the number may leave it out.
            let old = request.old.and_then(|old| old.get("spec"));
            for field in ["priority", "preemptionPolicy"] {
                if let Some(value) = old.and_then(|old| old.get(field)).filter(|_| !spec.contains_key(field)) {
                    spec.insert(field.to_owned(), value.clone());
                }
            }
            return Ok(());
        }
        Action::Delete | Action::Connect => return Ok(()),
    }
    let name = spec.get("priorityClassName").and_then(Value::as_str).unwrap_or_default().to_owned();
    let class = find(request, &name)?;
    if let Some(given) = spec.get("priority").and_then(Value::as_i64).filter(|given| *given != class.value) {
        return Err(request.forbid(&format!(
            "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller \
             computed {} from the given PriorityClass name",
            class.value
        )));
    }
    let given = spec.get("preemptionPolicy").and_then(Value::as_str).unwrap_or_default();
    if !given.is_empty() && given != class.preemption {
        return Err(request.forbid(&format!(
            "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; priority admission \
             controller computed {} from the given PriorityClass name",
            class.preemption
        )));
    }
    if !class.name.is_empty() {
        spec.insert("priorityClassName".to_owned(), json!(class.name));
    }
    spec.insert("priority".to_owned(), json!(class.value));
    spec.insert("preemptionPolicy".to_owned(), json!(class.preemption));
    Ok(())
}

/// Only one class can be the default.
pub(super) fn validate(request: &Request<'_>, object: Option<&Value>) -> Result<(), Status> {
    let is_class = request.is("scheduling.k8s.io", "priorityclasses") && request.action != Action::Delete;
    let is_default = |class: &Value| class.get("globalDefault").and_then(Value::as_bool) == Some(true);
    let Some(class) = object.filter(|class| is_class && is_default(class)) else { return Ok(()) };
    let objects = request.snapshot.prefix(PREFIX.as_bytes());
    let mut objects = objects.filter_map(|entry| serde_json::from_slice::<Value>(&entry.value).ok());
    let name = coracle_control_api::meta::name;
    match objects.find(|other| is_default(other) && (request.action == Action::Create || name(other) != name(class))) {
        Some(other) => Err(request.forbid(&format!(
            "PriorityClass {} is already marked as default. Only one default can exist",
            name(&other)
        ))),
        None => Ok(()),
    }
}

struct Class {
    /// Empty when the pod gets a number without a class.
    name: String,
    value: i64,
    preemption: String,
}

impl Class {
    fn read(object: &Value) -> Self {
        Self {
            name: coracle_control_api::meta::name(object).to_owned(),
            value: object.get("value").and_then(Value::as_i64).unwrap_or(0),
            preemption: object.get("preemptionPolicy").and_then(Value::as_str).unwrap_or(PREEMPTS).to_owned(),
        }
    }
}

/// The class of that name; the class that is the default, or none, for a pod that names no class.
fn find(request: &Request<'_>, name: &str) -> Result<Class, Status> {
    if let Some((_, value)) = SYSTEM.iter().find(|(system, _)| *system == name) {
        return Ok(Class { name: name.to_owned(), value: *value, preemption: PREEMPTS.to_owned() });
    }
    if !name.is_empty() {
        let entry = request.snapshot.get(format!("{PREFIX}{name}").as_bytes());
        let object: Option<Value> = entry.and_then(|entry| serde_json::from_slice(&entry.value).ok());
        return match object {
            Some(object) => Ok(Class::read(&object)),
            None => Err(request.forbid(&format!("no PriorityClass with name {name} was found"))),
        };
    }
    // Of several defaults the one with the lowest number counts.
    let objects = request.snapshot.prefix(PREFIX.as_bytes());
    let objects = objects.filter_map(|entry| serde_json::from_slice::<Value>(&entry.value).ok());
    let defaults = objects.filter(|object| object.get("globalDefault").and_then(Value::as_bool) == Some(true));
    let lowest = defaults.map(|object| Class::read(&object)).min_by_key(|class| class.value);
    Ok(lowest.unwrap_or_else(|| Class { name: String::new(), value: 0, preemption: PREEMPTS.to_owned() }))
}
