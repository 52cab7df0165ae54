//! When a Job has succeeded or failed, and what its failed pods mean.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{Job, JobSpec, PodFailurePolicyRule};

use super::indexes;
use crate::observed::{Pod, Whole};

/// How a Job ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finish {
    pub(super) succeeded: bool,
    pub(super) reason: String,
    pub(super) message: String,
}

/// What a failed pod means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Count,
    Ignore,
    FailIndex,
    /// The Job fails, for this reason.
    FailJob(String),
}

/// What has been counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    pub(super) succeeded: i32,
    pub(super) failed: i32,
    pub(super) completed: BTreeSet<u32>,
    pub(super) failed_indexes: BTreeSet<u32>,
    pub(super) active: i32,
    /// Of pods that are still running: how often their containers were started again.
    pub(super) restarts: i32,
}

fn failed(reason: &str, message: &str) -> Finish {
    Finish { succeeded: false, reason: reason.to_owned(), message: message.to_owned() }
}

fn succeeded(reason: &str, message: String) -> Finish {
    Finish { succeeded: true, reason: reason.to_owned(), message }
}

pub(super) fn is_indexed(spec: &JobSpec) -> bool {
    spec.completion_mode.as_deref() == Some("Indexed")
}

pub(super) fn completions(spec: &JobSpec) -> u32 {
    u32::try_from(spec.completions.unwrap_or(0)).unwrap_or(0)
}

/// When the Job's time is over.
pub(super) fn deadline(job: &Job, spec: &JobSpec) -> Option<Timestamp> {
    let started = job.status.as_ref()?.start_time.as_ref()?.0;
    started.checked_add(SignedDuration::from_secs(spec.active_deadline_seconds?)).ok()
}

/// What the first rule that fits says of a failed pod.
pub(super) fn meaning(spec: &JobSpec, pod: &Pod) -> Meaning {
    let rules = spec.pod_failure_policy.iter().flat_map(|policy| &policy.rules).enumerate();
    for (place, rule) in rules {
        let Some(why) = matches(rule, pod) else { continue };
        return match rule.action.as_str() {
            "Ignore" => Meaning::Ignore,
            "FailIndex" if spec.backoff_limit_per_index.is_some() => Meaning::FailIndex,
            "FailJob" => Meaning::FailJob(format!("{why} matching FailJob rule at index {place}")),
            _ => Meaning::Count,
        };
    }
    Meaning::Count
}

fn matches(rule: &PodFailurePolicyRule, pod: &Pod) -> Option<String> {
    let name = &pod.meta.key;
    if let Some(codes) = &rule.on_exit_codes {
        let ends = pod.ends.iter().filter(|end| end.exit_code != 0);
        let mut ends =
            ends.filter(|end| codes.container_name.as_ref().is_none_or(|container| **container == *end.name));
        let end = ends.find(|end| codes.values.contains(&end.exit_code) == (codes.operator == "In"))?;
        let (container, code) = (&end.name, end.exit_code);
        return Some(format!("Container {container} for pod {name} failed with exit code {code}"));
    }
    let patterns = rule.on_pod_conditions.iter().flatten();
    let mut patterns = patterns.filter(|pattern| pattern.status == "True" && pod.has_condition(&pattern.type_));
    patterns.next().map(|pattern| format!("Pod {name} has condition {}", pattern.type_))
}

/// Whether, by what has been counted, the Job is over.
pub(super) fn finish(
    job: &Whole<Job>,
    spec: &JobSpec,
    tally: &Tally,
    pods: &[Arc<Pod>],
    now: Timestamp,
) -> Option<Finish> {
    let policy = pods.iter().filter(|pod| pod.phase == crate::observed::Phase::Failed).find_map(|pod| {
        match meaning(spec, pod) {
            Meaning::FailJob(why) => Some(failed("PodFailurePolicy", &why)),
            Meaning::Count | Meaning::Ignore | Meaning::FailIndex => None,
        }
    });
    policy.or_else(|| fails(job, spec, tally, now)).or_else(|| succeeds(spec, tally))
}

fn fails(job: &Job, spec: &JobSpec, tally: &Tally, now: Timestamp) -> Option<Finish> {
    let limit = spec.backoff_limit.unwrap_or(6);
    let restarted = spec.template.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref()) == Some("OnFailure")
        && (tally.restarts > 0 && tally.restarts >= limit);
    if tally.failed > limit || restarted {
        return Some(failed("BackoffLimitExceeded", "Job has reached the specified backoff limit"));
    }
    if deadline(job, spec).is_some_and(|deadline| deadline <= now) && spec.suspend != Some(true) {
        return Some(failed("DeadlineExceeded", "Job was active longer than specified deadline"));
    }
    spec.backoff_limit_per_index?;
    let failed_count = u32::try_from(tally.failed_indexes.len()).unwrap_or(u32::MAX);
    let most = spec.max_failed_indexes.and_then(|most| u32::try_from(most).ok());
    if most.is_some_and(|most| failed_count > most) {
        let message = "Job has exceeded the specified maximal number of failed indexes";
        return Some(failed("MaxFailedIndexesExceeded", message));
    }
    let ended = failed_count + u32::try_from(tally.completed.len()).unwrap_or(u32::MAX);
    (failed_count > 0 && ended >= completions(spec)).then(|| failed("FailedIndexes", "Job has failed indexes"))
}

fn succeeds(spec: &JobSpec, tally: &Tally) -> Option<Finish> {
    if let Some(policy) = spec.success_policy.as_ref().filter(|_| is_indexed(spec)) {
        for (place, rule) in policy.rules.iter().enumerate() {
            let listed = rule.succeeded_indexes.as_ref().map(|text| indexes::parse(text, completions(spec)));
            let met = match &listed {
                Some(listed) => listed.intersection(&tally.completed).count(),
                None => tally.completed.len(),
            };
            let wanted = match (rule.succeeded_count, &listed) {
                (Some(count), _) => usize::try_from(count).unwrap_or(usize::MAX),
                (None, Some(listed)) => listed.len(),
                (None, None) => usize::MAX,
            };
            if met >= wanted {
                return Some(succeeded("SuccessPolicy", format!("Matched rules at index {place}")));
            }
        }
    }
    let reached = match spec.completions {
        // Pods that take their work from a queue know themselves when all is done.
        None => tally.succeeded > 0 && tally.active == 0,
        Some(completions) => tally.succeeded >= completions,
    };
    reached.then(|| succeeded("CompletionsReached", "Reached expected number of succeeded pods".to_owned()))
}
