//! The writer thread: everything that waits becomes one frame, one write, one sync; then everybody is told.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc as std_mpsc;
use std::thread::JoinHandle;

use tokio::sync::{Notify, mpsc};

use super::frame::{HEADER_BYTES, frame_bytes, seal};
use super::record::{EncodePayload, Record, Summary};
use super::recovery::{DecodePayload, OlderSegment, OpenLogError, Recovered, Tail, recover};
use super::segment::{LogIdentity, SEGMENT_HEADER_BYTES, Segment, segment_path};
use crate::failure::Failure;
use crate::vfs::{Vfs, VfsLock};

/// So many operations may wait for the writer before appending has to wait.
const QUEUE_MAX: usize = 1024;

/// A frame is closed when its body has reached this size.
const FRAME_BYTES_MAX: usize = 4 << 20;

/// Records that nobody waits for are held back to go with the next frame, up to this size.
const HELD_BYTES_MAX: usize = 64 << 10;

/// The buffer is given back when a frame has made it larger than this.
const BUFFER_BYTES_KEPT: usize = 1 << 20;

/// Settings of a log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogSettings {
    pub(crate) identity: LogIdentity,
    /// The size of the first segment of a new log. Each further one is twice as large as the one before.
    pub(crate) first_segment_bytes: u64,
    pub(crate) segment_bytes: u64,
}

/// What a log is opened with, beside its settings.
#[derive(Debug)]
pub(crate) struct LogSurroundings {
    pub(crate) vfs: Arc<dyn Vfs>,
    pub(crate) growth: Arc<LogGrowth>,
    pub(crate) failure: Failure,
    /// Held until the writer has ended, whoever forgets about it.
    pub(crate) lock: Option<Arc<dyn VfsLock>>,
}

/// Called once, from the writer thread, when what it belongs to is durable or will never be.
pub(crate) type Completion = Box<dyn FnOnce(io::Result<()>) + Send>;

/// The log has been closed, or has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the log is closed")]
pub(crate) struct LogClosed;

/// What the writer is asked to do.
enum Operation<P> {
    /// Records that are written together, in order. Without a completion nobody waits, and they may become durable with
    /// whatever comes next.
    Write(Vec<Record<P>>, Option<Completion>),
    Stop,
}

/// How much the log has grown since somebody last cared.
#[derive(Debug, Default)]
pub(crate) struct LogGrowth {
    bytes: AtomicU64,
    bytes_max: u64,
    reached: Notify,
}

impl LogGrowth {
    /// Tells when the log has grown by `bytes_max` bytes.
    pub(crate) fn new(bytes_max: u64) -> Self {
        Self { bytes: AtomicU64::new(0), bytes_max, reached: Notify::new() }
    }

    pub(super) fn add(&self, bytes: u64) {
        if self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes >= self.bytes_max {
            self.reached.notify_one();
        }
    }

    /// Begins to count anew.
    pub(crate) fn reset(&self) {
        self.bytes.store(0, Ordering::Relaxed);
    }

    /// Waits until the log has grown that much. For one waiter.
    pub(crate) async fn reached(&self) {
        self.reached.notified().await;
    }
}

/// The handle on a log. Records become durable in the order in which they are handed over.
#[derive(Debug)]
pub(crate) struct Log<P> {
    queue: mpsc::Sender<Operation<P>>,
    thread: JoinHandle<()>,
}

/// The end of the queue that takes records. Clones are equal; the order among them is the callers' affair.
#[derive(Debug)]
pub(crate) struct LogSender<P> {
    queue: mpsc::Sender<Operation<P>>,
}

impl<P> Clone for LogSender<P> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone() }
    }
}

impl<P: EncodePayload> LogSender<P> {
    /// Hands records over and says when they are durable. Waits only while the queue is full.
    ///
    /// # Errors
    ///
    /// [`LogClosed`]; the completion has been called then.
    pub(crate) async fn append(&self, records: Vec<Record<P>>, completion: Completion) -> Result<(), LogClosed> {
        self.send(Operation::Write(records, Some(completion))).await
    }

    /// Hands over records that are durable no later than the next ones that somebody waits for.
    ///
    /// # Errors
    ///
    /// [`LogClosed`].
    pub(crate) async fn append_lazily(&self, record: Record<P>) -> Result<(), LogClosed> {
        self.send(Operation::Write(vec![record], None)).await
    }

    async fn send(&self, operation: Operation<P>) -> Result<(), LogClosed> {
        self.queue.send(operation).await.map_err(|mpsc::error::SendError(operation)| {
            if let Operation::Write(_, Some(completion)) = operation {
                completion(Err(io::Error::other(LogClosed)));
            }
            LogClosed
        })
    }
}

impl<P: EncodePayload + Clone> Log<P> {
    /// Opens the log in `directory`, or makes one, and starts its threads. Blocks.
    ///
    /// # Errors
    ///
    /// [`OpenLogError`].
    pub(crate) fn open(
        surroundings: LogSurroundings,
        directory: &Path,
        settings: LogSettings,
        decode: DecodePayload<P>,
    ) -> Result<(Self, Recovered<P>), OpenLogError> {
        let LogSurroundings { vfs, growth, failure, lock } = surroundings;
        let failed = |action: &'static str| {
            let path = directory.to_owned();
            move |source| OpenLogError::Io { action, path, source }
        };
        vfs.create_dir_all(directory).map_err(failed("make"))?;
        let mut recovered = recover(vfs.as_ref(), directory, settings.identity, decode)?;
        let tail = std::mem::replace(&mut recovered.tail, Tail::none());
        growth.add(recovered.bytes);
        let writer = Writer::new(vfs, directory, settings, tail, recovered.summary, growth, failure)
            .map_err(failed("make a log segment in"))?;
        let (queue, operations) = mpsc::channel(QUEUE_MAX);
        let thread = std::thread::Builder::new()
            .name("store-log".to_owned())
            .spawn(move || {
                writer.run(operations);
                drop(lock);
            })
            .map_err(failed("start the writer of"))?;
        Ok((Self { queue, thread }, recovered))
    }

    pub(crate) fn sender(&self) -> LogSender<P> {
        LogSender { queue: self.queue.clone() }
    }

    /// Writes everything that was handed over before, and ends the thread. Blocks.
    pub(crate) fn close(self) {
        // A writer that has failed does not listen.
        let _ = self.queue.blocking_send(Operation::Stop);
        if self.thread.join().is_err() {
            tracing::error!("the log's writer panicked");
        }
    }
}

impl Tail {
    fn none() -> Self {
        Self { older: VecDeque::new(), active: None, active_last_index: None, next_id: 1, next_number: 1 }
    }
}

/// What the writer thread owns.
struct Writer {
    vfs: Arc<dyn Vfs>,
    directory: PathBuf,
    settings: LogSettings,
    failure: Failure,
    active: Segment,
    offset: u64,
    active_last_index: Option<u64>,
    older: VecDeque<OlderSegment>,
    next_number: u64,
    /// What all records amount to that were handed over, and that were written.
    summary: Summary,
    summary_written: Summary,
    spare: Option<Spare>,
    /// The frame that is being put together: room for a header, then the body.
    buffer: Vec<u8>,
    /// The highest index of an entry in `buffer`.
    buffer_last_index: Option<u64>,
    growth: Arc<LogGrowth>,
}

/// The next segment, which a thread is making or has made.
struct Spare {
    made: std_mpsc::Receiver<io::Result<Segment>>,
    thread: JoinHandle<()>,
}

impl Writer {
    fn new(
        vfs: Arc<dyn Vfs>,
        directory: &Path,
        settings: LogSettings,
        tail: Tail,
        summary: Summary,
        growth: Arc<LogGrowth>,
        failure: Failure,
    ) -> io::Result<Self> {
        let (active, offset) = match tail.active {
            Some(active) => active,
            None => {
                let bytes = settings.first_segment_bytes;
                let segment = Segment::create(vfs.as_ref(), directory, tail.next_id, bytes, settings.identity)?;
                (segment, SEGMENT_HEADER_BYTES as u64)
            }
        };
        Ok(Self {
            vfs,
            directory: directory.to_owned(),
            settings,
            failure,
            active,
            offset,
            active_last_index: tail.active_last_index,
            older: tail.older,
            next_number: tail.next_number,
            summary,
            summary_written: summary,
            spare: None,
            buffer: vec![0; HEADER_BYTES],
            buffer_last_index: None,
            growth,
        })
    }

    fn run<P: EncodePayload>(mut self, mut operations: mpsc::Receiver<Operation<P>>) {
        let mut completions = Vec::new();
        let mut stop = false;
        while !stop && let Some(operation) = operations.blocking_recv() {
            stop = self.take(operation, &mut completions);
            while !stop
                && self.buffer.len() < FRAME_BYTES_MAX
                && let Ok(operation) = operations.try_recv()
            {
                stop = self.take(operation, &mut completions);
            }
            let held_back = completions.is_empty() && self.buffer.len() < HELD_BYTES_MAX && !stop;
            if held_back || self.buffer.len() == HEADER_BYTES {
                continue;
            }
            let written = self.write_frame();
            if let Err(error) = written.and_then(|()| {
                completions.drain(..).for_each(|completion: Completion| completion(Ok(())));
                self.remove_purged()
            }) {
                self.fail(&error, &mut completions, operations);
                return;
            }
        }
        if let Some(spare) = self.spare.take() {
            // It is made or not; the next start finds out.
            let _ = spare.take();
        }
    }

    /// Adds an operation to the frame. True for the last one.
    fn take<P: EncodePayload>(&mut self, operation: Operation<P>, completions: &mut Vec<Completion>) -> bool {
        let Operation::Write(records, completion) = operation else { return true };
        for record in &records {
            if let Record::Entry { position, .. } = record {
                self.buffer_last_index = self.buffer_last_index.max(Some(position.index));
            }
            self.summary.note(record);
            record.encode(&mut self.buffer);
        }
        completions.extend(completion);
        false
    }

    /// After this nothing is written any more, and everybody is told so, now and later.
    fn fail<P>(
        &self,
        error: &io::Error,
        completions: &mut Vec<Completion>,
        mut operations: mpsc::Receiver<Operation<P>>,
    ) {
        self.failure.fail(&format!("writing the log in `{}` failed: {error}", self.directory.display()));
        operations.close();
        let again = || io::Error::new(error.kind(), error.to_string());
        completions.drain(..).for_each(|completion| completion(Err(again())));
        while let Some(operation) = operations.blocking_recv() {
            if let Operation::Write(_, Some(completion)) = operation {
                completion(Err(again()));
            }
        }
    }

    fn write_frame(&mut self) -> io::Result<()> {
        let needed = frame_bytes(self.buffer.len() - HEADER_BYTES) as u64;
        if self.offset + needed > self.active.bytes {
            self.next_segment(needed)?;
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        seal(&mut buffer, self.active.seed(), self.offset, self.next_number);
        self.active.file.write_at(self.offset, &buffer)?;
        self.active.file.sync_data()?;
        self.offset += buffer.len() as u64;
        self.next_number += 1;
        self.summary_written = self.summary;
        self.active_last_index = self.active_last_index.max(self.buffer_last_index.take());
        self.growth.add(buffer.len() as u64);
        buffer.truncate(HEADER_BYTES);
        buffer.shrink_to(BUFFER_BYTES_KEPT);
        self.buffer = buffer;
        self.prepare_spare();
        Ok(())
    }

    /// Goes on in another segment, and puts a summary of all that was written so far before the frame.
    fn next_segment(&mut self, needed: u64) -> io::Result<()> {
        let mut head = vec![0; HEADER_BYTES];
        Record::<Vec<u8>>::Summary(self.summary_written).encode(&mut head);
        let needed = (SEGMENT_HEADER_BYTES + head.len()) as u64 + needed;
        let spare = self.spare.take().map(Spare::take).transpose()?;
        let segment = match spare {
            Some(segment) if segment.bytes >= needed => segment,
            // A spare that is too small is replaced: no id may be left out.
            _ => {
                let bytes = self.next_segment_bytes().max(needed);
                let (vfs, identity) = (self.vfs.as_ref(), self.settings.identity);
                Segment::create(vfs, &self.directory, self.active.id + 1, bytes, identity)?
            }
        };
        head.extend_from_slice(&self.buffer[HEADER_BYTES..]);
        self.buffer = head;
        self.older.push_back(OlderSegment { id: self.active.id, last_index: self.active_last_index.take() });
        self.active = segment;
        self.offset = SEGMENT_HEADER_BYTES as u64;
        Ok(())
    }

    fn next_segment_bytes(&self) -> u64 {
        self.active.bytes.saturating_mul(2).min(self.settings.segment_bytes)
    }

    /// Has the next segment made while there is still room in this one.
    fn prepare_spare(&mut self) {
        if self.spare.is_some() || self.offset < self.active.bytes / 2 {
            return;
        }
        let (vfs, directory) = (Arc::clone(&self.vfs), self.directory.clone());
        let (id, bytes, identity) = (self.active.id + 1, self.next_segment_bytes(), self.settings.identity);
        let (sender, made) = std_mpsc::sync_channel(1);
        let thread = std::thread::Builder::new().name("store-log-spare".to_owned()).spawn(move || {
            // Nobody listens any more when the log was closed meanwhile.
            let _ = sender.send(Segment::create(vfs.as_ref(), &directory, id, bytes, identity));
        });
        match thread {
            Ok(thread) => self.spare = Some(Spare { made, thread }),
            Err(error) => tracing::warn!(%error, "no thread to make the next log segment; it will be made when needed"),
        }
    }

    /// Removes the oldest segments of which nothing is needed, now that this is durable.
    fn remove_purged(&mut self) -> io::Result<()> {
        let purged = self.summary_written.purged.map(|purged| purged.index);
        while let Some(segment) = self.older.pop_front_if(|segment| segment.last_index <= purged) {
            self.vfs.remove(&segment_path(&self.directory, segment.id))?;
            self.vfs.sync_dir(&self.directory)?;
        }
        Ok(())
    }
}

impl Spare {
    /// Waits for the segment.
    fn take(self) -> io::Result<Segment> {
        let made = self.made.recv().unwrap_or_else(|_| Err(io::Error::other("making the next log segment panicked")));
        let _ = self.thread.join();
        made
    }
}
