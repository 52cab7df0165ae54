//! The kinds of storage.k8s.io: classes of volumes, the drivers that make and attach them, and where there is room.

mod classes;
mod drivers;

use serde_json::Value;

use crate::kind::{Kind, PART_VERBS, Part};
use crate::kinds::fields::{Fields, text_entries};
use crate::names;
use crate::status::{FieldError, FieldPath};

const GROUP: &str = "storage.k8s.io";
const PARAMETERS_MAX: usize = 512;
const PARAMETERS_BYTES_MAX: usize = 256 * 1024;
const DRIVER_NAME_BYTES_MAX: usize = 63;

/// All of them, in discovery's order.
pub(super) fn kinds() -> [Kind; 6] {
    [
        Kind::new(GROUP, "v1", "CSIDriver", "csidrivers", drivers::Driver)
            .schema("io.k8s.api.storage.v1.CSIDriver")
            .cluster_scoped()
            .updates_need_a_version()
            .returns_what_it_deletes(),
        Kind::new(GROUP, "v1", "CSINode", "csinodes", drivers::Node)
            .schema("io.k8s.api.storage.v1.CSINode")
            .cluster_scoped()
            .updates_need_a_version()
            .returns_what_it_deletes(),
        Kind::new(GROUP, "v1", "CSIStorageCapacity", "csistoragecapacities", drivers::Capacity)
            .schema("io.k8s.api.storage.v1.CSIStorageCapacity")
            .updates_need_a_version(),
        Kind::new(GROUP, "v1", "StorageClass", "storageclasses", classes::StorageClass)
            .schema("io.k8s.api.storage.v1.StorageClass")
            .short_names(&["sc"])
            .cluster_scoped()
            .returns_what_it_deletes(),
        Kind::new(GROUP, "v1", "VolumeAttachment", "volumeattachments", drivers::Attachment)
            .schema("io.k8s.api.storage.v1.VolumeAttachment")
            .cluster_scoped()
            .updates_need_a_version()
            .returns_what_it_deletes()
            .part("status", Part::Status, PART_VERBS),
        Kind::new(GROUP, "v1", "VolumeAttributesClass", "volumeattributesclasses", classes::AttributesClass)
            .schema("io.k8s.api.storage.v1.VolumeAttributesClass")
            .short_names(&["vac"])
            .cluster_scoped()
            .returns_what_it_deletes(),
    ]
}

/// The name of a driver: a subdomain of at most 63 bytes, in which case does not matter.
pub(super) fn driver_name(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, name: &str) {
    if name.is_empty() {
        errors.push(FieldError::required(path, ""));
    }
    if name.len() > DRIVER_NAME_BYTES_MAX {
        errors.push(FieldError::too_long(path, DRIVER_NAME_BYTES_MAX));
    }
    for complaint in names::dns_subdomain(&name.to_lowercase()) {
        errors.push(FieldError::invalid(path, name, complaint));
    }
}

/// What a class gives to its driver.
fn parameters(errors: &mut Vec<FieldError>, object: &Value, required: bool) {
    let path = FieldPath::root("parameters");
    let Some(parameters) = object.map("parameters").filter(|parameters| !parameters.is_empty()) else {
        if required {
            errors.push(FieldError::required(path, "must contain at least one key/value pair"));
        }
        return;
    };
    if parameters.len() > PARAMETERS_MAX {
        errors.push(FieldError::too_long(path, PARAMETERS_MAX));
        return;
    }
    if parameters.contains_key("") {
        errors.push(FieldError::invalid(path, "", "field can not be empty."));
    }
    let bytes: usize = text_entries(Some(parameters)).map(|(key, value)| key.len() + value.len()).sum();
    if bytes > PARAMETERS_BYTES_MAX {
        errors.push(FieldError::too_long(path, PARAMETERS_BYTES_MAX));
    }
}
