use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::plan;
use crate::job::{has_condition, indexes, is_finished};
use crate::observed::{Phase, Pod, Whole};

/// A Job, its pods, and what really happened.
struct World {
    job: Job,
    pods: Vec<Arc<Pod>>,
    made: u32,
    clock: i64,
    succeeded: BTreeSet<String>,
}

impl World {
    fn new(spec: &Value) -> Self {
        let mut object = json!({"metadata": {"name": "work", "namespace": "n", "uid": "j"}, "spec": {
            "template": {"spec": {"containers": [], "restartPolicy": "Never"}}, "selector": {"matchLabels": {"job": "work"}}, "backoffLimit": 6,
        }});
        for (name, value) in spec.as_object().into_iter().flatten() {
            object["spec"][name] = value.clone();
        }
        let job = serde_json::from_value(object).expect("a Job");
        Self { job, pods: Vec::new(), made: 0, clock: 1_000_000, succeeded: BTreeSet::new() }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.clock).expect("a time")
    }

    /// Carries out the plan, or only the first part of it, as when the controller is killed.
    fn step(&mut self, part: u8) -> bool {
        let plan = plan(&Whole::new(self.job.clone()), &self.pods, self.now());
        let changed = self.job.status.as_ref() != Some(&plan.status);
        let quiet = !changed && plan.release.is_empty() && plan.delete.is_empty() && plan.create.is_empty();
        self.job.status = Some(plan.status);
        if part == 0 {
            return !quiet;
        }
        for pod in plan.release {
            self.change(&pod.meta.uid.clone(), |pod| pod.job_tracked = false);
        }
        if part == 1 {
            return !quiet;
        }
        for pod in plan.delete {
            self.change(&pod.meta.uid.clone(), |pod| pod.meta.deleting = true);
        }
        for new in plan.create {
            self.made += 1;
            self.pods.push(self.pod(new.index, new.index_failures));
        }
        self.pods.retain(|pod| !pod.meta.deleting || pod.job_tracked);
        !quiet
    }

    fn pod(&self, index: Option<u32>, failures: Option<u32>) -> Arc<Pod> {
        let name = format!("p{}", self.made);
        let annotations = json!({
            "batch.kubernetes.io/job-completion-index": index.map(|index| index.to_string()),
            "batch.kubernetes.io/job-index-failure-count": failures.map(|failures| failures.to_string()),
        });
        let annotations: serde_json::Map<String, Value> =
            annotations.as_object().expect("a map").clone().into_iter().filter(|(_, value)| !value.is_null()).collect();
        let metadata = json!({
            "name": name, "namespace": "n", "uid": name, "finalizers": ["batch.kubernetes.io/job-tracking"], "annotations": annotations,
            "creationTimestamp": self.now().to_string(),
        });
        Arc::new(Pod::from_api(
            &serde_json::from_value(json!({"metadata": metadata, "spec": {"containers": []}})).expect("a Pod"),
        ))
    }

    fn change(&mut self, uid: &str, how: impl FnOnce(&mut Pod)) {
        if let Some(pod) = self.pods.iter_mut().find(|pod| *pod.meta.uid == *uid) {
            how(Arc::make_mut(pod));
        }
    }

    fn end(&mut self, place: usize, phase: Phase) {
        let count = self.pods.len();
        let Some(pod) = (count > 0).then(|| &mut self.pods[place % count]).filter(|pod| pod.is_active()) else {
            return;
        };
        let pod = Arc::make_mut(pod);
        (pod.phase, pod.finished) = (phase, true);
        if phase == Phase::Succeeded {
            self.succeeded.insert(pod.meta.uid.to_string());
        }
    }

    /// Lets every pod succeed until the Job has ended.
    fn settle(&mut self) {
        for _ in 0..400 {
            if !self.step(2) {
                if is_finished(&self.job) && self.pods.iter().all(|pod| !pod.job_tracked) {
                    return;
                }
                self.clock += 1000;
            }
            for place in 0..self.pods.len() {
                self.end(place, Phase::Succeeded);
            }
            self.pods.retain(|pod| !pod.meta.deleting || pod.job_tracked);
        }
        panic!("it does not end: {:?}", self.job.status);
    }

    fn number(&self, which: fn(&k8s_openapi::api::batch::v1::JobStatus) -> Option<i32>) -> i32 {
        self.job.status.as_ref().and_then(which).unwrap_or(0)
    }

    fn reason(&self, kind: &str) -> Option<String> {
        let conditions = self.job.status.as_ref()?.conditions.as_ref()?;
        conditions.iter().find(|known| known.type_ == kind)?.reason.clone()
    }
}

#[test]
fn indexes_are_written_in_short() {
    let set = BTreeSet::from([1, 3, 4, 5, 7, 8]);
    assert_eq!(indexes::format(&set), "1,3-5,7,8");
    assert_eq!(indexes::parse("1,3-5,7,8,99", 50), set);
    assert_eq!(indexes::parse("", 5), BTreeSet::new());
}

#[test]
fn a_job_gives_up_after_its_limit_and_waits_longer_each_time() {
    let mut world = World::new(&json!({"completions": 1, "parallelism": 1, "backoffLimit": 1}));
    world.step(2);
    world.end(0, Phase::Failed);
    while world.step(2) {}
    assert_eq!(world.pods.len(), 1, "it waits");
    world.clock += 11;
    while world.step(2) {}
    assert_eq!(world.pods.len(), 2);
    world.end(1, Phase::Failed);
    while world.step(2) {}
    assert_eq!(world.reason("Failed").as_deref(), Some("BackoffLimitExceeded"));
    assert_eq!(world.number(|status| status.failed), 2);
}

#[test]
fn a_policy_tells_failures_apart() {
    let rules = json!([
        {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}},
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
    ]);
    let mut world = World::new(
        &json!({"completions": 1, "parallelism": 1, "backoffLimit": 0, "podFailurePolicy": {"rules": rules}}),
    );
    world.step(2);
    world.change("p1", |pod| pod.conditions = Box::from(["DisruptionTarget".into()]));
    world.end(0, Phase::Failed);
    while world.step(2) {}
    assert_eq!((world.pods.len(), world.number(|status| status.failed)), (2, 0));
    world.change("p2", |pod| {
        pod.ends = Box::from([crate::observed::ContainerEnd { name: "main".into(), exit_code: 42, finished: None }]);
    });
    world.end(1, Phase::Failed);
    while world.step(2) {}
    assert_eq!(world.reason("Failed").as_deref(), Some("PodFailurePolicy"));
}

#[test]
fn an_index_fails_alone() {
    let mut world = World::new(
        &json!({"completions": 3, "parallelism": 3, "completionMode": "Indexed", "backoffLimitPerIndex": 0, "backoffLimit": 100}),
    );
    world.step(2);
    world.end(1, Phase::Failed);
    world.settle();
    let status = world.job.status.clone().expect("a status");
    assert_eq!((status.completed_indexes.as_deref(), status.failed_indexes.as_deref()), (Some("0,2"), Some("1")));
    assert_eq!(world.reason("Failed").as_deref(), Some("FailedIndexes"));
}

#[test]
fn a_success_policy_ends_a_job_early() {
    let policy = json!({"rules": [{"succeededIndexes": "0"}]});
    let mut world =
        World::new(&json!({"completions": 3, "parallelism": 3, "completionMode": "Indexed", "successPolicy": policy}));
    world.step(2);
    world.end(0, Phase::Succeeded);
    while world.step(2) {}
    assert_eq!(world.reason("Complete").as_deref(), Some("SuccessPolicy"));
    assert_eq!(world.number(|status| status.succeeded), 1);
}

#[test]
fn a_suspended_job_has_no_pods_and_a_deadline_ends_it() {
    let mut world = World::new(&json!({"completions": 2, "parallelism": 2, "activeDeadlineSeconds": 60}));
    world.step(2);
    world.job.spec.as_mut().expect("a spec").suspend = Some(true);
    while world.step(2) {}
    assert!(world.pods.is_empty() && has_condition(&world.job, "Suspended"));
    assert_eq!(world.number(|status| status.failed), 0);
    world.clock += 1000;
    world.job.spec.as_mut().expect("a spec").suspend = Some(false);
    while world.step(2) {}
    assert_eq!(world.pods.len(), 2, "the deadline counts from the resumption");
    world.clock += 61;
    while world.step(2) {}
    assert_eq!(world.reason("Failed").as_deref(), Some("DeadlineExceeded"));
}

#[derive(Clone, Debug)]
enum Change {
    Step(u8),
    Succeed(usize),
    Fail(usize),
    Delete(usize),
    Parallelism(i32),
    Suspend(bool),
    Wait(i64),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        6 => (0..3_u8).prop_map(Change::Step),
        3 => (0..10_usize).prop_map(Change::Succeed),
        1 => (0..10_usize).prop_map(Change::Fail),
        1 => (0..10_usize).prop_map(Change::Delete),
        1 => (0..6_i32).prop_map(Change::Parallelism),
        1 => any::<bool>().prop_map(Change::Suspend),
        1 => (0..100_i64).prop_map(Change::Wait),
    ];
    prop::collection::vec(change, 1..80)
}

proptest! {
    #[test]
    fn every_success_is_counted_once_whenever_the_controller_dies(indexed in any::<bool>(), completions in 1..8_i32, changes in changes()) {
        let mode = if indexed { "Indexed" } else { "NonIndexed" };
        let mut world = World::new(&json!({"completions": completions, "parallelism": 3, "completionMode": mode, "backoffLimit": 1000}));
        for change in changes {
            match change {
                Change::Step(part) => drop(world.step(part)),
                Change::Succeed(place) => world.end(place, Phase::Succeeded),
                Change::Fail(place) => world.end(place, Phase::Failed),
                Change::Delete(place) => if let Some(uid) = world.pods.get(place).map(|pod| pod.meta.uid.clone()) {
                    world.change(&uid, |pod| pod.meta.deleting = true);
                    world.pods.retain(|pod| !pod.meta.deleting || pod.job_tracked);
                },
                Change::Parallelism(count) => world.job.spec.as_mut().expect("a spec").parallelism = Some(count),
                Change::Suspend(suspend) => world.job.spec.as_mut().expect("a spec").suspend = Some(suspend),
                Change::Wait(seconds) => world.clock += seconds,
            }
            let active = world.pods.iter().filter(|pod| pod.is_active());
            let taken: Vec<u32> = active.filter_map(|pod| pod.completion_index).collect();
            prop_assert_eq!(taken.len(), taken.iter().collect::<BTreeSet<_>>().len(), "two pods of one index");
            prop_assert!(world.number(|status| status.succeeded) <= i32::try_from(world.succeeded.len()).expect("few"));
        }
        let spec = world.job.spec.as_mut().expect("a spec");
        (spec.suspend, spec.parallelism) = (Some(false), Some(3));
        world.settle();
        prop_assert!(has_condition(&world.job, "Complete"));
        let counted = world.number(|status| status.succeeded);
        if indexed {
            prop_assert_eq!(counted, completions);
        } else {
            prop_assert_eq!(counted, i32::try_from(world.succeeded.len()).expect("few"));
            prop_assert!(counted >= completions);
        }
    }
}
