//! Whether it is time.

use std::sync::Arc;

use coracle_control_api::kinds::cron_job::schedule::{Schedule, time_zone};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec, CronJobStatus, Job};
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use super::{ended, has_succeeded};
use crate::job::is_finished;
use crate::observed::Whole;

const SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";
/// Times that were missed and are counted one by one.
const MISSED_MAX: usize = 100;

/// What to do.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// The time whose Job is to start now.
    pub(super) start: Option<Timestamp>,
    pub(super) delete: Vec<Arc<Whole<Job>>>,
    /// Whether it is a warning, its reason, its message.
    pub(super) events: Vec<(bool, &'static str, String)>,
    pub(super) look_again: Option<Timestamp>,
}

/// Decides. `jobs` are those of the CronJob.
pub(super) fn plan(cron: &Whole<CronJob>, jobs: &[Arc<Whole<Job>>], now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    let Some(spec) = cron.spec.as_ref() else { return plan };
    plan.delete = forgotten(spec, jobs);
    plan.events = seen(cron, jobs);
    if spec.suspend == Some(true) {
        return plan;
    }
    let Some(schedule) = Schedule::parse(&spec.schedule).ok() else {
        let message = format!("unparseable schedule: \"{}\"", spec.schedule);
        plan.events.push((true, "UnparseableSchedule", message));
        return plan;
    };
    let zone = spec.time_zone.as_deref().map_or(Some(TimeZone::UTC), time_zone);
    let Some(zone) = zone else {
        let message = format!("invalid timeZone: {}", spec.time_zone.as_deref().unwrap_or_default());
        plan.events.push((true, "UnknownTimeZone", message));
        return plan;
    };
    plan.look_again = schedule.next(now, &zone);
    let (due, missed) = last_due(cron, spec, &schedule, &zone, now);
    if missed > MISSED_MAX {
        let message = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew";
        plan.events.push((true, "TooManyMissedTimes", message.to_owned()));
    }
    let Some(due) = due else { return plan };
    let deadline = spec.starting_deadline_seconds.map(SignedDuration::from_secs);
    if deadline.is_some_and(|deadline| due.checked_add(deadline).is_ok_and(|last| last < now)) {
        let message = format!("Missed scheduled time to start a job: {}", due.strftime("%a, %d %b %Y %H:%M:%S +0000"));
        plan.events.push((true, "MissSchedule", message));
        return plan;
    }
    start(spec, jobs, due, &mut plan);
    plan
}

fn start(spec: &CronJobSpec, jobs: &[Arc<Whole<Job>>], due: Timestamp, plan: &mut Plan) {
    let active: Vec<_> = jobs.iter().filter(|job| !is_finished(job)).cloned().collect();
    match spec.concurrency_policy.as_deref() {
        Some("Forbid") if !active.is_empty() => {
            let message = "Not starting job because prior execution is running and concurrency policy is Forbid";
            plan.events.push((false, "JobAlreadyActive", message.to_owned()));
        }
        Some("Replace") => {
            plan.delete.extend(active.into_iter().filter(|job| !job.meta.deleting));
            plan.start = Some(due);
        }
        _ => plan.start = Some(due),
    }
}

/// The last time that is due and has no Job yet, and how many are.
fn last_due(
    cron: &Whole<CronJob>,
    spec: &CronJobSpec,
    schedule: &Schedule,
    zone: &TimeZone,
    now: Timestamp,
) -> (Option<Timestamp>, usize) {
    let last = cron.status.as_ref().and_then(|status| status.last_schedule_time.as_ref()).map(|time| time.0);
    let mut from = last.unwrap_or(cron.meta.created);
    let oldest =
        spec.starting_deadline_seconds.and_then(|seconds| now.checked_sub(SignedDuration::from_secs(seconds)).ok());
    // A time that is exactly as old as may be still counts.
    let oldest = oldest.and_then(|oldest| oldest.checked_sub(SignedDuration::from_secs(1)).ok());
    from = from.max(oldest.unwrap_or(from));
    let (mut due, mut missed) = (None, 0);
    while let Some(next) = schedule.next(from, zone).filter(|next| *next <= now) {
        (due, from) = (Some(next), next);
        missed += 1;
        if missed > MISSED_MAX {
            // Only the last one matters: go on from shortly before now.
            let step = schedule.next(next, zone).map_or(SignedDuration::ZERO, |after| after.duration_since(next));
            let near = now.checked_sub(step.saturating_mul(2)).unwrap_or(next);
            return (last_before(schedule, zone, near.max(next), now).or(due), missed);
        }
    }
    (due, missed)
}

fn last_before(schedule: &Schedule, zone: &TimeZone, from: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let mut at = from;
    let due = std::iter::from_fn(|| {
        at = schedule.next(at, zone).filter(|next| *next <= now)?;
        Some(at)
    });
    due.take(MISSED_MAX).last()
}

/// Jobs that have ended and are beyond the limits of the history.
fn forgotten(spec: &CronJobSpec, jobs: &[Arc<Whole<Job>>]) -> Vec<Arc<Whole<Job>>> {
    let of = |succeeded: bool, limit: Option<i32>| {
        let Some(limit) = limit.and_then(|limit| usize::try_from(limit).ok()) else { return Vec::new() };
        let mut ended: Vec<_> =
            jobs.iter().filter(|job| is_finished(job) && has_succeeded(job) == succeeded).cloned().collect();
        ended.sort_by_key(|job| {
            (job.status.as_ref().and_then(|status| status.start_time.as_ref()).map(|time| time.0), job.meta.key.clone())
        });
        ended.truncate(ended.len().saturating_sub(limit));
        ended.retain(|job| !job.meta.deleting);
        ended
    };
    let mut forgotten = of(true, spec.successful_jobs_history_limit);
    forgotten.extend(of(false, spec.failed_jobs_history_limit));
    forgotten
}

/// Jobs that the status calls active and that have ended.
fn seen(cron: &Whole<CronJob>, jobs: &[Arc<Whole<Job>>]) -> Vec<(bool, &'static str, String)> {
    let active = cron.status.as_ref().and_then(|status| status.active.as_ref()).into_iter().flatten();
    let ended = active.filter_map(|reference| {
        let job = jobs.iter().find(|job| reference.uid.as_deref() == Some(&*job.meta.uid))?;
        let condition = if has_succeeded(job) { "Complete" } else { "Failed" };
        let message = format!("Saw completed job: {}, condition: {condition}", job.name());
        is_finished(job).then_some((false, "SawCompletedJob", message))
    });
    ended.collect()
}

/// The status after a Job for `started` was created.
pub(super) fn status(cron: &Whole<CronJob>, jobs: &[Arc<Whole<Job>>], started: Option<Timestamp>) -> CronJobStatus {
    let mut status = cron.status.clone().unwrap_or_default();
    let reference = |job: &Arc<Whole<Job>>| ObjectReference {
        api_version: Some("batch/v1".to_owned()),
        kind: Some("Job".to_owned()),
        namespace: Some(job.namespace().to_owned()),
        name: Some(job.name().to_owned()),
        uid: Some(job.meta.uid.to_string()),
        resource_version: job.metadata().resource_version.clone(),
        field_path: None,
    };
    let known = status.active.take().unwrap_or_default();
    let active: Vec<ObjectReference> = jobs
        .iter()
        .filter(|job| !is_finished(job) && !job.meta.deleting)
        .map(|job| {
            let same = known.iter().find(|known| known.uid.as_deref() == Some(&*job.meta.uid));
            same.cloned().unwrap_or_else(|| reference(job))
        })
        .collect();
    status.active = Some(active).filter(|active| !active.is_empty());
    let succeeded = jobs.iter().filter(|job| has_succeeded(job)).filter_map(|job| ended(job)).max();
    let known = status.last_successful_time.as_ref().map(|time| time.0);
    status.last_successful_time = succeeded.max(known).map(Time);
    if let Some(started) = started {
        status.last_schedule_time = Some(Time(started));
    }
    status
}

/// The Job for a time. Its name says the time, so that it is made once.
pub(super) fn job_of(cron: &Whole<CronJob>, at: Timestamp) -> Option<Job> {
    let spec = cron.spec.as_ref()?;
    let template = spec.job_template.metadata.clone().unwrap_or_default();
    let mut annotations = template.annotations.unwrap_or_default();
    let zone = spec.time_zone.as_deref().and_then(time_zone).unwrap_or(TimeZone::UTC);
    let scheduled = at.to_zoned(zone).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string().replace("+00:00", "Z");
    annotations.insert(SCHEDULED.to_owned(), scheduled);
    Some(Job {
        metadata: ObjectMeta {
            name: Some(format!("{}-{}", cron.name(), at.as_second() / 60)),
            namespace: Some(cron.namespace().to_owned()),
            labels: template.labels,
            annotations: Some(annotations),
            owner_references: Some(vec![cron.controller_reference()]),
            ..ObjectMeta::default()
        },
        spec: spec.job_template.spec.clone(),
        status: None,
    })
}

#[cfg(test)]
mod tests;
