//! binding: puts a pod on a node, once.

use axum::body::Body;
use axum::response::Response;
use coracle_control_api::kinds;
use coracle_control_api::meta;
use coracle_control_api::status::Status;
use coracle_control_store::Condition;
use http::Request;
use serde_json::{Value, json};

use crate::admission::subresource::admit;
use crate::answer::{add_warnings, value_answer};
use crate::call::ResourceCall;
use crate::list_options::Version;
use crate::pipeline::{self, Outcome};
use crate::verbs::create::read_object;
use crate::write_options::WriteOptions;

/// A binding that others keep getting in front of is tried so often.
const ATTEMPTS_MAX: usize = 64;

/// POST to `pods/NAME/binding`.
pub(super) async fn bind(call: &ResourceCall, request: Request<Body>) -> Result<Response, Status> {
    let name = call.name().to_owned();
    carry_out(call, Some(&name), request).await
}

/// POST to `bindings`: the binding's name is the pod's.
pub(crate) async fn bind_by_collection(call: &ResourceCall, request: Request<Body>) -> Result<Response, Status> {
    let Some(pods) = kinds::find("", "v1", "pods") else { return Err(Status::unknown_resource()) };
    let call = ResourceCall { call: call.call.clone(), kind: pods.clone() };
    carry_out(&call, None, request).await
}

async fn carry_out(call: &ResourceCall, pod: Option<&str>, request: Request<Body>) -> Result<Response, Status> {
    let agreed = call.negotiate(&[])?;
    let options = WriteOptions::parse(call, "CreateOptions")?;
    let Some(kind) = kinds::find_kind("", "v1", "Binding") else { return Err(Status::unknown_resource()) };
    let decoded = read_object(call, kind, request, options.validation).await?;
    let mut binding = decoded.object;
    pipeline::ensure_namespace(call, &mut binding)?;
    let given = meta::name(&binding);
    let name = pod.unwrap_or(given).to_owned();
    if !given.is_empty() && given != name {
        let text = format!("name in URL does not match name in Binding object: {name}, {given}");
        return Err(Status::bad_request(text));
    }
    let errors = kind.behaviour.validate_create(&binding);
    if !errors.is_empty() {
        return Err(Status::invalid("", "Binding", &name, &errors));
    }
    admit(call, &name, &mut binding, options.dry_run).await?;
    assign(call, &name, &binding, &options).await?;
    let mut answer = value_answer(201, &Status::success(201).to_value(), agreed);
    add_warnings(&mut answer, &decoded.warnings);
    Ok(answer)
}

async fn assign(call: &ResourceCall, name: &str, binding: &Value, options: &WriteOptions) -> Result<(), Status> {
    let snapshot = call.snapshot(Version::Latest).await?;
    let mut found = snapshot.get(&call.key(name));
    for _ in 0..ATTEMPTS_MAX {
        let Some(entry) = found else { return Err(call.not_found(name)) };
        let mut pod = call.decode(&entry)?;
        check(&pod, name, binding)?;
        set_node(call, &mut pod, binding);
        if options.dry_run {
            return Ok(());
        }
        let condition = Condition::ModRevision { key: entry.key.clone(), revision: entry.mod_revision };
        match pipeline::put(call, &call.kind, entry.key.clone(), &pod, vec![condition]).await? {
            Outcome::Done(_) => return Ok(()),
            Outcome::Conflict(mut current) => found = current.pop().flatten(),
        }
    }
    Err(pipeline::contended())
}

fn check(pod: &Value, name: &str, binding: &Value) -> Result<(), Status> {
    let refuse = |cause: String| Err(Status::conflict("", "pods/binding", name, &cause));
    for (field, given, known) in [
        ("UID", meta::uid(binding), meta::uid(pod)),
        ("ResourceVersion", meta::resource_version(binding), meta::resource_version(pod)),
    ] {
        if !given.is_empty() && given != known {
            return refuse(format!(
                "Precondition failed: {field} in precondition: {given}, {field} in object meta: {known}"
            ));
        }
    }
    if meta::is_being_deleted(pod) {
        return refuse(format!("pod {name} is being deleted, cannot be assigned to a host"));
    }
    let node = pod.pointer("/spec/nodeName").and_then(Value::as_str).unwrap_or_default();
    if !node.is_empty() {
        return refuse(format!("pod {name} is already assigned to node {node:?}"));
    }
    if !meta::list(pod, &["spec", "schedulingGates"]).is_empty() {
        return refuse(format!("pod {name} has non-empty .spec.schedulingGates"));
    }
    Ok(())
}

fn set_node(call: &ResourceCall, pod: &mut Value, binding: &Value) {
    let node = binding.pointer("/target/name").cloned().unwrap_or_default();
    if let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut) {
        spec.insert("nodeName".to_owned(), node);
    }
    for field in ["annotations", "labels"] {
        let Some(added) = binding.pointer(&format!("/metadata/{field}")).and_then(Value::as_object) else { continue };
        let map = meta::metadata_mut(pod).entry(field).or_insert_with(|| json!({}));
        if let Some(map) = map.as_object_mut() {
            map.extend(added.iter().map(|(key, value)| (key.clone(), value.clone())));
        }
    }
    let Some(status) = pod.as_object_mut().map(|pod| pod.entry("status").or_insert_with(|| json!({}))) else { return };
    let Some(status) = status.as_object_mut() else { return };
    status.remove("nominatedNodeName");
    let conditions = status.entry("conditions").or_insert_with(|| json!([]));
    let Some(conditions) = conditions.as_array_mut() else { return };
    conditions.retain(|condition| condition.get("type").and_then(Value::as_str) != Some("PodScheduled"));
    conditions.push(json!({
        "type": "PodScheduled",
        "status": "True",
        "lastProbeTime": null,
        "lastTransitionTime": meta::format_time(call.now),
    }));
}
