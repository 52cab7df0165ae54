//! DaemonSet: one pod on every node that fits.

use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::kind::{Column, Kind, Part};
use crate::kinds::fields::{self, Fields, same};
use crate::kinds::validation::labels;
use crate::kinds::workload::Workload;
use crate::kinds::{columns, pod, workload};
use crate::selector::LabelSelector;
use crate::status::{FieldError, FieldPath};

/// Counts the versions of the template, in an annotation since the days before controller revisions.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

const DESIRED: &str = "The total number of nodes that should be running the daemon pod (including nodes correctly running the daemon pod). More info: https://kubernetes.io/docs/concepts/workloads/controllers/daemonset/";
const CURRENT: &str = "The number of nodes that are running at least 1 daemon pod and are supposed to run the daemon pod. More info: https://kubernetes.io/docs/concepts/workloads/controllers/daemonset/";
const READY: &str = "The number of nodes that should be running the daemon pod and have one or more of the daemon pod running and ready.";
const AVAILABLE: &str = "The number of nodes that should be running the daemon pod and have one or more of the daemon pod running and available (ready for at least spec.minReadySeconds)";
const NODE_SELECTOR: &str = "NodeSelector is a selector which must be true for the pod to fit on a node. Selector which must match a node's labels for the pod to be scheduled on that node. More info: https://kubernetes.io/docs/concepts/configuration/assign-pod-node/";
const SELECTOR: &str = "A label query over pods that are managed by the daemon set. Must match in order to be controlled. If empty, defaulted to labels on Pod template. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors";

static COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    vec![
        columns::name(),
        workload::number("Desired", DESIRED),
        workload::number("Current", CURRENT),
        workload::number("Ready", READY),
        workload::number("Up-to-date", "The total number of nodes that are running updated daemon pod"),
        workload::number("Available", AVAILABLE),
        columns::text("Node Selector", NODE_SELECTOR),
        columns::age(),
        columns::wide("Containers", workload::CONTAINERS),
        columns::wide("Images", workload::IMAGES),
        columns::wide("Selector", SELECTOR),
    ]
});

#[derive(Debug)]
struct DaemonSet;

pub(super) fn kind() -> Kind {
    workload::row(("apps", "DaemonSet", "daemonsets"), "io.k8s.api.apps.v1.DaemonSet", DaemonSet)
        .short_names(&["ds"])
        .version_annotations(&[TEMPLATE_GENERATION])
}

impl Workload for DaemonSet {
    fn default(&self, object: &mut Value) {
        let generation = template_generation(object);
        set_template_generation(object, generation);
        let Some(spec) = fields::object_mut(object, "spec") else { return };
        fields::set_default(spec, "revisionHistoryLimit", 10);
        workload::default_template(spec);
        let Some(strategy) = fields::object_mut(spec, "updateStrategy") else { return };
        fields::set_text_default(strategy, "type", "RollingUpdate");
        if strategy.text("type") == "RollingUpdate"
            && let Some(rolling) = fields::object_mut(strategy, "rollingUpdate")
        {
            fields::set_default(rolling, "maxUnavailable", 1);
            fields::set_default(rolling, "maxSurge", 0);
        }
    }

    fn prepare_create(&self, object: &mut Value) {
        let generation = template_generation(object).max(1);
        set_template_generation(object, generation);
    }

    fn prepare_update(&self, part: Part, new: &mut Value, old: &Value) {
        let generation = template_generation(old);
        let template = ["spec", "template"];
        let changed = part != Part::Status && !same(new.at(&template), old.at(&template));
        set_template_generation(new, if changed { generation.saturating_add(1) } else { generation });
    }

    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        self::spec(&mut errors, workload::part(object, "spec"));
        errors
    }

    fn validate_status(&self, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        status(&mut errors, workload::part(new, "status"), workload::part(old, "status"));
        errors
    }

    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let (spec, status) = (workload::part(object, "spec"), workload::part(object, "status"));
        let [containers, images] = workload::container_cells(spec.child("template"));
        vec![
            columns::name_cell(object),
            workload::count_cell(status, "desiredNumberScheduled"),
            workload::count_cell(status, "currentNumberScheduled"),
            workload::count_cell(status, "numberReady"),
            workload::count_cell(status, "updatedNumberScheduled"),
            workload::count_cell(status, "numberAvailable"),
            workload::labels_cell(spec.at(&["template", "spec", "nodeSelector"])),
            columns::age_cell(object, now),
            containers,
            images,
            workload::selector_cell(spec.child("selector")),
        ]
    }
}

fn template_generation(object: &Value) -> i64 {
    let text = object.at(&["metadata", "annotations", TEMPLATE_GENERATION]).and_then(Value::as_str);
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn set_template_generation(object: &mut Value, generation: i64) {
    if let Some(annotations) =
        fields::object_mut(object, "metadata").and_then(|metadata| fields::object_mut(metadata, "annotations"))
    {
        fields::set(annotations, TEMPLATE_GENERATION, generation.to_string());
    }
}

fn spec(errors: &mut Vec<FieldError>, spec: &Value) {
    let path = FieldPath::root("spec");
    let (selector_path, template_path) = (path.child("selector"), path.child("template"));
    let (selector, template) = (spec.child("selector"), workload::part(spec, "template"));
    labels::selector(errors, &selector_path, selector);
    if let Ok(selector) = LabelSelector::from_object(selector) {
        workload::template_is_selected(errors, &template_path, template, &selector);
    }
    if let Some(selector) = selector.filter(|selector| workload::is_empty_selector(selector)) {
        errors.push(FieldError::invalid(selector_path, selector.clone(), "empty selector is invalid for daemonset"));
    }
    pod::validate::template(errors, &template_path, template);
    workload::lasting_template(errors, &template_path, template, "DaemonSet");
    workload::not_negatives(errors, &path, spec, &["minReadySeconds"]);
    strategy(errors, &path.child("updateStrategy"), workload::part(spec, "updateStrategy"));
    workload::not_negatives(errors, &path, spec, &["revisionHistoryLimit"]);
}

fn strategy(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, strategy: &Value) {
    let rolling_path = path.child("rollingUpdate");
    match (strategy.text("type"), strategy.child("rollingUpdate")) {
        ("OnDelete", _) => {}
        ("RollingUpdate", None) => errors.push(FieldError::required(rolling_path, "")),
        ("RollingUpdate", Some(rolling)) => {
            let fields = ["maxUnavailable", "maxSurge"];
            for field in fields {
                workload::count_or_percent(errors, &rolling_path.child(field), rolling.child(field));
            }
            for field in fields {
                workload::at_most_all(errors, &rolling_path.child(field), rolling.child(field));
            }
            let surge = rolling.child("maxSurge");
            match (workload::is_nought(rolling.child("maxUnavailable")), workload::is_nought(surge)) {
                (false, false) => errors.push(FieldError::invalid(
                    rolling_path.child("maxSurge"),
                    surge.cloned().unwrap_or(Value::Null),
                    "may not be set when maxUnavailable is non-zero",
                )),
                (true, true) => errors
                    .push(FieldError::required(rolling_path.child("maxUnavailable"), "cannot be 0 when maxSurge is 0")),
                _ => {}
            }
        }
        (other, rolling) => {
            let shown = json!({ "Type": other, "RollingUpdate": rolling });
            errors.push(FieldError::not_supported(path, shown, ["RollingUpdate", "OnDelete"]));
        }
    }
}

fn status(errors: &mut Vec<FieldError>, new: &Value, old: &Value) {
    const COUNTS: &[&str] = &[
        "currentNumberScheduled",
        "numberMisscheduled",
        "desiredNumberScheduled",
        "numberReady",
        "observedGeneration",
        "updatedNumberScheduled",
        "numberAvailable",
        "numberUnavailable",
        "collisionCount",
    ];
    workload::not_negatives(errors, &FieldPath::root("status"), new, COUNTS);
    workload::collisions_grow(errors, new, old);
}
