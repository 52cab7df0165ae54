//! The virtual network of one host: an address for every pod and connections between them, with no privilege.
//!
//! A pod gets one IPv4 address from the shared address space `100.64.0.0/10` ([`Network::attach`]). Whatever runs in the
//! pod listens on that address ([`PodNetwork::listen`]), and whoever may reach it connects ([`PodNetwork::dial`],
//! [`Network::dial`]). A connection is a pair of bounded buffers in memory ([`Stream`]); the kernel sees none of it. The
//! one door to the kernel is [`Network::publish`], which binds a real port and carries its connections to a pod.
//!
//! # Invariants
//!
//! - An address belongs to at most one pod, and a released one rests ([`NetworkConfig::address_rest`]) before it is given
//!   away again, so that a client that still holds it does not reach a stranger.
//! - Everything is bounded: the bytes in flight in each direction of a connection, the connections that wait to be
//!   accepted, the connections that a published port carries.
//! - A wake-up is exact: a task is woken when what it waited for has become true. The sandbox relies on it, because the
//!   WASI runtime takes repeated spurious readiness for a fault of the host.
//! - A connection ends as a TCP connection ends. Half-close is kept: what was written before a shutdown arrives, then the
//!   reader sees the end, and the other direction goes on. See [`Stream`] for the details.
//! - Locks are held for copying at most one buffer and never across an await.
//!
//! # Refused alternatives
//!
//! - Kernel sockets on the loopback address: pods would share one port space and every guest would need one file
//!   descriptor per connection, and same-host traffic would be slower (facts/wasmtime.md, section 1).
//! - A user-space TCP stack: between two ends in one process there is no packet to lose, so the states that remain are
//!   those of [`Stream`].

mod address;
mod config;
mod network;
mod pipe;
mod publish;
mod stream;

pub use address::{AddressBlock, AddressBlockError};
pub use config::NetworkConfig;
pub use network::{AttachError, DialError, ListenError, Listener, Network, PodKey, PodNetwork};
pub use publish::{PublishError, PublishedPort};
pub use stream::{ReadHalf, Stream, WriteHalf};
