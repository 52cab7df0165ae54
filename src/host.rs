//! One host put together: image store, compiled code, sandbox engine, virtual network and the node agent over them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use coracle_host_agent::{Agent, AgentConfig, ProgramCache};
use coracle_host_image::{ArtifactCache, ImageStore};
use coracle_host_network::{Network, NetworkConfig};
use coracle_host_sandbox::{Engine, EngineConfig};
use kube::Client;

use crate::{cluster, defaults};

include!(concat!(env!("OUT_DIR"), "/toolbox.rs"));

/// What a host is made from.
#[derive(Debug, Clone)]
pub(crate) struct HostConfig {
    pub(crate) node_name: String,
    pub(crate) data_directory: PathBuf,
    pub(crate) allow_file_images: bool,
    pub(crate) host_paths: Vec<PathBuf>,
}

/// A running host.
#[derive(Debug)]
pub struct Host {
    agent: Agent,
    images: ImageStore,
}

impl Host {
    /// Starts a host whose agent is the given client. When it returns, the Node is registered.
    pub(crate) async fn start(config: HostConfig, client: Client) -> Result<Self> {
        let images = cluster::open_images(&config.data_directory, config.allow_file_images)?;
        let engine = Engine::new(EngineConfig::default()).context("cannot start the sandbox engine")?;
        let programs = open_programs(&config.data_directory, images.clone(), engine)?;
        let network = Network::new(NetworkConfig::default());
        let agent_config = AgentConfig {
            host_paths: config.host_paths,
            toolbox: TOOLBOX,
            ..AgentConfig::new(config.node_name, config.data_directory.join("host"))
        };
        let agent = Agent::start(agent_config, client, programs, network).await.context("cannot start the host")?;
        agent.ready().await;
        Ok(Self { agent, images })
    }

    /// The image store of this host.
    #[must_use]
    pub fn images(&self) -> &ImageStore {
        &self.images
    }

    /// The node agent of this host.
    #[must_use]
    pub fn agent(&self) -> &Agent {
        &self.agent
    }

    /// The agent's service, with the kubelet's paths.
    pub(crate) fn router(&self) -> axum::Router {
        self.agent.router()
    }

    /// Ends every sandbox within the grace period. The Pods stay what they are: another start runs them again.
    pub(crate) async fn stop(self, grace: Duration) {
        self.agent.stop(grace).await;
    }
}

/// The programs of a data directory: compiled once per image and machine, kept on disk and in memory.
pub(crate) fn open_programs(data_directory: &Path, images: ImageStore, engine: Engine) -> Result<ProgramCache> {
    let artifacts =
        ArtifactCache::open(&cluster::artifact_directory(data_directory), defaults::ARTIFACT_CACHE_BYTES_MAX)
            .context("cannot open the compiled code")?;
    Ok(ProgramCache::new(images, artifacts, engine))
}
