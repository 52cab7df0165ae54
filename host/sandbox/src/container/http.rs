//! Serving a handler on its pod's network: connections, their requests, and the drain at the end.
//!
//! Who owns what decides that everything ends with the container. The server's future owns the set of connection tasks.
//! Connections own handles of the set of instances; instances know only the [`Core`]. So dropping the server's future drops
//! the connections and with them the last handles of the instances.

mod request;

use super::StartError;
use super::command::stop_requested;
use super::instance::Template;
use super::tasks::Tasks;
use super::trap::Ending;
use crate::config::HttpLimits;
use crate::{ContainerConfig, ExitReport};
use coracle_host_network::{Listener, Stream};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use request::Requests;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

/// How long a connection may take to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// A port that is bound and not served yet.
pub(super) struct Server {
    listener: Listener,
    limits: HttpLimits,
}

/// What instances share.
pub(super) struct Core {
    template: Template,
    /// One permit per instance of this container.
    slots: Arc<Semaphore>,
    /// Permits to wait for one.
    waiting: Semaphore,
    /// Set once by an instance whose end is the container's end.
    fatal: watch::Sender<Option<Ending>>,
}

impl Server {
    /// Binds the container's port, so that a port in use is an error of the start.
    pub(super) fn bind(config: &ContainerConfig) -> Result<Self, StartError> {
        let port = config.http_port.ok_or(StartError::NoHttpPort)?;
        let network = config.network.as_ref().ok_or(StartError::NoNetwork)?;
        let listener = network.listen(port).map_err(StartError::Listen)?;
        Ok(Self { listener, limits: config.http })
    }

    /// Serves until the container is stopped or an instance ends it.
    pub(super) async fn run(self, template: Template, mut stop: watch::Receiver<Option<Instant>>) -> ExitReport {
        let Self { mut listener, limits } = self;
        let core = Arc::new(Core {
            template,
            slots: Arc::new(Semaphore::new(limits.requests_concurrent_max.max(1) as usize)),
            waiting: Semaphore::new(limits.requests_waiting_max as usize),
            fatal: watch::Sender::new(None),
        });
        let mut fatal = core.fatal.subscribe();
        let mut open = Connections::new(&core, limits.connections_max.max(1) as usize);
        let ending = tokio::select! {
            biased;
            deadline = stop_requested(&mut stop) => {
                drop(listener);
                open.drain(deadline, &mut stop, &mut fatal).await
            }
            ending = ended(&mut fatal) => ending,
            // Cancel-safe: connections that were accepted are owned by `open`.
            () = open.accept_all(&mut listener) => Ending::killed(),
        };
        open.abort().await;
        let meter = Arc::clone(&core.template.meter);
        drop(core);
        ending.into_report(meter.usage())
    }
}

/// The ending that an instance has brought about. Never returns as long as there is none.
async fn ended(fatal: &mut watch::Receiver<Option<Ending>>) -> Ending {
    match fatal.wait_for(Option::is_some).await.map(|ending| ending.clone()) {
        Ok(Some(ending)) => ending,
        Ok(None) | Err(_) => std::future::pending().await,
    }
}

/// The open connections of a server.
struct Connections {
    tasks: JoinSet<()>,
    tasks_max: usize,
    requests: Requests,
    instances: Tasks,
    draining: watch::Sender<bool>,
}

impl Connections {
    fn new(core: &Arc<Core>, tasks_max: usize) -> Self {
        let instances = Tasks::default();
        let requests = Requests::new(Arc::clone(core), instances.clone());
        Self { tasks: JoinSet::new(), tasks_max, requests, instances, draining: watch::Sender::new(false) }
    }

    /// Accepts as many as may be open at a time.
    async fn accept_all(&mut self, listener: &mut Listener) {
        loop {
            while self.tasks.try_join_next().is_some() {}
            if self.tasks.len() >= self.tasks_max {
                self.tasks.join_next().await;
                continue;
            }
            let stream = listener.accept().await;
            self.tasks.spawn(serve(stream, self.requests.clone(), self.draining.subscribe()));
        }
    }

    /// Lets what is under way finish, until `deadline` or an earlier one that comes through `stop`.
    async fn drain(
        &mut self,
        mut deadline: Instant,
        stop: &mut watch::Receiver<Option<Instant>>,
        fatal: &mut watch::Receiver<Option<Ending>>,
    ) -> Ending {
        self.draining.send_replace(true);
        loop {
            let instances = self.instances.clone();
            let all_done = async {
                while self.tasks.join_next().await.is_some() {}
                instances.join_all().await;
            };
            tokio::select! {
                biased;
                ending = ended(fatal) => return ending,
                // Cancel-safe: both keep in their sets what has not ended.
                done = timeout_at(deadline, all_done) => {
                    return if done.is_ok() { Ending::drained() } else { Ending::killed() };
                }
                Ok(()) = stop.changed() => {}
            }
            deadline = stop.borrow_and_update().unwrap_or(deadline).min(deadline);
        }
    }

    async fn abort(&mut self) {
        self.tasks.shutdown().await;
        self.instances.abort_all().await;
    }
}

/// Serves one connection, HTTP/1.1 or HTTP/2 with prior knowledge, until it ends or is drained.
async fn serve(stream: Stream, requests: Requests, mut draining: watch::Receiver<bool>) {
    let streams = Tasks::default();
    let mut server = auto::Builder::new(SpawnOn(streams));
    server.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    server.http2().timer(TokioTimer::new()).max_concurrent_streams(100);
    let service = service_fn(move |request| requests.clone().answer(request));
    let connection = server.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = is_set(&mut draining) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        // The peer's doing: it went away or sent something that is not HTTP.
        tracing::debug!(%error, "an HTTP connection of a container ended early");
    }
}

/// Waits until the flag is up, or whoever could raise it is gone.
async fn is_set(flag: &mut watch::Receiver<bool>) {
    let _gone_or_set = flag.wait_for(|set| *set).await;
}

/// hyper's tasks for the streams of an HTTP/2 connection, owned by the connection.
#[derive(Clone)]
struct SpawnOn(Tasks);

impl<F> hyper::rt::Executor<F> for SpawnOn
where
    F: Future + Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(async move {
            future.await;
        });
    }
}
