//! How a table shows a pod: what people call its status is computed here from phase, reasons and containers.

use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::kind::Column;
use crate::kinds::fields::Fields;
use crate::kinds::{age, columns};

static COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    vec![
        columns::name(),
        columns::text("Ready", "The aggregate readiness state of this pod for accepting traffic."),
        columns::text("Status", "The aggregate status of the containers in this pod."),
        columns::text(
            "Restarts",
            "The number of times the containers in this pod have been restarted and when the last container in this pod has restarted.",
        ),
        columns::age(),
        columns::wide(
            "IP",
            "podIP address allocated to the pod. Routable at least within the cluster. Empty if not yet allocated.",
        ),
        columns::wide(
            "Node",
            "NodeName indicates in which node this pod is scheduled. If empty, this pod is a candidate for scheduling by the scheduler defined in schedulerName. Once this field is set, the kubelet for this node becomes responsible for the lifecycle of this pod. This field should not be used to express a desire for the pod to be scheduled on a specific node. https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#nodename",
        ),
        columns::wide(
            "Nominated Node",
            "nominatedNodeName is set only when this pod preempts other pods on the node, but it cannot be scheduled right away as preemption victims receive their graceful termination periods. This field does not guarantee that the pod will be scheduled on this node. Scheduler may decide to place the pod elsewhere if other nodes become available sooner. Scheduler may also decide to give the resources on this node to a higher priority pod that is created after preemption. As a result, this field may be different than PodSpec.nodeName when the pod is scheduled.",
        ),
        columns::wide(
            "Readiness Gates",
            "If specified, all readiness gates will be evaluated for pod readiness. A pod is ready when all its containers are ready AND all conditions specified in the readiness gates have status equal to \"True\" More info: https://git.k8s.io/enhancements/keps/sig-network/580-pod-readiness-gates",
        ),
    ]
});

pub(super) fn columns() -> &'static [Column] {
    &COLUMNS
}

pub(super) fn cells(pod: &Value, now: Timestamp) -> Vec<Value> {
    let null = Value::Null;
    let spec = pod.child("spec").unwrap_or(&null);
    let status = pod.child("status").unwrap_or(&null);
    let summary = Summary::of(pod, spec, status);
    vec![
        columns::name_cell(pod),
        Value::from(format!("{}/{}", summary.ready, summary.total)),
        Value::from(summary.reason),
        Value::from(summary.restarts.text(now)),
        columns::age_cell(pod, now),
        columns::or_none(super::first_address(status)),
        columns::or_none(spec.text("nodeName")),
        columns::or_none(status.text("nominatedNodeName")),
        Value::from(readiness_gates(spec, status)),
    ]
}

/// A finished pod says so, so that `kubectl get --watch` and the like can tell.
pub(super) fn row_conditions(pod: &Value) -> Vec<Value> {
    let phase = pod.child("status").map(|status| status.text("phase")).unwrap_or_default();
    let (reason, message) = match phase {
        "Succeeded" => ("Succeeded", "The pod has completed successfully."),
        "Failed" => ("Failed", "The pod failed."),
        _ => return Vec::new(),
    };
    vec![json!({ "type": "Completed", "status": "True", "reason": reason, "message": message })]
}

/// How often containers were restarted, and when the last one ended.
#[derive(Debug, Default, Clone)]
struct Restarts {
    count: i64,
    last: Option<Timestamp>,
}

impl Restarts {
    fn add(&mut self, container: &Value) {
        self.count = self.count.saturating_add(container.int("restartCount").unwrap_or(0));
        let ended = age::time(container.at(&["lastState", "terminated", "finishedAt"]));
        self.last = self.last.max(ended);
    }

    fn text(&self, now: Timestamp) -> String {
        match self.last {
            Some(last) if self.count != 0 => format!("{} ({} ago)", self.count, age::since_time(Some(last), now)),
            _ => self.count.to_string(),
        }
    }
}

#[derive(Debug)]
struct Summary {
    ready: usize,
    total: usize,
    reason: String,
    restarts: Restarts,
}

impl Summary {
    fn of(pod: &Value, spec: &Value, status: &Value) -> Self {
        let sidecars = spec.list("initContainers").iter().filter(|container| super::is_sidecar(container)).count();
        let mut summary = Self {
            ready: 0,
            total: spec.list("containers").len() + sidecars,
            reason: phase_or_reason(status),
            restarts: Restarts::default(),
        };
        let sidecar_restarts = summary.init_containers(spec, status);
        let initialized = sidecar_restarts.initialized || condition_is_true(status, "Initialized");
        if initialized {
            summary.restarts = sidecar_restarts.restarts;
            summary.containers(status);
        }
        let finished = matches!(status.text("phase"), "Succeeded" | "Failed");
        if pod.at(&["metadata", "deletionTimestamp"]).is_some() {
            if status.text("reason") == "NodeLost" {
                summary.reason = "Unknown".to_owned();
            } else if !finished {
                summary.reason = "Terminating".to_owned();
            }
        }
        summary
    }

    /// Walks the init containers up to the one that holds the pod back.
    fn init_containers(&mut self, spec: &Value, status: &Value) -> Initialization {
        let is_sidecar = |name: &str| {
            spec.list("initContainers")
                .iter()
                .any(|container| container.text("name") == name && super::is_sidecar(container))
        };
        let mut sidecars = Restarts::default();
        for (index, container) in status.list("initContainerStatuses").iter().enumerate() {
            self.restarts.add(container);
            let sidecar = is_sidecar(container.text("name"));
            if sidecar {
                sidecars.add(container);
            }
            let terminated = container.at(&["state", "terminated"]);
            if terminated.is_some_and(|terminated| terminated.int("exitCode").unwrap_or(0) == 0) {
                continue;
            }
            if sidecar && container.is_true("started") {
                self.ready += usize::from(container.is_true("ready"));
                continue;
            }
            let waiting = container.at(&["state", "waiting"]).map(|waiting| waiting.text("reason")).unwrap_or_default();
            self.reason = match terminated {
                Some(terminated) => format!("Init:{}", ending(terminated)),
                None if !matches!(waiting, "" | "PodInitializing") => format!("Init:{waiting}"),
                None => format!("Init:{index}/{}", spec.list("initContainers").len()),
            };
            return Initialization { initialized: false, restarts: sidecars };
        }
        Initialization { initialized: true, restarts: sidecars }
    }

    /// Walks the containers from the last to the first, so that the first one with something to say has the word.
    fn containers(&mut self, status: &Value) {
        let mut running = false;
        for container in status.list("containerStatuses").iter().rev() {
            self.restarts.add(container);
            let waiting = container.at(&["state", "waiting"]).map(|waiting| waiting.text("reason")).unwrap_or_default();
            if !waiting.is_empty() {
                waiting.clone_into(&mut self.reason);
            } else if let Some(terminated) = container.at(&["state", "terminated"]) {
                self.reason = ending(terminated);
            } else if container.is_true("ready") && container.at(&["state", "running"]).is_some() {
                running = true;
                self.ready += 1;
            }
        }
        if self.reason == "Completed" && running {
            let ready = condition_is_true(status, "Ready");
            self.reason = if ready { "Running" } else { "NotReady" }.to_owned();
        }
    }
}

struct Initialization {
    /// No init container holds the pod back.
    initialized: bool,
    /// Of sidecars only: once the pod is initialized, those of other init containers no longer count.
    restarts: Restarts,
}

/// Why a container ended: its reason, or the signal or exit code.
fn ending(terminated: &Value) -> String {
    let reason = terminated.text("reason");
    if !reason.is_empty() {
        return reason.to_owned();
    }
    match terminated.int("signal").unwrap_or(0) {
        0 => format!("ExitCode:{}", terminated.int("exitCode").unwrap_or(0)),
        signal => format!("Signal:{signal}"),
    }
}

fn phase_or_reason(status: &Value) -> String {
    let gated = status
        .list("conditions")
        .iter()
        .any(|condition| condition.text("type") == "PodScheduled" && condition.text("reason") == "SchedulingGated");
    if gated {
        return "SchedulingGated".to_owned();
    }
    let reason = status.text("reason");
    if reason.is_empty() { status.text("phase").to_owned() } else { reason.to_owned() }
}

fn condition_is_true(status: &Value, kind: &str) -> bool {
    status
        .list("conditions")
        .iter()
        .any(|condition| condition.text("type") == kind && condition.text("status") == "True")
}

fn readiness_gates(spec: &Value, status: &Value) -> String {
    let gates = spec.list("readinessGates");
    if gates.is_empty() {
        return columns::NONE.to_owned();
    }
    let open = gates.iter().filter(|gate| {
        let kind = gate.text("conditionType");
        let condition = status.list("conditions").iter().find(|condition| condition.text("type") == kind);
        condition.is_some_and(|condition| condition.text("status") == "True")
    });
    format!("{}/{}", open.count(), gates.len())
}

#[cfg(test)]
mod tests;
