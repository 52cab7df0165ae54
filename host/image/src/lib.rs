//! coracle-host-image
