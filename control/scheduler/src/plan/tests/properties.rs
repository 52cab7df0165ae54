//! What must hold for every cluster and every batch.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::json;

use crate::node::{Node, NodeSpec, Taint};
use crate::plan::{Outcome, Plan, plan};
use crate::pod::tests::pod;
use crate::pod::{HostPort, NodeExpression, NodeTerm, Pod, Requirements, Toleration};
use crate::resources::Resources;
use crate::snapshot::Snapshot;

const ZONES: [&str; 3] = ["red", "green", "blue"];

fn node_specs() -> impl Strategy<Value = Vec<NodeSpec>> {
    let one = (0_i64..8000, 0_i64..(16 << 30), 0_i64..6, 0_i64..3, 0..ZONES.len(), any::<bool>(), any::<bool>());
    let spec = one.prop_map(|(milli_cpu, memory_bytes, pod_slots, dongles, zone, tainted, unschedulable)| {
        let taint = Taint { key: "zone".to_owned(), value: ZONES[zone].to_owned(), effect: "NoSchedule".to_owned() };
        NodeSpec {
            labels: [("zone".to_owned(), ZONES[zone].to_owned())].into(),
            taints: tainted.then_some(taint).into_iter().collect(),
            unschedulable,
            allocatable: Resources {
                milli_cpu,
                memory_bytes,
                scalars: [("example.com/dongle".to_owned(), dongles)].into(),
                ..Resources::default()
            },
            pod_slots,
            ..NodeSpec::default()
        }
    });
    prop::collection::vec(spec, 0..12).prop_map(|mut specs| {
        for (number, spec) in specs.iter_mut().enumerate() {
            spec.name = format!("node-{number}").into();
        }
        specs
    })
}

fn requirements() -> impl Strategy<Value = Requirements> {
    let amounts = (0_i64..3000, 0_i64..(6 << 30), 0_i64..2);
    let places = (
        prop::option::of(0..ZONES.len()),
        prop::option::of(0..ZONES.len()),
        prop::option::of(8080..8082),
        any::<bool>(),
    );
    (amounts, places).prop_map(|((milli_cpu, memory_bytes, dongles), (selected, avoided, port, tolerant))| {
        let avoid = |zone: usize| NodeExpression {
            key: "zone".to_owned(),
            operator: "NotIn".to_owned(),
            values: vec![ZONES[zone].to_owned()],
        };
        Requirements {
            requests: Resources {
                milli_cpu,
                memory_bytes,
                scalars: [("example.com/dongle".to_owned(), dongles)].into(),
                ..Resources::default()
            },
            scored_milli_cpu: milli_cpu,
            scored_memory_bytes: memory_bytes,
            node_selector: selected.map(|zone| ("zone".to_owned(), ZONES[zone].to_owned())).into_iter().collect(),
            required_node_terms: avoided
                .map(|zone| vec![NodeTerm { expressions: vec![avoid(zone)], fields: Vec::new() }]),
            tolerations: tolerant
                .then(|| Toleration { operator: "Exists".to_owned(), ..Toleration::default() })
                .into_iter()
                .collect(),
            host_ports: port
                .map(|port| HostPort { protocol: "TCP".to_owned(), port, address: "0.0.0.0".to_owned() })
                .into_iter()
                .collect(),
            ..Requirements::default()
        }
    })
}

fn pods() -> impl Strategy<Value = Vec<Arc<Pod>>> {
    let one = (requirements(), -2..3_i32, prop::bool::weighted(0.05));
    prop::collection::vec(one, 0..40).prop_map(|all| {
        let numbered = all.into_iter().enumerate().map(|(number, (requirements, priority, gated))| {
            let requirements = Arc::new(requirements);
            Arc::new(Pod { priority, gated, requirements, ..pod(&format!("pod-{number}"), json!({})) })
        });
        numbered.collect()
    })
}

fn snapshot_of(specs: &[NodeSpec]) -> Snapshot {
    let mut snapshot = Snapshot::new();
    for spec in specs {
        snapshot.set_node(spec.clone());
    }
    snapshot
}

/// The nodes after everything that was decided has happened.
fn carried_out(specs: &[NodeSpec], pods: &[Arc<Pod>], plan: &Plan) -> Vec<Node> {
    let mut nodes: Vec<Node> = specs.iter().cloned().map(Node::new).collect();
    for decision in &plan.decisions {
        if let Outcome::Bind { node } = &decision.outcome {
            let pod = pods.iter().find(|pod| pod.key == decision.pod).expect("only given pods are decided on");
            let node =
                nodes.iter_mut().find(|candidate| candidate.spec.name == *node).expect("only given nodes are chosen");
            node.add_pod(pod.clone());
        }
    }
    nodes
}

/// Whether the pod may be on this node at all, whoever else is there; written without the plugins.
fn allowed(pod: &Pod, node: &NodeSpec) -> bool {
    let needs = &pod.requirements;
    let zone = &node.labels["zone"];
    let tolerant = !needs.tolerations.is_empty();
    let avoided = |terms: &Vec<NodeTerm>| terms[0].expressions[0].values.contains(zone);
    needs.node_selector.get("zone").is_none_or(|wanted| wanted == zone)
        && !needs.required_node_terms.as_ref().is_some_and(avoided)
        && (tolerant || (node.taints.is_empty() && !node.unschedulable))
}

/// Whether everything on the node fits into it; written without the plugins.
fn holds(node: &Node) -> bool {
    let sum =
        |amount: &dyn Fn(&Resources) -> i64| node.pods().map(|pod| amount(&pod.requirements.requests)).sum::<i64>();
    let mut ports: Vec<i32> =
        node.pods().flat_map(|pod| pod.requirements.host_ports.iter().map(|port| port.port)).collect();
    let port_count = ports.len();
    ports.sort_unstable();
    ports.dedup();
    let has = &node.spec.allocatable;
    node.pods().count() as i64 <= node.spec.pod_slots
        && sum(&|requests| requests.milli_cpu) <= has.milli_cpu
        && sum(&|requests| requests.memory_bytes) <= has.memory_bytes
        && sum(&|requests| requests.scalar("example.com/dongle")) <= has.scalar("example.com/dongle")
        && ports.len() == port_count
}

proptest! {
    #[test]
    fn no_node_gives_more_than_it_has_or_takes_who_may_not_be_there(specs in node_specs(), pods in pods()) {
        let plan = plan(&snapshot_of(&specs), &pods);
        for node in carried_out(&specs, &pods, &plan) {
            prop_assert!(holds(&node), "{node:?}");
            for pod in node.pods() {
                prop_assert!(allowed(pod, &node.spec), "{pod:?} on {node:?}");
                prop_assert!(!pod.gated);
            }
        }
    }

    #[test]
    fn every_pod_gets_one_decision_and_the_same_one_each_time(specs in node_specs(), pods in pods()) {
        let snapshot = snapshot_of(&specs);
        let first = plan(&snapshot, &pods);
        let mut decided: Vec<_> = first.decisions.iter().map(|decision| decision.pod.clone()).collect();
        decided.sort();
        let mut given: Vec<_> = pods.iter().map(|pod| pod.key.clone()).collect();
        given.sort();
        prop_assert_eq!(decided, given);
        let backwards: Vec<_> = pods.iter().rev().cloned().collect();
        prop_assert_eq!(&first, &plan(&snapshot, &backwards));
    }

    #[test]
    fn a_pod_is_refused_only_if_no_node_has_room_for_it(specs in node_specs(), pods in pods()) {
        let plan = plan(&snapshot_of(&specs), &pods);
        let nodes = carried_out(&specs, &pods, &plan);
        for decision in &plan.decisions {
            if !matches!(decision.outcome, Outcome::Unschedulable { .. }) {
                continue;
            }
            let refused = pods.iter().find(|pod| pod.key == decision.pod).expect("a given pod");
            for node in &nodes {
                let mut with = node.clone();
                with.add_pod(refused.clone());
                prop_assert!(!(allowed(refused, &node.spec) && holds(&with)), "{refused:?} fits on {node:?}");
            }
        }
    }
}
