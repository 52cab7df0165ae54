//! What to count, what to make, what to delete.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{Job, JobCondition, JobSpec, JobStatus, UncountedTerminatedPods};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::finish::{Finish, Meaning, Tally, completions, deadline, finish, is_indexed, meaning};
use super::pods::New;
use super::{has_condition, indexes, is_finished};
use crate::observed::{Phase, Pod, Whole};
use crate::workload::BURST_MAX;

/// The pause after a failed pod; it doubles with each further one.
const BACKOFF_FIRST_SECONDS: i64 = 10;
const BACKOFF_LONGEST_SECONDS: i64 = 600;

/// What to do: write the status, then let go, delete and create.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) status: JobStatus,
    /// Pods whose end is in the status.
    pub(super) release: Vec<Arc<Pod>>,
    pub(super) delete: Vec<Arc<Pod>>,
    pub(super) create: Vec<New>,
    /// Whether it is a warning, its reason, its message.
    pub(super) events: Vec<(bool, &'static str, String)>,
    pub(super) look_again: Option<Timestamp>,
}

/// The Job as it is being counted.
struct Count<'a> {
    job: &'a Whole<Job>,
    spec: &'a JobSpec,
    pods: &'a [Arc<Pod>],
    now: Timestamp,
    /// Whether it has succeeded already: pods that are stopped for that have not failed.
    won: bool,
}

/// Decides.
pub(super) fn plan(job: &Whole<Job>, pods: &[Arc<Pod>], now: Timestamp) -> Plan {
    let status = job.status.clone().unwrap_or_default();
    let Some(spec) = job.spec.as_ref() else { return Plan { status, ..Plan::default() } };
    let tracked = || pods.iter().filter(|pod| pod.job_tracked);
    if is_finished(job) {
        // Whatever is left does not count any more.
        return Plan { status, release: tracked().cloned().collect(), ..Plan::default() };
    }
    let interim = interim(job);
    let won = interim.as_ref().is_some_and(|finish| finish.succeeded);
    let count = Count { job, spec, pods, now, won };
    let mut plan = Plan { status, ..Plan::default() };
    if plan.status.start_time.is_none() && spec.suspend != Some(true) {
        plan.status.start_time = Some(Time(now));
    }
    let tally = count.ends(&mut plan);
    let finish = interim.clone().or_else(|| finish(job, spec, &tally, pods, now));
    let active: Vec<&Arc<Pod>> = pods.iter().filter(|pod| pod.is_active()).collect();
    match finish {
        Some(finish) => {
            plan.delete = active.iter().map(|pod| (*pod).clone()).collect();
            count.end(&mut plan, &finish, interim.is_none());
        }
        None if spec.suspend == Some(true) => {
            plan.delete = active.iter().map(|pod| (*pod).clone()).collect();
            count.suspend(&mut plan);
        }
        None => {
            count.resume(&mut plan);
            count.scale(&mut plan, &tally, &active);
            let deadline = deadline(job, spec);
            plan.look_again = plan.look_again.into_iter().chain(deadline).min();
        }
    }
    count.report(&mut plan);
    plan
}

/// How the Job is ending, if that is decided already.
fn interim(job: &Job) -> Option<Finish> {
    let conditions = job.status.as_ref().and_then(|status| status.conditions.as_ref()).into_iter().flatten();
    let decided = |condition: &&JobCondition| {
        condition.status == "True" && matches!(condition.type_.as_str(), "FailureTarget" | "SuccessCriteriaMet")
    };
    conditions.into_iter().find(decided).map(|condition| Finish {
        succeeded: condition.type_ == "SuccessCriteriaMet",
        reason: condition.reason.clone().unwrap_or_default(),
        message: condition.message.clone().unwrap_or_default(),
    })
}

impl Count<'_> {
    fn replaces_failed_only(&self) -> bool {
        self.spec.pod_replacement_policy.as_deref() == Some("Failed") || self.spec.pod_failure_policy.is_some()
    }

    fn index(&self, pod: &Pod) -> Option<u32> {
        pod.completion_index.filter(|index| *index < completions(self.spec))
    }

    fn has_failed(&self, pod: &Pod) -> bool {
        let stopped = pod.meta.deleting && pod.phase != Phase::Succeeded;
        pod.phase == Phase::Failed || (stopped && !self.won && !self.replaces_failed_only())
    }

    /// Takes in the ends of pods, and returns what has been counted.
    fn ends(&self, plan: &mut Plan) -> Tally {
        let indexed = is_indexed(self.spec);
        let end = completions(self.spec);
        let read = |text: Option<&String>| text.map(|text| indexes::parse(text, end)).unwrap_or_default();
        let status = &mut plan.status;
        let mut completed = read(status.completed_indexes.as_ref());
        let mut failed_indexes = read(status.failed_indexes.as_ref());
        let uncounted = status.uncounted_terminated_pods.take().unwrap_or_default();
        let (mut succeeded_uids, mut failed_uids) =
            (uncounted.succeeded.unwrap_or_default(), uncounted.failed.unwrap_or_default());
        let tracked: BTreeSet<&str> =
            self.pods.iter().filter(|pod| pod.job_tracked).map(|pod| &*pod.meta.uid).collect();
        // Those that were let go become numbers.
        let settle = |uids: &mut Vec<String>| {
            let before = uids.len();
            uids.retain(|uid| tracked.contains(uid.as_str()));
            i32::try_from(before - uids.len()).unwrap_or(i32::MAX)
        };
        status.succeeded = Some(status.succeeded.unwrap_or(0) + settle(&mut succeeded_uids));
        status.failed = Some(status.failed.unwrap_or(0) + settle(&mut failed_uids));
        for pod in self.pods.iter().filter(|pod| pod.job_tracked) {
            let uid = pod.meta.uid.to_string();
            if pod.phase == Phase::Succeeded {
                match self.index(pod) {
                    _ if !indexed => add(&mut succeeded_uids, uid),
                    Some(index) => drop(completed.insert(index)),
                    None => {}
                }
            } else if self.has_failed(pod) && self.spec.suspend != Some(true) {
                let what = meaning(self.spec, pod);
                if let Some(index) = self.index(pod).filter(|_| self.has_lost_index(pod, &what)) {
                    failed_indexes.insert(index);
                }
                if what != Meaning::Ignore {
                    add(&mut failed_uids, uid);
                }
            } else if !pod.meta.deleting || (!pod.finished && !self.won && self.replaces_failed_only()) {
                continue;
            }
            plan.release.push(pod.clone());
        }
        failed_indexes.retain(|index| !completed.contains(index));
        let status = &mut plan.status;
        if indexed {
            status.succeeded = i32::try_from(completed.len()).ok();
            status.completed_indexes = Some(indexes::format(&completed)).filter(|text| !text.is_empty());
            if self.spec.backoff_limit_per_index.is_some() {
                status.failed_indexes = Some(indexes::format(&failed_indexes));
            }
        }
        let uncounted = |uids: &Vec<String>| i32::try_from(uids.len()).unwrap_or(i32::MAX);
        let tally = Tally {
            succeeded: status.succeeded.unwrap_or(0) + uncounted(&succeeded_uids),
            failed: status.failed.unwrap_or(0) + uncounted(&failed_uids),
            completed,
            failed_indexes,
            active: i32::try_from(self.pods.iter().filter(|pod| pod.is_active()).count()).unwrap_or(i32::MAX),
            restarts: self.pods.iter().filter(|pod| pod.is_active()).map(|pod| pod.restarts_sum).sum(),
        };
        let some = |uids: Vec<String>| Some(uids).filter(|uids| !uids.is_empty());
        plan.status.uncounted_terminated_pods =
            Some(UncountedTerminatedPods { succeeded: some(succeeded_uids), failed: some(failed_uids) });
        tally
    }

    /// Whether the pod was the last try of its index.
    fn has_lost_index(&self, pod: &Pod, what: &Meaning) -> bool {
        let Some(limit) = self.spec.backoff_limit_per_index else { return false };
        let failures = pod.index_failures + u32::from(*what != Meaning::Ignore);
        *what == Meaning::FailIndex || failures > u32::try_from(limit).unwrap_or(0)
    }

    /// Brings the Job to its end: first it says that it will end, and when nothing of it runs any more, that it has ended.
    fn end(&self, plan: &mut Plan, finish: &Finish, news: bool) {
        let (interim, last) =
            if finish.succeeded { ("SuccessCriteriaMet", "Complete") } else { ("FailureTarget", "Failed") };
        if news {
            self.set(plan, interim, true, &finish.reason, &finish.message);
        }
        let running = self.pods.iter().any(|pod| !pod.finished);
        let uncounted = plan.status.uncounted_terminated_pods.as_ref();
        let counted = uncounted.is_none_or(|uncounted| uncounted.succeeded.is_none() && uncounted.failed.is_none());
        if running || !counted {
            return;
        }
        self.set(plan, last, true, &finish.reason, &finish.message);
        if finish.succeeded {
            plan.status.completion_time = Some(Time(self.now));
            plan.events.push((false, "Completed", "Job completed".to_owned()));
        } else {
            let reason: &'static str = match finish.reason.as_str() {
                "BackoffLimitExceeded" => "BackoffLimitExceeded",
                "DeadlineExceeded" => "DeadlineExceeded",
                "PodFailurePolicy" => "PodFailurePolicy",
                "MaxFailedIndexesExceeded" => "MaxFailedIndexesExceeded",
                _ => "FailedIndexes",
            };
            plan.events.push((true, reason, finish.message.clone()));
        }
    }

    fn suspend(&self, plan: &mut Plan) {
        plan.status.start_time = None;
        if !has_condition(self.job, "Suspended") {
            self.set(plan, "Suspended", true, "JobSuspended", "Job suspended");
            plan.events.push((false, "Suspended", "Job suspended".to_owned()));
        }
    }

    fn resume(&self, plan: &mut Plan) {
        if has_condition(self.job, "Suspended") {
            self.set(plan, "Suspended", false, "JobResumed", "Job resumed");
            plan.status.start_time = Some(Time(self.now));
            plan.events.push((false, "Resumed", "Job resumed".to_owned()));
        }
    }

    /// As many pods as may run at the same time and are still needed.
    fn scale(&self, plan: &mut Plan, tally: &Tally, active: &[&Arc<Pod>]) {
        let count = |number: i32| usize::try_from(number).unwrap_or(0);
        let parallelism = count(self.spec.parallelism.unwrap_or(1));
        let wanted = match self.spec.completions {
            None if tally.succeeded > 0 => active.len().min(parallelism),
            None => parallelism,
            Some(completions) => count(completions - tally.succeeded).min(parallelism),
        };
        let mut needless = self.needless(tally, active);
        let useful = active.len() - needless.len();
        if useful > wanted {
            needless.extend(self.surplus(active, &needless, useful - wanted));
        }
        plan.delete = needless;
        let terminating = self.pods.iter().filter(|pod| pod.meta.deleting && !pod.finished).count();
        let blocked = if self.replaces_failed_only() { terminating } else { 0 };
        let missing = wanted.saturating_sub(useful + blocked).min(BURST_MAX);
        if missing == 0 {
            return;
        }
        if is_indexed(self.spec) {
            self.create_indexed(plan, tally, active, missing);
            return;
        }
        match self.backoff_until(self.pods.iter()) {
            Some(until) if until > self.now => plan.look_again = Some(until),
            _ => plan.create = vec![New { index: None, index_failures: None }; missing],
        }
    }

    /// Pods of indexes that are done, or that another pod has.
    fn needless(&self, tally: &Tally, active: &[&Arc<Pod>]) -> Vec<Arc<Pod>> {
        if !is_indexed(self.spec) {
            return Vec::new();
        }
        let mut taken = BTreeSet::new();
        let mut oldest_first = active.to_vec();
        oldest_first.sort_by_key(|pod| (!pod.is_ready(), pod.meta.created, pod.meta.key.clone()));
        let mut kept: BTreeSet<Arc<str>> = BTreeSet::new();
        for pod in oldest_first {
            let index = self.index(pod).filter(|index| !tally.completed.contains(index));
            if index.is_some_and(|index| taken.insert(index)) {
                kept.insert(pod.meta.uid.clone());
            }
        }
        active.iter().filter(|pod| !kept.contains(&pod.meta.uid)).map(|pod| (*pod).clone()).collect()
    }

    /// Those go first that have done least.
    fn surplus(&self, active: &[&Arc<Pod>], gone: &[Arc<Pod>], count: usize) -> Vec<Arc<Pod>> {
        let mut rest: Vec<Arc<Pod>> = active
            .iter()
            .filter(|pod| !gone.iter().any(|gone| gone.meta.uid == pod.meta.uid))
            .map(|pod| (*pod).clone())
            .collect();
        rest.sort_by_key(|pod| {
            let young = std::cmp::Reverse((self.index(pod), pod.meta.created));
            (pod.node_name.is_some(), pod.phase == Phase::Running, pod.is_ready(), young, pod.meta.key.clone())
        });
        rest.truncate(count);
        rest
    }

    fn create_indexed(&self, plan: &mut Plan, tally: &Tally, active: &[&Arc<Pod>], missing: usize) {
        let mut taken: BTreeSet<u32> = active.iter().filter_map(|pod| self.index(pod)).collect();
        if self.replaces_failed_only() {
            let terminating = self.pods.iter().filter(|pod| pod.meta.deleting && !pod.finished);
            taken.extend(terminating.filter_map(|pod| self.index(pod)));
        }
        let per_index = self.spec.backoff_limit_per_index.is_some();
        let mut earlier: BTreeMap<u32, Vec<&Arc<Pod>>> = BTreeMap::new();
        for pod in self.pods {
            if let Some(index) = self.index(pod) {
                earlier.entry(index).or_default().push(pod);
            }
        }
        let all = if per_index { None } else { self.backoff_until(self.pods.iter()) };
        let free = |index: &u32| {
            !taken.contains(index) && !tally.completed.contains(index) && !tally.failed_indexes.contains(index)
        };
        for index in (0..completions(self.spec)).filter(free) {
            if plan.create.len() == missing {
                return;
            }
            let tries = earlier.get(&index).map(Vec::as_slice).unwrap_or_default();
            let until = if per_index { self.backoff_until(tries.iter().copied()) } else { all };
            if let Some(until) = until.filter(|until| *until > self.now) {
                plan.look_again = Some(plan.look_again.map_or(until, |known| known.min(until)));
                continue;
            }
            let failures = tries
                .iter()
                .filter(|pod| self.has_failed(pod))
                .map(|pod| pod.index_failures + u32::from(meaning(self.spec, pod) != Meaning::Ignore));
            let index_failures = per_index.then(|| failures.max().unwrap_or(0));
            plan.create.push(New { index: Some(index), index_failures });
        }
    }

    /// Until when no pod is made in the place of those that failed one after the other.
    fn backoff_until<'p>(&self, pods: impl Iterator<Item = &'p Arc<Pod>>) -> Option<Timestamp> {
        let ended = |pod: &Arc<Pod>| {
            let containers = pod.ends.iter().filter_map(|end| end.finished).max();
            containers.or(pod.deletion_time).unwrap_or(pod.meta.created)
        };
        let (mut failures, mut last_success) = (Vec::new(), None);
        for pod in pods {
            if pod.phase == Phase::Succeeded {
                last_success = last_success.max(Some(ended(pod)));
            } else if pod.phase == Phase::Failed && meaning(self.spec, pod) != Meaning::Ignore {
                failures.push(ended(pod));
            }
        }
        failures.retain(|at| last_success.is_none_or(|success| *at > success));
        let last = failures.iter().max()?;
        let doublings = u32::try_from(failures.len() - 1).unwrap_or(u32::MAX).min(10);
        let seconds = (BACKOFF_FIRST_SECONDS << doublings).min(BACKOFF_LONGEST_SECONDS);
        last.checked_add(SignedDuration::from_secs(seconds)).ok()
    }

    fn set(&self, plan: &mut Plan, kind: &str, met: bool, reason: &str, message: &str) {
        let condition = JobCondition {
            type_: kind.to_owned(),
            status: if met { "True" } else { "False" }.to_owned(),
            reason: Some(reason.to_owned()),
            message: Some(message.to_owned()),
            last_probe_time: Some(Time(self.now)),
            last_transition_time: Some(Time(self.now)),
        };
        let conditions = plan.status.conditions.get_or_insert_default();
        conditions.retain(|known| known.type_ != kind);
        conditions.push(condition);
    }

    /// The numbers of pods, as they will be after the plan but for those that are made.
    fn report(&self, plan: &mut Plan) {
        let count = |counts: &dyn Fn(&Pod) -> bool| {
            i32::try_from(self.pods.iter().filter(|pod| counts(pod)).count()).unwrap_or(i32::MAX)
        };
        let doomed: BTreeSet<&str> = plan.delete.iter().map(|pod| &*pod.meta.uid).collect();
        let active = |pod: &Pod| pod.is_active() && !doomed.contains(&*pod.meta.uid);
        let made = i32::try_from(plan.create.len()).unwrap_or(i32::MAX);
        let some = |count: i32| Some(count).filter(|count| *count > 0);
        let (running, ready) = (count(&active), count(&|pod| active(pod) && pod.is_ready()));
        let terminating = count(&|pod| !pod.finished && (pod.meta.deleting || doomed.contains(&*pod.meta.uid)));
        let status = &mut plan.status;
        status.active = some(running.saturating_add(made));
        status.ready = Some(ready);
        status.terminating = Some(terminating);
        status.succeeded = status.succeeded.and_then(some);
        status.failed = status.failed.and_then(some);
    }
}

fn add(uids: &mut Vec<String>, uid: String) {
    if !uids.contains(&uid) {
        uids.push(uid);
    }
}

#[cfg(test)]
mod tests;
