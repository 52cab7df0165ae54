//! coracle-control-api
