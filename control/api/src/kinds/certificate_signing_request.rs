//! CertificateSigningRequest: somebody asks for a certificate, somebody approves, a signer issues.

mod validate;

use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::{Behaviour, Column, Kind, PART_VERBS, Part};
use crate::kinds::fields::{self, Fields};
use crate::kinds::validation::names::NameRule;
use crate::kinds::{age, columns};
use crate::meta;
use crate::status::FieldError;

const SIGNER: &str = "Requested signer for the request. It is a qualified name in the form: `scope-hostname.io/name`. If empty, it will be defaulted:\n 1. If it's a kubelet client certificate, it is assigned\n    \"kubernetes.io/kube-apiserver-client-kubelet\".\n 2. If it's a kubelet serving certificate, it is assigned\n    \"kubernetes.io/kubelet-serving\".\n 3. Otherwise, it is assigned \"kubernetes.io/legacy-unknown\".\nDistribution of trust for signers happens out of band. You can select on this field using `spec.signerName`.";
const REQUEST: &str = "Base64-encoded PKCS#10 CSR data";
const DURATION: &str = "expirationSeconds is the requested duration of validity of the issued certificate. The certificate signer may issue a certificate with a different validity duration so a client must check the delta between the notBefore and and notAfter fields in the issued certificate to determine the actual duration.\n\nThe v1.22+ in-tree implementations of the well-known Kubernetes signers will honor this field as long as the requested duration is not greater than the maximum duration they will honor per the --cluster-signing-duration CLI flag to the Kubernetes controller manager.\n\nCertificate signers may not honor this field for various reasons:\n\n  1. Old signer that is unaware of the field (such as the in-tree\n     implementations prior to v1.22)\n  2. Signer whose configured maximum is shorter than the requested duration\n  3. Signer whose configured minimum is longer than the requested duration\n\nThe minimum valid value for expirationSeconds is 600, i.e. 10 minutes.";
const CONDITIONS: &str = "Conditions applied to the request, such as approval or denial.";

static COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    vec![
        columns::name(),
        columns::age(),
        columns::text("SignerName", SIGNER),
        columns::text("Requestor", REQUEST),
        columns::text("RequestedDuration", DURATION),
        columns::text("Condition", CONDITIONS),
    ]
});

#[derive(Debug)]
struct CertificateSigningRequest;

pub(super) fn kind() -> Kind {
    Kind::new(
        "certificates.k8s.io",
        "v1",
        "CertificateSigningRequest",
        "certificatesigningrequests",
        CertificateSigningRequest,
    )
    .schema("io.k8s.api.certificates.v1.CertificateSigningRequest")
    .short_names(&["csr"])
    .cluster_scoped()
    .name_rule(NameRule::PathSegment)
    .part("approval", Part::Approval, PART_VERBS)
    .part("status", Part::Status, PART_VERBS)
}

/// Gives the conditions that have no times yet, or that `old` has otherwise, the time of this write.
pub fn stamp_conditions(object: &mut Value, old: &Value, now: Timestamp) {
    let time = meta::format_time(now);
    let known: Vec<Value> = old.child("status").map(|status| status.list("conditions").to_vec()).unwrap_or_default();
    let Some(status) = object.get_mut("status") else { return };
    for condition in fields::items_mut(status, "conditions") {
        fields::set_default(condition, "lastUpdateTime", time.as_str());
        if condition.text("lastTransitionTime").is_empty() {
            let same = known.iter().find(|known| {
                known.text("type") == condition.text("type") && known.text("status") == condition.text("status")
            });
            let since = same.map(|known| known.text("lastTransitionTime")).filter(|since| !since.is_empty());
            fields::set(condition, "lastTransitionTime", since.unwrap_or(&time));
        }
    }
}

impl Behaviour for CertificateSigningRequest {
    fn prepare_create(&self, object: &mut Value) {
        // Nobody asks for a certificate and approves it in one.
        fields::remove(object, "status");
    }

    fn prepare_update(&self, part: Part, new: &mut Value, old: &Value) {
        fields::copy_from(new, old, "spec");
        match part {
            Part::Status => keep_approval(new, old),
            Part::Approval => {
                let conditions = new.at(&["status", "conditions"]).cloned();
                fields::copy_from(new, old, "status");
                if let (Some(status), Some(conditions)) = (fields::object_mut(new, "status"), conditions) {
                    fields::set(status, "conditions", conditions);
                }
            }
            _ => fields::copy_from(new, old, "status"),
        }
    }

    fn revalidates_metadata(&self, _part: Part) -> bool {
        true
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        validate::create(object)
    }

    fn validate_update(&self, part: Part, new: &Value, old: &Value) -> Vec<FieldError> {
        validate::update(part, new, old)
    }

    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let null = Value::Null;
        let spec = object.child("spec").unwrap_or(&null);
        let duration = spec.int("expirationSeconds").map(age::human);
        vec![
            columns::name_cell(object),
            columns::age_cell(object, now),
            columns::or_none(spec.text("signerName")),
            Value::from(spec.text("username")),
            Value::from(duration.unwrap_or_else(|| columns::NONE.to_owned())),
            Value::from(condition(object)),
        ]
    }

    fn field_labels(&self) -> &'static [&'static str] {
        &["spec.signerName"]
    }

    fn field_value(&self, object: &Value, _label: &str) -> String {
        object.child("spec").map(|spec| spec.text("signerName")).unwrap_or_default().to_owned()
    }
}

fn conditions(object: &Value) -> &[Value] {
    object.child("status").map(|status| status.list("conditions")).unwrap_or_default()
}

/// A signer may say everything but whether the request was approved: those conditions stay as they were, unless there are
/// more or fewer of them now, which validation refuses.
fn keep_approval(new: &mut Value, old: &Value) {
    for kind in ["Approved", "Denied"] {
        let kept: Vec<Value> = conditions(old).iter().filter(|old| old.text("type") == kind).cloned().collect();
        let Some(status) = new.get_mut("status") else { return };
        let mut found: Vec<&mut Value> =
            fields::items_mut(status, "conditions").iter_mut().filter(|new| new.text("type") == kind).collect();
        if found.len() == kept.len() {
            found.iter_mut().zip(kept).for_each(|(new, old)| **new = old);
        }
    }
}

/// `Pending`, or what was decided and done.
fn condition(object: &Value) -> String {
    let has = |kind: &str| conditions(object).iter().any(|condition| condition.text("type") == kind);
    let mut text = if has("Denied") {
        "Denied".to_owned()
    } else if has("Approved") {
        "Approved".to_owned()
    } else {
        "Pending".to_owned()
    };
    if has("Failed") {
        text.push_str(",Failed");
    }
    if object.child("status").is_some_and(|status| !status.text("certificate").is_empty()) {
        text.push_str(",Issued");
    }
    text
}
