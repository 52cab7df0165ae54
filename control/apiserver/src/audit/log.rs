//! Where events are written: a file that is changed for a new one when it is full, or the standard output.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Events that wait for the disk.
const EVENTS_MAX: usize = 4096;
/// Bytes of all events that wait, in units of 1 KiB; a larger event counts as all of them.
const KIBIBYTES_MAX: u32 = 64 * 1024;
const MEBIBYTE: u64 = 1024 * 1024;
/// The size of a file when none is named, as upstream.
const FILE_MEBIBYTES: u64 = 100;
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Where events go, by the names of kube-apiserver's flags.
#[derive(Debug, Clone)]
pub struct AuditLogConfig {
    /// The file; `-` is the standard output.
    pub path: PathBuf,
    /// Days after which a file that is full is removed; 0 keeps it for ever.
    pub age_days_max: u64,
    /// Full files that are kept; 0 keeps all.
    pub backups_max: usize,
    /// MiB after which a file is full; 0 means 100.
    pub size_mebibytes_max: u64,
}

/// Why there can be no log.
#[derive(Debug, thiserror::Error)]
pub enum OpenAuditLogError {
    /// The file cannot be opened for writing.
    #[error("cannot write the audit log `{path}`")]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The system gives no thread.
    #[error("cannot start the thread of the audit log")]
    Thread(#[source] std::io::Error),
}

/// A log of events, with a thread that writes them. Clones are the same log; the last one waits until all is written.
#[derive(Debug, Clone)]
pub struct AuditLog {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    sender: Option<mpsc::Sender<Line>>,
    room: Arc<Semaphore>,
    lost: AtomicU64,
    thread: Option<JoinHandle<()>>,
}

/// An event and the room that it takes.
#[derive(Debug)]
struct Line {
    bytes: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

impl AuditLog {
    /// Opens the file, or makes it, and starts the thread.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn open(config: AuditLogConfig) -> Result<Self, OpenAuditLogError> {
        let target = Target::open(config)?;
        let (sender, receiver) = mpsc::channel(EVENTS_MAX);
        let thread = std::thread::Builder::new()
            .name("audit-log".to_owned())
            .spawn(move || write_all(target, receiver))
            .map_err(OpenAuditLogError::Thread)?;
        let room = Arc::new(Semaphore::new(KIBIBYTES_MAX as usize));
        let inner = Inner { sender: Some(sender), room, lost: AtomicU64::new(0), thread: Some(thread) };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Hands an event to the thread; waits while the queue is full.
    pub(super) async fn write(&self, bytes: Vec<u8>) {
        let Some(sender) = &self.inner.sender else { return };
        let Ok(room) = Arc::clone(&self.inner.room).acquire_many_owned(kibibytes(&bytes)).await else { return };
        // The thread ends after the last sender, so it takes this.
        let _ = sender.send(Line { bytes, _room: room }).await;
    }

    /// Hands an event to the thread, or counts it as lost when the queue is full.
    pub(super) fn write_now(&self, bytes: Vec<u8>) {
        let Some(sender) = &self.inner.sender else { return };
        let room = Arc::clone(&self.inner.room).try_acquire_many_owned(kibibytes(&bytes));
        let sent = room.ok().and_then(|room| sender.try_send(Line { bytes, _room: room }).ok());
        if sent.is_none() {
            let lost = self.inner.lost.fetch_add(1, Ordering::Relaxed) + 1;
            tracing::error!(lost, "the audit log is too slow, and the end of a stream is not in it");
        }
    }
}

fn kibibytes(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len() / 1024 + 1).unwrap_or(KIBIBYTES_MAX).min(KIBIBYTES_MAX)
}

impl Drop for Inner {
    fn drop(&mut self) {
        drop(self.sender.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread of the audit log panicked");
        }
    }
}

fn write_all(mut target: Target, mut receiver: mpsc::Receiver<Line>) {
    let mut failed = false;
    while let Some(first) = receiver.blocking_recv() {
        let mut result = target.write(&first.bytes);
        drop(first);
        while let Ok(line) = receiver.try_recv() {
            result = result.and_then(|()| target.write(&line.bytes));
        }
        result = result.and_then(|()| target.flush());
        match result {
            Ok(()) => failed = false,
            // Once for a disk that is full, not once for each event.
            Err(error) if !failed => {
                failed = true;
                tracing::error!(%error, "the audit log cannot be written");
            }
            Err(_) => {}
        }
    }
}

/// What is written to.
enum Target {
    Output(std::io::Stdout),
    File { config: AuditLogConfig, file: BufWriter<File>, size: u64 },
}

impl Target {
    fn open(config: AuditLogConfig) -> Result<Self, OpenAuditLogError> {
        if config.path == Path::new("-") {
            return Ok(Self::Output(std::io::stdout()));
        }
        match open_file(&config.path) {
            Ok((file, size)) => Ok(Self::File { config, file, size }),
            Err(source) => Err(OpenAuditLogError::File { path: config.path, source }),
        }
    }

    fn write(&mut self, line: &[u8]) -> std::io::Result<()> {
        match self {
            Self::Output(output) => output.write_all(line),
            Self::File { config, file, size } => {
                let length = line.len() as u64;
                if *size > 0 && *size + length > bytes_max(config) {
                    file.flush()?;
                    (*file, *size) = rotate(config)?;
                }
                *size += length;
                file.write_all(line)
            }
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Output(output) => output.flush(),
            Self::File { file, .. } => file.flush(),
        }
    }
}

fn bytes_max(config: &AuditLogConfig) -> u64 {
    let size = if config.size_mebibytes_max == 0 { FILE_MEBIBYTES } else { config.size_mebibytes_max };
    size.saturating_mul(MEBIBYTE)
}

/// Opens a file that its owner alone may read, at its end.
fn open_file(path: &Path) -> std::io::Result<(BufWriter<File>, u64)> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        std::fs::create_dir_all(parent)?;
    }
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    let size = file.metadata()?.len();
    Ok((BufWriter::new(file), size))
}

/// Puts the full file aside under the time, begins a new one, and removes files that are too many or too old.
fn rotate(config: &AuditLogConfig) -> std::io::Result<(BufWriter<File>, u64)> {
    let (stem, extension) = name_parts(&config.path);
    let time = Timestamp::now().strftime("%Y-%m-%dT%H-%M-%S%.6f");
    std::fs::rename(&config.path, config.path.with_file_name(format!("{stem}-{time}{extension}")))?;
    let opened = open_file(&config.path)?;
    // A file that cannot be removed is tried again at the next change.
    for path in superfluous(config).unwrap_or_default() {
        let _ = std::fs::remove_file(path);
    }
    Ok(opened)
}

fn name_parts(path: &Path) -> (String, String) {
    let text = |part: Option<&std::ffi::OsStr>| part.map(|part| part.to_string_lossy().into_owned());
    let extension = text(path.extension()).map(|extension| format!(".{extension}")).unwrap_or_default();
    (text(path.file_stem()).unwrap_or_default(), extension)
}

/// Full files beyond the number and the age that are kept.
fn superfluous(config: &AuditLogConfig) -> std::io::Result<Vec<PathBuf>> {
    let (stem, extension) = name_parts(&config.path);
    let directory = config.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let time = name.strip_prefix(&format!("{stem}-")).and_then(|rest| rest.strip_suffix(&extension));
        time.is_some_and(|time| time.starts_with("20") && time.contains('T'))
    };
    let mut backups: Vec<PathBuf> =
        std::fs::read_dir(directory)?.filter_map(|entry| Some(entry.ok()?.path())).filter(is_ours).collect();
    // Times sort as texts; the newest first.
    backups.sort_unstable_by(|left, right| right.cmp(left));
    let kept = if config.backups_max == 0 { backups.len() } else { config.backups_max };
    let oldest =
        SystemTime::now().checked_sub(DAY.saturating_mul(u32::try_from(config.age_days_max).unwrap_or(u32::MAX)));
    let is_old = |path: &PathBuf| {
        let modified = std::fs::metadata(path).and_then(|metadata| metadata.modified());
        config.age_days_max > 0 && matches!((modified, oldest), (Ok(modified), Some(oldest)) if modified < oldest)
    };
    Ok(backups.into_iter().enumerate().filter(|(at, path)| *at >= kept || is_old(path)).map(|(_, path)| path).collect())
}
