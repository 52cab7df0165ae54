//! coracle-control-store
