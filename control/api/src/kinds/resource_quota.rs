//! ResourceQuota: how much the objects of a namespace may use together.

use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::kind::{Behaviour, Column, Kind, PART_VERBS, Part};
use crate::kinds::fields::{self, Fields, same};
use crate::kinds::validation::resources::{amounts, is_extended, is_huge_page, resource_amount};
use crate::kinds::validation::{IMMUTABLE, qualified_name, resources};
use crate::kinds::{columns, workload};
use crate::status::{FieldError, FieldPath};

/// Names without a domain that a quota may bound.
const BOUNDED: &[&str] = &[
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "services",
    "resourcequotas",
    "replicationcontrollers",
    "secrets",
    "persistentvolumeclaims",
    "configmaps",
    "services.nodeports",
    "services.loadbalancers",
];
const SCOPES: &[&str] = &[
    "BestEffort",
    "CrossNamespacePodAffinity",
    "NotBestEffort",
    "NotTerminating",
    "PriorityClass",
    "Terminating",
    "VolumeAttributesClass",
];
/// Scopes that stand without values.
const PLAIN_SCOPES: &[&str] =
    &["BestEffort", "NotBestEffort", "Terminating", "NotTerminating", "CrossNamespacePodAffinity"];
/// What a quota on the pods that ask for nothing can bound.
const BEST_EFFORT_BOUNDED: &[&str] = &["pods"];

const REQUEST: &str = "Request represents a minimum amount of cpu/memory that a container may consume.";
const LIMIT: &str =
    "Limits control the maximum amount of cpu/memory that a container may use independent of contention on the node.";

static COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    vec![columns::name(), columns::text("Request", REQUEST), columns::text("Limit", LIMIT), columns::age()]
});

#[derive(Debug)]
struct ResourceQuota;

pub(super) fn kind() -> Kind {
    Kind::new("", "v1", "ResourceQuota", "resourcequotas", ResourceQuota)
        .schema("io.k8s.api.core.v1.ResourceQuota")
        .short_names(&["quota"])
        .returns_what_it_deletes()
        .part("status", Part::Status, PART_VERBS)
}

impl Behaviour for ResourceQuota {
    fn default(&self, object: &mut Value) {
        if let Some(spec) = fields::object_mut(object, "spec") {
            resources::round_up_to_milli(spec.get_mut("hard"));
        }
    }

    fn prepare_create(&self, object: &mut Value) {
        fields::set(object, "status", Value::Object(Map::new()));
    }

    fn prepare_update(&self, part: Part, new: &mut Value, old: &Value) {
        if part == Part::Status {
            workload::prepare_status(new, old);
        } else {
            fields::copy_from(new, old, "status");
        }
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let (path, spec) = (FieldPath::root("spec"), workload::part(object, "spec"));
        bounds(&mut errors, &path.child("hard"), spec.child("hard"));
        scopes(&mut errors, &path, spec);
        selector(&mut errors, &path.child("scopeSelector"), spec);
        errors
    }

    fn validate_update(&self, part: Part, new: &Value, old: &Value) -> Vec<FieldError> {
        if part == Part::Status {
            let mut errors = Vec::new();
            let (path, status) = (FieldPath::root("status"), workload::part(new, "status"));
            for field in ["hard", "used"] {
                bounds(&mut errors, &path.child(field), status.child(field));
            }
            return errors;
        }
        let mut errors = self.validate_create(new);
        let scopes = |object: &Value| {
            let mut scopes: Vec<String> =
                workload::part(object, "spec").texts("scopes").into_iter().map(str::to_owned).collect();
            scopes.sort_unstable();
            scopes.dedup();
            scopes
        };
        if scopes(new) != scopes(old) {
            let shown = new.at(&["spec", "scopes"]).cloned().unwrap_or(Value::Null);
            errors.push(FieldError::invalid("spec.scopes", shown, IMMUTABLE));
        }
        let selector = ["spec", "scopeSelector"];
        if !same(new.at(&selector), old.at(&selector)) {
            let shown = new.at(&selector).cloned().unwrap_or(Value::Null);
            errors.push(FieldError::invalid("spec.scopeSelector", shown, IMMUTABLE));
        }
        errors
    }

    fn reset_fields(&self, part: Part) -> &'static [&'static str] {
        if part == Part::Status { &["spec"] } else { &["status"] }
    }

    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let status = workload::part(object, "status");
        let mut requests = Vec::new();
        let mut limits = Vec::new();
        for (name, hard) in status.map("hard").into_iter().flatten() {
            let shown = |value: &Value| value.as_str().unwrap_or("0").to_owned();
            let used = status.map("used").and_then(|used| used.get(name)).map_or_else(|| "0".to_owned(), shown);
            let list = if name.starts_with("limits") { &mut limits } else { &mut requests };
            list.push(format!("{name}: {used}/{}", shown(hard)));
        }
        vec![
            columns::name_cell(object),
            Value::from(requests.join(", ")),
            Value::from(limits.join(", ")),
            columns::age_cell(object, now),
        ]
    }
}

/// Amounts by the names that a quota knows.
fn bounds(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, list: Option<&Value>) {
    for (name, amount) in amounts(list) {
        let path = path.key(name);
        qualified_name(errors, &path, name);
        let storage = name.contains(".storageclass.storage.k8s.io/");
        let known = BOUNDED.contains(&name)
            || name.starts_with("count/")
            || is_huge_page(name.strip_prefix("requests.").unwrap_or(name))
            || name.strip_prefix("requests.").is_some_and(is_extended)
            || storage;
        if !name.contains('/') && !known {
            errors.push(FieldError::invalid(path, name, "must be a standard resource for quota"));
        }
        resource_amount(errors, &path, name, &amount);
    }
}

fn scopes(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, spec: &Value) {
    let scopes = spec.texts("scopes");
    if scopes.is_empty() {
        return;
    }
    let path = path.child("scopes");
    let shown = || spec.get("scopes").cloned().unwrap_or(Value::Null);
    for scope in &scopes {
        if !SCOPES.contains(scope) {
            errors.push(FieldError::invalid(path, shown(), "unsupported scope"));
        }
        for name in spec.map("hard").into_iter().flatten().map(|(name, _)| name.as_str()) {
            if !scope_bounds(scope, name) {
                errors.push(FieldError::invalid(path, shown(), "unsupported scope applied to resource"));
            }
        }
    }
    for (one, other) in [("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating")] {
        if scopes.contains(&one) && scopes.contains(&other) {
            errors.push(FieldError::invalid(path, shown(), "conflicting scopes"));
        }
    }
}

/// Whether a quota of this scope can bound this resource.
fn scope_bounds(scope: &str, name: &str) -> bool {
    const OF_PODS: &[&str] = &[
        "pods",
        "cpu",
        "memory",
        "ephemeral-storage",
        "requests.cpu",
        "requests.memory",
        "requests.ephemeral-storage",
        "limits.cpu",
        "limits.memory",
        "limits.ephemeral-storage",
    ];
    match scope {
        "BestEffort" => BEST_EFFORT_BOUNDED.contains(&name),
        "Terminating" | "NotTerminating" | "NotBestEffort" | "PriorityClass" | "CrossNamespacePodAffinity" => {
            OF_PODS.contains(&name) || is_huge_page(name) || name.strip_prefix("requests.").is_some_and(is_extended)
        }
        _ => true,
    }
}

fn selector(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, spec: &Value) {
    let Some(selector) = spec.child("scopeSelector") else { return };
    let path = path.child("matchExpressions");
    for (index, expression) in selector.list("matchExpressions").iter().enumerate() {
        let path = path.index(index);
        let (scope, operator) = (expression.text("scopeName"), expression.text("operator"));
        let values = expression.list("values");
        if !SCOPES.contains(&scope) {
            errors.push(FieldError::invalid(path.child("scopeName"), scope, "unsupported scope"));
        }
        if PLAIN_SCOPES.contains(&scope) && operator != "Exists" {
            let detail = "must be 'Exist' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";
            errors.push(FieldError::invalid(path.child("operator"), operator, detail));
        }
        match operator {
            "In" | "NotIn" if values.is_empty() => {
                let detail = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
                errors.push(FieldError::required(path.child("values"), detail));
            }
            "Exists" | "DoesNotExist" if !values.is_empty() => {
                let detail = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
                errors.push(FieldError::invalid(path.child("values"), Value::from(values.to_vec()), detail));
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            _ => errors.push(FieldError::invalid(path.child("operator"), operator, "not a valid selector operator")),
        }
    }
}
