//! The small plugins about pods that are off by default: AlwaysPullImages, ExtendedResourceToleration,
//! LimitPodHardAntiAffinityTopology, PodNodeSelector, PodTolerationRestriction.

use std::collections::BTreeSet;

use coracle_control_api::meta;
use coracle_control_api::status::{FieldError, Status};
use serde_json::{Map, Value, json};

use super::{Action, Request, tolerations};

const HOST_NAME: &str = "kubernetes.io/hostname";
const NODE_SELECTOR: &str = "scheduler.alpha.kubernetes.io/node-selector";
const DEFAULT_TOLERATIONS: &str = "scheduler.alpha.kubernetes.io/defaultTolerations";
const ALLOWED_TOLERATIONS: &str = "scheduler.alpha.kubernetes.io/tolerationsWhitelist";
const CONTAINERS: &[&str] = &["initContainers", "containers", "ephemeralContainers"];

fn is_written(request: &Request<'_>) -> bool {
    request.action != Action::Delete && request.is_core("pods")
}

/// The pull policy is set where containers come: with the pod, or as ephemeral ones.
fn brings_containers(request: &Request<'_>) -> bool {
    request.is("", "pods")
        && match request.action {
            Action::Create => request.subresource.is_empty(),
            Action::Update => matches!(request.subresource, "" | "ephemeralcontainers"),
            Action::Delete | Action::Connect => false,
        }
}

pub(super) fn always_pull(request: &Request<'_>, pod: &mut Value) {
    if !brings_containers(request) {
        return;
    }
    for list in CONTAINERS {
        let containers = pod.pointer_mut(&format!("/spec/{list}")).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten().filter_map(Value::as_object_mut) {
            container.insert("imagePullPolicy".to_owned(), json!("Always"));
        }
    }
}

pub(super) fn always_pulled(request: &Request<'_>, pod: Option<&Value>) -> Result<(), Status> {
    let Some(pod) = pod.filter(|_| brings_containers(request)) else { return Ok(()) };
    for list in CONTAINERS {
        let containers = pod.pointer(&format!("/spec/{list}")).and_then(Value::as_array);
        for (index, container) in containers.into_iter().flatten().enumerate() {
            let policy = container.get("imagePullPolicy").and_then(Value::as_str).unwrap_or_default();
            if policy != "Always" {
                let field = format!("spec.{list}[{index}].imagePullPolicy");
                return Err(request.forbid(&FieldError::not_supported(field, policy, ["Always"]).to_string()));
            }
        }
    }
    Ok(())
}

/// A pod that asks for what only some hosts have bears their taints.
pub(super) fn tolerate_extended(request: &Request<'_>, pod: &mut Value) {
    if !is_written(request) {
        return;
    }
    let mut names = BTreeSet::new();
    for list in ["containers", "initContainers"] {
        let containers = pod.pointer(&format!("/spec/{list}")).and_then(Value::as_array);
        for container in containers.into_iter().flatten() {
            let requests = container.pointer("/resources/requests").and_then(Value::as_object);
            let extended = requests.into_iter().flat_map(Map::keys).filter(|name| is_extended(name));
            names.extend(extended.cloned());
        }
    }
    let mut tolerations = tolerations::of(pod).to_vec();
    for name in names {
        let toleration = json!({"key": name, "operator": "Exists", "effect": "NoSchedule"});
        if !tolerations.iter().any(|known| tolerations::covers(known, &toleration)) {
            tolerations.push(toleration);
        }
    }
    if let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut).filter(|_| !tolerations.is_empty()) {
        spec.insert("tolerations".to_owned(), Value::Array(tolerations));
    }
}

fn is_extended(name: &str) -> bool {
    name.contains('/') && !name.contains("kubernetes.io/") && !name.starts_with("requests.")
}

pub(super) fn anti_affinity(request: &Request<'_>, pod: Option<&Value>) -> Result<(), Status> {
    let Some(pod) = pod.filter(|_| is_written(request)) else { return Ok(()) };
    let terms = pod.pointer("/spec/affinity/podAntiAffinity/requiredDuringSchedulingIgnoredDuringExecution");
    let keys = terms.and_then(Value::as_array).into_iter().flatten();
    let mut keys = keys.map(|term| term.get("topologyKey").and_then(Value::as_str).unwrap_or_default());
    match keys.find(|key| *key != HOST_NAME) {
        Some(key) => Err(request.forbid(&format!(
            "affinity.PodAntiAffinity.RequiredDuringScheduling has TopologyKey {key} but only key {HOST_NAME} is allowed"
        ))),
        None => Ok(()),
    }
}

/// The namespace of the request.
fn namespace(request: &Request<'_>) -> Value {
    let key = format!("/registry/core/namespaces/{}", request.call.namespace());
    let entry = request.snapshot.get(key.as_bytes());
    entry.and_then(|entry| serde_json::from_slice(&entry.value).ok()).unwrap_or_default()
}

/// The labels that every pod of the namespace selects its nodes by.
fn node_selector(request: &Request<'_>) -> Map<String, Value> {
    let namespace = namespace(request);
    let text = meta::annotation(&namespace, NODE_SELECTOR).unwrap_or_default();
    let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (key.trim().to_owned(), json!(value.trim_start_matches('=').trim()))).collect()
}

pub(super) fn select_nodes(request: &Request<'_>, pod: &mut Value) -> Result<(), Status> {
    if request.action != Action::Create || !request.is_core("pods") {
        return Ok(());
    }
    let wanted = node_selector(request);
    let mut given = pod.pointer("/spec/nodeSelector").and_then(Value::as_object).cloned().unwrap_or_default();
    if wanted.iter().any(|(key, value)| given.get(key).is_some_and(|given| given != value)) {
        let cause = "pod node label selector conflicts with its namespace node label selector";
        return Err(request.forbid(cause));
    }
    if let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut).filter(|_| !wanted.is_empty()) {
        given.extend(wanted);
        spec.insert("nodeSelector".to_owned(), Value::Object(given));
    }
    Ok(())
}

/// The tolerations in an annotation of the namespace; nothing when it has none.
fn listed(request: &Request<'_>, annotation: &str) -> Result<Vec<Value>, Status> {
    let namespace = namespace(request);
    let text = meta::annotation(&namespace, annotation).filter(|text| !text.is_empty());
    let list = text.map_or(Ok(Vec::new()), serde_json::from_str);
    list.map_err(|error| Status::unclassified(error.to_string()))
}

pub(super) fn add_tolerations(request: &Request<'_>, pod: &mut Value) -> Result<(), Status> {
    if !is_written(request) {
        return Ok(());
    }
    let mut more = Vec::new();
    if request.action == Action::Create {
        more = listed(request, DEFAULT_TOLERATIONS)?;
    }
    if pod.pointer("/status/qosClass").and_then(Value::as_str).is_some_and(|class| class != "BestEffort") {
        more.push(json!({"key": "node.kubernetes.io/memory-pressure", "operator": "Exists", "effect": "NoSchedule"}));
    }
    if !more.is_empty() {
        tolerations::add(pod, &more);
    }
    Ok(())
}

pub(super) fn check_tolerations(request: &Request<'_>, pod: Option<&Value>) -> Result<(), Status> {
    let Some(pod) = pod.filter(|_| is_written(request)) else { return Ok(()) };
    let allowed = listed(request, ALLOWED_TOLERATIONS)?;
    let fits = |toleration: &Value| allowed.iter().any(|allowed| tolerations::covers(allowed, toleration));
    if allowed.is_empty() || tolerations::of(pod).iter().all(fits) {
        return Ok(());
    }
    Err(Status::unclassified(
        "pod tolerations (possibly merged with namespace default tolerations) conflict with its namespace whitelist",
    ))
}
