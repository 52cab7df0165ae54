//! One container of a pod: its state, and how long it must wait before it is tried again.

use std::borrow::Cow;
use std::time::Duration;

use jiff::Timestamp;

use super::probe::Probes;
use super::{EventKind, RestartPolicy, after, elapsed};

/// First and longest wait after a crash, as upstream has them.
const CRASH_RETRY: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(300));
/// First and longest wait after an image could not be had.
const PULL_RETRY: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(300));
/// First and longest wait for a missing ConfigMap or Secret, or for a free place on the host.
const CONFIG_RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));
/// A wait that was not used for this long starts from the beginning.
const RESET_AFTER: Duration = Duration::from_secs(600);
/// How long the reason of a failed pull shows before the back-off does.
const PULL_ERROR_SHOWN: Duration = Duration::from_secs(2);

/// A wait that doubles.
#[derive(Debug, Clone)]
pub(super) struct Backoff {
    first: Duration,
    longest: Duration,
    /// The wait that applies now, and since when.
    current: Option<(Duration, Timestamp)>,
}

impl Backoff {
    pub(super) fn new((first, longest): (Duration, Duration)) -> Self {
        Self { first, longest, current: None }
    }

    pub(super) fn reset(&mut self) {
        self.current = None;
    }

    /// Until when to wait after what happened at `time`; `None` for the first time in a while.
    pub(super) fn until(&self, time: Timestamp) -> Option<Timestamp> {
        let (wait, since) = self.current?;
        (elapsed(since, time) <= RESET_AFTER).then(|| after(time, wait))
    }

    /// Lengthens the wait because of what happened at `time`, counts it from `now`, and answers it.
    pub(super) fn next(&mut self, time: Timestamp, now: Timestamp) -> Duration {
        let wait = match self.current {
            Some((wait, since)) if elapsed(since, time) <= RESET_AFTER => (wait * 2).min(self.longest),
            Some(_) | None => self.first,
        };
        self.current = Some((wait, now));
        wait
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Runs to its end before the next one starts.
    Init,
    /// An init container with restartPolicy Always: runs beside the main ones.
    Sidecar,
    Main,
}

/// How a container ended, as its status shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exit {
    pub(crate) code: i32,
    pub(crate) reason: &'static str,
    pub(crate) message: Option<String>,
}

/// Why a container did not start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StartFailure {
    pub(crate) kind: FailureKind,
    /// In words a person understands, without the image's or the container's name.
    pub(crate) message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// The image could not be had.
    Pull,
    /// The image's name is none.
    ImageName,
    /// The image is not there and may not be fetched.
    NeverPull,
    /// Something that the specification names is missing or not supported.
    Config,
    /// The program cannot be made into a container: it is no Wasm, or imports what there is not.
    Create,
    /// The host could not start it now.
    Run,
    /// The container ran, and its postStart hook failed.
    PostStart,
    /// The start was given up.
    Cancelled,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Terminated {
    pub(super) exit_code: i32,
    pub(super) reason: Cow<'static, str>,
    pub(super) message: Option<String>,
    /// Unknown for a container of a former process that had not said it.
    pub(super) started_at: Option<Timestamp>,
    pub(super) finished_at: Timestamp,
    pub(super) container_id: String,
}

#[derive(Debug, Clone)]
pub(super) enum State {
    /// Not yet its turn.
    Pending,
    Starting {
        restart: u32,
        cancel_asked: bool,
    },
    Running {
        started_at: Timestamp,
        container_id: String,
        stop_asked: Option<Timestamp>,
    },
    /// Tried again at `until`.
    Waiting {
        reason: &'static str,
        message: String,
        since: Timestamp,
        until: Timestamp,
    },
    Terminated(Terminated),
}

#[derive(Debug)]
pub(super) struct ContainerLife {
    pub(super) kind: Kind,
    pub(super) name: String,
    /// The image that the specification names now.
    pub(super) image: String,
    pub(super) image_id: String,
    pub(super) state: State,
    /// How the run before this one ended.
    pub(super) last: Option<Terminated>,
    /// The run whose end was last counted for the crash back-off.
    pub(super) counted: Option<u32>,
    pub(super) restarts: u32,
    /// The image changed while it ran: it must be started again whatever the policy.
    pub(super) restart_asked: bool,
    /// The probes of the current run.
    pub(super) probes: Probes,
    /// Whether any run has passed its startup probe, or had none.
    pub(super) ever_started: bool,
    pub(super) crash: Backoff,
    pub(super) pull: Backoff,
    pub(super) config: Backoff,
}

/// Type, reason and text of an event.
type EventText = (EventKind, &'static str, String);

impl ContainerLife {
    pub(super) fn new(kind: Kind, name: String, image: String) -> Self {
        Self {
            kind,
            name,
            image,
            image_id: String::new(),
            state: State::Pending,
            last: None,
            counted: None,
            restarts: 0,
            restart_asked: false,
            probes: Probes::default(),
            ever_started: false,
            crash: Backoff::new(CRASH_RETRY),
            pull: Backoff::new(PULL_RETRY),
            config: Backoff::new(CONFIG_RETRY),
        }
    }

    /// Whether something of it is on the host.
    pub(super) fn is_active(&self) -> bool {
        matches!(self.state, State::Starting { .. } | State::Running { .. })
    }

    /// Whether it has been running at least once.
    pub(super) fn has_run(&self) -> bool {
        self.last.is_some() || matches!(self.state, State::Running { .. } | State::Terminated(_))
    }

    pub(super) fn exited_with(&self) -> Option<i32> {
        match &self.state {
            State::Terminated(terminated) => Some(terminated.exit_code),
            State::Pending | State::Starting { .. } | State::Running { .. } | State::Waiting { .. } => None,
        }
    }

    pub(super) fn restarts_after(&self, terminated: &Terminated, policy: RestartPolicy) -> bool {
        let by_policy = match (self.kind, policy) {
            (Kind::Sidecar, _) | (Kind::Main, RestartPolicy::Always) => true,
            (Kind::Init, RestartPolicy::Always) | (_, RestartPolicy::OnFailure) => terminated.exit_code != 0,
            (_, RestartPolicy::Never) => false,
        };
        by_policy || self.restart_asked
    }

    pub(super) fn next_wake(&self) -> Option<Timestamp> {
        match &self.state {
            State::Waiting { reason: "ErrImagePull", since, until, .. } => {
                Some((*until).min(after(*since, PULL_ERROR_SHOWN)))
            }
            State::Waiting { until, .. } => Some(*until),
            State::Running { stop_asked: None, .. } => self.probes.next_wake(),
            State::Pending | State::Starting { .. } | State::Running { .. } | State::Terminated(_) => None,
        }
    }

    /// The specification names another image. Answers the name if a running container has to go for it.
    pub(super) fn change_image(&mut self, image: String) -> Option<String> {
        self.image = image;
        self.pull.reset();
        self.config.reset();
        self.crash.reset();
        match &mut self.state {
            State::Running { .. } => {
                self.restart_asked = true;
                Some(self.name.clone())
            }
            State::Starting { .. } => {
                self.restart_asked = true;
                None
            }
            State::Waiting { reason, until, since, .. } if *reason != "CrashLoopBackOff" => {
                *until = *since;
                None
            }
            State::Pending | State::Waiting { .. } | State::Terminated(_) => None,
        }
    }

    /// What its specification names has changed: a start that failed for it is due now.
    pub(super) fn retry_config(&mut self, now: Timestamp) {
        if let State::Waiting { reason: "CreateContainerConfigError", until, .. } = &mut self.state {
            *until = now;
        }
    }

    /// The start failed: when to try again, and what to tell.
    pub(super) fn fail_start(&mut self, failure: StartFailure, ending: bool, now: Timestamp) -> Vec<EventText> {
        if ending || failure.kind == FailureKind::Cancelled {
            self.state = self.last.clone().map_or(State::Pending, State::Terminated);
            return Vec::new();
        }
        let StartFailure { kind, message } = failure;
        let image = &self.image;
        let (reason, wait) = match kind {
            FailureKind::Pull => ("ErrImagePull", self.pull.next(now, now)),
            FailureKind::ImageName => ("InvalidImageName", self.pull.next(now, now)),
            FailureKind::NeverPull => ("ErrImageNeverPull", self.pull.next(now, now)),
            FailureKind::Config => ("CreateContainerConfigError", self.config.next(now, now)),
            FailureKind::Create => ("CreateContainerError", self.pull.next(now, now)),
            FailureKind::PostStart => ("PostStartHookError", self.pull.next(now, now)),
            FailureKind::Run | FailureKind::Cancelled => ("RunContainerError", self.config.next(now, now)),
        };
        let events = match kind {
            FailureKind::Pull => vec![
                (EventKind::Warning, "Failed", format!("Failed to pull image \"{image}\": {message}")),
                (EventKind::Warning, "Failed", "Error: ErrImagePull".to_owned()),
            ],
            FailureKind::ImageName => vec![
                (EventKind::Warning, "InspectFailed", message.clone()),
                (EventKind::Warning, "Failed", "Error: InvalidImageName".to_owned()),
            ],
            FailureKind::NeverPull => vec![
                (EventKind::Warning, "ErrImageNeverPull", message.clone()),
                (EventKind::Warning, "Failed", "Error: ErrImageNeverPull".to_owned()),
            ],
            // The hook has told already.
            FailureKind::PostStart => Vec::new(),
            FailureKind::Config | FailureKind::Create | FailureKind::Run | FailureKind::Cancelled => {
                vec![(EventKind::Warning, "Failed", format!("Error: {message}"))]
            }
        };
        self.state = State::Waiting { reason, message, since: now, until: after(now, wait) };
        events
    }

    /// Turns a failed pull into its back-off once the failure has been shown. Answers the event's text when it did.
    pub(super) fn show_pull_backoff(&mut self, now: Timestamp) -> Option<String> {
        let image = &self.image;
        let State::Waiting { reason, message, since, .. } = &mut self.state else { return None };
        if *reason != "ErrImagePull" || now < after(*since, PULL_ERROR_SHOWN) {
            return None;
        }
        let text = format!("Back-off pulling image \"{image}\"");
        *reason = "ImagePullBackOff";
        *message = format!("{text}: ErrImagePull: {message}");
        Some(text)
    }
}
