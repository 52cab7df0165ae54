use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::plan;
use crate::meta::Meta;

const HOUR: Duration = Duration::from_secs(3600);

fn event(managed_fields: &serde_json::Value) -> Meta {
    let metadata = json!({"name": "e", "creationTimestamp": "2026-01-01T00:00:00Z", "managedFields": managed_fields});
    Meta::from_api(&serde_json::from_value(metadata).expect("metadata"))
}

fn rest_at(event: &Meta, minutes: i64) -> Option<Duration> {
    let start: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
    plan(event, HOUR, start + SignedDuration::from_mins(minutes))
}

#[test]
fn an_event_lives_for_an_hour_after_it_was_written() {
    let event = event(&json!([]));
    assert_eq!(rest_at(&event, 0), Some(HOUR));
    assert_eq!(rest_at(&event, 59), Some(Duration::from_secs(60)));
    assert_eq!(rest_at(&event, 60), None);
    assert_eq!(rest_at(&event, 600), None);
}

#[test]
fn writing_it_again_begins_the_hour_anew() {
    let event = event(&json!([{"manager": "a", "operation": "Update", "time": "2026-01-01T00:30:00Z"}]));
    assert_eq!(rest_at(&event, 60), Some(Duration::from_secs(1800)));
}

#[test]
fn a_time_in_the_future_counts_as_now() {
    assert_eq!(rest_at(&event(&json!([])), -30), Some(HOUR));
}
