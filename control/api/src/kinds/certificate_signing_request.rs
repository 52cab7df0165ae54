//! CertificateSigningRequest: somebody asks for a certificate, somebody approves, a signer issues.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::kind::{Behaviour, Column, Kind, PART_VERBS, Part};
use crate::kinds::fields::{self, Fields};
use crate::kinds::validation::names::NameRule;
use crate::kinds::{age, columns};
use crate::meta;
use crate::names;
use crate::status::{FieldError, FieldPath};

const SECONDS_MIN: i64 = 600;
/// What a certificate can be used for.
const USAGES: &[&str] = &[
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

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

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let null = Value::Null;
        let spec = object.child("spec").unwrap_or(&null);
        let path = FieldPath::root("spec");
        let request = spec.text("request");
        if !is_request(request) {
            let detail = "PEM block type must be CERTIFICATE REQUEST";
            errors.push(FieldError::invalid(path.child("request"), request, detail));
        }
        let usages = spec.texts("usages");
        if usages.is_empty() {
            errors.push(FieldError::required(path.child("usages"), ""));
        }
        let mut seen = BTreeSet::new();
        for (index, usage) in usages.into_iter().enumerate() {
            let path = path.child("usages");
            let path = path.index(index);
            if !USAGES.contains(&usage) {
                errors.push(FieldError::not_supported(path, usage, USAGES));
            }
            if !seen.insert(usage) {
                errors.push(FieldError::duplicate(path, usage));
            }
        }
        signer_name(&mut errors, &path.child("signerName"), spec.text("signerName"));
        if let Some(seconds) = spec.int("expirationSeconds").filter(|seconds| *seconds < SECONDS_MIN) {
            let detail = "may not specify a duration less than 600 seconds (10 minutes)";
            errors.push(FieldError::invalid(path.child("expirationSeconds"), seconds, detail));
        }
        errors
    }

    fn validate_update(&self, _part: Part, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let path = FieldPath::root("status");
        let path = path.child("conditions");
        let mut seen = BTreeSet::new();
        for (index, condition) in conditions(new).iter().enumerate() {
            let path = path.index(index);
            let (kind, status) = (condition.text("type"), condition.text("status"));
            if kind.is_empty() {
                errors.push(FieldError::required(path.child("type"), ""));
            }
            let decided = matches!(kind, "Approved" | "Denied" | "Failed");
            match status {
                "" => errors.push(FieldError::required(path.child("status"), "")),
                "False" | "Unknown" if decided => {
                    let only = ["True"];
                    errors.push(FieldError::not_supported(path.child("status"), status, only));
                }
                "True" | "False" | "Unknown" => {}
                _ => {
                    let known = ["True", "False", "Unknown"];
                    errors.push(FieldError::not_supported(path.child("status"), status, known));
                }
            }
            if !seen.insert(kind) {
                errors.push(FieldError::duplicate(path.child("type"), kind));
            }
        }
        let kinds = |object: &Value| -> BTreeSet<String> {
            conditions(object).iter().map(|condition| condition.text("type").to_owned()).collect()
        };
        if kinds(new).contains("Approved") && kinds(new).contains("Denied") {
            let detail = "Approved and Denied conditions are mutually exclusive";
            errors.push(FieldError::invalid("status.conditions", "Denied", detail));
        }
        for kind in
            kinds(old).difference(&kinds(new)).filter(|kind| matches!(kind.as_str(), "Approved" | "Denied" | "Failed"))
        {
            let detail = format!("updates may not remove a condition of type {kind:?}");
            errors.push(FieldError::forbidden("status.conditions", detail));
        }
        errors
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

fn is_approval(condition: &Value) -> bool {
    matches!(condition.text("type"), "Approved" | "Denied")
}

/// A signer may say everything but whether the request was approved.
fn keep_approval(new: &mut Value, old: &Value) {
    let kept = conditions(old).iter().filter(|condition| is_approval(condition));
    let added = conditions(new).iter().filter(|condition| !is_approval(condition));
    let all: Vec<Value> = kept.chain(added).cloned().collect();
    let Some(status) = fields::object_mut(new, "status") else { return };
    if all.is_empty() {
        fields::remove(status, "conditions");
    } else {
        fields::set(status, "conditions", json!(all));
    }
}

/// Whether this is the base64 text of a PEM block of a certificate request.
fn is_request(base64: &str) -> bool {
    let Ok(bytes) = BASE64.decode(base64) else { return false };
    let text = String::from_utf8_lossy(&bytes);
    let body = text
        .split_once("-----BEGIN CERTIFICATE REQUEST-----")
        .and_then(|(_, rest)| rest.split_once("-----END CERTIFICATE REQUEST-----"))
        .map(|(body, _)| body.split_whitespace().collect::<String>());
    body.is_some_and(|body| !body.is_empty() && BASE64.decode(body).is_ok())
}

fn signer_name(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, name: &str) {
    if name.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    let Some((domain, rest)) = name.split_once('/').filter(|(_, rest)| !rest.is_empty() && !rest.contains('/')) else {
        let detail = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        errors.push(FieldError::invalid(path, name, detail));
        return;
    };
    for complaint in names::dns_subdomain(domain) {
        errors.push(FieldError::invalid(path, domain, format!("validating label {domain:?}: {complaint}")));
    }
    if domain.split('.').count() < 2 {
        errors.push(FieldError::invalid(
            path,
            domain,
            "should be a domain with at least two segments separated by dots",
        ));
    }
    for complaint in names::dns_subdomain(rest) {
        errors.push(FieldError::invalid(path, rest, format!("validating label {rest:?}: {complaint}")));
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
