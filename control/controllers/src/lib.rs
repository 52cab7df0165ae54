//! Controllers: they watch what is and change it until it is what was asked for, all through the Kubernetes API.
//!
//! Each controller is one file, in two halves. Its plan is a pure function of observed objects and a time, so that tests can call it by
//! the thousand. Its driver is thin: watch events mark keys in a queue, a worker takes a key, reads what is observed *now*, plans, and
//! carries the plan out.
//!
//! # Invariants
//!
//! - **Level-triggered.** An event only says which key to look at; what to do is read from the present state. Lost, doubled and
//!   reordered events therefore change nothing but the time at which work is done, and a restart is no special case.
//! - **One watch per kind, shared by all.** What is kept of an object is the part that some controller reads, not the object.
//! - **No polling.** A worker wakes for a key. The only timers are upstream's own (a lease running out, a quarantine, a time to live) and
//!   the back-off after an error; an idle cluster causes no wake-ups but those of node leases.
//! - **Own writes are read.** The answer to a write is in the cache before the controller looks again, so nothing is made twice.
//! - **Writes name what they read.** Deletions carry the uid and taints the resourceVersion that the plan looked at, so that a plan made
//!   from an old view is refused rather than carried out.
//! - **Bounded.** A queue holds a key once; a controller works on [`ControllersConfig::concurrency_max`] keys at a time; every request has
//!   a time limit.
//!
//! # Refused alternatives
//!
//! kube-rs' `Controller` keeps whole objects, does not wake for deleted ones, and shares a watch only with back-pressure from the
//! slowest reader. Full rounds over all objects, as simple reconcilers do, cost too much at 150,000 pods.

mod config;

mod events;
mod hash;
mod history;
mod informer;
mod kind;
mod meta;
mod observed;
mod queue;
mod requests;
mod selector;
mod worker;
mod workload;
mod writes;

mod cron_job;
mod daemon_set;
mod deployment;
mod disruption;
mod endpoints;
mod event_expiry;
mod finished_jobs;
mod flow_schema_status;
mod job;
mod namespace;
mod node_lifecycle;
mod owner_garbage;
mod pod_garbage;
mod policy_status;
mod replica_set;
mod resource_quota;
mod role_aggregation;
mod root_ca;
mod service_account;
mod stateful_set;
mod taint_eviction;
mod token_secret;
mod volume_protection;

pub use config::{ControllersConfig, SecretTokenSigner};

use std::sync::Arc;

use kube::Client;
use tokio::sync::watch;
use tokio::task::JoinSet;

use events::Events;
use observed::Observed;
use requests::Requests;

/// What every controller is given.
#[derive(Clone)]
struct Context {
    config: Arc<ControllersConfig>,
    observed: Arc<Observed>,
    requests: Requests,
    events: Events,
}

/// The running controllers. Dropping it aborts their tasks; [`Controllers::stop`] ends them in order.
#[derive(Debug)]
pub struct Controllers {
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
}

impl Controllers {
    /// Starts every controller through `client`, which needs the rights of upstream's `system:kube-controller-manager`. Must be called
    /// within a tokio runtime. An API that is not there yet, or goes away, is waited for.
    #[must_use]
    pub fn start(client: Client, config: ControllersConfig) -> Self {
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        let requests = Requests::new(client, config.request_timeout);
        let events = Events::start(&requests, &mut tasks, &stopped);
        let context = Context { observed: Arc::new(Observed::new()), requests, events, config: Arc::new(config) };
        // Controllers subscribe before the first watch event arrives, so that they miss none.
        namespace::start(&context, &mut tasks, &stopped);
        service_account::start(&context, &mut tasks, &stopped);
        resource_quota::start(&context, &mut tasks, &stopped);
        token_secret::start(&context, &mut tasks, &stopped);
        role_aggregation::start(&context, &mut tasks, &stopped);
        flow_schema_status::start(&context, &mut tasks, &stopped);
        policy_status::start(&context, &mut tasks, &stopped);
        root_ca::start(&context, &mut tasks, &stopped);
        node_lifecycle::start(&context, &mut tasks, &stopped);
        pod_garbage::start(&context, &mut tasks, &stopped);
        owner_garbage::start(&context, &mut tasks, &stopped);
        volume_protection::start(&context, &mut tasks, &stopped);
        event_expiry::start(&context, &mut tasks, &stopped);
        deployment::start(&context, &mut tasks, &stopped);
        endpoints::start(&context, &mut tasks, &stopped);
        stateful_set::start(&context, &mut tasks, &stopped);
        daemon_set::start(&context, &mut tasks, &stopped);
        job::start(&context, &mut tasks, &stopped);
        cron_job::start(&context, &mut tasks, &stopped);
        finished_jobs::start(&context, &mut tasks, &stopped);
        disruption::start(&context, &mut tasks, &stopped);
        taint_eviction::start(&context, &mut tasks, &stopped);
        replica_set::start(&context, &mut tasks, &stopped);
        context.observed.watch_all(&context.requests.client(), &mut tasks, &stopped);
        Self { tasks, stop }
    }

    /// Tells, also after the controllers are gone, whether they run: until they are told to stop.
    pub fn running(&self) -> impl Fn() -> bool + Send + Sync + use<> {
        let stopped = self.stop.subscribe();
        // A channel without its sender is that of controllers that were dropped.
        move || stopped.has_changed().is_ok() && !*stopped.borrow()
    }

    /// Takes no more work, waits for requests in flight up to the configured time, and ends.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a controller's task failed");
            }
        }
    }
}
