//! ServiceAccount: every pod runs as a service account that exists, and finds its token where programs look for it.

use std::collections::BTreeSet;

use coracle_control_api::meta;
use coracle_control_api::status::Status;
use rand::Rng as _;
use serde_json::{Value, json};

use super::{Action, Request};

/// The account of a pod that names none.
const DEFAULT: &str = "default";
/// Marks a pod that mirrors one which a host has from elsewhere.
const MIRROR: &str = "kubernetes.io/config.mirror";
/// An account with this annotation is for pods that use its own secrets only.
const ENFORCE: &str = "kubernetes.io/enforce-mountable-secrets";
/// Where programs look for the token.
const MOUNT_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const VOLUME_PREFIX: &str = "kube-api-access-";
/// The lifetime that the volume asks for. The server knows by it that the program may not read the file again.
const TOKEN_SECONDS: u32 = 3607;
const INIT: &str = "initContainers";
const CONTAINERS: &[&str] = &[INIT, "containers"];

/// Completes a new pod.
///
/// # Errors
/// 403 as for [`validate`]: before anything else is said of the pod, as upstream.
pub(super) fn admit(request: &Request<'_>, pod: &mut Value) -> Result<(), Status> {
    if request.action != Action::Create || !request.is_core("pods") {
        return Ok(());
    }
    if meta::annotation(pod, MIRROR).is_some() {
        return validate(request, Some(pod));
    }
    let Some(spec) = pod.get_mut("spec").filter(|spec| spec.is_object()) else { return Ok(()) };
    let named = spec.get("serviceAccountName").and_then(Value::as_str).filter(|name| !name.is_empty());
    let name = named.unwrap_or(DEFAULT).to_owned();
    spec["serviceAccountName"] = json!(name);
    spec["serviceAccount"] = json!(name);
    let account = find_account(request, &name)?;
    if wants_token(spec, &account) {
        mount_token(spec);
    }
    let has_secrets = spec.get("imagePullSecrets").and_then(Value::as_array).is_some_and(|list| !list.is_empty());
    if let Some(secrets) = account.get("imagePullSecrets").filter(|secrets| !has_secrets && secrets.is_array()) {
        spec["imagePullSecrets"] = secrets.clone();
    }
    validate(request, Some(pod))
}

/// Refuses a pod without an account, or one that uses what its account does not let it use.
///
/// # Errors
/// 403 in upstream's words.
pub(super) fn validate(request: &Request<'_>, pod: Option<&Value>) -> Result<(), Status> {
    let Some(pod) = pod.filter(|_| request.action != Action::Delete && request.is("", "pods")) else { return Ok(()) };
    let empty = json!({});
    let spec = pod.get("spec").unwrap_or(&empty);
    match (request.action, request.subresource) {
        (Action::Create, "") => {}
        (Action::Update, "ephemeralcontainers") => {
            let account = find_account(request, text(spec, "serviceAccountName"))?;
            return match limits(&account) {
                Some(secrets) => containers(request, spec, &account, &secrets, &["ephemeralContainers"]),
                None => Ok(()),
            };
        }
        _ => return Ok(()),
    }
    if meta::annotation(pod, MIRROR).is_some() {
        return validate_mirror(request, spec);
    }
    let name = text(spec, "serviceAccountName");
    if name.is_empty() {
        let cause = format!("no service account specified for pod {}/{}", request.call.namespace(), meta::name(pod));
        return Err(request.forbid(&cause));
    }
    let account = find_account(request, name)?;
    match limits(&account) {
        Some(secrets) => limit(request, spec, &account, &secrets),
        None => Ok(()),
    }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn find_account(request: &Request<'_>, name: &str) -> Result<Value, Status> {
    let namespace = request.call.namespace();
    let key = format!("/registry/core/serviceaccounts/{namespace}/{name}");
    match request.snapshot.get(key.as_bytes()) {
        Some(entry) => Ok(serde_json::from_slice(&entry.value).unwrap_or_default()),
        None => {
            let cause =
                format!("error looking up service account {namespace}/{name}: serviceaccount {name:?} not found");
            Err(request.forbid(&cause))
        }
    }
}

/// The pod's own word counts before that of the account.
fn wants_token(spec: &Value, account: &Value) -> bool {
    let said = |object: &Value| object.get("automountServiceAccountToken").and_then(Value::as_bool);
    said(spec).or_else(|| said(account)).unwrap_or(true)
}

/// Mounts the token into every container that has nothing else there.
fn mount_token(spec: &mut Value) {
    let known = list(spec, "volumes").map(|volume| text(volume, "name")).find(|name| name.starts_with(VOLUME_PREFIX));
    let known = known.map(str::to_owned);
    let name = known.clone().unwrap_or_else(|| meta::generated_name(VOLUME_PREFIX, rand::rng().random()));
    let mut mounted = false;
    for field in CONTAINERS {
        for container in spec.get_mut(*field).and_then(Value::as_array_mut).into_iter().flatten() {
            if list(container, "volumeMounts").any(|mount| text(mount, "mountPath") == MOUNT_PATH) {
                continue;
            }
            mounted = true;
            let mount = json!({"name": name, "readOnly": true, "mountPath": MOUNT_PATH});
            push(container, "volumeMounts", mount);
        }
    }
    if mounted && known.is_none() {
        push(spec, "volumes", token_volume(&name));
    }
}

fn push(object: &mut Value, field: &str, item: Value) {
    match object.get_mut(field).and_then(Value::as_array_mut) {
        Some(list) => list.push(item),
        None => object[field] = json!([item]),
    }
}

fn token_volume(name: &str) -> Value {
    json!({
        "name": name,
        "projected": {
            "defaultMode": 0o644,
            "sources": [
                {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [
                    {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}},
                ]}},
            ],
        },
    })
}

/// A mirror has no rights of its own: its host made it.
fn validate_mirror(request: &Request<'_>, spec: &Value) -> Result<(), Status> {
    if !text(spec, "serviceAccountName").is_empty() {
        return Err(request.forbid("a mirror pod may not reference service accounts"));
    }
    if !secret_names(spec).is_empty() {
        return Err(request.forbid("a mirror pod may not reference secrets"));
    }
    let mut sources =
        list(spec, "volumes").filter_map(|volume| volume.get("projected")).flat_map(|p| list(p, "sources"));
    if sources.any(|source| source.get("serviceAccountToken").is_some_and(|token| !token.is_null())) {
        return Err(request.forbid("a mirror pod may not use ServiceAccountToken volume projections"));
    }
    Ok(())
}

/// Every secret that a pod names.
pub(super) fn secret_names(spec: &Value) -> BTreeSet<&str> {
    crate::authorization::pod_references(spec)
        .filter(|(plural, _)| *plural == "secrets")
        .map(|(_, name)| name)
        .collect()
}

/// The secrets that pods of the account may use, where it limits them.
fn limits(account: &Value) -> Option<BTreeSet<String>> {
    let enforced = matches!(meta::annotation(account, ENFORCE), Some("1" | "t" | "T" | "true" | "TRUE" | "True"));
    enforced.then(|| list(account, "secrets").map(|secret| text(secret, "name").to_owned()).collect())
}

fn limit(request: &Request<'_>, spec: &Value, account: &Value, secrets: &BTreeSet<String>) -> Result<(), Status> {
    let owner = meta::name(account);
    for volume in list(spec, "volumes") {
        let name = volume.get("secret").filter(|secret| !secret.is_null()).map(|secret| text(secret, "secretName"));
        if let Some(name) = name.filter(|name| !secrets.contains(*name)) {
            let cause = format!(
                "volume with secret.secretName=\"{name}\" is not allowed because service account {owner} does not \
                 reference that secret"
            );
            return Err(request.forbid(&cause));
        }
    }
    containers(request, spec, account, secrets, CONTAINERS)?;
    let pulls: BTreeSet<&str> = list(account, "imagePullSecrets").map(|secret| text(secret, "name")).collect();
    for (index, secret) in list(spec, "imagePullSecrets").enumerate() {
        let name = text(secret, "name");
        if !pulls.contains(name) {
            let cause = format!(
                "imagePullSecrets[{index}].name=\"{name}\" is not allowed because service account {owner} does not \
                 reference that imagePullSecret"
            );
            return Err(request.forbid(&cause));
        }
    }
    Ok(())
}

fn containers(
    request: &Request<'_>,
    spec: &Value,
    account: &Value,
    secrets: &BTreeSet<String>,
    fields: &[&str],
) -> Result<(), Status> {
    let owner = meta::name(account);
    let refuse = |sort: &str, container: &Value, what: &str, name: &str| {
        Err(request.forbid(&format!(
            "{sort} {} with {what} referencing secret.secretName=\"{name}\" is not allowed because service account \
             {owner} does not reference that secret",
            text(container, "name"),
        )))
    };
    for field in fields {
        let sort = match *field {
            INIT => "init container",
            "ephemeralContainers" => "ephemeral container",
            _ => "container",
        };
        for container in list(spec, field) {
            for variable in list(container, "env") {
                let secret = variable.pointer("/valueFrom/secretKeyRef").filter(|secret| !secret.is_null());
                let name = secret.map(|secret| text(secret, "name"));
                if let Some(name) = name.filter(|name| !secrets.contains(*name)) {
                    return refuse(sort, container, &format!("envVar {}", text(variable, "name")), name);
                }
            }
            for source in list(container, "envFrom") {
                let name =
                    source.get("secretRef").filter(|secret| !secret.is_null()).map(|secret| text(secret, "name"));
                if let Some(name) = name.filter(|name| !secrets.contains(*name)) {
                    return refuse(sort, container, "envFrom", name);
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
