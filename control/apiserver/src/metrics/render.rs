//! Prometheus' text form, version 0.0.4.

use std::fmt::Write as _;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use coracle_control_api::kind::Kind;
use coracle_control_store::Snapshot;

use super::{BUCKETS, Metrics, Series, Subject};

/// Bytes of a page of memory, as `/proc` counts them on the machines that we know of.
const PAGE_BYTES: u64 = 4096;

/// Everything that there is to know. `kinds` and `snapshot` give the numbers of stored objects.
pub(crate) fn render<'k>(metrics: &Metrics, kinds: impl Iterator<Item = &'k Kind>, snapshot: &Snapshot) -> String {
    let mut out = String::with_capacity(64 * 1024);
    {
        let series = metrics.series.lock().unwrap_or_else(PoisonError::into_inner);
        answers(&mut out, &series);
        durations(&mut out, &series);
        long_running(&mut out, &series);
    }
    head(&mut out, "apiserver_current_inflight_requests", "gauge", "Requests under way, by kind.");
    for (kind, counter) in [("mutating", &metrics.mutating), ("readOnly", &metrics.reading)] {
        let value = counter.load(Ordering::Relaxed);
        line(&mut out, "apiserver_current_inflight_requests", &format!("request_kind=\"{kind}\""), value);
    }
    head(&mut out, "apiserver_storage_objects", "gauge", "Stored objects, by resource.");
    for kind in kinds.filter(|kind| kind.stored_as.is_none()) {
        let name =
            if kind.group.is_empty() { kind.plural.to_string() } else { format!("{}.{}", kind.plural, kind.group) };
        let count = snapshot.prefix_count(kind.storage_prefix().as_bytes());
        line(&mut out, "apiserver_storage_objects", &format!("resource=\"{name}\""), count);
    }
    head(&mut out, "coracle_store_revision", "gauge", "The store's revision.");
    line(&mut out, "coracle_store_revision", "", snapshot.revision());
    process(&mut out, metrics);
    out
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    // Writing to a text cannot fail, here and below.
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn line(out: &mut String, name: &str, labels: &str, value: impl std::fmt::Display) {
    let _ =
        if labels.is_empty() { writeln!(out, "{name} {value}") } else { writeln!(out, "{name}{{{labels}}} {value}") };
}

fn labels(subject: &Subject) -> String {
    let dry_run = if subject.dry_run { "All" } else { "" };
    format!(
        "component=\"apiserver\",dry_run=\"{dry_run}\",group=\"{}\",resource=\"{}\",scope=\"{}\",subresource=\"{}\",\
         verb=\"{}\",version=\"{}\"",
        subject.group, subject.resource, subject.scope, subject.subresource, subject.verb, subject.version
    )
}

fn answers(out: &mut String, series: &Series) {
    const NAME: &str = "apiserver_request_total";
    head(out, NAME, "counter", "Answered requests, by what they were about and the HTTP code.");
    let mut answers: Vec<_> = series.answers.iter().collect();
    answers.sort_unstable_by_key(|(key, _)| *key);
    for ((subject, code), count) in answers {
        line(out, NAME, &format!("code=\"{code}\",{}", labels(subject)), count);
    }
}

fn durations(out: &mut String, series: &Series) {
    const NAME: &str = "apiserver_request_duration_seconds";
    head(out, NAME, "histogram", "How long answers took, in seconds.");
    let mut durations: Vec<_> = series.durations.iter().collect();
    durations.sort_unstable_by_key(|(subject, _)| *subject);
    for (subject, durations) in durations {
        let labels = labels(subject);
        let mut sum = 0;
        for (bound, count) in BUCKETS.iter().zip(durations.buckets) {
            sum += count;
            line(out, &format!("{NAME}_bucket"), &format!("{labels},le=\"{bound}\""), sum);
        }
        line(out, &format!("{NAME}_bucket"), &format!("{labels},le=\"+Inf\""), durations.count);
        line(out, &format!("{NAME}_sum"), &labels, durations.seconds);
        line(out, &format!("{NAME}_count"), &labels, durations.count);
    }
}

fn long_running(out: &mut String, series: &Series) {
    const NAME: &str = "apiserver_longrunning_requests";
    head(out, NAME, "gauge", "Watches and other streams that are open.");
    let mut open: Vec<_> = series.long_running.iter().collect();
    open.sort_unstable_by_key(|(subject, _)| *subject);
    for (subject, count) in open {
        line(out, NAME, &labels(subject), count);
    }
}

/// What Prometheus' own clients tell of a process; memory only where there is a `/proc`.
fn process(out: &mut String, metrics: &Metrics) {
    head(out, "process_start_time_seconds", "gauge", "When the server started, in seconds since 1970.");
    line(out, "process_start_time_seconds", "", metrics.started.as_second());
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: Vec<u64> = statm.split(' ').filter_map(|text| text.parse().ok()).collect();
    if let [virtual_pages, resident_pages, ..] = pages[..] {
        head(out, "process_virtual_memory_bytes", "gauge", "Virtual memory, in bytes.");
        line(out, "process_virtual_memory_bytes", "", virtual_pages * PAGE_BYTES);
        head(out, "process_resident_memory_bytes", "gauge", "Resident memory, in bytes.");
        line(out, "process_resident_memory_bytes", "", resident_pages * PAGE_BYTES);
    }
}
