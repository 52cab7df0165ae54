//! Coracle: Kubernetes light enough to carry on your back.
//!
//! This package is the command line and the one place where the parts are put together. It has no logic of its own:
//! every command is *configuration -> build -> spawn -> drain*. [`cluster::Cluster`] is the whole of `coracle up` as a
//! value, so that the demo, the tests and an embedding program start the same thing that a user starts.
//!
//! Invariants:
//! - Nothing listens before the configuration is checked and the data directory is locked.
//! - Scheduler, controllers and agent get a Kubernetes client and nothing else of the control plane.
//! - Standard output carries what was asked for; everything that is said about it goes to standard error.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this package is the command line")]

pub mod cli;
pub mod cluster;
mod command;
mod defaults;
pub mod host;
mod kubeconfig;
mod system;
