//! What a container is started with.

use crate::{Container, Input, Output};
use coracle_host_network::PodNetwork;
use std::path::PathBuf;

/// Everything that one container gets. What is not named here it does not have.
#[derive(Debug)]
pub struct ContainerConfig {
    /// For the host's log only, for example `default/web/server`.
    pub name: String,
    /// Argument vector, `argv[0]` included; if empty, `argv[0]` is `name`.
    pub args: Vec<String>,
    /// Environment, in order; of two values for one name the guest sees both.
    pub env: Vec<(String, String)>,
    /// Directories it may reach.
    pub mounts: Vec<Mount>,
    /// Standard input. An HTTP handler has none.
    pub stdin: Input,
    /// Standard output.
    pub stdout: Output,
    /// Standard error; a trap's backtrace goes there too.
    pub stderr: Output,
    /// What it may use.
    pub limits: Limits,
    /// A container whose limits this one shares instead of having its own: both draw on one budget of processor time, of
    /// memory and of fuel.
    pub within: Option<Container>,
    /// The network of its pod. Needed by HTTP handlers, which are served on it.
    pub network: Option<PodNetwork>,
    /// The port on which an HTTP handler is served.
    pub http_port: Option<u16>,
    /// Bounds of an HTTP handler's server.
    pub http: HttpLimits,
}

impl ContainerConfig {
    /// A container with no arguments, no environment, no mounts, closed standard streams, no limits and no network.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            args: Vec::new(),
            env: Vec::new(),
            mounts: Vec::new(),
            stdin: Input::empty(),
            stdout: Output::null(),
            stderr: Output::null(),
            limits: Limits::default(),
            within: None,
            network: None,
            http_port: None,
            http: HttpLimits::default(),
        }
    }
}

/// What a container may use. `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Thousandths of a core, averaged over periods of 100 ms. Past it the container waits.
    pub cpu_millis: Option<u32>,
    /// Bytes of all linear memories and tables together. Past it the container ends with
    /// [`ExitReason::OomKilled`](crate::ExitReason::OomKilled).
    pub memory_bytes: Option<u64>,
    /// Units of fuel over its lifetime, start-up included. Past it the container ends with
    /// [`ExitReason::FuelExhausted`](crate::ExitReason::FuelExhausted).
    pub fuel: Option<u64>,
}

/// A directory of the host that the guest sees. Nothing outside of it can be reached through it, by any path or link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The directory on the host.
    pub host_path: PathBuf,
    /// The absolute path under which the guest sees it.
    pub guest_path: String,
    /// Refuse every change.
    pub read_only: bool,
}

/// Bounds of the server of an HTTP handler. Past `requests_concurrent_max` requests wait, past `requests_waiting_max` they
/// are answered 503.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpLimits {
    /// Instances of the container at a time.
    pub requests_concurrent_max: u32,
    /// Requests that wait for an instance at a time.
    pub requests_waiting_max: u32,
    /// Open connections at a time; further ones wait to be accepted.
    pub connections_max: u32,
}

impl Default for HttpLimits {
    /// 128 concurrent requests, 1,024 waiting, 1,024 connections.
    fn default() -> Self {
        Self { requests_concurrent_max: 128, requests_waiting_max: 1024, connections_max: 1024 }
    }
}
