//! coracle-host-sandbox
