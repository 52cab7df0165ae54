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

/// The runtime that a command's whole work happens on.
fn runtime() -> Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the threads")
}

/// Sends the log to standard error; `CORACLE_LOG` takes directives such as `info` or `coracle_host_agent=debug`.
fn start_logging() {
    let filter = EnvFilter::try_from_env("CORACLE_LOG").unwrap_or_else(|_| EnvFilter::new(defaults::LOG_FILTER));
    // A second start in one process (tests) keeps the first one.
    let _already_started = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
}
