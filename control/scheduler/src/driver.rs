//! Between the API and the plan: watch events in, Bindings out.
//!
//! One task owns the cache and everything else; requests run beside it in a bounded set. It wakes up for a watch event, for the answer
//! to a request, and for the back-off of a request that failed, and for nothing else.

mod backoff;
mod requests;

use std::collections::HashSet;
use std::sync::Arc;

use futures::stream::{BoxStream, StreamExt};
use k8s_openapi::api::core::v1 as api;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch_objects};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

use crate::cache::Cache;
use crate::config::SchedulerConfig;
use crate::node::NodeSpec;
use crate::plan::{Decision, Outcome, plan};
use crate::pod::{Pod, PodKey};
use backoff::Backoff;
use requests::Requests;

/// Watch events that are taken in between two plans.
const EVENTS_PER_TURN_MAX: usize = 1024;

/// How a request ended.
#[derive(Debug)]
enum Settled {
    Bound(PodKey),
    BindFailed(PodKey),
    Reported(PodKey),
    ReportFailed(PodKey),
}

/// Something that a watch showed, cut down to what is kept of it.
enum Observed {
    Node(watcher::Result<Event<NodeSpec>>),
    Pod(watcher::Result<Event<Pod>>),
}

/// Runs until `stopped` says so.
pub(crate) async fn run(client: Client, config: SchedulerConfig, mut stopped: watch::Receiver<bool>) {
    let mut observed = observe(&client).ready_chunks(EVENTS_PER_TURN_MAX);
    let mut driver = Driver::new(client, config);
    let mut more = false;
    loop {
        let retry = driver.backoff.next();
        // Every arm is cancel-safe: a channel, a stream, a join set and a timer keep what they have when they are dropped.
        tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => break,
            Some(events) = observed.next() => driver.take_in(events),
            Some(settled) = driver.in_flight.join_next(), if !driver.in_flight.is_empty() => driver.settle(settled),
            () = tokio::time::sleep_until(retry.unwrap_or_else(tokio::time::Instant::now)), if retry.is_some() => {
                for key in driver.backoff.take_due() {
                    driver.cache.requeue(&key);
                }
            }
            () = tokio::task::yield_now(), if more => {}
        }
        more = driver.schedule();
    }
    drop(observed);
    driver.drain().await;
}

fn observe(client: &Client) -> BoxStream<'static, Observed> {
    let config = watcher::Config::default().streaming_lists();
    let unfinished = config.clone().fields("status.phase!=Succeeded,status.phase!=Failed");
    let nodes = watch_objects(Api::<api::Node>::all(client.clone()), config).default_backoff();
    let pods = watch_objects(Api::<api::Pod>::all(client.clone()), unfinished).default_backoff();
    let nodes = nodes.map(|event| Observed::Node(event.map(|event| cut_down(event, NodeSpec::from_api))));
    let pods = pods.map(|event| Observed::Pod(event.map(|event| cut_down(event, Pod::from_api))));
    futures::stream::select(nodes, pods).boxed()
}

fn cut_down<O, K>(event: Event<O>, keep: fn(&O) -> K) -> Event<K> {
    match event {
        Event::Init => Event::Init,
        Event::InitApply(object) => Event::InitApply(keep(&object)),
        Event::InitDone => Event::InitDone,
        Event::Apply(object) => Event::Apply(keep(&object)),
        Event::Delete(object) => Event::Delete(keep(&object)),
    }
}

struct Driver {
    cache: Cache,
    config: SchedulerConfig,
    requests: Arc<Requests>,
    in_flight: JoinSet<Settled>,
    backoff: Backoff,
    nodes_listed: Listing<Arc<str>>,
    pods_listed: Listing<PodKey>,
}

/// The state of a watch: what its current list has shown so far, and whether one was ever complete.
#[derive(Debug)]
struct Listing<K> {
    seen: HashSet<K>,
    complete_once: bool,
}

impl<K> Default for Listing<K> {
    fn default() -> Self {
        Self { seen: HashSet::new(), complete_once: false }
    }
}

impl Driver {
    fn new(client: Client, config: SchedulerConfig) -> Self {
        Self {
            cache: Cache::new(&config),
            requests: Arc::new(Requests::new(client, &config)),
            config,
            in_flight: JoinSet::new(),
            backoff: Backoff::default(),
            nodes_listed: Listing::default(),
            pods_listed: Listing::default(),
        }
    }

    fn take_in(&mut self, events: Vec<Observed>) {
        for event in events {
            match event {
                Observed::Node(Ok(event)) => self.take_in_node(event),
                Observed::Pod(Ok(event)) => self.take_in_pod(event),
                Observed::Pod(Err(error)) => tracing::info!(%error, "the scheduler's watch of pods was interrupted"),
                Observed::Node(Err(error)) => tracing::info!(%error, "the scheduler's watch of nodes was interrupted"),
            }
        }
    }

    fn take_in_node(&mut self, event: Event<NodeSpec>) {
        match event {
            Event::Init => self.nodes_listed.seen.clear(),
            Event::InitApply(node) => {
                self.nodes_listed.seen.insert(node.name.clone());
                self.cache.apply_node(node);
            }
            Event::InitDone => {
                let seen = std::mem::take(&mut self.nodes_listed.seen);
                let nodes = self.cache.snapshot().nodes().iter();
                let gone: Vec<_> =
                    nodes.map(|node| node.spec.name.clone()).filter(|name| !seen.contains(name)).collect();
                gone.iter().for_each(|name| self.cache.delete_node(name));
                self.nodes_listed.complete_once = true;
            }
            Event::Apply(node) => self.cache.apply_node(node),
            Event::Delete(node) => self.cache.delete_node(&node.name),
        }
    }

    fn take_in_pod(&mut self, event: Event<Pod>) {
        match event {
            Event::Init => self.pods_listed.seen.clear(),
            Event::InitApply(pod) => {
                self.pods_listed.seen.insert(pod.key.clone());
                self.cache.apply_pod(pod);
            }
            Event::InitDone => {
                let seen = std::mem::take(&mut self.pods_listed.seen);
                let gone: Vec<_> = self.cache.pod_keys().filter(|key| !seen.contains(*key)).cloned().collect();
                gone.iter().for_each(|key| self.forget(key));
                self.pods_listed.complete_once = true;
            }
            Event::Apply(pod) => self.cache.apply_pod(pod),
            Event::Delete(pod) => self.forget(&pod.key),
        }
    }

    fn forget(&mut self, key: &PodKey) {
        self.cache.delete_pod(key);
        self.backoff.clear(key);
    }

    /// Plans as many waiting pods as make one batch and have free request slots, and sends what was decided. Says whether there is more
    /// to plan at once.
    fn schedule(&mut self) -> bool {
        if !(self.nodes_listed.complete_once && self.pods_listed.complete_once) {
            return false;
        }
        let slots = self.config.requests_in_flight_max.saturating_sub(self.in_flight.len());
        let batch = self.cache.next_batch(self.config.batch_pods_max.min(slots));
        if batch.is_empty() {
            return false;
        }
        let plan = plan(self.cache.snapshot(), &batch);
        self.cache.set_next_start(plan.next_start);
        for decision in &plan.decisions {
            self.cache.accept(decision);
            self.send(decision);
        }
        true
    }

    fn send(&mut self, decision: &Decision) {
        let key = decision.pod.clone();
        let requests = self.requests.clone();
        match &decision.outcome {
            Outcome::Bind { node } => {
                let node = node.clone();
                self.in_flight.spawn(async move {
                    match requests.bind(&key, &node).await {
                        Ok(()) => Settled::Bound(key),
                        Err(error) => {
                            tracing::info!(pod = %key, %node, %error, "the binding was refused");
                            Settled::BindFailed(key)
                        }
                    }
                });
            }
            Outcome::Unschedulable { message } if self.cache.take_news(&key, message) => {
                let message = message.clone();
                self.in_flight.spawn(async move {
                    match requests.report_unschedulable(&key, &message).await {
                        Ok(()) => Settled::Reported(key),
                        Err(error) => {
                            tracing::info!(pod = %key, %error, "the condition of an unschedulable pod was refused");
                            Settled::ReportFailed(key)
                        }
                    }
                });
            }
            Outcome::Unschedulable { .. } | Outcome::Gated => {}
        }
    }

    fn settle(&mut self, settled: Result<Settled, JoinError>) {
        match settled {
            Ok(Settled::Bound(key) | Settled::Reported(key)) => self.backoff.clear(&key),
            Ok(Settled::BindFailed(key)) => {
                if self.cache.refuse(&key) {
                    self.backoff.retry_later(key);
                }
            }
            Ok(Settled::ReportFailed(key)) => {
                if self.cache.report_failed(&key) {
                    self.backoff.retry_later(key);
                }
            }
            Err(error) => tracing::error!(%error, "a request of the scheduler failed in itself"),
        }
    }

    async fn drain(mut self) {
        let drained = async { while self.in_flight.join_next().await.is_some() {} };
        if tokio::time::timeout(self.config.stop_timeout, drained).await.is_err() {
            self.in_flight.shutdown().await;
        }
    }
}

#[cfg(test)]
mod tests;
