//! One running container: its task, its meters, its end.

mod command;
mod fuel;
mod http;
mod instance;
mod memory;
mod meter;
mod processor;
mod tasks;
mod trap;
mod turn;

pub(crate) use memory::MemoryAccount;
pub(crate) use turn::{EndLongTurns, Turn};

use crate::engine::Shared as EngineShared;
use crate::program::{Entry, Program};
use crate::{ContainerConfig, ExitReport, Usage};
use coracle_host_network::ListenError;
use instance::Template;
use meter::Meter;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tasks::Tasks;
use tokio::sync::watch;
use tokio::time::Instant;

/// Why a container was not started. Nothing of it remains.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Every slot is taken.
    #[error("this host runs {containers_max} containers already, which is as many as it can")]
    AtCapacity {
        /// How many slots there are.
        containers_max: u32,
    },
    /// A mount cannot be opened.
    #[error("cannot mount {} at {guest_path}", host_path.display())]
    Mount {
        /// The directory that was to be mounted.
        host_path: PathBuf,
        /// Where.
        guest_path: String,
        /// What the operating system says.
        source: io::Error,
    },
    /// More than [`ARGS_ENV_BYTES_MAX`](crate::limits::ARGS_ENV_BYTES_MAX).
    #[error("arguments and environment have {size_bytes} bytes; at most {size_bytes_max} are allowed")]
    ArgumentsTooLong {
        /// All of them, with their terminators.
        size_bytes: usize,
        /// The bound.
        size_bytes_max: usize,
    },
    /// A string that cannot be passed to a C program.
    #[error("{what} contains a NUL byte")]
    NulByte {
        /// Which string.
        what: String,
    },
    /// [`ContainerConfig::http_port`] is missing.
    #[error("the program is an HTTP handler, which needs a port to be served on: declare a container port")]
    NoHttpPort,
    /// [`ContainerConfig::network`] is missing.
    #[error("the program is an HTTP handler, which needs the network of a pod")]
    NoNetwork,
    /// The port cannot be had.
    #[error("the HTTP handler cannot be served")]
    Listen(#[source] ListenError),
}

/// A container that was started. Clones are the same container; when the last one is dropped, the container is killed
/// without a report.
#[derive(Clone)]
pub struct Container {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    meter: Arc<Meter>,
    report: watch::Receiver<Option<ExitReport>>,
    /// When the container must have ended, once somebody asked for it.
    stop: watch::Sender<Option<Instant>>,
    /// Owns the container's task.
    _tasks: Tasks,
}

impl Container {
    pub(crate) fn start(
        shared: &Arc<EngineShared>,
        program: &Program,
        config: ContainerConfig,
    ) -> Result<Self, StartError> {
        let containers_max = shared.config.containers_max;
        let slot = Arc::clone(&shared.containers)
            .try_acquire_owned()
            .map_err(|_closed_or_empty| StartError::AtCapacity { containers_max })?;
        let name = config.name.clone();
        let meter = match &config.within {
            Some(other) => Arc::clone(&other.inner.meter),
            None => Arc::new(Meter::new(config.limits)),
        };
        let (report_sender, report) = watch::channel(None);
        let (stop, stop_receiver) = watch::channel(None);
        let server = match program.entry() {
            Entry::HttpHandler(_) => Some(http::Server::bind(&config)?),
            Entry::Module(_) | Entry::Command(_) => None,
        };
        let template = Template::new(shared, program, config, Arc::clone(&meter))?;
        let tasks = Tasks::default();
        let last_words = LastWords { report: report_sender, meter: Arc::clone(&meter) };
        tasks.spawn(async move {
            let report = match server {
                Some(server) => Box::pin(server.run(template, stop_receiver)).await,
                None => Box::pin(command::run(template, stop_receiver)).await,
            };
            drop(slot);
            last_words.say(report);
        });
        Ok(Self { inner: Arc::new(Inner { name, meter, report, stop, _tasks: tasks }) })
    }

    /// The name it was started with.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Waits for the end. Any number of callers may wait, at any time, before or after the end. When it returns, the
    /// container's memory, its slot and its output sinks have been let go.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn wait(&self) -> ExitReport {
        let mut report = self.inner.report.clone();
        match report.wait_for(Option::is_some).await {
            Ok(ended) => ended.clone().unwrap_or_else(|| self.inner.meter.aborted()),
            Err(_task_gone) => self.inner.meter.aborted(),
        }
    }

    /// How it ended, if it has.
    #[must_use]
    pub fn ended(&self) -> Option<ExitReport> {
        self.inner.report.borrow().clone()
    }

    /// Ends the container and waits for the end, which comes within `grace` and about a millisecond.
    ///
    /// A guest that runs to completion has no way to learn that it is to stop: it is ended at once, with code 143, or 137
    /// when `grace` is zero. An HTTP handler accepts nothing more and finishes what it is at; drained, it ends with
    /// code 0, and when `grace` runs out with 137. A second call can shorten the grace period, never lengthen it. On a
    /// container that has ended it returns the report there is.
    ///
    /// # Cancel safety
    /// The container is stopped even if the future is dropped after its first poll.
    pub async fn stop(&self, grace: Duration) -> ExitReport {
        let deadline = Instant::now() + grace;
        self.inner.stop.send_if_modified(|current| {
            let sooner = current.is_none_or(|current| deadline < current);
            if sooner {
                *current = Some(deadline);
            }
            sooner
        });
        self.wait().await
    }

    /// What it has used so far.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.inner.meter.usage()
    }
}

impl fmt::Debug for Container {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Container").field("name", &self.inner.name).finish_non_exhaustive()
    }
}

/// Sees to it that whoever waits gets a report even if the container's task panics.
struct LastWords {
    report: watch::Sender<Option<ExitReport>>,
    meter: Arc<Meter>,
}

impl LastWords {
    fn say(&self, report: ExitReport) {
        self.report.send_replace(Some(report));
    }
}

impl Drop for LastWords {
    fn drop(&mut self) {
        if self.report.borrow().is_none() {
            self.say(self.meter.aborted());
        }
    }
}
