//! Certificate signing requests: who asks, for what, who may approve and sign for whom, and when it was decided.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use coracle_control_api::kinds::certificate_signing_request::stamp_conditions;
use coracle_control_api::status::{FieldError, Status};
use rustls_pki_types::CertificateSigningRequestDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::{Map, Value, json};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer as _;

use super::{Action, Request};
use crate::authorization::{Attributes, decide};
use crate::user::MASTERS;

const GROUP: &str = "certificates.k8s.io";
/// The signer of certificates with which people and programs come to the API server.
const CLIENT_SIGNER: &str = "kubernetes.io/kube-apiserver-client";

fn is_ours(request: &Request<'_>) -> bool {
    request.is(GROUP, "certificatesigningrequests")
}

/// Writes the author into a new request, which decides whose certificate it can become, and the time into conditions.
pub(super) fn admit(request: &Request<'_>, object: &mut Value) {
    if !is_ours(request) {
        return;
    }
    match (request.action, request.old) {
        (Action::Create, _) => set_author(request, object),
        (Action::Update, Some(old)) if !request.subresource.is_empty() => {
            stamp_conditions(object, old, request.call.now);
        }
        _ => {}
    }
}

/// Checks what a new request carries: a PKCS #10 request that its author has signed with the key that it is for.
///
/// # Errors
/// 422 in upstream's words.
pub(super) fn check_request(request: &Request<'_>, object: Option<&Value>) -> Result<(), Status> {
    let Some(object) = object.filter(|_| is_ours(request) && request.action == Action::Create) else { return Ok(()) };
    let text = object.pointer("/spec/request").and_then(Value::as_str).unwrap_or_default();
    let Some(detail) = with_request(text, |parsed| {
        parsed.verify_signature().err().map(|_| "x509: signature check of the request failed".to_owned())
    }) else {
        return Ok(());
    };
    let name = coracle_control_api::meta::name(object);
    let error = FieldError::invalid("spec.request", text, detail);
    Err(Status::invalid(GROUP, "CertificateSigningRequest", name, &[error]))
}

/// What `check` says of the request in this base64 text of a PEM text, or that it is none.
fn with_request(base64: &str, check: impl FnOnce(&X509CertificationRequest<'_>) -> Option<String>) -> Option<String> {
    let malformed = || Some("asn1: structure error: the request cannot be parsed".to_owned());
    let Ok(pem) = BASE64.decode(base64) else { return malformed() };
    let Ok(der) = CertificateSigningRequestDer::from_pem_slice(&pem) else { return malformed() };
    match X509CertificationRequest::from_der(&der) {
        Ok(([], parsed)) => check(&parsed),
        _ => malformed(),
    }
}

/// CertificateApproval: who approves must be allowed to for that signer.
///
/// # Errors
/// 403.
pub(super) fn validate_approval(request: &Request<'_>) -> Result<(), Status> {
    match request.old {
        Some(old) if is_ours(request) && request.action == Action::Update && request.subresource == "approval" => {
            may(request, old, "approve")
        }
        _ => Ok(()),
    }
}

/// CertificateSigning: who gives a certificate or says that there will be none must be allowed to for that signer.
///
/// # Errors
/// 403.
pub(super) fn validate_signing(request: &Request<'_>, object: Option<&Value>) -> Result<(), Status> {
    let (Some(old), Some(new)) = (request.old, object) else { return Ok(()) };
    if !is_ours(request) || request.action != Action::Update || request.subresource != "status" {
        return Ok(());
    }
    let same = |pointer| old.pointer(pointer) == new.pointer(pointer);
    if same("/status/certificate") && same("/status/conditions") { Ok(()) } else { may(request, old, "sign") }
}

/// CertificateSubjectRestriction: nobody becomes an administrator by a certificate that he asks for.
///
/// # Errors
/// 403.
pub(super) fn validate_subject(request: &Request<'_>, object: Option<&Value>) -> Result<(), Status> {
    let Some(object) = object.filter(|_| is_ours(request) && request.action == Action::Create) else { return Ok(()) };
    let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    if text("/spec/signerName") != CLIENT_SIGNER {
        return Ok(());
    }
    let found = with_request(text("/spec/request"), |parsed| {
        let mut groups = parsed.certification_request_info.subject.iter_organization();
        groups
            .any(|group| group.as_str().is_ok_and(|group| group == MASTERS))
            .then(|| format!("use of {CLIENT_SIGNER} signer with {MASTERS} group is not allowed"))
    });
    found.map_or(Ok(()), |cause| Err(request.forbid(&cause)))
}

fn set_author(request: &Request<'_>, object: &mut Value) {
    let user = &request.call.user;
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else { return };
    for field in ["uid", "extra"] {
        spec.remove(field);
    }
    spec.insert("username".to_owned(), json!(user.name));
    spec.insert("groups".to_owned(), json!(user.groups));
    if !user.uid.is_empty() {
        spec.insert("uid".to_owned(), json!(user.uid));
    }
    if !user.extra.is_empty() {
        let extra: Map<String, Value> = user.extra.iter().map(|(key, values)| (key.clone(), json!(values))).collect();
        spec.insert("extra".to_owned(), Value::Object(extra));
    }
}

/// The verb on the signer itself, or on all signers of its domain.
fn may(request: &Request<'_>, old: &Value, verb: &str) -> Result<(), Status> {
    let signer = old.pointer("/spec/signerName").and_then(Value::as_str).unwrap_or_default();
    let all = format!("{}/*", signer.split('/').next().unwrap_or_default());
    let roles = request.call.shared.roles();
    let allowed = [signer, &all].into_iter().any(|name| {
        let attributes = Attributes { verb, group: GROUP, resource: "signers", name, ..Attributes::default() };
        decide(&roles, &request.call.user, &attributes).is_ok()
    });
    if allowed {
        return Ok(());
    }
    Err(request.forbid(&format!("user not permitted to {verb} requests with signerName {signer:?}")))
}
