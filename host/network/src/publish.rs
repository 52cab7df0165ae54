//! Ports of the machine that lead to pods: the hostPort of a container.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::Network;

/// Bytes copied at a time, for each direction of a published connection.
const COPY_BYTES: usize = 16 * 1024;
/// How long accepting rests after the kernel could not accept (out of file descriptors).
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// Why a port of the machine could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    #[error("the host address {address} is already in use by another program or pod")]
    InUse { address: SocketAddr },
    #[error("the host address {address} may not be bound by this user")]
    Denied { address: SocketAddr },
    #[error("bind the host address {address}")]
    Bind { address: SocketAddr, source: io::Error },
}

/// A bound port. Dropped, it is closed together with the connections that it carries.
#[derive(Debug)]
pub struct PublishedPort {
    address: SocketAddr,
    /// The accepting task, which in turn owns one task for each connection.
    _tasks: JoinSet<()>,
}

impl PublishedPort {
    /// The address that was bound, with the port that the kernel chose.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

pub(crate) async fn publish(
    network: Network,
    host_address: SocketAddr,
    target: SocketAddr,
    connections_max: usize,
) -> Result<PublishedPort, PublishError> {
    let listener = TcpListener::bind(host_address).await.map_err(|source| bind_error(host_address, source))?;
    let address = listener.local_addr().map_err(|source| bind_error(host_address, source))?;
    let mut tasks = JoinSet::new();
    tasks.spawn(accept(network, listener, target, connections_max.max(1)));
    Ok(PublishedPort { address, _tasks: tasks })
}

fn bind_error(address: SocketAddr, source: io::Error) -> PublishError {
    match source.kind() {
        io::ErrorKind::AddrInUse => PublishError::InUse { address },
        io::ErrorKind::PermissionDenied => PublishError::Denied { address },
        _ => PublishError::Bind { address, source },
    }
}

async fn accept(network: Network, listener: TcpListener, target: SocketAddr, connections_max: usize) {
    let slots = Arc::new(Semaphore::new(connections_max));
    let mut connections = JoinSet::new();
    loop {
        // The semaphore is never closed; a slot is taken before accepting, so that the kernel's queue holds the rest.
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        let accepted = tokio::select! {
            // Both arms are cancel-safe: a connection that is not accepted stays in the kernel's queue.
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok((socket, _)) => {
                let network = network.clone();
                connections.spawn(async move {
                    carry(&network, socket, target).await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "a published port could not accept");
                tokio::time::sleep(ACCEPT_REST).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn carry(network: &Network, mut socket: TcpStream, target: SocketAddr) {
    let mut stream = match network.dial(target).await {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!(%error, "a published port leads nowhere");
            // A reset, so that the client sees a failed connection rather than an empty answer.
            if let Err(error) = socket.set_zero_linger() {
                tracing::debug!(%error, "a connection could not be reset");
            }
            return;
        }
    };
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "a connection keeps its delay");
    }
    let copied = tokio::io::copy_bidirectional_with_sizes(&mut socket, &mut stream, COPY_BYTES, COPY_BYTES).await;
    if let Err(error) = copied {
        tracing::trace!(%error, "a published connection was cut");
        if let Err(error) = socket.set_zero_linger() {
            tracing::debug!(%error, "a connection could not be reset");
        }
        stream.reset();
    }
}

#[cfg(test)]
mod tests;
