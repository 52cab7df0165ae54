use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Step, plan};
use crate::deployment::strategy::{DESIRED, MAX, Set, available, replicas, room, size, sizes};
use crate::observed::Whole;

fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (name, value) in patch {
        merge(&mut target[name.as_str()], value);
    }
}

/// A Deployment with its sets, and of each set the pods that are available.
struct World {
    deployment: Value,
    sets: Vec<(Value, i32)>,
    made: i64,
}

impl World {
    fn new(replicas: i32, strategy: &Value) -> Self {
        let template =
            json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "main", "image": "v0"}]}});
        let spec = json!({
            "replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": template,
            "strategy": strategy, "revisionHistoryLimit": 2,
        });
        let metadata =
            json!({"name": "web", "namespace": "n", "uid": "d", "generation": 1, "annotations": {"note": "x"}});
        Self { deployment: json!({"metadata": metadata, "spec": spec}), sets: Vec::new(), made: 0 }
    }

    fn deployment(&self) -> Whole<Deployment> {
        Whole::new(serde_json::from_value(self.deployment.clone()).expect("a Deployment"))
    }

    fn sets(&self) -> Vec<Set> {
        let set = |(set, available): &(Value, i32)| {
            let mut set = set.clone();
            let replicas = &set["spec"]["replicas"];
            set["status"] = json!({"replicas": replicas, "availableReplicas": available, "observedGeneration": 1});
            let set: ReplicaSet = serde_json::from_value(set).expect("a ReplicaSet");
            Arc::new(Whole::new(set))
        };
        self.sets.iter().map(set).collect()
    }

    fn place(&self, set: &Set) -> usize {
        self.sets.iter().position(|(known, _)| known["metadata"]["name"] == set.name()).expect("a set of ours")
    }

    /// Carries out one step; `false` when there is nothing to do.
    fn step(&mut self) -> bool {
        let deployment = self.deployment();
        match plan(&deployment, &self.sets(), false) {
            Step::Done { .. } => return false,
            Step::Create(set) => {
                let mut set = json!(set);
                self.made += 1;
                set["metadata"]["uid"] = json!(format!("s{}", self.made));
                set["metadata"]["generation"] = json!(1);
                let created = jiff::Timestamp::from_second(self.made).expect("a time");
                set["metadata"]["creationTimestamp"] = json!(created.to_string());
                let taken = self.sets.iter().any(|(known, _)| known["metadata"]["name"] == set["metadata"]["name"]);
                assert!(!taken, "a set of this name is there");
                self.sets.push((set, 0));
            }
            Step::Patch(set, patch) => {
                let place = self.place(&set);
                merge(&mut self.sets[place].0, &patch);
            }
            Step::PatchSelf(patch) => merge(&mut self.deployment, &patch),
            Step::Scale(set, to) => {
                assert!(to >= 0);
                let place = self.place(&set);
                let wanted = replicas(&deployment);
                let annotations = json!({DESIRED: wanted.to_string(), MAX: (wanted + room(&deployment).0).to_string()});
                merge(
                    &mut self.sets[place].0,
                    &json!({"metadata": {"annotations": annotations}, "spec": {"replicas": to}}),
                );
                // Pods that are not available go first.
                self.sets[place].1 = self.sets[place].1.min(to);
            }
            Step::Delete(set) => {
                assert_eq!(size(&set), 0);
                let place = self.place(&set);
                self.sets.remove(place);
            }
        }
        true
    }

    fn settle(&mut self) {
        for _ in 0..500 {
            if !self.step() {
                let before: Vec<i32> = self.sets.iter().map(|(_, available)| *available).collect();
                for set in 0..self.sets.len() {
                    self.become_available(set, 1);
                }
                let after: Vec<i32> = self.sets.iter().map(|(_, available)| *available).collect();
                if before == after {
                    return;
                }
            }
        }
        panic!("it does not settle");
    }

    fn become_available(&mut self, set: usize, count: i32) {
        if self.sets.is_empty() {
            return;
        }
        let set = set % self.sets.len();
        let size = i32::try_from(self.sets[set].0["spec"]["replicas"].as_i64().expect("a size")).expect("a size");
        self.sets[set].1 = (self.sets[set].1 + count).clamp(0, size);
    }

    fn sized(&self) -> Vec<i32> {
        self.sets().iter().map(|set| size(set)).collect()
    }
}

fn rolling(surge: &Value, unavailable: &Value) -> Value {
    json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}})
}

#[test]
fn a_new_template_moves_all_pods_and_leaves_a_history() {
    let mut world = World::new(4, &rolling(&json!("25%"), &json!("25%")));
    world.settle();
    for version in 1..6 {
        world.deployment["spec"]["template"]["spec"]["containers"][0]["image"] = json!(format!("v{version}"));
        world.settle();
    }
    assert_eq!(world.sized(), [0, 0, 4]);
    assert_eq!(world.deployment["metadata"]["annotations"]["deployment.kubernetes.io/revision"], "6");
    let newest = &world.sets[2].0["metadata"]["annotations"];
    assert_eq!((&newest["deployment.kubernetes.io/revision"], &newest["note"]), (&json!("6"), &json!("x")));
}

#[test]
fn going_back_takes_the_old_set_as_a_new_revision() {
    let mut world = World::new(2, &rolling(&json!(1), &json!(0)));
    world.settle();
    world.deployment["spec"]["template"]["spec"]["containers"][0]["image"] = json!("v1");
    world.settle();
    world.deployment["spec"]["template"]["spec"]["containers"][0]["image"] = json!("v0");
    world.settle();
    assert_eq!(world.sized(), [2, 0]);
    let annotations = &world.sets[0].0["metadata"]["annotations"];
    assert_eq!(annotations["deployment.kubernetes.io/revision"], "3");
    assert_eq!(annotations["deployment.kubernetes.io/revision-history"], "1");
}

#[test]
fn a_paused_deployment_scales_in_proportion_and_does_not_move() {
    let mut world = World::new(10, &rolling(&json!(3), &json!(2)));
    world.settle();
    world.deployment["spec"]["template"]["spec"]["containers"][0]["image"] = json!("v1");
    while world.step() {}
    assert_eq!(world.sized(), [8, 5]);
    world.deployment["spec"]["paused"] = json!(true);
    world.deployment["spec"]["replicas"] = json!(15);
    while world.step() {}
    assert_eq!(world.sized(), [11, 7], "the example of the documentation");
}

#[test]
fn recreation_waits_until_all_old_pods_are_gone() {
    let mut world = World::new(3, &json!({"type": "Recreate"}));
    world.settle();
    world.deployment["spec"]["template"]["spec"]["containers"][0]["image"] = json!("v1");
    assert!(world.step());
    assert_eq!(world.sized(), [0]);
    assert!(matches!(plan(&world.deployment(), &world.sets(), true), Step::Done { .. }));
    world.settle();
    assert_eq!(world.sized(), [0, 3]);
}

#[derive(Clone, Debug)]
enum Change {
    Image(u8),
    Replicas(i32),
    Pause(bool),
    Available(usize, i32),
    Step(u8),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        2 => (0..4_u8).prop_map(Change::Image),
        1 => (0..12_i32).prop_map(Change::Replicas),
        1 => any::<bool>().prop_map(Change::Pause),
        6 => (0..6_usize, -1..4_i32).prop_map(|(set, count)| Change::Available(set, count)),
        6 => (1..5_u8).prop_map(Change::Step),
    ];
    prop::collection::vec(change, 1..60)
}

fn strategies() -> impl Strategy<Value = Value> {
    let amount = || {
        prop_oneof![
            (0..5_i32).prop_map(|number| json!(number)),
            (0..101_i32).prop_map(|percent| json!(format!("{percent}%")))
        ]
    };
    prop_oneof![4 => (amount(), amount()).prop_map(|(surge, unavailable)| rolling(&surge, &unavailable)), 1 => Just(json!({"type": "Recreate"}))]
}

proptest! {
    #[test]
    fn no_step_has_too_many_or_too_few_and_all_ends_well(strategy in strategies(), changes in changes()) {
        let mut world = World::new(5, &strategy);
        for change in changes {
            match change {
                Change::Image(version) => world.deployment["spec"]["template"]["spec"]["containers"][0]["image"] = json!(format!("v{version}")),
                Change::Replicas(count) => world.deployment["spec"]["replicas"] = json!(count),
                Change::Pause(paused) => world.deployment["spec"]["paused"] = json!(paused),
                Change::Available(set, count) => world.become_available(set, count),
                Change::Step(count) => for _ in 0..count {
                    let deployment = world.deployment();
                    let (before, there) = (sizes(&world.sets()), world.sets().iter().map(|set| available(set)).sum::<i32>());
                    world.step();
                    let (surge, unavailable) = room(&deployment);
                    let wanted = replicas(&deployment);
                    let sets = world.sets();
                    prop_assert!(sizes(&sets) <= before.max(wanted + surge), "too many: {:?}", world.sized());
                    let recreating = strategy["type"] == "Recreate";
                    let paused = deployment.spec.as_ref().and_then(|spec| spec.paused) == Some(true);
                    let now: i32 = sets.iter().map(|set| available(set)).sum();
                    // Recreation stops everything, and proportional scaling looks at sizes only, as upstream's.
                    if !recreating && !paused && sets.iter().all(|set| size(set) == 0 || set.annotation(DESIRED) == Some(wanted.to_string().as_str())) && before <= wanted + surge {
                        prop_assert!(now >= there.min(wanted - unavailable), "too few: {now} of {there}");
                    }
                },
            }
        }
        world.deployment["spec"]["paused"] = json!(false);
        world.settle();
        let wanted = replicas(&world.deployment());
        prop_assert_eq!(sizes(&world.sets()), wanted);
        prop_assert_eq!(world.sized().into_iter().filter(|size| *size > 0).count(), usize::from(wanted > 0));
    }
}
