//! The controllers on a real API server: what is observed, and what they make of it.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test ends at the first failure and prints what it measured"
)]

mod controllers {
    mod cluster;

    mod garbage;
    mod namespaces;
    mod nodes;
}
