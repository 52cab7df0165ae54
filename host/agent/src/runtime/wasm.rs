//! Wasm containers: the sandbox behind the agent's [`Runtime`].

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use coracle_host_image::{Image, PullError, PullPolicy};
use coracle_host_network::PodNetwork;
use coracle_host_sandbox::{
    Container, ContainerConfig, Engine, ExitReport, Mount, Output, Program, ProgramKind, StartError,
};

use super::toolbox::{TOOLS, Toolbox};
use super::{ContainerSpec, ExecFailure, ExecSpec, Prepared, Running, Runtime, arguments, chain};
use crate::life::{Exit, FailureKind, StartFailure};
use crate::logs::LogStream;
use crate::programs::{BuildProgramError, ProgramCache, ProgramError};

#[derive(Debug)]
pub(crate) struct WasmRuntime {
    programs: ProgramCache,
    toolbox: Option<Toolbox>,
}

impl WasmRuntime {
    /// A runtime with the tools of this program, if it is given.
    pub(crate) fn new(programs: ProgramCache, toolbox: Option<&'static [u8]>) -> Self {
        let toolbox = toolbox.map(|wasm| Toolbox::new(programs.clone(), wasm));
        Self { programs, toolbox }
    }
}

#[async_trait::async_trait]
impl Runtime for WasmRuntime {
    async fn prepare(&self, image: &str, policy: PullPolicy) -> Result<Box<dyn Prepared>, StartFailure> {
        let (image, program) = self.programs.get(image, policy).await.map_err(|error| refused(&error, image))?;
        let (engine, toolbox) = (self.programs.engine().clone(), self.toolbox.clone());
        Ok(Box::new(WasmProgram { engine, image, program, toolbox }))
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
        FailureKind::Pull
        | FailureKind::Create
        | FailureKind::Config
        | FailureKind::Run
        | FailureKind::PostStart
        | FailureKind::Cancelled => chain(error),
    };
    StartFailure { kind, message }
}

struct WasmProgram {
    engine: Engine,
    image: Image,
    program: Program,
    toolbox: Option<Toolbox>,
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
        let args = arguments(self.name(), spec.command, spec.args);
        let names = vec![self.name().to_owned(), args.first().cloned().unwrap_or_default()];
        let beside = Beside {
            engine: self.engine.clone(),
            program: self.program.clone(),
            toolbox: self.toolbox.clone(),
            names,
            env: spec.env.clone(),
            mounts: spec.mounts.clone(),
            network: spec.network.clone(),
        };
        let config = ContainerConfig {
            args,
            env: spec.env,
            mounts: spec.mounts,
            stdin: spec.stdin,
            stdout: Output::sink(spec.log.sink(LogStream::Stdout)),
            stderr: Output::sink(spec.log.sink(LogStream::Stderr)),
            limits: spec.limits,
            http_port: http.then_some(spec.http_port),
            network: Some(spec.network),
            ..ContainerConfig::new(spec.name)
        };
        let started = self.engine.start(&self.program, config);
        let container = started.map_err(|error| StartFailure { kind: kind_of(&error), message: chain(&error) })?;
        Ok(Arc::new(WasmContainer { container, beside: Some(beside), _handles: spec.handles }))
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

/// What a program that runs beside a container is made from.
struct Beside {
    engine: Engine,
    program: Program,
    toolbox: Option<Toolbox>,
    /// What the container's own program is called.
    names: Vec<String>,
    env: Vec<(String, String)>,
    mounts: Vec<Mount>,
    network: PodNetwork,
}

impl Beside {
    /// The program that the word names: the container's own one, or a tool.
    async fn find(&self, word: &str) -> Result<Program, ExecFailure> {
        let base = |name: &str| name.rsplit('/').next().unwrap_or(name).to_owned();
        if self.names.iter().any(|name| name == word || base(name) == base(word)) {
            if self.program.kind() == ProgramKind::HttpHandler {
                let text = format!("exec: \"{word}\": it answers requests and cannot be run as a command");
                return Err(ExecFailure::NoProgram(text));
            }
            return Ok(self.program.clone());
        }
        let Some(toolbox) = self.toolbox.as_ref().filter(|toolbox| toolbox.find(word).is_some()) else {
            let tools = if self.toolbox.is_some() { TOOLS.join(" ") } else { "none".to_owned() };
            let own = self.names.first().map_or("", String::as_str);
            let text = format!(
                "exec: \"{word}\": executable file not found: there are the container's own program, {own}, and the tools: {tools}"
            );
            return Err(ExecFailure::NoProgram(text));
        };
        toolbox.program().await.map_err(|error| ExecFailure::Refused(chain(&*error)))
    }
}

struct WasmContainer {
    container: Container,
    /// None for a program that itself runs beside another.
    beside: Option<Beside>,
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

    async fn exec(&self, spec: ExecSpec) -> Result<Arc<dyn Running>, ExecFailure> {
        let (Some(beside), Some(word)) = (&self.beside, spec.command.first()) else {
            return Err(ExecFailure::Refused("there is no command to run".to_owned()));
        };
        let program = beside.find(word).await?;
        let config = ContainerConfig {
            args: spec.command,
            env: beside.env.clone(),
            mounts: beside.mounts.clone(),
            stdin: spec.stdin,
            stdout: spec.stdout,
            stderr: spec.stderr,
            within: Some(self.container.clone()),
            network: Some(beside.network.clone()),
            ..ContainerConfig::new(format!("{} exec", self.container.name()))
        };
        let started = beside.engine.start(&program, config);
        let container = started.map_err(|error| ExecFailure::Refused(chain(&error)))?;
        Ok(Arc::new(WasmContainer { container, beside: None, _handles: Vec::new() }))
    }
}

fn exit(report: ExitReport) -> Exit {
    Exit { code: report.code, reason: report.kubernetes_reason(), message: report.message }
}
