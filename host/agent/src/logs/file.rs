//! One log: what waits to be written, the files it is written to, and how far they have got.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};

use bytes::Bytes;
use coracle_host_sandbox::{LogSink, SinkClosed};
use jiff::Timestamp;
use tokio::sync::{Notify, watch};

use super::{BUFFER_BYTES_MAX, LogLimits, Shared, lock};

/// Bytes of one record's text; longer lines are split. Container runtimes have the same bound.
const RECORD_BYTES_MAX: usize = 16 * 1024;

/// Which standard stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogStream {
    Stdout,
    Stderr,
}

impl LogStream {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// The log of one run of a container.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    limits: LogLimits,
    store: Weak<Shared>,
    waiting: Mutex<Waiting>,
    /// Told when there is room again.
    writable: Notify,
    files: Mutex<Files>,
    progress: watch::Sender<Progress>,
}

/// What was printed and is not on disk yet.
#[derive(Debug, Default)]
struct Waiting {
    pieces: VecDeque<(LogStream, Timestamp, Bytes)>,
    bytes: usize,
    /// Whether the writing thread knows.
    queued: bool,
    /// How often it was told.
    asked: u64,
    /// Nothing more is taken.
    ended: bool,
}

#[derive(Debug)]
struct Files {
    current: Option<File>,
    current_bytes: u64,
    /// Files are numbered from the first on; `last` is the one being written.
    first: u64,
    last: u64,
    /// The beginnings of lines that have no end yet, for stdout and stderr.
    partial: [Partial; 2],
    failed: bool,
}

#[derive(Debug, Default)]
struct Partial {
    time: Timestamp,
    text: Vec<u8>,
}

/// How far a log has got, for readers that follow it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// Counts the writes.
    pub(super) writes: u64,
    pub(super) ended: bool,
}

impl Waiting {
    /// Notes that the writing thread is to come; answers whether it has to be told.
    fn queue(&mut self) -> bool {
        let queue = !std::mem::replace(&mut self.queued, true);
        self.asked += u64::from(queue);
        queue
    }
}

impl Log {
    /// A log that grows. What a former process has left under the path is continued.
    pub(super) fn create(path: PathBuf, limits: LogLimits, store: Weak<Shared>) -> io::Result<Self> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        let current = OpenOptions::new().append(true).create(true).open(&path)?;
        let current_bytes = current.metadata()?.len();
        // The file is opened again for the first write, so that a container that prints nothing holds no descriptor.
        drop(current);
        Ok(Self::new(path, limits, store, current_bytes))
    }

    /// A log that does not grow any more, if there is one.
    pub(super) fn ended(path: PathBuf, limits: LogLimits) -> Option<Self> {
        let current_bytes = fs::metadata(&path).ok()?.len();
        let log = Self::new(path, limits, Weak::new(), current_bytes);
        lock(&log.waiting).ended = true;
        log.progress.send_modify(|progress| progress.ended = true);
        Some(log)
    }

    fn new(path: PathBuf, limits: LogLimits, store: Weak<Shared>, current_bytes: u64) -> Self {
        let rotated = rotated_files(&path);
        let (first, last) = match (rotated.first(), rotated.last()) {
            (Some(first), Some(last)) => (*first, last + 1),
            _ => (0, 0),
        };
        let partial = [Partial::default(), Partial::default()];
        let files = Files { current: None, current_bytes, first, last, partial, failed: false };
        Self {
            path,
            limits,
            store,
            waiting: Mutex::default(),
            writable: Notify::new(),
            files: Mutex::new(files),
            progress: watch::Sender::new(Progress::default()),
        }
    }

    /// Where a standard stream of the container goes.
    pub(crate) fn sink(self: &Arc<Self>, stream: LogStream) -> Arc<dyn LogSink> {
        Arc::new(Sink { log: Arc::clone(self), stream })
    }

    /// The container has ended: what waits is written, then readers see the end.
    pub(crate) fn end(self: &Arc<Self>) {
        let mut waiting = lock(&self.waiting);
        waiting.ended = true;
        let queue = waiting.queue();
        drop(waiting);
        self.writable.notify_waiters();
        if queue {
            self.enqueue();
        }
    }

    /// Waits until what was printed by now is on disk.
    pub(super) async fn flushed(&self) {
        let asked = lock(&self.waiting).asked;
        let mut progress = self.progress();
        // The log itself holds the sender.
        let _never_closed = progress.wait_for(|progress| progress.writes >= asked).await;
    }

    pub(super) fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// The numbers of the first and the last file.
    pub(super) fn range(&self) -> (u64, u64) {
        let files = lock(&self.files);
        (files.first, files.last)
    }

    /// Opens a file for reading. The lock keeps it from being renamed meanwhile.
    pub(super) fn open(&self, number: u64) -> io::Result<File> {
        let files = lock(&self.files);
        File::open(if number == files.last { self.path.clone() } else { rotated_path(&self.path, number) })
    }

    fn enqueue(self: &Arc<Self>) {
        match self.store.upgrade() {
            Some(store) => store.enqueue(Arc::clone(self)),
            None => tracing::debug!(path = %self.path.display(), "a log was written to after the agent ended"),
        }
    }

    /// Writes all that waits. Answers whether that opened the file.
    pub(super) fn write_waiting(&self) -> bool {
        let (pieces, ended) = {
            let mut waiting = lock(&self.waiting);
            waiting.queued = false;
            waiting.bytes = 0;
            (std::mem::take(&mut waiting.pieces), waiting.ended)
        };
        let mut files = lock(&self.files);
        let was_open = files.current.is_some();
        let mut records = Vec::new();
        for (stream, time, bytes) in pieces {
            files.partial[stream as usize].split(stream, time, &bytes, &mut records);
            if records.len() >= BUFFER_BYTES_MAX {
                files.append(self, &records);
                records.clear();
            }
        }
        if ended {
            for stream in [LogStream::Stdout, LogStream::Stderr] {
                files.partial[stream as usize].flush(stream, &mut records);
            }
        }
        files.append(self, &records);
        if ended {
            files.current = None;
        }
        let opened = files.current.is_some() && !was_open;
        drop(files);
        self.writable.notify_waiters();
        self.progress.send_modify(|progress| {
            progress.writes += 1;
            progress.ended = ended;
        });
        opened
    }

    #[cfg(test)]
    pub(super) fn waiting_bytes(&self) -> usize {
        lock(&self.waiting).bytes
    }

    pub(super) fn close_file(&self) {
        lock(&self.files).current = None;
    }
}

impl Files {
    fn append(&mut self, log: &Log, records: &[u8]) {
        if records.is_empty() {
            return;
        }
        match self.try_append(log, records) {
            Ok(()) => self.failed = false,
            Err(error) => {
                // Once for each stretch of failures: a full disk would otherwise be told at every line.
                if !std::mem::replace(&mut self.failed, true) {
                    tracing::warn!(path = %log.path.display(), %error, "a container's output is lost");
                }
            }
        }
    }

    fn try_append(&mut self, log: &Log, records: &[u8]) -> io::Result<()> {
        let length = records.len() as u64;
        if self.current_bytes > 0 && self.current_bytes + length > log.limits.file_bytes_max {
            self.rotate(log)?;
        }
        if self.current.is_none() {
            self.current = Some(OpenOptions::new().append(true).create(true).open(&log.path)?);
        }
        if let Some(file) = &mut self.current {
            file.write_all(records)?;
        }
        self.current_bytes += length;
        Ok(())
    }

    fn rotate(&mut self, log: &Log) -> io::Result<()> {
        self.current = None;
        fs::rename(&log.path, rotated_path(&log.path, self.last))?;
        self.last += 1;
        self.current_bytes = 0;
        let kept = u64::try_from(log.limits.files_max).unwrap_or(u64::MAX);
        while self.last - self.first >= kept {
            let oldest = rotated_path(&log.path, self.first);
            if let Err(error) = fs::remove_file(&oldest) {
                tracing::warn!(path = %oldest.display(), %error, "an old log could not be removed");
            }
            self.first += 1;
        }
        Ok(())
    }
}

impl Partial {
    /// Adds bytes that were printed at `time` and moves every whole record to `records`.
    fn split(&mut self, stream: LogStream, time: Timestamp, mut bytes: &[u8], records: &mut Vec<u8>) {
        while !bytes.is_empty() {
            if self.text.is_empty() {
                self.time = time;
            }
            let room = RECORD_BYTES_MAX - self.text.len();
            let window = &bytes[..bytes.len().min(room + 1)];
            if let Some(end) = window.iter().position(|byte| *byte == b'\n') {
                self.text.extend_from_slice(&bytes[..end]);
                bytes = &bytes[end + 1..];
                self.record(stream, b'F', records);
            } else {
                let count = bytes.len().min(room);
                self.text.extend_from_slice(&bytes[..count]);
                bytes = &bytes[count..];
                if self.text.len() == RECORD_BYTES_MAX && !bytes.is_empty() {
                    self.record(stream, b'P', records);
                }
            }
        }
    }

    /// The end of the output: a line without an end is kept as the part that it is.
    fn flush(&mut self, stream: LogStream, records: &mut Vec<u8>) {
        if !self.text.is_empty() {
            self.record(stream, b'P', records);
        }
        self.text = Vec::new();
    }

    fn record(&mut self, stream: LogStream, tag: u8, records: &mut Vec<u8>) {
        records.extend_from_slice(format!("{:.9} {} ", self.time, stream.as_str()).as_bytes());
        records.extend_from_slice(&[tag, b' ']);
        records.append(&mut self.text);
        records.push(b'\n');
    }
}

/// A standard stream of a container.
struct Sink {
    log: Arc<Log>,
    stream: LogStream,
}

#[async_trait::async_trait]
impl LogSink for Sink {
    fn permit(&self) -> Result<usize, SinkClosed> {
        let waiting = lock(&self.log.waiting);
        if waiting.ended { Err(SinkClosed) } else { Ok(BUFFER_BYTES_MAX.saturating_sub(waiting.bytes)) }
    }

    fn write(&self, bytes: Bytes) -> Result<(), SinkClosed> {
        if bytes.is_empty() {
            return Ok(());
        }
        let mut waiting = lock(&self.log.waiting);
        if waiting.ended {
            return Err(SinkClosed);
        }
        waiting.bytes += bytes.len();
        let time = Timestamp::now();
        // Small pieces in a row are joined, so that a guest that prints byte by byte does not hold a piece for each.
        match waiting.pieces.back_mut() {
            Some((stream, at, last)) if *stream == self.stream && *at == time && last.len() + bytes.len() < 4096 => {
                *last = [last.as_ref(), bytes.as_ref()].concat().into();
            }
            _ => waiting.pieces.push_back((self.stream, time, bytes)),
        }
        let queue = waiting.queue();
        drop(waiting);
        if queue {
            self.log.enqueue();
        }
        Ok(())
    }

    async fn ready(&self) {
        loop {
            // Registered before the check, so that a write in between is not missed.
            let writable = self.log.writable.notified();
            tokio::pin!(writable);
            writable.as_mut().enable();
            if !matches!(self.permit(), Ok(0)) {
                return;
            }
            writable.await;
        }
    }
}

fn rotated_path(path: &Path, number: u64) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

/// The numbers of the rotated files of a log, in order.
fn rotated_files(path: &Path) -> Vec<u64> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Vec::new();
    };
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let number = |entry: fs::DirEntry| entry.file_name().to_str()?.strip_prefix(name)?.strip_prefix('.')?.parse().ok();
    let mut numbers: Vec<u64> = entries.flatten().filter_map(number).collect();
    numbers.sort_unstable();
    numbers
}

/// Removes the files of the runs up to `last` of a container.
pub(super) fn remove_runs(directory: &Path, last: u32) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let run = name.to_str().and_then(|name| name.split_once(".log")).and_then(|(run, _)| run.parse::<u32>().ok());
        if run.is_some_and(|run| run <= last)
            && let Err(error) = fs::remove_file(entry.path())
        {
            tracing::warn!(path = %entry.path().display(), %error, "an old log could not be removed");
        }
    }
}
