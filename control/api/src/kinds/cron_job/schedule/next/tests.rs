use jiff::Timestamp;

use super::{Schedule, time_zone};

/// The next three times.
fn due(schedule: &str, zone: &str, after: &str) -> Vec<String> {
    let (schedule, zone) = (Schedule::parse(schedule).expect("a schedule"), time_zone(zone).expect("a zone"));
    let mut at: Timestamp = after.parse().expect("a time");
    let next = || {
        at = schedule.next(at, &zone)?;
        Some(at.to_string())
    };
    std::iter::from_fn(next).take(3).collect()
}

#[test]
fn schedules_are_due_by_the_clocks_of_their_zone() {
    let noon = "2026-01-31T11:59:30Z";
    assert_eq!(
        due("*/15 * * * *", "UTC", noon),
        ["2026-01-31T12:00:00Z", "2026-01-31T12:15:00Z", "2026-01-31T12:30:00Z"]
    );
    assert_eq!(
        due("0 0 29 2 *", "UTC", noon),
        ["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z", "2036-02-29T00:00:00Z"]
    );
    assert_eq!(due("30 6 * * mon-fri", "Europe/Zurich", noon)[0], "2026-02-02T05:30:00Z");
    assert_eq!(due("@every 90s", "UTC", noon)[..2], ["2026-01-31T12:01:00Z", "2026-01-31T12:02:30Z"]);
    assert_eq!(due("0 0 30 2 *", "UTC", noon), [""; 0]);
}

#[test]
fn either_day_counts_when_both_are_named() {
    assert_eq!(
        due("0 0 13 * fri", "UTC", "2026-02-10T00:00:00Z"),
        ["2026-02-13T00:00:00Z", "2026-02-20T00:00:00Z", "2026-02-27T00:00:00Z"]
    );
    assert_eq!(due("0 0 * * sun", "UTC", "2026-02-10T00:00:00Z")[0], "2026-02-15T00:00:00Z");
}

#[test]
fn clocks_that_change_neither_skip_a_day_nor_run_twice() {
    assert_eq!(
        due("30 2 * * *", "Europe/Zurich", "2026-03-28T12:00:00Z")[0],
        "2026-03-30T00:30:00Z",
        "02:30 is skipped"
    );
    assert_eq!(
        due("30 2 * * *", "Europe/Zurich", "2026-10-24T12:00:00Z"),
        ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z", "2026-10-27T01:30:00Z"]
    );
}
