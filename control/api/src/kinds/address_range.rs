//! ServiceCIDR and IPAddress: the ranges that services get their addresses from, and the addresses that are taken.

use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::kind::{Behaviour, Column, Kind, PART_VERBS, Part};
use crate::kinds::fields::{self, Fields};
use crate::kinds::validation::names::NameRule;
use crate::kinds::validation::{addresses, complain, dns_subdomain, immutable, parse_cidr};
use crate::kinds::{columns, object_meta};
use crate::status::{FieldError, FieldPath};

const GROUP: &str = "networking.k8s.io";

static RANGE_COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    let blocks = "CIDRs defines the IP blocks in CIDR notation (e.g. \"192.168.0.0/24\" or \"2001:db8::/64\") from which to assign service cluster IPs. Max of two CIDRs is allowed, one of each IP family. This field is immutable.";
    vec![columns::name(), columns::text("CIDRs", blocks), columns::age()]
});

static ADDRESS_COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    let parent = "ParentRef references the resource that an IPAddress is attached to. An IPAddress must reference a parent object.";
    // Upstream has a cell for the age and no column.
    vec![columns::name(), columns::text("ParentRef", parent)]
});

#[derive(Debug)]
struct ServiceCidr;

#[derive(Debug)]
struct IpAddress;

pub(super) fn service_range_kind() -> Kind {
    Kind::new(GROUP, "v1", "ServiceCIDR", "servicecidrs", ServiceCidr)
        .schema("io.k8s.api.networking.v1.ServiceCIDR")
        .cluster_scoped()
        .part("status", Part::Status, PART_VERBS)
}

pub(super) fn address_kind() -> Kind {
    Kind::new(GROUP, "v1", "IPAddress", "ipaddresses", IpAddress)
        .schema("io.k8s.api.networking.v1.IPAddress")
        .short_names(&["ip"])
        .cluster_scoped()
        .name_rule(NameRule::Address)
}

impl Behaviour for ServiceCidr {
    fn prepare_update(&self, part: Part, new: &mut Value, old: &Value) {
        // Upstream takes the status from whoever writes the whole object.
        if part == Part::Status {
            fields::copy_from(new, old, "spec");
            object_meta::keep_for_part(new, old);
        }
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let path = FieldPath::root("spec");
        let path = path.child("cidrs");
        let blocks = object.child("spec").map(|spec| spec.texts("cidrs")).unwrap_or_default();
        match blocks.as_slice() {
            [] => errors.push(FieldError::required(path, "at least one CIDR required")),
            [first, second] if !is_pair(first, second) => {
                let detail = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
                errors.push(FieldError::invalid(path, json!({ "CIDRs": blocks }), detail));
            }
            [_] | [_, _] => {
                for (index, block) in blocks.into_iter().enumerate() {
                    complain(&mut errors, &path.index(index), block, addresses::cidr_complaints(block));
                }
            }
            _ => {
                let detail = "may only hold up to 2 values";
                errors.push(FieldError::invalid(path, json!({ "CIDRs": blocks }), detail));
            }
        }
        errors
    }

    fn validate_update(&self, part: Part, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if part != Part::Status {
            let path = FieldPath::root("spec");
            immutable(&mut errors, &path.child("cidrs"), new.at(&["spec", "cidrs"]), old.at(&["spec", "cidrs"]));
        }
        errors
    }

    fn columns(&self) -> &[Column] {
        &RANGE_COLUMNS
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let blocks = object.child("spec").map(|spec| spec.texts("cidrs")).unwrap_or_default();
        vec![columns::name_cell(object), Value::from(blocks.join(",")), columns::age_cell(object, now)]
    }
}

/// Whether two blocks are one of each family.
fn is_pair(first: &str, second: &str) -> bool {
    match (parse_cidr(first), parse_cidr(second)) {
        (Some((first, _)), Some((second, _))) => first.is_ipv4() != second.is_ipv4(),
        _ => false,
    }
}

impl Behaviour for IpAddress {
    fn revalidates_metadata(&self, _part: Part) -> bool {
        true
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let path = FieldPath::root("spec");
        let path = path.child("parentRef");
        match object.at(&["spec", "parentRef"]) {
            None => errors.push(FieldError::required(path, "")),
            Some(given) => parent(&mut errors, &path, given),
        }
        errors
    }

    fn validate_update(&self, _part: Part, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = self.validate_create(new);
        let path = FieldPath::root("spec");
        let parent = |object: &'_ Value| object.at(&["spec", "parentRef"]).cloned();
        let (new, old) = (parent(new), parent(old));
        immutable(&mut errors, &path.child("parentRef"), new.as_ref(), old.as_ref());
        errors
    }

    fn columns(&self) -> &[Column] {
        &ADDRESS_COLUMNS
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let parent = object.at(&["spec", "parentRef"]).map_or_else(
            || columns::NONE.to_owned(),
            |parent| {
                let parts = ["group", "resource", "namespace", "name"].map(|field| parent.text(field).to_lowercase());
                let (group, rest) = (&parts[0], parts[1..].iter().filter(|part| !part.is_empty()));
                let rest = rest.map(String::as_str).collect::<Vec<_>>().join("/");
                if group.is_empty() { rest } else { rest.replacen('/', &format!(".{group}/"), 1) }
            },
        );
        vec![columns::name_cell(object), Value::from(parent), columns::age_cell(object, now)]
    }
}

/// The object that an address belongs to.
fn parent(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, parent: &Value) {
    let group = parent.text("group");
    if !group.is_empty() {
        dns_subdomain(errors, &path.child("group"), group);
    }
    for field in ["resource", "name", "namespace"] {
        match parent.text(field) {
            "" if field == "namespace" => {}
            "" => errors.push(FieldError::required(path.child(field), "")),
            value => complain(errors, &path.child(field), value, NameRule::PathSegment.complaints(value, false)),
        }
    }
}
