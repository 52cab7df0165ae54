//! What may change in a service.

use serde_json::Value;

use super::{is_headless, validate};
use crate::kinds::fields::{Fields, same};
use crate::kinds::validation::{complain, ip, one_of_if_set};
use crate::kinds::workload;
use crate::names;
use crate::status::{FieldError, FieldPath};

const SET: &str = "may not change once set";

pub(super) fn object(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let (new_spec, old_spec) = (workload::part(new, "spec"), workload::part(old, "spec"));
    let external = [new_spec, old_spec].iter().any(|spec| spec.text("type") == "ExternalName");
    if !external {
        let path = FieldPath::root("spec");
        if !(is_headless(new_spec) && is_headless(old_spec)) {
            first_stays(&mut errors, &path.child("clusterIPs"), (new_spec, old_spec), ("clusterIPs", "clusterIP"));
        }
        first_stays(&mut errors, &path.child("ipFamilies"), (new_spec, old_spec), ("ipFamilies", "ipFamily"));
    }
    let class = |spec: &Value| spec.child("loadBalancerClass").cloned();
    if new_spec.text("type") == "LoadBalancer"
        && old_spec.text("type") == "LoadBalancer"
        && !same(class(new_spec).as_ref(), class(old_spec).as_ref())
    {
        errors.push(FieldError::invalid("spec.loadBalancerClass", class(new_spec), SET));
    }
    errors.extend(validate::service(new));
    errors
}

/// The first address and the first family are what a service is known by.
fn first_stays(
    errors: &mut Vec<FieldError>,
    path: &FieldPath<'_>,
    (new, old): (&Value, &Value),
    (field, one): (&str, &str),
) {
    let (wanted, before) = (new.texts(field), old.texts(field));
    let Some(first) = before.first() else { return };
    let detail = match wanted.first() {
        None => format!("primary {one} can not be unset"),
        Some(wanted) if wanted != first => SET.to_owned(),
        Some(_) => return,
    };
    let shown = new.get(field).cloned().unwrap_or(Value::Null);
    errors.push(FieldError::invalid(path.index(0), shown, detail));
}

pub(super) fn status(service: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let path = FieldPath::root("status");
    let path = path.child("loadBalancer.ingress");
    let balancer = workload::part(workload::part(service, "status"), "loadBalancer");
    let ingresses = balancer.list("ingress");
    let balanced = workload::part(service, "spec").text("type") == "LoadBalancer";
    if !balanced && !ingresses.is_empty() {
        errors.push(FieldError::forbidden(path, "may only be used when `spec.type` is 'LoadBalancer'"));
        return errors;
    }
    for (index, ingress) in ingresses.iter().enumerate() {
        let path = path.index(index);
        if let Some(address) = ingress.text_if_set("ip").filter(|address| !address.is_empty()) {
            ip(&mut errors, &path.child("ip"), address);
            if ingress.text("ipMode").is_empty() {
                errors.push(FieldError::required(path.child("ipMode"), "must be specified when `ip` is set"));
            }
        } else if ingress.has("ipMode") {
            errors.push(FieldError::forbidden(path.child("ipMode"), "may not be specified when `ip` is not set"));
        }
        one_of_if_set(&mut errors, &path.child("ipMode"), ingress.text_if_set("ipMode"), &["VIP", "Proxy"]);
        if let Some(host) = ingress.text_if_set("hostname").filter(|host| !host.is_empty()) {
            complain(&mut errors, &path.child("hostname"), host, names::dns_subdomain(host));
        }
    }
    errors
}
