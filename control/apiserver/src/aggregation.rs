//! Aggregation: groups that another server serves, behind a Service, under the paths of this one.
//!
//! An APIService says who serves a version of a group. Those that this server serves itself are made by it, so that
//! clients see the whole of the API in one list.

use std::collections::BTreeSet;

use coracle_control_api::kinds::{self, api_service};
use serde_json::Value;

/// The objects of the groups that are built in. The group of these objects has none, as upstream.
pub(crate) fn built_in_services() -> Vec<Value> {
    let versions: BTreeSet<(&str, &str)> = kinds::kinds()
        .iter()
        .filter(|kind| kind.group != api_service::GROUP)
        .map(|kind| (kind.group.as_ref(), kind.version.as_ref()))
        .collect();
    versions.into_iter().map(|(group, version)| api_service::local(group, version, false)).collect()
}
