//! The built-in admission plugins, through the router.

#[path = "admission/pod_security.rs"]
mod pod_security;
