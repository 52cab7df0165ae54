//! What is refused in schemas and levels.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{EXEMPT, bootstrap};
use crate::kinds::fields::{Fields, same};
use crate::kinds::validation::complain;
use crate::names;
use crate::status::{FieldError, FieldPath};

const PRECEDENCE_MAX: i64 = 10_000;
const QUEUES_MAX: i64 = 10_000_000;
/// Bits of the hash that deals hands of queues.
const HASH_BITS: u32 = 60;
const VERBS: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];

fn part<'a>(object: &'a Value, name: &str) -> &'a Value {
    object.child(name).unwrap_or(&Value::Null)
}

/// A schema, its status included.
pub(super) fn schema(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let (spec, name) = (part(object, "spec"), part(object, "metadata").text("name"));
    let path = FieldPath::root("spec");
    precedence(&mut errors, &path.child("matchingPrecedence"), spec, name);
    if let Some(method) = spec.child("distinguisherMethod") {
        let methods = ["ByNamespace", "ByUser"];
        if !methods.contains(&method.text("type")) {
            let shown = serde_json::json!({ "Type": method.text("type") });
            let path = path.child("distinguisherMethod");
            errors.push(FieldError::not_supported(path.child("type"), shown, methods));
        }
    }
    let level_path = path.child("priorityLevelConfiguration");
    match part(spec, "priorityLevelConfiguration").text("name") {
        "" => errors.push(FieldError::required(level_path.child("name"), "must reference a priority level")),
        level => complain(&mut errors, &level_path.child("name"), level, names::dns_subdomain(level)),
    }
    for (index, given) in spec.list("rules").iter().enumerate() {
        rule(&mut errors, &path.child("rules").index(index), given);
    }
    if let Some(fixed) = bootstrap::mandatory_schema(name)
        && !same(Some(part(&fixed, "spec")), Some(spec))
    {
        let detail = format!("spec of '{name}' must equal the fixed value");
        errors.push(FieldError::invalid("spec", spec.clone(), detail));
    }
    errors.extend(conditions(object));
    errors
}

fn precedence(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, spec: &Value, name: &str) {
    let precedence = spec.int("matchingPrecedence").unwrap_or(0);
    if precedence <= 0 {
        errors.push(FieldError::invalid(path, precedence, "must be a positive value"));
    }
    if precedence > PRECEDENCE_MAX {
        let detail = format!("must not be greater than {PRECEDENCE_MAX}");
        errors.push(FieldError::invalid(path, precedence, detail));
    }
    if precedence == 1 && name != EXEMPT {
        let detail = "only the schema named 'exempt' may have matchingPrecedence 1";
        errors.push(FieldError::invalid(path, precedence, detail));
    }
}

/// Conditions of a status: each type once.
pub(super) fn conditions(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let path = FieldPath::root("status");
    let path = path.child("conditions");
    let mut seen = BTreeSet::new();
    for (index, condition) in part(object, "status").list("conditions").iter().enumerate() {
        let path = path.index(index);
        let kind = condition.text("type");
        if !seen.insert(kind) {
            errors.push(FieldError::duplicate(path.child("type"), kind));
        }
        if kind.is_empty() {
            errors.push(FieldError::required(path.child("type"), "must not be empty"));
        }
    }
    errors
}

fn rule(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, rule: &Value) {
    if rule.list("subjects").is_empty() {
        errors.push(FieldError::required(path.child("subjects"), "subjects must contain at least one value"));
    }
    for (index, given) in rule.list("subjects").iter().enumerate() {
        subject(errors, &path.child("subjects").index(index), given);
    }
    if rule.list("resourceRules").is_empty() && rule.list("nonResourceRules").is_empty() {
        let detail = "at least one of resourceRules and nonResourceRules has to be non-empty";
        errors.push(FieldError::required(path, detail));
    }
    for (index, given) in rule.list("resourceRules").iter().enumerate() {
        resource_rule(errors, &path.child("resourceRules").index(index), given);
    }
    for (index, given) in rule.list("nonResourceRules").iter().enumerate() {
        path_rule(errors, &path.child("nonResourceRules").index(index), given);
    }
}

/// Kinds of subjects, and the field that describes each.
const SUBJECTS: [(&str, &str); 3] = [("Group", "group"), ("ServiceAccount", "serviceAccount"), ("User", "user")];

fn subject(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, subject: &Value) {
    let kind = subject.text("kind");
    let Some((_, own)) = SUBJECTS.iter().find(|(known, _)| *known == kind) else {
        errors.push(FieldError::not_supported(path.child("kind"), kind, SUBJECTS.map(|(kind, _)| kind)));
        return;
    };
    let at = path.child(own);
    match subject.child(own) {
        None => {
            let detail = format!("{own} is required when subject kind is '{kind}'");
            errors.push(FieldError::required(at, detail));
        }
        Some(details) => {
            let name = details.text("name");
            if name.is_empty() {
                errors.push(FieldError::required(at.child("name"), ""));
            } else if kind == "ServiceAccount" && name != "*" {
                complain(errors, &at.child("name"), name, names::dns_subdomain(name));
            }
            if kind == "ServiceAccount" {
                match details.text("namespace") {
                    "" => {
                        let detail = "must specify namespace for service account";
                        errors.push(FieldError::required(at.child("namespace"), detail));
                    }
                    namespace => complain(errors, &at.child("namespace"), namespace, names::dns_label(namespace)),
                }
            }
        }
    }
    for (other, field) in SUBJECTS.iter().rev().filter(|(_, field)| field != own && subject.has(field)) {
        let detail = format!("{field} is forbidden when subject kind is not '{other}'");
        errors.push(FieldError::forbidden(path.child(field), detail));
    }
}

fn verbs(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, verbs: &[&str]) {
    if verbs.is_empty() {
        errors.push(FieldError::required(path, "verbs must contain at least one value"));
    } else if verbs.contains(&"*") {
        alone(errors, path, verbs, "verbs");
    } else if !verbs.iter().all(|verb| VERBS.contains(verb)) {
        errors.push(FieldError::not_supported(path, serde_json::json!(verbs), VERBS));
    }
}

/// Who says "all" says nothing else.
fn alone(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, values: &[&str], what: &str) {
    if values.len() > 1 && values.contains(&"*") {
        let detail = format!("if '*' is present, must not specify other {what}");
        errors.push(FieldError::invalid(path, serde_json::json!(values), detail));
    }
}

fn resource_rule(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, rule: &Value) {
    verbs(errors, &path.child("verbs"), &rule.texts("verbs"));
    for (field, one, many) in [("apiGroups", "api group", "api groups"), ("resources", "resource", "resources")] {
        let (values, at) = (rule.texts(field), path.child(field));
        if values.is_empty() {
            errors.push(FieldError::required(at, format!("resource rules must supply at least one {one}")));
        }
        alone(errors, &at, &values, many);
    }
    let (namespaces, at) = (rule.texts("namespaces"), path.child("namespaces"));
    if namespaces.is_empty() && !rule.is_true("clusterScope") {
        let detail = "resource rules that are not cluster scoped must supply at least one namespace";
        errors.push(FieldError::required(at, detail));
    } else if namespaces.contains(&"*") {
        alone(errors, &at, &namespaces, "namespaces");
    } else {
        for (index, namespace) in namespaces.into_iter().enumerate() {
            let intro = "each member of this list must be '*' or a DNS-1123 label; ";
            let complaints = names::dns_label(namespace).into_iter().map(|complaint| format!("{intro}{complaint}"));
            complain(errors, &at.index(index), namespace, complaints.collect());
        }
    }
}

fn path_rule(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, rule: &Value) {
    verbs(errors, &path.child("verbs"), &rule.texts("verbs"));
    let (paths, at) = (rule.texts("nonResourceURLs"), path.child("nonResourceURLs"));
    if paths.is_empty() {
        errors.push(FieldError::required(at, "nonResourceURLs must contain at least one value"));
    } else if paths.contains(&"*") {
        alone(errors, &at, &paths, "non-resource URLs");
    } else {
        for (index, given) in paths.into_iter().enumerate() {
            if let Some(complaint) = url_path(given) {
                errors.push(FieldError::invalid(at.index(index), given, complaint));
            }
        }
    }
}

/// What is wrong with a path, if anything.
fn url_path(path: &str) -> Option<&'static str> {
    let stars = path.bytes().filter(|byte| *byte == b'*').count();
    Some(match path {
        "" => "must not be empty",
        "/" => return None,
        _ if !path.starts_with('/') => "must start with slash",
        _ if path.contains(' ') => "must not contain white-space",
        _ if path.contains("//") => "must not contain double slash",
        _ if stars > 1 || (stars == 1 && !path.ends_with("/*")) => "wildcard can only do suffix matching",
        _ => return None,
    })
}

/// A priority level, its status included.
pub(super) fn level(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let (spec, name) = (part(object, "spec"), part(object, "metadata").text("name"));
    let path = FieldPath::root("spec");
    let kind = spec.text("type");
    if (name == EXEMPT) != (kind == "Exempt") {
        let detail = "type must be 'Exempt' if and only if name is 'exempt'";
        errors.push(FieldError::invalid(path.child("type"), kind, detail));
    }
    match kind {
        "Exempt" => {
            if spec.has("limited") {
                let detail = "must be nil if the type is not Limited";
                errors.push(FieldError::forbidden(path.child("limited"), detail));
            }
            if let Some(given) = spec.child("exempt") {
                shares(&mut errors, &path.child("exempt"), given);
                lendable(&mut errors, &path.child("exempt"), given);
            }
        }
        "Limited" => {
            if spec.has("exempt") {
                errors.push(FieldError::forbidden(path.child("exempt"), "must be nil if the type is Limited"));
            }
            match spec.child("limited") {
                Some(given) => limited(&mut errors, &path.child("limited"), given),
                None => {
                    let detail = "must not be empty when type is Limited";
                    errors.push(FieldError::required(path.child("limited"), detail));
                }
            }
        }
        _ => errors.push(FieldError::not_supported(path.child("type"), kind, ["Exempt", "Limited"])),
    }
    fixed_level(&mut errors, spec, name);
    errors.extend(conditions(object));
    errors
}

/// A mandatory level is what it is; only the shares of the exempt one may be set.
fn fixed_level(errors: &mut Vec<FieldError>, spec: &Value, name: &str) {
    let Some(mut fixed) = bootstrap::mandatory_level(name) else { return };
    if name == EXEMPT
        && let Some(fixed) = fixed.get_mut("spec")
    {
        crate::kinds::fields::copy_from(fixed, spec, "exempt");
    }
    if same(Some(part(&fixed, "spec")), Some(spec)) {
        return;
    }
    let except = if name == EXEMPT { " except the 'spec.exempt' field" } else { "" };
    let detail = format!("spec of '{name}'{except} must equal the fixed value");
    errors.push(FieldError::invalid("spec", spec.clone(), detail));
}

fn shares(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, limits: &Value) {
    if let Some(shares) = limits.int("nominalConcurrencyShares").filter(|shares| *shares < 0) {
        let detail = "must be a non-negative integer";
        errors.push(FieldError::invalid(path.child("nominalConcurrencyShares"), shares, detail));
    }
}

fn lendable(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, limits: &Value) {
    if let Some(percent) = limits.int("lendablePercent").filter(|percent| !(0..=100).contains(percent)) {
        let detail = "must be between 0 and 100, inclusive";
        errors.push(FieldError::invalid(path.child("lendablePercent"), percent, detail));
    }
}

fn limited(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, limited: &Value) {
    shares(errors, path, limited);
    let response = part(limited, "limitResponse");
    let response_path = path.child("limitResponse");
    let at = response_path.child("queuing");
    match (response.text("type"), response.child("queuing")) {
        ("Reject", None) => {}
        ("Reject", Some(_)) => {
            errors.push(FieldError::forbidden(at, "must be nil if limited.limitResponse.type is not Limited"));
        }
        ("Queue", None) => {
            errors.push(FieldError::required(at, "must not be empty if limited.limitResponse.type is Limited"));
        }
        ("Queue", Some(given)) => queuing(errors, &at, given),
        (kind, _) => {
            errors.push(FieldError::not_supported(response_path.child("type"), kind, ["Queue", "Reject"]));
        }
    }
    lendable(errors, path, limited);
    if let Some(percent) = limited.int("borrowingLimitPercent").filter(|percent| *percent < 0) {
        let detail = "if specified, must be a non-negative integer";
        errors.push(FieldError::invalid(path.child("borrowingLimitPercent"), percent, detail));
    }
}

fn queuing(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, queuing: &Value) {
    let number = |field: &str| queuing.int(field).unwrap_or(0);
    let (length, queues, hand) = (number("queueLengthLimit"), number("queues"), number("handSize"));
    let mut refuse = |field: &str, value: i64, detail: String| {
        errors.push(FieldError::invalid(path.child(field), value, detail));
    };
    if length <= 0 {
        refuse("queueLengthLimit", length, "must be positive".to_owned());
    }
    if queues <= 0 {
        refuse("queues", queues, "must be positive".to_owned());
    } else if queues > QUEUES_MAX {
        refuse("queues", queues, format!("must not be greater than {QUEUES_MAX}"));
    }
    if hand <= 0 {
        refuse("handSize", hand, "must be positive".to_owned());
    } else if hand > queues {
        refuse("handSize", hand, format!("should not be greater than queues ({queues})"));
    } else if entropy_bits(queues, hand) > HASH_BITS {
        let detail = format!(
            "required entropy bits of deckSize {queues} and handSize {hand} should not be greater than {HASH_BITS}"
        );
        refuse("handSize", hand, detail);
    }
}

/// Bits that it takes to tell all hands of a deck apart, whatever their order; as much as matters.
fn entropy_bits(deck: i64, hand: i64) -> u32 {
    let mut hands: u128 = 1;
    for dealt in 0..hand {
        let left = u128::from(deck.saturating_sub(dealt).unsigned_abs());
        hands = hands.saturating_mul(left);
        if hands > 1 << HASH_BITS {
            return HASH_BITS + 1;
        }
    }
    // The smallest number of bits with as many values as there are hands.
    u128::BITS - hands.saturating_sub(1).leading_zeros()
}
