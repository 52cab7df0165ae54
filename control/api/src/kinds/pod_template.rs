//! PodTemplate: a pod's labels and spec on a shelf. It is also how every workload kind treats the template inside it.

use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::{Behaviour, Column, Kind, Part};
use crate::kinds::fields::{self, Fields, same, text_entries};
use crate::kinds::{columns, object_meta, pod};
use crate::status::{FieldError, FieldPath};

static COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    vec![
        columns::name(),
        columns::text("Containers", "Names of each container in the template."),
        columns::text("Images", "Images referenced by each container in the template."),
        columns::text("Pod Labels", "The labels for the pod template."),
    ]
});

#[derive(Debug)]
struct PodTemplate;

pub(super) fn kind() -> Kind {
    Kind::new("", "v1", "PodTemplate", "podtemplates", PodTemplate)
        .schema("io.k8s.api.core.v1.PodTemplate")
        .returns_what_it_deletes()
}

impl Behaviour for PodTemplate {
    fn default(&self, object: &mut Value) {
        if let Some(template) = fields::object_mut(object, "template") {
            pod::default_template(template);
        }
    }

    fn prepare_create(&self, object: &mut Value) {
        object_meta::first_generation(object);
        if let Some(template) = object.get_mut("template") {
            pod::prepare_template(template);
        }
    }

    fn prepare_update(&self, _part: Part, new: &mut Value, old: &Value) {
        if let Some(template) = new.get_mut("template") {
            pod::prepare_template(template);
        }
        if !same(new.at(&["template", "spec"]), old.at(&["template", "spec"])) {
            object_meta::bump_generation(new, old);
        }
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let null = Value::Null;
        let template = object.child("template").unwrap_or(&null);
        pod::validate::template(&mut errors, &FieldPath::root("template"), template);
        errors
    }

    fn validate_update(&self, _part: Part, new: &Value, _old: &Value) -> Vec<FieldError> {
        self.validate_create(new)
    }

    fn warnings(&self, new: &Value, _old: Option<&Value>) -> Vec<String> {
        let null = Value::Null;
        let mut warnings = Vec::new();
        let template = new.child("template").unwrap_or(&null);
        pod::warn_of_template(&mut warnings, &FieldPath::root("template"), template);
        warnings
    }

    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn cells(&self, object: &Value, _now: Timestamp) -> Vec<Value> {
        let containers = object.at(&["template", "spec"]).map(|spec| spec.list("containers")).unwrap_or_default();
        let joined = |field: &str| {
            Value::from(containers.iter().map(|container| container.text(field)).collect::<Vec<_>>().join(","))
        };
        let labels = object.at(&["template", "metadata", "labels"]).and_then(Value::as_object);
        let labels: Vec<String> = text_entries(labels).map(|(key, value)| format!("{key}={value}")).collect();
        vec![columns::name_cell(object), joined("name"), joined("image"), columns::or_none(&labels.join(","))]
    }
}
