//! Taking up a pod that a former process of this host was running.
//!
//! No sandbox outlives its process. What the status says was running has therefore ended with the process; what had
//! finished stays finished. Init containers that had passed run again when something after them must, because the pod
//! gets a new address and new volumes in memory.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, ContainerState, ContainerStateTerminated, ContainerStatus, Pod};

use super::RestartPolicy;
use super::container::{ContainerLife, Kind, State, Terminated};

/// The exit code of a container whose end nobody saw, as upstream has it.
const UNSEEN_EXIT_CODE: i32 = 255;

/// The containers of the pod, init containers first, as its status has them.
pub(super) fn containers(pod: &Pod, now: Timestamp) -> Vec<ContainerLife> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let init = spec.init_containers.iter().flatten().map(|container| (init_kind(container), container));
    let main = spec.containers.iter().map(|container| (Kind::Main, container));
    let mut lives: Vec<_> = init.chain(main).map(|(kind, container)| fresh(kind, container)).collect();
    for life in &mut lives {
        if let Some(status) = status_of(pod, life.kind, &life.name) {
            restore(life, status, now);
        }
    }
    let policy = match spec.restart_policy.as_deref() {
        Some("Never") => RestartPolicy::Never,
        Some("OnFailure") => RestartPolicy::OnFailure,
        _ => RestartPolicy::Always,
    };
    if lives.iter().any(|life| life.kind == Kind::Main && !is_finished(life, policy)) {
        lives.iter_mut().filter(|life| life.kind != Kind::Main).for_each(run_again);
    }
    lives
}

fn init_kind(container: &Container) -> Kind {
    match container.restart_policy.as_deref() {
        Some("Always") => Kind::Sidecar,
        _ => Kind::Init,
    }
}

fn fresh(kind: Kind, container: &Container) -> ContainerLife {
    ContainerLife::new(kind, container.name.clone(), container.image.clone().unwrap_or_default())
}

fn status_of<'a>(pod: &'a Pod, kind: Kind, name: &str) -> Option<&'a ContainerStatus> {
    let status = pod.status.as_ref()?;
    let list = match kind {
        Kind::Main => &status.container_statuses,
        Kind::Init | Kind::Sidecar => &status.init_container_statuses,
    };
    list.iter().flatten().find(|status| status.name == name)
}

fn restore(life: &mut ContainerLife, status: &ContainerStatus, now: Timestamp) {
    life.restarts = u32::try_from(status.restart_count).unwrap_or(0);
    life.image_id.clone_from(&status.image_id);
    let id = status.container_id.clone().unwrap_or_default();
    life.last = ended(status.last_state.as_ref(), &id);
    if let Some(terminated) = ended(status.state.as_ref(), &id) {
        life.state = State::Terminated(terminated);
    } else if let Some(running) = status.state.as_ref().and_then(|state| state.running.as_ref()) {
        life.state = State::Terminated(Terminated {
            exit_code: UNSEEN_EXIT_CODE,
            reason: "Unknown".into(),
            message: Some("the host was restarted while the container ran".to_owned()),
            started_at: running.started_at.as_ref().map(|time| time.0),
            finished_at: now,
            container_id: id,
        });
    }
}

fn ended(state: Option<&ContainerState>, id: &str) -> Option<Terminated> {
    let ended: &ContainerStateTerminated = state?.terminated.as_ref()?;
    Some(Terminated {
        exit_code: ended.exit_code,
        reason: ended.reason.clone().unwrap_or_else(|| "Error".to_owned()).into(),
        message: ended.message.clone(),
        started_at: ended.started_at.as_ref().map(|time| time.0),
        finished_at: ended.finished_at.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0),
        container_id: ended.container_id.clone().unwrap_or_else(|| id.to_owned()),
    })
}

fn is_finished(life: &ContainerLife, policy: RestartPolicy) -> bool {
    match &life.state {
        State::Terminated(terminated) => !life.restarts_after(terminated, policy),
        State::Pending | State::Starting { .. } | State::Running { .. } | State::Waiting { .. } => false,
    }
}

fn run_again(life: &mut ContainerLife) {
    if let State::Terminated(terminated) = std::mem::replace(&mut life.state, State::Pending) {
        life.last = Some(terminated);
    }
}
