//! Fairness under load: API priority and fairness, after upstream's shape.
//!
//! A request is classified by the first FlowSchema (by matching precedence, then by name) that matches its author and what
//! it asks for. The schema names a priority level, which has so many seats of the server's total; a request sits on one
//! while its handler works. Where all seats are taken, the request waits in a queue of its level: a few queues are dealt to
//! each flow (the user or namespace that the schema distinguishes by), and it joins the shortest of them, so that one user
//! with many requests fills his own queues and not those of others. Full queues and long waits are answered with 429.
//!
//! What is simpler than upstream: every request takes one seat, and a seat that is free is given to the queue with the
//! fewest requests at work, instead of by virtual time. A level that has no seat left borrows those that others can lend
//! and do not use.

mod level;
mod schema;
mod seats;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use axum::response::Response;
use coracle_control_api::kinds::flow_control::bootstrap;
use coracle_control_api::meta;
use coracle_control_store::{Snapshot, Store, Watch};
use futures::FutureExt as _;
use http::HeaderValue;
use http::header::{HeaderName, RETRY_AFTER};
use serde_json::Value;

use level::Level;
use schema::Schema;
use seats::{Refusal, Seat, Seats};

use crate::answer::text_answer;
use crate::request_info::RequestInfo;
use crate::user::UserInfo;

/// Everything of the group, in the store.
const PREFIX: &str = "/registry/flowcontrol.apiserver.k8s.io/";
const SCHEMAS: &str = "/registry/flowcontrol.apiserver.k8s.io/flowschemas/";
const LEVELS: &str = "/registry/flowcontrol.apiserver.k8s.io/prioritylevelconfigurations/";

const SCHEMA_HEADER: HeaderName = HeaderName::from_static("x-kubernetes-pf-flowschema-uid");
const LEVEL_HEADER: HeaderName = HeaderName::from_static("x-kubernetes-pf-prioritylevel-uid");

/// Seconds after which a refused client may try again.
const RETRY_SECONDS: u32 = 1;

/// Who may go on, and who waits.
#[derive(Debug)]
pub(crate) struct FlowControl {
    /// Seats of all levels together.
    total: usize,
    /// The longest time that a request waits for a seat.
    wait_max: Duration,
    seats: Arc<Seats>,
    current: Mutex<Option<Current>>,
}

/// The rules as they were when the watch was last asked.
#[derive(Debug)]
struct Current {
    /// Tells of changes; nobody waits on it.
    watch: Watch,
    rules: Arc<Rules>,
}

#[derive(Debug)]
struct Rules {
    /// In the order in which they are asked.
    schemas: Vec<Schema>,
}

/// As what a request was classified.
#[derive(Debug)]
pub(crate) struct Class {
    schema_uid: HeaderValue,
    level_uid: HeaderValue,
}

impl Class {
    /// Tells the client by which schema and level it was treated.
    pub(crate) fn mark(&self, answer: &mut Response) {
        answer.headers_mut().insert(SCHEMA_HEADER, self.schema_uid.clone());
        answer.headers_mut().insert(LEVEL_HEADER, self.level_uid.clone());
    }
}

/// What upstream says to one too many: plain text, not a Status.
pub(crate) fn too_many_requests() -> Response {
    let mut answer = text_answer(429, "Too many requests, please try again later.\n");
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(RETRY_SECONDS));
    answer
}

impl FlowControl {
    pub(crate) fn new(total: usize, wait_max: Duration) -> Self {
        Self { total, wait_max, seats: Arc::default(), current: Mutex::default() }
    }

    /// Waits until a request may be worked on, and says as what it was classified. The seat, if it takes one, is free again
    /// when it is dropped.
    ///
    /// # Errors
    /// Why the request is one too many.
    ///
    /// # Cancel safety
    /// A request that is no longer waited for leaves its queue.
    pub(crate) async fn admit(
        &self,
        store: &Store,
        user: &UserInfo,
        info: &RequestInfo,
        class: &OnceLock<Class>,
    ) -> Result<Option<Seat>, Refusal> {
        let rules = self.rules(store);
        let Some(schema) = rules.schemas.iter().find(|schema| schema.matches(user, info)) else { return Ok(None) };
        class.get_or_init(|| Class { schema_uid: schema.uid.clone(), level_uid: schema.level.uid.clone() });
        if schema.level.is_exempt {
            return Ok(None);
        }
        self.seats.take(&schema.level.name, schema.flow(user, info), self.wait_max).await.map(Some)
    }

    fn rules(&self, store: &Store) -> Arc<Rules> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = &mut *current {
            match known.watch.next().now_or_never() {
                None => return Arc::clone(&known.rules),
                Some(Ok(_)) => {
                    // The snapshot below has all that the watch can still tell.
                    while let Some(Ok(_)) = known.watch.next().now_or_never() {}
                    known.rules = self.read(&store.snapshot());
                    return Arc::clone(&known.rules);
                }
                Some(Err(_)) => {}
            }
        }
        let snapshot = store.snapshot();
        let rules = self.read(&snapshot);
        let watch = store.watch(PREFIX.as_bytes(), snapshot.revision()).ok();
        *current = watch.map(|watch| Current { watch, rules: Arc::clone(&rules) });
        rules
    }

    /// The rules of a snapshot; what must be there and is not counts as if it were.
    fn read(&self, snapshot: &Snapshot) -> Arc<Rules> {
        let objects = |prefix: &str| -> Vec<Value> {
            let entries = snapshot.prefix(prefix.as_bytes());
            entries.filter_map(|entry| serde_json::from_slice(&entry.value).ok()).collect()
        };
        let (mut schemas, mut levels) = (objects(SCHEMAS), objects(LEVELS));
        // The first two of each are mandatory.
        for (known, shipped) in [(&mut schemas, bootstrap::schemas()), (&mut levels, bootstrap::levels())] {
            for object in shipped.into_iter().take(2) {
                if known.iter().all(|one| meta::name(one) != meta::name(&object)) {
                    known.push(object);
                }
            }
        }
        let levels: Vec<Arc<Level>> = levels.iter().map(|level| Arc::new(Level::read(level))).collect();
        self.seats.share(&levels, self.total);
        let schemas = order(&schemas, &levels);
        Arc::new(Rules { schemas })
    }
}

/// The schemas whose levels are there, in the order in which they are asked.
fn order(schemas: &[Value], levels: &[Arc<Level>]) -> Vec<Schema> {
    let mut schemas: Vec<Schema> = schemas.iter().filter_map(|schema| Schema::read(schema, levels)).collect();
    schemas.sort_by(|one, other| (one.precedence, &one.name).cmp(&(other.precedence, &other.name)));
    schemas
}

#[cfg(test)]
mod tests;
