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
mod recovery;
mod status;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};

pub(crate) use container::{Exit, FailureKind, StartFailure};
pub(crate) use event::{EventKind, PodEvent};
pub(crate) use status::time;

use container::{Backoff, ContainerLife, Kind, State, Terminated};
use status::{Conditions, Phase};

/// Grace when neither the object nor the request names one: the default of Kubernetes.
const GRACE_DEFAULT: Duration = Duration::from_secs(30);
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
    /// The container runs.
    Started { container: usize, image_id: String, container_id: String },
    /// The container does not run, for the reason given.
    NotStarted { container: usize, failure: StartFailure },
    /// A running container ended.
    Exited { container: usize, exit: Exit },
    /// Time has passed.
    Tick,
}

/// What the driver is asked to do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    /// Take an address and bind the host ports. Answered by `SandboxReady` or `SandboxFailed`.
    CreateSandbox,
    /// Fetch the image, resolve the environment, start. Answered by `Started` or `NotStarted`; `restart` numbers the runs.
    Start { container: usize, restart: u32 },
    /// Give up a start. Answered by `NotStarted`, or by `Started` if it was too late.
    Cancel { container: usize },
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
    DeadlineExceeded,
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
    Creating,
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
            Sandbox::Absent | Sandbox::Creating | Sandbox::Ready | Sandbox::Removed => None,
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
            Input::Rejected { reason, message } => self.apply_rejected(reason, message),
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
            Input::Started { container, image_id, container_id } => {
                self.apply_started(container, image_id, container_id, now);
            }
            Input::NotStarted { container, failure } => self.apply_not_started(container, failure, now),
            Input::Exited { container, exit } => self.apply_exited(container, exit, now),
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

    fn apply_rejected(&mut self, reason: &'static str, message: String) {
        if !self.phase.is_terminal() {
            self.record(EventKind::Warning, reason, message.clone(), None);
            self.phase = Phase::Failed;
            self.reason = Some((reason, format!("Pod was rejected: {message}")));
        }
    }

    fn apply_started(&mut self, index: usize, image_id: String, container_id: String, now: Timestamp) {
        let Some(life) = self.containers.get_mut(index) else { return };
        let State::Starting { restart, .. } = life.state else { return };
        life.restarts = restart;
        life.image_id = image_id;
        life.pull.reset();
        life.config.reset();
        life.state = State::Running { started_at: now, container_id, stop_asked: None };
        let name = life.name.clone();
        self.record(EventKind::Normal, "Created", format!("Created container: {name}"), Some(&name));
        self.record(EventKind::Normal, "Started", format!("Started container {name}"), Some(&name));
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

    fn plan(&mut self, now: Timestamp) {
        self.check_deadline(now);
        if self.ending.is_some() || self.phase.is_terminal() {
            return self.plan_ending(now);
        }
        match self.sandbox {
            Sandbox::Absent => self.create_sandbox(),
            Sandbox::Waiting { until } if until <= now => self.create_sandbox(),
            Sandbox::Waiting { .. } | Sandbox::Creating | Sandbox::Removed => {}
            Sandbox::Ready => self.plan_containers(now),
        }
    }

    fn create_sandbox(&mut self) {
        self.sandbox = Sandbox::Creating;
        self.actions.push(Action::CreateSandbox);
    }

    fn check_deadline(&mut self, now: Timestamp) {
        let passed = self.deadline().is_some_and(|deadline| deadline <= now);
        if passed && self.ending.is_none() && !self.phase.is_terminal() {
            let message = "Pod was active on the node longer than the specified deadline";
            self.reason = Some(("DeadlineExceeded", message.to_owned()));
            self.record(EventKind::Normal, "DeadlineExceeded", message.to_owned(), None);
            let grace = self.grace_of_spec();
            self.end(Cause::DeadlineExceeded, grace, now);
        }
    }

    /// Init containers first, one by one, then the main ones together. What ran out is started again by policy.
    fn plan_containers(&mut self, now: Timestamp) {
        let main = self.indices(Kind::Main);
        if main.iter().all(|&index| self.is_done(index)) {
            let succeeded = main.iter().all(|&index| self.containers[index].exited_with() == Some(0));
            return self.finish(if succeeded { Phase::Succeeded } else { Phase::Failed }, now);
        }
        if self.init_failed() {
            return self.finish(Phase::Failed, now);
        }
        if self.plan_init(now) {
            for index in main {
                self.advance(index, now);
            }
        }
    }

    /// Moves the init containers on; answers whether all have passed.
    fn plan_init(&mut self, now: Timestamp) -> bool {
        for index in 0..self.containers.len() {
            match self.containers[index].kind {
                Kind::Main => return true,
                Kind::Init => {
                    if self.containers[index].exited_with() == Some(0) {
                        continue;
                    }
                    self.advance(index, now);
                    return false;
                }
                Kind::Sidecar => {
                    self.advance(index, now);
                    if !self.containers[index].has_run() {
                        return false;
                    }
                }
            }
        }
        true
    }

    fn init_failed(&self) -> bool {
        let failed = |life: &ContainerLife| life.kind == Kind::Init && life.exited_with().is_some_and(|code| code != 0);
        self.restart_policy() == RestartPolicy::Never && self.containers.iter().any(failed)
    }

    /// The work of the pod is over. Its sidecars are stopped before it counts as finished.
    fn finish(&mut self, phase: Phase, now: Timestamp) {
        let sidecars: Vec<_> = self.indices(Kind::Sidecar);
        let grace = self.grace_of_spec();
        for &index in &sidecars {
            self.stop(index, grace, now);
        }
        if sidecars.iter().all(|&index| !self.containers[index].is_active()) {
            self.phase = phase;
            self.remove_sandbox();
        }
    }

    fn plan_ending(&mut self, now: Timestamp) {
        let grace = self.ending.map_or(Duration::ZERO, |ending| ending.grace_left(now));
        let mut active = false;
        // Main containers go first; sidecars serve them to the end.
        for kind in [Kind::Init, Kind::Main, Kind::Sidecar] {
            if kind == Kind::Sidecar && active && !grace.is_zero() {
                break;
            }
            for index in self.indices(kind) {
                self.stop(index, grace, now);
                active |= self.containers[index].is_active();
            }
        }
        if active || self.containers.iter().any(ContainerLife::is_active) || self.sandbox == Sandbox::Creating {
            return;
        }
        self.remove_sandbox();
        let Some(ending) = self.ending else { return };
        if !self.phase.is_terminal() {
            let completed = self.containers.iter().filter(|life| life.kind == Kind::Main);
            let succeeded = completed.map(ContainerLife::exited_with).all(|code| code == Some(0));
            let deadline = ending.cause == Cause::DeadlineExceeded || self.reason.is_some();
            self.phase = if succeeded && !deadline { Phase::Succeeded } else { Phase::Failed };
        }
        if ending.cause == Cause::Deleted && !self.finalizing {
            self.finalizing = true;
            self.actions.push(Action::Finalize);
        }
    }

    fn remove_sandbox(&mut self) {
        if self.sandbox != Sandbox::Removed {
            self.sandbox = Sandbox::Removed;
            self.actions.push(Action::RemoveSandbox);
        }
    }

    /// Starts a container that is due, puts one that crashed into its back-off, or stops one whose image has changed.
    fn advance(&mut self, index: usize, now: Timestamp) {
        let policy = self.restart_policy();
        let life = &mut self.containers[index];
        match &life.state {
            State::Pending => self.start(index, now),
            State::Waiting { until, .. } if *until <= now => self.start(index, now),
            State::Waiting { .. } => {
                if let Some(text) = life.show_pull_backoff(now) {
                    let name = life.name.clone();
                    self.record(EventKind::Normal, "BackOff", text, Some(&name));
                    self.record(EventKind::Warning, "Failed", "Error: ImagePullBackOff".to_owned(), Some(&name));
                }
            }
            State::Terminated(terminated) if life.restarts_after(terminated, policy) => {
                match life.crash.until(terminated.finished_at).filter(|until| *until > now) {
                    Some(until) => self.back_off(index, until, now),
                    None => self.start(index, now),
                }
            }
            State::Running { .. } if life.restart_asked => {
                let grace = self.grace_of_spec();
                self.stop_quietly(index, grace, now);
            }
            State::Starting { .. } | State::Terminated(_) | State::Running { .. } => {}
        }
    }

    fn back_off(&mut self, index: usize, until: Timestamp, now: Timestamp) {
        let pod = self.full_name();
        let life = &mut self.containers[index];
        let State::Terminated(terminated) = &life.state else { return };
        let delay = elapsed(terminated.finished_at, until);
        life.last = Some(terminated.clone());
        let name = life.name.clone();
        life.state = State::Waiting {
            reason: "CrashLoopBackOff",
            message: format!("back-off {} restarting failed container={name} pod={pod}", in_go(delay)),
            since: now,
            until,
        };
        let text = format!("Back-off restarting failed container {name} in pod {pod}");
        self.record(EventKind::Warning, "BackOff", text, Some(&name));
    }

    fn start(&mut self, index: usize, now: Timestamp) {
        let life = &mut self.containers[index];
        if let State::Terminated(terminated) = &life.state {
            life.last = Some(terminated.clone());
        }
        if let Some(finished_at) = life.last.as_ref().map(|last| last.finished_at)
            && life.counted != Some(finished_at)
        {
            // Each end counts once, however often the start after it fails.
            life.counted = Some(finished_at);
            life.crash.next(finished_at, now);
        }
        life.restart_asked = false;
        let restart = if life.last.is_some() { life.restarts + 1 } else { life.restarts };
        life.state = State::Starting { restart, cancel_asked: false };
        self.actions.push(Action::Start { container: index, restart });
    }

    /// Stops a container, or gives up its start. Asking again does nothing, unless there is less grace than before.
    fn stop(&mut self, index: usize, grace: Duration, now: Timestamp) {
        let first = matches!(self.containers[index].state, State::Running { stop_asked: None, .. });
        self.stop_quietly(index, grace, now);
        if first {
            let name = self.containers[index].name.clone();
            self.record(EventKind::Normal, "Killing", format!("Stopping container {name}"), Some(&name));
        }
    }

    fn stop_quietly(&mut self, index: usize, grace: Duration, now: Timestamp) {
        let deadline = after(now, grace);
        match &mut self.containers[index].state {
            State::Running { stop_asked, .. } => {
                if stop_asked.is_none_or(|asked| deadline < asked) {
                    *stop_asked = Some(deadline);
                    self.actions.push(Action::Stop { container: index, grace });
                }
            }
            State::Starting { cancel_asked, .. } => {
                if !std::mem::replace(cancel_asked, true) {
                    self.actions.push(Action::Cancel { container: index });
                }
            }
            State::Pending | State::Waiting { .. } | State::Terminated(_) => {}
        }
    }

    fn is_done(&self, index: usize) -> bool {
        let life = &self.containers[index];
        match &life.state {
            State::Terminated(terminated) => !life.restarts_after(terminated, self.restart_policy()),
            State::Pending | State::Starting { .. } | State::Running { .. } | State::Waiting { .. } => false,
        }
    }

    fn indices(&self, kind: Kind) -> Vec<usize> {
        (0..self.containers.len()).filter(|&index| self.containers[index].kind == kind).collect()
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
fn container_at(pod: &Pod, index: usize) -> Option<&Container> {
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
