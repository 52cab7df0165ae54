//! The agent as a whole: its parts, its tasks, its start and its stop.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use coracle_host_network::{Network, PodKey};
use kube::Client;
use tokio::sync::{Mutex, Semaphore, watch};
use tokio::task::JoinSet;

use crate::AgentConfig;
use crate::environment::Facts;
use crate::events::EventRecorder;
use crate::logs::{LogLimits, LogStore};
use crate::node::NodeTask;
use crate::pods::{Pods, Registry};
use crate::programs::ProgramCache;
use crate::references::References;
use crate::router;
use crate::runtime::{Runtime, WasmRuntime};
use crate::volumes::Space;

/// Why an agent did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartAgentError {
    #[error("the node name must not be empty")]
    NoName,
    #[error("{setting} must be at least 1")]
    Zero { setting: &'static str },
    #[error("use the directory {}", path.display())]
    Directory { path: PathBuf, source: io::Error },
}

/// What all parts of an agent share.
pub(crate) struct Shared {
    pub(crate) config: AgentConfig,
    pub(crate) client: Client,
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) network: Network,
    pub(crate) logs: LogStore,
    pub(crate) events: EventRecorder,
    /// Bounds the containers that are being started at a time.
    pub(crate) starts: Semaphore,
    pub(crate) registry: Registry,
    pub(crate) references: References,
    /// Where volumes are.
    pub(crate) space: Space,
}

impl Shared {
    /// What containers of the pod with this address may learn of their host.
    pub(crate) fn facts(&self, pod_ip: IpAddr) -> Facts {
        let resources = &self.config.resources;
        Facts {
            pod_ip,
            host_ip: self.config.host_address,
            cpu_millis: resources.cpu_millis - resources.cpu_millis_reserved.min(resources.cpu_millis),
            memory_bytes: resources.memory_bytes - resources.memory_bytes_reserved.min(resources.memory_bytes),
            storage_bytes: resources.storage_bytes,
        }
    }
}

/// The directories that pods of former processes have left: logs and volumes. They are listed before the first pod is taken
/// up, so that nothing of a new pod is among them.
#[derive(Debug)]
pub(crate) struct Leftovers {
    logs: Vec<PathBuf>,
    volumes: Vec<PathBuf>,
}

impl Leftovers {
    /// Blocks on the disk.
    fn list(logs: &LogStore, space: &Space) -> Self {
        Self { logs: logs.directories(), volumes: space.directories() }
    }

    /// Removes what belongs to none of these pods. Blocks on the disk.
    pub(crate) fn remove(self, shared: &Shared, keys: &[PodKey]) {
        let logs: Vec<_> = keys.iter().map(|key| shared.logs.pod(&key.namespace, &key.name, &key.uid)).collect();
        let spaces: Vec<_> = keys.iter().map(|key| shared.space.pod(&key.uid)).collect();
        let logs = self.logs.into_iter().filter(|path| !logs.iter().any(|logs| logs.is_at(path)));
        let volumes = self.volumes.into_iter().filter(|path| !spaces.iter().any(|space| space.is_at(path)));
        for path in logs.chain(volumes) {
            if let Err(error) = std::fs::remove_dir_all(&path) {
                tracing::warn!(path = %path.display(), %error, "what a pod left could not be removed");
            }
        }
    }
}

/// The agent of one node. Dropped, it ends its sandboxes at once; [`stop`](Self::stop) does so in order.
pub struct Agent {
    shared: Arc<Shared>,
    stopping: watch::Sender<Option<Duration>>,
    registered: watch::Receiver<bool>,
    listed: watch::Receiver<bool>,
    tasks: Mutex<JoinSet<()>>,
}

impl fmt::Debug for Agent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Agent").field("node", &self.shared.config.node_name).finish_non_exhaustive()
    }
}

impl Agent {
    /// Starts an agent for Wasm containers. It registers its node and takes up its pods from then on; [`ready`](Self::ready)
    /// waits for that.
    ///
    /// # Errors
    /// A setting is out of its bounds, or the data directory cannot be used.
    pub async fn start(
        config: AgentConfig,
        client: Client,
        programs: ProgramCache,
        network: Network,
    ) -> Result<Self, StartAgentError> {
        let runtime = Arc::new(WasmRuntime::new(programs, config.toolbox));
        Self::start_with(config, client, runtime, network).await
    }

    pub(crate) async fn start_with(
        config: AgentConfig,
        client: Client,
        runtime: Arc<dyn Runtime>,
        network: Network,
    ) -> Result<Self, StartAgentError> {
        check(&config)?;
        let root = config.data_dir.join("logs");
        let limits = LogLimits { file_bytes_max: config.log_file_bytes_max, files_max: config.log_files_max };
        let (path, data_dir, memory_dir) = (root.clone(), config.data_dir.clone(), config.memory_dir.clone());
        let opening = tokio::task::spawn_blocking(move || {
            let logs = LogStore::open(root, limits)?;
            let space = Space::open(&data_dir, memory_dir);
            let leftovers = Leftovers::list(&logs, &space);
            Ok((logs, space, leftovers))
        });
        let opened = opening.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        let (logs, space, leftovers) = opened.map_err(|source| StartAgentError::Directory { path, source })?;
        let (events, writing_events) =
            EventRecorder::new(client.clone(), config.node_name.clone(), config.events_queued_max);
        let starts = Semaphore::new(config.starts_max);
        let registry = Registry::default();
        let references = References::new(client.clone());
        let shared =
            Arc::new(Shared { config, client, runtime, network, logs, events, starts, registry, references, space });
        let (stopping, stop) = watch::channel(None);
        let (listed_sender, listed) = watch::channel(false);
        let (registered_sender, registered) = watch::channel(false);
        let mut tasks = JoinSet::new();
        tasks.spawn(writing_events);
        tasks.spawn(NodeTask::new(&shared, stop.clone(), registered_sender).run());
        tasks.spawn(Pods::new(Arc::clone(&shared), stop, listed_sender, leftovers).run());
        Ok(Self { shared, stopping, registered, listed, tasks: Mutex::new(tasks) })
    }

    /// Waits until the node is registered and the agent knows its pods.
    ///
    /// # Cancel safety
    /// Cancel-safe.
    pub async fn ready(&self) {
        for mut level in [self.registered.clone(), self.listed.clone()] {
            // The tasks that say so end only with the agent.
            if level.wait_for(|reached| *reached).await.is_err() {
                return;
            }
        }
    }

    /// The HTTP interface that the API server calls, on kubelet's paths: `/containerLogs/...`, `/podProxy/...`, `/healthz`.
    pub fn router(&self) -> axum::Router {
        router::router(Arc::clone(&self.shared))
    }

    /// The name of this agent's node.
    pub fn node_name(&self) -> &str {
        &self.shared.config.node_name
    }

    /// Ends a running container at once, as `kill -9` would: it terminates with code 137, and its restart policy acts.
    /// Answers whether such a container was running.
    pub fn kill_container(&self, namespace: &str, pod: &str, container: &str) -> bool {
        self.shared.registry.find(namespace, pod).is_some_and(|view| view.kill(container))
    }

    /// Ends every sandbox within `grace` and then the agent. The objects in the API are left as they are, so that the next
    /// agent of this node takes its pods up again.
    pub async fn stop(&self, grace: Duration) {
        self.stopping.send_replace(Some(grace));
        let mut tasks = self.tasks.lock().await;
        // The task that writes events ends when nobody can record any more, which is not before the agent is dropped.
        let all = async { while tasks.len() > 1 && tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(grace + Duration::from_secs(5), all).await.is_err() {
            tracing::warn!("the agent did not stop in time and is cut");
        }
        tasks.shutdown().await;
    }
}

fn check(config: &AgentConfig) -> Result<(), StartAgentError> {
    if config.node_name.is_empty() {
        return Err(StartAgentError::NoName);
    }
    let zero = |is: bool, setting| if is { Err(StartAgentError::Zero { setting }) } else { Ok(()) };
    zero(config.pods_max == 0, "pods_max")?;
    zero(config.starts_max == 0, "starts_max")?;
    zero(config.log_file_bytes_max == 0, "log_file_bytes_max")?;
    zero(config.log_files_max == 0, "log_files_max")?;
    zero(config.lease_renew_period.is_zero(), "lease_renew_period")?;
    zero(config.lease_duration.is_zero(), "lease_duration")?;
    zero(config.node_status_period.is_zero(), "node_status_period")
}

#[cfg(test)]
mod tests;
