use std::sync::Arc;

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::json;

use super::{Action, Wanted, ordinal, plan, revision};
use crate::observed::{Phase, Pod};

fn wanted(replicas: u32, parallel: bool, partition: Option<u32>, update: &str) -> Wanted {
    let (name, current, update) = ("db".to_owned(), "r0".to_owned(), update.to_owned());
    Wanted { name, start: 0, replicas, parallel, partition, min_ready_seconds: 0, current, update }
}

fn pod(ordinal: u32, revision: &str, made: u32) -> Arc<Pod> {
    let object = json!({
        "metadata": {"name": format!("db-{ordinal}"), "namespace": "n", "uid": format!("u{made}"), "labels": {"controller-revision-hash": revision}},
        "spec": {"containers": []},
    });
    Arc::new(Pod::from_api(&serde_json::from_value(object).expect("a Pod")))
}

fn become_ready(pod: &mut Arc<Pod>) {
    let pod = Arc::make_mut(pod);
    if !pod.finished {
        (pod.phase, pod.ready_since) = (Phase::Running, Some(Timestamp::MIN));
    }
}

/// Carries out what is planned, and returns it.
fn step(wanted: &Wanted, pods: &mut Vec<Arc<Pod>>, made: &mut u32) -> Vec<Action> {
    let actions = plan(wanted, pods, Timestamp::UNIX_EPOCH);
    for action in &actions {
        match action {
            Action::Create { ordinal, updated } => {
                assert!(!pods.iter().any(|pod| wanted.ordinal(pod) == Some(*ordinal)), "two pods of one ordinal");
                *made += 1;
                pods.push(pod(*ordinal, if *updated { &wanted.update } else { &wanted.current }, *made));
            }
            Action::Delete(doomed) => {
                let place = pods.iter().position(|pod| pod.meta.uid == doomed.meta.uid).expect("it is there");
                assert!(!pods[place].meta.deleting);
                Arc::make_mut(&mut pods[place]).meta.deleting = true;
            }
        }
    }
    actions
}

fn settle(wanted: &Wanted, pods: &mut Vec<Arc<Pod>>, made: &mut u32) {
    for _ in 0..200 {
        let quiet = step(wanted, pods, made).is_empty();
        let before = pods.len();
        pods.retain(|pod| !pod.meta.deleting);
        pods.iter_mut().for_each(become_ready);
        if quiet && pods.len() == before && plan(wanted, pods, Timestamp::UNIX_EPOCH).is_empty() {
            return;
        }
    }
    panic!("it does not settle: {pods:?}");
}

fn shown(pods: &[Arc<Pod>]) -> Vec<String> {
    let mut shown: Vec<_> = pods.iter().map(|pod| format!("{} {}", pod.meta.key.name, revision(pod))).collect();
    shown.sort();
    shown
}

#[test]
fn names_say_ordinals() {
    assert_eq!(ordinal("db", "db-7"), Some(7));
    for other in ["db-07", "db-x", "web-1", "db", "db-1-2", "db--1"] {
        assert_eq!(ordinal("db", other), None, "{other}");
    }
}

#[test]
fn a_partition_keeps_the_old_template_below_it() {
    let (mut pods, mut made) = (Vec::new(), 0);
    settle(&wanted(3, false, Some(0), "r0"), &mut pods, &mut made);
    settle(&wanted(3, false, Some(2), "r1"), &mut pods, &mut made);
    assert_eq!(shown(&pods), ["db-0 r0", "db-1 r0", "db-2 r1"]);
    pods.retain(|pod| &*pod.meta.key.name != "db-0");
    settle(&wanted(3, false, Some(2), "r1"), &mut pods, &mut made);
    assert_eq!(shown(&pods), ["db-0 r0", "db-1 r0", "db-2 r1"]);
    settle(&wanted(3, false, None, "r2"), &mut pods, &mut made);
    assert_eq!(shown(&pods), ["db-0 r0", "db-1 r0", "db-2 r1"], "nobody is updated who is not deleted");
    settle(&wanted(1, false, Some(0), "r2"), &mut pods, &mut made);
    assert_eq!(shown(&pods), ["db-0 r2"]);
}

#[test]
fn a_parallel_set_makes_all_at_once() {
    let mut pods = Vec::new();
    assert_eq!(step(&wanted(4, true, Some(0), "r0"), &mut pods, &mut 0).len(), 4);
    assert_eq!(step(&wanted(1, true, Some(0), "r0"), &mut pods, &mut 4).len(), 3);
}

#[derive(Clone, Debug)]
enum Change {
    Scale(u32),
    Template(u8),
    Ready(usize),
    Unready(usize),
    End(usize),
    Delete(usize),
    Gone,
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        1 => (0..6_u32).prop_map(Change::Scale),
        1 => (0..3_u8).prop_map(Change::Template),
        4 => (0..8_usize).prop_map(Change::Ready),
        1 => (0..8_usize).prop_map(Change::Unready),
        1 => (0..8_usize).prop_map(Change::End),
        1 => (0..8_usize).prop_map(Change::Delete),
        3 => Just(Change::Gone),
    ];
    prop::collection::vec(change, 1..60)
}

proptest! {
    #[test]
    fn order_is_kept_whatever_happens(changes in changes()) {
        let mut wanted = wanted(3, false, Some(0), "r0");
        let (mut pods, mut made) = (Vec::new(), 0);
        for change in changes {
            let count = pods.len().max(1);
            let change_pod = |pods: &mut Vec<Arc<Pod>>, place: usize, how: &dyn Fn(&mut Pod)| {
                if let Some(pod) = pods.get_mut(place % count) {
                    how(Arc::make_mut(pod));
                }
            };
            match change {
                Change::Scale(replicas) => wanted.replicas = replicas,
                Change::Template(template) => wanted.update = format!("r{template}"),
                Change::Ready(place) => if let Some(pod) = pods.get_mut(place % count) { become_ready(pod) },
                Change::Unready(place) => change_pod(&mut pods, place, &|pod| pod.ready_since = None),
                Change::End(place) => change_pod(&mut pods, place, &|pod| (pod.phase, pod.finished, pod.ready_since) = (Phase::Failed, true, None)),
                Change::Delete(place) => change_pod(&mut pods, place, &|pod| pod.meta.deleting = true),
                Change::Gone => pods.retain(|pod: &Arc<Pod>| !pod.meta.deleting),
            }
            let healthy = |pods: &[Arc<Pod>], ordinal: u32| pods.iter().any(|pod| wanted.ordinal(pod) == Some(ordinal) && wanted.is_healthy(pod, Timestamp::UNIX_EPOCH));
            let before = pods.clone();
            let actions = step(&wanted, &mut pods, &mut made);
            prop_assert!(actions.len() <= 1, "one at a time: {actions:?}");
            match actions.first() {
                Some(Action::Create { ordinal, .. }) => prop_assert!((0..*ordinal).all(|below| healthy(&before, below))),
                Some(Action::Delete(doomed)) if healthy(&before, wanted.ordinal(doomed).expect("ours")) => {
                    let ordinal = wanted.ordinal(doomed).expect("ours");
                    let others = before.iter().filter_map(|pod| wanted.ordinal(pod)).filter(|other| *other > ordinal && *other >= wanted.replicas);
                    prop_assert_eq!(others.count(), 0, "the last goes first");
                }
                _ => {}
            }
        }
        settle(&wanted, &mut pods, &mut made);
        let all: Vec<String> = (0..wanted.replicas).map(|ordinal| format!("db-{ordinal} {}", wanted.update)).collect();
        prop_assert_eq!(shown(&pods), all);
    }
}
