//! Where a pod may run: affinity, tolerations, topology spread, scheduling gates.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::kinds::fields::Fields;
use crate::kinds::node::taint_effect;
use crate::kinds::validation::{complain, dns_label, labels, one_of_if_set, qualified_name};
use crate::names;
use crate::status::{FieldError, FieldPath};

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
const NO_OPERATOR: &str = "not a valid selector operator";
const WEIGHT: &str = "must be in the range 1-100";

pub(super) fn affinity(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, affinity: Option<&Value>) {
    let Some(affinity) = affinity else { return };
    if let Some(node) = affinity.child("nodeAffinity") {
        node_affinity(errors, &path.child("nodeAffinity"), node);
    }
    for kind in ["podAffinity", "podAntiAffinity"] {
        if let Some(pods) = affinity.child(kind) {
            pod_affinity(errors, &path.child(kind), pods);
        }
    }
}

fn node_affinity(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, affinity: &Value) {
    if let Some(required) = affinity.child(REQUIRED) {
        let path = path.child(REQUIRED);
        node_selector(errors, &path, required);
    }
    let path = path.child(PREFERRED);
    for (index, term) in affinity.list(PREFERRED).iter().enumerate() {
        let path = path.index(index);
        weight(errors, &path.child("weight"), term);
        if let Some(preference) = term.child("preference") {
            node_term(errors, &path.child("preference"), preference, false);
        }
    }
}

fn weight(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, term: &Value) {
    let weight = term.int("weight").unwrap_or(0);
    if !(1..=100).contains(&weight) {
        errors.push(FieldError::invalid(path, weight, WEIGHT));
    }
}

/// Terms of which one must match; also used by volumes and classes.
pub(crate) fn node_selector(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, selector: &Value) {
    let path = path.child("nodeSelectorTerms");
    let terms = selector.list("nodeSelectorTerms");
    if terms.is_empty() {
        errors.push(FieldError::required(path, "must have at least one node selector term"));
    }
    for (index, term) in terms.iter().enumerate() {
        node_term(errors, &path.index(index), term, true);
    }
}

/// `strict`: values must be label values. A mere preference may name any text.
fn node_term(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, term: &Value, strict: bool) {
    let expressions = path.child("matchExpressions");
    for (index, requirement) in term.list("matchExpressions").iter().enumerate() {
        node_labels(errors, &expressions.index(index), requirement, strict);
    }
    let fields = path.child("matchFields");
    for (index, requirement) in term.list("matchFields").iter().enumerate() {
        node_fields(errors, &fields.index(index), requirement);
    }
}

fn node_labels(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, requirement: &Value, strict: bool) {
    let values = requirement.texts("values");
    let values_path = path.child("values");
    match requirement.text("operator") {
        "In" | "NotIn" if values.is_empty() => {
            errors.push(FieldError::required(values_path, "must be specified when `operator` is 'In' or 'NotIn'"));
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => errors.push(FieldError::forbidden(
            values_path,
            "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
        )),
        "Gt" | "Lt" if values.len() != 1 => errors
            .push(FieldError::required(values_path, "must be specified single value when `operator` is 'Lt' or 'Gt'")),
        "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
        operator => errors.push(FieldError::invalid(path.child("operator"), operator, NO_OPERATOR)),
    }
    qualified_name(errors, &path.child("key"), requirement.text("key"));
    if strict {
        for (index, value) in values.into_iter().enumerate() {
            complain(errors, &values_path.index(index), value, names::label_value(value));
        }
    }
}

fn node_fields(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, requirement: &Value) {
    let values = requirement.texts("values");
    let values_path = path.child("values");
    match requirement.text("operator") {
        "In" | "NotIn" if values.len() != 1 => errors.push(FieldError::required(
            values_path,
            "must be only one value when `operator` is 'In' or 'NotIn' for node field selector",
        )),
        "In" | "NotIn" => {}
        operator => errors.push(FieldError::invalid(path.child("operator"), operator, NO_OPERATOR)),
    }
    let key = requirement.text("key");
    if key != "metadata.name" {
        errors.push(FieldError::invalid(path.child("key"), key, "not a valid field selector key"));
        return;
    }
    for (index, value) in values.into_iter().enumerate() {
        complain(errors, &values_path.index(index), value, names::dns_subdomain(value));
    }
}

fn pod_affinity(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, affinity: &Value) {
    let required = path.child(REQUIRED);
    for (index, term) in affinity.list(REQUIRED).iter().enumerate() {
        pod_term(errors, &required.index(index), term);
    }
    let preferred = path.child(PREFERRED);
    let null = Value::Null;
    for (index, term) in affinity.list(PREFERRED).iter().enumerate() {
        let path = preferred.index(index);
        weight(errors, &path.child("weight"), term);
        pod_term(errors, &path.child("podAffinityTerm"), term.child("podAffinityTerm").unwrap_or(&null));
    }
}

fn pod_term(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, term: &Value) {
    for field in ["labelSelector", "namespaceSelector"] {
        labels::selector(errors, &path.child(field), term.child(field));
    }
    for namespace in term.texts("namespaces") {
        dns_label(errors, &path.child("namespace"), namespace);
    }
    label_keys(errors, path, term);
    let key = term.text("topologyKey");
    if key.is_empty() {
        errors.push(FieldError::required(path.child("topologyKey"), "can not be empty"));
    }
    qualified_name(errors, &path.child("topologyKey"), key);
}

/// `matchLabelKeys` and `mismatchLabelKeys`: keys of the pod's own labels, whose values join the selector.
///
/// By now they have joined it. So a key that the client itself had in the selector stands there twice.
fn label_keys(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, term: &Value) {
    let (keys, other_keys) = (term.texts("matchLabelKeys"), term.texts("mismatchLabelKeys"));
    let selector = term.child("labelSelector");
    for (field, keys) in [("matchLabelKeys", &keys), ("mismatchLabelKeys", &other_keys)] {
        let path = path.child(field);
        if !keys.is_empty() && selector.is_none() {
            errors.push(FieldError::forbidden(path, "must not be specified when labelSelector is not set"));
            continue;
        }
        for (index, key) in keys.iter().enumerate() {
            qualified_name(errors, &path.index(index), key);
        }
    }
    if let Some(selector) = selector {
        let labels = selector.map("matchLabels");
        let mut seen: BTreeSet<&str> =
            labels.into_iter().flat_map(|labels| labels.keys().map(String::as_str)).collect();
        for expression in selector.list("matchExpressions") {
            let key = expression.text("key");
            if let Some(index) = keys.iter().rposition(|own| *own == key).filter(|_| seen.contains(key)) {
                let detail = "exists in both matchLabelKeys and labelSelector";
                errors.push(FieldError::invalid(path.index(index), key, detail));
            }
            seen.insert(key);
        }
    }
    let keys_path = path.child("matchLabelKeys");
    for (index, key) in keys.iter().enumerate() {
        if other_keys.contains(key) {
            let detail = "exists in both matchLabelKeys and mismatchLabelKeys";
            errors.push(FieldError::invalid(keys_path.index(index), *key, detail));
        }
    }
}

pub(crate) fn tolerations(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, tolerations: &[Value]) {
    for (index, toleration) in tolerations.iter().enumerate() {
        self::toleration(errors, &path.index(index), toleration);
    }
}

fn toleration(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, toleration: &Value) {
    let (key, operator) = (toleration.text("key"), toleration.text("operator"));
    let (value, effect) = (toleration.text("value"), toleration.text("effect"));
    let operator_path = path.child("operator");
    if key.is_empty() {
        if operator != "Exists" {
            let detail = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            errors.push(FieldError::invalid(operator_path, operator, detail));
        }
    } else {
        qualified_name(errors, &path.child("key"), key);
    }
    if toleration.has("tolerationSeconds") && effect != "NoExecute" {
        let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
        errors.push(FieldError::invalid(path.child("effect"), effect, detail));
    }
    match operator {
        "" | "Equal" => {
            let complaints = names::label_value(value);
            if !complaints.is_empty() {
                errors.push(FieldError::invalid(operator_path, value, complaints.join(";")));
            }
        }
        "Exists" => {
            if !value.is_empty() {
                let detail = "value must be empty when `operator` is 'Exists'";
                errors.push(FieldError::invalid(operator_path, value, detail));
            }
        }
        _ => one_of_if_set(errors, &operator_path, Some(operator), &["Equal", "Exists"]),
    }
    if !effect.is_empty() {
        taint_effect(errors, &path.child("effect"), effect);
    }
}

pub(super) fn spread(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, constraints: &[Value]) {
    for (index, constraint) in constraints.iter().enumerate() {
        let path = path.index(index);
        let skew = constraint.int("maxSkew").unwrap_or(0);
        if skew <= 0 {
            errors.push(FieldError::invalid(path.child("maxSkew"), skew, "must be greater than zero"));
        }
        let (key, action) = (constraint.text("topologyKey"), constraint.text("whenUnsatisfiable"));
        if key.is_empty() {
            errors.push(FieldError::required(path.child("topologyKey"), "can not be empty"));
        }
        const ACTIONS: &[&str] = &["DoNotSchedule", "ScheduleAnyway"];
        one_of_if_set(errors, &path.child("whenUnsatisfiable"), Some(action), ACTIONS);
        let rest = constraints.get(index + 1..).unwrap_or_default();
        let same = |other: &Value| other.text("topologyKey") == key && other.text("whenUnsatisfiable") == action;
        if rest.iter().any(same) {
            let pair = path.child("{topologyKey, whenUnsatisfiable}");
            errors.push(FieldError::duplicate(pair, format!("{{{key}, {action}}}")));
        }
        if let Some(domains) = constraint.int("minDomains") {
            min_domains(errors, &path.child("minDomains"), domains, action);
        }
        for field in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            one_of_if_set(errors, &path.child(field), constraint.text_if_set(field), &["Honor", "Ignore"]);
        }
        label_keys(errors, &path, constraint);
        labels::selector(errors, &path.child("labelSelector"), constraint.child("labelSelector"));
    }
}

fn min_domains(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, domains: i64, action: &str) {
    if domains <= 0 {
        errors.push(FieldError::invalid(path, domains, "must be greater than zero"));
    }
    if action != "DoNotSchedule" {
        let detail = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}");
        errors.push(FieldError::invalid(path, domains, detail));
    }
}

pub(super) fn gates(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, gates: &[Value]) {
    let mut seen = BTreeSet::new();
    for (index, gate) in gates.iter().enumerate() {
        let name = gate.text("name");
        qualified_name(errors, &path.index(index), name);
        if !seen.insert(name) {
            errors.push(FieldError::duplicate(path.index(index), name));
        }
    }
}
