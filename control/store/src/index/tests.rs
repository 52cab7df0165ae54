//! The index against a model that keeps every revision whole.

use std::collections::BTreeMap;
use std::convert::Infallible;

use bytes::Bytes;
use proptest::prelude::*;

use super::{FIRST_REVISION, HistoryBounds, Index, IndexNumbers, Row, RowState, SharedIndex, SnapshotAtError};
use crate::types::{Condition, Entry, Operation, Transaction, TransactionOutcome};
use crate::watch::WatchEvent;

const BOUNDS: HistoryBounds = HistoryBounds { events_max: 24, bytes_max: 4000 };

#[derive(Clone, Debug)]
enum Step {
    /// Per operation: key, and a value or nothing for a deletion. The condition's key, and whether it is to hold.
    Transact {
        operations: Vec<(u8, Option<u8>)>,
        condition: Option<(u8, bool)>,
    },
    /// So many revisions before the current one.
    Compact(u64),
    Checkpoint,
    /// Everything is rebuilt from the rows of the checkpoints.
    Reload,
}

fn step() -> impl Strategy<Value = Step> {
    let operations = prop::collection::btree_map(0..6_u8, prop::option::weighted(0.7, any::<u8>()), 0..4);
    let condition = prop::option::of((0..6_u8, prop::bool::weighted(0.7)));
    prop_oneof![
        12 => (operations, condition).prop_map(|(operations, condition)| {
            Step::Transact { operations: operations.into_iter().collect(), condition }
        }),
        1 => (0..10_u64).prop_map(Step::Compact),
        2 => Just(Step::Checkpoint),
        1 => Just(Step::Reload),
    ]
}

type State = BTreeMap<Bytes, Entry>;

/// Every revision's state, from the first on.
struct Model {
    states: Vec<State>,
}

impl Model {
    fn current(&self) -> &State {
        self.states.last().expect("there is a first state")
    }

    fn revision(&self) -> u64 {
        self.states.len() as u64 - 1 + FIRST_REVISION
    }

    fn at(&self, revision: u64) -> &State {
        &self.states[usize::try_from(revision - FIRST_REVISION).unwrap()]
    }

    /// Applies without conditions; a new state only when something changed.
    fn apply(&mut self, operations: &[(u8, Option<u8>)]) {
        let revision = self.revision() + 1;
        let mut state = self.current().clone();
        let mut changed = false;
        for (name, value) in operations {
            let (key, previous) = (key(*name), state.remove(&key(*name)));
            changed |= value.is_some() || previous.is_some();
            if let Some(value) = value {
                let (create_revision, version) =
                    previous.map_or((revision, 1), |previous| (previous.create_revision, previous.version + 1));
                let (value, mod_revision) = (bytes(*value), revision);
                state.insert(key.clone(), Entry { key, value, create_revision, mod_revision, version });
            }
        }
        if changed {
            self.states.push(state);
        }
    }
}

fn key(name: u8) -> Bytes {
    Bytes::from(format!("key/{name}"))
}

fn bytes(value: u8) -> Bytes {
    Bytes::from(vec![value; usize::from(value % 32)])
}

fn transaction(operations: &[(u8, Option<u8>)], conditions: Vec<Condition>) -> Transaction {
    let operations = operations
        .iter()
        .map(|(name, value)| match value {
            Some(value) => Operation::Put { key: key(*name), value: bytes(*value) },
            None => Operation::Delete { key: key(*name) },
        })
        .collect();
    Transaction { conditions, operations }
}

/// What checkpoints have written, as the file would have it.
#[derive(Default)]
struct Checkpoint {
    rows: BTreeMap<(u64, Bytes), RowState>,
    numbers: Option<IndexNumbers>,
}

impl Checkpoint {
    fn write(&mut self, index: &mut Index) {
        self.numbers = Some(index.numbers());
        let delta = index.take_delta();
        self.rows.extend(delta.rows.into_iter().map(|row| ((row.revision, row.key), row.state)));
        for garbage in delta.garbage {
            assert!(self.rows.remove(&garbage).is_some(), "{garbage:?} was removed, and was not there");
        }
    }

    fn load(&self) -> Index {
        let rows = self.rows.iter().map(|((revision, key), state)| {
            Ok::<_, Infallible>(Row { revision: *revision, key: key.clone(), state: state.clone() })
        });
        let Ok(index) = Index::load(BOUNDS, self.numbers.expect("written before"), rows);
        index
    }
}

fn transact(
    index: &SharedIndex<()>,
    model: &mut Model,
    operations: &[(u8, Option<u8>)],
    condition: Option<(u8, bool)>,
) {
    let mod_revision = |name| model.current().get(&key(name)).map_or(0, |entry| entry.mod_revision);
    let condition = condition.map(|(name, holds)| (key(name), mod_revision(name) + u64::from(!holds), holds));
    let conditions =
        condition.iter().map(|(key, revision, _)| Condition::ModRevision { key: key.clone(), revision: *revision });
    let transaction = transaction(operations, conditions.collect());
    let outcome = index.change(|state| state.index.apply(&transaction));
    if let Some((key, _, false)) = condition {
        let current = vec![model.current().get(&key).cloned()];
        assert_eq!(outcome, TransactionOutcome::Conflict { revision: model.revision(), current });
    } else {
        model.apply(operations);
        assert_eq!(outcome, TransactionOutcome::Applied { revision: model.revision() });
    }
}

fn check(index: &SharedIndex<()>, model: &Model, compacted: u64) {
    let entries = |revision| {
        let snapshot = index.snapshot_at(revision)?;
        assert_eq!(snapshot.revision(), revision);
        Ok(snapshot.prefix(b"").collect::<Vec<_>>())
    };
    let current = model.revision();
    assert_eq!(entries(current + 1), Err(SnapshotAtError::Future { current }));
    let oldest = index.read().index.oldest_snapshot();
    assert!(oldest >= compacted);
    for revision in (0..=current).rev() {
        if revision >= oldest {
            assert_eq!(entries(revision), Ok(model.at(revision).values().cloned().collect()), "at {revision}");
        } else {
            assert_eq!(entries(revision), Err(SnapshotAtError::Compacted { oldest }));
        }
    }
    check_events(index, model);
}

/// Every event leads from the model's state before it to the one after it, and none is missing.
fn check_events(index: &SharedIndex<()>, model: &Model) {
    let state = index.read();
    let oldest = state.index.oldest_watch();
    for revision in (oldest + 1).max(FIRST_REVISION + 1)..=model.revision() {
        let (before, after) = (model.at(revision - 1), model.at(revision));
        let events = state.index.history().from(revision).take_while(|event| event.revision() == revision);
        let mut changed = before.clone();
        for event in events {
            match event {
                WatchEvent::Put { entry, previous } => {
                    assert_eq!(before.get(&entry.key), previous.as_ref());
                    changed.insert(entry.key.clone(), entry.clone());
                }
                WatchEvent::Delete { previous, .. } => {
                    assert_eq!(before.get(&previous.key), Some(previous));
                    changed.remove(&previous.key);
                }
            }
        }
        assert_eq!(&changed, after, "the events of revision {revision}");
    }
}

fn run(steps: Vec<Step>) {
    let mut index = SharedIndex::new(Index::new(BOUNDS), ());
    let mut model = Model { states: vec![State::new()] };
    let (mut checkpoint, mut compacted) = (Checkpoint::default(), 0);
    for step in steps {
        match step {
            Step::Transact { operations, condition } => transact(&index, &mut model, &operations, condition),
            Step::Compact(back) => {
                let revision = model.revision().saturating_sub(back);
                compacted = compacted.max(revision);
                index.change(|state| state.index.compact(revision));
            }
            Step::Checkpoint => index.change(|state| checkpoint.write(&mut state.index)),
            Step::Reload => {
                index.change(|state| checkpoint.write(&mut state.index));
                index = SharedIndex::new(checkpoint.load(), ());
            }
        }
        check(&index, &model, compacted);
    }
    index.change(|state| checkpoint.write(&mut state.index));
    check_rows(&checkpoint, &model, &index);
}

/// The checkpoint has no row that nothing refers to.
fn check_rows(checkpoint: &Checkpoint, model: &Model, index: &SharedIndex<()>) {
    let state = index.read();
    let mut needed: Vec<(u64, Bytes)> =
        model.current().values().map(|entry| (entry.mod_revision, entry.key.clone())).collect();
    for event in state.index.history().from(0) {
        match event {
            WatchEvent::Put { previous, .. } => {
                needed.extend(previous.iter().map(|previous| (previous.mod_revision, previous.key.clone())));
            }
            WatchEvent::Delete { revision, previous } => {
                needed.extend([(*revision, previous.key.clone()), (previous.mod_revision, previous.key.clone())]);
            }
        }
    }
    needed.sort();
    needed.dedup();
    assert_eq!(checkpoint.rows.keys().cloned().collect::<Vec<_>>(), needed);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn the_index_does_what_the_model_does(steps in prop::collection::vec(step(), 0..60)) {
        run(steps);
    }
}

fn filled(keys: &[&str]) -> Index {
    let mut index = Index::new(HistoryBounds { events_max: 1000, bytes_max: 1 << 20 });
    for key in keys {
        let operations = vec![Operation::Put { key: Bytes::from((*key).to_owned()), value: Bytes::new() }];
        index.apply(&Transaction { conditions: vec![], operations });
    }
    index
}

#[test]
fn a_prefix_has_what_begins_with_it_and_nothing_else() {
    let snapshot = filled(&["a/", "a/1", "a/2", "a0", "b", "a", "a/1/x"]).snapshot();
    let keys = |prefix: &[u8], after: &[u8]| -> Vec<String> {
        snapshot.prefix_after(prefix, after).map(|entry| String::from_utf8(entry.key.to_vec()).unwrap()).collect()
    };
    assert_eq!(keys(b"a/", b""), ["a/", "a/1", "a/1/x", "a/2"]);
    assert_eq!(keys(b"a/", b"a/1"), ["a/1/x", "a/2"]);
    assert_eq!(keys(b"a/", b"a/2"), [""; 0]);
    assert_eq!(keys(b"a/", b"zzz"), [""; 0]);
    assert_eq!(keys(b"", b"a0"), ["b"]);
    assert_eq!(keys(b"\xff", b""), [""; 0]);
    assert_eq!(snapshot.prefix_count(b"a/"), 4);
    assert_eq!(snapshot.prefix_count(b""), 7);
}

#[test]
fn a_snapshot_stays_as_it_is() {
    let mut index = filled(&["a", "b"]);
    let snapshot = index.snapshot();
    index.apply(&Transaction { conditions: vec![], operations: vec![Operation::Delete { key: "a".into() }] });
    assert_eq!((snapshot.len(), snapshot.revision()), (2, 3));
    assert_eq!((index.snapshot().len(), index.revision()), (1, 4));
}
