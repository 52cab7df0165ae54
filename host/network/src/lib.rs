//! coracle-host-network
