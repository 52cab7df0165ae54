//! The built-in admission plugins, through the router.

#[path = "admission/defaults.rs"]
mod defaults;
#[path = "admission/limits.rs"]
mod limits;
#[path = "admission/optional.rs"]
mod optional;
#[path = "admission/pod_security.rs"]
mod pod_security;
#[path = "admission/quotas.rs"]
mod quotas;
