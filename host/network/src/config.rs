//! The bounds of the virtual network and their defaults, all in one place.

use std::time::Duration;

use crate::AddressBlock;

/// What a [`Network`](crate::Network) is made from.
#[derive(Debug, Clone)]
pub struct NetworkConfig {
    /// The blocks that this host gives addresses from. The first address of the first block is the host's own.
    /// Default: `100.64.0.0/16`, which is 65,534 pods.
    pub blocks: Vec<AddressBlock>,
    /// How long a released address rests before another pod may get it. Default: 60 seconds.
    pub address_rest: Duration,
    /// Bytes in flight in one direction of a connection, after which the writer waits. At least 1. Default: 64 KiB.
    pub stream_buffer_bytes: usize,
    /// Connections that may wait to be accepted by one listener, after which dialling waits. At least 1. Default: 1,024.
    pub backlog_max: usize,
    /// How long dialling waits for room in a listener's backlog. Default: 5 seconds.
    pub dial_timeout: Duration,
    /// Connections that one published port carries at a time; more wait in the kernel's own queue. Default: 4,096.
    pub published_connections_max: usize,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self {
            blocks: vec![AddressBlock::DEFAULT],
            address_rest: Duration::from_secs(60),
            stream_buffer_bytes: 64 * 1024,
            backlog_max: 1024,
            dial_timeout: Duration::from_secs(5),
            published_connections_max: 4096,
        }
    }
}
