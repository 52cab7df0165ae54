//! The parameters of a policy: objects that a binding names.

use coracle_control_api::kind::Kind;
use coracle_control_api::meta;
use coracle_control_api::selector::LabelSelector;
use coracle_control_store::Entry;
use serde_json::Value;

use super::{Binding, Policy, text};
use crate::admission::attributes::Attributes;
use crate::call::decode;

/// The parameters with which a policy is to be asked, one after the other; a single `None` for a policy without any.
///
/// # Errors
/// What is wrong with the configuration, in upstream's words.
pub(super) fn collect(
    policy: &Policy,
    binding: &Binding,
    attributes: &Attributes<'_>,
) -> Result<Vec<Option<Value>>, String> {
    let (Some((api_version, kind_name)), Some(reference)) = (&policy.param_kind, &binding.param_ref) else {
        return Ok(vec![None]);
    };
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let all = attributes.request.call.shared.catalog.all();
    let kind =
        all.kinds().iter().find(|kind| kind.kind == *kind_name && kind.group == group && kind.version == version);
    let Some(kind) = kind else {
        return Err(format!("paramKind kind `{api_version}, Kind={kind_name}` not known"));
    };
    let namespace = namespace(kind, reference, attributes)?;
    let found = match (text(reference, "name"), reference.get("selector").filter(|selector| selector.is_object())) {
        ("", None) => return Err("one of name or selector must be provided".to_owned()),
        ("", Some(selector)) => select(kind, namespace, selector, attributes)?,
        (name, None) => by_name(kind, namespace, name, attributes)?,
        (_, Some(_)) => return Err("paramRef.name and paramRef.selector are mutually exclusive".to_owned()),
    };
    if found.is_empty() && text(reference, "parameterNotFoundAction") == "Deny" {
        return Err("no params found for policy binding with `Deny` parameterNotFoundAction".to_owned());
    }
    Ok(found.into_iter().map(Some).collect())
}

fn namespace<'a>(kind: &Kind, reference: &'a Value, attributes: &Attributes<'a>) -> Result<&'a str, String> {
    let given = text(reference, "namespace");
    match (kind.namespaced, given, attributes.namespace()) {
        (false, "", _) => Ok(""),
        (false, _, _) => Err("paramRef.namespace must not be provided for a cluster-scoped `paramKind`".to_owned()),
        (true, "", "") => {
            Err("cannot use namespaced paramRef in policy binding that matches cluster-scoped resources".to_owned())
        }
        (true, "", own) => Ok(own),
        (true, given, _) => Ok(given),
    }
}

fn read(kind: &Kind, entry: &Entry) -> Result<Value, String> {
    decode(kind, entry).map_err(|status| status.to_string())
}

fn by_name(kind: &Kind, namespace: &str, name: &str, attributes: &Attributes<'_>) -> Result<Vec<Value>, String> {
    let entry = attributes.request.snapshot.get(kind.storage_key(namespace, name).as_bytes());
    entry.iter().map(|entry| read(kind, entry)).collect()
}

fn select(kind: &Kind, namespace: &str, selector: &Value, attributes: &Attributes<'_>) -> Result<Vec<Value>, String> {
    let selector = LabelSelector::from_object(Some(selector)).map_err(|error| error.to_string())?;
    let prefix = if kind.namespaced { kind.namespace_prefix(namespace) } else { kind.storage_prefix() };
    let entries: Vec<Entry> = attributes.request.snapshot.prefix(prefix.as_bytes()).collect();
    let mut found = Vec::new();
    for entry in &entries {
        let object = read(kind, entry)?;
        if selector.matches(meta::labels(&object)) {
            found.push(object);
        }
    }
    Ok(found)
}
