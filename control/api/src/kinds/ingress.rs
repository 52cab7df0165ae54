//! Ingress: which HTTP requests from outside go to which service; and IngressClass, whose controller sees to it.

use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::{Behaviour, Column, Kind, PART_VERBS, Part};
use crate::kinds::fields::{self, Fields};
use crate::kinds::validation::names::NameRule;
use crate::kinds::validation::{IMMUTABLE, complain, dns_label, dns_subdomain, ip, parse_ip, port_name, port_number};
use crate::kinds::{columns, spec_status};
use crate::names;
use crate::status::{FieldError, FieldPath};

const GROUP: &str = "networking.k8s.io";
const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";
/// Bytes that the name of a class's controller may have.
const CONTROLLER_BYTES_MAX: usize = 250;
/// Hosts that a table shows.
const HOSTS_SHOWN_MAX: usize = 3;
/// Bytes of addresses that a table shows.
const ADDRESS_BYTES_MAX: usize = 16;

static COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    vec![
        columns::name(),
        columns::text(
            "Class",
            "The name of the IngressClass resource that should be used for additional configuration",
        ),
        columns::text("Hosts", "Hosts that incoming requests are matched against before the ingress rule"),
        columns::text("Address", "Address is a list containing ingress points for the load-balancer"),
        columns::text("Ports", "Ports of TLS configurations that open"),
        columns::age(),
    ]
});

static CLASS_COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    vec![
        columns::name(),
        columns::text("Controller", "Controller that is responsible for handling this class"),
        columns::text("Parameters", "A reference to a resource with additional parameters"),
        columns::age(),
    ]
});

#[derive(Debug)]
struct Ingress;

#[derive(Debug)]
struct IngressClass;

pub(super) fn kind() -> Kind {
    Kind::new(GROUP, "v1", "Ingress", "ingresses", Ingress)
        .schema("io.k8s.api.networking.v1.Ingress")
        .short_names(&["ing"])
        .part("status", Part::Status, PART_VERBS)
}

pub(super) fn class_kind() -> Kind {
    Kind::new(GROUP, "v1", "IngressClass", "ingressclasses", IngressClass)
        .schema("io.k8s.api.networking.v1.IngressClass")
        .cluster_scoped()
}

impl Behaviour for Ingress {
    fn prepare_create(&self, object: &mut Value) {
        spec_status::prepare_create(object);
    }

    fn prepare_update(&self, part: Part, new: &mut Value, old: &Value) {
        spec_status::prepare_update(part, new, old);
    }

    fn revalidates_metadata(&self, part: Part) -> bool {
        part == Part::Object
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = validate(object);
        let annotation = object.at(&["metadata", "annotations", CLASS_ANNOTATION]).and_then(Value::as_str);
        let class = object.child("spec").and_then(|spec| spec.text_if_set("ingressClassName"));
        if let (Some(annotation), Some(class)) = (annotation, class)
            && annotation != class
        {
            errors.push(FieldError::invalid(
                format!("annotations.{CLASS_ANNOTATION}"),
                annotation,
                "must match `ingressClassName` when both are specified",
            ));
        }
        errors
    }

    fn validate_update(&self, part: Part, new: &Value, _old: &Value) -> Vec<FieldError> {
        if part == Part::Status { load_balancer(new) } else { validate(new) }
    }

    fn warnings(&self, new: &Value, old: Option<&Value>) -> Vec<String> {
        match new.at(&["metadata", "annotations", CLASS_ANNOTATION]) {
            Some(_) if old.is_none() => {
                vec![format!(
                    "annotation {CLASS_ANNOTATION:?} is deprecated, please use 'spec.ingressClassName' instead"
                )]
            }
            _ => Vec::new(),
        }
    }

    fn reset_fields(&self, part: Part) -> &'static [&'static str] {
        spec_status::reset_fields(part)
    }

    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let null = Value::Null;
        let spec = object.child("spec").unwrap_or(&null);
        let ports = if spec.list("tls").is_empty() { "80" } else { "80, 443" };
        vec![
            columns::name_cell(object),
            Value::from(spec.text_if_set("ingressClassName").unwrap_or(columns::NONE)),
            Value::from(hosts(spec.list("rules"))),
            Value::from(addresses(object)),
            Value::from(ports),
            columns::age_cell(object, now),
        ]
    }
}

fn hosts(rules: &[Value]) -> String {
    let mut shown = Vec::new();
    let mut more = false;
    for rule in rules {
        more |= shown.len() == HOSTS_SHOWN_MAX;
        if !more && !rule.text("host").is_empty() {
            shown.push(rule.text("host"));
        }
    }
    let text = shown.join(",");
    match (shown.is_empty(), more) {
        (true, _) => "*".to_owned(),
        (false, true) => format!("{text} + {} more...", rules.len() - HOSTS_SHOWN_MAX),
        (false, false) => text,
    }
}

fn addresses(object: &Value) -> String {
    let points = object.at(&["status", "loadBalancer"]).map(|balancer| balancer.list("ingress")).unwrap_or_default();
    let mut addresses: Vec<&str> = points
        .iter()
        .map(|point| if point.text("ip").is_empty() { point.text("hostname") } else { point.text("ip") })
        .filter(|address| !address.is_empty())
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    columns::shortened(&addresses.join(","), ADDRESS_BYTES_MAX)
}

fn validate(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let null = Value::Null;
    let spec = object.child("spec").unwrap_or(&null);
    let path = FieldPath::root("spec");
    let backend_given = spec.child("defaultBackend");
    let rules = spec.list("rules");
    if rules.is_empty() && backend_given.is_none() {
        let detail = "either `defaultBackend` or `rules` must be specified";
        errors.push(FieldError::invalid(path, Value::Null, detail));
    }
    if let Some(given) = backend_given {
        backend(&mut errors, &path.child("defaultBackend"), given);
    }
    for (index, given) in rules.iter().enumerate() {
        rule(&mut errors, &path.child("rules").index(index), given);
    }
    for (index, given) in spec.list("tls").iter().enumerate() {
        tls(&mut errors, &path.child("tls").index(index), given);
    }
    if let Some(class) = spec.text_if_set("ingressClassName") {
        dns_subdomain(&mut errors, &path.child("ingressClassName"), class);
    }
    errors
}

fn tls(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, tls: &Value) {
    for (index, host) in tls.texts("hosts").into_iter().enumerate() {
        host_name(errors, &path.child("hosts").index(index), host);
    }
    let secret = tls.text("secretName");
    if !secret.is_empty() {
        dns_subdomain(errors, &path.child("secretName"), secret);
    }
}

fn host_name(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, host: &str) {
    if !host.contains('*') {
        return dns_subdomain(errors, path, host);
    }
    if host.len() > names::SUBDOMAIN_LENGTH_MAX {
        errors.push(FieldError::invalid(path, host, names::too_long(names::SUBDOMAIN_LENGTH_MAX)));
    }
    if !host.strip_prefix("*.").is_some_and(|rest| names::dns_subdomain(rest).is_empty()) {
        let words = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character";
        let format = "\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
        errors.push(FieldError::invalid(path, host, names::format_words(words, format, &["*.example.com"])));
    }
}

fn rule(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, rule: &Value) {
    let host = rule.text("host");
    if !host.is_empty() {
        if parse_ip(host).is_some() {
            errors.push(FieldError::invalid(path.child("host"), host, "must be a DNS name, not an IP address"));
        }
        host_name(errors, &path.child("host"), host);
    }
    let Some(http) = rule.child("http") else { return };
    let path = path.child("http");
    let path = path.child("paths");
    if http.list("paths").is_empty() {
        errors.push(FieldError::required(path, ""));
    }
    for (index, given) in http.list("paths").iter().enumerate() {
        http_path(errors, &path.index(index), given);
    }
}

fn http_path(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, given: &Value) {
    let text = given.text("path");
    let at = path.child("path");
    let Some(kind) = given.text_if_set("pathType") else {
        errors.push(FieldError::required(path.child("pathType"), "pathType must be specified"));
        return;
    };
    match kind {
        "Exact" | "Prefix" => {
            if !text.starts_with('/') {
                errors.push(FieldError::invalid(at, text, "must be an absolute path"));
            }
            for part in ["//", "/./", "/../", "%2f", "%2F"].into_iter().filter(|part| text.contains(part)) {
                errors.push(FieldError::invalid(at, text, format!("must not contain '{part}'")));
            }
            for end in ["/..", "/."].into_iter().filter(|end| text.ends_with(end)) {
                errors.push(FieldError::invalid(at, text, format!("cannot end with '{end}'")));
            }
        }
        "ImplementationSpecific" => {
            if !text.is_empty() && !text.starts_with('/') {
                errors.push(FieldError::invalid(at, text, "must be an absolute path"));
            }
        }
        _ => {
            let kinds = ["Exact", "ImplementationSpecific", "Prefix"];
            errors.push(FieldError::not_supported(path.child("pathType"), kind, kinds));
        }
    }
    backend(errors, &path.child("backend"), given.child("backend").unwrap_or(&Value::Null));
}

fn backend(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, backend: &Value) {
    match (backend.child("resource"), backend.child("service")) {
        (Some(_), Some(_)) => {
            errors.push(FieldError::invalid(path, "", "cannot set both resource and service backends"));
        }
        (Some(resource), None) => local_reference(errors, &path.child("resource"), resource),
        (None, Some(given)) => service(errors, path, given),
        (None, None) => errors.push(FieldError::invalid(path, "", "resource or service backend is required")),
    }
}

fn service(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, service: &Value) {
    let at = path.child("service");
    let name = service.text("name");
    if name.is_empty() {
        errors.push(FieldError::required(at.child("name"), ""));
    } else {
        complain(errors, &at.child("name"), name, NameRule::Label1035.complaints(name, false));
    }
    let port = service.child("port").unwrap_or(&Value::Null);
    let at = at.child("port");
    match (port.text("name"), port.int("number").unwrap_or(0)) {
        ("", 0) => errors.push(FieldError::required(path, "port name or number is required")),
        ("", number) => complain(errors, &at.child("number"), number, port_number(number)),
        (name, 0) => complain(errors, &at.child("name"), name, port_name(name)),
        _ => errors.push(FieldError::invalid(path, "", "cannot set both port name & port number")),
    }
}

/// A reference to an object by group, kind and name.
fn local_reference(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, reference: &Value) {
    if let Some(group) = reference.text_if_set("apiGroup") {
        dns_subdomain(errors, &path.child("apiGroup"), group);
    }
    for (field, missing) in [("kind", "kind is required"), ("name", "name is required")] {
        let value = reference.text(field);
        if value.is_empty() {
            errors.push(FieldError::required(path.child(field), missing));
        } else {
            complain(errors, &path.child(field), value, NameRule::PathSegment.complaints(value, false));
        }
    }
}

fn load_balancer(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let path = FieldPath::root("status");
    let path = path.child("loadBalancer");
    let path = path.child("ingress");
    let points = object.at(&["status", "loadBalancer"]).map(|balancer| balancer.list("ingress")).unwrap_or_default();
    for (index, point) in points.iter().enumerate() {
        let path = path.index(index);
        let (address, host) = (point.text("ip"), point.text("hostname"));
        if !address.is_empty() {
            ip(&mut errors, &path.child("ip"), address);
        }
        if !host.is_empty() {
            dns_subdomain(&mut errors, &path.child("hostname"), host);
            if parse_ip(host).is_some() {
                let detail = "must be a DNS name, not an IP address";
                errors.push(FieldError::invalid(path.child("hostname"), host, detail));
            }
        }
    }
    errors
}

impl Behaviour for IngressClass {
    fn default(&self, object: &mut Value) {
        let spec = fields::object_mut(object, "spec");
        if let Some(parameters) = spec.and_then(|spec| spec.get_mut("parameters")) {
            fields::set_default(parameters, "scope", "Cluster");
        }
    }

    fn prepare_create(&self, object: &mut Value) {
        crate::kinds::object_meta::first_generation(object);
    }

    fn prepare_update(&self, _part: Part, new: &mut Value, old: &Value) {
        spec_status::bump_if_changed(new, old, "spec");
    }

    fn revalidates_metadata(&self, _part: Part) -> bool {
        true
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let null = Value::Null;
        let spec = object.child("spec").unwrap_or(&null);
        let path = FieldPath::root("spec");
        let controller = spec.text("controller");
        if controller.len() > CONTROLLER_BYTES_MAX {
            errors.push(FieldError::too_long(path.child("controller"), CONTROLLER_BYTES_MAX));
        }
        domain_prefixed_path(&mut errors, &path.child("controller"), controller);
        if let Some(given) = spec.child("parameters") {
            parameters(&mut errors, &path.child("parameters"), given);
        }
        errors
    }

    fn validate_update(&self, _part: Part, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let controller =
            |object: &Value| object.child("spec").map(|spec| spec.text("controller")).unwrap_or_default().to_owned();
        if controller(new) != controller(old) {
            errors.push(FieldError::invalid("spec.controller", controller(new), IMMUTABLE));
        }
        errors.extend(self.validate_create(new));
        errors
    }

    fn columns(&self) -> &[Column] {
        &CLASS_COLUMNS
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let null = Value::Null;
        let spec = object.child("spec").unwrap_or(&null);
        let parameters = spec.child("parameters").map_or_else(
            || columns::NONE.to_owned(),
            |parameters| {
                let group = parameters.text_if_set("apiGroup").map(|group| format!(".{group}")).unwrap_or_default();
                format!("{}{group}/{}", parameters.text("kind"), parameters.text("name"))
            },
        );
        vec![
            columns::name_cell(object),
            Value::from(spec.text("controller")),
            Value::from(parameters),
            columns::age_cell(object, now),
        ]
    }
}

/// `example.com/some/path`.
fn domain_prefixed_path(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, value: &str) {
    if value.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    let Some((host, rest)) = value.split_once('/').filter(|(host, rest)| !host.is_empty() && !rest.is_empty()) else {
        let detail = "must be a domain-prefixed path (such as \"acme.io/foo\")";
        errors.push(FieldError::invalid(path, value, detail));
        return;
    };
    complain(errors, path, host, names::dns_subdomain(host));
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~%!$&'()*+,;=:".contains(&byte);
    if !rest.bytes().all(allowed) {
        let detail = names::format_words("Invalid path", "[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+", &[]);
        errors.push(FieldError::invalid(path, rest, detail));
    }
}

fn parameters(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, parameters: &Value) {
    local_reference(errors, path, parameters);
    let namespace = parameters.text_if_set("namespace");
    let at = path.child("namespace");
    match parameters.text_if_set("scope") {
        None => errors.push(FieldError::required(path.child("scope"), "")),
        Some("Namespace") => match namespace {
            None | Some("") => errors.push(FieldError::required(at, "`parameters.scope` is set to 'Namespace'")),
            Some(namespace) => dns_label(errors, &at, namespace),
        },
        Some("Cluster") => {
            if namespace.is_some() {
                errors.push(FieldError::forbidden(at, "`parameters.scope` is set to 'Cluster'"));
            }
        }
        Some(scope) => {
            errors.push(FieldError::not_supported(path.child("scope"), scope, ["Cluster", "Namespace"]));
        }
    }
}
