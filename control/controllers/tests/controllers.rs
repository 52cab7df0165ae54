//! The controllers on a real API server: what is observed, and what they make of it.
#![expect(clippy::unwrap_used, reason = "a test ends at the first failure")]

mod controllers {
    mod cluster;

    mod custom_garbage;
    mod deployments;
    mod garbage;
    mod jobs;
    mod namespaces;
    mod nodes;
    mod quotas;
    mod replicas;
    mod roles;
    mod services;
    mod sets;
}
