//! What the driver does at a container's side while it runs and before it ends: probes and the preStop hook.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Container;

use super::handler::Surroundings;
use super::{Done, PodWorker, lock};
use crate::life::{EventKind, Input, PodEvent, ProbeKind, ProbeOutcome, container_at};

/// What a container has left after its hook at least, as upstream has it.
const GRACE_AFTER_HOOK_MIN: Duration = Duration::from_secs(2);

impl PodWorker {
    /// Where handlers of the container act, if it runs.
    fn surroundings(&self, container: usize) -> Option<Surroundings> {
        let running = lock(&self.view.running).get(&container).cloned()?;
        let spec = self.container_spec(container)?;
        let ip = self.network.as_ref()?.ip();
        Some(Surroundings { network: self.shared.network.clone(), ip, container: spec, running })
    }

    pub(super) fn container_spec(&self, container: usize) -> Option<Container> {
        self.view.with_life(|life| container_at(life.pod(), container).cloned())
    }

    pub(super) fn probe(&mut self, container: usize, restart: u32, kind: ProbeKind) {
        let Some(surroundings) = self.surroundings(container) else { return };
        self.probing.spawn(async move {
            let spec = &surroundings.container;
            let probe = match kind {
                ProbeKind::Startup => spec.startup_probe.as_ref(),
                ProbeKind::Liveness => spec.liveness_probe.as_ref(),
                ProbeKind::Readiness => spec.readiness_probe.as_ref(),
            };
            let outcome = match probe {
                Some(probe) => surroundings.probe(probe).await,
                None => ProbeOutcome::Error("the probe is gone from the specification".to_owned()),
            };
            Input::Probed { container, restart, kind, outcome }
        });
    }

    /// Stops a container within `grace`: its hook first, once, unless it is to be killed.
    pub(super) fn stop(&mut self, container: usize, grace: Duration) {
        let Some(running) = lock(&self.view.running).get(&container).cloned() else { return };
        let hook = if grace.is_zero() || !self.stopped.insert(container) { None } else { self.surroundings(container) };
        let hook = hook.and_then(|surroundings| {
            let handler = surroundings.container.lifecycle.as_ref()?.pre_stop.clone()?;
            Some((surroundings, handler))
        });
        let (events, about) = (self.shared.events.clone(), self.reference());
        self.tasks.spawn(async move {
            let begun = Instant::now();
            if let Some((surroundings, handler)) = hook {
                let failed = tokio::select! {
                    biased;
                    // Stopped with less grace by somebody else, or ended by itself.
                    _ended = running.wait() => None,
                    done = tokio::time::timeout(grace, surroundings.hook(&handler)) => match done {
                        Ok(done) => done.err(),
                        Err(_) => Some("it did not end within the grace period".to_owned()),
                    },
                };
                if let Some(message) = failed {
                    tracing::debug!(container = surroundings.container.name, message, "a preStop hook failed");
                    let field_path = Some(format!("spec.containers{{{}}}", surroundings.container.name));
                    let message = "PreStopHook failed".to_owned();
                    let reason = "FailedPreStopHook";
                    events.record(about, PodEvent { kind: EventKind::Warning, reason, message, field_path });
                }
                drop(surroundings);
                running.stop(grace.saturating_sub(begun.elapsed()).max(GRACE_AFTER_HOOK_MIN)).await;
            } else {
                running.stop(grace).await;
            }
            Done::Stopped
        });
    }
}
