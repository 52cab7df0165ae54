//! What to do next: the rules by which containers start, wait, restart and stop.

use std::time::Duration;

use jiff::Timestamp;

use super::container::{ContainerLife, Kind, State};
use super::status::Phase;
use super::{Action, Cause, EventKind, PodLife, RestartPolicy, Sandbox, after, elapsed, in_go};

impl PodLife {
    pub(super) fn plan(&mut self, now: Timestamp) {
        self.check_deadline(now);
        if self.ending.is_some() || self.phase.is_terminal() {
            return self.plan_ending(now);
        }
        match self.sandbox {
            Sandbox::Absent => self.create_sandbox(),
            Sandbox::Waiting { until } if until <= now => self.create_sandbox(),
            Sandbox::Waiting { .. } | Sandbox::Creating { .. } | Sandbox::Removed => {}
            Sandbox::Ready => self.plan_containers(now),
        }
    }

    fn create_sandbox(&mut self) {
        self.sandbox = Sandbox::Creating { cancel_asked: false };
        self.actions.push(Action::CreateSandbox);
    }

    fn check_deadline(&mut self, now: Timestamp) {
        let passed = self.deadline().is_some_and(|deadline| deadline <= now);
        if passed && self.ending.is_none() && !self.phase.is_terminal() {
            let message = "Pod was active on the node longer than the specified deadline";
            self.reason = Some(("DeadlineExceeded", message.to_owned()));
            self.record(EventKind::Normal, "DeadlineExceeded", message.to_owned(), None);
            let grace = self.grace_of_spec();
            self.end(Cause::Failed, grace, now);
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
        self.plan_probes(now);
        if self.plan_init(now) {
            for index in main {
                self.advance(index, now);
            }
        }
    }

    /// Asks for the probes that are due.
    fn plan_probes(&mut self, now: Timestamp) {
        for (container, life) in self.containers.iter_mut().enumerate() {
            if matches!(life.state, State::Running { stop_asked: None, .. }) {
                let restart = life.restarts;
                let due = life.probes.take_due(now).into_iter();
                self.actions.extend(due.map(|kind| Action::Probe { container, restart, kind }));
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
                    if !self.containers[index].ever_started {
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
        if let Sandbox::Creating { cancel_asked } = &mut self.sandbox {
            if !std::mem::replace(cancel_asked, true) {
                self.actions.push(Action::CancelSandbox);
            }
            return;
        }
        if active || self.containers.iter().any(ContainerLife::is_active) {
            return;
        }
        self.remove_sandbox();
        let Some(ending) = self.ending else { return };
        if !self.phase.is_terminal() {
            let completed = self.containers.iter().filter(|life| life.kind == Kind::Main);
            let succeeded = completed.map(ContainerLife::exited_with).all(|code| code == Some(0));
            let deadline = ending.cause == Cause::Failed || self.reason.is_some();
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
            && life.counted != Some(life.restarts)
        {
            // Each end counts once, however often the start after it fails.
            life.counted = Some(life.restarts);
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

    pub(super) fn stop_quietly(&mut self, index: usize, grace: Duration, now: Timestamp) {
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
}
