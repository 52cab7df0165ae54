//! ServiceCIDR and IPAddress: the ranges that services get their addresses from, and the addresses that are taken.

use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::kind::{Behaviour, Column, Kind, PART_VERBS, Part};
use crate::kinds::fields::{self, Fields};
use crate::kinds::validation::{cidr, immutable, parse_cidr};
use crate::kinds::{columns, object_meta, spec_status};
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
        .name_rule(crate::kinds::validation::names::NameRule::PathSegment)
}

impl Behaviour for ServiceCidr {
    fn prepare_create(&self, object: &mut Value) {
        fields::remove(object, "status");
    }

    fn prepare_update(&self, part: Part, new: &mut Value, old: &Value) {
        spec_status::keep_other_part(part, new, old);
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let path = FieldPath::root("spec");
        let path = path.child("cidrs");
        let blocks = object.child("spec").map(|spec| spec.texts("cidrs")).unwrap_or_default();
        if blocks.is_empty() {
            errors.push(FieldError::required(path, "at least one CIDR required"));
        }
        if blocks.len() > 2 {
            let detail = "may only hold up to 2 values";
            errors.push(FieldError::invalid(path, json!(blocks), detail));
        } else if let [first, second] = blocks.as_slice()
            && let (Some((first, _)), Some((second, _))) = (parse_cidr(first), parse_cidr(second))
            && first.is_ipv4() == second.is_ipv4()
        {
            let detail = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
            errors.push(FieldError::invalid(path, json!(blocks), detail));
        }
        for (index, block) in blocks.into_iter().enumerate() {
            cidr(&mut errors, &path.index(index), block);
        }
        errors
    }

    fn validate_update(&self, _part: Part, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let path = FieldPath::root("spec");
        immutable(&mut errors, &path.child("cidrs"), new.at(&["spec", "cidrs"]), old.at(&["spec", "cidrs"]));
        errors
    }

    fn reset_fields(&self, part: Part) -> &'static [&'static str] {
        spec_status::reset_fields(part)
    }

    fn columns(&self) -> &[Column] {
        &RANGE_COLUMNS
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let blocks = object.child("spec").map(|spec| spec.texts("cidrs")).unwrap_or_default();
        vec![columns::name_cell(object), Value::from(blocks.join(",")), columns::age_cell(object, now)]
    }
}

impl Behaviour for IpAddress {
    fn prepare_create(&self, object: &mut Value) {
        object_meta::first_generation(object);
    }

    fn prepare_update(&self, _part: Part, new: &mut Value, old: &Value) {
        spec_status::bump_if_changed(new, old, "spec");
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let null = Value::Null;
        let name = object.child("metadata").unwrap_or(&null).text("name");
        let canonical = name.parse::<std::net::IpAddr>().ok().map(|address| address.to_string());
        if canonical.as_deref() != Some(name) {
            let detail = "must be a valid IP address in canonical form";
            errors.push(FieldError::invalid("metadata.name", name, detail));
        }
        let path = FieldPath::root("spec");
        let path = path.child("parentRef");
        match object.at(&["spec", "parentRef"]) {
            None => errors.push(FieldError::required(path, "")),
            Some(parent) => {
                for field in ["resource", "name"] {
                    if parent.text(field).is_empty() {
                        errors.push(FieldError::required(path.child(field), ""));
                    }
                }
            }
        }
        errors
    }

    fn validate_update(&self, _part: Part, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        immutable(&mut errors, &FieldPath::root("spec"), new.child("spec"), old.child("spec"));
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
