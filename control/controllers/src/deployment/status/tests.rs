use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus};
use serde_json::{Value, json};

use super::{Done, report};
use crate::deployment::strategy::Set;
use crate::observed::Whole;

fn template() -> Value {
    json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "main", "image": "v0"}]}})
}

fn deployment(status: Option<&DeploymentStatus>, paused: bool) -> Whole<Deployment> {
    let spec = json!({
        "replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template(), "progressDeadlineSeconds": 60,
        "paused": paused, "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
    });
    let object = json!({"metadata": {"name": "web", "namespace": "n", "uid": "d", "generation": 3}, "spec": spec, "status": status});
    Whole::new(serde_json::from_value(object).expect("a Deployment"))
}

fn set(ready: i32) -> Set {
    let spec = json!({"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template()});
    let status = json!({"replicas": 2, "readyReplicas": ready, "availableReplicas": ready});
    let object = json!({"metadata": {"name": "web-1", "namespace": "n", "uid": "s"}, "spec": spec, "status": status});
    Arc::new(Whole::new(serde_json::from_value(object).expect("a ReplicaSet")))
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

fn lines(status: &DeploymentStatus) -> Vec<String> {
    let conditions = status.conditions.iter().flatten();
    conditions
        .map(|known| {
            format!(
                "{}={} {}: {}",
                known.type_,
                known.status,
                known.reason.as_deref().unwrap(),
                known.message.as_deref().unwrap()
            )
        })
        .collect()
}

const UNAVAILABLE: &str = "Available=False MinimumReplicasUnavailable: Deployment does not have minimum availability.";

#[test]
fn a_rollout_is_told_in_upstreams_words() {
    let created = report(&deployment(None, false), &[], true, &Done::Created("web-1".to_owned()), at(0)).status;
    assert_eq!(
        lines(&created),
        [UNAVAILABLE, "Progressing=True NewReplicaSetCreated: Created new replica set \"web-1\""]
    );
    let moving = report(&deployment(Some(&created), false), &[set(1)], true, &Done::Nothing, at(10));
    assert_eq!(lines(&moving.status)[1], "Progressing=True ReplicaSetUpdated: ReplicaSet \"web-1\" is progressing.");
    assert_eq!(moving.look_again, Some(at(71)), "the deadline counts from the last progress");
    let stuck = report(&deployment(Some(&moving.status), false), &[set(1)], true, &Done::Nothing, at(72)).status;
    assert_eq!(
        lines(&stuck)[1],
        "Progressing=False ProgressDeadlineExceeded: ReplicaSet \"web-1\" has timed out progressing."
    );
    let finished = report(&deployment(Some(&stuck), false), &[set(2)], true, &Done::Nothing, at(80));
    assert_eq!(
        lines(&finished.status),
        [
            "Available=True MinimumReplicasAvailable: Deployment has minimum availability.",
            "Progressing=True NewReplicaSetAvailable: ReplicaSet \"web-1\" has successfully progressed.",
        ]
    );
    assert_eq!(finished.look_again, None);
    assert_eq!(finished.status.observed_generation, Some(3));
}

#[test]
fn a_pause_stops_the_clock() {
    let before = report(&deployment(None, false), &[set(1)], true, &Done::Nothing, at(0)).status;
    let paused = report(&deployment(Some(&before), true), &[set(1)], false, &Done::Nothing, at(5));
    assert_eq!(lines(&paused.status)[1], "Progressing=Unknown DeploymentPaused: Deployment is paused");
    assert_eq!(paused.look_again, None);
    let resumed = report(&deployment(Some(&paused.status), false), &[set(1)], true, &Done::Nothing, at(500)).status;
    assert_eq!(lines(&resumed)[1], "Progressing=Unknown DeploymentResumed: Deployment is resumed");
}

#[test]
fn a_status_that_was_written_is_not_written_again() {
    let first = report(&deployment(None, false), &[set(1)], true, &Done::Nothing, at(0)).status;
    let second = report(&deployment(Some(&first), false), &[set(1)], true, &Done::Nothing, at(7)).status;
    assert_eq!(first, second);
}
