//! What is refused in a job.

use serde_json::{Value, json};

use super::{NAME_LABELS, UID_LABELS};
use crate::kinds::fields::Fields;
use crate::kinds::validation::{complain, labels, one_of_if_set, qualified_name};
use crate::kinds::{pod, workload};
use crate::names;
use crate::selector::LabelSelector;
use crate::status::{FieldError, FieldPath};

/// Most pods of an indexed job at a time.
const INDEXED_PARALLELISM_MAX: i64 = 100_000;
/// Most completions of a job whose indexes fail one by one.
const INDEXES_MAX: i64 = 100_000;
/// Bytes of the name of whoever manages a job instead of the built-in controller.
const MANAGED_BY_BYTES_MAX: usize = 63;
const RULES_MAX: usize = 20;
const EXIT_CODES_MAX: usize = 255;
const PATTERNS_MAX: usize = 20;
const INDEXED_ONLY: &str = "requires indexed completion mode";

/// A job to be created.
pub(super) fn create(job: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    generated_selector(&mut errors, job);
    let spec = workload::part(job, "spec");
    self::spec(&mut errors, spec);
    let completions = spec.int("completions").unwrap_or(0);
    if spec.text("completionMode") == "Indexed" && completions > 0 {
        let name = workload::part(job, "metadata").text("name");
        let last = format!("{name}-{}", completions.saturating_sub(1));
        if !names::dns_label(&last).is_empty() {
            let detail = format!("will not able to create pod with invalid DNS name: {last}");
            errors.push(FieldError::invalid("metadata.name", name, detail));
        }
    }
    errors
}

/// A selector that was not made by hand is the one that this server makes.
fn generated_selector(errors: &mut Vec<FieldError>, job: &Value) {
    let (metadata, spec) = (workload::part(job, "metadata"), workload::part(job, "spec"));
    if spec.is_true("manualSelector") || !spec.has("selector") {
        return;
    }
    let (name, uid) = (metadata.text("name"), metadata.text("uid"));
    if uid.is_empty() {
        errors.push(FieldError::required("metadata.uid", ""));
    }
    let template = spec.at(&["template", "metadata", "labels"]).unwrap_or(&Value::Null);
    let path = FieldPath::root("spec");
    let path = path.child("template.metadata.labels");
    for (label, wanted) in [(UID_LABELS, uid), (NAME_LABELS, name)]
        .into_iter()
        .flat_map(|(labels, wanted)| labels.into_iter().map(move |label| (label, wanted)))
    {
        match template.text_if_set(label) {
            None => errors.push(FieldError::required(path.key(label), format!("must be '{wanted}'"))),
            Some(value) if value != wanted => {
                errors.push(FieldError::invalid(path.key(label), template.clone(), format!("must be '{wanted}'")));
            }
            Some(_) => {}
        }
    }
    let expected = json!({
        UID_LABELS[0]: uid, UID_LABELS[1]: uid, NAME_LABELS[0]: name, NAME_LABELS[1]: name,
    });
    if let Ok(selector) = LabelSelector::from_object(spec.child("selector"))
        && !selector.matches(expected.as_object())
    {
        errors.push(FieldError::invalid("spec.selector", spec["selector"].clone(), "`selector` not auto-generated"));
    }
}

/// The spec of a job with its selector.
pub(super) fn spec(errors: &mut Vec<FieldError>, spec: &Value) {
    let path = FieldPath::root("spec");
    without_selector(errors, &path, spec);
    let selector = spec.child("selector");
    if selector.is_none() {
        errors.push(FieldError::required(path.child("selector"), ""));
    }
    labels::selector(errors, &path.child("selector"), selector);
    if let Ok(selector) = LabelSelector::from_object(selector) {
        workload::template_is_selected(errors, &path.child("template"), workload::part(spec, "template"), &selector);
    }
}

/// The template of the jobs that a cron job makes, at `path`.
pub(crate) fn template(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, template: &Value) {
    let spec = workload::part(template, "spec");
    let path = path.child("spec");
    without_selector(errors, &path, spec);
    if let Some(selector) = spec.child("selector") {
        let detail = "`selector` will be auto-generated";
        errors.push(FieldError::invalid(path.child("selector"), selector.clone(), detail));
    }
    if spec.is_true("manualSelector") {
        errors.push(FieldError::not_supported(path.child("manualSelector"), true, ["nil", "false"]));
    }
}

fn without_selector(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, spec: &Value) {
    const COUNTS: &[&str] = &[
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ];
    workload::not_negatives(errors, path, spec, COUNTS);
    if spec.has("maxFailedIndexes") && !spec.has("backoffLimitPerIndex") {
        errors.push(FieldError::required(path.child("backoffLimitPerIndex"), "when maxFailedIndexes is specified"));
    }
    if let Some(manager) = spec.text_if_set("managedBy") {
        managed_by(errors, &path.child("managedBy"), manager);
    }
    completion_mode(errors, path, spec);
    if let Some(policy) = spec.child("podFailurePolicy") {
        failure_policy(errors, &path.child("podFailurePolicy"), policy, spec);
    }
    if let Some(policy) = spec.child("successPolicy") {
        success_policy(errors, &path.child("successPolicy"), policy, spec);
    }
    if let Some(policy) = spec.text_if_set("podReplacementPolicy") {
        let allowed: &[&str] =
            if spec.has("podFailurePolicy") { &["Failed"] } else { &["Failed", "TerminatingOrFailed"] };
        one_of_if_set(errors, &path.child("podReplacementPolicy"), Some(policy), allowed);
    }
    let template_path = path.child("template");
    let template = workload::part(spec, "template");
    pod::validate::template(errors, &template_path, template);
    let path = template_path.child("spec.restartPolicy");
    match workload::part(template, "spec").text("restartPolicy") {
        "OnFailure" | "Never" => {}
        // Whoever says nothing gets Always, so this is a question rather than a mistake.
        "" | "Always" => errors.push(FieldError::required(path, "valid values: \"OnFailure\", \"Never\"")),
        other => errors.push(FieldError::not_supported(path, other, ["OnFailure", "Never"])),
    }
}

fn managed_by(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, manager: &str) {
    if manager.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    match manager.split_once('/') {
        Some((domain, rest)) if !domain.is_empty() && !rest.is_empty() => {
            complain(errors, path, domain, names::dns_subdomain(domain));
        }
        _ => {
            errors.push(FieldError::invalid(path, manager, "must be a domain-prefixed path (such as \"acme.io/foo\")"))
        }
    }
    if manager.len() > MANAGED_BY_BYTES_MAX {
        errors.push(FieldError::too_long(path, MANAGED_BY_BYTES_MAX));
    }
}

fn completion_mode(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, spec: &Value) {
    let Some(mode) = spec.text_if_set("completionMode") else { return };
    one_of_if_set(errors, &path.child("completionMode"), Some(mode), &["NonIndexed", "Indexed"]);
    if mode == "NonIndexed" {
        for field in ["backoffLimitPerIndex", "maxFailedIndexes"] {
            if let Some(value) = spec.int(field) {
                errors.push(FieldError::invalid(path.child(field), value, INDEXED_ONLY));
            }
        }
    }
    if mode != "Indexed" {
        return;
    }
    let Some(completions) = spec.int("completions") else {
        errors.push(FieldError::required(path.child("completions"), "when completion mode is Indexed"));
        return;
    };
    let at_most = |value: i64, most: i64, detail: &str| (value > most).then(|| (value, detail.to_owned()));
    let parallelism = spec.int("parallelism").unwrap_or(0);
    let detail = format!("must be less than or equal to {INDEXED_PARALLELISM_MAX} when completion mode is Indexed");
    if let Some((value, detail)) = at_most(parallelism, INDEXED_PARALLELISM_MAX, &detail) {
        errors.push(FieldError::invalid(path.child("parallelism"), value, detail));
    }
    if spec.has("backoffLimitPerIndex") && completions > INDEXES_MAX {
        let detail = format!("must be less than or equal to {INDEXES_MAX} when backoffLimitPerIndex is specified");
        errors.push(FieldError::invalid(path.child("completions"), completions, detail));
    }
    if let Some(failed) = spec.int("maxFailedIndexes").filter(|failed| *failed > completions) {
        let detail = "must be less than or equal to completions";
        errors.push(FieldError::invalid(path.child("maxFailedIndexes"), failed, detail));
    }
}

fn failure_policy(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, policy: &Value, spec: &Value) {
    let pod = workload::part(workload::part(spec, "template"), "spec");
    if pod.text("restartPolicy") != "Never" {
        errors.push(FieldError::invalid(
            "spec.template.spec.restartPolicy",
            pod.text("restartPolicy"),
            "only \"Never\" is supported when podFailurePolicy is specified",
        ));
    }
    let rules_path = path.child("rules");
    let rules = policy.list("rules");
    if rules.len() > RULES_MAX {
        errors.push(FieldError::too_many(rules_path, rules.len(), RULES_MAX));
    }
    let containers: Vec<&str> = ["initContainers", "containers"]
        .into_iter()
        .flat_map(|list| pod.list(list).iter().map(|container| container.text("name")))
        .collect();
    for (index, rule) in rules.iter().enumerate() {
        failure_rule(errors, &rules_path.index(index), rule, &containers, spec);
    }
}

fn failure_rule(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, rule: &Value, containers: &[&str], spec: &Value) {
    const ACTIONS: &[&str] = &["Count", "FailIndex", "FailJob", "Ignore"];
    let action = rule.text("action");
    match action {
        "" => errors.push(FieldError::required(path.child("action"), "valid values: [Count FailIndex FailJob Ignore]")),
        "FailIndex" if !spec.has("backoffLimitPerIndex") => {
            let detail = "requires the backoffLimitPerIndex to be set";
            errors.push(FieldError::invalid(path.child("action"), action, detail));
        }
        _ => one_of_if_set(errors, &path.child("action"), Some(action), ACTIONS),
    }
    let (codes, conditions) = (rule.child("onExitCodes"), rule.list("onPodConditions"));
    match (codes, conditions.is_empty()) {
        (Some(_), false) => {
            let detail = "specifying both OnExitCodes and OnPodConditions is not supported";
            errors.push(FieldError::invalid(path, rule.clone(), detail));
        }
        (None, true) => {
            let detail = "specifying one of OnExitCodes and OnPodConditions is required";
            errors.push(FieldError::invalid(path, rule.clone(), detail));
        }
        _ => {}
    }
    if let Some(codes) = codes {
        exit_codes(errors, &path.child("onExitCodes"), codes, containers);
    }
    let path = path.child("onPodConditions");
    if conditions.len() > PATTERNS_MAX {
        errors.push(FieldError::too_many(path, conditions.len(), PATTERNS_MAX));
    }
    for (index, pattern) in conditions.iter().enumerate() {
        let path = path.index(index);
        qualified_name(errors, &path.child("type"), pattern.text("type"));
        let status = pattern.text("status");
        if status.is_empty() {
            errors.push(FieldError::required(path.child("status"), "valid values: [False True Unknown]"));
        } else {
            one_of_if_set(errors, &path.child("status"), Some(status), &["False", "True", "Unknown"]);
        }
    }
}

fn exit_codes(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, codes: &Value, containers: &[&str]) {
    let operator = codes.text("operator");
    if operator.is_empty() {
        errors.push(FieldError::required(path.child("operator"), "valid values: [In NotIn]"));
    } else {
        one_of_if_set(errors, &path.child("operator"), Some(operator), &["In", "NotIn"]);
    }
    if let Some(name) = codes.text_if_set("containerName").filter(|name| !containers.contains(name)) {
        let detail = "must be one of the container or initContainer names in the pod template";
        errors.push(FieldError::invalid(path.child("containerName"), name, detail));
    }
    let values_path = path.child("values");
    let values: Vec<i64> = codes.list("values").iter().filter_map(Value::as_i64).collect();
    if values.is_empty() {
        errors.push(FieldError::invalid(values_path, json!(values), "at least one value is required"));
    } else if values.len() > EXIT_CODES_MAX {
        errors.push(FieldError::too_many(values_path, values.len(), EXIT_CODES_MAX));
    }
    for (index, value) in values.iter().enumerate() {
        let path = values_path.index(index);
        if operator == "In" && *value == 0 {
            errors.push(FieldError::invalid(path, 0, "must not be 0 for the In operator"));
        } else if values.iter().take(index).any(|earlier| earlier == value) {
            errors.push(FieldError::duplicate(path, *value));
        }
    }
    if values.windows(2).any(|pair| pair[0] > pair[1]) {
        errors.push(FieldError::invalid(values_path, json!(values), "must be ordered"));
    }
}

fn success_policy(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, policy: &Value, spec: &Value) {
    if spec.text("completionMode") != "Indexed" {
        errors.push(FieldError::invalid(path, policy.clone(), INDEXED_ONLY));
        return;
    }
    let path = path.child("rules");
    let rules = policy.list("rules");
    if rules.is_empty() {
        errors.push(FieldError::required(
            path,
            "at least one rules must be specified when the successPolicy is specified",
        ));
    }
    if rules.len() > RULES_MAX {
        errors.push(FieldError::too_many(path, rules.len(), RULES_MAX));
    }
    let completions = spec.int("completions").unwrap_or(0);
    for (index, rule) in rules.iter().enumerate() {
        let path = path.index(index);
        let (indexes, count) = (rule.text_if_set("succeededIndexes"), rule.int("succeededCount"));
        if indexes.is_none() && count.is_none() {
            let detail = "at least one of succeededCount or succeededIndexes must be specified";
            errors.push(FieldError::required(path, detail));
        }
        if let Some(count) = count {
            let path = path.child("succeededCount");
            if count <= 0 {
                errors.push(FieldError::invalid(path, count, "must be greater than 0"));
            } else if count > completions {
                let detail =
                    format!("must be less than or equal to {completions} (the number of specified completions)");
                errors.push(FieldError::invalid(path, count, detail));
            }
        }
    }
}
