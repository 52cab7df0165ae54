//! A disk in memory that forgets what a real one may forget.
//!
//! Every change is a [`Step`]. A disk keeps its steps in a journal, so that a test can run a workload once, and then look at
//! every moment of it: it replays the steps one by one, and at each one lets the machine crash ([`DiskState::crash`]) in
//! several ways and recovers from what is left.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{Vfs, VfsFile, VfsLock};

type Inode = u64;

/// A change of the disk, or a test's note between changes.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    CreateDir(PathBuf),
    Create(PathBuf, Inode),
    Write {
        inode: Inode,
        offset: u64,
        data: Arc<[u8]>,
    },
    SetLen(Inode, u64),
    Sync(Inode),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    SyncDir(PathBuf),
    /// What the test wants to know at this moment; no change.
    Note(u64),
}

/// What survives of changes that were not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Everything: only the process died.
    Nothing,
    /// Nothing.
    Everything,
    /// Any sectors of any writes, and any names.
    AnySectors,
    /// All, but of each file's last write only a beginning.
    TornLast,
}

/// How an operation goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// An I/O error; a failed sync also forgets what it was to sync.
    Io,
    /// The disk is full: a write is cut off in the middle.
    NoSpace,
}

/// The disk; clones are the same disk.
#[derive(Clone, Debug)]
pub(crate) struct SimDisk(Arc<Mutex<Shared>>);

#[derive(Debug, Default)]
struct Shared {
    state: DiskState,
    locks: HashSet<PathBuf>,
    journal: Vec<Step>,
    /// The changes so far that can fail.
    operations: u64,
    fault: Option<(u64, Fault)>,
    sync_delay: Duration,
}

/// All that is on the disk, durable or not. Cloning shares the contents until they change.
#[derive(Clone, Debug, Default)]
pub(crate) struct DiskState {
    files: BTreeMap<Inode, FileState>,
    directories: BTreeMap<PathBuf, DirectoryState>,
    next_inode: Inode,
}

#[derive(Clone, Debug, Default)]
struct FileState {
    durable: Arc<Vec<u8>>,
    current: Arc<Vec<u8>>,
    pending: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write(u64, Arc<[u8]>),
    SetLen(u64),
}

#[derive(Clone, Debug, Default)]
struct DirectoryState {
    durable: BTreeMap<PathBuf, Inode>,
    current: BTreeMap<PathBuf, Inode>,
    pending: Vec<NameChange>,
}

#[derive(Clone, Debug)]
enum NameChange {
    Set(PathBuf, Inode),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf, Inode),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(offset, data) => write(bytes, *offset, data),
            Self::SetLen(len) => bytes.resize(usize::try_from(*len).unwrap(), 0),
        }
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<PathBuf, Inode>) {
        match self {
            Self::Set(path, inode) => {
                names.insert(path.clone(), *inode);
            }
            Self::Remove(path) => {
                names.remove(path);
            }
            Self::Rename(from, to, inode) => {
                names.remove(from);
                names.insert(to.clone(), *inode);
            }
        }
    }
}

fn write(bytes: &mut Vec<u8>, offset: u64, data: &[u8]) {
    let start = usize::try_from(offset).unwrap();
    if bytes.len() < start + data.len() {
        bytes.resize(start + data.len(), 0);
    }
    bytes[start..start + data.len()].copy_from_slice(data);
}

fn parent(path: &Path) -> PathBuf {
    path.parent().unwrap().to_owned()
}

fn not_found() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl DiskState {
    /// Makes a change. The caller has checked that it can be made.
    pub(crate) fn apply(&mut self, step: &Step) {
        match step {
            Step::CreateDir(path) => {
                self.directories.entry(path.clone()).or_default();
            }
            Step::Create(path, inode) => {
                self.next_inode = self.next_inode.max(inode + 1);
                self.files.insert(*inode, FileState::default());
                self.name(path, NameChange::Set(path.clone(), *inode));
            }
            Step::Write { inode, offset, data } => self.change(*inode, Change::Write(*offset, Arc::clone(data))),
            Step::SetLen(inode, len) => self.change(*inode, Change::SetLen(*len)),
            Step::Sync(inode) => {
                let file = self.files.get_mut(inode).unwrap();
                file.pending.clear();
                file.durable = Arc::clone(&file.current);
            }
            Step::Rename(from, to) => {
                let inode = self.directories[&parent(from)].current[from];
                self.name(from, NameChange::Rename(from.clone(), to.clone(), inode));
            }
            Step::Remove(path) => self.name(path, NameChange::Remove(path.clone())),
            Step::SyncDir(path) => {
                let directory = self.directories.get_mut(path).unwrap();
                directory.pending.clear();
                directory.durable = directory.current.clone();
            }
            Step::Note(_) => {}
        }
    }

    fn change(&mut self, inode: Inode, change: Change) {
        let file = self.files.get_mut(&inode).unwrap();
        change.apply(Arc::make_mut(&mut file.current));
        file.pending.push(change);
    }

    fn name(&mut self, path: &Path, change: NameChange) {
        let directory = self.directories.get_mut(&parent(path)).unwrap();
        change.apply(&mut directory.current);
        directory.pending.push(change);
    }

    /// The disk after a crash at this moment. All that is on it then is durable, except with [`Loss::Nothing`]: there the
    /// next crash may still lose it.
    pub(crate) fn crash(&self, loss: Loss, seed: u64) -> SimDisk {
        let mut random = StdRng::seed_from_u64(seed);
        let mut state = self.clone();
        if loss != Loss::Nothing {
            state.files.values_mut().for_each(|file| file.crash(loss, &mut random));
            state.directories.values_mut().for_each(|directory| directory.crash(loss, &mut random));
        }
        SimDisk(Arc::new(Mutex::new(Shared { state, ..Shared::default() })))
    }
}

impl FileState {
    fn crash(&mut self, loss: Loss, random: &mut StdRng) {
        let pending = std::mem::take(&mut self.pending);
        if !pending.is_empty() {
            let bytes = Arc::make_mut(&mut self.durable);
            let (last, before) = pending.split_last().unwrap();
            match loss {
                Loss::Nothing | Loss::Everything => {}
                Loss::TornLast => {
                    before.iter().for_each(|change| change.apply(bytes));
                    if let Change::Write(offset, data) = last {
                        write(bytes, *offset, &data[..random.random_range(0..data.len().max(1))]);
                    }
                }
                Loss::AnySectors => {
                    let kept = [0.1, 0.5, 0.9][random.random_range(0..3)];
                    let sector = [512, 4096][random.random_range(0..2)];
                    pending.iter().for_each(|change| change.apply_some(bytes, sector, kept, random));
                }
            }
        }
        self.current = Arc::clone(&self.durable);
    }
}

impl Change {
    fn apply_some(&self, bytes: &mut Vec<u8>, sector: u64, kept: f64, random: &mut StdRng) {
        match self {
            Self::SetLen(_) if random.random_bool(kept) => self.apply(bytes),
            Self::SetLen(_) => {}
            Self::Write(offset, data) => {
                let end = offset + data.len() as u64;
                let mut start = *offset;
                while start < end {
                    let piece_end = ((start / sector + 1) * sector).min(end);
                    if random.random_bool(kept) {
                        let range =
                            usize::try_from(start - offset).unwrap()..usize::try_from(piece_end - offset).unwrap();
                        write(bytes, start, &data[range]);
                    }
                    start = piece_end;
                }
            }
        }
    }
}

impl DirectoryState {
    fn crash(&mut self, loss: Loss, random: &mut StdRng) {
        let pending = std::mem::take(&mut self.pending);
        for change in pending {
            let keep = match loss {
                Loss::Nothing | Loss::TornLast => true,
                Loss::Everything => false,
                Loss::AnySectors => random.random_bool(0.5),
            };
            if keep {
                change.apply(&mut self.durable);
            }
        }
        self.current = self.durable.clone();
    }
}

impl SimDisk {
    pub(crate) fn new() -> Self {
        Self(Arc::default())
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap()
    }

    /// Puts a note between the steps. What was done before the call is before it in the journal.
    pub(crate) fn note(&self, note: u64) {
        self.shared().journal.push(Step::Note(note));
    }

    /// All steps so far.
    pub(crate) fn journal(&self) -> Vec<Step> {
        self.shared().journal.clone()
    }

    /// What is on the disk now.
    pub(crate) fn state(&self) -> DiskState {
        self.shared().state.clone()
    }

    /// Lets the change with this number (from 0, over the disk's life) fail.
    pub(crate) fn fail_at(&self, operation: u64, fault: Fault) {
        self.shared().fault = Some((operation, fault));
    }

    /// Lets every sync of a file take this long from now on.
    pub(crate) fn delay_syncs(&self, delay: Duration) {
        self.shared().sync_delay = delay;
    }

    /// How many changes were tried.
    pub(crate) fn operations(&self) -> u64 {
        self.shared().operations
    }
}

impl Shared {
    fn step(&mut self, step: Step) -> io::Result<()> {
        let number = self.operations;
        self.operations += 1;
        if let Some((_, fault)) = self.fault.filter(|(at, _)| *at == number) {
            return Err(self.fail(step, fault));
        }
        self.state.apply(&step);
        self.journal.push(step);
        Ok(())
    }

    fn fail(&mut self, step: Step, fault: Fault) -> io::Error {
        match (fault, step) {
            (Fault::Io, Step::Sync(inode)) => {
                // As on Linux: the pages count as clean now, and are still there until the machine goes down.
                self.state.files.get_mut(&inode).unwrap().pending.clear();
                io::Error::other("simulated I/O error")
            }
            (Fault::NoSpace, Step::Write { inode, offset, data }) => {
                let half: Arc<[u8]> = data[..data.len() / 2].into();
                self.state.apply(&Step::Write { inode, offset, data: half });
                io::ErrorKind::StorageFull.into()
            }
            (Fault::Io, _) => io::Error::other("simulated I/O error"),
            (Fault::NoSpace, _) => io::ErrorKind::StorageFull.into(),
        }
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    inode: Inode,
}

#[derive(Debug)]
struct SimLock {
    disk: SimDisk,
    path: PathBuf,
}

impl VfsLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.disk.shared().locks.remove(&self.path);
    }
}

impl Vfs for SimDisk {
    fn create_dir_all(&self, directory: &Path) -> io::Result<()> {
        let mut shared = self.shared();
        let missing = !shared.state.directories.contains_key(directory);
        if missing { shared.step(Step::CreateDir(directory.to_owned())) } else { Ok(()) }
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let shared = self.shared();
        let directory = shared.state.directories.get(directory).ok_or_else(not_found)?;
        Ok(directory.current.keys().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn VfsFile>> {
        let mut shared = self.shared();
        let inode = shared.state.next_inode;
        shared.step(Step::Create(path.to_owned(), inode))?;
        Ok(Arc::new(SimFile { disk: self.clone(), inode }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn VfsFile>> {
        let shared = self.shared();
        let directory = shared.state.directories.get(&parent(path)).ok_or_else(not_found)?;
        let inode = *directory.current.get(path).ok_or_else(not_found)?;
        Ok(Arc::new(SimFile { disk: self.clone(), inode }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut shared = self.shared();
        if !shared.state.directories[&parent(from)].current.contains_key(from) {
            return Err(not_found());
        }
        shared.step(Step::Rename(from.to_owned(), to.to_owned()))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut shared = self.shared();
        if !shared.state.directories[&parent(path)].current.contains_key(path) {
            return Err(not_found());
        }
        shared.step(Step::Remove(path.to_owned()))
    }

    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        self.shared().step(Step::SyncDir(directory.to_owned()))
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Arc<dyn VfsLock>>> {
        let free = self.shared().locks.insert(path.to_owned());
        Ok(free.then(|| Arc::new(SimLock { disk: self.clone(), path: path.to_owned() }) as Arc<dyn VfsLock>))
    }
}

impl VfsFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.shared().state.files[&self.inode].current.len() as u64)
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let shared = self.disk.shared();
        let bytes = &shared.state.files[&self.inode].current;
        let start = usize::try_from(offset).unwrap();
        let data = bytes.get(start..start + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(data);
        Ok(())
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.disk.shared().step(Step::Write { inode: self.inode, offset, data: data.into() })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.shared().step(Step::SetLen(self.inode, len))
    }

    fn sync_data(&self) -> io::Result<()> {
        let delay = self.disk.shared().sync_delay;
        if !delay.is_zero() {
            std::thread::sleep(delay);
        }
        self.disk.shared().step(Step::Sync(self.inode))
    }
}
