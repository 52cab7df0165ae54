//! Who else is asked before an object is written: webhooks, and policies in CEL. Here they are objects only; what
//! they do is done by the API server's admission.

mod mutating;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cel::Program;
use crate::kind::{Behaviour, Column, Kind, PART_VERBS, Part};
use crate::kinds::fields::{self, Fields};
use crate::kinds::validation::{dns_subdomain, labels, one_of_if_set};
use crate::kinds::{columns, object_meta, spec_status};
use crate::status::{FieldError, FieldPath};

pub use mutating::beta_kinds;

const GROUP: &str = "admissionregistration.k8s.io";
const CATEGORY: &[&str] = &["api-extensions"];

static WEBHOOK_COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    let count = "Webhooks indicates the number of webhooks configured in this object";
    vec![columns::name(), Column { kind: "integer".into(), ..columns::text("Webhooks", count) }, columns::age()]
});

static POLICY_COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    let count = "Validations indicates the number of validation rules defined in this configuration";
    let kind = "ParamKind specifies the kind of resources used to parameterize this policy";
    vec![
        columns::name(),
        Column { kind: "integer".into(), ..columns::text("Validations", count) },
        columns::text("ParamKind", kind),
        columns::age(),
    ]
});

static BINDING_COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    vec![
        columns::name(),
        columns::text("PolicyName", "PolicyName indicates the policy definition which the policy binding binded to"),
        columns::text("ParamRef", "ParamRef indicates the param resource which the policy binding binded to"),
        columns::age(),
    ]
});

#[derive(Debug)]
struct Webhooks {
    mutating: bool,
}

#[derive(Debug)]
struct Policy;

#[derive(Debug)]
struct PolicyBinding;

/// All of them, in discovery's order.
pub(super) fn kinds() -> [Kind; 4] {
    let finish = |kind: Kind| kind.categories(CATEGORY).cluster_scoped().updates_need_a_version();
    let webhooks = |name: &'static str, plural: &'static str, mutating| {
        finish(Kind::new(GROUP, "v1", name, plural, Webhooks { mutating }))
    };
    [
        webhooks("MutatingWebhookConfiguration", "mutatingwebhookconfigurations", true)
            .schema("io.k8s.api.admissionregistration.v1.MutatingWebhookConfiguration"),
        finish(Kind::new(GROUP, "v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies", Policy))
            .schema("io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicy")
            .part("status", Part::Status, PART_VERBS),
        finish(Kind::new(
            GROUP,
            "v1",
            "ValidatingAdmissionPolicyBinding",
            "validatingadmissionpolicybindings",
            PolicyBinding,
        ))
        .schema("io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicyBinding"),
        webhooks("ValidatingWebhookConfiguration", "validatingwebhookconfigurations", false)
            .schema("io.k8s.api.admissionregistration.v1.ValidatingWebhookConfiguration"),
    ]
}

impl Behaviour for Webhooks {
    fn default(&self, object: &mut Value) {
        for webhook in fields::items_mut(object, "webhooks") {
            fields::set_default(webhook, "failurePolicy", "Fail");
            fields::set_default(webhook, "timeoutSeconds", 10);
            if self.mutating {
                fields::set_default(webhook, "reinvocationPolicy", "Never");
            }
            default_match(webhook);
            default_scope(webhook, "rules");
            let client = fields::object_mut(webhook, "clientConfig");
            if let Some(service) = client.and_then(|client| client.get_mut("service")) {
                fields::set_default(service, "port", 443);
            }
        }
    }

    fn prepare_create(&self, object: &mut Value) {
        object_meta::first_generation(object);
    }

    fn prepare_update(&self, _part: Part, new: &mut Value, old: &Value) {
        spec_status::bump_if_changed(new, old, "webhooks");
    }

    fn revalidates_metadata(&self, _part: Part) -> bool {
        true
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let path = FieldPath::root("webhooks");
        let mut seen = BTreeSet::new();
        for (index, given) in object.list("webhooks").iter().enumerate() {
            let path = path.index(index);
            webhook(&mut errors, &path, given, self.mutating);
            if !seen.insert(given.text("name")) {
                errors.push(FieldError::duplicate(path.child("name"), given.text("name")));
            }
        }
        errors
    }

    fn validate_update(&self, _part: Part, new: &Value, _old: &Value) -> Vec<FieldError> {
        self.validate_create(new)
    }

    fn columns(&self) -> &[Column] {
        &WEBHOOK_COLUMNS
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let count = object.list("webhooks").len();
        vec![columns::name_cell(object), Value::from(count), columns::age_cell(object, now)]
    }
}

fn default_match(object: &mut Value) {
    fields::set_default(object, "matchPolicy", "Equivalent");
    fields::set_default(object, "namespaceSelector", json!({}));
    fields::set_default(object, "objectSelector", json!({}));
}

/// Complains about an expression that cannot be read.
fn expression(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, source: &str) {
    if let Err(error) = Program::compile(source) {
        errors.push(FieldError::invalid(path, source, format!("compilation failed: {error}")));
    }
}

/// Named expressions: match conditions, and the variables of a policy.
fn named_expressions(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, list: &[Value]) {
    let mut seen = BTreeSet::new();
    for (index, given) in list.iter().enumerate() {
        let path = path.index(index);
        match given.text("expression") {
            source if source.trim().is_empty() => errors.push(FieldError::required(path.child("expression"), "")),
            source => expression(errors, &path.child("expression"), source),
        }
        match given.text("name") {
            "" => errors.push(FieldError::required(path.child("name"), "")),
            name if !seen.insert(name) => errors.push(FieldError::duplicate(path.child("name"), name)),
            _ => {}
        }
    }
}

fn default_scope(object: &mut Value, rules: &str) {
    for rule in fields::items_mut(object, rules) {
        fields::set_default(rule, "scope", "*");
    }
}

fn webhook(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, webhook: &Value, mutating: bool) {
    let name = webhook.text("name");
    if name.is_empty() {
        errors.push(FieldError::required(path.child("name"), ""));
    } else {
        dns_subdomain(errors, &path.child("name"), name);
        if name.split('.').count() < 3 {
            let detail = "should be a domain with at least three segments separated by dots";
            errors.push(FieldError::invalid(path.child("name"), name, detail));
        }
    }
    for (index, given) in webhook.list("rules").iter().enumerate() {
        rule(errors, &path.child("rules").index(index), given);
    }
    let failure = webhook.text_if_set("failurePolicy");
    one_of_if_set(errors, &path.child("failurePolicy"), failure, &["Fail", "Ignore"]);
    one_of_if_set(errors, &path.child("matchPolicy"), webhook.text_if_set("matchPolicy"), &["Equivalent", "Exact"]);
    let side_effects = webhook.text_if_set("sideEffects");
    if side_effects.is_none() {
        errors.push(FieldError::required(path.child("sideEffects"), "must specify one of None, NoneOnDryRun"));
    }
    one_of_if_set(errors, &path.child("sideEffects"), side_effects, &["None", "NoneOnDryRun"]);
    if mutating {
        let policy = webhook.text_if_set("reinvocationPolicy");
        one_of_if_set(errors, &path.child("reinvocationPolicy"), policy, &["IfNeeded", "Never"]);
    }
    if let Some(seconds) = webhook.int("timeoutSeconds").filter(|seconds| !(1..=30).contains(seconds)) {
        let detail = "the timeout value must be between 1 and 30 seconds";
        errors.push(FieldError::invalid(path.child("timeoutSeconds"), seconds, detail));
    }
    for selector in ["namespaceSelector", "objectSelector"] {
        labels::selector(errors, &path.child(selector), webhook.child(selector));
    }
    named_expressions(errors, &path.child("matchConditions"), webhook.list("matchConditions"));
    client(errors, &path.child("clientConfig"), webhook.child("clientConfig").unwrap_or(&Value::Null));
    let versions = webhook.texts("admissionReviewVersions");
    let at = path.child("admissionReviewVersions");
    if versions.is_empty() {
        errors.push(FieldError::required(at, "must specify one of v1, v1beta1"));
    } else if !versions.iter().any(|version| matches!(*version, "v1" | "v1beta1")) {
        errors.push(FieldError::invalid(at, json!(versions), "must include at least one of v1, v1beta1"));
    }
}

fn rule(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, rule: &Value) {
    let operations = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
    if rule.list("operations").is_empty() {
        errors.push(FieldError::required(path.child("operations"), ""));
    }
    for (index, operation) in rule.texts("operations").into_iter().enumerate() {
        one_of_if_set(errors, &path.child("operations").index(index), Some(operation), &operations);
    }
    for field in ["apiGroups", "apiVersions", "resources"] {
        let at = path.child(field);
        let texts = rule.texts(field);
        if texts.is_empty() {
            errors.push(FieldError::required(at, ""));
        }
        if field != "resources" && texts.len() > 1 && texts.contains(&"*") {
            let detail = "if '*' is present, must not specify other ".to_owned()
                + if field == "apiGroups" { "API groups" } else { "API versions" };
            errors.push(FieldError::invalid(at, json!(texts), detail));
        }
    }
    one_of_if_set(errors, &path.child("scope"), rule.text_if_set("scope"), &["*", "Cluster", "Namespaced"]);
}

/// What is wrong with the address of a webhook.
pub(crate) fn client(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, client: &Value) {
    let (url, service) = (client.text_if_set("url"), client.child("service"));
    if url.is_some() == service.is_some() {
        errors.push(FieldError::required(path, "exactly one of url or service is required"));
    } else if let Some(url) = url {
        if !url.starts_with("https://") {
            let detail = "'https' is the only allowed URL scheme; desired format: https://host[/path]";
            errors.push(FieldError::invalid(path.child("url"), url, detail));
        }
    } else if let Some(service) = service {
        let path = path.child("service");
        for (field, detail) in [("name", "service name is required"), ("namespace", "service namespace is required")] {
            if service.text(field).is_empty() {
                errors.push(FieldError::required(path.child(field), detail));
            }
        }
        if let Some(port) = service.int("port").filter(|port| !(1..=65535).contains(port)) {
            let detail = "port is not valid: must be between 1 and 65535, inclusive";
            errors.push(FieldError::invalid(path.child("port"), port, detail));
        }
    }
}

impl Behaviour for Policy {
    fn default(&self, object: &mut Value) {
        let Some(spec) = fields::object_mut(object, "spec") else { return };
        fields::set_default(spec, "failurePolicy", "Fail");
        if let Some(constraints) = spec.get_mut("matchConstraints").filter(|constraints| constraints.is_object()) {
            default_match(constraints);
            default_scope(constraints, "resourceRules");
            default_scope(constraints, "excludeResourceRules");
        }
    }

    fn prepare_create(&self, object: &mut Value) {
        spec_status::prepare_create(object);
    }

    fn prepare_update(&self, part: Part, new: &mut Value, old: &Value) {
        spec_status::prepare_update(part, new, old);
    }

    fn revalidates_metadata(&self, part: Part) -> bool {
        part == Part::Object
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let null = Value::Null;
        let spec = object.child("spec").unwrap_or(&null);
        let path = FieldPath::root("spec");
        let failure = spec.text_if_set("failurePolicy");
        one_of_if_set(&mut errors, &path.child("failurePolicy"), failure, &["Fail", "Ignore"]);
        let at = path.child("matchConstraints");
        match spec.child("matchConstraints") {
            None => errors.push(FieldError::required(at, "")),
            Some(constraints) => {
                let rules = constraints.list("resourceRules");
                if rules.is_empty() {
                    errors.push(FieldError::required(at.child("resourceRules"), ""));
                }
                for (index, given) in rules.iter().enumerate() {
                    rule(&mut errors, &at.child("resourceRules").index(index), given);
                }
            }
        }
        let validations = spec.list("validations");
        if validations.is_empty() && spec.list("auditAnnotations").is_empty() {
            let detail = "validations or auditAnnotations must contain at least one item";
            for field in ["validations", "auditAnnotations"] {
                errors.push(FieldError::required(path.child(field), detail));
            }
        }
        named_expressions(&mut errors, &path.child("matchConditions"), spec.list("matchConditions"));
        named_expressions(&mut errors, &path.child("variables"), spec.list("variables"));
        let list = path.child("validations");
        for (index, validation) in validations.iter().enumerate() {
            let path = list.index(index);
            match validation.text("expression") {
                source if source.trim().is_empty() => {
                    errors.push(FieldError::required(path.child("expression"), "expression is not specified"));
                }
                source => expression(&mut errors, &path.child("expression"), source),
            }
            match validation.text("messageExpression") {
                source if source.trim().is_empty() => {}
                source => expression(&mut errors, &path.child("messageExpression"), source),
            }
        }
        let list = path.child("auditAnnotations");
        for (index, annotation) in spec.list("auditAnnotations").iter().enumerate() {
            let path = list.index(index);
            expression(&mut errors, &path.child("valueExpression"), annotation.text("valueExpression"));
        }
        errors
    }

    fn validate_update(&self, part: Part, new: &Value, _old: &Value) -> Vec<FieldError> {
        if part == Part::Status { Vec::new() } else { self.validate_create(new) }
    }

    fn reset_fields(&self, part: Part) -> &'static [&'static str] {
        spec_status::reset_fields(part)
    }

    fn columns(&self) -> &[Column] {
        &POLICY_COLUMNS
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let null = Value::Null;
        let spec = object.child("spec").unwrap_or(&null);
        let kind = spec
            .child("paramKind")
            .map_or_else(|| "<unset>".to_owned(), |kind| format!("{}/{}", kind.text("apiVersion"), kind.text("kind")));
        vec![
            columns::name_cell(object),
            Value::from(spec.list("validations").len()),
            Value::from(kind),
            columns::age_cell(object, now),
        ]
    }
}

impl Behaviour for PolicyBinding {
    fn default(&self, object: &mut Value) {
        let Some(spec) = fields::object_mut(object, "spec") else { return };
        if let Some(resources) = spec.get_mut("matchResources").filter(|resources| resources.is_object()) {
            default_match(resources);
            default_scope(resources, "resourceRules");
            default_scope(resources, "excludeResourceRules");
        }
    }

    fn prepare_create(&self, object: &mut Value) {
        object_meta::first_generation(object);
    }

    fn prepare_update(&self, _part: Part, new: &mut Value, old: &Value) {
        spec_status::bump_if_changed(new, old, "spec");
    }

    fn revalidates_metadata(&self, _part: Part) -> bool {
        true
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let null = Value::Null;
        let spec = object.child("spec").unwrap_or(&null);
        let path = FieldPath::root("spec");
        let policy = spec.text("policyName");
        if policy.is_empty() {
            errors.push(FieldError::required(path.child("policyName"), ""));
        } else {
            dns_subdomain(&mut errors, &path.child("policyName"), policy);
        }
        let actions = spec.texts("validationActions");
        let at = path.child("validationActions");
        if actions.is_empty() {
            errors.push(FieldError::required(at, ""));
        }
        if actions.contains(&"Deny") && actions.contains(&"Warn") {
            let detail = "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)";
            errors.push(FieldError::invalid(at, json!(actions), detail));
        }
        for (index, action) in actions.into_iter().enumerate() {
            one_of_if_set(&mut errors, &at.index(index), Some(action), &["Audit", "Deny", "Warn"]);
        }
        if let Some(reference) = spec.child("paramRef") {
            let at = path.child("paramRef");
            match (reference.text("name").is_empty(), reference.child("selector")) {
                (true, None) => {
                    let detail = "one of name or selector must be specified";
                    errors.push(FieldError::required(at.child("name"), detail));
                }
                (false, Some(_)) => {
                    let detail = "name and selector are mutually exclusive";
                    errors.push(FieldError::forbidden(at.child("name"), detail));
                }
                _ => {}
            }
            if !reference.has("parameterNotFoundAction") {
                errors.push(FieldError::required(at.child("parameterNotFoundAction"), ""));
            }
        }
        errors
    }

    fn validate_update(&self, _part: Part, new: &Value, _old: &Value) -> Vec<FieldError> {
        self.validate_create(new)
    }

    fn columns(&self) -> &[Column] {
        &BINDING_COLUMNS
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let null = Value::Null;
        let spec = object.child("spec").unwrap_or(&null);
        let reference = spec.child("paramRef").map_or_else(
            || "<unset>".to_owned(),
            |reference| match (reference.text("namespace"), reference.text("name")) {
                (_, "") => "*".to_owned(),
                ("", name) => format!("*/{name}"),
                (namespace, name) => format!("{namespace}/{name}"),
            },
        );
        vec![
            columns::name_cell(object),
            Value::from(spec.text("policyName")),
            Value::from(reference),
            columns::age_cell(object, now),
        ]
    }
}
