//! What is refused in a request for a certificate, and what may change in it.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;

use super::conditions;
use crate::kind::Part;
use crate::kinds::fields::{Fields, same};
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

const DECISIONS: [&str; 3] = ["Approved", "Denied", "Failed"];
const DOMAIN_BYTES_MAX: usize = 253;
/// A domain, a slash, and a path with room for a label, a dot and a domain.
const SIGNER_BYTES_MAX: usize = DOMAIN_BYTES_MAX + 1 + DOMAIN_BYTES_MAX + 63 + 1;

pub(super) fn create(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    all(&mut errors, object, None);
    errors
}

/// Everything that must hold; what was wrong in `old` already may stay so.
fn all(errors: &mut Vec<FieldError>, object: &Value, old: Option<&Value>) {
    let null = Value::Null;
    let spec = object.child("spec").unwrap_or(&null);
    let path = FieldPath::root("spec");
    let request = spec.text("request");
    if !is_request(request) {
        let detail = "PEM block type must be CERTIFICATE REQUEST";
        errors.push(FieldError::invalid(path.child("request"), request, detail));
    }
    let usages = spec.texts("usages");
    let at = path.child("usages");
    if usages.is_empty() {
        errors.push(FieldError::required(at, ""));
    }
    let old_usages = old.and_then(|old| old.child("spec")).map(|spec| spec.texts("usages")).unwrap_or_default();
    if old_usages.iter().all(|usage| USAGES.contains(usage)) {
        for (index, usage) in usages.iter().enumerate().filter(|(_, usage)| !USAGES.contains(usage)) {
            errors.push(FieldError::not_supported(at.index(index), *usage, USAGES));
        }
    }
    if old_usages.iter().collect::<BTreeSet<_>>().len() == old_usages.len() {
        let mut seen = BTreeSet::new();
        for (index, usage) in usages.iter().enumerate() {
            if !seen.insert(usage) {
                errors.push(FieldError::duplicate(at.index(index), *usage));
            }
        }
    }
    let signer = spec.text("signerName");
    if signer == "kubernetes.io/legacy-unknown" {
        let detail = "the legacy signerName is not allowed via this API version";
        errors.push(FieldError::invalid(path.child("signerName"), signer, detail));
    } else {
        signer_name(errors, &path.child("signerName"), signer);
    }
    if let Some(seconds) = spec.int("expirationSeconds").filter(|seconds| *seconds < SECONDS_MIN) {
        let detail = "may not specify a duration less than 600 seconds (10 minutes)";
        errors.push(FieldError::invalid(path.child("expirationSeconds"), seconds, detail));
    }
    all_conditions(errors, object, old);
    let certificate = |object: &Value| object.at(&["status", "certificate"]).and_then(Value::as_str).map(str::to_owned);
    let issued = certificate(object).unwrap_or_default();
    if old.is_none_or(|old| certificate(old).unwrap_or_default() != issued)
        && let Some(complaint) = certificate_complaint(&issued)
    {
        errors.push(FieldError::invalid("status.certificate", "<certificate data>", complaint));
    }
}

fn all_conditions(errors: &mut Vec<FieldError>, object: &Value, old: Option<&Value>) {
    let path = FieldPath::root("status");
    let path = path.child("conditions");
    let had =
        |kind: &str| old.is_some_and(|old| conditions(old).iter().any(|condition| condition.text("type") == kind));
    let had_both = had("Approved") && had("Denied");
    let (mut seen, mut opposite) = (BTreeSet::new(), BTreeSet::new());
    for (index, condition) in conditions(object).iter().enumerate() {
        let path = path.index(index);
        let (kind, status) = (condition.text("type"), condition.text("status"));
        if kind.is_empty() {
            errors.push(FieldError::required(path.child("type"), ""));
        }
        let allowed: &[&str] = if DECISIONS.contains(&kind) { &["True"] } else { &["False", "True", "Unknown"] };
        if status.is_empty() {
            errors.push(FieldError::required(path.child("status"), ""));
        } else if !allowed.contains(&status) {
            errors.push(FieldError::not_supported(path.child("status"), status, allowed));
        }
        let other = match kind {
            "Approved" => "Denied",
            "Denied" => "Approved",
            _ => "",
        };
        if !other.is_empty() && !had_both {
            if opposite.contains(other) {
                let detail = "Approved and Denied conditions are mutually exclusive";
                errors.push(FieldError::invalid(path.child("type"), kind, detail));
            }
            opposite.insert(kind);
        }
        if !seen.insert(kind) {
            errors.push(FieldError::duplicate(path.child("type"), kind));
        }
    }
}

pub(super) fn update(part: Part, new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    all(&mut errors, new, Some(old));
    let of_kind = |object: &Value, kind: &str| -> Vec<Value> {
        conditions(object).iter().filter(|condition| condition.text("type") == kind).cloned().collect()
    };
    let mut refuse = |detail: String| errors.push(FieldError::forbidden("status.conditions", detail));
    for kind in DECISIONS {
        if of_kind(new, kind).len() < of_kind(old, kind).len() {
            refuse(format!("updates may not remove a condition of type {kind:?}"));
        }
    }
    if part != Part::Approval {
        for kind in ["Approved", "Denied"] {
            let (now, before) = (of_kind(new, kind), of_kind(old, kind));
            if now.len() > before.len() {
                refuse(format!("updates may not add a condition of type {kind:?}"));
            } else if now.len() == before.len() && now != before {
                refuse(format!("updates may not modify a condition of type {kind:?}\n"));
            }
        }
    }
    let certificate = ["status", "certificate"];
    if !same(new.at(&certificate), old.at(&certificate)) {
        if part != Part::Status {
            errors.push(FieldError::forbidden("status.certificate", "updates may not set certificate content"));
        } else if old.at(&certificate).is_some() {
            let detail = "updates may not modify existing certificate content";
            errors.push(FieldError::forbidden("status.certificate", detail));
        }
    }
    errors
}

/// The base64 texts within blocks of this kind of a PEM file, or nothing if it has a block of another kind.
fn pem_blocks(text: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("-----BEGIN ") {
        let Some((kind, body)) = after.split_once("-----") else { break };
        let Some((body, after)) = body.split_once(&format!("-----END {kind}-----")) else { break };
        blocks.push((kind.to_owned(), body.trim().to_owned()));
        rest = after;
    }
    blocks
}

fn decoded(base64: &str) -> Option<String> {
    BASE64.decode(base64).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// Whether this is the base64 text of a PEM block of a certificate request.
fn is_request(base64: &str) -> bool {
    let Some(text) = decoded(base64) else { return false };
    pem_blocks(&text).first().is_some_and(|(kind, body)| {
        let body: String = body.split_whitespace().collect();
        kind == "CERTIFICATE REQUEST" && !body.is_empty() && BASE64.decode(body).is_ok()
    })
}

/// What is wrong with an issued certificate, if anything.
fn certificate_complaint(base64: &str) -> Option<String> {
    if base64.is_empty() {
        return None;
    }
    let blocks = pem_blocks(&decoded(base64).unwrap_or_default());
    if blocks.is_empty() {
        return Some("must contain at least one CERTIFICATE PEM block".to_owned());
    }
    blocks.into_iter().find_map(|(kind, body)| {
        if kind != "CERTIFICATE" {
            return Some(format!("only CERTIFICATE PEM blocks are allowed, found {kind:?}"));
        }
        body.contains(':').then(|| "no PEM block headers are permitted".to_owned())
    })
}

fn signer_name(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, name: &str) {
    if name.is_empty() {
        errors.push(FieldError::required(path, ""));
    }
    let Some((domain, rest)) = name.split_once('/').filter(|(_, rest)| !rest.contains('/')) else {
        let detail = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        errors.push(FieldError::invalid(path, name, detail));
        return;
    };
    if domain.len() > DOMAIN_BYTES_MAX {
        errors.push(FieldError::too_long(path, DOMAIN_BYTES_MAX));
    }
    first_bad_label(errors, path, domain, names::dns_label);
    if domain.split('.').count() < 2 {
        let detail = "should be a domain with at least two segments separated by dots";
        errors.push(FieldError::invalid(path, domain, detail));
    }
    first_bad_label(errors, path, rest, names::dns_subdomain);
    if name.len() > SIGNER_BYTES_MAX {
        errors.push(FieldError::too_long(path, SIGNER_BYTES_MAX));
    }
}

/// Everything that is wrong with the first part between dots that is wrong.
fn first_bad_label(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, text: &str, rule: fn(&str) -> Vec<String>) {
    let bad = text.split('.').map(|label| (label, rule(label))).find(|(_, complaints)| !complaints.is_empty());
    if let Some((label, complaints)) = bad {
        for complaint in complaints {
            errors.push(FieldError::invalid(path, text, format!("validating label {label:?}: {complaint}")));
        }
    }
}
