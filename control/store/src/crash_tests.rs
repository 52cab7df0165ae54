//! The whole store on a simulated disk: crashes at every file operation of a workload, crashes during recovery, and every file
//! operation failing once.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use futures::stream;
use openraft::RaftLogReader;
use openraft::storage::RaftStateMachine;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;

use crate::config::StoreConfig;
use crate::failure::Failure;
use crate::index::Snapshot;
use crate::open::open;
use crate::raft::StateMachine;
use crate::store::Store;
use crate::types::{Condition, Operation, Transaction, TransactionOutcome};
use crate::vfs::sim::{DiskState, Fault, Loss, SimDisk, Step};
use crate::watch::WatchEvent;

const CLIENTS: usize = 3;

/// What one client's keys hold.
type Keys = BTreeMap<Vec<u8>, Vec<u8>>;

/// What a client has done: the state of its keys after each of its writes, and how many writes were acknowledged.
#[derive(Clone, Debug)]
struct History {
    states: Vec<Keys>,
    acknowledged: usize,
    revision: u64,
}

/// An acknowledgement, as the notes on the disk refer to it.
#[derive(Clone, Copy, Debug)]
struct Acknowledged {
    client: usize,
    revision: u64,
}

/// The histories of all clients while they are running.
#[derive(Clone, Debug)]
struct Oracle {
    disk: SimDisk,
    histories: Arc<Mutex<Vec<History>>>,
    acknowledged: Arc<Mutex<Vec<Acknowledged>>>,
}

impl Oracle {
    fn new(disk: &SimDisk) -> Self {
        let history = History { states: vec![Keys::new()], acknowledged: 0, revision: 1 };
        Self {
            disk: disk.clone(),
            histories: Arc::new(Mutex::new(vec![history; CLIENTS])),
            acknowledged: Arc::default(),
        }
    }

    fn submit(&self, client: usize, keys: Keys) {
        self.histories.lock().unwrap()[client].states.push(keys);
    }

    fn acknowledge(&self, client: usize, revision: u64) {
        let mut acknowledged = self.acknowledged.lock().unwrap();
        acknowledged.push(Acknowledged { client, revision });
        self.disk.note(acknowledged.len() as u64 - 1);
    }
}

fn config() -> StoreConfig {
    StoreConfig {
        segment_bytes: 8 << 10,
        checkpoint_bytes: 6 << 10,
        history_events_max: 12,
        ..StoreConfig::new(PathBuf::from("/data"))
    }
}

async fn open_store(disk: &SimDisk) -> Store {
    Store::open_on(config(), Arc::new(disk.clone())).await.expect("the store opens")
}

fn next_write(client: usize, number: usize, keys: &mut Keys, random: &mut StdRng) -> Operation {
    let key = format!("/{client}/{}", random.random_range(0..4)).into_bytes();
    if random.random_range(0..5) == 0 && keys.remove(&key).is_some() {
        return Operation::Delete { key: key.into() };
    }
    let mut value = format!("{number} ").into_bytes();
    value.resize(value.len() + random.random_range(0..300), b'.');
    keys.insert(key.clone(), value.clone());
    Operation::Put { key: key.into(), value: value.into() }
}

/// One client: writes to its own keys, one after another, until the first error.
async fn client(store: Store, oracle: Oracle, client: usize, writes: usize, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed * 31 + client as u64);
    let mut keys = oracle.histories.lock().unwrap()[client].states.last().unwrap().clone();
    for number in 0..writes {
        let operation = next_write(client, number, &mut keys, &mut random);
        let key = operation.key().clone();
        let revision = store.snapshot().get(&key).map_or(0, |entry| entry.mod_revision);
        let conditions = vec![Condition::ModRevision { key, revision }];
        oracle.submit(client, keys.clone());
        match store.transact(Transaction { conditions, operations: vec![operation] }).await {
            Ok(TransactionOutcome::Applied { revision }) => oracle.acknowledge(client, revision),
            Ok(conflict) => panic!("nobody else writes these keys: {conflict:?}"),
            Err(_) => return,
        }
        if random.random_range(0..12) == 0 && store.compact(store.revision().saturating_sub(2)).await.is_err() {
            return;
        }
    }
}

async fn run_clients(store: &Store, oracle: &Oracle, writes: usize, seed: u64) {
    let mut clients = JoinSet::new();
    for number in 0..CLIENTS {
        clients.spawn(client(store.clone(), oracle.clone(), number, writes, seed));
    }
    while let Some(result) = clients.join_next().await {
        result.expect("no client panics");
    }
}

/// Every client's keys must be as after its last acknowledged write, or as after the one that was under way.
fn check(snapshot: &Snapshot, histories: &[History], context: &str) {
    for (client, history) in histories.iter().enumerate() {
        let prefix = format!("/{client}/").into_bytes();
        let found: Keys = snapshot.prefix(&prefix).map(|entry| (entry.key.to_vec(), entry.value.to_vec())).collect();
        let last = (history.acknowledged + 1).min(history.states.len() - 1);
        let possible = &history.states[history.acknowledged..=last];
        let show =
            |keys: &Keys| format!("{:?}", keys.iter().map(|(key, value)| (key, value.len())).collect::<Vec<_>>());
        assert!(
            possible.contains(&found),
            "{context}: client {client} had {} writes acknowledged, and found {} instead of {}",
            history.acknowledged,
            show(&found),
            show(&possible[0]),
        );
        assert!(snapshot.revision() >= history.revision, "{context}: the revision went back");
    }
}

/// Opens all files and applies the log by hand: what openraft would do, without the time that it takes.
fn recover(disk: &SimDisk, context: &str) -> Snapshot {
    let vfs: Arc<dyn crate::vfs::Vfs> = Arc::new(disk.clone());
    let mut parts = match open(&config(), &vfs, &Failure::default()) {
        Ok(parts) => parts,
        Err(error) => panic!("{context}: {error}"),
    };
    let snapshot = futures::executor::block_on(async {
        let mut state_machine = StateMachine::new(Arc::clone(&parts.index), parts.checkpointer.clone(), usize::MAX);
        let applied = parts.index.read().applied.log_id.map_or(0, |log_id| log_id.index + 1);
        let entries = parts.log_store.try_get_log_entries(applied..).await.unwrap();
        let entries = entries.into_iter().map(|entry| Ok((entry, None)));
        state_machine.apply(stream::iter(entries)).await.unwrap();
        check_history(&parts.index.read().index, context);
        parts.index.snapshot()
    });
    parts.log.close();
    parts.checkpoint_thread.stop();
    snapshot
}

/// The history must lead from the state before it to the state now, without a gap.
fn check_history(index: &crate::index::Index, context: &str) {
    let mut entries: BTreeMap<_, _> = BTreeMap::new();
    let events: Vec<_> = index.history().from(0).collect();
    let mut revision = 0;
    for event in &events {
        assert!(event.revision() >= revision, "{context}: revisions in disorder");
        revision = event.revision();
        let known = entries.get(event.key());
        match event {
            WatchEvent::Put { entry, previous } => {
                assert!(known.is_none_or(|known| known == previous), "{context}: {event:?} follows on {known:?}");
                entries.insert(event.key().to_vec(), Some(entry.clone()));
            }
            WatchEvent::Delete { previous, .. } => {
                assert!(known.is_none_or(|known| known.as_ref() == Some(previous)), "{context}: {event:?}");
                entries.insert(event.key().to_vec(), None);
            }
        }
    }
    for (key, entry) in entries {
        assert_eq!(index.snapshot().get(&key), entry, "{context}: history and state differ");
    }
}

/// A workload with restarts in between, recorded.
fn record(runtime: &tokio::runtime::Runtime, seed: u64, rounds: usize, writes: usize) -> (SimDisk, Oracle) {
    let disk = SimDisk::new();
    let oracle = Oracle::new(&disk);
    runtime.block_on(async {
        for round in 0..rounds {
            let store = open_store(&disk).await;
            run_clients(&store, &oracle, writes, seed + round as u64).await;
            store.close().await;
        }
    });
    (disk, oracle)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

#[test]
fn a_crash_at_any_file_operation_loses_nothing_that_was_acknowledged() {
    let runtime = runtime();
    let seed = 1;
    let (disk, oracle) = record(&runtime, seed, 3, 24);
    let (mut histories, acknowledged) =
        (oracle.histories.lock().unwrap().clone(), oracle.acknowledged.lock().unwrap().clone());
    let (mut state, mut recoveries) = (DiskState::default(), 0);
    for (moment, step) in disk.journal().iter().enumerate() {
        state.apply(step);
        if let Step::Note(note) = step {
            let Acknowledged { client, revision } = acknowledged[usize::try_from(*note).unwrap()];
            histories[client].acknowledged += 1;
            histories[client].revision = revision;
            continue;
        }
        for loss in [Loss::Nothing, Loss::Everything, Loss::AnySectors, Loss::TornLast] {
            let context = format!("seed {seed}, step {moment} {}, {loss:?}", name(step));
            let crashed = state.crash(loss, seed ^ moment as u64);
            check(&recover(&crashed, &context), &histories, &context);
            recoveries += 1;
            // The crash after the recovery loses what the recovery did not sync.
            let again = crashed.state().crash(Loss::Everything, 0);
            check(&recover(&again, &context), &histories, &format!("{context}, then everything"));
            if moment % 16 == 0 {
                recoveries += crash_recovery(&crashed.journal(), &state.crash(loss, seed ^ moment as u64), &histories);
            }
        }
        if matches!(step, Step::Rename(..) | Step::Remove(_)) {
            // A name that is there and not durable yet: what is built on it must not go with it.
            go_on(&runtime, &state.crash(Loss::Nothing, 0), &histories, moment);
        }
        if moment % 64 == 0 {
            go_on(&runtime, &state.crash(Loss::AnySectors, moment as u64), &histories, moment);
        }
    }
    assert!(recoveries > 3_000, "only {recoveries} recoveries");
}

fn name(step: &Step) -> &'static str {
    match step {
        Step::CreateDir(_) => "create directory",
        Step::Create(..) => "create",
        Step::Write { .. } => "write",
        Step::SetLen(..) => "set length",
        Step::Sync(_) => "sync",
        Step::Rename(..) => "rename",
        Step::Remove(_) => "remove",
        Step::SyncDir(_) => "sync directory",
        Step::Note(_) => "note",
    }
}

/// Crashes at each step of a recovery, and recovers again.
fn crash_recovery(recovery: &[Step], crashed: &SimDisk, histories: &[History]) -> usize {
    let mut state = crashed.state();
    for (moment, step) in recovery.iter().enumerate() {
        state.apply(step);
        let context = format!("second crash at step {moment} {}", name(step));
        check(&recover(&state.crash(Loss::AnySectors, moment as u64), &context), histories, &context);
    }
    recovery.len()
}

/// Opens the store with everything that belongs to it, writes, crashes, and opens it again.
fn go_on(runtime: &tokio::runtime::Runtime, disk: &SimDisk, histories: &[History], moment: usize) {
    let oracle = Oracle::new(disk);
    runtime.block_on(async {
        let store = open_store(disk).await;
        check(&store.linearizable_snapshot().await.unwrap(), histories, &format!("open after step {moment}"));
        let snapshot = store.snapshot();
        for (client, history) in oracle.histories.lock().unwrap().iter_mut().enumerate() {
            let prefix = format!("/{client}/").into_bytes();
            history.states[0] =
                snapshot.prefix(&prefix).map(|entry| (entry.key.to_vec(), entry.value.to_vec())).collect();
        }
        run_clients(&store, &oracle, 20, moment as u64).await;
        let crashed = disk.state().crash(Loss::Everything, 0);
        store.close().await;
        let store = open_store(&crashed).await;
        let mut histories = oracle.histories.lock().unwrap().clone();
        histories.iter_mut().for_each(|history| history.acknowledged = history.states.len() - 1);
        check(&store.snapshot(), &histories, &format!("go on after step {moment}"));
        store.close().await;
    });
}

#[test]
fn a_failing_disk_stops_the_store_and_loses_nothing_that_was_acknowledged() {
    let runtime = runtime();
    let (clean, _) = record(&runtime, 2, 1, 24);
    let mut stopped = 0;
    for operation in (0..clean.operations()).step_by(3) {
        for fault in [Fault::Io, Fault::NoSpace] {
            let disk = SimDisk::new();
            disk.fail_at(operation, fault);
            let oracle = Oracle::new(&disk);
            let context = format!("{fault:?} at {operation}");
            let opened = runtime.block_on(async {
                let Ok(store) = Store::open_on(config(), Arc::new(disk.clone())).await else { return false };
                run_clients(&store, &oracle, 24, 2).await;
                let complete = oracle.acknowledged.lock().unwrap().len() == 24 * CLIENTS;
                let failure = store.inner_failure();
                assert!(complete || failure.is_some(), "{context}: writes failed, and the store has not");
                stopped += u64::from(failure.is_some());
                store.close().await;
                true
            });
            if opened {
                let mut histories = oracle.histories.lock().unwrap().clone();
                for Acknowledged { client, revision } in oracle.acknowledged.lock().unwrap().iter() {
                    histories[*client].acknowledged += 1;
                    histories[*client].revision = *revision;
                }
                let crashed = disk.state().crash(Loss::Everything, 0);
                check(&recover(&crashed, &context), &histories, &context);
            }
        }
    }
    assert!(stopped > 50, "only {stopped} stores were stopped");
}

#[test]
fn a_sync_that_takes_longer_than_an_election_deposes_nobody() {
    let (runtime, disk) = (runtime(), SimDisk::new());
    let oracle = Oracle::new(&disk);
    runtime.block_on(async {
        let store = open_store(&disk).await;
        disk.delay_syncs(std::time::Duration::from_secs(4));
        run_clients(&store, &oracle, 1, 1).await;
        disk.delay_syncs(std::time::Duration::ZERO);
        run_clients(&store, &oracle, 5, 1).await;
        assert_eq!(oracle.acknowledged.lock().unwrap().len(), 6 * CLIENTS);
        store.close().await;
    });
}
