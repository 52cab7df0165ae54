//! The driver of one pod: feeds its [`PodLife`] with what happens and does what it asks.
//!
//! One task per pod, woken by its object, by its containers and by time, never by polling. It has at most one write to
//! the API under way; what changes meanwhile is in the next one, so that writes are in order and bursts are one write.

mod handler;
mod hooks;
mod last_words;
mod start;
mod write;

use std::collections::{HashMap, HashSet, VecDeque};
use std::future::pending;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use coracle_host_network::{PodKey, PodNetwork, PublishedPort};
use futures::FutureExt as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, ContainerPort, ObjectReference, Pod};
use tokio::io::{AsyncWriteExt as _, DuplexStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::agent::Shared;
use crate::life::{Action, Exit, FailureKind, Input, PodLife, StartFailure, elapsed};
use crate::logs::{Log, PodLogs};
use crate::references::Known;
use crate::runtime::Running;
use crate::volumes::{self, Keeper, KeeperConfig};
use last_words::LastWords;
use write::Writer;

/// What the API wants of a pod.
#[derive(Debug, Clone)]
pub(crate) enum Desired {
    Pod(Arc<Pod>),
    /// The object is gone.
    Removed,
}

/// A pod as the rest of the agent sees it.
pub(crate) struct PodView {
    pub(crate) key: PodKey,
    pub(crate) logs: PodLogs,
    life: Mutex<PodLife>,
    running: Mutex<HashMap<usize, Arc<dyn Running>>>,
    stdins: Mutex<HashMap<usize, Stdin>>,
    ip: Mutex<Option<IpAddr>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl PodView {
    pub(crate) fn new(key: PodKey, logs: PodLogs, life: PodLife) -> Self {
        let (running, stdins, ip) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { key, logs, life: Mutex::new(life), running, stdins, ip }
    }

    /// Looks at the pod's life. The lock is held for the time of `look`.
    pub(crate) fn with_life<T>(&self, look: impl FnOnce(&PodLife) -> T) -> T {
        look(&lock(&self.life))
    }

    /// The address that it has now.
    pub(crate) fn ip(&self) -> Option<IpAddr> {
        *lock(&self.ip)
    }

    /// The container with this name, if it runs, and where it stands.
    pub(crate) fn running(&self, container: &str) -> Option<(usize, Arc<dyn Running>)> {
        let index = self.with_life(|life| life.find(container))?;
        Some((index, lock(&self.running).get(&index).cloned()?))
    }

    /// The standard input of a running container, if it has one that can be written to.
    pub(crate) fn stdin(&self, index: usize) -> Option<Stdin> {
        lock(&self.stdins).get(&index).cloned()
    }

    /// Ends a running container at once; its restart policy acts. Answers whether it was running.
    pub(crate) fn kill(&self, container: &str) -> bool {
        let running = self.running(container).map(|(_, running)| running);
        // Polling once is what stops it; the end comes to the pod's own task.
        running.is_some_and(|running| {
            let _ended_already = running.stop(Duration::ZERO).now_or_never();
            true
        })
    }
}

/// What a task of the pod came to.
enum Done {
    Sandbox(Result<Sandbox, String>),
    SandboxCancelled,
    Started(usize, Result<Started, StartFailure>),
    Exited(usize, Exit),
    Stopped,
}

/// What all containers of a pod share.
struct Sandbox {
    network: PodNetwork,
    ports: Vec<PublishedPort>,
    keeper: Option<Box<Keeper>>,
}

/// A container that was started.
struct Started {
    running: Arc<dyn Running>,
    image_id: String,
    container_id: String,
    log: Arc<Log>,
    stdin: Option<Stdin>,
    last_words: Option<(PathBuf, PathBuf)>,
}

/// The standard input of a container, shared by those who attach to it one after the other.
#[derive(Debug, Clone)]
pub(crate) struct Stdin {
    writer: Arc<tokio::sync::Mutex<Option<DuplexStream>>>,
    /// It ends with the first one who attached.
    pub(crate) once: bool,
}

impl Stdin {
    fn new(writer: DuplexStream, once: bool) -> Self {
        Self { writer: Arc::new(tokio::sync::Mutex::new(Some(writer))), once }
    }

    /// Waits until the container has room. What it will never read is dropped.
    pub(crate) async fn write(&self, bytes: &[u8]) {
        let mut writer = self.writer.lock().await;
        if let Some(open) = writer.as_mut()
            && open.write_all(bytes).await.is_err()
        {
            *writer = None;
        }
    }

    /// The container reads to the end and no further.
    pub(crate) async fn close(&self) {
        *self.writer.lock().await = None;
    }
}

/// How a pod's task ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The object is gone and so is everything of the pod.
    Removed,
    /// The agent stops.
    Stopped(Duration),
}

/// The task of one pod.
pub(crate) struct PodWorker {
    shared: Arc<Shared>,
    view: Arc<PodView>,
    desired: watch::Receiver<Desired>,
    stopping: watch::Receiver<Option<Duration>>,
    tasks: JoinSet<Done>,
    /// The starts that are under way.
    starts: HashMap<usize, CancellationToken>,
    logs: HashMap<usize, Arc<Log>>,
    network: Option<PodNetwork>,
    ports: Vec<PublishedPort>,
    /// Gives up the making of the address and the volumes.
    making: CancellationToken,
    /// Follows what the volumes show; ends with a reason to evict the pod.
    keeping: JoinSet<String>,
    /// The newest version of the object, for who keeps the volumes.
    seen: watch::Sender<Arc<Pod>>,
    /// Probes under way.
    probing: JoinSet<Input>,
    /// Containers whose preStop hook has been run.
    stopped: HashSet<usize>,
    /// Wait for what a container's environment lacks.
    missing: JoinSet<usize>,
    inputs: VecDeque<Input>,
    writer: Writer,
    /// Counts this pod among those that the host carries.
    place: Option<Arc<()>>,
}

impl PodWorker {
    pub(crate) fn new(
        shared: Arc<Shared>,
        view: Arc<PodView>,
        desired: watch::Receiver<Desired>,
        stopping: watch::Receiver<Option<Duration>>,
        place: Option<Arc<()>>,
        first: Input,
    ) -> Self {
        let mut writer = Writer::new(&shared, &view.key);
        let mut life = lock(&view.life);
        if life.is_finished() {
            // It was reported by a former process: there is nothing to add.
            writer.assume(&life.status(Timestamp::now()));
        }
        let seen = watch::Sender::new(Arc::clone(life.pod()));
        drop(life);
        Self {
            shared,
            view,
            desired,
            stopping,
            tasks: JoinSet::new(),
            starts: HashMap::new(),
            logs: HashMap::new(),
            network: None,
            ports: Vec::new(),
            making: CancellationToken::new(),
            keeping: JoinSet::new(),
            seen,
            probing: JoinSet::new(),
            stopped: HashSet::new(),
            missing: JoinSet::new(),
            inputs: VecDeque::from([first]),
            writer,
            place,
        }
    }

    /// Runs until the pod is gone or the agent stops.
    pub(crate) async fn run(mut self) {
        let end = loop {
            self.take_inputs();
            self.write();
            let over = self.view.with_life(|life| life.is_removed() && life.is_over());
            if over && self.tasks.is_empty() {
                break End::Removed;
            }
            if let Some(grace) = *self.stopping.borrow() {
                break End::Stopped(grace);
            }
            self.wait().await;
        };
        match end {
            End::Removed => self.clean_up().await,
            End::Stopped(grace) => self.stop_all(grace).await,
        }
    }

    /// Waits for the next thing to happen and makes an input of it.
    async fn wait(&mut self) {
        let wake = self.next_wake();
        // Every arm is cancel-safe: channels and the set of tasks keep what is not taken, and the write is polled in place.
        tokio::select! {
            changed = self.desired.changed() => {
                // Without a sender the agent is ending, which `stopping` says as well.
                let desired = if changed.is_ok() { self.desired.borrow_and_update().clone() } else { Desired::Removed };
                self.inputs.push_back(match desired {
                    Desired::Pod(pod) => {
                        self.seen.send_replace(Arc::clone(&pod));
                        Input::Pod(pod)
                    }
                    Desired::Removed => Input::Removed,
                });
            }
            Some(done) = self.tasks.join_next() => match done {
                Ok(done) => self.finish_task(done),
                Err(error) => tracing::error!(pod = %self.view.key, %error, "a task of a pod ended unexpectedly"),
            },
            Some(Ok(message)) = self.keeping.join_next() => self.inputs.push_back(Input::Evicted { message }),
            Some(Ok(container)) = self.missing.join_next() => self.inputs.push_back(Input::Retry { container }),
            Some(Ok(probed)) = self.probing.join_next() => self.inputs.push_back(probed),
            () = self.writer.finished() => {}
            () = sleep(wake) => self.inputs.push_back(Input::Tick),
            _ = self.stopping.changed() => {}
        }
    }

    /// How long nothing needs to be done.
    fn next_wake(&self) -> Option<Duration> {
        let now = Timestamp::now();
        let life = lock(&self.view.life).next_wake().map(|time| elapsed(now, time));
        life.into_iter().chain(self.writer.next_wake()).min()
    }

    fn take_inputs(&mut self) {
        while let Some(input) = self.inputs.pop_front() {
            let actions = lock(&self.view.life).observe(input, Timestamp::now());
            for action in actions {
                self.act(action);
            }
        }
    }

    fn act(&mut self, action: Action) {
        tracing::trace!(pod = %self.view.key, ?action, "act");
        match action {
            Action::CreateSandbox => self.create_sandbox(),
            Action::CancelSandbox => self.making.cancel(),
            Action::Start { container, restart } => self.start(container, restart),
            Action::Cancel { container } => {
                if let Some(token) = self.starts.get(&container) {
                    token.cancel();
                }
            }
            Action::Stop { container, grace } => self.stop(container, grace),
            Action::Probe { container, restart, kind } => self.probe(container, restart, kind),
            Action::RemoveSandbox => {
                self.ports.clear();
                self.keeping.abort_all();
                self.missing.abort_all();
                self.probing.abort_all();
                self.network = None;
                *lock(&self.view.ip) = None;
                self.place = None;
            }
            Action::Finalize => self.writer.finalize(),
            Action::Record(event) => self.shared.events.record(self.reference(), event),
        }
    }

    /// Takes an address. Without host ports there is nothing to wait for.
    fn create_sandbox(&mut self) {
        let network = match self.shared.network.attach(&self.view.key) {
            Ok(network) => network,
            Err(error) => return self.inputs.push_back(Input::SandboxFailed { message: error.to_string() }),
        };
        let wanted = lock(&self.view.life).pod().spec.as_ref().map(|spec| host_ports(&spec.containers));
        let wanted = wanted.unwrap_or_default();
        let keeper = self.keeper(&network);
        if wanted.is_empty() && keeper.is_none() {
            return self.use_sandbox(Sandbox { network, ports: Vec::new(), keeper });
        }
        let shared = Arc::clone(&self.shared);
        self.making = CancellationToken::new();
        let making = self.making.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                // Dropped, it gives back the ports, and what it wrote goes with the pod.
                biased;
                made = make_sandbox(&shared, network, wanted, keeper) => Done::Sandbox(made),
                () = making.cancelled() => Done::SandboxCancelled,
            }
        });
    }

    fn keeper(&self, network: &PodNetwork) -> Option<Box<Keeper>> {
        let keeper = Keeper::new(KeeperConfig {
            shared: Arc::clone(&self.shared),
            key: self.view.key.clone(),
            about: self.reference(),
            facts: self.shared.facts(network.ip()),
            space: self.shared.space.pod(&self.view.key.uid),
            pod: self.seen.subscribe(),
        });
        keeper.map(Box::new)
    }

    fn use_sandbox(&mut self, sandbox: Sandbox) {
        let Sandbox { network, ports, keeper } = sandbox;
        let ip = network.ip();
        *lock(&self.view.ip) = Some(ip);
        self.network = Some(network);
        self.ports = ports;
        if let Some(keeper) = keeper {
            self.keeping.spawn(keeper.keep());
        }
        self.inputs.push_back(Input::SandboxReady { ip });
    }

    fn start(&mut self, container: usize, restart: u32) {
        let Some(network) = self.network.clone() else { return };
        let pod = Arc::clone(lock(&self.view.life).pod());
        let token = CancellationToken::new();
        self.starts.insert(container, token.clone());
        let start = start::Start {
            shared: Arc::clone(&self.shared),
            view: Arc::clone(&self.view),
            about: self.reference(),
            pod,
            index: container,
            restart,
            network,
        };
        self.tasks.spawn(async move {
            // Dropping a start gives it up; one that has come through by then counts as started.
            let started = tokio::select! {
                biased;
                started = start.run() => started,
                () = token.cancelled() => Err(start::cancelled()),
            };
            Done::Started(container, started)
        });
    }

    fn finish_task(&mut self, done: Done) {
        let input = match done {
            Done::Sandbox(Ok(sandbox)) => return self.use_sandbox(sandbox),
            Done::SandboxCancelled => Input::SandboxCancelled,
            Done::Sandbox(Err(message)) => Input::SandboxFailed { message },
            Done::Started(container, started) => {
                self.starts.remove(&container);
                match started {
                    Ok(started) => self.keep(container, started),
                    Err(failure) => {
                        self.await_missing(container, &failure);
                        Input::NotStarted { container, failure }
                    }
                }
            }
            Done::Exited(container, exit) => {
                lock(&self.view.running).remove(&container);
                lock(&self.view.stdins).remove(&container);
                self.stopped.remove(&container);
                if let Some(log) = self.logs.remove(&container) {
                    log.end();
                }
                Input::Exited { container, exit }
            }
            Done::Stopped => return,
        };
        self.inputs.push_back(input);
    }

    fn keep(&mut self, container: usize, started: Started) -> Input {
        let Started { running, image_id, container_id, log, stdin, last_words } = started;
        if let Some(stdin) = stdin {
            lock(&self.view.stdins).insert(container, stdin);
        }
        lock(&self.view.running).insert(container, Arc::clone(&running));
        let falls_back = self
            .container_spec(container)
            .is_some_and(|spec| spec.termination_message_policy.as_deref() == Some("FallbackToLogsOnError"));
        let words = LastWords { file: last_words, log: falls_back.then(|| Arc::clone(&log)) };
        self.logs.insert(container, log);
        self.tasks.spawn(async move {
            let exit = running.wait().await;
            Done::Exited(container, words.add_to(exit).await)
        });
        Input::Started { container, image_id, container_id }
    }

    /// Sees to it that a container whose environment lacks something is tried again as soon as that is there.
    fn await_missing(&mut self, container: usize, failure: &StartFailure) {
        if failure.kind != FailureKind::Config {
            return;
        }
        let pod = Arc::clone(lock(&self.view.life).pod());
        let Some(names) = crate::life::container_at(&pod, container).map(crate::environment::needs) else { return };
        let (shared, namespace) = (Arc::clone(&self.shared), self.view.key.namespace.clone());
        let absent = names.iter().find(|(kind, name)| failure.message == kind.not_found(name));
        if let Some(name) = absent {
            // A level: it may have come since the start looked.
            let reference = shared.references.watch(&namespace, name);
            self.missing.spawn(async move {
                let mut known = reference.subscribe();
                let _ended = known.wait_for(|known| matches!(known, Known::Present(_))).await;
                container
            });
            return;
        }
        let watched: Vec<_> = names.iter().map(|name| shared.references.watch(&namespace, name)).collect();
        if watched.is_empty() {
            return;
        }
        self.missing.spawn(async move {
            let mut changes = Vec::new();
            for reference in &watched {
                let mut known = reference.subscribe();
                reference.read().await;
                known.mark_unchanged();
                changes.push(async move { known.changed().await }.boxed());
            }
            let _which = futures::future::select_all(changes).await;
            container
        });
    }

    fn write(&mut self) {
        let mut life = lock(&self.view.life);
        if life.is_removed() {
            return self.writer.abandon();
        }
        let status = life.status(Timestamp::now());
        let starting = life.is_only_starting();
        drop(life);
        self.writer.write(&status, starting);
    }

    /// The pod is gone: so is all it has left on the disk.
    async fn clean_up(mut self) {
        self.keeping.shutdown().await;
        let (logs, store) = (self.view.logs.clone(), self.shared.logs.clone());
        let space = self.shared.space.pod(&self.view.key.uid);
        let removed = tokio::task::spawn_blocking(move || {
            store.remove(&logs);
            space.remove()
        });
        match removed.await {
            Ok(Err(error)) => {
                tracing::warn!(pod = %self.view.key, %error, "the volumes of a pod could not be removed");
            }
            Ok(Ok(())) => {}
            Err(error) => tracing::error!(pod = %self.view.key, %error, "cleaning up after a pod failed"),
        }
    }

    /// The agent stops: the sandboxes end, the object stays as it is.
    async fn stop_all(mut self, grace: Duration) {
        self.starts.values().for_each(CancellationToken::cancel);
        let running: Vec<_> = lock(&self.view.running).values().cloned().collect();
        let mut stops: JoinSet<Exit> = JoinSet::new();
        for running in running {
            stops.spawn(async move { running.stop(grace).await });
        }
        while stops.join_next().await.is_some() {}
        self.tasks.shutdown().await;
        self.keeping.shutdown().await;
        self.logs.values().for_each(|log| log.end());
        lock(&self.view.running).clear();
        let (pod, space) = (Arc::clone(lock(&self.view.life).pod()), self.shared.space.pod(&self.view.key.uid));
        let removed = tokio::task::spawn_blocking(move || volumes::remove_rendered(&pod, &space));
        if let Err(error) = removed.await {
            tracing::error!(pod = %self.view.key, %error, "cleaning up after a pod failed");
        }
    }

    fn reference(&self) -> ObjectReference {
        let version = lock(&self.view.life).pod().metadata.resource_version.clone();
        ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            name: Some(self.view.key.name.clone()),
            namespace: Some(self.view.key.namespace.clone()),
            uid: Some(self.view.key.uid.clone()),
            resource_version: version,
            field_path: None,
        }
    }
}

async fn sleep(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => pending().await,
    }
}

/// A port of the machine that leads to a port of the pod.
struct HostPort {
    address: Option<IpAddr>,
    port: u16,
    target: u16,
    udp: bool,
}

fn host_ports(containers: &[Container]) -> Vec<HostPort> {
    let ports = containers.iter().flat_map(|container| container.ports.iter().flatten());
    let host_port = |port: &ContainerPort| {
        Some(HostPort {
            address: port.host_ip.as_deref().and_then(|ip| ip.parse().ok()),
            port: u16::try_from(port.host_port?).ok().filter(|port| *port != 0)?,
            target: u16::try_from(port.container_port).ok()?,
            udp: port.protocol.as_deref().is_some_and(|protocol| protocol != "TCP"),
        })
    };
    ports.filter_map(host_port).collect()
}

async fn make_sandbox(
    shared: &Shared,
    network: PodNetwork,
    wanted: Vec<HostPort>,
    mut keeper: Option<Box<Keeper>>,
) -> Result<Sandbox, String> {
    let mut ports = Vec::new();
    for port in wanted {
        ports.push(publish(shared, &network, &port).await?);
    }
    if let Some(keeper) = &mut keeper {
        keeper.set_up().await;
    }
    Ok(Sandbox { network, ports, keeper })
}

async fn publish(shared: &Shared, network: &PodNetwork, port: &HostPort) -> Result<PublishedPort, String> {
    if port.udp {
        return Err(format!("hostPort {}: only TCP ports can be published", port.port));
    }
    let address = SocketAddr::new(port.address.unwrap_or(shared.config.host_port_address), port.port);
    let target = SocketAddr::new(network.ip(), port.target);
    shared.network.publish(address, target).await.map_err(|error| format!("hostPort {}: {error}", port.port))
}
