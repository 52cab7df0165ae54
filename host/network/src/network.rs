//! Pods on the network: attaching, listening, dialling.

use std::collections::HashMap;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::sync::mpsc;

use crate::address::AddressPool;
use crate::publish::{self, PublishError, PublishedPort};
use crate::{NetworkConfig, Stream};

/// The range that ephemeral ports come from, as on Linux.
const EPHEMERAL_FIRST: u16 = 32_768;
const EPHEMERAL_COUNT: u16 = 28_232;

/// Which pod an address belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PodKey {
    pub namespace: String,
    pub name: String,
    pub uid: String,
}

impl fmt::Display for PodKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.name)
    }
}

/// Why a pod got no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttachError {
    #[error("no pod address is free on this host: {taken} are in use and the others were released a moment ago")]
    Exhausted { taken: usize },
}

/// Why a port could not be listened on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListenError {
    #[error("the address {address} is already in use")]
    InUse { address: SocketAddr },
    #[error("all ephemeral ports of {ip} are in use")]
    PortsExhausted { ip: IpAddr },
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    #[error("connection refused: nothing listens on {address}")]
    Refused { address: SocketAddr },
    #[error("no route to host: no pod of this host has the address {address}")]
    Unreachable { address: SocketAddr },
    #[error("connection timed out: {address} does not accept the connections that wait for it")]
    TimedOut { address: SocketAddr },
}

impl DialError {
    /// The kind that a socket would report.
    pub fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Refused { .. } => io::ErrorKind::ConnectionRefused,
            Self::Unreachable { .. } => io::ErrorKind::HostUnreachable,
            Self::TimedOut { .. } => io::ErrorKind::TimedOut,
        }
    }
}

impl From<DialError> for io::Error {
    fn from(error: DialError) -> Self {
        Self::new(error.kind(), error)
    }
}

/// The virtual network of one host. Clones are the same network.
#[derive(Debug, Clone)]
pub struct Network {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: NetworkConfig,
    host: Ipv4Addr,
    host_ports: AtomicU32,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    addresses: AddressPool,
    pods: HashMap<IpAddr, PodKey>,
    listeners: HashMap<SocketAddr, mpsc::Sender<Stream>>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Network {
    /// A network with nobody on it.
    pub fn new(config: NetworkConfig) -> Self {
        let addresses = AddressPool::new(config.blocks.clone(), config.address_rest);
        let host = addresses.host();
        let state = State { addresses, pods: HashMap::new(), listeners: HashMap::new() };
        let shared = Shared { config, host, host_ports: AtomicU32::new(0), state: Mutex::new(state) };
        Self { shared: Arc::new(shared) }
    }

    /// Gives the pod an address. It is released when the last clone of the result and the last [`Listener`] made from
    /// it are dropped.
    ///
    /// # Errors
    /// [`AttachError::Exhausted`] when every address is in use or rests.
    pub fn attach(&self, pod: &PodKey) -> Result<PodNetwork, AttachError> {
        let mut state = self.shared.lock();
        let Some(ip) = state.addresses.take(Instant::now()) else {
            return Err(AttachError::Exhausted { taken: state.addresses.taken() });
        };
        state.pods.insert(IpAddr::V4(ip), pod.clone());
        drop(state);
        let attachment =
            Attachment { shared: Arc::clone(&self.shared), ip, key: pod.clone(), ports: AtomicU32::new(0) };
        Ok(PodNetwork { attachment: Arc::new(attachment) })
    }

    /// The host's own address on the virtual network; connections that [`dial`](Self::dial) opens come from it.
    pub fn host_ip(&self) -> IpAddr {
        IpAddr::V4(self.shared.host)
    }

    /// The pod that has this address now.
    pub fn pod_at(&self, ip: IpAddr) -> Option<PodKey> {
        self.shared.lock().pods.get(&ip).cloned()
    }

    /// Connects the host itself to a pod's port.
    ///
    /// # Errors
    /// Nothing listens there, no pod has the address, or the backlog stayed full for `dial_timeout`.
    ///
    /// # Cancel safety
    /// Cancel-safe: a connection that was not handed over is cut.
    pub async fn dial(&self, address: SocketAddr) -> Result<Stream, DialError> {
        let port = ephemeral(&self.shared.host_ports);
        self.dial_from(SocketAddr::new(self.host_ip(), port), address).await
    }

    /// Binds `host_address` in the kernel and carries its connections to `target` on this network, until the result is
    /// dropped. Port 0 takes any free port ([`PublishedPort::address`] tells which).
    ///
    /// # Errors
    /// The address is in use, not allowed, or not this machine's.
    pub async fn publish(&self, host_address: SocketAddr, target: SocketAddr) -> Result<PublishedPort, PublishError> {
        publish::publish(self.clone(), host_address, target, self.shared.config.published_connections_max).await
    }

    pub(crate) async fn dial_from(&self, source: SocketAddr, address: SocketAddr) -> Result<Stream, DialError> {
        let backlog = {
            let state = self.shared.lock();
            match state.listeners.get(&address) {
                Some(backlog) => backlog.clone(),
                None if state.pods.contains_key(&address.ip()) => return Err(DialError::Refused { address }),
                None => return Err(DialError::Unreachable { address }),
            }
        };
        // Room in the backlog first, so that a dial that is given up leaves nothing behind for the listener.
        let room = tokio::time::timeout(self.shared.config.dial_timeout, backlog.reserve()).await;
        let room = room.map_err(|_| DialError::TimedOut { address })?;
        let room = room.map_err(|_| DialError::Refused { address })?;
        let (dialled, accepted) = Stream::pair(source, address, self.shared.config.stream_buffer_bytes);
        room.send(accepted);
        Ok(dialled)
    }
}

/// The next ephemeral port. A port comes back after the whole range, without regard to connections that still have it:
/// both ends of a connection are told apart by the connection itself, so the port is only a name.
fn ephemeral(counter: &AtomicU32) -> u16 {
    let next = counter.fetch_add(1, Ordering::Relaxed) % u32::from(EPHEMERAL_COUNT);
    EPHEMERAL_FIRST + u16::try_from(next).unwrap_or(0)
}

/// One pod's place on the network. Clones are the same place; the address is free again when the last one is dropped.
#[derive(Clone)]
pub struct PodNetwork {
    attachment: Arc<Attachment>,
}

struct Attachment {
    shared: Arc<Shared>,
    ip: Ipv4Addr,
    key: PodKey,
    ports: AtomicU32,
}

impl Drop for Attachment {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.pods.remove(&IpAddr::V4(self.ip));
        state.addresses.release(self.ip, Instant::now());
    }
}

impl PodNetwork {
    /// The pod's address.
    pub fn ip(&self) -> IpAddr {
        IpAddr::V4(self.attachment.ip)
    }

    /// Which pod this is.
    pub fn key(&self) -> &PodKey {
        &self.attachment.key
    }

    /// Listens on a port of the pod, for the pod's own programs (on the loopback address) and for everybody else. Port 0
    /// takes a free ephemeral port.
    ///
    /// # Errors
    /// The port is taken by another listener of the same pod, or no ephemeral port is free.
    pub fn listen(&self, port: u16) -> Result<Listener, ListenError> {
        let shared = &self.attachment.shared;
        let (sender, backlog) = mpsc::channel(shared.config.backlog_max.max(1));
        let mut state = shared.lock();
        let address = self.free_address(&state, port)?;
        state.listeners.insert(address, sender);
        drop(state);
        Ok(Listener { pod: self.clone(), address, backlog, waiting: None })
    }

    /// Connects from this pod. A loopback address means the pod itself.
    ///
    /// # Errors
    /// As [`Network::dial`].
    ///
    /// # Cancel safety
    /// Cancel-safe: a connection that was not handed over is cut.
    pub async fn dial(&self, address: SocketAddr) -> Result<Stream, DialError> {
        let target = if address.ip().is_loopback() { SocketAddr::new(self.ip(), address.port()) } else { address };
        let source = SocketAddr::new(self.ip(), ephemeral(&self.attachment.ports));
        self.network().dial_from(source, target).await
    }

    /// The network that this pod is on.
    pub fn network(&self) -> Network {
        Network { shared: Arc::clone(&self.attachment.shared) }
    }

    fn free_address(&self, state: &State, port: u16) -> Result<SocketAddr, ListenError> {
        let ip = self.ip();
        if port != 0 {
            let address = SocketAddr::new(ip, port);
            let taken = state.listeners.contains_key(&address);
            return if taken { Err(ListenError::InUse { address }) } else { Ok(address) };
        }
        (0..EPHEMERAL_COUNT)
            .map(|_| SocketAddr::new(ip, ephemeral(&self.attachment.ports)))
            .find(|address| !state.listeners.contains_key(address))
            .ok_or(ListenError::PortsExhausted { ip })
    }
}

impl fmt::Debug for PodNetwork {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "PodNetwork({} {})", self.attachment.key, self.attachment.ip)
    }
}

/// A port of a pod that accepts connections. Dropped, it refuses the next ones and cuts those not yet accepted.
#[derive(Debug)]
pub struct Listener {
    pod: PodNetwork,
    address: SocketAddr,
    backlog: mpsc::Receiver<Stream>,
    /// A connection that [`poll_acceptable`](Self::poll_acceptable) has seen.
    waiting: Option<Stream>,
}

impl Listener {
    /// Where this listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next connection, in the order of dialling.
    ///
    /// # Cancel safety
    /// Cancel-safe: no connection is lost.
    pub async fn accept(&mut self) -> Stream {
        poll_fn(|context| self.poll_accept(context)).await
    }

    /// As [`accept`](Self::accept), to be polled.
    pub fn poll_accept(&mut self, context: &mut Context<'_>) -> Poll<Stream> {
        if let Some(stream) = self.waiting.take() {
            return Poll::Ready(stream);
        }
        match ready!(self.backlog.poll_recv(context)) {
            Some(stream) => Poll::Ready(stream),
            // The network holds the sender for as long as this listener lives.
            None => Poll::Pending,
        }
    }

    /// A connection that is there already.
    pub fn try_accept(&mut self) -> Option<Stream> {
        self.waiting.take().or_else(|| self.backlog.try_recv().ok())
    }

    /// Ready when [`try_accept`](Self::try_accept) would yield a connection.
    pub fn poll_acceptable(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let stream = ready!(self.poll_accept(context));
        self.waiting = Some(stream);
        Poll::Ready(())
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.pod.attachment.shared.lock().listeners.remove(&self.address);
        // Not yet accepted connections are cut rather than ended: their peers must not take it for an empty answer.
        self.backlog.close();
        while let Some(stream) = self.try_accept() {
            stream.reset();
        }
    }
}

#[cfg(test)]
mod tests;
