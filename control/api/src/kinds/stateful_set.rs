//! StatefulSet: pods with names, an order and volumes of their own.

use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::kind::{Column, Kind};
use crate::kinds::fields::{self, Fields, items_mut, same};
use crate::kinds::validation::labels;
use crate::kinds::validation::names::NameRule;
use crate::kinds::workload::Workload;
use crate::kinds::{columns, persistent_volume_claim, workload};
use crate::selector::LabelSelector;
use crate::status::{FieldError, FieldPath};

const FROZEN: &str = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
/// What of a stateful set's spec may change.
const MUTABLE: &[&str] = &[
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
];

static COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    vec![
        columns::name(),
        columns::text("Ready", "Number of the pod with ready state"),
        columns::age(),
        columns::wide("Containers", workload::CONTAINERS),
        columns::wide("Images", workload::IMAGES),
    ]
});

#[derive(Debug)]
struct StatefulSet;

pub(super) fn kind() -> Kind {
    workload::row(("apps", "StatefulSet", "statefulsets"), "io.k8s.api.apps.v1.StatefulSet", StatefulSet)
        .short_names(&["sts"])
        .name_rule(NameRule::Label)
        .scalable(workload::scale_paths())
}

impl Workload for StatefulSet {
    fn default(&self, object: &mut Value) {
        let Some(spec) = fields::object_mut(object, "spec") else { return };
        fields::set_text_default(spec, "podManagementPolicy", "OrderedReady");
        fields::set_default(spec, "replicas", 1);
        fields::set_default(spec, "revisionHistoryLimit", 10);
        workload::default_template(spec);
        if let Some(strategy) = fields::object_mut(spec, "updateStrategy") {
            default_strategy(strategy);
        }
        if let Some(policy) = fields::object_mut(spec, "persistentVolumeClaimRetentionPolicy") {
            fields::set_text_default(policy, "whenDeleted", "Retain");
            fields::set_text_default(policy, "whenScaled", "Retain");
        }
        for claim in items_mut(spec, "volumeClaimTemplates") {
            fields::set(claim, "apiVersion", "v1");
            fields::set(claim, "kind", "PersistentVolumeClaim");
            persistent_volume_claim::default(claim);
        }
    }

    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        self::spec(&mut errors, workload::part(object, "spec"));
        errors
    }

    fn validate_update(&self, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = self.validate(new);
        let (mut changed, old) = (workload::part(new, "spec").clone(), workload::part(old, "spec"));
        for field in MUTABLE {
            fields::copy_from(&mut changed, old, field);
        }
        if !same(Some(&changed), Some(old)) {
            errors.push(FieldError::forbidden("spec", FROZEN));
        }
        errors
    }

    fn validate_status(&self, new: &Value, old: &Value) -> Vec<FieldError> {
        status(workload::part(new, "status"), workload::part(old, "status"))
    }

    fn warnings(&self, new: &Value) -> Vec<String> {
        let spec = workload::part(new, "spec");
        let mut warnings = Vec::new();
        for (index, claim) in spec.list("volumeClaimTemplates").iter().enumerate() {
            let path = format!("spec.volumeClaimTemplates[{index}].");
            warnings.extend(persistent_volume_claim::fraction_warning(&path, claim));
        }
        if spec.int("revisionHistoryLimit").is_some_and(|limit| limit < 0) {
            let advice = "a negative value retains all historical revisions; a value >= 0 is recommended";
            warnings.push(format!("spec.revisionHistoryLimit: {advice}"));
        }
        warnings
    }

    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let (spec, status) = (workload::part(object, "spec"), workload::part(object, "status"));
        let ready = format!("{}/{}", status.int("readyReplicas").unwrap_or(0), spec.int("replicas").unwrap_or(0));
        let [containers, images] = workload::container_cells(spec.child("template"));
        vec![columns::name_cell(object), Value::from(ready), columns::age_cell(object, now), containers, images]
    }

    fn field_labels(&self) -> &'static [&'static str] {
        &["status.successful"]
    }
}

fn default_strategy(strategy: &mut Value) {
    if strategy.text("type").is_empty() {
        fields::set(strategy, "type", "RollingUpdate");
        fields::object_mut(strategy, "rollingUpdate");
    }
    if strategy.text("type") == "RollingUpdate"
        && let Some(rolling) = strategy.get_mut("rollingUpdate")
    {
        fields::set_default(rolling, "partition", 0);
    }
}

fn spec(errors: &mut Vec<FieldError>, spec: &Value) {
    let path = FieldPath::root("spec");
    match spec.text("podManagementPolicy") {
        "" => errors.push(FieldError::required(path.child("podManagementPolicy"), "")),
        "OrderedReady" | "Parallel" => {}
        other => errors.push(FieldError::invalid(
            path.child("podManagementPolicy"),
            other,
            "must be 'OrderedReady' or 'Parallel'",
        )),
    }
    strategy(errors, &path.child("updateStrategy"), workload::part(spec, "updateStrategy"));
    let retention = path.child("persistentVolumeClaimRetentionPolicy");
    if let Some(policy) = spec.child("persistentVolumeClaimRetentionPolicy") {
        for field in ["whenDeleted", "whenScaled"] {
            if !matches!(policy.text(field), "Retain" | "Delete") {
                let known = ["Delete", "Retain"];
                errors.push(FieldError::not_supported(retention.child(field), policy.text(field), known));
            }
        }
    }
    workload::not_negatives(errors, &path, spec, &["replicas", "minReadySeconds"]);
    if let Some(ordinals) = spec.child("ordinals") {
        workload::not_negatives(errors, &path.child("ordinals"), ordinals, &["start"]);
    }
    workload::selector(errors, &path.child("selector"), spec.child("selector"), "statefulset");
    template(errors, &path, spec);
}

/// The pod's spec is checked when the pods are made, as upstream does: the volumes of the claims are not in it yet.
fn template(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, spec: &Value) {
    let template = workload::part(spec, "template");
    let Ok(selector) = LabelSelector::from_object(spec.child("selector")) else {
        let shown = spec.get("selector").cloned().unwrap_or(Value::Null);
        errors.push(FieldError::invalid(path.child("selector"), shown, ""));
        return;
    };
    let path = path.child("template");
    if !selector.is_empty() {
        workload::template_is_selected(errors, &path, template, &selector);
    }
    let metadata = workload::part(template, "metadata");
    labels::labels(errors, &path.child("labels"), metadata.map("labels"));
    labels::annotations(errors, &path.child("annotations"), metadata.map("annotations"));
    workload::lasting_template(errors, &path, template, "StatefulSet");
}

fn strategy(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, strategy: &Value) {
    let rolling_path = path.child("rollingUpdate");
    let rolling = strategy.child("rollingUpdate");
    match strategy.text("type") {
        "" => errors.push(FieldError::required(path, "")),
        "OnDelete" => {
            if let Some(rolling) = rolling {
                let detail = "only allowed for updateStrategy 'RollingUpdate'";
                let shown = json!({ "Partition": rolling.int("partition").unwrap_or(0), "MaxUnavailable": null });
                errors.push(FieldError::invalid(rolling_path, shown, detail));
            }
        }
        "RollingUpdate" => {
            if let Some(rolling) = rolling {
                workload::not_negatives(errors, &rolling_path, rolling, &["partition"]);
            }
        }
        other => {
            let shown = json!({ "Type": other, "RollingUpdate": rolling });
            errors.push(FieldError::invalid(path, shown, "must be 'RollingUpdate' or 'OnDelete'"));
        }
    }
}

fn status(new: &Value, old: &Value) -> Vec<FieldError> {
    const COUNTS: &[&str] = &[
        "replicas",
        "readyReplicas",
        "currentReplicas",
        "updatedReplicas",
        "availableReplicas",
        "observedGeneration",
        "collisionCount",
    ];
    let mut errors = Vec::new();
    workload::not_negatives(&mut errors, &FieldPath::root("status"), new, COUNTS);
    let counts = ["readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"];
    workload::replica_counts(&mut errors, new, &counts, "status.readyReplicas");
    workload::collisions_grow(&mut errors, new, old);
    errors
}
