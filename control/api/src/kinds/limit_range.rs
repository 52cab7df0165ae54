//! LimitRange: what a container, pod or claim of a namespace may ask for, and what it gets without asking.

use serde_json::Value;

use crate::kind::{Behaviour, Kind, Part};
use crate::kinds::fields::{self, Fields, items_mut};
use crate::kinds::validation::resources::{amount_of, amounts, may_overcommit, resource_amount, round_up_to_milli};
use crate::kinds::validation::{complain, names::NameRule, qualified_name};
use crate::kinds::workload;
use crate::names;
use crate::quantity::Quantity;
use crate::status::{FieldError, FieldPath};

const LISTS: [&str; 5] = ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"];

#[derive(Debug)]
struct LimitRange;

pub(super) fn kind() -> Kind {
    Kind::new("", "v1", "LimitRange", "limitranges", LimitRange)
        .schema("io.k8s.api.core.v1.LimitRange")
        .short_names(&["limits"])
        .name_rule(NameRule::Subdomain)
}

impl Behaviour for LimitRange {
    fn default(&self, object: &mut Value) {
        let Some(spec) = fields::object_mut(object, "spec") else { return };
        for limit in items_mut(spec, "limits") {
            for list in LISTS {
                round_up_to_milli(limit.get_mut(list));
            }
            if limit.text("type") == "Container" {
                // What is not said follows from what is: the most, then the default, then the least.
                inherit(limit, "default", "max");
                inherit(limit, "defaultRequest", "default");
                inherit(limit, "defaultRequest", "min");
            }
        }
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let path = FieldPath::root("spec");
        let path = path.child("limits");
        let mut types: Vec<&str> = Vec::new();
        for (index, limit) in workload::part(object, "spec").list("limits").iter().enumerate() {
            let path = path.index(index);
            let kind = limit.text("type");
            complain(&mut errors, &path.child("type"), kind, type_name(kind));
            if types.contains(&kind) {
                errors.push(FieldError::duplicate(path.child("type"), kind));
            }
            types.push(kind);
            for list in LISTS {
                names_and_amounts(&mut errors, &path.child(list), limit.child(list), kind);
            }
            of_type(&mut errors, &path, limit);
            bounds(&mut errors, &path, limit);
        }
        errors
    }

    fn validate_update(&self, _part: Part, new: &Value, _old: &Value) -> Vec<FieldError> {
        self.validate_create(new)
    }
}

/// Entries of `from` that `list` has not become entries of `list`.
fn inherit(limit: &mut Value, list: &str, from: &str) {
    let Some(source) = limit.map(from).cloned() else { return };
    if let Some(target) = fields::object_mut(limit, list).and_then(Value::as_object_mut) {
        for (name, amount) in source {
            target.entry(name).or_insert(amount);
        }
    }
}

fn type_name(kind: &str) -> Vec<String> {
    let complaints = names::qualified_name(kind);
    if complaints.is_empty() && !kind.contains('/') && !matches!(kind, "Pod" | "Container" | "PersistentVolumeClaim") {
        return vec!["must be a standard limit type or fully qualified".to_owned()];
    }
    complaints
}

fn names_and_amounts(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, list: Option<&Value>, kind: &str) {
    const OF_CONTAINERS: &[&str] = &["cpu", "memory", "ephemeral-storage"];
    for (name, amount) in amounts(list) {
        let path = path.key(name);
        qualified_name(errors, &path, name);
        let known = OF_CONTAINERS.contains(&name)
            || crate::kinds::validation::resources::is_huge_page(name)
            || (name == "storage" && kind == "PersistentVolumeClaim");
        if !name.contains('/') && !known {
            errors.push(FieldError::invalid(path, name, "must be a standard resource type or fully qualified"));
        }
        resource_amount(errors, &path, name, &amount);
    }
}

fn of_type(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, limit: &Value) {
    let kind = limit.text("type");
    if kind == "Pod" {
        for field in ["default", "defaultRequest"] {
            if limit.map(field).is_some_and(|list| !list.is_empty()) {
                let detail = "may not be specified when `type` is 'Pod'";
                errors.push(FieldError::forbidden(path.child(field), detail));
            }
        }
    }
    let storage = ["min", "max"].iter().any(|list| amount_of(limit.child(list), "storage").is_some());
    if kind == "PersistentVolumeClaim" && !storage {
        errors.push(FieldError::required(
            path,
            "either minimum or maximum storage value is required, but neither was provided",
        ));
    }
}

/// min <= defaultRequest <= default <= max, for every resource that is named.
fn bounds(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, limit: &Value) {
    let mut names: Vec<&str> =
        LISTS.iter().flat_map(|list| limit.map(list).into_iter().flatten()).map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let [max, min, default, request, ratio] = LISTS.map(|list| amount_of(limit.child(list), name));
        let mut check = |low: Option<&Quantity>,
                         high: Option<&Quantity>,
                         words: (&str, &str),
                         at: &str,
                         shown: Option<&Quantity>| {
            if let (Some(low), Some(high), Some(shown)) = (low, high, shown)
                && low > high
            {
                let detail = format!("{} value {low} is greater than {} value {high}", words.0, words.1);
                let path = path.child(at);
                errors.push(FieldError::invalid(path.key(name), shown.to_string(), detail));
            }
        };
        let (max_ref, min_ref, default_ref, request_ref) =
            (max.as_ref(), min.as_ref(), default.as_ref(), request.as_ref());
        check(min_ref, max_ref, ("min", "max"), "min", min_ref);
        check(min_ref, request_ref, ("min", "default request"), "defaultRequest", request_ref);
        check(request_ref, max_ref, ("default request", "max"), "defaultRequest", request_ref);
        check(request_ref, default_ref, ("default request", "default limit"), "defaultRequest", request_ref);
        check(min_ref, default_ref, ("min", "default"), "default", min_ref);
        check(default_ref, max_ref, ("default", "max"), "default", default_ref);
        self::ratio(errors, path, name, ratio.as_ref(), (max_ref, min_ref));
        // Huge pages and the like are had or not had, never shared out.
        if !may_overcommit(name) && default.is_some() && request.is_some() && default != request {
            let shown = default.as_ref().map(ToString::to_string);
            let detail = format!(
                "default value {} must equal to defaultRequest value {} in {name}",
                text(default_ref),
                text(request_ref)
            );
            let path = path.child("default");
            errors.push(FieldError::invalid(path.key(name), shown, detail));
        }
    }
}

fn text(amount: Option<&Quantity>) -> String {
    amount.map(ToString::to_string).unwrap_or_default()
}

fn ratio(
    errors: &mut Vec<FieldError>,
    path: &FieldPath<'_>,
    name: &str,
    ratio: Option<&Quantity>,
    (max, min): (Option<&Quantity>, Option<&Quantity>),
) {
    let Some(ratio) = ratio else { return };
    let path = path.child("maxLimitRequestRatio");
    let path = path.key(name);
    if ratio.milli_value() < 1000 {
        errors.push(FieldError::invalid(path, ratio.to_string(), format!("ratio {ratio} is less than 1")));
    }
    if let (Some(max), Some(min)) = (max, min)
        && min.milli_value() > 0
    {
        let most = i128::from(max.milli_value()) * 1000 / i128::from(min.milli_value());
        if i128::from(ratio.milli_value()) > most {
            let detail = format!("ratio {ratio} is greater than max/min = {}.{:06}", most / 1000, most % 1000 * 1000);
            errors.push(FieldError::invalid(path, ratio.to_string(), detail));
        }
    }
}
