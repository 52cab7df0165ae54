//! Starting one container: image, environment, directories, log, sandbox.

use std::sync::Arc;
use std::time::{Duration, Instant};

use coracle_control_api::quantity::Quantity;
use coracle_host_image::PullPolicy;
use coracle_host_network::PodNetwork;
use coracle_host_sandbox::{Input, Limits};
use k8s_openapi::api::core::v1::{Container, ObjectReference, Pod};

use super::handler::Surroundings;
use super::{PodView, Started, Stdin};
use crate::agent::Shared;
use crate::environment::{self, Sources};
use crate::life::{EventKind, FailureKind, PodEvent, StartFailure};
use crate::runtime::{ContainerSpec, Prepared, chain};
use crate::volumes::{Mounted, Mounting};

/// The resource that limits the fuel of a container's whole life.
const FUEL_RESOURCE: &str = "coracle.dev/fuel";
/// Bytes of standard input that wait for a guest to read them.
const STDIN_BYTES: usize = 64 * 1024;
/// Where an HTTP handler is served when the container declares no port.
const HTTP_PORT_DEFAULT: u16 = 8080;

pub(super) fn cancelled() -> StartFailure {
    StartFailure { kind: FailureKind::Cancelled, message: "the start was given up".to_owned() }
}

fn config_failure(message: &(impl ToString + ?Sized)) -> StartFailure {
    StartFailure { kind: FailureKind::Config, message: message.to_string() }
}

/// One start of one container.
pub(super) struct Start {
    pub(super) shared: Arc<Shared>,
    pub(super) view: Arc<PodView>,
    pub(super) about: ObjectReference,
    pub(super) pod: Arc<Pod>,
    pub(super) index: usize,
    pub(super) restart: u32,
    pub(super) network: PodNetwork,
}

impl Start {
    /// # Cancel safety
    /// Dropping the future gives the start up and leaves nothing running.
    pub(super) async fn run(self) -> Result<Started, StartFailure> {
        let spec = self.pod.spec.as_ref();
        let containers =
            spec.into_iter().flat_map(|spec| spec.init_containers.iter().flatten().chain(&spec.containers));
        let Some(container) = containers.into_iter().nth(self.index) else {
            return Err(config_failure("the pod has no such container"));
        };
        let prepared = self.prepare(container).await?;
        let env = self.environment(container).await?;
        let started = {
            let Ok(_permit) = self.shared.starts.acquire().await else { return Err(cancelled()) };
            self.start(container, prepared.as_ref(), env)?
        };
        self.post_start(container, started).await
    }

    async fn prepare(&self, container: &Container) -> Result<Box<dyn Prepared>, StartFailure> {
        let image = container.image.as_deref().unwrap_or_default();
        let policy = match container.image_pull_policy.as_deref() {
            Some("Always") => PullPolicy::Always,
            Some("Never") => PullPolicy::Never,
            _ => PullPolicy::IfNotPresent,
        };
        let begun = Instant::now();
        let prepared = self.shared.runtime.prepare(image, policy).await?;
        let message = match policy {
            PullPolicy::Always => format!("Successfully pulled image \"{image}\" in {}ms", begun.elapsed().as_millis()),
            PullPolicy::IfNotPresent | PullPolicy::Never => {
                format!("Container image \"{image}\" already present on machine")
            }
        };
        self.record(container, EventKind::Normal, "Pulled", message);
        Ok(prepared)
    }

    async fn environment(&self, container: &Container) -> Result<Vec<(String, String)>, StartFailure> {
        let mut sources = Sources::new();
        for name in environment::needs(container) {
            let found = self.shared.references.get(&self.view.key.namespace, &name).await;
            let found = found.map_err(|error| config_failure(&format!("{} cannot be read: {error}", name.1)))?;
            if let Some(data) = found {
                sources.insert(name, data);
            }
        }
        let facts = self.shared.facts(self.network.ip());
        let mut environment = environment::build(&self.pod, container, &facts, &sources);
        if let Ok(variables) = &mut environment
            && !variables.iter().any(|(name, _)| name == "HOSTNAME")
        {
            // Container runtimes set it, so programs rely on it; the specification may say otherwise.
            let named = self.pod.spec.as_ref().and_then(|spec| spec.hostname.clone());
            variables.push(("HOSTNAME".to_owned(), named.unwrap_or_else(|| self.view.key.name.clone())));
        }
        environment.map_err(|error| config_failure(&error))
    }

    fn start(
        &self,
        container: &Container,
        prepared: &dyn Prepared,
        env: Vec<(String, String)>,
    ) -> Result<Started, StartFailure> {
        let key = &self.view.key;
        let mounting = Mounting {
            pod: &self.pod,
            container,
            space: &self.shared.space.pod(&key.uid),
            host_paths: &self.shared.config.host_paths,
            env: &env,
        };
        let Mounted { mounts, handles, last_words } =
            mounting.mounts().map_err(|error| config_failure(&chain(&error)))?;
        let log =
            self.shared.logs.start(&self.view.logs, &container.name, self.restart).map_err(|error| StartFailure {
                kind: FailureKind::Run,
                message: format!("the log of the container cannot be made: {error}"),
            })?;
        let (input, stdin) = match container.stdin {
            Some(true) => {
                let (writer, reader) = tokio::io::duplex(STDIN_BYTES);
                (Input::reader(reader), Some(Stdin::new(writer, container.stdin_once == Some(true))))
            }
            Some(false) | None => (Input::empty(), None),
        };
        let spec = ContainerSpec {
            name: format!("{}/{}/{}", key.namespace, key.name, container.name),
            command: environment::expand_all(container.command.as_ref(), &env),
            args: environment::expand_all(container.args.as_ref(), &env),
            env,
            mounts,
            handles,
            limits: limits(container),
            network: self.network.clone(),
            http_port: http_port(container),
            log: Arc::clone(&log),
            stdin: input,
        };
        let running = prepared.start(spec)?;
        let container_id = format!("coracle://{}-{}-{}", key.uid, container.name, self.restart);
        Ok(Started { running, image_id: prepared.image_id(), container_id, log, stdin, last_words })
    }

    /// Runs the hook that a container counts as started after. What it says is not told: it may be secret.
    async fn post_start(&self, container: &Container, started: Started) -> Result<Started, StartFailure> {
        let Some(handler) = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.post_start.as_ref()) else {
            return Ok(started);
        };
        let surroundings = Surroundings {
            network: self.shared.network.clone(),
            ip: self.network.ip(),
            container: container.clone(),
            running: Arc::clone(&started.running),
        };
        // A program that ends takes its hook with it: how it ended is what there is to say.
        tokio::select! {
            biased;
            _ended = started.running.wait() => Ok(started),
            done = surroundings.hook(handler) => match done {
                Ok(()) => Ok(started),
                Err(message) => {
                    tracing::debug!(pod = %self.view.key, container = container.name, message, "a postStart hook failed");
                    let text = "PostStartHook failed".to_owned();
                    self.record(container, EventKind::Warning, "FailedPostStartHook", text);
                    self.record(container, EventKind::Normal, "Killing", "FailedPostStartHook".to_owned());
                    started.running.stop(Duration::ZERO).await;
                    started.log.end();
                    Err(StartFailure { kind: FailureKind::PostStart, message })
                }
            },
        }
    }

    fn record(&self, container: &Container, kind: EventKind, reason: &'static str, message: String) {
        let init = self.pod.spec.as_ref().and_then(|spec| spec.init_containers.as_ref()).map_or(0, Vec::len);
        let list = if self.index < init { "initContainers" } else { "containers" };
        let field_path = Some(format!("spec.{list}{{{}}}", container.name));
        self.shared.events.record(self.about.clone(), PodEvent { kind, reason, message, field_path });
    }
}

fn limits(container: &Container) -> Limits {
    let limits = container.resources.as_ref().and_then(|resources| resources.limits.as_ref());
    let amount = |name: &str| limits?.get(name)?.0.parse::<Quantity>().ok();
    let whole = |name: &str| amount(name).and_then(|amount| u64::try_from(amount.value()).ok());
    Limits {
        cpu_millis: amount("cpu").map(|amount| u32::try_from(amount.milli_value()).unwrap_or(u32::MAX)),
        memory_bytes: whole("memory"),
        fuel: whole(FUEL_RESOURCE),
    }
}

fn http_port(container: &Container) -> u16 {
    let first = container.ports.as_ref().and_then(|ports| ports.first());
    first.and_then(|port| u16::try_from(port.container_port).ok()).unwrap_or(HTTP_PORT_DEFAULT)
}
