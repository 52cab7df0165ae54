//! The tests of the whole: scenarios on a running cluster, and rules about the repository itself. One binary, a module a
//! topic.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test ends at the first failure and says what it skips"
)]

mod integration {
    mod harness;

    mod architecture;
    mod tidy;

    mod custom;
    mod kubectl;
    mod objects;
    mod pods;
    mod run;
    mod streams;
    mod up;
    mod workloads;
}
