//! What is refused in classes, claims and slices of devices. Expressions are bounded here and not compiled.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::kinds::fields::{Fields, same};
use crate::kinds::pod::validate_scheduling::node_selector;
use crate::kinds::storage::driver_name;
use crate::kinds::validation::{IMMUTABLE, complain, dns_label, dns_subdomain, immutable, labels};
use crate::kinds::workload::part;
use crate::names;
use crate::status::{FieldError, FieldPath};

const REQUESTS_MAX: usize = 32;
const ALTERNATIVES_MAX: usize = 8;
const DEVICES_MAX: usize = 128;
const RESERVATIONS_MAX: usize = 256;
const ATTRIBUTES_MAX: usize = 32;
const EXPRESSION_BYTES_MAX: usize = 10 * 1024;
const PARAMETERS_BYTES_MAX: usize = 10 * 1024;
const VALUE_BYTES_MAX: usize = 64;
const IDENTIFIER_BYTES_MAX: usize = 32;
const POOL_BYTES_MAX: usize = 253;
const REFERENCE: &str =
    "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";
const IDENTIFIER: &str = "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex used for validation is '[A-Za-z_][A-Za-z0-9_]*')";
const PLACES: &str = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";

type Errors = Vec<FieldError>;

/// Names of requests with those of their alternatives.
type Requests<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// Checks every item, and that there are not too many.
fn each(
    errors: &mut Errors,
    path: &FieldPath<'_>,
    items: &[Value],
    items_max: usize,
    mut check: impl FnMut(&mut Errors, &FieldPath<'_>, &Value),
) {
    if items.len() > items_max {
        errors.push(FieldError::too_many(path, items.len(), items_max));
    }
    for (index, item) in items.iter().enumerate().take(items_max) {
        check(errors, &path.index(index), item);
    }
}

/// No two items have the same name.
fn different_names(errors: &mut Errors, path: &FieldPath<'_>, items: &[Value]) {
    let mut seen = BTreeSet::new();
    for (index, item) in items.iter().enumerate() {
        let name = item.text("name");
        if !seen.insert(name) {
            errors.push(FieldError::duplicate(path.index(index).child("name"), name));
        }
    }
}

pub(super) fn class(object: &Value) -> Errors {
    let mut errors = Vec::new();
    let spec = part(object, "spec");
    let path = FieldPath::root("spec");
    selectors(&mut errors, &path.child("selectors"), spec.list("selectors"));
    each(&mut errors, &path.child("config"), spec.list("config"), REQUESTS_MAX, configuration);
    errors
}

fn selectors(errors: &mut Errors, path: &FieldPath<'_>, selectors: &[Value]) {
    each(errors, path, selectors, REQUESTS_MAX, |errors, path, selector| {
        let path = path.child("cel");
        match selector.child("cel").map(|cel| cel.text("expression")) {
            None => errors.push(FieldError::required(path, "")),
            Some(expression) if expression.len() > EXPRESSION_BYTES_MAX => {
                errors.push(FieldError::too_long(path.child("expression"), EXPRESSION_BYTES_MAX));
            }
            Some(_) => {}
        }
    });
}

fn configuration(errors: &mut Errors, path: &FieldPath<'_>, config: &Value) {
    let path = path.child("opaque");
    let Some(opaque) = config.child("opaque") else {
        errors.push(FieldError::required(path, ""));
        return;
    };
    driver_name(errors, &path.child("driver"), opaque.text("driver"));
    let path = path.child("parameters");
    match opaque.child("parameters") {
        None => errors.push(FieldError::required(path, "")),
        Some(parameters) if parameters.to_string().len() > PARAMETERS_BYTES_MAX => {
            errors.push(FieldError::too_long(path, PARAMETERS_BYTES_MAX));
        }
        Some(Value::Object(_)) => {}
        Some(_) => {
            let detail = "parameters must be a valid JSON object";
            errors.push(FieldError::invalid(path, "<value omitted>", detail));
        }
    }
}

pub(super) fn claim(object: &Value) -> Errors {
    let mut errors = Vec::new();
    spec(&mut errors, &FieldPath::root("spec"), part(object, "spec"));
    errors
}

pub(super) fn template(object: &Value) -> Errors {
    let mut errors = Vec::new();
    let template = part(object, "spec");
    let path = FieldPath::root("spec");
    let (metadata, at) = (part(template, "metadata"), path.child("metadata"));
    labels::annotations(&mut errors, &at.child("annotations"), metadata.map("annotations"));
    labels::labels(&mut errors, &at.child("labels"), metadata.map("labels"));
    spec(&mut errors, &path.child("spec"), part(template, "spec"));
    errors
}

/// What a claim asks for can never change.
pub(super) fn frozen_spec(new: &Value, old: &Value) -> Errors {
    let mut errors = Vec::new();
    immutable(&mut errors, &FieldPath::root("spec"), new.child("spec"), old.child("spec"));
    errors
}

pub(super) fn claim_update(new: &Value, old: &Value) -> Errors {
    let mut errors = frozen_spec(new, old);
    errors.extend(claim(new));
    errors
}

fn gather(spec: &Value) -> Requests<'_> {
    let mut known = Requests::new();
    for request in part(spec, "devices").list("requests") {
        let alternatives = known.entry(request.text("name")).or_default();
        alternatives.extend(request.list("firstAvailable").iter().map(|alternative| alternative.text("name")));
    }
    known
}

fn spec(errors: &mut Errors, path: &FieldPath<'_>, spec: &Value) {
    let (devices, path) = (part(spec, "devices"), path.child("devices"));
    let known = gather(spec);
    let (requests, at) = (devices.list("requests"), path.child("requests"));
    each(errors, &at, requests, REQUESTS_MAX, request);
    different_names(errors, &at, requests);
    let at = path.child("constraints");
    each(errors, &at, devices.list("constraints"), REQUESTS_MAX, |errors, path, constraint| {
        references(errors, &path.child("requests"), constraint, &known);
        match constraint.text_if_set("matchAttribute") {
            None => errors.push(FieldError::required(path.child("matchAttribute"), "")),
            Some(name) => attribute_name(errors, &path.child("matchAttribute"), name, true),
        }
    });
    each(errors, &path.child("config"), devices.list("config"), REQUESTS_MAX, |errors, path, config| {
        references(errors, &path.child("requests"), config, &known);
        configuration(errors, path, config);
    });
}

fn request(errors: &mut Errors, path: &FieldPath<'_>, request: &Value) {
    const ONE: &str = "exactly one of `exactly` or `firstAvailable` is required";
    dns_label(errors, &path.child("name"), request.text("name"));
    let alternatives = request.list("firstAvailable");
    match (request.child("exactly"), alternatives.is_empty()) {
        (None, true) => errors.push(FieldError::required(path, ONE)),
        (Some(_), false) => {
            errors.push(FieldError::invalid(path, Value::Null, format!("{ONE}, but multiple fields are set")));
        }
        (Some(exactly), true) => wanted(errors, &path.child("exactly"), exactly),
        (None, false) => {
            let path = path.child("firstAvailable");
            each(errors, &path, alternatives, ALTERNATIVES_MAX, |errors, path, alternative| {
                dns_label(errors, &path.child("name"), alternative.text("name"));
                wanted(errors, path, alternative);
            });
            different_names(errors, &path, alternatives);
        }
    }
}

/// How many devices of which class.
fn wanted(errors: &mut Errors, path: &FieldPath<'_>, request: &Value) {
    let (class, at) = (request.text("deviceClassName"), path.child("deviceClassName"));
    if class.is_empty() {
        errors.push(FieldError::required(at, ""));
    } else {
        dns_subdomain(errors, &at, class);
    }
    selectors(errors, &path.child("selectors"), request.list("selectors"));
    let (mode, count) = (request.text("allocationMode"), request.int("count").unwrap_or(0));
    match mode {
        "All" if count != 0 => {
            let detail = "must not be specified when allocationMode is 'All'";
            errors.push(FieldError::invalid(path.child("count"), count, detail));
        }
        "All" => {}
        "ExactCount" if count <= 0 => {
            errors.push(FieldError::invalid(path.child("count"), count, "must be greater than zero"));
        }
        "ExactCount" => {}
        _ => errors.push(FieldError::not_supported(path.child("allocationMode"), mode, ["All", "ExactCount"])),
    }
}

fn references(errors: &mut Errors, path: &FieldPath<'_>, holder: &Value, known: &Requests<'_>) {
    let names = holder.texts("requests");
    if names.len() > REQUESTS_MAX {
        errors.push(FieldError::too_many(path, names.len(), REQUESTS_MAX));
    }
    let mut seen = BTreeSet::new();
    for (index, name) in names.into_iter().enumerate().take(REQUESTS_MAX) {
        let path = path.index(index);
        reference(errors, &path, name, known);
        if !seen.insert(name) {
            errors.push(FieldError::duplicate(path, name));
        }
    }
}

fn reference(errors: &mut Errors, path: &FieldPath<'_>, name: &str, known: &Requests<'_>) {
    let segments: Vec<&str> = name.split('/').collect();
    if segments.len() > 2 {
        errors.push(FieldError::invalid(path, name, REFERENCE));
        return;
    }
    for segment in &segments {
        dns_label(errors, path, segment);
    }
    let is_known = match segments.as_slice() {
        [request] => known.contains_key(request),
        [request, alternative] => known.get(request).is_some_and(|all| all.contains(alternative)),
        _ => false,
    };
    if !is_known {
        errors.push(FieldError::invalid(path, name, REFERENCE));
    }
}

/// `example.com/memory`, or without a domain where that may be left out.
fn attribute_name(errors: &mut Errors, path: &FieldPath<'_>, name: &str, needs_domain: bool) {
    let identifier = match name.split_once('/') {
        None => name,
        Some(("", identifier)) => {
            errors.push(FieldError::required(path, "the domain must not be empty"));
            identifier
        }
        Some((domain, identifier)) => {
            driver_name(errors, path, domain);
            identifier
        }
    };
    let mut characters = identifier.bytes();
    let starts = characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_');
    if identifier.is_empty() {
        errors.push(FieldError::required(path, "the name must not be empty"));
    } else if !starts || !characters.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        errors.push(FieldError::invalid(path, identifier, IDENTIFIER));
    }
    if identifier.len() > IDENTIFIER_BYTES_MAX {
        errors.push(FieldError::too_long(path, IDENTIFIER_BYTES_MAX));
    }
    if needs_domain && !name.contains('/') {
        errors.push(FieldError::invalid(path, name, "must include a domain"));
    }
}

pub(super) fn claim_status(new: &Value, old: &Value) -> Errors {
    let mut errors = Vec::new();
    let (status, known) = (part(new, "status"), gather(part(new, "spec")));
    let path = FieldPath::root("status");
    let (reserved, at) = (status.list("reservedFor"), path.child("reservedFor"));
    let mut seen = BTreeSet::new();
    each(&mut errors, &at, reserved, RESERVATIONS_MAX, |errors, path, user| {
        for field in ["resource", "name", "uid"] {
            if user.text(field).is_empty() {
                errors.push(FieldError::required(path.child(field), ""));
            }
        }
        if !seen.insert(user.text("uid").to_owned()) {
            errors.push(FieldError::duplicate(path.child("uid"), user.text("uid")));
        }
    });
    if !reserved.is_empty() && !status.has("allocation") {
        let detail = "may not be specified when `allocated` is not set";
        errors.push(FieldError::forbidden(at, detail));
    }
    let (allocation, before) = (status.child("allocation"), part(old, "status").child("allocation"));
    let at = path.child("allocation");
    match (allocation, before) {
        (Some(now), Some(before)) if !same(Some(now), Some(before)) => {
            errors.push(FieldError::invalid(at, now.clone(), IMMUTABLE));
        }
        (Some(now), None) => {
            let at = at.child("devices").child("results").to_string();
            let path = FieldPath::root(&at);
            each(&mut errors, &path, part(now, "devices").list("results"), REQUESTS_MAX, |errors, path, result| {
                reference(errors, &path.child("request"), result.text("request"), &known);
                driver_name(errors, &path.child("driver"), result.text("driver"));
                pool_name(errors, &path.child("pool"), result.text("pool"));
                dns_label(errors, &path.child("device"), result.text("device"));
            });
        }
        _ => {}
    }
    errors
}

fn pool_name(errors: &mut Errors, path: &FieldPath<'_>, name: &str) {
    if name.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    if name.len() > POOL_BYTES_MAX {
        errors.push(FieldError::too_long(path, POOL_BYTES_MAX));
    }
    for segment in name.split('/') {
        complain(errors, path, segment, names::dns_subdomain(segment));
    }
}

pub(super) fn slice(object: &Value, old: Option<&Value>) -> Errors {
    let mut errors = Vec::new();
    let spec = part(object, "spec");
    let path = FieldPath::root("spec");
    driver_name(&mut errors, &path.child("driver"), spec.text("driver"));
    let (pool, at) = (part(spec, "pool"), path.child("pool"));
    pool_name(&mut errors, &at.child("name"), pool.text("name"));
    if let Some(count) = pool.int("resourceSliceCount").filter(|count| *count <= 0) {
        errors.push(FieldError::invalid(at.child("resourceSliceCount"), count, "must be greater than zero"));
    }
    if let Some(generation) = pool.int("generation").filter(|generation| *generation < 0) {
        let detail = "must be greater than or equal to zero";
        errors.push(FieldError::invalid(at.child("generation"), generation, detail));
    }
    if let Some(old) = old.map(|old| part(old, "spec")) {
        immutable(&mut errors, &at.child("name"), pool.child("name"), part(old, "pool").child("name"));
        for field in ["driver", "nodeName"] {
            immutable(&mut errors, &path.child(field), spec.child(field), old.child(field));
        }
    }
    place(&mut errors, &path, spec);
    let (devices, at) = (spec.list("devices"), path.child("devices"));
    each(&mut errors, &at, devices, DEVICES_MAX, device);
    different_names(&mut errors, &at, devices);
    errors
}

/// Where the devices of a slice are: at one node, at those that a selector finds, or everywhere.
fn place(errors: &mut Errors, path: &FieldPath<'_>, spec: &Value) {
    let mut set = Vec::new();
    match spec.text_if_set("nodeName") {
        None => {}
        Some("") => {
            let detail = "must be either unset or set to a non-empty string";
            errors.push(FieldError::invalid(path.child("nodeName"), "", detail));
        }
        Some(node) => {
            set.push("`nodeName`");
            dns_subdomain(errors, &path.child("nodeName"), node);
        }
    }
    if let Some(selector) = spec.child("nodeSelector") {
        set.push("`nodeSelector`");
        let at = path.child("nodeSelector");
        node_selector(errors, &at, selector);
        let terms = selector.list("nodeSelectorTerms");
        if terms.len() != 1 {
            let shown = Value::Array(terms.to_vec());
            let detail = "must have exactly one node selector term";
            errors.push(FieldError::invalid(at.child("nodeSelectorTerms"), shown, detail));
        }
    }
    match spec.flag("allNodes") {
        None => {}
        Some(true) => set.push("`allNodes`"),
        Some(false) => {
            let detail = "must be either unset or set to true";
            errors.push(FieldError::invalid(path.child("allNodes"), false, detail));
        }
    }
    match set.len() {
        0 => errors.push(FieldError::required(path, PLACES)),
        1 => {}
        _ => {
            let shown = format!("{{{}}}", set.join(", "));
            errors.push(FieldError::invalid(path, shown, format!("{PLACES}, but multiple fields are set")));
        }
    }
}

fn device(errors: &mut Errors, path: &FieldPath<'_>, device: &Value) {
    dns_label(errors, &path.child("name"), device.text("name"));
    let count = |field: &str| device.map(field).map_or(0, serde_json::Map::len);
    let total = count("attributes") + count("capacity");
    if total > ATTRIBUTES_MAX {
        let detail = format!("the total number of attributes and capacities must not exceed {ATTRIBUTES_MAX}");
        errors.push(FieldError::invalid(path, total, detail));
        return;
    }
    for (field, is_attribute) in [("attributes", true), ("capacity", false)] {
        let path = path.child(field);
        for (name, value) in device.map(field).into_iter().flatten() {
            let path = path.key(name);
            attribute_name(errors, &path, name, false);
            if is_attribute {
                attribute(errors, &path, value);
            }
        }
    }
}

fn attribute(errors: &mut Errors, path: &FieldPath<'_>, value: &Value) {
    let given = ["bool", "int", "string", "version"].iter().filter(|field| value.has(field)).count();
    for field in ["string", "version"] {
        if value.text(field).len() > VALUE_BYTES_MAX {
            errors.push(FieldError::too_long(path.child(field), VALUE_BYTES_MAX));
        }
    }
    if let Some(version) = value.text_if_set("version").filter(|version| !is_semantic_version(version)) {
        let detail = "must be a string compatible with semver.org spec 2.0.0";
        errors.push(FieldError::invalid(path.child("version"), version, detail));
    }
    match given {
        0 => errors.push(FieldError::invalid(path, "", "exactly one value must be specified")),
        1 => {}
        _ => errors.push(FieldError::invalid(path, value.clone(), "exactly one value must be specified")),
    }
}

/// `1.2.3`, with what may follow `-` and `+`.
fn is_semantic_version(text: &str) -> bool {
    let is_word =
        |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let is_number = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit()) && (word == "0" || !word.starts_with('0'))
    };
    let has_letter = |word: &str| word.bytes().any(|byte| !byte.is_ascii_digit());
    let (rest, build) = text.split_once('+').map_or((text, None), |(rest, build)| (rest, Some(build)));
    let (core, pre) = rest.split_once('-').map_or((rest, None), |(core, pre)| (core, Some(pre)));
    core.split('.').count() == 3
        && core.split('.').all(is_number)
        && pre.is_none_or(|pre| pre.split('.').all(|word| is_word(word) && (has_letter(word) || is_number(word))))
        && build.is_none_or(|build| build.split('.').all(is_word))
}
