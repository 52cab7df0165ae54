//! Crashes of the log at every moment, damage, and write errors.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::recovery::{purge, truncate_after};
use super::writer::{Log, LogGrowth, LogSender, LogSettings, LogSurroundings};
use super::{LogIdentity, OpenLogError, Position, Record, Recovered, Summary, Vote};
use crate::codec::DecodeError;
use crate::failure::Failure;
use crate::vfs::sim::{DiskState, Fault, Loss, SimDisk, Step};
use crate::vfs::{RealVfs, Vfs};

type Payload = Vec<u8>;

const LOSSES: [Loss; 4] = [Loss::Nothing, Loss::Everything, Loss::AnySectors, Loss::TornLast];

fn settings() -> LogSettings {
    LogSettings { identity: LogIdentity { cluster: 7, node: 3 }, first_segment_bytes: 1024, segment_bytes: 4096 }
}

fn directory() -> PathBuf {
    PathBuf::from("/wal")
}

#[expect(clippy::unnecessary_wraps, reason = "it has the shape that the log asks for")]
fn decode(bytes: &[u8]) -> Result<Payload, DecodeError> {
    Ok(bytes.to_vec())
}

struct Opened {
    log: Log<Payload>,
    sender: LogSender<Payload>,
    recovered: Recovered<Payload>,
    failure: Failure,
}

fn surroundings(vfs: &Arc<dyn Vfs>, failure: &Failure) -> LogSurroundings {
    let growth = Arc::new(LogGrowth::new(u64::MAX));
    LogSurroundings { vfs: Arc::clone(vfs), growth, failure: failure.clone(), lock: None }
}

fn try_open(vfs: &Arc<dyn Vfs>, directory: &Path) -> Result<Opened, OpenLogError> {
    let failure = Failure::default();
    let (log, recovered) = Log::open(surroundings(vfs, &failure), directory, settings(), decode)?;
    Ok(Opened { sender: log.sender(), log, recovered, failure })
}

fn open(disk: &SimDisk) -> Opened {
    try_open(&(Arc::new(disk.clone()) as _), &directory()).expect("the log opens")
}

/// The log as it must be after some operations.
#[derive(Clone, Default)]
struct Model {
    summary: Summary,
    entries: std::collections::VecDeque<(Position, Payload)>,
}

impl Model {
    fn apply(&mut self, record: &Record<Payload>) {
        self.summary.note(record);
        match record {
            Record::Entry { position, payload } => self.entries.push_back((*position, payload.clone())),
            Record::TruncateAfter(last) => truncate_after(&mut self.entries, *last),
            Record::Purge(purged) => purge(&mut self.entries, Some(*purged)),
            Record::Vote(_) | Record::Committed(_) | Record::Summary(_) => {}
        }
    }

    fn digest(&self) -> u64 {
        digest(&self.summary, self.entries.iter())
    }
}

fn digest<'a>(summary: &Summary, entries: impl Iterator<Item = &'a (Position, Payload)>) -> u64 {
    let mut hasher = DefaultHasher::new();
    format!("{summary:?}").hash(&mut hasher);
    for (position, payload) in entries {
        (position.term, position.node, position.index, payload).hash(&mut hasher);
    }
    hasher.finish()
}

/// Draws the next operation on a log like `model`.
fn draw(model: &Model, random: &mut StdRng) -> Record<Payload> {
    let vote = model.summary.vote.unwrap_or(Vote { term: 1, node: 3, committed: true });
    let last = model.entries.back().map(|(position, _)| *position).or(model.summary.purged);
    let kind = random.random_range(0..100);
    let (Some(first), Some(last)) = (model.entries.front().map(|(position, _)| *position), last) else {
        return entry(vote.term, last.map_or(0, |last| last.index + 1), random);
    };
    match kind {
        0..75 => entry(vote.term, last.index + 1, random),
        75..80 => Record::Vote(Vote { term: vote.term + 1, node: 3, committed: true }),
        80..90 => Record::Committed(Some(last)),
        90..95 => {
            let index = random.random_range(first.index..=last.index);
            Record::TruncateAfter(index.checked_sub(1).map(|index| Position { index, ..first }))
        }
        _ => Record::Purge(Position { index: random.random_range(first.index..=last.index), ..last }),
    }
}

fn entry(term: u64, index: u64, random: &mut StdRng) -> Record<Payload> {
    let mut payload = vec![0; random.random_range(0..200)];
    random.fill(payload.as_mut_slice());
    Record::Entry { position: Position { term, node: 3, index }, payload }
}

/// Appends and says on the disk, when it is durable, that `number` operations are.
fn append(opened: &Opened, disk: &SimDisk, record: Record<Payload>, number: u64) -> Receiver<std::io::Result<()>> {
    let (sender, receiver) = sync_channel(1);
    let disk = disk.clone();
    let completion = Box::new(move |result: std::io::Result<()>| {
        if result.is_ok() {
            disk.note(number);
        }
        let _ = sender.send(result);
    });
    let _ = futures::executor::block_on(opened.sender.append(vec![record], completion));
    receiver
}

/// Runs `count` operations, several at a time; returns the digests of the log after each number of operations.
fn run(opened: &Opened, disk: &SimDisk, count: u64, random: &mut StdRng) -> Vec<u64> {
    let mut model = Model { summary: opened.recovered.summary, entries: opened.recovered.entries.clone() };
    let mut digests = vec![model.digest()];
    let mut waiting = Vec::new();
    for number in 1..=count {
        let record = draw(&model, random);
        model.apply(&record);
        digests.push(model.digest());
        if matches!(record, Record::Committed(_)) {
            let _ = futures::executor::block_on(opened.sender.append_lazily(record));
        } else {
            waiting.push(append(opened, disk, record, number));
        }
        if random.random_range(0..3) == 0 {
            waiting.drain(..).for_each(|receiver| receiver.recv().unwrap().unwrap());
        }
    }
    waiting.drain(..).for_each(|receiver| receiver.recv().unwrap().unwrap());
    digests
}

/// What is recovered must be the log after some number of operations, and no acknowledged one may be missing.
fn check(opened: &Opened, digests: &[u64], acknowledged: u64, context: &str) {
    let found = digest(&opened.recovered.summary, opened.recovered.entries.iter());
    let at = digests.iter().rposition(|digest| *digest == found);
    let at = at.unwrap_or_else(|| panic!("{context}: recovered what never was: {:?}", opened.recovered.summary));
    assert!(at as u64 >= acknowledged, "{context}: {acknowledged} operations were acknowledged, and {at} are there");
}

fn close(opened: Opened) {
    drop(opened.sender);
    opened.log.close();
}

/// Recovers from a crash, and then goes on: what is written after it must be there next time as well.
fn recover_and_go_on(disk: &SimDisk, digests: &[u64], acknowledged: u64, context: &str) {
    let opened = open(disk);
    check(&opened, digests, acknowledged, context);
    let digests = run(&opened, disk, 3, &mut StdRng::seed_from_u64(acknowledged));
    close(opened);
    let again = open(&disk.state().crash(Loss::Everything, 0));
    check(&again, &digests, 3, &format!("{context}, after going on"));
    close(again);
}

fn crash_everywhere(seed: u64, operations: u64) -> u64 {
    let disk = SimDisk::new();
    disk.create_dir_all(&directory()).unwrap();
    let opened = open(&disk);
    let digests = run(&opened, &disk, operations, &mut StdRng::seed_from_u64(seed));
    close(opened);
    let (mut state, mut acknowledged, mut recoveries) = (DiskState::default(), 0, 0);
    for (moment, step) in disk.journal().iter().enumerate() {
        state.apply(step);
        if let Step::Note(number) = step {
            acknowledged = *number;
        }
        if !matches!(step, Step::CreateDir(_)) {
            for loss in LOSSES {
                let context = format!("seed {seed}, step {moment}, {loss:?}");
                let crashed = state.crash(loss, seed ^ moment as u64);
                recover_and_go_on(&crashed, &digests, acknowledged, &context);
                recoveries += 2;
                if moment % 8 == 0 {
                    recoveries += crash_again(&crashed.journal(), &state, loss, seed ^ moment as u64, |disk, again| {
                        let opened = open(disk);
                        check(&opened, &digests, acknowledged, &format!("{context}, {again}"));
                        close(opened);
                    });
                }
            }
        }
    }
    recoveries
}

/// Crashes at each step of a recovery that began with `state` losing something.
fn crash_again(recovery: &[Step], state: &DiskState, loss: Loss, seed: u64, recover: impl Fn(&SimDisk, &str)) -> u64 {
    let mut state = state.crash(loss, seed).state();
    let mut recoveries = 0;
    // What the test itself wrote after the recovery comes after the first note.
    for (moment, step) in
        recovery.iter().take_while(|step| !matches!(step, Step::Write { .. } | Step::Note(_))).enumerate()
    {
        state.apply(step);
        for again in [Loss::Everything, Loss::AnySectors] {
            recover(&state.crash(again, seed ^ 77 ^ moment as u64), &format!("again at {moment}, {again:?}"));
            recoveries += 1;
        }
    }
    recoveries
}

#[test]
fn a_crash_at_any_moment_loses_nothing_that_was_acknowledged() {
    let recoveries: u64 = (0..4).map(|seed| crash_everywhere(seed, 200)).sum();
    assert!(recoveries > 10_000, "only {recoveries} recoveries");
}

#[test]
fn damage_before_something_valid_is_refused() {
    let disk = SimDisk::new();
    disk.create_dir_all(&directory()).unwrap();
    let opened = open(&disk);
    let mut random = StdRng::seed_from_u64(5);
    let mut ends = Vec::new();
    for index in 0..30 {
        append(&opened, &disk, entry(1, index, &mut random), index + 1).recv().unwrap().unwrap();
        ends.push(disk.journal().len());
    }
    close(opened);
    let names = disk.list(&directory()).unwrap();
    assert!(names.len() > 2, "several segments: {names:?}");
    let (mut refused, mut torn) = (0, 0);
    for name in names {
        let path = directory().join(name);
        let bytes = disk.open(&path).unwrap().len().unwrap();
        for offset in (0..bytes).step_by(61) {
            let damaged = disk.state().crash(Loss::Everything, 0);
            let file = damaged.open(&path).unwrap();
            let mut byte = [0];
            file.read_at(offset, &mut byte).unwrap();
            file.write_at(offset, &[byte[0] ^ 0x55]).unwrap();
            match try_open(&(Arc::new(damaged) as _), &directory()) {
                Err(OpenLogError::Damaged { .. }) => refused += 1,
                Err(error) => panic!("{error}"),
                // Damage in the unused space, or in the last frame, which cannot be told from a torn one.
                Ok(opened) => {
                    assert!(opened.recovered.entries.len() >= 29, "{}", opened.recovered.entries.len());
                    torn += u64::from(opened.recovered.entries.len() == 29);
                    close(opened);
                }
            }
        }
    }
    assert!(refused > 20 && torn > 0, "{refused} refused, {torn} torn");
}

#[test]
fn a_missing_segment_is_refused() {
    let disk = SimDisk::new();
    disk.create_dir_all(&directory()).unwrap();
    let opened = open(&disk);
    run_entries(&opened, &disk, 60);
    close(opened);
    let names = disk.list(&directory()).unwrap();
    assert!(names.len() >= 3, "{names:?}");
    disk.remove(&directory().join(&names[1])).unwrap();
    let error = try_open(&(Arc::new(disk) as _), &directory()).map(close).expect_err("refused");
    assert!(error.to_string().contains("are missing"), "{error}");
}

fn run_entries(opened: &Opened, disk: &SimDisk, count: u64) {
    let mut random = StdRng::seed_from_u64(1);
    for index in 0..count {
        append(opened, disk, entry(1, index, &mut random), index + 1).recv().unwrap().unwrap();
    }
}

#[test]
fn a_log_of_another_store_is_refused() {
    let disk = SimDisk::new();
    disk.create_dir_all(&directory()).unwrap();
    close(open(&disk));
    let other = LogSettings { identity: LogIdentity { cluster: 8, node: 3 }, ..settings() };
    let surroundings = surroundings(&(Arc::new(disk) as _), &Failure::default());
    let opened = Log::open(surroundings, &directory(), other, decode);
    let error = opened.map(|_| ()).expect_err("refused").to_string();
    assert!(error.contains("belongs to another store"), "{error}");
}

#[test]
fn after_a_failed_write_nothing_is_acknowledged_any_more() {
    let clean = SimDisk::new();
    clean.create_dir_all(&directory()).unwrap();
    let opened = open(&clean);
    let (before, count) = (clean.operations(), 60);
    run_entries(&opened, &clean, count);
    close(opened);
    for operation in before..clean.operations() {
        for fault in [Fault::Io, Fault::NoSpace] {
            let disk = SimDisk::new();
            disk.create_dir_all(&directory()).unwrap();
            let opened = open(&disk);
            disk.fail_at(operation, fault);
            let mut random = StdRng::seed_from_u64(1);
            let results: Vec<bool> = (0..count)
                .map(|index| append(&opened, &disk, entry(1, index, &mut random), index + 1).recv().unwrap().is_ok())
                .collect();
            let acknowledged = results.iter().take_while(|ok| **ok).count();
            assert!(results[acknowledged..].iter().all(|ok| !ok), "{fault:?} at {operation}: {results:?}");
            // The last spare segment may fail when nobody needs it any more.
            assert!(opened.failure.get().is_some() || acknowledged as u64 == count, "{fault:?} at {operation}");
            close(opened);
            let recovered = open(&disk.state().crash(Loss::Everything, 0));
            assert!(recovered.recovered.entries.len() >= acknowledged, "{fault:?} at {operation}");
            close(recovered);
        }
    }
}

#[test]
fn purged_segments_are_removed() {
    let disk = SimDisk::new();
    disk.create_dir_all(&directory()).unwrap();
    let opened = open(&disk);
    run_entries(&opened, &disk, 200);
    let before = disk.list(&directory()).unwrap().len();
    let purged = Record::Purge(Position { term: 1, node: 3, index: 199 });
    append(&opened, &disk, purged, 0).recv().unwrap().unwrap();
    close(opened);
    let after = disk.list(&directory()).unwrap().len();
    assert!(before > 4 && after <= 2, "{before} segments before, {after} after");
    let opened = open(&disk);
    assert!(opened.recovered.entries.is_empty());
    assert_eq!(opened.recovered.summary.purged.map(|purged| purged.index), Some(199));
    close(opened);
}

#[test]
fn entries_larger_than_a_segment_get_one_of_their_own() {
    let directory = tempfile::tempdir().unwrap();
    let vfs: Arc<dyn Vfs> = Arc::new(RealVfs);
    let opened = try_open(&vfs, directory.path()).unwrap();
    let disk = SimDisk::new();
    for index in 0..3 {
        let record = Record::Entry { position: Position { term: 1, node: 3, index }, payload: vec![9; 100_000] };
        append(&opened, &disk, record, index).recv().unwrap().unwrap();
    }
    close(opened);
    let opened = try_open(&vfs, directory.path()).unwrap();
    assert_eq!(opened.recovered.entries.len(), 3);
    assert!(opened.recovered.entries.iter().all(|(_, payload)| payload.len() == 100_000));
    close(opened);
}
