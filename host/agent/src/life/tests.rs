mod probes;

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const HOST: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1));
const POD: IpAddr = IpAddr::V4(Ipv4Addr::new(100, 64, 0, 2));

fn start() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn pod(spec: &Value) -> Arc<Pod> {
    pod_with(spec, &json!({}))
}

fn pod_with(spec: &Value, metadata: &Value) -> Arc<Pod> {
    let mut object = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": "web", "namespace": "shop", "uid": "u-1", "generation": 1 },
        "spec": spec,
    });
    for (name, value) in metadata.as_object().unwrap() {
        object["metadata"][name] = value.clone();
    }
    Arc::new(serde_json::from_value(object).unwrap())
}

fn one(policy: &str) -> Arc<Pod> {
    pod(&json!({ "restartPolicy": policy, "containers": [{ "name": "c", "image": "app:1" }] }))
}

/// A pod's life with a clock of its own.
struct Story {
    life: PodLife,
    now: Timestamp,
    actions: Vec<Action>,
    events: Vec<String>,
}

impl Story {
    fn new(pod: &Arc<Pod>) -> Self {
        let life = PodLife::new(Arc::clone(pod), HOST, start());
        let mut story = Self { life, now: start(), actions: Vec::new(), events: Vec::new() };
        story.input(Input::Pod(Arc::clone(pod)));
        story
    }

    fn input(&mut self, input: Input) {
        for action in self.life.observe(input, self.now) {
            match action {
                Action::Record(event) => self.events.push(format!("{}: {}", event.reason, event.message)),
                Action::CreateSandbox => self.input(Input::SandboxReady { ip: POD }),
                other => self.actions.push(other),
            }
        }
    }

    fn pass(&mut self, seconds: u64) {
        self.now = after(self.now, Duration::from_secs(seconds));
        self.input(Input::Tick);
    }

    fn started(&mut self, container: usize) {
        self.input(Input::Started { container, image_id: "app@sha256:1".into(), container_id: "coracle://1".into() });
    }

    fn exited(&mut self, container: usize, code: i32) {
        let reason = if code == 0 { "Completed" } else { "Error" };
        self.input(Input::Exited { container, exit: Exit { code, reason, message: None } });
    }

    fn failed(&mut self, container: usize, kind: FailureKind, message: &str) {
        self.input(Input::NotStarted { container, failure: StartFailure { kind, message: message.into() } });
    }

    fn take(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    fn status(&mut self) -> Value {
        self.life.status(self.now)
    }

    fn condition(&mut self, name: &str) -> Value {
        let status = self.status();
        let conditions = status["conditions"].as_array().unwrap();
        conditions.iter().find(|condition| condition["type"] == name).unwrap().clone()
    }

    fn state(&mut self, name: &str) -> Value {
        let status = self.status();
        let lists = ["initContainerStatuses", "containerStatuses"];
        let mut all = lists.into_iter().flat_map(|list| status[list].as_array().cloned().unwrap_or_default());
        all.find(|status| status["name"] == name).unwrap()
    }
}

fn begin(container: usize, restart: u32) -> Action {
    Action::Start { container, restart }
}

#[test]
fn a_pod_starts_runs_and_is_ready() {
    let mut story = Story::new(&one("Always"));
    assert_eq!(story.take(), [begin(0, 0)]);
    assert!(story.life.is_only_starting());
    assert_eq!(story.status()["phase"], "Pending");
    assert_eq!(story.state("c")["state"]["waiting"]["reason"], "ContainerCreating");
    assert_eq!(story.condition("Ready")["reason"], "ContainersNotReady");
    assert_eq!(story.condition("Ready")["message"], "containers with unready status: [c]");
    story.now = after(story.now, Duration::from_secs(3));
    story.started(0);
    assert!(!story.life.is_only_starting());
    let status = story.status();
    assert_eq!(status["phase"], "Running");
    assert_eq!(status["podIP"], "100.64.0.2");
    assert_eq!(status["hostIP"], "127.0.0.1");
    assert_eq!(status["startTime"], "2026-01-01T00:00:00Z");
    assert_eq!(status["observedGeneration"], 1);
    let container = story.state("c");
    assert_eq!(container["state"]["running"]["startedAt"], "2026-01-01T00:00:03Z");
    assert_eq!((&container["ready"], &container["started"]), (&json!(true), &json!(true)));
    let ready = story.condition("Ready");
    assert_eq!((ready["status"].as_str(), &ready["reason"]), (Some("True"), &Value::Null));
    assert_eq!(ready["lastTransitionTime"], "2026-01-01T00:00:03Z");
    assert_eq!(story.condition("Initialized")["lastTransitionTime"], "2026-01-01T00:00:00Z");
    assert_eq!(story.events, ["Created: Created container: c", "Started: Started container c"]);
    assert_eq!(story.life.next_wake(), None);
}

#[test]
fn the_first_crash_restarts_at_once_and_the_next_wait_longer_and_longer() {
    let mut story = Story::new(&one("Always"));
    for (restart, wait) in [(0, 0), (1, 0), (2, 10), (3, 20), (4, 40), (5, 80), (6, 160), (7, 300), (8, 300)] {
        if wait > 0 {
            let state = story.state("c");
            assert_eq!(state["state"]["waiting"]["reason"], "CrashLoopBackOff", "before restart {restart}");
            assert_eq!(state["lastState"]["terminated"]["exitCode"], 3);
            assert_eq!(state["restartCount"], restart - 1);
            assert_eq!(story.status()["phase"], "Running");
            assert_eq!(story.take(), []);
            story.pass(wait - 1);
            assert_eq!(story.take(), [], "before restart {restart}");
            assert_eq!(story.life.next_wake(), Some(after(story.now, Duration::from_secs(1))));
            story.pass(1);
        }
        assert_eq!(story.take(), [begin(0, restart)]);
        story.started(0);
        story.exited(0, 3);
    }
    assert!(story.events.contains(&"BackOff: Back-off restarting failed container c in pod web_shop(u-1)".to_owned()));
    let message = story.state("c")["state"]["waiting"]["message"].as_str().unwrap().to_owned();
    assert_eq!(message, "back-off 5m0s restarting failed container=c pod=web_shop(u-1)");
    story.pass(300);
    story.take();
    story.started(0);
    story.pass(601);
    story.exited(0, 3);
    assert_eq!(story.take(), [begin(0, 10)], "ten minutes without a crash forget the back-off");
}

#[test]
fn the_restart_policy_decides_what_an_exit_means() {
    for (policy, code, phase) in [
        ("Never", 0, "Succeeded"),
        ("Never", 7, "Failed"),
        ("OnFailure", 0, "Succeeded"),
        ("OnFailure", 7, "Running"),
        ("Always", 0, "Running"),
    ] {
        let mut story = Story::new(&one(policy));
        story.take();
        story.started(0);
        story.exited(0, code);
        let restarted = story.take().contains(&begin(0, 1));
        assert_eq!(story.status()["phase"], phase, "{policy} {code}");
        assert_eq!(restarted, phase == "Running", "{policy} {code}");
        if phase != "Running" {
            assert!(story.life.is_over());
            let reason = if code == 0 { "PodCompleted" } else { "PodFailed" };
            assert_eq!(story.condition("Ready")["reason"], reason);
            assert_eq!(story.state("c")["state"]["terminated"]["exitCode"], code);
        }
    }
}

#[test]
fn init_containers_run_in_order_and_main_ones_together() {
    let spec = json!({
        "initContainers": [{ "name": "one", "image": "i" }, { "name": "two", "image": "i" }],
        "containers": [{ "name": "a", "image": "i" }, { "name": "b", "image": "i" }],
    });
    let mut story = Story::new(&pod(&spec));
    assert_eq!(story.take(), [begin(0, 0)]);
    assert_eq!(story.state("a")["state"]["waiting"]["reason"], "PodInitializing");
    assert_eq!(story.condition("Initialized")["message"], "containers with incomplete status: [one two]");
    story.started(0);
    assert_eq!(story.take(), []);
    story.exited(0, 1);
    assert_eq!(story.take(), [begin(0, 1)], "a failed init container is tried again");
    story.started(0);
    story.exited(0, 0);
    assert_eq!(story.take(), [begin(1, 0)]);
    story.started(1);
    assert_eq!(story.status()["phase"], "Pending");
    story.exited(1, 0);
    assert_eq!(story.take(), [begin(2, 0), begin(3, 0)]);
    assert_eq!(story.condition("Initialized")["status"], "True");
    story.started(2);
    assert_eq!(story.status()["phase"], "Pending", "one main container has not run yet");
    story.started(3);
    assert_eq!(story.status()["phase"], "Running");
}

#[test]
fn a_failed_init_container_fails_a_pod_that_never_restarts() {
    let spec = json!({
        "restartPolicy": "Never",
        "initContainers": [{ "name": "one", "image": "i" }],
        "containers": [{ "name": "a", "image": "i" }],
    });
    let mut story = Story::new(&pod(&spec));
    story.take();
    story.started(0);
    story.exited(0, 1);
    assert_eq!(story.status()["phase"], "Failed");
    assert_eq!(story.take(), [Action::RemoveSandbox]);
}

#[test]
fn a_sidecar_starts_first_and_is_stopped_last() {
    let spec = json!({
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 5,
        "initContainers": [{ "name": "side", "image": "i", "restartPolicy": "Always" }],
        "containers": [{ "name": "a", "image": "i" }],
    });
    let mut story = Story::new(&pod(&spec));
    assert_eq!(story.take(), [begin(0, 0)]);
    story.started(0);
    assert_eq!(story.take(), [begin(1, 0)]);
    story.started(1);
    story.exited(0, 1);
    assert_eq!(story.take(), [begin(0, 1)], "a sidecar is started again whatever the pod's policy");
    story.started(0);
    story.exited(1, 0);
    assert_eq!(story.take(), [Action::Stop { container: 0, grace: Duration::from_secs(5) }]);
    assert_eq!(story.status()["phase"], "Running");
    story.exited(0, 143);
    assert_eq!(story.status()["phase"], "Succeeded");
    assert_eq!(story.take(), [Action::RemoveSandbox]);
}

#[test]
fn a_missing_image_shows_its_error_and_then_its_back_off() {
    let mut story = Story::new(&one("Always"));
    for (wait, text) in [(10, "first"), (20, "second")] {
        assert_eq!(story.take(), [begin(0, 0)]);
        story.failed(0, FailureKind::Pull, "it is not there");
        let waiting = story.state("c")["state"]["waiting"].clone();
        assert_eq!(waiting, json!({ "reason": "ErrImagePull", "message": "it is not there" }), "{text}");
        assert_eq!(story.status()["phase"], "Pending");
        story.pass(2);
        let waiting = story.state("c")["state"]["waiting"].clone();
        assert_eq!(waiting["reason"], "ImagePullBackOff");
        assert_eq!(waiting["message"], "Back-off pulling image \"app:1\": ErrImagePull: it is not there");
        story.pass(wait - 3);
        assert_eq!(story.take(), []);
        story.pass(1);
    }
    assert_eq!(
        &story.events[..4],
        [
            "Failed: Failed to pull image \"app:1\": it is not there",
            "Failed: Error: ErrImagePull",
            "BackOff: Back-off pulling image \"app:1\"",
            "Failed: Error: ImagePullBackOff",
        ]
    );
    story.started(0);
    assert_eq!(story.status()["phase"], "Running");
    assert_eq!(story.state("c")["restartCount"], 0);
}

#[test]
fn a_new_image_name_is_tried_at_once() {
    let mut story = Story::new(&one("Always"));
    story.take();
    story.failed(0, FailureKind::ImageName, "no name");
    assert_eq!(story.state("c")["state"]["waiting"]["reason"], "InvalidImageName");
    let mended = pod(&json!({ "containers": [{ "name": "c", "image": "app:2" }] }));
    story.input(Input::Pod(mended));
    assert_eq!(story.take(), [begin(0, 0)]);
    story.started(0);
    let other = pod(&json!({ "containers": [{ "name": "c", "image": "app:3" }] }));
    story.input(Input::Pod(other));
    assert_eq!(story.take(), [Action::Stop { container: 0, grace: GRACE_DEFAULT }]);
    assert!(story.events.contains(&"Killing: Container c definition changed, will be restarted".to_owned()));
    story.exited(0, 0);
    assert_eq!(story.take(), [begin(0, 1)]);
}

#[test]
fn deletion_stops_within_the_grace_and_then_deletes_the_object() {
    let mut story = Story::new(&one("Always"));
    story.take();
    story.started(0);
    let spec = json!({ "restartPolicy": "Always", "containers": [{ "name": "c", "image": "app:1" }] });
    let deletion = |grace| json!({ "deletionTimestamp": "2026-01-01T00:01:00Z", "deletionGracePeriodSeconds": grace });
    story.input(Input::Pod(pod_with(&spec, &deletion(30))));
    assert_eq!(story.take(), [Action::Stop { container: 0, grace: Duration::from_secs(30) }]);
    assert_eq!(story.events.last().unwrap(), "Killing: Stopping container c");
    story.pass(10);
    assert_eq!(story.take(), []);
    story.input(Input::Pod(pod_with(&spec, &deletion(5))));
    assert_eq!(
        story.take(),
        [Action::Stop { container: 0, grace: Duration::from_secs(5) }],
        "less grace is asked again"
    );
    story.exited(0, 143);
    assert_eq!(story.take(), [Action::RemoveSandbox, Action::Finalize]);
    assert_eq!(story.status()["phase"], "Failed");
    story.input(Input::Pod(pod_with(&spec, &deletion(0))));
    assert_eq!(story.take(), [], "the object is deleted once");
    story.input(Input::Removed);
    assert!(story.life.is_over() && story.life.is_removed());
}

#[test]
fn removal_by_force_kills_and_writes_nothing() {
    let mut story = Story::new(&one("Always"));
    story.take();
    story.started(0);
    story.input(Input::Removed);
    assert_eq!(story.take(), [Action::Stop { container: 0, grace: Duration::ZERO }]);
    assert!(!story.life.is_over());
    story.exited(0, 137);
    assert_eq!(story.take(), [Action::RemoveSandbox]);
}

#[test]
fn deletion_during_the_start_gives_the_start_up() {
    let mut story = Story::new(&one("Always"));
    story.take();
    let spec = json!({ "containers": [{ "name": "c", "image": "app:1" }] });
    story.input(Input::Pod(pod_with(&spec, &json!({ "deletionTimestamp": "2026-01-01T00:01:00Z" }))));
    assert_eq!(story.take(), [Action::Cancel { container: 0 }]);
    story.failed(0, FailureKind::Cancelled, "given up");
    assert_eq!(story.take(), [Action::RemoveSandbox, Action::Finalize]);
}

#[test]
fn the_deadline_of_a_pod_fails_it() {
    let spec = json!({ "activeDeadlineSeconds": 60, "containers": [{ "name": "c", "image": "app:1" }] });
    let mut story = Story::new(&pod(&spec));
    story.take();
    story.started(0);
    assert_eq!(story.life.next_wake(), Some(after(start(), Duration::from_secs(60))));
    story.pass(60);
    assert_eq!(story.take(), [Action::Stop { container: 0, grace: GRACE_DEFAULT }]);
    story.exited(0, 143);
    let status = story.status();
    assert_eq!((&status["phase"], &status["reason"]), (&json!("Failed"), &json!("DeadlineExceeded")));
    assert_eq!(story.take(), [Action::RemoveSandbox]);
    assert_eq!(story.life.next_wake(), None);
}

#[test]
fn a_rejected_pod_fails_without_having_been_started() {
    let mut life = PodLife::new(one("Always"), HOST, start());
    let actions = life.observe(Input::Rejected { reason: "OutOfpods", message: "too many".into() }, start());
    assert!(!actions.iter().any(|action| matches!(action, Action::CreateSandbox | Action::Start { .. })));
    let status = life.status(start());
    assert_eq!((&status["phase"], &status["reason"]), (&json!("Failed"), &json!("OutOfpods")));
    assert_eq!(status["message"], "Pod was rejected: too many");
}

#[test]
fn readiness_gates_hold_the_pod_back() {
    let spec = json!({
        "containers": [{ "name": "c", "image": "i" }],
        "readinessGates": [{ "conditionType": "example.com/up" }],
    });
    let mut story = Story::new(&pod(&spec));
    story.started(0);
    assert_eq!(story.condition("ContainersReady")["status"], "True");
    let ready = story.condition("Ready");
    assert_eq!(ready["reason"], "ReadinessGatesNotReady");
    let mut open = (*pod(&spec)).clone();
    let status = json!({ "conditions": [{ "type": "example.com/up", "status": "True" }] });
    open.status = serde_json::from_value(status).unwrap();
    story.input(Input::Pod(Arc::new(open)));
    assert_eq!(story.condition("Ready")["status"], "True");
}

fn with_status(policy: &str, status: &Value) -> Arc<Pod> {
    let mut object = (*one(policy)).clone();
    object.status = serde_json::from_value(status.clone()).unwrap();
    Arc::new(object)
}

#[test]
fn what_ran_when_the_host_went_down_is_started_again() {
    let status = json!({
        "phase": "Running",
        "startTime": "2025-12-31T00:00:00Z",
        "containerStatuses": [{
            "name": "c", "image": "app:1", "imageID": "x", "restartCount": 4, "ready": true,
            "containerID": "coracle://old",
            "state": { "running": { "startedAt": "2025-12-31T00:00:01Z" } },
        }],
    });
    let mut story = Story::new(&with_status("Always", &status));
    assert_eq!(story.take(), [begin(0, 5)]);
    story.started(0);
    let state = story.state("c");
    let last = &state["lastState"]["terminated"];
    assert_eq!((&last["exitCode"], &last["reason"]), (&json!(255), &json!("Unknown")));
    assert_eq!((&last["containerID"], &state["restartCount"]), (&json!("coracle://old"), &json!(5)));
    assert_eq!(story.status()["startTime"], "2025-12-31T00:00:00Z");

    let mut never = Story::new(&with_status("Never", &status));
    assert_eq!(never.take(), [Action::RemoveSandbox], "it has ended, and its policy is not to start it again");
    assert_eq!(never.status()["phase"], "Failed");
}

#[test]
fn what_had_finished_stays_finished() {
    let status = json!({
        "phase": "Succeeded",
        "containerStatuses": [{
            "name": "c", "image": "app:1", "imageID": "x", "restartCount": 0, "ready": false,
            "state": { "terminated": { "exitCode": 0, "reason": "Completed" } },
        }],
    });
    let mut story = Story::new(&with_status("OnFailure", &status));
    assert_eq!(story.take(), [Action::RemoveSandbox]);
    assert!(story.life.is_finished());
    assert_eq!(story.status()["phase"], "Succeeded");
}

/// What a random history does next.
#[derive(Debug, Clone)]
enum Chance {
    Answer { which: prop::sample::Index, outcome: u8 },
    Exit { which: prop::sample::Index, code: i32 },
    Pass { seconds: u64 },
    Delete { grace: i64 },
    Remove,
    ChangeImage,
}

fn chance() -> impl Strategy<Value = Chance> {
    prop_oneof![
        12 => (any::<prop::sample::Index>(), 0u8..10).prop_map(|(which, outcome)| Chance::Answer { which, outcome }),
        10 => (any::<prop::sample::Index>(), prop_oneof![Just(0), Just(1), Just(137)])
            .prop_map(|(which, code)| Chance::Exit { which, code }),
        8 => (0u64..400).prop_map(|seconds| Chance::Pass { seconds }),
        1 => (0i64..60).prop_map(|grace| Chance::Delete { grace }),
        1 => Just(Chance::Remove),
        1 => Just(Chance::ChangeImage),
    ]
}

fn any_spec() -> impl Strategy<Value = Value> {
    let policy = prop_oneof![Just("Always"), Just("OnFailure"), Just("Never")];
    let init = prop::collection::vec(any::<bool>(), 0..3);
    let deadline = prop::option::weighted(0.2, 1i64..2000);
    (policy, init, 1usize..3, deadline).prop_map(|(policy, init, main, deadline)| {
        let init: Vec<_> = init
            .iter()
            .enumerate()
            .map(|(index, sidecar)| {
                json!({ "name": format!("i{index}"), "image": "i", "restartPolicy": sidecar.then_some("Always") })
            })
            .collect();
        let main: Vec<_> = (0..main).map(|index| json!({ "name": format!("m{index}"), "image": "i" })).collect();
        json!({
            "restartPolicy": policy, "initContainers": init, "containers": main, "activeDeadlineSeconds": deadline,
        })
    })
}

/// The world around a life: what is starting, what runs, and what must always hold.
struct World {
    spec: Value,
    story: Story,
    starting: HashSet<usize>,
    running: HashSet<usize>,
    /// Whether a container has come to its end with code 0, or ever ran.
    passed: HashSet<usize>,
    ran: HashSet<usize>,
    restarts: HashMap<usize, u32>,
    sandbox_removed: bool,
    finalized: bool,
    ending: bool,
    /// Once the object has a deletion time it keeps it.
    deletion: Option<i64>,
    images: u32,
}

impl World {
    fn new(spec: Value) -> Self {
        let mut world = Self {
            story: Story::new(&pod(&spec)),
            spec,
            starting: HashSet::new(),
            running: HashSet::new(),
            passed: HashSet::new(),
            ran: HashSet::new(),
            restarts: HashMap::new(),
            sandbox_removed: false,
            finalized: false,
            ending: false,
            deletion: None,
            images: 0,
        };
        world.settle();
        world
    }

    fn init(&self) -> usize {
        self.spec["initContainers"].as_array().unwrap().len()
    }

    fn is_sidecar(&self, container: usize) -> bool {
        self.spec["initContainers"][container]["restartPolicy"] == "Always"
    }

    fn settle(&mut self) {
        for action in self.story.take() {
            match action {
                Action::Start { container, restart } => {
                    assert!(!self.ending && !self.sandbox_removed, "nothing starts in a pod that ends");
                    assert!(!self.running.contains(&container) && self.starting.insert(container));
                    let before = if container < self.init() { container } else { self.init() };
                    for earlier in 0..before {
                        let set = if self.is_sidecar(earlier) { &self.ran } else { &self.passed };
                        assert!(set.contains(&earlier), "container {container} is early");
                    }
                    let last = self.restarts.insert(container, restart);
                    assert!(last.is_none_or(|last| restart == last || restart == last + 1));
                }
                Action::Cancel { container } => assert!(self.starting.contains(&container)),
                Action::Stop { container, .. } => assert!(self.running.contains(&container)),
                Action::RemoveSandbox => {
                    assert!(self.running.is_empty() && self.starting.is_empty());
                    assert!(!std::mem::replace(&mut self.sandbox_removed, true));
                }
                Action::Finalize => {
                    assert!(self.sandbox_removed && self.deletion.is_some());
                    assert!(!std::mem::replace(&mut self.finalized, true));
                }
                Action::CreateSandbox | Action::CancelSandbox | Action::Probe { .. } | Action::Record(_) => {
                    unreachable!()
                }
            }
        }
        let phase = self.story.status()["phase"].clone();
        if phase == "Succeeded" || phase == "Failed" {
            self.ending = true;
        }
    }

    fn answer(&mut self, container: usize, outcome: u8) {
        self.starting.remove(&container);
        match outcome {
            0 => self.story.failed(container, FailureKind::Pull, "x"),
            1 => self.story.failed(container, FailureKind::Config, "x"),
            2 => self.story.failed(container, FailureKind::Run, "x"),
            _ => {
                self.running.insert(container);
                self.ran.insert(container);
                self.story.started(container);
            }
        }
        self.settle();
    }

    fn exit(&mut self, container: usize, code: i32) {
        self.running.remove(&container);
        if code == 0 {
            self.passed.insert(container);
        }
        self.story.exited(container, code);
        self.settle();
    }

    fn object(&self) -> Arc<Pod> {
        let mut spec = self.spec.clone();
        if self.images > 0 {
            spec["containers"][0]["image"] = format!("i:{}", self.images).into();
        }
        let metadata = match self.deletion {
            Some(grace) => {
                json!({ "deletionTimestamp": "2026-01-02T00:00:00Z", "deletionGracePeriodSeconds": grace })
            }
            None => json!({}),
        };
        pod_with(&spec, &metadata)
    }

    fn live(&mut self, chance: &Chance) {
        let pick = |set: &HashSet<usize>, which: &prop::sample::Index| {
            let mut all: Vec<_> = set.iter().copied().collect();
            all.sort_unstable();
            (!all.is_empty()).then(|| all[which.index(all.len())])
        };
        match chance {
            Chance::Answer { which, outcome } => {
                if let Some(container) = pick(&self.starting, which) {
                    self.answer(container, *outcome);
                }
            }
            Chance::Exit { which, code } => {
                if let Some(container) = pick(&self.running, which) {
                    self.exit(container, *code);
                }
            }
            Chance::Pass { seconds } => {
                self.story.pass(*seconds);
                self.settle();
            }
            Chance::Delete { grace } => {
                self.deletion = Some(self.deletion.map_or(*grace, |old| old.min(*grace)));
                self.ending = true;
                self.story.input(Input::Pod(self.object()));
                self.settle();
            }
            Chance::Remove => {
                self.ending = true;
                self.story.input(Input::Removed);
                self.settle();
            }
            Chance::ChangeImage => {
                self.images += 1;
                self.story.input(Input::Pod(self.object()));
                self.settle();
            }
        }
    }

    /// Answers everything that is open until nothing is.
    fn drain(&mut self) {
        while let Some(container) = self.starting.iter().next().copied() {
            self.answer(container, 9);
        }
        while let Some(container) = self.running.iter().next().copied() {
            self.exit(container, 143);
        }
    }
}

proptest! {
    #[test]
    fn any_history_keeps_the_rules_and_can_be_ended(spec in any_spec(), chances in prop::collection::vec(chance(), 0..80)) {
        let mut world = World::new(spec);
        let mut phase_before = Value::Null;
        for chance in &chances {
            world.live(chance);
            let phase = world.story.status()["phase"].clone();
            let terminal = |phase: &Value| phase == "Succeeded" || phase == "Failed";
            prop_assert!(!terminal(&phase_before) || phase == phase_before, "a finished pod stays finished");
            prop_assert!(phase_before != "Running" || phase != "Pending" , "a pod that ran does not go back");
            if !world.ending && world.starting.is_empty() && world.running.is_empty() {
                prop_assert!(world.story.life.next_wake().is_some(), "something must be due: {:?}", world.story.life);
            }
            phase_before = phase;
        }
        world.live(&Chance::Delete { grace: 1 });
        for _ in 0..4 {
            world.drain();
        }
        prop_assert!(world.story.life.is_over() && world.sandbox_removed);
        prop_assert!(world.finalized || world.story.life.is_removed());
    }
}
