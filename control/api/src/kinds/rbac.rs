//! Roles and who has them: Role and RoleBinding in a namespace, ClusterRole and ClusterRoleBinding for all of it.

use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::kind::{Behaviour, Column, Kind, Part};
use crate::kinds::columns;
use crate::kinds::fields::{self, Fields};
use crate::kinds::validation::names::NameRule;
use crate::kinds::validation::{complain, dns_subdomain, labels};
use crate::status::{FieldError, FieldPath};

/// The group of roles, bindings, users and groups.
pub const GROUP: &str = "rbac.authorization.k8s.io";

const CLUSTER_ROLE_REF: &str = "RoleRef can only reference a ClusterRole in the global namespace. If the RoleRef cannot be resolved, the Authorizer must return an error.";
const ROLE_REF: &str = "RoleRef can reference a Role in the current namespace or a ClusterRole in the global namespace. If the RoleRef cannot be resolved, the Authorizer must return an error.";

static COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| binding_columns(ROLE_REF, IN_NAMESPACE));
static CLUSTER_COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| binding_columns(CLUSTER_ROLE_REF, IN_CLUSTER));

const IN_NAMESPACE: [&str; 3] =
    ["Users in the roleBinding", "Groups in the roleBinding", "ServiceAccounts in the roleBinding"];
const IN_CLUSTER: [&str; 3] = [
    "Users in the clusterRoleBinding",
    "Groups in the clusterRoleBinding",
    "ServiceAccounts in the clusterRoleBinding",
];

fn binding_columns(role: &'static str, [users, groups, accounts]: [&'static str; 3]) -> Vec<Column> {
    vec![
        columns::name(),
        columns::text("Role", role),
        columns::age(),
        columns::wide("Users", users),
        columns::wide("Groups", groups),
        columns::wide("ServiceAccounts", accounts),
    ]
}

/// A role, in a namespace or not.
#[derive(Debug)]
struct Role {
    namespaced: bool,
}

/// A binding, in a namespace or not.
#[derive(Debug)]
struct RoleBinding {
    namespaced: bool,
}

/// The four kinds, in discovery's order.
pub(super) fn kinds() -> [Kind; 4] {
    let finish = |kind: Kind| kind.name_rule(NameRule::PathSegment).creates_on_update();
    let role = |name, plural, namespaced| finish(Kind::new(GROUP, "v1", name, plural, Role { namespaced }));
    let binding = |name, plural, namespaced| finish(Kind::new(GROUP, "v1", name, plural, RoleBinding { namespaced }));
    [
        binding("ClusterRoleBinding", "clusterrolebindings", false)
            .schema("io.k8s.api.rbac.v1.ClusterRoleBinding")
            .cluster_scoped(),
        role("ClusterRole", "clusterroles", false).schema("io.k8s.api.rbac.v1.ClusterRole").cluster_scoped(),
        binding("RoleBinding", "rolebindings", true).schema("io.k8s.api.rbac.v1.RoleBinding"),
        role("Role", "roles", true).schema("io.k8s.api.rbac.v1.Role"),
    ]
}

impl Behaviour for Role {
    fn prepare_create(&self, object: &mut Value) {
        empty_is_null(object);
    }

    fn prepare_update(&self, _part: Part, new: &mut Value, _old: &Value) {
        empty_is_null(new);
    }

    fn revalidates_metadata(&self, _part: Part) -> bool {
        true
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let path = FieldPath::root("rules");
        for (index, rule) in object.list("rules").iter().enumerate() {
            policy_rule(&mut errors, &path.index(index), rule, self.namespaced);
        }
        if let Some(aggregation) = object.child("aggregationRule").filter(|_| !self.namespaced) {
            aggregation_rule(&mut errors, aggregation);
        }
        errors
    }

    fn validate_update(&self, _part: Part, new: &Value, _old: &Value) -> Vec<FieldError> {
        twice(self.validate_create(new))
    }
}

/// Upstream's storage does not tell an empty list from none, and this field is always written.
fn empty_is_null(role: &mut Value) {
    if role.get("rules").is_some_and(|rules| rules.as_array().is_some_and(Vec::is_empty)) {
        fields::set(role, "rules", Value::Null);
    }
}

/// Upstream holds an update against the rules for new objects two times, and says everything as often.
fn twice(errors: Vec<FieldError>) -> Vec<FieldError> {
    let mut all = errors.clone();
    all.extend(errors);
    all
}

fn policy_rule(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, rule: &Value, namespaced: bool) {
    let empty = |field: &str| rule.list(field).is_empty();
    if empty("verbs") {
        errors.push(FieldError::required(path.child("verbs"), "verbs must contain at least one value"));
    }
    if !empty("nonResourceURLs") {
        let mut refuse = |detail: &str| {
            let urls = json!(rule.texts("nonResourceURLs"));
            errors.push(FieldError::invalid(path.child("nonResourceURLs"), urls, detail));
        };
        if namespaced {
            refuse("namespaced rules cannot apply to non-resource URLs");
        }
        if !empty("apiGroups") || !empty("resources") || !empty("resourceNames") {
            refuse("rules cannot apply to both regular resources and non-resource URLs");
        }
        return;
    }
    if empty("apiGroups") {
        let detail = "resource rules must supply at least one api group";
        errors.push(FieldError::required(path.child("apiGroups"), detail));
    }
    if empty("resources") {
        let detail = "resource rules must supply at least one resource";
        errors.push(FieldError::required(path.child("resources"), detail));
    }
}

fn aggregation_rule(errors: &mut Vec<FieldError>, aggregation: &Value) {
    let path = FieldPath::root("aggregationRule");
    let path = path.child("clusterRoleSelectors");
    let selectors = aggregation.list("clusterRoleSelectors");
    if selectors.is_empty() {
        let detail = "at least one clusterRoleSelector required if aggregationRule is non-nil";
        errors.push(FieldError::required(path, detail));
    }
    for (index, selector) in selectors.iter().enumerate() {
        let path = path.index(index);
        let before = errors.len();
        labels::selector(errors, &path, Some(selector));
        if errors.len() > before {
            errors.push(FieldError::invalid(path, selector.clone(), "invalid label selector."));
        }
    }
}

impl Behaviour for RoleBinding {
    fn default(&self, object: &mut Value) {
        if let Some(role) = fields::object_mut(object, "roleRef") {
            fields::set_text_default(role, "apiGroup", GROUP);
        }
        for subject in fields::items_mut(object, "subjects") {
            if matches!(subject.text("kind"), "User" | "Group") {
                fields::set_text_default(subject, "apiGroup", GROUP);
            }
        }
    }

    fn revalidates_metadata(&self, _part: Part) -> bool {
        true
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        role_reference(&mut errors, object.child("roleRef").unwrap_or(&Value::Null), self.namespaced);
        let path = FieldPath::root("subjects");
        for (index, subject) in object.list("subjects").iter().enumerate() {
            self::subject(&mut errors, &path.index(index), subject, self.namespaced);
        }
        errors
    }

    fn validate_update(&self, _part: Part, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = twice(self.validate_create(new));
        let reference = |object: &Value| {
            let null = Value::Null;
            let role = object.child("roleRef").unwrap_or(&null);
            json!({ "APIGroup": role.text("apiGroup"), "Kind": role.text("kind"), "Name": role.text("name") })
        };
        if reference(new) != reference(old) {
            errors.push(FieldError::invalid("roleRef", reference(new), "cannot change roleRef"));
        }
        errors
    }

    fn columns(&self) -> &[Column] {
        if self.namespaced { &COLUMNS } else { &CLUSTER_COLUMNS }
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let null = Value::Null;
        let role = object.child("roleRef").unwrap_or(&null);
        let names = |kind: &str| {
            let subjects = object.list("subjects").iter().filter(|subject| subject.text("kind") == kind);
            let names: Vec<String> = subjects
                .map(|subject| match kind {
                    "ServiceAccount" => format!("{}/{}", subject.text("namespace"), subject.text("name")),
                    _ => subject.text("name").to_owned(),
                })
                .collect();
            Value::from(names.join(", "))
        };
        vec![
            columns::name_cell(object),
            Value::from(format!("{}/{}", role.text("kind"), role.text("name"))),
            columns::age_cell(object, now),
            names("User"),
            names("Group"),
            names("ServiceAccount"),
        ]
    }
}

fn role_reference(errors: &mut Vec<FieldError>, role: &Value, namespaced: bool) {
    let path = FieldPath::root("roleRef");
    let (group, kind, name) = (role.text("apiGroup"), role.text("kind"), role.text("name"));
    if group != GROUP {
        errors.push(FieldError::not_supported(path.child("apiGroup"), group, [GROUP]));
    }
    let kinds: &[&str] = if namespaced { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
    if !kinds.contains(&kind) {
        errors.push(FieldError::not_supported(path.child("kind"), kind, kinds));
    }
    if name.is_empty() {
        errors.push(FieldError::required(path.child("name"), ""));
    } else {
        complain(errors, &path.child("name"), name, NameRule::PathSegment.complaints(name, false));
    }
}

fn subject(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, subject: &Value, namespaced: bool) {
    let (kind, group, name) = (subject.text("kind"), subject.text("apiGroup"), subject.text("name"));
    if name.is_empty() {
        errors.push(FieldError::required(path.child("name"), ""));
    }
    match kind {
        "ServiceAccount" => {
            if !name.is_empty() {
                dns_subdomain(errors, &path.child("name"), name);
            }
            if !group.is_empty() {
                errors.push(FieldError::not_supported(path.child("apiGroup"), group, [""]));
            }
            if !namespaced && subject.text("namespace").is_empty() {
                errors.push(FieldError::required(path.child("namespace"), ""));
            }
        }
        "User" | "Group" => {
            if group != GROUP {
                errors.push(FieldError::not_supported(path.child("apiGroup"), group, [GROUP]));
            }
        }
        _ => errors.push(FieldError::not_supported(path.child("kind"), kind, ["ServiceAccount", "User", "Group"])),
    }
}
