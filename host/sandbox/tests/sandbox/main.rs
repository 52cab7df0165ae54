//! The sandbox through its public API: small programs in text form for each rule, real Rust programs for the whole.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod compile;
mod exit;
mod http;
mod limits;
mod stdio;
mod support;
mod surroundings;
