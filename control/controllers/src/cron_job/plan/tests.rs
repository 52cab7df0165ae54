use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use serde_json::{Value, json};

use super::{job_of, plan, status};
use crate::observed::Whole;

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn cron(spec: &Value, last: Option<&str>) -> Whole<CronJob> {
    let mut object = json!({
        "metadata": {"name": "tick", "namespace": "n", "uid": "c", "creationTimestamp": "2026-01-01T00:00:30Z"},
        "spec": {"schedule": "*/5 * * * *", "jobTemplate": {"spec": {"template": {}}}, "successfulJobsHistoryLimit": 1, "failedJobsHistoryLimit": 1},
        "status": {"lastScheduleTime": last},
    });
    for (name, value) in spec.as_object().into_iter().flatten() {
        object["spec"][name] = value.clone();
    }
    Whole::new(serde_json::from_value(object).expect("a CronJob"))
}

fn job(name: &str, condition: Option<&str>) -> Arc<Whole<Job>> {
    let conditions =
        condition.map(|kind| json!([{"type": kind, "status": "True", "lastTransitionTime": "2026-01-01T00:06:00Z"}]));
    let object = json!({"metadata": {"name": name, "namespace": "n", "uid": name}, "status": {"conditions": conditions, "startTime": format!("2026-01-01T00:0{}:00Z", &name[1..])}});
    Arc::new(Whole::new(serde_json::from_value::<Job>(object).expect("a Job")))
}

#[test]
fn a_job_starts_when_it_is_due_and_once() {
    let early = plan(&cron(&json!({}), None), &[], at("2026-01-01T00:04:59Z"));
    assert_eq!((early.start, early.look_again), (None, Some(at("2026-01-01T00:05:00Z"))));
    let due = plan(&cron(&json!({}), None), &[], at("2026-01-01T00:05:00Z"));
    assert_eq!(due.start, Some(at("2026-01-01T00:05:00Z")));
    let started = plan(&cron(&json!({}), Some("2026-01-01T00:05:00Z")), &[], at("2026-01-01T00:06:00Z"));
    assert_eq!(started.start, None);
    let missed = plan(&cron(&json!({}), None), &[], at("2026-01-01T00:17:00Z"));
    assert_eq!(missed.start, Some(at("2026-01-01T00:15:00Z")), "of those that were missed the last");
    let made = job_of(&cron(&json!({"timeZone": "Europe/Zurich"}), None), at("2026-01-01T00:05:00Z")).expect("a Job");
    assert_eq!(made.metadata.name.as_deref(), Some("tick-29453765"));
    assert_eq!(
        made.metadata.annotations.expect("annotations").into_values().next().as_deref(),
        Some("2026-01-01T01:05:00+01:00")
    );
}

#[test]
fn what_is_too_late_or_suspended_does_not_start() {
    let late = plan(&cron(&json!({"startingDeadlineSeconds": 30}), None), &[], at("2026-01-01T00:06:00Z"));
    assert_eq!(late.start, None);
    let in_time = plan(&cron(&json!({"startingDeadlineSeconds": 90}), None), &[], at("2026-01-01T00:06:00Z"));
    assert_eq!(in_time.start, Some(at("2026-01-01T00:05:00Z")));
    assert_eq!(plan(&cron(&json!({"suspend": true}), None), &[], at("2026-01-01T00:06:00Z")).start, None);
    let long = plan(&cron(&json!({"schedule": "* * * * *"}), None), &[], at("2026-02-01T00:00:10Z"));
    assert_eq!(long.start, Some(at("2026-02-01T00:00:00Z")));
    assert_eq!(long.events[0].1, "TooManyMissedTimes");
}

#[test]
fn policies_say_what_happens_to_a_job_that_still_runs() {
    let decided = |policy: &str| {
        let plan =
            plan(&cron(&json!({"concurrencyPolicy": policy}), None), &[job("j1", None)], at("2026-01-01T00:05:00Z"));
        (plan.start.is_some(), plan.delete.len(), plan.events.len())
    };
    assert_eq!(decided("Allow"), (true, 0, 0));
    assert_eq!(decided("Forbid"), (false, 0, 1));
    assert_eq!(decided("Replace"), (true, 1, 0));
}

#[test]
fn the_history_is_limited_and_the_status_follows() {
    let jobs = [job("j1", Some("Complete")), job("j2", Some("Failed")), job("j3", Some("Complete")), job("j4", None)];
    let cron = cron(&json!({"suspend": true}), None);
    let gone: Vec<_> =
        plan(&cron, &jobs, at("2026-01-01T00:09:00Z")).delete.iter().map(|job| job.name().to_owned()).collect();
    assert_eq!(gone, ["j1"]);
    let status = status(&cron, &jobs, None);
    let active: Vec<_> = status.active.expect("one").into_iter().filter_map(|reference| reference.name).collect();
    assert_eq!(active, ["j4"]);
    assert_eq!(status.last_successful_time.map(|time| time.0), Some(at("2026-01-01T00:06:00Z")));
}
