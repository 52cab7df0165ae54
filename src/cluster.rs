//! The whole of `coracle up` as a value.
//!
//! [`Cluster::start`] builds the parts in the order of their dependence: the data directory is made and locked by the
//! store, then the port is bound, then the API server serves, then its clients start. [`Cluster::stop`] ends them in the
//! opposite order, so that each part still has below it what it needs to finish.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Error, Result, bail};
use coracle_control_apiserver::pki::Pki;
use coracle_control_apiserver::{
    ApiServer, ApiServerConfig, Audit, AuditLog, AuditLogConfig, AuditPolicy, Component, HostLinks, OidcConfig,
    StaticToken, UserInfo,
};
use coracle_control_controllers::{Controllers, ControllersConfig, SecretTokenSigner};
use coracle_control_scheduler::{Scheduler, SchedulerConfig};
use coracle_control_store::{Store, StoreConfig};
use coracle_host_image::ImageStore;
use kube::Client;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::host::{Host, HostConfig};
use crate::kubeconfig::{self, Credentials};
use crate::{defaults, system};

/// What a cluster is made from.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ClusterConfig {
    /// Everything that is kept lies below this directory. It is made when it is missing.
    pub data_directory: PathBuf,
    /// Where the API is served; port 0 takes a free one.
    pub api_address: SocketAddr,
    /// The name of this machine's Node. Default: the machine's own name.
    pub node_name: String,
    /// Start the API server and the store alone.
    pub api_only: bool,
    /// Admission plugins that run besides those that do by default, by upstream's names.
    pub enabled_admission_plugins: Vec<String>,
    /// Admission plugins that do not run, by upstream's names.
    pub disabled_admission_plugins: Vec<String>,
    /// Group versions that are served besides those that are by default: `GROUP/VERSION=true`.
    pub runtime_config: Vec<String>,
    /// Directories of this machine that pods may mount with hostPath. Default: none.
    pub host_paths: Vec<PathBuf>,
    /// A static token file as kube-apiserver reads it.
    pub token_auth_file: Option<PathBuf>,
    /// The issuer of service account tokens. Default: the API server's own.
    pub service_account_issuer: Option<String>,
    /// The audiences that the API server is. Default: the issuer.
    pub api_audiences: Vec<String>,
    /// The longest lifetime of a service account token. Default: none.
    pub service_account_max_token_expiration: Option<Duration>,
    /// A foreign issuer whose tokens are believed.
    pub oidc: Option<OidcConfig>,
    /// What is told of every request, and where.
    pub audit: Option<AuditConfig>,
}

/// An audit policy and its log.
#[derive(Debug, Clone)]
pub struct AuditConfig {
    /// The policy's file.
    pub policy_file: PathBuf,
    /// Where events go.
    pub log: AuditLogConfig,
}

impl ClusterConfig {
    /// The defaults over a data directory.
    #[must_use]
    pub fn new(data_directory: PathBuf) -> Self {
        Self {
            data_directory,
            api_address: defaults::API_ADDRESS,
            node_name: system::node_name(),
            api_only: false,
            enabled_admission_plugins: Vec::new(),
            disabled_admission_plugins: Vec::new(),
            runtime_config: Vec::new(),
            host_paths: Vec::new(),
            token_auth_file: None,
            service_account_issuer: None,
            api_audiences: Vec::new(),
            service_account_max_token_expiration: None,
            oidc: None,
            audit: None,
        }
    }
}

/// The part of the data directory that holds images; `coracle image` works on it while a cluster runs.
pub(crate) fn image_directory(data_directory: &Path) -> PathBuf {
    data_directory.join("images")
}

/// The part of the data directory that holds compiled code.
pub(crate) fn artifact_directory(data_directory: &Path) -> PathBuf {
    data_directory.join("compiled")
}

/// A running cluster: API server, store and, unless it is API only, scheduler, controllers and one host.
///
/// Dropping it ends everything at once; [`Cluster::stop`] ends it in order.
#[derive(Debug)]
pub struct Cluster {
    address: SocketAddr,
    kubeconfig: PathBuf,
    api: ApiServer,
    store: Store,
    serving: JoinSet<Result<()>>,
    shutdown: CancellationToken,
    workers: Option<Workers>,
}

/// The API server's clients.
#[derive(Debug)]
struct Workers {
    scheduler: Scheduler,
    controllers: Controllers,
    host: Host,
}

impl Cluster {
    /// Starts everything. When it returns, the API answers, the kubeconfig is written and the Node is registered.
    ///
    /// # Errors
    /// A data directory that cannot be used or is in use, an address that cannot be bound, a configuration that does not
    /// hold. Nothing is left running.
    pub async fn start(config: ClusterConfig) -> Result<Self> {
        let data = config.data_directory.as_path();
        let api_config = api_server_config(&config)?;
        system::make_private_directory(data)?;
        system::raise_open_files_limit();
        let store = Store::open(StoreConfig::new(data.join("store"))).await?;
        let listener = bind(config.api_address).await?;
        let address = listener.local_addr().context("cannot tell the address of the API")?;
        let pki = open_pki(data.join("pki"), address).await?;
        let api_config = ApiServerConfig {
            advertised_address: system::reachable(address).to_string(),
            service_account_key: Some(pki.service_account_key()?),
            client_ca_pem: Some(pki.authority_pem().to_owned()),
            front_proxy: Some(pki.front_proxy()),
            ..api_config
        };

        let links = HostLinks::new();
        let api = ApiServer::new(store.clone(), api_config, links.clone());
        api.bootstrap().await.context("cannot write the first objects")?;

        let kubeconfig = data.join("kubeconfig");
        let (admin, url) = (pki.admin(), url(address));
        kubeconfig::write(
            &kubeconfig,
            &Credentials {
                server: &url,
                ca_pem: pki.authority_pem(),
                certificate_pem: &admin.certificate_pem,
                key_pem: &admin.key_pem,
            },
        )?;

        let shutdown = CancellationToken::new();
        let mut serving = JoinSet::new();
        let tls = pki.server_config()?;
        serving.spawn({
            let (api, shutdown) = (api.clone(), shutdown.clone());
            async move { api.serve(listener, tls, shutdown).await.context("the API server ended") }
        });

        let workers = if config.api_only { None } else { Some(start_workers(&config, &api, &links, &pki).await?) };
        Ok(Self { address, kubeconfig, api, store, serving, shutdown, workers })
    }

    /// Where the API is served.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the API is served, as clients write it.
    #[must_use]
    pub fn url(&self) -> String {
        url(self.address)
    }

    /// The administrator's kubeconfig.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A client with the administrator's rights that reaches the API server without a socket.
    #[must_use]
    pub fn client(&self) -> Client {
        in_process_client(&self.api, UserInfo::admin())
    }

    /// The host of this process, unless the cluster is API only.
    #[must_use]
    pub fn host(&self) -> Option<&Host> {
        self.workers.as_ref().map(|workers| &workers.host)
    }

    /// Completes when a part has failed for good, such as the store on a disk error.
    ///
    /// # Cancel safety
    /// It only waits.
    pub async fn failed(&self) -> Error {
        let failure = self.store.failed().await;
        Error::new(failure).context("the store stopped")
    }

    /// Ends everything in order, within the grace period.
    pub async fn stop(mut self) {
        if let Some(Workers { scheduler, controllers, host }) = self.workers.take() {
            tokio::join!(scheduler.stop(), controllers.stop(), host.stop(defaults::DRAIN_GRACE));
        }
        self.shutdown.cancel();
        let drained =
            tokio::time::timeout(defaults::DRAIN_GRACE, async { while self.serving.join_next().await.is_some() {} });
        if drained.await.is_err() {
            tracing::warn!("requests were still open when the grace period ended");
            self.serving.shutdown().await;
        }
        self.store.close().await;
    }
}

fn in_process_client(api: &ApiServer, user: UserInfo) -> Client {
    Client::new(api.router_for(user), "default")
}

async fn start_workers(config: &ClusterConfig, api: &ApiServer, links: &HostLinks, pki: &Pki) -> Result<Workers> {
    let data = config.data_directory.as_path();
    let client = in_process_client(api, UserInfo::node(&config.node_name));
    let host = Host::start(
        HostConfig {
            node_name: config.node_name.clone(),
            data_directory: data.to_owned(),
            allow_file_images: true,
            host_paths: config.host_paths.clone(),
        },
        client,
    )
    .await?;
    links.register(config.node_name.clone(), host.router());
    let key = pki.service_account_key()?;
    let signer = SecretTokenSigner::new(move |namespace, account, account_uid, secret| {
        key.secret_token(namespace, account, account_uid, secret)
    });
    let controllers = Controllers::start(
        in_process_client(api, UserInfo::controllers()),
        ControllersConfig { secret_token_signer: Some(signer), ..ControllersConfig::new(pki.authority_pem()) },
    );
    let scheduler = Scheduler::start(in_process_client(api, UserInfo::scheduler()), SchedulerConfig::default());
    api.components().register(Component::ControllerManager, controllers.running());
    api.components().register(Component::Scheduler, scheduler.running());
    Ok(Workers { scheduler, controllers, host })
}

fn api_server_config(config: &ClusterConfig) -> Result<ApiServerConfig> {
    let tokens = match &config.token_auth_file {
        None => Vec::new(),
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            StaticToken::parse_file(&text).with_context(|| format!("cannot use {}", path.display()))?
        }
    };
    let audit = config.audit.as_ref().map(open_audit).transpose()?;
    let enabled_admission_plugins = config.enabled_admission_plugins.iter().cloned().collect();
    let disabled_admission_plugins = config.disabled_admission_plugins.iter().cloned().collect();
    let switched = config.runtime_config.iter().map(|entry| entry.split_once('=').unwrap_or((entry, "true")));
    let runtime_config = switched.filter(|(_, state)| *state == "true").map(|(name, _)| name.to_owned()).collect();
    let usual = ApiServerConfig::default();
    let issuer = config.service_account_issuer.clone();
    let api_config = ApiServerConfig {
        tokens,
        audit,
        oidc: config.oidc.clone(),
        service_account_issuer: issuer.unwrap_or_else(|| usual.service_account_issuer.clone()),
        api_audiences: config.api_audiences.clone(),
        service_account_max_token_expiration: config.service_account_max_token_expiration,
        enabled_admission_plugins,
        disabled_admission_plugins,
        runtime_config,
        ..usual
    };
    api_config.validate()?;
    Ok(api_config)
}

fn open_audit(config: &AuditConfig) -> Result<Audit> {
    let path = &config.policy_file;
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let policy = AuditPolicy::parse(&text).with_context(|| format!("cannot use {}", path.display()))?;
    Ok(Audit::new(policy, AuditLog::open(config.log.clone())?))
}

async fn bind(address: SocketAddr) -> Result<TcpListener> {
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            bail!("{address} is in use; stop what listens there or name another address with --api ADDR:PORT")
        }
        Err(error) => Err(Error::new(error).context(format!("cannot listen on {address}"))),
    }
}

/// Opens the certificates on a thread of its own: the first start makes keys.
async fn open_pki(directory: PathBuf, address: SocketAddr) -> Result<Arc<Pki>> {
    let names = vec![address.ip().to_string()];
    let opening = tokio::task::spawn_blocking(move || Pki::open_or_create(&directory, &names));
    let pki = opening.await.context("the certificates' thread ended")?.context("cannot open the certificates")?;
    Ok(Arc::new(pki))
}

fn url(address: SocketAddr) -> String {
    // A server that listens everywhere is reached on the loopback address from here.
    let ip = match address.ip() {
        ip if ip.is_unspecified() && ip.is_ipv4() => std::net::Ipv4Addr::LOCALHOST.into(),
        ip if ip.is_unspecified() => std::net::Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!("https://{}", SocketAddr::new(ip, address.port()))
}

/// The image store of a data directory.
pub(crate) fn open_images(data_directory: &Path, allow_files: bool) -> Result<ImageStore> {
    let directory = image_directory(data_directory);
    Ok(ImageStore::open(&directory, coracle_host_image::ImagePolicy { allow_files })?)
}
