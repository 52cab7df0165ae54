//! Which objects of a collection a request is about.

use coracle_control_api::kind::Kind;
use coracle_control_api::selector::{FieldRequirement, FieldSelector, LabelSelector};
use coracle_control_api::status::Status;
use serde_json::{Map, Value};

use crate::query::Query;
use crate::stored;

/// A label selector and a field selector together.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    labels: LabelSelector,
    fields: FieldSelector,
}

impl Filter {
    /// Reads `labelSelector` and `fieldSelector`.
    ///
    /// # Errors
    /// 400 for a selector that cannot be read or names a field that the kind has no selector for.
    pub(crate) fn parse(kind: &Kind, query: &Query) -> Result<Self, Status> {
        let labels = LabelSelector::parse(query.text("labelSelector"))
            .map_err(|error| Status::bad_request(format!("unable to parse requirement: {error}")))?;
        let fields = FieldSelector::parse(query.text("fieldSelector"))
            .map_err(|error| Status::bad_request(error.to_string()))?;
        for requirement in &fields.requirements {
            if !kind.has_field_label(&requirement.field) {
                return Err(Status::bad_request(unknown_field(kind, &requirement.field)));
            }
        }
        Ok(Self { labels, fields })
    }

    /// The same for one name only.
    pub(crate) fn named(mut self, name: &str) -> Self {
        let field = "metadata.name".to_owned();
        self.fields.requirements.push(FieldRequirement { field, value: name.to_owned(), equal: true });
        self
    }

    /// Whether every object matches.
    pub(crate) fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// The only name that can match, if there is one.
    pub(crate) fn exact_name(&self) -> Option<&str> {
        self.fields.exact("metadata.name")
    }

    /// The only namespace that can match, if there is one.
    pub(crate) fn exact_namespace(&self) -> Option<&str> {
        self.fields.exact("metadata.namespace")
    }

    /// Whether an object, as it is stored, matches.
    pub(crate) fn matches(&self, kind: &Kind, stored: &[u8]) -> bool {
        (self.labels.is_empty() || self.labels.matches(Some(&stored::labels(stored))))
            && self.fields.requirements.iter().all(|requirement| field_matches(kind, stored, requirement))
    }
}

/// Compares one field without decoding the whole object.
fn field_matches(kind: &Kind, stored: &[u8], requirement: &FieldRequirement) -> bool {
    let object = part_of_interest(stored, &requirement.field);
    let value = kind.field_value(&object, &requirement.field).unwrap_or_default();
    (value == requirement.value) == requirement.equal
}

/// What the value of a field's label can depend on. Of `spec.nodeName` that is the members of `spec` whose names begin with
/// `nodeName`: a label spells the path of its value, but for lists that go with it (`podIP`, `podIPs`). A label of one
/// word may depend on anything.
fn part_of_interest(stored: &[u8], label: &str) -> Value {
    let Some((part, rest)) = label.split_once('.') else { return serde_json::from_slice(stored).unwrap_or_default() };
    let field = rest.split('.').next().unwrap_or(rest);
    let mut members = Map::new();
    if let Some(raw) = stored::find(stored, &[part]) {
        for (name, value) in stored::members(raw) {
            if name.starts_with(field.as_bytes())
                && let (Ok(name), Ok(value)) = (std::str::from_utf8(name), serde_json::from_slice(&raw[value]))
            {
                members.insert(name.to_owned(), value);
            }
        }
    }
    Value::Object([(part.to_owned(), Value::Object(members))].into_iter().collect())
}

/// Upstream's two ways to say that a field cannot be selected by.
fn unknown_field(kind: &Kind, field: &str) -> String {
    if kind.behaviour.field_labels().is_empty() {
        format!("{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
    } else {
        format!("field label not supported: {field}")
    }
}

#[cfg(test)]
mod tests;
