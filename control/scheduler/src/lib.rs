//! coracle-control-scheduler
