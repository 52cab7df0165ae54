//! coracle-control-controllers
