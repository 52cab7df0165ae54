//! The status of a pod, as JSON for a strategic merge patch: the words and the rules of kubelet.
//!
//! Lists that the API merges (`conditions`, `podIPs`) are written so that merging gives exactly what is meant: every
//! field of a condition is named, with null where there is none, and addresses replace each other.

use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::PodStatus;
use serde_json::{Map, Value, json};

use super::container::{ContainerLife, Kind, State, Terminated};
use super::{PodLife, Sandbox};

/// Longest message of a terminated container, in bytes, as upstream bounds it.
const MESSAGE_BYTES_MAX: usize = 4096;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Pending,
    Running,
    Succeeded,
    Failed,
}

impl Phase {
    pub(super) fn of(text: Option<&str>) -> Self {
        match text {
            Some("Running") => Self::Running,
            Some("Succeeded") => Self::Succeeded,
            Some("Failed") => Self::Failed,
            _ => Self::Pending,
        }
    }

    pub(super) fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
        }
    }
}

/// A condition as it should be now, without its times.
#[derive(Debug, Clone, PartialEq)]
struct Wanted {
    status: bool,
    reason: Option<&'static str>,
    message: Option<String>,
}

impl Wanted {
    fn when(status: bool) -> Self {
        Self { status, reason: None, message: None }
    }

    fn not(reason: &'static str, message: Option<String>) -> Self {
        Self { status: false, reason: Some(reason), message }
    }
}

/// Since when each condition has been what it is, and what others have said.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    since: Vec<(String, bool, Timestamp)>,
    /// Conditions of the object that are not ours, for readiness gates.
    others: Vec<(String, String)>,
    /// Nobody has said that the pod is scheduled: it was made with its node's name.
    tells_scheduled: bool,
}

const OURS: [&str; 4] = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady"];

impl Conditions {
    pub(super) fn of(status: Option<&PodStatus>) -> Self {
        let mut conditions = Self::default();
        conditions.observe(status);
        conditions.tells_scheduled = conditions.other("PodScheduled").is_none();
        for condition in status.and_then(|status| status.conditions.as_ref()).into_iter().flatten() {
            if let Some(time) = &condition.last_transition_time {
                conditions.since.push((condition.type_.clone(), condition.status == "True", time.0));
            }
        }
        conditions
    }

    pub(super) fn observe(&mut self, status: Option<&PodStatus>) {
        let all = status.and_then(|status| status.conditions.as_ref()).into_iter().flatten();
        let others = all.filter(|condition| !OURS.contains(&condition.type_.as_str()));
        self.others = others.map(|condition| (condition.type_.clone(), condition.status.clone())).collect();
    }

    fn other(&self, name: &str) -> Option<&str> {
        self.others.iter().find(|(type_, _)| type_ == name).map(|(_, status)| status.as_str())
    }

    /// The condition with its times. Its transition is now if its status is not what it was.
    fn write(&mut self, name: &str, wanted: &Wanted, generation: Option<i64>, now: Timestamp) -> Value {
        let known = self.since.iter_mut().find(|(type_, ..)| type_ == name);
        let since = match known {
            Some((_, status, since)) => {
                if *status != wanted.status {
                    (*status, *since) = (wanted.status, now);
                }
                *since
            }
            None => {
                self.since.push((name.to_owned(), wanted.status, now));
                now
            }
        };
        json!({
            "type": name,
            "status": if wanted.status { "True" } else { "False" },
            "reason": wanted.reason,
            "message": wanted.message,
            "lastProbeTime": null,
            "lastTransitionTime": time(since),
            "observedGeneration": generation,
        })
    }
}

/// Whole seconds, as the API writes times.
pub(crate) fn time(timestamp: Timestamp) -> String {
    timestamp.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

impl PodLife {
    /// The status to report: fields that others own are not in it.
    pub(crate) fn status(&mut self, now: Timestamp) -> Value {
        self.phase = self.phase_now();
        let generation = self.pod.metadata.generation;
        let mut status = Map::new();
        if let Some(generation) = generation {
            status.insert("observedGeneration".to_owned(), generation.into());
        }
        status.insert("phase".to_owned(), self.phase.as_str().into());
        if let Some((reason, message)) = &self.reason {
            status.insert("reason".to_owned(), (*reason).into());
            status.insert("message".to_owned(), message.as_str().into());
        }
        status.insert("startTime".to_owned(), time(self.start_time).into());
        self.write_addresses(&mut status);
        let conditions = self.write_conditions(generation, now);
        status.insert("conditions".to_owned(), conditions);
        let (main, init): (Vec<_>, Vec<_>) = self.containers.iter().partition(|life| life.kind == Kind::Main);
        let initialized = self.incomplete().is_empty();
        if !init.is_empty() {
            let list: Vec<_> = init.into_iter().map(|life| container_status(life, "PodInitializing")).collect();
            status.insert("initContainerStatuses".to_owned(), list.into());
        }
        let waiting = if initialized { "ContainerCreating" } else { "PodInitializing" };
        let list: Vec<_> = main.into_iter().map(|life| container_status(life, waiting)).collect();
        status.insert("containerStatuses".to_owned(), list.into());
        status.into()
    }

    /// How the container with this index stands: its state as in the status, and the number of its current run.
    pub(crate) fn container_state(&self, index: usize) -> Option<(Value, u32)> {
        let life = self.containers.get(index)?;
        let waiting = if self.incomplete().is_empty() { "ContainerCreating" } else { "PodInitializing" };
        let restart = match life.state {
            State::Starting { restart, .. } => restart,
            State::Pending | State::Running { .. } | State::Waiting { .. } | State::Terminated(_) => life.restarts,
        };
        Some((container_status(life, waiting), restart))
    }

    fn phase_now(&self) -> Phase {
        if self.phase.is_terminal() {
            return self.phase;
        }
        let never_ran = |life: &ContainerLife| life.kind == Kind::Main && !life.has_run();
        if !self.incomplete().is_empty() || self.containers.iter().any(never_ran) {
            return Phase::Pending;
        }
        Phase::Running
    }

    /// Names of the init containers that have not passed.
    fn incomplete(&self) -> Vec<&str> {
        let passed = |life: &ContainerLife| match life.kind {
            Kind::Main => true,
            Kind::Init => life.exited_with() == Some(0),
            Kind::Sidecar => life.ever_started,
        };
        self.containers.iter().filter(|life| !passed(life)).map(|life| life.name.as_str()).collect()
    }

    fn write_addresses(&self, status: &mut Map<String, Value>) {
        let host = self.host_ip.to_string();
        status.insert("hostIP".to_owned(), host.as_str().into());
        status.insert("hostIPs".to_owned(), self.addresses(self.host_ip));
        if let Some(ip) = self.ip {
            status.insert("podIP".to_owned(), ip.to_string().into());
            status.insert("podIPs".to_owned(), self.addresses(ip));
        }
    }

    /// The list of addresses. Those that a former life of the pod had are replaced, where merging would keep both.
    fn addresses(&self, ip: IpAddr) -> Value {
        let address = json!({ "ip": ip.to_string() });
        if self.had_addresses { json!([{ "$patch": "replace" }, address]) } else { json!([address]) }
    }

    fn write_conditions(&mut self, generation: Option<i64>, now: Timestamp) -> Value {
        let ready_to_start = Wanted::when(self.sandbox == Sandbox::Ready);
        let initialized = self.initialized();
        let containers_ready = self.containers_ready();
        let ready = if containers_ready.status { self.gates_open() } else { containers_ready.clone() };
        let wanted = [ready_to_start, initialized, ready, containers_ready];
        let mut list: Vec<Value> = OURS
            .into_iter()
            .zip(wanted)
            .map(|(name, wanted)| self.conditions.write(name, &wanted, generation, now))
            .collect();
        if self.conditions.tells_scheduled {
            list.push(self.conditions.write("PodScheduled", &Wanted::when(true), generation, now));
        }
        list.into()
    }

    fn initialized(&self) -> Wanted {
        let incomplete = self.incomplete();
        if self.phase == Phase::Succeeded {
            return Wanted { status: true, reason: Some("PodCompleted"), message: None };
        }
        if incomplete.is_empty() {
            return Wanted::when(true);
        }
        let message = format!("containers with incomplete status: [{}]", incomplete.join(" "));
        Wanted::not("ContainersNotInitialized", Some(message))
    }

    fn containers_ready(&self) -> Wanted {
        match self.phase {
            Phase::Succeeded => return Wanted::not("PodCompleted", None),
            Phase::Failed => return Wanted::not("PodFailed", None),
            Phase::Pending | Phase::Running => {}
        }
        let unready = self.containers.iter().filter(|life| life.kind != Kind::Init && !is_ready(life));
        let unready: Vec<_> = unready.map(|life| life.name.as_str()).collect();
        if unready.is_empty() {
            return Wanted::when(true);
        }
        Wanted::not("ContainersNotReady", Some(format!("containers with unready status: [{}]", unready.join(" "))))
    }

    fn gates_open(&self) -> Wanted {
        let gates = self.spec().and_then(|spec| spec.readiness_gates.as_ref()).into_iter().flatten();
        let closed = gates.filter_map(|gate| {
            let name = &gate.condition_type;
            match self.conditions.other(name) {
                Some("True") => None,
                Some(status) => {
                    Some(format!("the status of pod readiness gate \"{name}\" is not \"True\", but {status}"))
                }
                None => Some(format!("corresponding condition of pod readiness gate \"{name}\" does not exist.")),
            }
        });
        let messages: Vec<_> = closed.collect();
        match messages.is_empty() {
            true => Wanted::when(true),
            false => Wanted::not("ReadinessGatesNotReady", Some(messages.join(", "))),
        }
    }
}

fn is_ready(life: &ContainerLife) -> bool {
    match life.kind {
        Kind::Init => life.exited_with() == Some(0),
        Kind::Sidecar | Kind::Main => matches!(life.state, State::Running { .. }) && life.probes.are_ready(),
    }
}

fn container_status(life: &ContainerLife, waiting: &str) -> Value {
    let (state, container_id) = match &life.state {
        State::Pending | State::Starting { .. } => {
            (json!({ "waiting": { "reason": waiting } }), life.last.as_ref().map(|last| &last.container_id))
        }
        State::Waiting { reason, message, .. } => {
            let state = json!({ "waiting": { "reason": reason, "message": message } });
            (state, life.last.as_ref().map(|last| &last.container_id))
        }
        State::Running { started_at, container_id, .. } => {
            (json!({ "running": { "startedAt": time(*started_at) } }), Some(container_id))
        }
        State::Terminated(ended) => (terminated(ended), Some(&ended.container_id)),
    };
    let mut status = json!({
        "name": life.name,
        "image": life.image,
        "imageID": life.image_id,
        "restartCount": life.restarts,
        "ready": is_ready(life),
        "started": matches!(life.state, State::Running { .. }) && life.probes.are_started(),
        "state": state,
        "lastState": life.last.as_ref().map_or_else(|| json!({}), terminated),
    });
    if let Some(id) = container_id.filter(|id| !id.is_empty()) {
        status["containerID"] = id.as_str().into();
    }
    status
}

fn terminated(ended: &Terminated) -> Value {
    let mut state = json!({
        "exitCode": ended.exit_code,
        "reason": ended.reason,
        "startedAt": ended.started_at.map(time),
        "finishedAt": time(ended.finished_at),
        "containerID": ended.container_id,
    });
    if let Some(message) = &ended.message {
        state["message"] = bounded(message).into();
    }
    json!({ "terminated": state })
}

/// The beginning of a text, cut between characters.
fn bounded(text: &str) -> &str {
    let mut end = text.len().min(MESSAGE_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
