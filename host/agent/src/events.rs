//! Events about pods and the node, written by one task: repeated ones are counted, floods are cut, nobody waits.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, ObjectReference};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::deadline::in_time;
use crate::life::PodEvent;

/// Events that are remembered, so that the next one of its kind only raises a count.
const KNOWN_MAX: usize = 4096;
/// Events of one object at once, and the time after which one more is allowed, as upstream's spam filter has them.
const BURST: u32 = 25;
const REFILL: Duration = Duration::from_secs(300);
/// Writes to the API at a time.
const WRITES_MAX: usize = 8;
/// The name under which the agent reports.
pub(crate) const COMPONENT: &str = "coracle-agent";

/// Takes events. Clones report to the same task.
#[derive(Debug, Clone)]
pub(crate) struct EventRecorder {
    sender: mpsc::Sender<Recorded>,
    dropped: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Recorded {
    about: ObjectReference,
    event: PodEvent,
    time: Timestamp,
}

/// What makes two events the same one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    uid: String,
    event: (&'static str, &'static str, String, Option<String>),
}

#[derive(Debug, Clone)]
struct Known {
    name: String,
    namespace: String,
    count: u32,
}

impl EventRecorder {
    /// A recorder and the task that writes; the task ends when the last recorder is dropped.
    pub(crate) fn new(client: Client, node: String, queued_max: usize) -> (Self, impl Future<Output = ()>) {
        let (sender, receiver) = mpsc::channel(queued_max.max(1));
        let dropped = Arc::new(AtomicU64::new(0));
        let writer = Writer {
            client,
            node,
            known: HashMap::new(),
            order: VecDeque::new(),
            budgets: HashMap::new(),
            sequence: 0,
            writes: JoinSet::new(),
        };
        (Self { sender, dropped: Arc::clone(&dropped) }, writer.run(receiver, dropped))
    }

    /// Reports at once; when too many wait, the event is dropped and counted.
    pub(crate) fn record(&self, about: ObjectReference, event: PodEvent) {
        if self.sender.try_send(Recorded { about, event, time: Timestamp::now() }).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

struct Writer {
    client: Client,
    node: String,
    known: HashMap<Key, Known>,
    order: VecDeque<Key>,
    /// Tokens left and when they were last filled, by the uid of the object.
    budgets: HashMap<String, (u32, Instant)>,
    sequence: u64,
    writes: JoinSet<()>,
}

impl Writer {
    async fn run(mut self, mut receiver: mpsc::Receiver<Recorded>, dropped: Arc<AtomicU64>) {
        while let Some(recorded) = receiver.recv().await {
            let lost = dropped.swap(0, Ordering::Relaxed);
            if lost > 0 {
                tracing::warn!(lost, "events were dropped because too many waited to be written");
            }
            self.write(recorded).await;
        }
        while self.writes.join_next().await.is_some() {}
    }

    async fn write(&mut self, recorded: Recorded) {
        let Recorded { about, event, time } = recorded;
        let uid = about.uid.clone().unwrap_or_default();
        let key = Key {
            uid: uid.clone(),
            event: (event.kind.as_str(), event.reason, event.message.clone(), event.field_path.clone()),
        };
        if !self.allowed(uid) {
            return;
        }
        if let Some(known) = self.known.get_mut(&key) {
            known.count += 1;
            let known = known.clone();
            // The event may still be on its way to the API.
            while self.writes.join_next().await.is_some() {}
            let api: Api<Event> = Api::namespaced(self.client.clone(), &known.namespace);
            let patch = json!({ "count": known.count, "lastTimestamp": crate::life::time(time) });
            let patched = in_time(api.patch(&known.name, &PatchParams::default(), &Patch::Merge(patch))).await;
            if patched.is_err() {
                self.known.remove(&key);
            }
            return;
        }
        self.sequence += 1;
        let name = format!(
            "{}.{:x}{:04x}",
            about.name.as_deref().unwrap_or("node"),
            time.as_nanosecond(),
            self.sequence & 0xffff
        );
        let namespace = about.namespace.clone().unwrap_or_else(|| "default".to_owned());
        let body = self.body(&about, &event, time, &name, &namespace);
        self.remember(key, Known { name, namespace: namespace.clone(), count: 1 });
        while self.writes.len() >= WRITES_MAX {
            self.writes.join_next().await;
        }
        let api: Api<Event> = Api::namespaced(self.client.clone(), &namespace);
        self.writes.spawn(async move {
            let created = match serde_json::from_value(body) {
                Ok(event) => in_time(api.create(&PostParams::default(), &event)).await.map(|_| ()),
                Err(error) => Err(kube::Error::SerdeError(error)),
            };
            // A namespace that is being deleted takes no events: nothing is lost that anybody could read.
            if let Err(error) = created {
                tracing::debug!(%error, "an event was not written");
            }
        });
        while self.writes.try_join_next().is_some() {}
    }

    fn body(&self, about: &ObjectReference, event: &PodEvent, time: Timestamp, name: &str, namespace: &str) -> Value {
        let mut about = about.clone();
        about.field_path.clone_from(&event.field_path);
        json!({
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": { "name": name, "namespace": namespace },
            "involvedObject": about,
            "reason": event.reason,
            "message": event.message,
            "type": event.kind.as_str(),
            "source": { "component": COMPONENT, "host": self.node },
            "reportingComponent": COMPONENT,
            "reportingInstance": self.node,
            "firstTimestamp": crate::life::time(time),
            "lastTimestamp": crate::life::time(time),
            "count": 1,
        })
    }

    fn remember(&mut self, key: Key, known: Known) {
        while self.known.len() >= KNOWN_MAX {
            let Some(oldest) = self.order.pop_front() else { break };
            self.known.remove(&oldest);
        }
        self.order.push_back(key.clone());
        self.known.insert(key, known);
        if self.order.len() > 2 * KNOWN_MAX {
            self.order.retain(|key| self.known.contains_key(key));
        }
    }

    /// Takes a token of the object's budget.
    fn allowed(&mut self, uid: String) -> bool {
        let now = Instant::now();
        if self.budgets.len() >= KNOWN_MAX {
            self.budgets.retain(|_, (_, since)| now.duration_since(*since) < REFILL);
        }
        if self.budgets.len() >= KNOWN_MAX {
            self.budgets.clear();
        }
        let (tokens, since) = self.budgets.entry(uid).or_insert((BURST, now));
        while *tokens < BURST && now.duration_since(*since) >= REFILL {
            *tokens += 1;
            *since += REFILL;
        }
        if *tokens == BURST {
            *since = now;
        }
        if *tokens == 0 {
            return false;
        }
        *tokens -= 1;
        true
    }
}
