//! Which objects of a collection a request is about.

use std::borrow::Cow;

use coracle_control_api::kind::Kind;
use coracle_control_api::selector::{FieldRequirement, FieldSelector, LabelSelector};
use coracle_control_api::status::Status;
use serde_json::Value;

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

/// Compares without decoding where the field is a text at the place that its label names, which is nearly always.
fn field_matches(kind: &Kind, stored: &[u8], requirement: &FieldRequirement) -> bool {
    let path: Vec<&str> = requirement.field.split('.').collect();
    let raw = match path.split_first() {
        Some((&"metadata", rest)) => stored::metadata(stored).and_then(|metadata| stored::find(metadata, rest)),
        _ => stored::find(stored, &path),
    };
    let value: Option<Cow<'_, str>> = raw
        .filter(|raw| path.len() > 1 && raw.first() == Some(&b'"'))
        .and_then(|raw| serde_json::from_slice::<String>(raw).ok())
        .map(Cow::Owned);
    let value = value.unwrap_or_else(|| {
        let object: Value = serde_json::from_slice(stored).unwrap_or_default();
        Cow::Owned(kind.field_value(&object, &requirement.field).unwrap_or_default())
    });
    (value == requirement.value) == requirement.equal
}

/// Upstream's two ways to say that a field cannot be selected by.
fn unknown_field(kind: &Kind, field: &str) -> String {
    if kind.behaviour.field_labels().is_empty() {
        format!("{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
    } else {
        format!("field label not supported: {field}")
    }
}
