//! Probes as stories with a clock of their own.

use super::*;

fn probed(story: &mut Story, kind: ProbeKind, outcome: ProbeOutcome) {
    let restart = story.life.containers[0].restarts;
    story.input(Input::Probed { container: 0, restart, kind, outcome });
}

fn failure() -> ProbeOutcome {
    ProbeOutcome::Failure("HTTP probe failed with statuscode: 500".into())
}

fn ask(restart: u32, kind: ProbeKind) -> Action {
    Action::Probe { container: 0, restart, kind }
}

fn running(policy: &str, probes: &Value) -> Story {
    let mut container = json!({ "name": "c", "image": "app:1" });
    for (name, probe) in probes.as_object().unwrap() {
        container[name] = probe.clone();
        container[name]["httpGet"] = json!({ "port": 80 });
    }
    let spec = json!({ "restartPolicy": policy, "terminationGracePeriodSeconds": 7, "containers": [container] });
    let mut story = Story::new(&pod(&spec));
    story.take();
    story.started(0);
    story
}

#[test]
fn readiness_goes_up_and_down_by_its_thresholds() {
    let probe = json!({ "initialDelaySeconds": 5, "periodSeconds": 3, "successThreshold": 2, "failureThreshold": 2 });
    let mut story = running("Always", &json!({ "readinessProbe": probe }));
    assert_eq!(story.take(), []);
    assert_eq!(story.state("c")["ready"], false);
    assert_eq!(story.state("c")["started"], true);
    assert_eq!(story.life.next_wake(), Some(after(start(), Duration::from_secs(5))));
    story.pass(5);
    assert_eq!(story.take(), [ask(0, ProbeKind::Readiness)]);
    story.pass(3);
    assert_eq!(story.take(), [], "one at a time");
    probed(&mut story, ProbeKind::Readiness, ProbeOutcome::Success);
    assert_eq!(story.state("c")["ready"], false, "one success is not enough");
    assert_eq!(story.take(), [ask(0, ProbeKind::Readiness)], "it was due already");
    probed(&mut story, ProbeKind::Readiness, ProbeOutcome::Success);
    assert_eq!(
        (story.state("c")["ready"].clone(), story.condition("Ready")["status"].clone()),
        (json!(true), json!("True"))
    );
    for _ in 0..2 {
        assert_eq!(story.condition("ContainersReady")["status"], "True");
        story.pass(3);
        probed(&mut story, ProbeKind::Readiness, failure());
    }
    assert_eq!(story.condition("ContainersReady")["message"], "containers with unready status: [c]");
    assert_eq!(
        story.events.last().unwrap(),
        "Unhealthy: Readiness probe failed: HTTP probe failed with statuscode: 500"
    );
    assert!(!story.take().iter().any(|action| matches!(action, Action::Stop { .. })), "readiness stops nothing");
}

#[test]
fn a_container_that_is_not_alive_is_restarted() {
    let probe = json!({ "periodSeconds": 1, "failureThreshold": 2, "terminationGracePeriodSeconds": 4 });
    let mut story = running("Always", &json!({ "livenessProbe": probe }));
    assert_eq!(story.take(), [ask(0, ProbeKind::Liveness)], "at once, without a delay");
    assert_eq!(story.state("c")["ready"], true, "it counts as alive until it is not");
    probed(&mut story, ProbeKind::Liveness, failure());
    story.pass(1);
    probed(&mut story, ProbeKind::Liveness, ProbeOutcome::Error("no handler".into()));
    story.pass(1);
    probed(&mut story, ProbeKind::Liveness, ProbeOutcome::Success);
    story.pass(1);
    probed(&mut story, ProbeKind::Liveness, failure());
    assert!(!story.take().iter().any(|action| matches!(action, Action::Stop { .. })), "a success resets the count");
    story.pass(1);
    probed(&mut story, ProbeKind::Liveness, failure());
    let stop = Action::Stop { container: 0, grace: Duration::from_secs(4) };
    assert_eq!(story.take().last(), Some(&stop));
    assert_eq!(story.events.last().unwrap(), "Killing: Container c failed liveness probe, will be restarted");
    story.pass(1);
    assert_eq!(story.take(), [], "what is stopped is not probed");
    story.exited(0, 143);
    assert_eq!(story.take(), [begin(0, 1)]);
    story.started(0);
    assert_eq!(story.take(), [ask(1, ProbeKind::Liveness)]);
    story.input(Input::Probed { container: 0, restart: 0, kind: ProbeKind::Liveness, outcome: failure() });
    story.input(Input::Probed { container: 0, restart: 0, kind: ProbeKind::Liveness, outcome: failure() });
    assert_eq!(story.take(), [], "answers about the run before mean nothing");
}

#[test]
fn a_startup_probe_holds_the_others_back_and_kills_what_never_starts() {
    let probes = json!({
        "startupProbe": { "periodSeconds": 2, "failureThreshold": 2 },
        "livenessProbe": { "periodSeconds": 1 }, "readinessProbe": { "periodSeconds": 1 },
    });
    let mut story = running("Never", &probes);
    assert_eq!(story.take(), [ask(0, ProbeKind::Startup)]);
    assert_eq!(story.state("c")["started"], false);
    probed(&mut story, ProbeKind::Startup, failure());
    story.pass(2);
    assert_eq!(story.take(), [ask(0, ProbeKind::Startup)]);
    probed(&mut story, ProbeKind::Startup, ProbeOutcome::Success);
    assert_eq!(story.state("c")["started"], true);
    assert_eq!(story.take(), [ask(0, ProbeKind::Liveness), ask(0, ProbeKind::Readiness)]);

    let mut story = running("Never", &probes);
    probed(&mut story, ProbeKind::Startup, failure());
    story.pass(2);
    probed(&mut story, ProbeKind::Startup, failure());
    assert_eq!(story.events.last().unwrap(), "Killing: Container c failed startup probe");
    assert_eq!(story.take().last(), Some(&Action::Stop { container: 0, grace: Duration::from_secs(7) }));
}

#[test]
fn what_follows_a_sidecar_waits_for_its_startup_probe() {
    let sidecar = json!({
        "name": "s", "image": "i", "restartPolicy": "Always",
        "startupProbe": { "httpGet": { "port": 80 }, "periodSeconds": 1 },
    });
    let spec = json!({ "initContainers": [sidecar], "containers": [{ "name": "m", "image": "i" }] });
    let mut story = Story::new(&pod(&spec));
    assert_eq!(story.take(), [begin(0, 0)]);
    story.started(0);
    assert_eq!(story.take(), [ask(0, ProbeKind::Startup)]);
    assert_eq!(story.condition("Initialized")["status"], "False");
    probed(&mut story, ProbeKind::Startup, ProbeOutcome::Success);
    assert_eq!(story.take(), [begin(1, 0)]);
}

#[test]
fn probes_end_with_the_pod() {
    let mut story = running("Always", &json!({ "livenessProbe": { "periodSeconds": 1 } }));
    story.take();
    let metadata = json!({ "deletionTimestamp": "2026-01-02T00:00:00Z", "deletionGracePeriodSeconds": 30 });
    let spec = serde_json::to_value(&story.life.pod().spec).unwrap();
    story.input(Input::Pod(pod_with(&spec, &metadata)));
    probed(&mut story, ProbeKind::Liveness, failure());
    story.pass(5);
    let asked = story.take().iter().filter(|action| matches!(action, Action::Probe { .. })).count();
    assert_eq!(asked, 0);
}

#[test]
fn an_evicted_pod_fails_with_the_reason_and_is_not_restarted() {
    let mut story = running("Always", &json!({}));
    let message = "Usage of EmptyDir volume \"v\" exceeds the limit \"1Mi\". ";
    story.input(Input::Evicted { message: message.to_owned() });
    assert_eq!(story.take(), [Action::Stop { container: 0, grace: Duration::from_secs(1) }]);
    story.exited(0, 137);
    assert_eq!(story.take(), [Action::RemoveSandbox]);
    let status = story.status();
    assert_eq!(
        (&status["phase"], &status["reason"], &status["message"]),
        (&json!("Failed"), &json!("Evicted"), &json!(message))
    );
    assert!(story.events.contains(&format!("Evicted: {message}")));
    assert!(!story.take().contains(&Action::Finalize), "the object stays, as upstream leaves it");
}
