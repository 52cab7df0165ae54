use super::{Ending, demangled};
use crate::{ExitReason, Usage};
use wasmtime::{Error, Trap};
use wasmtime_wasi::I32Exit;

fn ending(error: Error) -> (i32, ExitReason, Option<String>) {
    let report = Ending::of(Err(error)).into_report(Usage::default());
    (report.code, report.reason, report.message)
}

#[test]
fn exits_are_no_failures_of_the_host() {
    assert_eq!(ending(I32Exit(0).into()), (0, ExitReason::Completed, None));
    assert_eq!(ending(I32Exit(3).into()), (3, ExitReason::Error, None));
    // Also when somebody has added a remark.
    assert_eq!(ending(Error::from(I32Exit(3)).context("in _start")), (3, ExitReason::Error, None));
}

#[test]
fn fuel_and_other_traps_are_told_apart() {
    let (code, reason, message) = ending(Trap::OutOfFuel.into());
    assert_eq!((code, reason), (152, ExitReason::FuelExhausted));
    assert_eq!(message.unwrap(), "the lifetime budget of fuel is spent");
    let (code, reason, message) = ending(Trap::IntegerDivisionByZero.into());
    assert_eq!((code, reason), (134, ExitReason::Trap));
    assert_eq!(message.unwrap(), "wasm trap: integer divide by zero");
}

#[test]
fn a_refusal_by_the_host_is_a_trap_with_all_its_causes() {
    let (code, reason, message) = ending(Error::msg("table is full").context("cannot open"));
    assert_eq!((code, reason, message.unwrap().as_str()), (134, ExitReason::Trap, "cannot open: table is full"));
}

#[test]
fn names_lose_their_hashes() {
    assert_eq!(demangled("_ZN4core9panicking5panic17h0123456789abcdefE"), "core::panicking::panic");
    assert_eq!(demangled("malloc"), "malloc");
}
