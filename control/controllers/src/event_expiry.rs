//! Events are news, not records: one that nobody wrote for an hour is deleted.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use kube::Api;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Context;
use crate::meta::{Meta, ObjectKey};
use crate::queue::{Next, Queue};
use crate::requests::{Deletion, RequestError};
use crate::worker::{self, Reconcile};

/// How long the Event may still live; nothing when its time is over.
fn plan(event: &Meta, time_to_live: Duration, now: Timestamp) -> Option<Duration> {
    let age = Duration::try_from(now.duration_since(event.written)).unwrap_or_default();
    time_to_live.checked_sub(age).filter(|rest| !rest.is_zero())
}

pub(crate) fn start(context: &Context, tasks: &mut JoinSet<()>, stopped: &watch::Receiver<bool>) {
    let queue = Arc::new(Queue::default());
    let marked = queue.clone();
    let time_to_live = context.config.event_time_to_live;
    context.observed.events.subscribe(move |change| {
        if let Some(event) = change.new {
            // A later write only moves the end; the timer that is set already finds that out.
            let rest = plan(event, time_to_live, Timestamp::now()).unwrap_or_default();
            marked.add_at(event.key.clone(), tokio::time::Instant::now() + rest);
        }
    });
    worker::start(Controller { context: context.clone() }, queue, context, tasks, stopped);
}

struct Controller {
    context: Context,
}

impl Reconcile for Controller {
    type Key = ObjectKey;
    const NAME: &'static str = "event expiry";

    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, RequestError> {
        let Some(event) = self.context.observed.events.get(key) else { return Ok(Next::Wait) };
        if let Some(rest) = plan(&event, self.context.config.event_time_to_live, Timestamp::now()) {
            return Ok(Next::after(rest));
        }
        let events: Api<Event> = Api::namespaced(self.context.requests.client(), &key.namespace);
        self.context.requests.delete(&events, &event, Deletion::default()).await?;
        Ok(Next::Wait)
    }
}

#[cfg(test)]
mod tests;
