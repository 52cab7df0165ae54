//! Lease: who holds something, and until when it is believed.

use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::{Behaviour, Column, Kind, Part};
use crate::kinds::columns;
use crate::kinds::fields::{self, Fields};
use crate::kinds::validation::not_negative;
use crate::status::{FieldError, FieldPath};

const HOLDER: &str = "holderIdentity contains the identity of the holder of a current lease. If Coordinated Leader Election is used, the holder identity must be equal to the elected LeaseCandidate.metadata.name field.";

static COLUMNS: LazyLock<Vec<Column>> =
    LazyLock::new(|| vec![columns::name(), columns::text("Holder", HOLDER), columns::age()]);

#[derive(Debug)]
struct Lease;

pub(super) fn kind() -> Kind {
    Kind::new("coordination.k8s.io", "v1", "Lease", "leases", Lease)
        .schema("io.k8s.api.coordination.v1.Lease")
        .creates_on_update()
        .updates_need_a_version()
}

impl Behaviour for Lease {
    fn default(&self, object: &mut Value) {
        fields::object_mut(object, "spec");
    }

    fn prepare_create(&self, object: &mut Value) {
        drop_coordinated_election(object);
    }

    fn prepare_update(&self, _part: Part, new: &mut Value, _old: &Value) {
        drop_coordinated_election(new);
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let path = FieldPath::root("spec");
        let Some(spec) = object.child("spec") else { return errors };
        if let Some(seconds) = spec.int("leaseDurationSeconds").filter(|seconds| *seconds <= 0) {
            errors.push(FieldError::invalid(path.child("leaseDurationSeconds"), seconds, "must be greater than 0"));
        }
        not_negative(&mut errors, &path.child("leaseTransitions"), spec.int("leaseTransitions"));
        errors
    }

    fn validate_update(&self, _part: Part, new: &Value, _old: &Value) -> Vec<FieldError> {
        self.validate_create(new)
    }

    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let holder = object.child("spec").map(|spec| spec.text("holderIdentity")).unwrap_or_default();
        vec![columns::name_cell(object), Value::from(holder), columns::age_cell(object, now)]
    }
}

/// Fields of a feature that 1.34 ships switched off.
fn drop_coordinated_election(object: &mut Value) {
    if let Some(spec) = object.get_mut("spec") {
        fields::remove(spec, "strategy");
        fields::remove(spec, "preferredHolder");
    }
}
