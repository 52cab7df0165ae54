//! Wasm containers: the sandbox behind the agent's [`Runtime`].

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use coracle_host_image::{Image, PullError, PullPolicy};
use coracle_host_sandbox::{Container, ContainerConfig, Engine, ExitReport, Output, Program, ProgramKind, StartError};

use super::{ContainerSpec, Prepared, Running, Runtime, arguments, chain};
use crate::life::{Exit, FailureKind, StartFailure};
use crate::logs::LogStream;
use crate::programs::{BuildProgramError, ProgramCache, ProgramError};

#[derive(Debug)]
pub(crate) struct WasmRuntime {
    programs: ProgramCache,
}

impl WasmRuntime {
    pub(crate) fn new(programs: ProgramCache) -> Self {
        Self { programs }
    }
}

#[async_trait::async_trait]
impl Runtime for WasmRuntime {
    async fn prepare(&self, image: &str, policy: PullPolicy) -> Result<Box<dyn Prepared>, StartFailure> {
        let (image, program) = self.programs.get(image, policy).await.map_err(|error| refused(&error, image))?;
        Ok(Box::new(WasmProgram { engine: self.programs.engine().clone(), image, program }))
    }

    fn containers_max(&self) -> u32 {
        self.programs.engine().containers_max()
    }
}

fn refused(error: &ProgramError, image: &str) -> StartFailure {
    let kind = match error {
        ProgramError::Pull(PullError::InvalidName { .. }) => FailureKind::ImageName,
        ProgramError::Pull(PullError::NeverPull(_)) => FailureKind::NeverPull,
        ProgramError::Pull(_) => FailureKind::Pull,
        ProgramError::Build { source, .. } => match source.as_ref() {
            BuildProgramError::Compile(_) | BuildProgramError::Load(_) => FailureKind::Create,
            BuildProgramError::Read(_) => FailureKind::Pull,
            BuildProgramError::Keep(_) | BuildProgramError::Aborted => FailureKind::Run,
        },
    };
    let message = match kind {
        FailureKind::ImageName => {
            format!("Failed to apply default image tag \"{image}\": couldn't parse image name: {}", chain(error))
        }
        FailureKind::NeverPull => {
            format!("Container image \"{image}\" is not present with pull policy of Never")
        }
        FailureKind::Pull | FailureKind::Create | FailureKind::Config | FailureKind::Run | FailureKind::Cancelled => {
            chain(error)
        }
    };
    StartFailure { kind, message }
}

struct WasmProgram {
    engine: Engine,
    image: Image,
    program: Program,
}

impl WasmProgram {
    /// What the program is called when nobody says otherwise: the last part of the image's name.
    fn name(&self) -> &str {
        let name = self.image.reference.split('@').next().unwrap_or_default();
        let last = name.rsplit('/').next().unwrap_or(name);
        last.split(':').next().filter(|name| !name.is_empty()).unwrap_or("program")
    }
}

impl Prepared for WasmProgram {
    fn image_id(&self) -> String {
        let name = self.image.reference.split('@').next().unwrap_or_default();
        if name.starts_with("file:") {
            return self.image.digest.to_string();
        }
        format!("{name}@{}", self.image.digest)
    }

    fn start(&self, spec: ContainerSpec) -> Result<Arc<dyn Running>, StartFailure> {
        let http = self.program.kind() == ProgramKind::HttpHandler;
        let config = ContainerConfig {
            args: arguments(self.name(), spec.command, spec.args),
            env: spec.env,
            mounts: spec.mounts,
            stdout: Output::sink(spec.log.sink(LogStream::Stdout)),
            stderr: Output::sink(spec.log.sink(LogStream::Stderr)),
            limits: spec.limits,
            http_port: http.then_some(spec.http_port),
            network: Some(spec.network),
            ..ContainerConfig::new(spec.name)
        };
        let started = self.engine.start(&self.program, config);
        let container = started.map_err(|error| StartFailure { kind: kind_of(&error), message: chain(&error) })?;
        Ok(Arc::new(WasmContainer { container, _handles: spec.handles }))
    }
}

fn kind_of(error: &StartError) -> FailureKind {
    match error {
        StartError::AtCapacity { .. } | StartError::Listen(_) | StartError::Mount { .. } => FailureKind::Run,
        StartError::ArgumentsTooLong { .. }
        | StartError::NulByte { .. }
        | StartError::NoHttpPort
        | StartError::NoNetwork => FailureKind::Config,
    }
}

struct WasmContainer {
    container: Container,
    /// An instance opens its directories when it begins, and a handler has many instances.
    _handles: Vec<Arc<File>>,
}

#[async_trait::async_trait]
impl Running for WasmContainer {
    async fn wait(&self) -> Exit {
        exit(self.container.wait().await)
    }

    async fn stop(&self, grace: Duration) -> Exit {
        exit(self.container.stop(grace).await)
    }
}

fn exit(report: ExitReport) -> Exit {
    Exit { code: report.code, reason: report.kubernetes_reason(), message: report.message }
}
