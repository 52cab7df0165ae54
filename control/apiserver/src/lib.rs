//! coracle-control-apiserver
