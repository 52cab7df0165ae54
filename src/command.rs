//! One module per command.

pub(crate) mod demo;
pub(crate) mod image;
pub(crate) mod run;
mod table;
pub(crate) mod up;

use std::path::PathBuf;

use anyhow::{Context, Result};
use tokio::runtime::Runtime;
use tracing_subscriber::EnvFilter;

use crate::cli::DataDirArgument;
use crate::{defaults, system};

impl DataDirArgument {
    /// The directory that was named, made absolute, or the user's own.
    fn resolve(&self) -> Result<PathBuf> {
        match &self.data_dir {
            Some(directory) => {
                std::path::absolute(directory).with_context(|| format!("cannot tell where {} is", directory.display()))
            }
            None => system::data(),
        }
    }
}

/// Turns of tasks after which a thread looks at timers and sockets. Guests that compute take a turn of up to a
/// millisecond each; with tokio's own 61 a timer comes 5.6 ms late at the median while 4 guests spin, with 7 it is 1.1 ms,
/// and idle threads pay nothing (host/sandbox's bench `start`).
const EVENT_INTERVAL: u32 = 7;

/// The runtime that a command's whole work happens on.
fn runtime() -> Result<Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.enable_all().event_interval(EVENT_INTERVAL).build().context("cannot start the threads")
}

/// Sends the log to standard error; `CORACLE_LOG` takes directives such as `info` or `coracle_host_agent=debug`.
fn start_logging() {
    let filter = EnvFilter::try_from_env("CORACLE_LOG").unwrap_or_else(|_| EnvFilter::new(defaults::LOG_FILTER));
    // A second start in one process (tests) keeps the first one.
    let _already_started = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
}
