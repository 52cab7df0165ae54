//! Which requests a webhook or a policy is about.

use coracle_control_api::meta;
use coracle_control_api::selector::LabelSelector;
use coracle_control_api::status::Status;
use serde_json::{Map, Value};

use super::attributes::{Attributes, Invocation};

/// What is asked about, by rules and by labels.
#[derive(Debug, Default)]
pub(crate) struct Constraints {
    rules: Vec<Rule>,
    excluded: Vec<Rule>,
    /// Whether a rule about one version means the others of the same objects as well.
    equivalent: bool,
    namespaces: Selector,
    objects: Selector,
}

/// A label selector; one that cannot be read selects nothing and says so.
#[derive(Debug, Default)]
struct Selector(Option<Result<LabelSelector, String>>);

impl Selector {
    fn new(value: Option<&Value>) -> Self {
        let Some(value) = value.filter(|value| !value.is_null()) else { return Self(None) };
        match LabelSelector::from_object(Some(value)) {
            Ok(selector) if selector.is_empty() => Self(None),
            Ok(selector) => Self(Some(Ok(selector))),
            Err(error) => Self(Some(Err(error.to_string()))),
        }
    }
}

#[derive(Debug, Default)]
struct Rule {
    operations: Vec<String>,
    groups: Vec<String>,
    versions: Vec<String>,
    /// With their subresources.
    resources: Vec<(String, String)>,
    scope: String,
    /// Empty for every name.
    names: Vec<String>,
}

impl Rule {
    fn new(value: &Value) -> Self {
        let texts = |name: &str| -> Vec<String> {
            let list = value.get(name).and_then(Value::as_array).into_iter().flatten();
            list.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let split = |text: String| match text.split_once('/') {
            Some((resource, subresource)) => (resource.to_owned(), subresource.to_owned()),
            None => (text, String::new()),
        };
        Self {
            operations: texts("operations"),
            groups: texts("apiGroups"),
            versions: texts("apiVersions"),
            resources: texts("resources").into_iter().map(split).collect(),
            scope: value.get("scope").and_then(Value::as_str).unwrap_or("*").to_owned(),
            names: texts("resourceNames"),
        }
    }

    fn matches(&self, attributes: &Attributes<'_>, invocation: &Invocation) -> bool {
        let has = |list: &[String], wanted: &str| list.iter().any(|item| item == "*" || item == wanted);
        let resource = &invocation.resource;
        let of_cluster = attributes.is_namespace() || attributes.namespace().is_empty();
        let scope = match self.scope.as_str() {
            "Namespaced" => !of_cluster,
            "Cluster" => of_cluster,
            _ => true,
        };
        scope
            && has(&self.operations, attributes.operation())
            && has(&self.groups, &resource.group)
            && has(&self.versions, &resource.version)
            && self.resources.iter().any(|(wanted, subresource)| {
                (wanted == "*" || *wanted == resource.name)
                    && (subresource == "*" || subresource == attributes.subresource())
            })
            && (self.names.is_empty() || self.names.iter().any(|name| name == attributes.name()))
    }
}

impl Constraints {
    /// Of a webhook, whose rules are under `rules`, or of a policy's `matchConstraints` or a binding's `matchResources`.
    pub(crate) fn new(value: &Value, rules: &str) -> Self {
        let read = |name: &str| -> Vec<Rule> {
            value.get(name).and_then(Value::as_array).into_iter().flatten().map(Rule::new).collect()
        };
        Self {
            rules: read(rules),
            excluded: read("excludeResourceRules"),
            equivalent: value.get("matchPolicy").and_then(Value::as_str) != Some("Exact"),
            namespaces: Selector::new(value.get("namespaceSelector")),
            objects: Selector::new(value.get("objectSelector")),
        }
    }

    /// Whether there are rules at all.
    pub(crate) fn has_rules(&self) -> bool {
        !self.rules.is_empty()
    }

    /// As what the request is asked about; `None` when it is not.
    ///
    /// # Errors
    /// 404 when the namespace is not there, 500 for a selector that cannot be read.
    pub(crate) fn matches(&self, attributes: &Attributes<'_>) -> Result<Option<Invocation>, Status> {
        let namespaces = self.namespace_matches(attributes);
        let objects = self.object_matches(attributes);
        if matches!(namespaces, Ok(false)) || matches!(objects, Ok(false)) {
            return Ok(None);
        }
        let Some(invocation) = self.rule_matches(attributes) else { return Ok(None) };
        namespaces?;
        objects?;
        Ok(Some(invocation))
    }

    /// For a binding, which may leave its rules out: whether it is about the request.
    ///
    /// # Errors
    /// As for [`Self::matches`].
    pub(crate) fn narrows_to(&self, attributes: &Attributes<'_>) -> Result<bool, Status> {
        if self.has_rules() {
            return Ok(self.matches(attributes)?.is_some());
        }
        let own = attributes.as_requested();
        let excluded = self.excluded.iter().any(|rule| rule.matches(attributes, &own));
        Ok(!excluded && self.namespace_matches(attributes)? && self.object_matches(attributes)?)
    }

    fn rule_matches(&self, attributes: &Attributes<'_>) -> Option<Invocation> {
        let own = attributes.as_requested();
        if self.excluded.iter().any(|rule| rule.matches(attributes, &own)) {
            return None;
        }
        if self.rules.iter().any(|rule| rule.matches(attributes, &own)) {
            return Some(own);
        }
        if !self.equivalent || !self.rules.iter().any(|rule| rule.may_be_equivalent(attributes)) {
            return None;
        }
        let others = attributes.equivalents();
        let excluded = |other: &Invocation| self.excluded.iter().any(|rule| rule.matches(attributes, other));
        if others.iter().any(excluded) {
            return None;
        }
        let found = self.rules.iter().find_map(|rule| others.iter().find(|other| rule.matches(attributes, other)));
        found.cloned()
    }

    fn namespace_matches(&self, attributes: &Attributes<'_>) -> Result<bool, Status> {
        let Some(selector) = &self.namespaces.0 else { return Ok(true) };
        let namespace = attributes.namespace();
        if namespace.is_empty() && !attributes.is_namespace() {
            return Ok(true);
        }
        let selector = selector.as_ref().map_err(|error| Status::internal(error))?;
        if attributes.is_namespace()
            && attributes.subresource().is_empty()
            && let Some(object) = attributes.object
        {
            return Ok(selector.matches(meta::labels(object)));
        }
        let object = namespace_object(attributes, namespace)?;
        Ok(selector.matches(meta::labels(&object)))
    }

    fn object_matches(&self, attributes: &Attributes<'_>) -> Result<bool, Status> {
        let Some(selector) = &self.objects.0 else { return Ok(true) };
        let selector = selector.as_ref().map_err(|error| Status::internal(error))?;
        let none = Map::new();
        let selected = |object: Option<&Value>| {
            object.is_some_and(|object| selector.matches(Some(meta::labels(object).unwrap_or(&none))))
        };
        Ok(selected(attributes.object) || selected(attributes.request.old))
    }
}

impl Rule {
    /// Whether the rule could be about another version of the same objects: its operation and its resource fit.
    fn may_be_equivalent(&self, attributes: &Attributes<'_>) -> bool {
        self.operations.iter().any(|operation| operation == "*" || operation == attributes.operation())
    }
}

/// A namespace as it is stored.
///
/// # Errors
/// 404 when it is not there.
pub(crate) fn namespace_object(attributes: &Attributes<'_>, name: &str) -> Result<Value, Status> {
    let entry = attributes.request.snapshot.get(format!("/registry/core/namespaces/{name}").as_bytes());
    let entry = entry.ok_or_else(|| Status::not_found("", "namespaces", name))?;
    crate::stored::decode(&entry.value, entry.mod_revision)
        .map_err(|_| Status::internal("a stored namespace cannot be read"))
}

/// Whether an object configures admission itself, which nobody who is configured so is asked about.
pub(crate) fn is_exempt(attributes: &Attributes<'_>) -> bool {
    let kind = &attributes.request.call.kind;
    kind.group == "admissionregistration.k8s.io"
}
