//! How many pods a second the pure plan places, by the size of the cluster. No API, no store: what the scheduler itself
//! costs.

#![expect(clippy::print_stdout, reason = "the figures are the output")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use coracle_control_scheduler::{
    MEMORY_BYTES_DEFAULT, MILLI_CPU_DEFAULT, NodeSpec, Outcome, Pod, PodKey, Requirements, Resources, Snapshot, plan,
};

/// Pods that are planned together, as the driver does by default.
const BATCH: usize = 512;
/// Pods that each size of cluster gets.
const PODS: usize = 10_240;

fn main() {
    println!("| nodes | pods placed per second | one pod alone |");
    println!("|---|---|---|");
    for nodes in [1, 100, 1000, 5000] {
        let batched = place(nodes, PODS, BATCH);
        let alone = place(nodes, 1000, 1) / 1000;
        println!("| {nodes} | {:.0} | {alone:.1?} |", PODS as f64 / batched.as_secs_f64());
    }
}

/// The time that it takes to place the pods on an empty cluster, batch by batch, each seeing what came before.
fn place(nodes: usize, pods: usize, batch: usize) -> Duration {
    let mut snapshot = Snapshot::new();
    for number in 0..nodes {
        snapshot.set_node(node(number, pods));
    }
    let requirements = Arc::new(Requirements {
        requests: Resources { milli_cpu: 100, memory_bytes: 64 << 20, ..Resources::default() },
        scored_milli_cpu: MILLI_CPU_DEFAULT,
        scored_memory_bytes: MEMORY_BYTES_DEFAULT,
        ..Requirements::default()
    });
    let waiting: Vec<Arc<Pod>> = (0..pods).map(|number| Arc::new(pod(number, &requirements))).collect();
    let start = Instant::now();
    for batch in waiting.chunks(batch) {
        let plan = plan(&snapshot, batch);
        snapshot.set_next_start(plan.next_start);
        for (decision, pod) in plan.decisions.iter().zip(batch) {
            match &decision.outcome {
                Outcome::Bind { node } => snapshot.add_pod(node, pod.clone()),
                other => panic!("there is room for every pod: {other:?}"),
            }
        }
    }
    start.elapsed()
}

fn node(number: usize, pods: usize) -> NodeSpec {
    let room = i64::try_from(pods).unwrap_or(i64::MAX);
    NodeSpec {
        name: format!("node-{number:05}").into(),
        labels: [("kubernetes.io/hostname".to_owned(), format!("node-{number:05}"))].into(),
        allocatable: Resources { milli_cpu: room * 200, memory_bytes: room << 28, ..Resources::default() },
        pod_slots: room,
        ..NodeSpec::default()
    }
}

fn pod(number: usize, requirements: &Arc<Requirements>) -> Pod {
    Pod {
        key: PodKey {
            namespace: "default".into(),
            name: format!("pod-{number:06}").into(),
            uid: format!("uid-{number:06}").into(),
        },
        priority: 0,
        created: jiff::Timestamp::UNIX_EPOCH,
        node_name: None,
        scheduler_name: "default-scheduler".into(),
        gated: false,
        terminating: false,
        finished: false,
        unschedulable_message: None,
        requirements: requirements.clone(),
    }
}
