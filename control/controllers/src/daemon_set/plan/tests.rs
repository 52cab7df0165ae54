use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::json;

use super::{Place, Wanted, places, plan};
use crate::daemon_set::nodes::{Eligible, eligible, send_to, tolerations};
use crate::observed::{Node, Phase, Pod};

const HERE: Eligible = Eligible { run: true, stay: true };

fn now() -> Timestamp {
    Timestamp::from_second(1_000_000).expect("a time")
}

fn wanted(hash: &str, unavailable: usize, surge: usize) -> Wanted {
    Wanted { hash: hash.to_owned(), min_ready_seconds: 0, rolling: Some((unavailable, surge)) }
}

fn pod(node: &str, hash: &str, made: usize) -> Arc<Pod> {
    let object = json!({
        "metadata": {"name": format!("p{made}"), "namespace": "n", "uid": format!("u{made}"), "labels": {"controller-revision-hash": hash},
            "creationTimestamp": Timestamp::from_second(i64::try_from(made).expect("small")).expect("a time").to_string()},
        "spec": {"nodeName": node, "containers": []},
    });
    Arc::new(Pod::from_api(&serde_json::from_value(object).expect("a Pod")))
}

/// The nodes and the pods on them.
struct World {
    nodes: BTreeMap<Arc<str>, Eligible>,
    pods: Vec<Arc<Pod>>,
    made: usize,
}

impl World {
    fn new(count: usize) -> Self {
        let nodes = (0..count).map(|node| (Arc::from(format!("n{node}")), HERE)).collect();
        Self { nodes, pods: Vec::new(), made: 0 }
    }

    fn places(&self) -> Vec<Place> {
        places(self.nodes.clone(), &self.pods)
    }

    fn step(&mut self, wanted: &Wanted) -> bool {
        let plan = plan(wanted, &self.places(), now());
        for doomed in &plan.delete {
            let place = self.pods.iter().position(|pod| pod.meta.uid == doomed.meta.uid).expect("it is there");
            assert!(!self.pods[place].meta.deleting);
            Arc::make_mut(&mut self.pods[place]).meta.deleting = true;
        }
        for node in &plan.create_on {
            self.made += 1;
            self.pods.push(pod(node, &wanted.hash, self.made));
        }
        !plan.delete.is_empty() || !plan.create_on.is_empty()
    }

    fn work(&mut self) {
        self.pods.retain(|pod| !pod.meta.deleting);
        for pod in self.pods.iter_mut().filter(|pod| !pod.finished) {
            let pod = Arc::make_mut(pod);
            (pod.phase, pod.ready_since) = (Phase::Running, Some(Timestamp::MIN));
        }
    }

    fn settle(&mut self, wanted: &Wanted) {
        for _ in 0..200 {
            if !self.step(wanted) && self.pods.iter().all(|pod| !pod.meta.deleting && pod.is_ready()) {
                return;
            }
            self.work();
        }
        panic!("it does not settle");
    }

    fn available(&self, wanted: &Wanted) -> usize {
        let available = |place: &Place| place.pods.iter().any(|pod| wanted.is_available(pod, now()));
        self.places().iter().filter(|place| available(place)).count()
    }
}

fn node(object: serde_json::Value) -> Node {
    Node::from_api(&serde_json::from_value(object).expect("a Node"))
}

#[test]
fn a_node_is_eligible_by_labels_names_and_taints() {
    let tainted = |key: &str, effect: &str| {
        node(
            json!({"metadata": {"name": "a", "labels": {"disk": "ssd"}}, "spec": {"taints": [{"key": key, "effect": effect}]}}),
        )
    };
    let spec = serde_json::from_value(json!({"containers": [], "nodeSelector": {"disk": "ssd"}})).expect("a spec");
    let judged = |node: &Node| {
        let found = eligible(&spec, &tolerations(&spec), node);
        (found.run, found.stay)
    };
    assert_eq!(judged(&node(json!({"metadata": {"name": "a"}}))), (false, false));
    assert_eq!(judged(&tainted("node.kubernetes.io/unschedulable", "NoSchedule")), (true, true));
    assert_eq!(judged(&tainted("node.kubernetes.io/unreachable", "NoExecute")), (true, true));
    assert_eq!(judged(&tainted("mine", "NoSchedule")), (false, true));
    assert_eq!(judged(&tainted("mine", "NoExecute")), (false, false));
    let mut spec = spec.clone();
    send_to(&mut spec, "b");
    assert!(!eligible(&spec, &[], &node(json!({"metadata": {"name": "a", "labels": {"disk": "ssd"}}}))).stay);
    let sent = json!({"metadata": {"name": "p"}, "spec": spec});
    let sent = Pod::from_api(&serde_json::from_value(sent).expect("a Pod"));
    assert_eq!(sent.destination().map(|node| &**node), Some("b"));
}

#[test]
fn pods_follow_the_nodes() {
    let mut world = World::new(3);
    let wanted = wanted("a", 1, 0);
    world.settle(&wanted);
    assert_eq!(world.pods.len(), 3);
    world.nodes.insert(Arc::from("n0"), Eligible { run: false, stay: true });
    world.nodes.insert(Arc::from("n1"), Eligible { run: false, stay: false });
    world.settle(&wanted);
    assert_eq!(world.pods.len(), 2, "what runs may stay where nothing new may come");
}

proptest! {
    #[test]
    fn an_update_keeps_within_its_room(nodes in 1..12_usize, unavailable in 0..4_usize, surge in 0..4_usize, breaks in prop::collection::vec(0..12_usize, 0..20)) {
        let (unavailable, surge) = if surge == 0 { (unavailable.max(1), 0) } else { (0, surge) };
        let mut world = World::new(nodes);
        world.settle(&wanted("a", unavailable, surge));
        let wanted = wanted("b", unavailable, surge);
        let mut breaks = breaks.into_iter();
        for _ in 0..100 {
            let before = world.available(&wanted);
            world.step(&wanted);
            prop_assert!(world.available(&wanted) >= before.min(nodes.saturating_sub(unavailable)), "too few");
            prop_assert!(world.places().iter().filter(|place| place.pods.iter().filter(|pod| !pod.meta.deleting).count() > 1).count() <= surge);
            match breaks.next() {
                // Somebody else takes a pod away.
                Some(place) if !world.pods.is_empty() => {
                    let place = place % world.pods.len();
                    Arc::make_mut(&mut world.pods[place]).meta.deleting = true;
                }
                _ => world.work(),
            }
        }
        world.settle(&wanted);
        prop_assert_eq!(world.pods.len(), nodes);
        prop_assert!(world.pods.iter().all(|pod| wanted.is_new(pod)));
    }
}
