//! What the server counts of its work, under upstream's names, for Prometheus at `/metrics`.
//!
//! One lock is taken for a moment at the end of each request. Labels come from what is served and never from what a client
//! writes into a path, so the number of series has a bound; beyond [`SERIES_MAX`] nothing new is counted.

mod render;

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::query::Query;
use crate::request_info::RequestInfo;

pub(crate) use render::render;

/// More series than this are not kept: some hundred kinds with some verbs and codes each.
const SERIES_MAX: usize = 20_000;

/// Upper bounds of the buckets of request durations, in seconds: upstream's.
const BUCKETS: [f64; 23] = [
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0,
    45.0, 60.0,
];

/// The labels that say what a request was about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Subject {
    verb: &'static str,
    group: String,
    version: String,
    resource: String,
    subresource: String,
    scope: &'static str,
    dry_run: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Durations {
    buckets: [u64; BUCKETS.len()],
    count: u64,
    seconds: f64,
}

#[derive(Debug, Default)]
struct Series {
    answers: HashMap<(Subject, u16), u64>,
    durations: HashMap<Subject, Durations>,
    long_running: HashMap<Subject, i64>,
}

/// All counts. They begin at zero with the process, as Prometheus expects.
#[derive(Debug)]
pub(crate) struct Metrics {
    series: Mutex<Series>,
    reading: Arc<AtomicI64>,
    mutating: Arc<AtomicI64>,
    started: Timestamp,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { series: Mutex::default(), reading: Arc::default(), mutating: Arc::default(), started: Timestamp::now() }
    }
}

/// Counts a request among those under way for as long as it is kept.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<AtomicI64>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts a stream among those that are open for as long as it is kept.
#[derive(Debug)]
pub(crate) struct LongRunning {
    metrics: Arc<Metrics>,
    subject: Subject,
}

impl Drop for LongRunning {
    fn drop(&mut self) {
        self.metrics.add_long_running(&self.subject, -1);
    }
}

impl Subject {
    /// The labels of a request; upstream names verbs by methods and tells lists, watches and applies from them.
    pub(crate) fn new(info: &RequestInfo, query: &Query, is_apply: bool) -> Self {
        let verb = match info.verb {
            "list" => "LIST",
            "watch" => "WATCH",
            "create" | "post" => "POST",
            "update" | "put" => "PUT",
            "patch" if is_apply => "APPLY",
            "patch" => "PATCH",
            "delete" => "DELETE",
            "deletecollection" => "DELETECOLLECTION",
            _ => "GET",
        };
        let scope = match info {
            _ if !info.is_resource => "",
            info if !info.name.is_empty() || info.verb == "create" => "resource",
            info if !info.namespace.is_empty() => "namespace",
            _ => "cluster",
        };
        Self {
            verb,
            group: info.group.clone(),
            version: info.version.clone(),
            resource: info.resource.clone(),
            subresource: info.subresource.clone(),
            scope,
            dry_run: query.get("dryRun").is_some(),
        }
    }
}

impl Metrics {
    /// Counts a request that is under way.
    pub(crate) fn begin(&self, info: &RequestInfo) -> InFlight {
        let reads = matches!(info.verb, "get" | "list" | "watch");
        let counter = if reads { &self.reading } else { &self.mutating };
        counter.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(counter))
    }

    /// Counts an answer. Streams are counted when they begin and have no duration.
    pub(crate) fn answered(&self, subject: Subject, code: u16, duration: Option<Duration>) {
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(duration) = duration
            && (series.durations.len() < SERIES_MAX || series.durations.contains_key(&subject))
        {
            let durations = series.durations.entry(subject.clone()).or_default();
            let seconds = duration.as_secs_f64();
            if let Some(bucket) = BUCKETS.iter().position(|bound| seconds <= *bound) {
                durations.buckets[bucket] += 1;
            }
            durations.count += 1;
            durations.seconds += seconds;
        }
        let key = (subject, code);
        if series.answers.len() < SERIES_MAX || series.answers.contains_key(&key) {
            *series.answers.entry(key).or_default() += 1;
        }
    }

    /// Counts a stream that is open until the value is dropped.
    pub(crate) fn stream(self: &Arc<Self>, subject: Subject) -> LongRunning {
        self.add_long_running(&subject, 1);
        LongRunning { metrics: Arc::clone(self), subject }
    }

    fn add_long_running(&self, subject: &Subject, change: i64) {
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        if series.long_running.len() < SERIES_MAX || series.long_running.contains_key(subject) {
            *series.long_running.entry(subject.clone()).or_default() += change;
        }
    }
}

#[cfg(test)]
mod tests;
