use super::Processor;
use std::time::Duration;
use tokio::time::Instant;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Runs a program that always wants the processor in slices of `slice` from `start` on for `length`, and says what it got.
fn greedy(processor: &Processor, slice: Duration, start: Instant, length: Duration) -> Duration {
    let used_before = processor.used();
    let mut now = start;
    while now < start + length {
        match processor.admit(now) {
            Ok(()) => {
                now += slice;
                processor.debit(slice);
            }
            Err(until) => now = until,
        }
    }
    processor.used() - used_before
}

#[test]
fn without_a_limit_everything_is_admitted_and_counted() {
    let processor = Processor::new(None, Instant::now());
    assert_eq!(greedy(&processor, ms(1), Instant::now(), ms(1000)), ms(1000));
    assert_eq!(processor.periods(), (0, 0));
}

#[test]
fn limits_hold_to_a_percent_over_seconds() {
    for millis in [1, 10, 50, 100, 250, 500, 900, 1000] {
        let start = Instant::now();
        let processor = Processor::new(Some(millis), start);
        let used = greedy(&processor, Duration::from_micros(100), start, ms(20_000));
        let expected = ms(20 * u64::from(millis));
        let error = used.abs_diff(expected).as_secs_f64() / expected.as_secs_f64();
        assert!(error < 0.011, "{millis}m: {used:?} instead of {expected:?}");
    }
}

#[test]
fn timers_that_fire_late_cost_nothing() {
    let start = Instant::now();
    let processor = Processor::new(Some(950), start);
    let mut now = start;
    while now < start + ms(20_000) {
        match processor.admit(now) {
            Ok(()) => {
                now += ms(1);
                processor.debit(ms(1));
            }
            Err(until) => now = until + ms(2),
        }
    }
    let error = processor.used().abs_diff(ms(19_000)).as_secs_f64() / 19.0;
    assert!(error < 0.01, "{:?}", processor.used());
}

#[test]
fn a_debt_is_paid_before_the_next_turn() {
    let start = Instant::now();
    let processor = Processor::new(Some(100), start);
    processor.admit(start).unwrap();
    // One host call took four and a half quotas of 10 ms.
    processor.debit(ms(45));
    let until = processor.admit(start).unwrap_err();
    assert_eq!(until - start, ms(400));
    processor.admit(until).unwrap();
}

#[test]
fn idle_time_is_not_saved_up() {
    let start = Instant::now();
    let processor = Processor::new(Some(100), start);
    // A quota of 10 ms, and at most 5 ms carried over.
    assert_eq!(greedy(&processor, ms(1), start + ms(10_000), ms(100)), ms(15));
}

#[test]
fn dry_periods_are_counted_once_each() {
    let start = Instant::now();
    let processor = Processor::new(Some(500), start);
    greedy(&processor, ms(1), start, ms(1000));
    let (periods, throttled) = processor.periods();
    assert!((10..=11).contains(&periods) && (9..=10).contains(&throttled), "{periods} {throttled}");
}
