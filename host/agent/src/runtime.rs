//! What runs containers: the seam between the pod's life and the sandbox.
//!
//! The agent knows two steps. Preparing turns an image's name into something that can be started; starting turns that
//! into something that runs. The Wasm sandbox is one implementation; Linux images and simulated pods are others to come,
//! and tests bring their own.

mod toolbox;
mod wasm;

use std::error::Error;
use std::fmt;
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use coracle_host_image::PullPolicy;
use coracle_host_network::PodNetwork;
use coracle_host_sandbox::{Input, Limits, Mount, Output};

use crate::life::{Exit, StartFailure};
use crate::logs::Log;

#[cfg(test)]
pub(crate) use toolbox::TOOLS;
pub(crate) use wasm::WasmRuntime;

/// What a container is started with.
#[derive(Debug)]
pub(crate) struct ContainerSpec {
    /// For the host's own log: `namespace/pod/container`.
    pub(crate) name: String,
    /// What follows the program, or replaces it: see [`arguments`].
    pub(crate) command: Vec<String>,
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) mounts: Vec<Mount>,
    /// Directories that the mounts name; held while the container runs.
    pub(crate) handles: Vec<Arc<File>>,
    pub(crate) limits: Limits,
    pub(crate) network: PodNetwork,
    pub(crate) http_port: u16,
    pub(crate) log: Arc<Log>,
    pub(crate) stdin: Input,
}

/// A program that is run in the surroundings of a container: its directories, environment, network and budget.
#[derive(Debug)]
pub(crate) struct ExecSpec {
    /// The program's name and its arguments; at least one word.
    pub(crate) command: Vec<String>,
    pub(crate) stdin: Input,
    pub(crate) stdout: Output,
    pub(crate) stderr: Output,
}

/// Why a program is not run beside a container.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ExecFailure {
    /// There is no program of that name; the text says which there are.
    #[error("{0}")]
    NoProgram(String),
    #[error("{0}")]
    Refused(String),
}

/// The argument vector: the command, if the specification names one, else the program's name; then the args. So
/// `command` replaces `argv[0]`, as it replaces the entry point of an image elsewhere; the program that runs is always
/// the image's.
pub(crate) fn arguments(program: &str, command: Vec<String>, args: Vec<String>) -> Vec<String> {
    let mut all = if command.is_empty() { vec![program.to_owned()] } else { command };
    all.extend(args);
    all
}

/// An error with its sources, each said once.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// A kind of container.
#[async_trait::async_trait]
pub(crate) trait Runtime: fmt::Debug + Send + Sync {
    /// Makes the image ready to start. Dropping the future gives it up.
    async fn prepare(&self, image: &str, policy: PullPolicy) -> Result<Box<dyn Prepared>, StartFailure>;

    /// How many containers it can run at a time.
    fn containers_max(&self) -> u32;
}

/// A program that is ready to start.
pub(crate) trait Prepared: Send + Sync {
    /// The image with its digest, for `status.containerStatuses[].imageID`.
    fn image_id(&self) -> String;

    /// Starts a container. A refusal leaves nothing behind.
    fn start(&self, spec: ContainerSpec) -> Result<Arc<dyn Running>, StartFailure>;
}

/// A container that was started. When the last reference is dropped, it is killed.
#[async_trait::async_trait]
pub(crate) trait Running: Send + Sync {
    /// Waits for the end; any number may wait.
    async fn wait(&self) -> Exit;

    /// Ends it within `grace`, at once if that is zero. A later call may shorten the grace.
    async fn stop(&self, grace: Duration) -> Exit;

    /// Runs another program in its surroundings. When the last reference to that is dropped, it is killed.
    async fn exec(&self, spec: ExecSpec) -> Result<Arc<dyn Running>, ExecFailure>;
}
