//! The probes of one run of a container: when each is due, and what its answers mean. Pure, as all of the pod's life.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Probe};

use super::{after, seconds};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ProbeKind {
    Startup,
    Liveness,
    Readiness,
}

impl ProbeKind {
    /// As it begins a sentence.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Liveness => "Liveness",
            Self::Readiness => "Readiness",
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Liveness => "liveness",
            Self::Readiness => "readiness",
        }
    }
}

/// What a probe came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ProbeOutcome {
    Success,
    /// The container is not well, and why.
    Failure(String),
    /// The probe itself could not be made: it counts neither way.
    Error(String),
}

/// One probe with its counts.
#[derive(Debug, Clone)]
struct Check {
    period: Duration,
    success_threshold: u32,
    failure_threshold: u32,
    /// When it is to be made next; `None` while one is under way.
    due: Option<Timestamp>,
    next: Timestamp,
    successes: u32,
    failures: u32,
    passed: bool,
}

impl Check {
    fn new(probe: &Probe, started_at: Timestamp, passed: bool) -> Self {
        let number = |value: Option<i32>, default: u32| match value.and_then(|value| u32::try_from(value).ok()) {
            Some(0) | None => default,
            Some(value) => value,
        };
        let first = after(started_at, seconds(i64::from(probe.initial_delay_seconds.unwrap_or(0))));
        Self {
            period: Duration::from_secs(u64::from(number(probe.period_seconds, 10))),
            success_threshold: number(probe.success_threshold, 1),
            failure_threshold: number(probe.failure_threshold, 3),
            due: Some(first),
            next: first,
            successes: 0,
            failures: 0,
            passed,
        }
    }

    /// Marks it as under way if it is due.
    fn take_due(&mut self, now: Timestamp) -> bool {
        let is_due = self.due.is_some_and(|due| due <= now);
        if is_due {
            self.due = None;
            self.next = after(now, self.period);
        }
        is_due
    }

    /// Counts an answer. Says whether the threshold of failures has been reached by it.
    fn count(&mut self, outcome: &ProbeOutcome) -> bool {
        self.due = Some(self.next);
        match outcome {
            ProbeOutcome::Success => {
                (self.successes, self.failures) = (self.successes.saturating_add(1), 0);
                self.passed |= self.successes >= self.success_threshold;
                false
            }
            ProbeOutcome::Failure(_) => {
                (self.successes, self.failures) = (0, self.failures.saturating_add(1));
                let reached = self.failures >= self.failure_threshold;
                self.passed &= !reached;
                reached
            }
            ProbeOutcome::Error(_) => false,
        }
    }
}

/// All probes of one run.
#[derive(Debug, Clone, Default)]
pub(super) struct Probes {
    startup: Option<Check>,
    liveness: Option<Check>,
    readiness: Option<Check>,
}

impl Probes {
    pub(super) fn new(container: &Container, started_at: Timestamp) -> Self {
        let check = |probe: &Option<Probe>, passed| {
            probe.as_ref().filter(|probe| has_handler(probe)).map(|probe| Check::new(probe, started_at, passed))
        };
        Self {
            startup: check(&container.startup_probe, false),
            liveness: check(&container.liveness_probe, true),
            readiness: check(&container.readiness_probe, false),
        }
    }

    /// Whether the startup probe has passed, if there is one.
    pub(super) fn are_started(&self) -> bool {
        self.startup.as_ref().is_none_or(|check| check.passed)
    }

    /// Whether the container may be sent work.
    pub(super) fn are_ready(&self) -> bool {
        self.are_started() && self.readiness.as_ref().is_none_or(|check| check.passed)
    }

    fn active(&mut self) -> impl Iterator<Item = (ProbeKind, &mut Check)> {
        let starting = !self.are_started();
        let startup = self.startup.as_mut().filter(|_| starting).map(|check| (ProbeKind::Startup, check));
        let liveness = self.liveness.as_mut().filter(|_| !starting).map(|check| (ProbeKind::Liveness, check));
        let readiness = self.readiness.as_mut().filter(|_| !starting).map(|check| (ProbeKind::Readiness, check));
        startup.into_iter().chain(liveness).chain(readiness)
    }

    /// The probes to be made now; each must be answered before it is due again.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Vec<ProbeKind> {
        self.active().filter_map(|(kind, check)| check.take_due(now).then_some(kind)).collect()
    }

    pub(super) fn next_wake(&self) -> Option<Timestamp> {
        let due = |check: &Option<Check>| check.as_ref().and_then(|check| check.due);
        match self.are_started() {
            true => due(&self.liveness).into_iter().chain(due(&self.readiness)).min(),
            false => due(&self.startup),
        }
    }

    /// Counts an answer. Says whether the container has to go for it.
    pub(super) fn observe(&mut self, kind: ProbeKind, outcome: &ProbeOutcome) -> bool {
        let check = match kind {
            ProbeKind::Startup => &mut self.startup,
            ProbeKind::Liveness => &mut self.liveness,
            ProbeKind::Readiness => &mut self.readiness,
        };
        let failed = check.as_mut().is_some_and(|check| check.count(outcome));
        failed && kind != ProbeKind::Readiness
    }
}

fn has_handler(probe: &Probe) -> bool {
    probe.exec.is_some() || probe.http_get.is_some() || probe.tcp_socket.is_some() || probe.grpc.is_some()
}
