//! APIService: who serves a version of a group: this server, or another behind a Service.

use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::go_text;
use crate::kind::{Behaviour, Column, Kind, PART_VERBS, Part};
use crate::kinds::columns;
use crate::kinds::fields::{self, Fields};
use crate::kinds::spec_status;
use crate::kinds::validation::names::NameRule;
use crate::kinds::validation::{complain, port_number};
use crate::names;
use crate::status::{FieldError, FieldPath};

/// The API group.
pub const GROUP: &str = "apiregistration.k8s.io";
/// The resource's name in paths.
pub const PLURAL: &str = "apiservices";
/// The condition by which clients know whether requests are answered.
pub const AVAILABLE: &str = "Available";
/// The label of the objects that the server makes by itself.
pub const AUTOMANAGED: &str = "kube-aggregator.kubernetes.io/automanaged";

/// Group and version priority of a group that upstream does not name: that of custom resources.
const CUSTOM_PRIORITY: (i64, i64) = (1000, 100);

/// Group, version, priority of the group, priority of the version: upstream's order of the groups of its own.
const PRIORITIES: &[(&str, &str, i64, i64)] = &[
    ("", "v1", 18_000, 1),
    ("apps", "v1", 17_800, 15),
    ("events.k8s.io", "v1", 17_750, 15),
    ("authentication.k8s.io", "v1", 17_700, 15),
    ("authorization.k8s.io", "v1", 17_600, 15),
    ("autoscaling", "v1", 17_500, 15),
    ("autoscaling", "v2", 17_500, 30),
    ("batch", "v1", 17_400, 15),
    ("certificates.k8s.io", "v1", 17_300, 15),
    ("networking.k8s.io", "v1", 17_200, 15),
    ("policy", "v1", 17_100, 15),
    ("rbac.authorization.k8s.io", "v1", 17_000, 15),
    ("storage.k8s.io", "v1", 16_800, 15),
    ("apiextensions.k8s.io", "v1", 16_700, 15),
    ("admissionregistration.k8s.io", "v1", 16_700, 15),
    ("scheduling.k8s.io", "v1", 16_600, 15),
    ("coordination.k8s.io", "v1", 16_500, 15),
    ("node.k8s.io", "v1", 16_300, 15),
    ("discovery.k8s.io", "v1", 16_200, 15),
    ("flowcontrol.apiserver.k8s.io", "v1", 16_100, 21),
    ("resource.k8s.io", "v1", 15_900, 21),
];

static COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    vec![
        columns::name(),
        columns::text("Service", "The reference to the service that hosts this API endpoint."),
        columns::text("Available", "Whether this service is available."),
        columns::age(),
    ]
});

#[derive(Debug)]
struct ApiService;

pub(super) fn kind() -> Kind {
    Kind::new(GROUP, "v1", "APIService", PLURAL, ApiService)
        .schema("io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIService")
        .cluster_scoped()
        .name_rule(NameRule::PathSegment)
        .categories(&["api-extensions"])
        .updates_need_a_version()
        .keeps_empty_lists()
        .part("status", Part::Status, PART_VERBS)
}

/// The object by which the server says that it serves a version of a group itself. `is_custom` for custom resources.
#[must_use]
pub fn local(group: &str, version: &str, is_custom: bool) -> Value {
    let known = PRIORITIES.iter().find(|(known, of, ..)| *known == group && *of == version);
    let (group_priority, version_priority) =
        known.map_or(CUSTOM_PRIORITY, |(_, _, group_priority, version_priority)| (*group_priority, *version_priority));
    let mut spec = json!({
        "version": version, "groupPriorityMinimum": group_priority, "versionPriority": version_priority,
    });
    if !group.is_empty()
        && let Some(spec) = spec.as_object_mut()
    {
        spec.insert("group".to_owned(), Value::from(group));
    }
    json!({
        "apiVersion": format!("{GROUP}/v1"),
        "kind": "APIService",
        "metadata": {
            "name": format!("{version}.{group}"),
            "labels": {AUTOMANAGED: if is_custom { "true" } else { "onstart" }},
        },
        "spec": spec,
    })
}

/// Sets a condition; its time moves only when its status does. True if anything has changed.
pub fn set_condition(object: &mut Value, status: &str, reason: &str, message: &str, now: &Value) -> bool {
    let old = object.at(&["status"]).map(|status| status.list("conditions").to_vec()).unwrap_or_default();
    let known = old.iter().find(|condition| condition.text("type") == AVAILABLE);
    let time = known.filter(|known| known.text("status") == status).and_then(|known| known.get("lastTransitionTime"));
    let condition = json!({
        "type": AVAILABLE, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": time.unwrap_or(now),
    });
    if known == Some(&condition) {
        return false;
    }
    let mut conditions: Vec<Value> =
        old.iter().filter(|condition| condition.text("type") != AVAILABLE).cloned().collect();
    conditions.push(condition);
    if let Some(object) = object.as_object_mut() {
        object.insert("status".to_owned(), json!({"conditions": conditions}));
    }
    true
}

/// Status and reason of the condition; both empty where nothing has been found out yet.
#[must_use]
pub fn availability(object: &Value) -> (&str, &str) {
    let conditions = object.child("status").map(|status| status.list("conditions")).unwrap_or_default();
    let condition = conditions.iter().find(|condition| condition.text("type") == AVAILABLE);
    condition.map(|condition| (condition.text("status"), condition.text("reason"))).unwrap_or_default()
}

impl Behaviour for ApiService {
    fn default(&self, object: &mut Value) {
        if let Some(service) = object.get_mut("spec").and_then(|spec| spec.get_mut("service"))
            && service.is_object()
        {
            fields::set_default(service, "port", 443);
        }
    }

    fn prepare_create(&self, object: &mut Value) {
        fields::remove(object, "status");
        if object.at(&["spec", "service"]).is_none() {
            // The object is made at this moment, and so is the condition.
            let now = object.at(&["metadata", "creationTimestamp"]).cloned().unwrap_or(Value::Null);
            set_condition(object, "True", "Local", "Local APIServices are always available", &now);
        }
    }

    fn prepare_update(&self, part: Part, new: &mut Value, old: &Value) {
        spec_status::keep_other_part(part, new, old);
        if part == Part::Status
            && let Some(metadata) = old.child("metadata")
        {
            let mut kept = new.child("metadata").cloned().unwrap_or_default();
            for field in ["labels", "annotations", "finalizers", "ownerReferences"] {
                fields::copy_from(&mut kept, metadata, field);
            }
            if let Some(new) = new.as_object_mut() {
                new.insert("metadata".to_owned(), kept);
            }
        }
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        validate(object)
    }

    fn validate_update(&self, part: Part, new: &Value, _old: &Value) -> Vec<FieldError> {
        if part == Part::Status { validate_status(new) } else { validate(new) }
    }

    fn reset_fields(&self, part: Part) -> &'static [&'static str] {
        if part == Part::Status { &["metadata", "spec"] } else { &["status"] }
    }

    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let service = object.at(&["spec", "service"]).map_or_else(
            || "Local".to_owned(),
            |service| format!("{}/{}", service.text("namespace"), service.text("name")),
        );
        let available = match availability(object) {
            ("", _) => "Unknown".to_owned(),
            (status @ "True", _) | (status, "") => status.to_owned(),
            (status, reason) => format!("{status} ({reason})"),
        };
        vec![columns::name_cell(object), Value::from(service), Value::from(available), columns::age_cell(object, now)]
    }
}

fn validate(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let Some(spec) = object.child("spec") else { return errors };
    let (group, version) = (spec.text("group"), spec.text("version"));
    let (name, required) = (object.at(&["metadata", "name"]).and_then(Value::as_str), format!("{version}.{group}"));
    if let Some(name) = name.filter(|name| !name.is_empty() && *name != required) {
        let text = format!("must be `spec.version+\".\"+spec.group`: {}", go_text::quote(&required));
        errors.push(FieldError::invalid("metadata.name", name, text));
    }
    let root = FieldPath::root("spec");
    if group.is_empty() {
        if version != "v1" {
            let text = "only v1 may have an empty group and it better be legacy kube";
            errors.push(FieldError::required(root.child("group"), text));
        }
    } else {
        complain(&mut errors, &root.child("group"), group, names::dns_subdomain(group));
    }
    complain(&mut errors, &root.child("version"), version, names::dns_1035_label(version));
    for (field, most) in [("groupPriorityMinimum", 20_000), ("versionPriority", 1000)] {
        let value = spec.int(field).unwrap_or(0);
        if value <= 0 || value > most {
            let text = format!("must be positive and less than {most}");
            errors.push(FieldError::invalid(root.child(field), value, text));
        }
    }
    match spec.child("service") {
        None => validate_local(&mut errors, spec),
        Some(service) => validate_remote(&mut errors, spec, service),
    }
    errors
}

/// The bytes of a bundle, of which the text is base64.
fn bundle_bytes(spec: &Value) -> usize {
    let text = spec.text("caBundle");
    (text.len() / 4 * 3).saturating_sub(text.bytes().rev().take_while(|byte| *byte == b'=').count())
}

fn validate_local(errors: &mut Vec<FieldError>, spec: &Value) {
    let root = FieldPath::root("spec");
    let bytes = bundle_bytes(spec);
    if bytes > 0 {
        let text = "local APIServices may not have a caBundle";
        errors.push(FieldError::invalid(root.child("caBundle"), format!("{bytes} bytes"), text));
    }
    if spec.is_true("insecureSkipTLSVerify") {
        let text = "local APIServices may not have insecureSkipTLSVerify";
        errors.push(FieldError::invalid(root.child("insecureSkipTLSVerify"), true, text));
    }
}

fn validate_remote(errors: &mut Vec<FieldError>, spec: &Value, service: &Value) {
    let root = FieldPath::root("spec");
    let at = root.child("service");
    for field in ["namespace", "name"] {
        if service.text(field).is_empty() {
            errors.push(FieldError::required(at.child(field), ""));
        }
    }
    let port = service.int("port").unwrap_or(0);
    let complaints = port_number(port);
    if !complaints.is_empty() {
        let text = format!("port is not valid: {}", complaints.join(", "));
        errors.push(FieldError::invalid(at.child("port"), port, text));
    }
    if spec.is_true("insecureSkipTLSVerify") && bundle_bytes(spec) > 0 {
        let text = "may not be true if caBundle is present";
        errors.push(FieldError::invalid(root.child("insecureSkipTLSVerify"), true, text));
    }
}

fn validate_status(object: &Value) -> Vec<FieldError> {
    const KNOWN: &[&str] = &["True", "False", "Unknown"];
    let conditions = object.child("status").map(|status| status.list("conditions")).unwrap_or_default();
    let unknown = conditions.iter().enumerate().filter(|(_, condition)| !KNOWN.contains(&condition.text("status")));
    unknown
        .map(|(index, condition)| {
            FieldError::not_supported(format!("status.conditions[{index}].status"), condition.text("status"), KNOWN)
        })
        .collect()
}

#[cfg(test)]
mod tests;
