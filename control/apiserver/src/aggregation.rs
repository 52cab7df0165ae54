//! Aggregation: groups that another server serves, behind a Service, under the paths of this one.
//!
//! An APIService says who serves a version of a group. Those that this server serves itself are made by it, so that
//! clients see the whole of the API in one list. For the others, requests go on to an endpoint of the Service, over TLS,
//! with the user in headers that the other server believes because of the client certificate.
//!
//! - `registry`: what the APIServices say, and what was learned of their servers.
//! - `forward`: a request on its way to another server.
//! - `keeper`: the task behind it: makes the local APIServices, publishes what other servers need to believe this one, and
//!   finds out what can be reached and what it serves.
//!
//! A version of a group that is built in stays here, whatever an APIService says.

mod forward;
mod keeper;
mod registry;

use std::collections::BTreeSet;

use coracle_control_api::kinds::{self, api_service};
use serde_json::Value;

use crate::pki::Identity;

pub(crate) use forward::forward;
pub(crate) use keeper::keep;
pub(crate) use registry::{Registry, Remote};

/// By what other servers believe this one about who its users are.
#[derive(Debug, Clone)]
pub struct FrontProxy {
    /// The authority of the identity, PEM.
    pub authority_pem: String,
    /// The client certificate that is shown to other servers.
    pub identity: Identity,
}

/// The objects of the groups that are built in. The group of these objects has none, as upstream.
pub(crate) fn built_in_services() -> Vec<Value> {
    let versions: BTreeSet<(&str, &str)> = kinds::kinds()
        .iter()
        .filter(|kind| kind.group != api_service::GROUP)
        .map(|kind| (kind.group.as_ref(), kind.version.as_ref()))
        .collect();
    versions.into_iter().map(|(group, version)| api_service::local(group, version, false)).collect()
}
