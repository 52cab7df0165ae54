//! The node agent: the pods that are bound to this host, turned into running sandboxes and honest reports.
//!
//! The agent is a Kubernetes client like any other. It registers its Node and renews its Lease, watches the pods whose
//! `spec.nodeName` is its own, runs them, writes their status and their Events, keeps their logs, and answers the few
//! requests that the API server sends to a node ([`Agent::router`]). It reaches the API only through the
//! [`kube::Client`] that it is given, so it runs in one process with the API server or far away from it, and could join
//! any Kubernetes cluster.
//!
//! # How it is cut
//!
//! - `life`: the life of one pod as a pure state machine, from observations and the time to actions and the status. All
//!   of Kubernetes' rules on phases, conditions, restarts and back-off are there, tried by random histories.
//! - `pod`: the driver of one pod, one task, which carries the actions out. `pods` keeps one driver for every pod of the
//!   watch.
//! - `runtime`: what runs containers. The Wasm sandbox is the first of several.
//! - `programs`: from an image's name to a compiled program, once per digest.
//! - `environment`, `volumes`: what a container is given; `references` watches the ConfigMaps and Secrets for it.
//!   `logs`: what it prints. `events`: what people are told.
//! - `node`, `router`: the host as an object, and the host as a server.
//!
//! # Invariants
//!
//! - Nothing waits for a poll or a timer on the way from a pod's binding to its Running: the watch wakes the driver, the
//!   driver starts the containers, and the first status that is written may already say Running.
//! - A pod has one writer and at most one write under way; a write carries the whole status, so none is lost or out of
//!   order.
//! - What the API server says is wanted, what runs here is true: a status is never read back to decide what to do, except
//!   at the start, to take up what a former process left.
//! - Every queue is bounded: starts, events, logs. A guest that prints without end waits; an event too many is counted.
//!
//! # What a container gets
//!
//! `argv` is `command`, or the program's name if there is none, followed by `args`. `env` and `envFrom` work as upstream
//! documents them, `$(NAME)` included. `workingDir` has no meaning in WASI 0.2, where paths begin at a preopened
//! directory, and is ignored. A container that serves HTTP is served on its first `containerPort`, 8080 if it has none;
//! a `hostPort` is bound on the loopback address unless `hostIP` says otherwise. Probes and hooks
//! are made by this host over the virtual network; HTTPS ones are not.
//!
//! # Refused alternatives
//!
//! - One loop over all pods, as kubelet's sync loop: a slow pod would delay the others, and latency would be the period.
//! - Optimistic locking of status writes: the strategic merge patch names the pod's uid and only the fields that are ours,
//!   so there is nothing to conflict with.

mod agent;
mod config;
mod deadline;
mod environment;
mod events;
mod host;
mod life;
mod logs;
mod node;
mod pod;
mod pods;
mod programs;
mod references;
mod router;
mod runtime;
mod volumes;

pub use agent::{Agent, StartAgentError};
pub use config::{AgentConfig, HostResources};
pub use programs::{BuildProgramError, ProgramCache, ProgramError};
