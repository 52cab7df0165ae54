//! coracle-host-agent
