//! The thread that writes checkpoints, and the handle that asks it to.

use std::fmt::Debug;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use redb::Database;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot, watch};

use super::file::{CheckpointError, CheckpointFile, CheckpointImage, NewCheckpoint};
use crate::failure::Failure;
use crate::index::{HistoryBounds, Index, SharedIndex};
use crate::log::LogIdentity;
use crate::vfs::{Vfs, VfsLock};

/// So many requests may wait; there are never more than a few.
const QUEUE_MAX: usize = 8;

type Answer<T> = oneshot::Sender<io::Result<T>>;

enum Request<P> {
    Write(Answer<CheckpointImage<P>>),
    Replace(Box<CheckpointImage<P>>, Answer<()>),
    Stop,
}

/// The file's database, once there is one.
type SharedDatabase = Arc<Mutex<Option<Arc<Database>>>>;

/// Asks for checkpoints. Clones share the thread.
#[derive(Debug)]
pub(crate) struct Checkpointer<P> {
    requests: mpsc::Sender<Request<P>>,
    database: SharedDatabase,
    written: watch::Receiver<u64>,
}

impl<P> Clone for Checkpointer<P> {
    fn clone(&self) -> Self {
        Self { requests: self.requests.clone(), database: Arc::clone(&self.database), written: self.written.clone() }
    }
}

/// The running thread.
#[derive(Debug)]
pub(crate) struct CheckpointThread<P> {
    requests: mpsc::Sender<Request<P>>,
    thread: JoinHandle<()>,
}

impl<P> CheckpointThread<P> {
    /// Ends the thread after what it was asked to do before, and closes the file. Blocks.
    pub(crate) fn stop(self) {
        // A thread that ended by itself does not listen.
        let _ = self.requests.blocking_send(Request::Stop);
        if self.thread.join().is_err() {
            tracing::error!("the checkpoint thread panicked");
        }
    }
}

/// Where and for whom checkpoints are written.
#[derive(Debug)]
pub(crate) struct CheckpointSettings {
    pub(crate) vfs: Arc<dyn Vfs>,
    pub(crate) directory: PathBuf,
    pub(crate) identity: LogIdentity,
    pub(crate) cache_bytes: usize,
    pub(crate) history: HistoryBounds,
}

impl<P> Checkpointer<P>
where
    P: Clone + Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static,
{
    /// Starts the thread on `file`, which is made when the first checkpoint is due. `lock` is held until the thread has ended,
    /// whoever forgets about it.
    pub(crate) fn start(
        settings: CheckpointSettings,
        file: Option<CheckpointFile<P>>,
        index: Arc<SharedIndex<P>>,
        failure: Failure,
        lock: Arc<dyn VfsLock>,
    ) -> io::Result<(Self, CheckpointThread<P>)> {
        let database: SharedDatabase = Arc::new(Mutex::new(file.as_ref().map(CheckpointFile::database)));
        let (requests, received) = mpsc::channel(QUEUE_MAX);
        let (counter, written) = watch::channel(0);
        let worker = Worker { settings, file, database: Arc::clone(&database), index, failure, written: counter };
        let thread = std::thread::Builder::new().name("store-checkpoint".to_owned()).spawn(move || {
            worker.run(received);
            drop(lock);
        })?;
        Ok((Self { requests: requests.clone(), database, written }, CheckpointThread { requests, thread }))
    }

    /// Writes a checkpoint of all that is applied now, or later.
    ///
    /// # Errors
    ///
    /// When it could not be written; the store has failed then.
    pub(crate) async fn write(&self) -> io::Result<CheckpointImage<P>> {
        self.request(Request::Write).await
    }

    /// Replaces checkpoint and index by what `image` shows.
    pub(crate) async fn replace(&self, image: CheckpointImage<P>) -> io::Result<()> {
        self.request(|answer| Request::Replace(Box::new(image), answer)).await
    }

    /// The latest checkpoint, if there was one.
    pub(crate) fn current(&self) -> io::Result<Option<CheckpointImage<P>>> {
        let database = self.database.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(database.map(|database| CheckpointImage::latest(&database)).transpose()?)
    }

    /// Counts the checkpoints that were written.
    pub(crate) fn written(&self) -> watch::Receiver<u64> {
        self.written.clone()
    }

    async fn request<T>(&self, request: impl FnOnce(Answer<T>) -> Request<P>) -> io::Result<T> {
        let (answer, answered) = oneshot::channel();
        let gone = |_| io::Error::other("the checkpoint thread has ended");
        self.requests.send(request(answer)).await.map_err(|_| io::Error::other("the checkpoint thread has ended"))?;
        answered.await.map_err(gone)?
    }
}

struct Worker<P> {
    settings: CheckpointSettings,
    file: Option<CheckpointFile<P>>,
    database: SharedDatabase,
    index: Arc<SharedIndex<P>>,
    failure: Failure,
    written: watch::Sender<u64>,
}

impl<P> Worker<P>
where
    P: Clone + Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static,
{
    fn run(mut self, mut requests: mpsc::Receiver<Request<P>>) {
        while let Some(request) = requests.blocking_recv() {
            let failed = match request {
                Request::Write(answer) => {
                    let result = self.write();
                    self.answer(result, answer)
                }
                Request::Replace(image, answer) => {
                    let result = self.replace(&image);
                    self.answer(result, answer)
                }
                Request::Stop => break,
            };
            if failed {
                // What was taken from the index is lost to later checkpoints: none may follow.
                break;
            }
        }
        // Closing the file writes to it: that is over when the thread is.
        self.database.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn answer<T>(&self, result: Result<T, CheckpointError>, answer: Answer<T>) -> bool {
        let result = result.map_err(io::Error::from);
        let failed = result.is_err();
        if let Err(error) = &result {
            let directory = self.settings.directory.display();
            self.failure.fail(&format!("writing the checkpoint in `{directory}` failed: {error}"));
        }
        // Whoever asked may have given up.
        let _ = answer.send(result);
        failed
    }

    fn write(&mut self) -> Result<CheckpointImage<P>, CheckpointError> {
        let (numbers, applied, delta) =
            self.index.change(|state| (state.index.numbers(), state.applied.clone(), state.index.take_delta()));
        let image = match &mut self.file {
            Some(file) if file.is_current(numbers, &applied) => file.image(),
            Some(file) => {
                file.write(NewCheckpoint { numbers, applied, delta: &delta })?;
                file.image()
            }
            None => {
                let CheckpointSettings { vfs, directory, identity, cache_bytes, .. } = &self.settings;
                let checkpoint = NewCheckpoint { numbers, applied, delta: &delta };
                let made = CheckpointFile::create(vfs.as_ref(), directory, *identity, *cache_bytes, checkpoint)?;
                *self.database.lock().unwrap_or_else(PoisonError::into_inner) = Some(made.database());
                self.file.insert(made).image()
            }
        };
        self.written.send_modify(|count| *count += 1);
        image
    }

    /// The own state is written first, so that there is a file to replace it in.
    fn replace(&mut self, image: &CheckpointImage<P>) -> Result<(), CheckpointError> {
        self.write()?;
        if let Some(file) = &mut self.file {
            file.replace(image)?;
        }
        let index = Index::load(self.settings.history, image.numbers(), image.rows()?)?;
        self.index.replace(index, image.applied().clone());
        Ok(())
    }
}
