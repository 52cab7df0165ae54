//! The life of one pod, as a pure state machine: what happened and the time in, what to do and the status to report out.
//!
//! The driver ([`crate::pod`]) feeds every observation to [`PodLife::observe`] and carries out the [`Action`]s that come
//! back. There is no input or output, no clock and no randomness in here, so that thousands of histories can be tried
//! in a second.
//!
//! # Invariants
//! - A container is started only when it is neither starting nor running.
//! - Main containers start after every init container has passed; init containers run one at a time, in order.
//! - Nothing starts once the pod is ending, and a finished pod stays finished.
//! - Every action that can fail is answered by an input, so no state waits for something that cannot come.

mod container;
mod event;
mod plan;
mod probe;
mod recovery;
mod status;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};

pub(crate) use container::{Exit, FailureKind, StartFailure};
pub(crate) use event::{EventKind, PodEvent};
pub(crate) use probe::{ProbeKind, ProbeOutcome};
pub(crate) use status::time;

use probe::Probes;

use container::{Backoff, ContainerLife, Kind, State, Terminated};
use status::{Conditions, Phase};

/// Grace when neither the object nor the request names one: the default of Kubernetes.
const GRACE_DEFAULT: Duration = Duration::from_secs(30);
/// What an evicted pod has to end, as upstream has it for local storage.
const EVICTION_GRACE: Duration = Duration::from_secs(1);
/// First and longest wait before the address and the ports of a pod are tried again.
const SANDBOX_RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// What the driver observed.
#[derive(Debug, Clone)]
pub(crate) enum Input {
    /// The newest version of the object.
    Pod(Arc<Pod>),
    /// The object is gone: whatever still runs must end at once.
    Removed,
    /// The host cannot take the pod. It fails without having been started.
    Rejected { reason: &'static str, message: String },
    /// The pod has its address and its ports.
    SandboxReady { ip: IpAddr },
    /// The pod got no address, or one of its host ports is taken.
    SandboxFailed { message: String },
    /// The address and the volumes were given up because the pod ends.
    SandboxCancelled,
    /// The pod uses more of the host than it may.
    Evicted { message: String },
    /// The container runs.
    Started { container: usize, image_id: String, container_id: String },
    /// The container does not run, for the reason given.
    NotStarted { container: usize, failure: StartFailure },
    /// A probe was made of this run.
    Probed { container: usize, restart: u32, kind: ProbeKind, outcome: ProbeOutcome },
    /// A running container ended.
    Exited { container: usize, exit: Exit },
    /// What a container was waiting for may be there: its start is tried again.
    Retry { container: usize },
    /// Time has passed.
    Tick,
}

/// What the driver is asked to do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    /// Take an address, bind the host ports, make the volumes. Answered by `SandboxReady` or `SandboxFailed`.
    CreateSandbox,
    /// Give up making the address and the volumes. Answered by `SandboxCancelled`, or by `SandboxReady` if it was too late.
    CancelSandbox,
    /// Fetch the image, resolve the environment, start. Answered by `Started` or `NotStarted`; `restart` numbers the runs.
    Start { container: usize, restart: u32 },
    /// Give up a start. Answered by `NotStarted`, or by `Started` if it was too late.
    Cancel { container: usize },
    /// Make a probe of this run. Answered by `Probed`, unless the container ends before.
    Probe { container: usize, restart: u32, kind: ProbeKind },
    /// Stop a running container within `grace`; zero kills it. May be asked again with less grace. Answered by `Exited`.
    Stop { container: usize, grace: Duration },
    /// Give back the address and the ports: nothing of the pod runs.
    RemoveSandbox,
    /// Delete the object for good, once the final status is written.
    Finalize,
    /// Tell people.
    Record(PodEvent),
}

/// Why a pod is ending, from weak to strong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Cause {
    /// The host ends it: its deadline has passed, or it was evicted.
    Failed,
    Deleted,
    Removed,
}

#[derive(Debug, Clone, Copy)]
struct Ending {
    cause: Cause,
    since: Timestamp,
    grace: Duration,
}

impl Ending {
    fn grace_left(&self, now: Timestamp) -> Duration {
        self.grace.saturating_sub(elapsed(self.since, now))
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Sandbox {
    Absent,
    Creating { cancel_asked: bool },
    Waiting { until: Timestamp },
    Ready,
    Removed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RestartPolicy {
    Always,
    OnFailure,
    Never,
}

/// One pod on this host.
#[derive(Debug)]
pub(crate) struct PodLife {
    pod: Arc<Pod>,
    containers: Vec<ContainerLife>,
    sandbox: Sandbox,
    sandbox_backoff: Backoff,
    ip: Option<IpAddr>,
    /// The object names addresses of a former life.
    had_addresses: bool,
    host_ip: IpAddr,
    start_time: Timestamp,
    ending: Option<Ending>,
    finalizing: bool,
    phase: Phase,
    /// `status.reason` and `status.message`.
    reason: Option<(&'static str, String)>,
    conditions: Conditions,
    actions: Vec<Action>,
}

/// How much later `now` is than `since`; zero when the clock went back.
pub(crate) fn elapsed(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or(Duration::ZERO)
}

/// `time` plus `duration`, or the end of time.
pub(crate) fn after(time: Timestamp, duration: Duration) -> Timestamp {
    time.saturating_add(duration).unwrap_or(Timestamp::MAX)
}

/// A count of seconds from the API; negative ones are none.
fn seconds(value: i64) -> Duration {
    Duration::from_secs(u64::try_from(value).unwrap_or(0))
}

impl PodLife {
    /// A pod that was just seen on this host. One that a former process of this host ran is taken up where it was left.
    pub(crate) fn new(pod: Arc<Pod>, host_ip: IpAddr, now: Timestamp) -> Self {
        let status = pod.status.as_ref();
        let containers = recovery::containers(&pod, now);
        Self {
            containers,
            sandbox: Sandbox::Absent,
            sandbox_backoff: Backoff::new(SANDBOX_RETRY),
            ip: None,
            had_addresses: status.is_some_and(|status| status.host_ips.is_some() || status.pod_ips.is_some()),
            host_ip,
            start_time: status.and_then(|status| status.start_time.as_ref()).map_or(now, |time| time.0),
            ending: None,
            finalizing: false,
            phase: Phase::of(status.and_then(|status| status.phase.as_deref())),
            reason: None,
            conditions: Conditions::of(status),
            actions: Vec::new(),
            pod,
        }
    }

    /// Takes one observation and answers what to do about it.
    pub(crate) fn observe(&mut self, input: Input, now: Timestamp) -> Vec<Action> {
        self.apply(input, now);
        self.plan(now);
        std::mem::take(&mut self.actions)
    }

    /// When [`Input::Tick`] is due, if it is.
    pub(crate) fn next_wake(&self) -> Option<Timestamp> {
        let sandbox = match self.sandbox {
            Sandbox::Waiting { until } => Some(until),
            Sandbox::Absent | Sandbox::Creating { .. } | Sandbox::Ready | Sandbox::Removed => None,
        };
        let running = self.ending.is_none() && !self.phase.is_terminal();
        let deadline = if running { self.deadline() } else { None };
        let waiting = self.containers.iter().filter_map(|life| life.next_wake()).filter(|_| running);
        waiting.chain(sandbox.filter(|_| running)).chain(deadline).min()
    }

    /// Whether all there is to say is that the start is under way. Such a status may be held back for a moment, since
    /// the next one is likely to replace it.
    pub(crate) fn is_only_starting(&self) -> bool {
        let nothing_yet = |life: &ContainerLife| matches!(life.state, State::Pending | State::Starting { .. });
        self.ending.is_none() && self.phase == Phase::Pending && self.containers.iter().all(nothing_yet)
    }

    /// Whether nothing of the pod runs and nothing ever will.
    pub(crate) fn is_over(&self) -> bool {
        self.sandbox == Sandbox::Removed
    }

    /// Whether the pod has succeeded or failed.
    pub(crate) fn is_finished(&self) -> bool {
        self.phase.is_terminal()
    }

    /// Whether the object is gone from the API, so that no status can be written.
    pub(crate) fn is_removed(&self) -> bool {
        self.ending.is_some_and(|ending| ending.cause == Cause::Removed)
    }

    pub(crate) fn pod(&self) -> &Arc<Pod> {
        &self.pod
    }

    /// Where the container with this name stands, and the number of its current or latest run.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.containers.iter().position(|life| life.name == name)
    }

    fn apply(&mut self, input: Input, now: Timestamp) {
        match input {
            Input::Pod(pod) => self.apply_pod(pod, now),
            Input::Removed => self.end(Cause::Removed, Duration::ZERO, now),
            Input::Rejected { reason, message } => self.apply_rejected(reason, &message),
            Input::SandboxReady { ip } => {
                self.ip = Some(ip);
                self.sandbox = Sandbox::Ready;
                self.sandbox_backoff.reset();
            }
            Input::SandboxFailed { message } => {
                let until = after(now, self.sandbox_backoff.next(now, now));
                self.sandbox = Sandbox::Waiting { until };
                let text = format!("Failed to create pod sandbox: {message}");
                self.record(EventKind::Warning, "FailedCreatePodSandBox", text, None);
            }
            Input::SandboxCancelled => self.sandbox = Sandbox::Absent,
            Input::Evicted { message } => self.apply_evicted(message, now),
            Input::Started { container, image_id, container_id } => {
                self.apply_started(container, image_id, container_id, now);
            }
            Input::NotStarted { container, failure } => self.apply_not_started(container, failure, now),
            Input::Probed { container, restart, kind, outcome } => {
                self.apply_probed(container, restart, kind, &outcome, now)
            }
            Input::Exited { container, exit } => self.apply_exited(container, exit, now),
            Input::Retry { container } => {
                if let Some(life) = self.containers.get_mut(container) {
                    life.retry_config(now);
                }
            }
            Input::Tick => {}
        }
    }

    fn apply_pod(&mut self, pod: Arc<Pod>, now: Timestamp) {
        self.pod = pod;
        self.conditions.observe(self.pod.status.as_ref());
        if self.pod.metadata.deletion_timestamp.is_some() {
            let named = self.pod.metadata.deletion_grace_period_seconds;
            let grace = named.map_or_else(|| self.grace_of_spec(), seconds);
            self.end(Cause::Deleted, grace, now);
        }
        let changed: Vec<_> = (self.containers.iter_mut().enumerate())
            .filter_map(|(index, life)| {
                let image = container_at(&self.pod, index)?.image.clone().unwrap_or_default();
                (image != life.image).then(|| life.change_image(image))
            })
            .flatten()
            .collect();
        for name in changed {
            let text = format!("Container {name} definition changed, will be restarted");
            self.record(EventKind::Normal, "Killing", text, Some(&name));
        }
    }

    fn apply_rejected(&mut self, reason: &'static str, message: &str) {
        if !self.phase.is_terminal() {
            self.record(EventKind::Warning, reason, message.to_owned(), None);
            self.phase = Phase::Failed;
            self.reason = Some((reason, format!("Pod was rejected: {message}")));
        }
    }

    fn apply_evicted(&mut self, message: String, now: Timestamp) {
        if self.ending.is_none() && !self.phase.is_terminal() {
            self.record(EventKind::Warning, "Evicted", message.clone(), None);
            self.reason = Some(("Evicted", message));
            self.end(Cause::Failed, EVICTION_GRACE, now);
        }
    }

    fn apply_started(&mut self, index: usize, image_id: String, container_id: String, now: Timestamp) {
        let Some(life) = self.containers.get_mut(index) else { return };
        let State::Starting { restart, .. } = life.state else { return };
        life.restarts = restart;
        life.image_id = image_id;
        life.pull.reset();
        life.config.reset();
        life.probes = container_at(&self.pod, index).map(|container| Probes::new(container, now)).unwrap_or_default();
        life.ever_started |= life.probes.are_started();
        life.state = State::Running { started_at: now, container_id, stop_asked: None };
        let name = life.name.clone();
        self.record(EventKind::Normal, "Created", format!("Created container: {name}"), Some(&name));
        self.record(EventKind::Normal, "Started", format!("Started container {name}"), Some(&name));
    }

    fn apply_probed(&mut self, index: usize, restart: u32, kind: ProbeKind, outcome: &ProbeOutcome, now: Timestamp) {
        let Some(life) = self.containers.get_mut(index) else { return };
        if life.restarts != restart || !matches!(life.state, State::Running { stop_asked: None, .. }) {
            return;
        }
        let fatal = life.probes.observe(kind, outcome);
        life.ever_started |= life.probes.are_started();
        let name = life.name.clone();
        let text = match outcome {
            ProbeOutcome::Success => None,
            ProbeOutcome::Failure(message) => Some(format!("{} probe failed: {message}", kind.title())),
            ProbeOutcome::Error(message) => {
                Some(format!("{} probe errored and resulted in unknown state: {message}", kind.title()))
            }
        };
        if let Some(text) = text {
            self.record(EventKind::Warning, "Unhealthy", text, Some(&name));
        }
        if fatal && self.ending.is_none() {
            let again = if self.restart_policy() == RestartPolicy::Never { "" } else { ", will be restarted" };
            let text = format!("Container {name} failed {} probe{again}", kind.word());
            self.record(EventKind::Normal, "Killing", text, Some(&name));
            let grace = self.grace_of_probe(index, kind);
            self.stop_quietly(index, grace, now);
        }
    }

    /// What a container has to end after this probe has failed.
    fn grace_of_probe(&self, index: usize, kind: ProbeKind) -> Duration {
        let probe = container_at(&self.pod, index).and_then(|container| match kind {
            ProbeKind::Startup => container.startup_probe.as_ref(),
            ProbeKind::Liveness => container.liveness_probe.as_ref(),
            ProbeKind::Readiness => container.readiness_probe.as_ref(),
        });
        probe.and_then(|probe| probe.termination_grace_period_seconds).map_or_else(|| self.grace_of_spec(), seconds)
    }

    fn apply_not_started(&mut self, index: usize, failure: StartFailure, now: Timestamp) {
        let ending = self.ending.is_some();
        let Some(life) = self.containers.get_mut(index) else { return };
        if !matches!(life.state, State::Starting { .. }) {
            return;
        }
        let events = life.fail_start(failure, ending, now);
        let name = life.name.clone();
        for (kind, reason, message) in events {
            self.record(kind, reason, message, Some(&name));
        }
    }

    fn apply_exited(&mut self, index: usize, exit: Exit, now: Timestamp) {
        let Some(life) = self.containers.get_mut(index) else { return };
        let State::Running { started_at, ref container_id, .. } = life.state else { return };
        let container_id = container_id.clone();
        life.state = State::Terminated(Terminated {
            exit_code: exit.code,
            reason: exit.reason.into(),
            message: exit.message,
            started_at: Some(started_at),
            finished_at: now,
            container_id,
        });
    }

    fn end(&mut self, cause: Cause, grace: Duration, now: Timestamp) {
        match &mut self.ending {
            Some(ending) => {
                ending.cause = ending.cause.max(cause);
                // A later request may shorten what is left, never lengthen it.
                let left = ending.grace_left(now).min(grace);
                ending.grace = elapsed(ending.since, now) + left;
            }
            None => self.ending = Some(Ending { cause, since: now, grace }),
        }
    }

    fn spec(&self) -> Option<&PodSpec> {
        self.pod.spec.as_ref()
    }

    fn restart_policy(&self) -> RestartPolicy {
        match self.spec().and_then(|spec| spec.restart_policy.as_deref()) {
            Some("Never") => RestartPolicy::Never,
            Some("OnFailure") => RestartPolicy::OnFailure,
            _ => RestartPolicy::Always,
        }
    }

    fn grace_of_spec(&self) -> Duration {
        self.spec().and_then(|spec| spec.termination_grace_period_seconds).map_or(GRACE_DEFAULT, seconds)
    }

    fn deadline(&self) -> Option<Timestamp> {
        let allowed = self.spec()?.active_deadline_seconds?;
        Some(after(self.start_time, seconds(allowed)))
    }

    /// `name_namespace(uid)`, as upstream's messages name a pod.
    fn full_name(&self) -> String {
        let meta = &self.pod.metadata;
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        format!("{}_{}({})", text(&meta.name), text(&meta.namespace), text(&meta.uid))
    }

    fn record(&mut self, kind: EventKind, reason: &'static str, message: String, container: Option<&str>) {
        let init = |name: &str| self.containers.iter().any(|life| life.name == name && life.kind != Kind::Main);
        let field_path = container.map(|name| {
            let list = if init(name) { "initContainers" } else { "containers" };
            format!("spec.{list}{{{name}}}")
        });
        self.actions.push(Action::Record(PodEvent { kind, reason, message, field_path }));
    }
}

/// The container with this index: init containers first, then main ones.
pub(crate) fn container_at(pod: &Pod, index: usize) -> Option<&Container> {
    let spec = pod.spec.as_ref()?;
    spec.init_containers.iter().flatten().chain(&spec.containers).nth(index)
}

/// A duration as Go prints it: `10s`, `1m20s`, `5m0s`.
fn in_go(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds / 60 {
        0 => format!("{seconds}s"),
        minutes => format!("{minutes}m{}s", seconds % 60),
    }
}

#[cfg(test)]
mod tests;
