//! Writing a pod's status: one write at a time, only what changed, again when it failed.

use std::future::{pending, poll_fn};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::task::{Poll, ready};
use std::time::{Duration, Instant};

use coracle_host_network::PodKey;
use futures::future::{BoxFuture, FutureExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use serde_json::{Value, json};

use crate::agent::Shared;
use crate::deadline::in_time;
use crate::events::COMPONENT;

/// First and longest wait after a write that failed.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_LONGEST: Duration = Duration::from_secs(10);

/// Tells one status from another.
type Mark = u64;

fn mark(status: &Value) -> Mark {
    let mut hasher = DefaultHasher::new();
    status.to_string().hash(&mut hasher);
    hasher.finish()
}

type Write = BoxFuture<'static, Result<(), kube::Error>>;

/// The writer of one pod.
pub(super) struct Writer {
    api: Api<Pod>,
    name: String,
    uid: String,
    /// How long a status that only says "starting" may wait for a better one.
    starting_delay: Duration,
    /// The mark of what the API has, as far as we wrote it. The text itself would be the largest part of an idle pod.
    written: Option<Mark>,
    under_way: Option<(Option<Mark>, Write)>,
    retry: Option<(Instant, Duration)>,
    held_until: Option<Instant>,
    finalize: bool,
    /// The object is gone, or not ours any more: nothing is written.
    gone: bool,
}

impl Writer {
    pub(super) fn new(shared: &Shared, key: &PodKey) -> Self {
        Self {
            api: Api::namespaced(shared.client.clone(), &key.namespace),
            name: key.name.clone(),
            uid: key.uid.clone(),
            starting_delay: shared.config.starting_status_delay,
            written: None,
            under_way: None,
            retry: None,
            held_until: None,
            finalize: false,
            gone: false,
        }
    }

    /// The API has this already.
    pub(super) fn assume(&mut self, status: &Value) {
        self.written = Some(mark(status));
    }

    /// Deletes the object for good once its final status is written.
    pub(super) fn finalize(&mut self) {
        self.finalize = true;
    }

    /// The object is gone.
    pub(super) fn abandon(&mut self) {
        self.gone = true;
        self.under_way = None;
    }

    /// When `write` should be called again although nothing has happened.
    pub(super) fn next_wake(&self) -> Option<Duration> {
        if self.gone || self.under_way.is_some() {
            return None;
        }
        let retry = self.retry.map(|(time, _)| time);
        let due = retry.into_iter().chain(self.held_until).max();
        due.map(|time| time.saturating_duration_since(Instant::now()))
    }

    /// Sees to it that the API gets this status, and after it the deletion if that was asked for.
    pub(super) fn write(&mut self, status: &Value, starting: bool) {
        let now = Instant::now();
        if self.gone || self.under_way.is_some() || self.retry.is_some_and(|(time, _)| now < time) {
            return;
        }
        let mark = mark(status);
        if self.written == Some(mark) {
            self.held_until = None;
            if self.finalize {
                self.under_way = Some((None, self.delete()));
            } else {
                self.retry = None;
            }
            return;
        }
        if starting && now < *self.held_until.get_or_insert(now + self.starting_delay) {
            return;
        }
        self.held_until = None;
        self.under_way = Some((Some(mark), self.patch(status)));
    }

    /// Waits until the write under way is done; for ever if there is none.
    ///
    /// # Cancel safety
    /// The write goes on with the next call.
    pub(super) async fn finished(&mut self) {
        if self.under_way.is_none() {
            return pending().await;
        }
        poll_fn(|context| {
            let Some((_, write)) = &mut self.under_way else { return Poll::Ready(()) };
            let result = ready!(write.poll_unpin(context));
            let status = self.under_way.take().and_then(|(status, _)| status);
            self.settle(status, result);
            Poll::Ready(())
        })
        .await;
    }

    fn settle(&mut self, status: Option<Mark>, result: Result<(), kube::Error>) {
        let deleted = status.is_none();
        match result {
            Ok(()) => {
                self.retry = None;
                if deleted {
                    self.finalize = false;
                } else {
                    self.written = status;
                }
            }
            Err(kube::Error::Api(answer)) if answer.is_not_found() => self.gone = true,
            // Another object has the name now.
            Err(kube::Error::Api(answer)) if deleted && answer.is_conflict() => self.gone = true,
            Err(error) => {
                let wait = self.retry.map_or(RETRY_FIRST, |(_, wait)| (wait * 2).min(RETRY_LONGEST));
                self.retry = Some((Instant::now() + wait, wait));
                tracing::warn!(pod = %self.name, %error, ?wait, "a pod's status was not written");
            }
        }
    }

    /// The identity is part of the patch: a new pod of the same name refuses it.
    fn patch(&self, status: &Value) -> Write {
        let patch = json!({ "metadata": { "uid": self.uid }, "status": status });
        let (api, name) = (self.api.clone(), self.name.clone());
        let params = PatchParams { field_manager: Some(COMPONENT.to_owned()), ..PatchParams::default() };
        async move { in_time(api.patch_status(&name, &params, &Patch::Strategic(patch))).await.map(|_| ()) }.boxed()
    }

    fn delete(&self) -> Write {
        let (api, name) = (self.api.clone(), self.name.clone());
        let preconditions = Preconditions { uid: Some(self.uid.clone()), resource_version: None };
        let params = DeleteParams {
            grace_period_seconds: Some(0),
            preconditions: Some(preconditions),
            ..DeleteParams::default()
        };
        async move { in_time(api.delete(&name, &params)).await.map(|_| ()) }.boxed()
    }
}
