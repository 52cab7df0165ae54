//! Decides which node each waiting pod runs on, and writes that decision down through the Kubernetes API.
//!
//! The crate has two halves. The core is a pure function, [`plan`]: a [`Snapshot`] of the nodes and the pods on them, plus the pods
//! that wait, in; one [`Decision`] per waiting pod out. It knows no clock, no randomness, no task and no API client, so that
//! a property test can call it by the thousand and the same input always gives the same output. The driver, [`Scheduler`],
//! watches nodes and pods, keeps the snapshot up to date, and posts a Binding for each decision.
//!
//! # Invariants
//!
//! - **A plan never over-commits.** What one pod of a batch takes, the next pod of the same batch no longer finds. What was decided
//!   but is not yet visible in the watch (an *assumed* pod) counts as running.
//! - **The driver wakes up only because something happened**: a watch event or the answer to one of its own requests. It has no
//!   period and never sleeps.
//! - **The API is the only output.** A decision that the API server refused never happened: the pod is planned again.
//! - **Plugins are named as upstream names them** (`NodeResourcesFit`, `TaintToleration`, ...) and give upstream's reasons word
//!   for word, because people search for these sentences.
//!
//! # Refused alternatives
//!
//! A reflector of whole Pod objects would cost kilobytes for each pod; the scheduler keeps the few hundred bytes it
//! decides by. Planning pod by pod, each with its own pass through watch and queue, as upstream does, was refused because a batch shares
//! all that work; upstream's queueing hints because a failure is remembered per shape of pod, which makes a retry of
//! thousands of equal pods as cheap as a retry of one.

mod cache;
mod config;
mod driver;
mod node;
mod plan;
mod plugins;
mod pod;
mod resources;
mod snapshot;

pub use config::SchedulerConfig;
pub use node::{Node, NodeSpec, Taint};
pub use plan::{Decision, Outcome, Plan, plan};
pub use pod::{
    HostPort, MEMORY_BYTES_DEFAULT, MILLI_CPU_DEFAULT, NodeExpression, NodeTerm, Pod, PodKey, Requirements, Toleration,
};
pub use resources::{FUEL_RESOURCE, Resources};
pub use snapshot::Snapshot;

use kube::Client;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

/// The running scheduler. Dropping it aborts its task; [`Scheduler::stop`] ends it in order.
#[derive(Debug)]
pub struct Scheduler {
    tasks: JoinSet<()>,
    driver: AbortHandle,
    stop: watch::Sender<bool>,
}

impl Scheduler {
    /// Starts scheduling through `client`, which needs the rights of upstream's `system:kube-scheduler`. Must be called within a tokio
    /// runtime. An API that is not there yet, or goes away, is waited for.
    #[must_use]
    pub fn start(client: Client, config: SchedulerConfig) -> Self {
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let driver = tasks.spawn(driver::run(client, config, stopped));
        Self { tasks, driver, stop }
    }

    /// Tells, also after the scheduler is gone, whether it runs.
    pub fn running(&self) -> impl Fn() -> bool + Send + Sync + use<> {
        let driver = self.driver.clone();
        move || !driver.is_finished()
    }

    /// Takes no more pods, waits for requests in flight up to the configured time, and ends.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "the scheduler's task failed");
            }
        }
    }
}
