//! Probes and life cycle hooks.

use serde_json::Value;

use super::validate_containers::Surroundings;
use crate::kinds::fields::Fields;
use crate::kinds::validation::{complain, http_header_name, not_negative, one_of_if_set, port_name, port_number};
use crate::status::{FieldError, FieldPath};

const MORE_THAN_ONE: &str = "may not specify more than 1 handler type";

/// A probe; `field` is what it is for.
pub(super) fn probe(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, probe: &Value, field: &str) {
    handler(errors, path, probe, &["exec", "httpGet", "tcpSocket", "grpc"], None);
    for number in ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"] {
        not_negative(errors, &path.child(number), probe.int(number));
    }
    let grace = probe.int("terminationGracePeriodSeconds");
    let grace_path = path.child("terminationGracePeriodSeconds");
    if let Some(seconds) = grace.filter(|seconds| *seconds <= 0) {
        errors.push(FieldError::invalid(grace_path, seconds, "must be greater than 0"));
    }
    if field == "readinessProbe" {
        if let Some(seconds) = grace {
            errors.push(FieldError::invalid(grace_path, seconds, "must not be set for readinessProbes"));
        }
    } else {
        let threshold = probe.int("successThreshold").unwrap_or(0);
        if threshold != 1 {
            errors.push(FieldError::invalid(path.child("successThreshold"), threshold, "must be 1"));
        }
    }
}

pub(super) fn lifecycle(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, lifecycle: &Value, pod: &Surroundings<'_>) {
    for hook in ["postStart", "preStop"] {
        if let Some(action) = lifecycle.child(hook) {
            let kinds = ["exec", "httpGet", "tcpSocket", "sleep"];
            handler(errors, &path.child(hook), action, &kinds, pod.grace_seconds);
        }
    }
}

/// Exactly one of the actions, and that one right. A second one is refused unread.
fn handler(
    errors: &mut Vec<FieldError>,
    path: &FieldPath<'_>,
    handler: &Value,
    kinds: &[&str],
    grace_seconds: Option<i64>,
) {
    let mut found = false;
    for kind in kinds {
        let Some(action) = handler.child(kind) else { continue };
        let path = path.child(kind);
        if found {
            errors.push(FieldError::forbidden(path, MORE_THAN_ONE));
            continue;
        }
        found = true;
        match *kind {
            "exec" => {
                if action.list("command").is_empty() {
                    errors.push(FieldError::required(path.child("command"), ""));
                }
            }
            "httpGet" => http_get(errors, &path, action),
            "sleep" => sleep(errors, &path, action, grace_seconds),
            _ => port(errors, &path.child("port"), action.child("port")),
        }
    }
    if !found {
        errors.push(FieldError::required(path, "must specify a handler type"));
    }
}

fn http_get(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, action: &Value) {
    if action.text("path").is_empty() {
        errors.push(FieldError::required(path.child("path"), ""));
    }
    port(errors, &path.child("port"), action.child("port"));
    one_of_if_set(errors, &path.child("scheme"), Some(action.text("scheme")), &["HTTP", "HTTPS"]);
    for header in action.list("httpHeaders") {
        let name = header.text("name");
        complain(errors, &path.child("httpHeaders"), name, http_header_name(name));
    }
}

/// A port by number or by name.
pub(super) fn port(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, port: Option<&Value>) {
    match port {
        Some(Value::String(name)) => complain(errors, path, name.as_str(), port_name(name)),
        port => {
            let number = port.and_then(Value::as_i64).unwrap_or(0);
            complain(errors, path, number, port_number(number));
        }
    }
}

fn sleep(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, action: &Value, grace_seconds: Option<i64>) {
    // A pod without a grace period is refused for that already.
    let Some(grace) = grace_seconds else { return };
    let seconds = action.int("seconds").unwrap_or(0);
    if !(0..=grace).contains(&seconds) {
        let detail = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
        errors.push(FieldError::invalid(path, seconds, detail));
    }
}
