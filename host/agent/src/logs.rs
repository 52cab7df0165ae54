//! What containers print, on disk: written by one thread, bounded everywhere, read while it grows.
//!
//! A run of a container has a log `DATA_DIR/logs/{namespace}_{pod}_{uid}/{container}/{restart}.log` of lines
//! `{time} {stdout|stderr} {F|P} {text}`, the format of the container runtime interface; `P` marks a part of a line that
//! goes on in the next record. A full file is renamed to `{restart}.log.{sequence}`, and the oldest ones are removed.
//!
//! # How bytes get there
//!
//! A guest hands its bytes to a [`LogSink`](coracle_host_sandbox::LogSink) with room for [`BUFFER_BYTES_MAX`]; one thread
//! takes them to the disk. So a guest that prints without end waits for the disk and costs a constant amount of memory,
//! its own thread of the runtime never waits for the disk, and a write error loses bytes rather than blocking the guest.

mod file;
mod read;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;

pub(crate) use file::{Log, LogStream};
pub(crate) use read::{ReadOptions, read};

/// Bytes that one run of a container may have waiting for the disk.
const BUFFER_BYTES_MAX: usize = 64 * 1024;
/// Files that the writing thread keeps open; further ones are opened again when written to.
const OPEN_FILES_MAX: usize = 128;

/// The bounds of one log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogLimits {
    pub(crate) file_bytes_max: u64,
    pub(crate) files_max: usize,
}

/// All logs of this host. Clones are the same store; the writing thread ends with the last one.
#[derive(Debug, Clone)]
pub(crate) struct LogStore {
    shared: Arc<Shared>,
    /// Joins the writing thread when the last clone is dropped.
    _writer: Arc<Writer>,
}

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    limits: LogLimits,
    queue: Mutex<Queue>,
    filled: Condvar,
    /// Logs that may still grow, by their path without a suffix.
    live: Mutex<HashMap<PathBuf, Weak<Log>>>,
}

#[derive(Debug, Default)]
struct Queue {
    /// Logs with something to write, each at most once.
    logs: VecDeque<Arc<Log>>,
    stopping: bool,
}

#[derive(Debug)]
struct Writer {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Writer {
    fn drop(&mut self) {
        lock(&self.shared.queue).stopping = true;
        self.shared.filled.notify_all();
        let thread = lock(&self.thread).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that writes logs panicked");
        }
    }
}

/// Nothing in this module leaves a lock's content half changed, so poison means nothing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Which pod a log belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct PodLogs {
    directory: PathBuf,
}

impl PodLogs {
    /// Whether this is the directory of the pod's logs.
    pub(crate) fn is_at(&self, directory: &Path) -> bool {
        self.directory == directory
    }

    /// The run number `restart` of a container: its file's path.
    fn run(&self, container: &str, restart: u32) -> PathBuf {
        self.directory.join(plain(container)).join(format!("{restart}.log"))
    }
}

/// A name as a single component of a path. Names are checked by the API already; this is for what is not.
fn plain(name: &str) -> String {
    let ok = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '.' | '_');
    let text: String = name.chars().map(|character| if ok(character) { character } else { '_' }).collect();
    if text.chars().all(|character| character == '.') { "_".to_owned() } else { text }
}

impl LogStore {
    /// The store under `root`, with its writing thread.
    ///
    /// # Errors
    /// The directory cannot be made, or the thread not be started.
    pub(crate) fn open(root: PathBuf, limits: LogLimits) -> io::Result<Self> {
        std::fs::create_dir_all(&root)?;
        let shared = Arc::new(Shared {
            root,
            limits: LogLimits { files_max: limits.files_max.max(1), ..limits },
            queue: Mutex::default(),
            filled: Condvar::new(),
            live: Mutex::default(),
        });
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("coracle-logs".to_owned()).spawn(move || of_thread.write())?;
        let writer = Writer { shared: Arc::clone(&shared), thread: Mutex::new(Some(thread)) };
        Ok(Self { shared, _writer: Arc::new(writer) })
    }

    /// Where the logs of a pod are.
    pub(crate) fn pod(&self, namespace: &str, name: &str, uid: &str) -> PodLogs {
        let directory = format!("{}_{}_{}", plain(namespace), plain(name), plain(uid));
        PodLogs { directory: self.shared.root.join(directory) }
    }

    /// The log of a new run. The runs before the previous one are removed.
    ///
    /// # Errors
    /// The file cannot be made.
    pub(crate) fn start(&self, pod: &PodLogs, container: &str, restart: u32) -> io::Result<Arc<Log>> {
        let path = pod.run(container, restart);
        let log = Arc::new(Log::create(path.clone(), self.shared.limits, Arc::downgrade(&self.shared))?);
        let mut live = lock(&self.shared.live);
        live.retain(|_, log| log.strong_count() > 0);
        live.insert(path, Arc::downgrade(&log));
        drop(live);
        if let Some(old) = restart.checked_sub(2) {
            file::remove_runs(&pod.directory.join(plain(container)), old);
            lock(&self.shared.live).remove(&pod.run(container, old));
        }
        Ok(log)
    }

    /// The log of a run, whether it still grows or is from a former process. `None`: that run has printed nothing, or
    /// its log is gone.
    pub(crate) fn find(&self, pod: &PodLogs, container: &str, restart: u32) -> Option<Arc<Log>> {
        let path = pod.run(container, restart);
        let live = lock(&self.shared.live).get(&path).and_then(Weak::upgrade);
        live.or_else(|| Log::ended(path, self.shared.limits).map(Arc::new))
    }

    /// Removes everything that a pod has printed. Blocks on the disk.
    pub(crate) fn remove(&self, pod: &PodLogs) {
        remove_directory(&pod.directory);
    }

    /// The directories that pods have logs in now. Blocks on the disk.
    pub(crate) fn directories(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&self.shared.root).into_iter().flatten();
        entries.flatten().map(|entry| entry.path()).collect()
    }
}

fn remove_directory(directory: &Path) {
    if let Err(error) = std::fs::remove_dir_all(directory)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(directory = %directory.display(), %error, "logs could not be removed");
    }
}

impl Shared {
    /// Asks the thread to write what the log has waiting.
    fn enqueue(&self, log: Arc<Log>) {
        lock(&self.queue).logs.push_back(log);
        self.filled.notify_one();
    }

    /// The life of the writing thread.
    fn write(&self) {
        let mut open: VecDeque<Weak<Log>> = VecDeque::new();
        while let Some(log) = self.next() {
            if log.write_waiting() {
                open.push_back(Arc::downgrade(&log));
            }
            while open.len() > OPEN_FILES_MAX {
                if let Some(log) = open.pop_front().and_then(|log| log.upgrade()) {
                    log.close_file();
                }
            }
        }
    }

    /// The next log to write; `None` when the store is gone and everything is written.
    fn next(&self) -> Option<Arc<Log>> {
        let mut queue = lock(&self.queue);
        loop {
            if let Some(log) = queue.logs.pop_front() {
                return Some(log);
            }
            if queue.stopping {
                return None;
            }
            queue = self.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests;
