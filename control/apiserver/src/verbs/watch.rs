//! watch: a stream of JSON lines, one per change, or of messages of a WebSocket.
//!
//! The store's watch is a position in its history and holds no events, so a watcher that reads slowly costs nothing. When
//! it falls behind the history it gets an error event and the stream ends; nothing is ever left out silently.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use coracle_control_api::protobuf;
use coracle_control_api::status::Status;
use coracle_control_store::{Entry, Watch, WatchBatch, WatchError, WatchEvent, WatchLost};
use futures::StreamExt as _;
use http::Request;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use rand::Rng as _;
use serde_json::json;
use tokio::time::{Instant, Interval, MissedTickBehavior};

use crate::call::{Answer, ResourceCall, view};
use crate::catalog::Catalog;
use crate::custom::conversion;
use crate::filter::Filter;
use crate::list_options::{ListOptions, Version};
use crate::metrics::{LongRunning, Subject};
use crate::negotiation::{Encoding, Form, Negotiated, STREAMABLE};
use crate::stored;
use crate::streaming::{self, Framing};
use crate::table::{IncludeObject, TableWriter, partial, write_value};
use crate::verbs::get::FORMS;
use crate::verbs::list::scope_prefix;

/// A chunk of the stream is given out when it has this many bytes; the last event in it may go beyond.
const CHUNK_BYTES: usize = 64 * 1024;

/// The annotation that tells a client that it has seen the initial state.
const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

pub(crate) async fn watch(call: &ResourceCall, request: Request<Body>) -> Answer {
    let agreed = call.negotiate(FORMS)?;
    if agreed.encoding == Encoding::Yaml {
        return Err(Status::not_acceptable(STREAMABLE));
    }
    let options = ListOptions::parse(&call.query, true)?;
    let filter = Filter::parse(&call.kind, &call.query)?;
    // The old paths below `/watch/` may name one object.
    let filter = if call.name().is_empty() { filter } else { filter.named(call.name()) };
    let stream = open(call, options, filter, agreed).await?;
    let chunks = futures::stream::unfold(stream, |mut stream| async move { Some((stream.next().await?, stream)) });
    if streaming::wants_messages(&call.headers) {
        let framing = if agreed.encoding == Encoding::Protobuf { Framing::Lengths } else { Framing::Lines };
        return streaming::serve_watch(call, request, framing, chunks);
    }
    let mut answer = axum::response::Response::new(Body::from_stream(chunks.map(Ok::<_, Infallible>)));
    let content_type = match agreed.encoding {
        Encoding::Protobuf => "application/vnd.kubernetes.protobuf;stream=watch",
        Encoding::Json | Encoding::PrettyJson | Encoding::Yaml => "application/json",
    };
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    Ok(answer)
}

/// Begins a watch: the initial state, if it is wanted, then what comes after it.
async fn open(
    call: &ResourceCall,
    options: ListOptions,
    filter: Filter,
    agreed: Negotiated,
) -> Result<EventStream, Status> {
    let wants_state = options.send_initial_events.unwrap_or(matches!(options.version, Version::Latest | Version::Any));
    let prefix = scope_prefix(call);
    let mut initial = Vec::new();
    let mut failure = None;
    let mut watch = None;
    let start = if wants_state {
        let snapshot = call.snapshot(options.version).await?;
        initial = snapshot.prefix(prefix.as_bytes()).collect();
        conversion::entries(&call.shared, &call.kind, &mut initial).await?;
        snapshot.revision()
    } else {
        match options.version {
            Version::AtLeast(revision) | Version::Exact(revision) => {
                call.wait_for(revision).await?;
                revision
            }
            // `sendInitialEvents=false`: from now on.
            Version::Latest | Version::Any => call.snapshot(options.version).await?.revision(),
        }
    };
    match call.shared.store.watch(prefix.as_bytes(), start) {
        Ok(opened) => watch = Some(opened),
        Err(WatchError::Compacted { oldest }) => failure = Some(too_old(start, oldest)),
        Err(WatchError::Future { current }) => return Err(Status::too_large_resource_version(start, current)),
    }
    let timeout = options.timeout.unwrap_or_else(|| {
        let shortest = call.shared.config.watch_timeout_min;
        shortest.mul_f64(1.0 + rand::rng().random::<f64>())
    });
    let bookmarks = options.allow_bookmarks.then(|| bookmark_timer(call.shared.config.bookmark_interval));
    // The newest object comes first out of `initial`, which is emptied from its end.
    initial.reverse();
    Ok(EventStream {
        writer: EventWriter { call: call.clone(), filter, agreed, columns_sent: false, buffer: Vec::new() },
        initial,
        // Upstream marks the end only for clients that take bookmarks.
        initial_end: (options.send_initial_events == Some(true) && options.allow_bookmarks).then_some(start),
        watch,
        definition: definition(call),
        failure,
        deadline: Instant::now() + timeout,
        bookmarks,
        told: start,
        ended: false,
        _open: call.shared.metrics.stream(Subject::new(&call.info, &call.query, false)),
    })
}

/// A watch of the definition behind a custom kind.
fn definition(call: &ResourceCall) -> Option<Watch> {
    call.kind.behaviour.custom_type()?;
    let key = Catalog::definition_key(&call.kind.group, &call.kind.plural);
    call.shared.store.watch(key.as_bytes(), call.shared.store.revision()).ok()
}

/// Waits until what is watched is deleted. What was lost is taken for that.
async fn deleted(watch: &mut Watch) {
    while let Ok(batch) = watch.next().await {
        if batch.events.iter().any(|event| matches!(event, WatchEvent::Delete { .. })) {
            return;
        }
    }
}

fn bookmark_timer(interval: Duration) -> Interval {
    let mut timer = tokio::time::interval_at(Instant::now() + interval, interval);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    timer
}

fn too_old(revision: u64, oldest: u64) -> Status {
    Status::expired(format!("too old resource version: {revision} ({oldest})"))
}

/// The state of one watch between two chunks.
struct EventStream {
    writer: EventWriter,
    /// The initial state that is still to be sent, in reverse.
    initial: Vec<Entry>,
    /// The revision of the bookmark that ends the initial state.
    initial_end: Option<u64>,
    watch: Option<Watch>,
    /// Of a custom kind, what becomes of its definition.
    definition: Option<Watch>,
    /// An error that ends the stream after the initial state.
    failure: Option<Status>,
    deadline: Instant,
    bookmarks: Option<Interval>,
    /// The highest revision that the client knows from a bookmark.
    told: u64,
    ended: bool,
    /// Counts the stream among the open ones.
    _open: LongRunning,
}

/// What a wait ended with.
enum Wake {
    Batch(Result<WatchBatch, WatchLost>),
    Bookmark,
    Deadline,
    Shutdown,
}

impl EventStream {
    /// The next chunk of the stream, at an event boundary; `None` at its end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            self.write_initial();
            if let Some(chunk) = self.writer.take() {
                return Some(chunk);
            }
            if let Some(status) = self.failure.take() {
                self.ended = true;
                self.writer.write_error(&status);
                return self.writer.take();
            }
            if self.ended {
                return None;
            }
            match self.wait().await {
                Wake::Batch(Ok(batch)) => self.write_batch(batch).await,
                Wake::Batch(Err(WatchLost::Behind { oldest })) => {
                    self.failure = Some(too_old(self.told, oldest));
                }
                Wake::Batch(Err(WatchLost::Closed)) | Wake::Shutdown => self.ended = true,
                Wake::Bookmark => self.write_bookmark(),
                Wake::Deadline => {
                    self.ended = true;
                    if self.bookmarks.is_some() {
                        self.write_bookmark();
                    }
                }
            }
        }
    }

    async fn write_batch(&mut self, mut batch: WatchBatch) {
        let call = &self.writer.call;
        match conversion::events(&call.shared, &call.kind, &mut batch.events).await {
            Ok(()) => batch.events.iter().for_each(|event| self.writer.write_event(event)),
            Err(status) => self.failure = Some(status),
        }
    }

    /// Waits for whatever comes first. Events come before bookmarks, so that a bookmark is never ahead of its events.
    async fn wait(&mut self) -> Wake {
        let Some(watch) = self.watch.as_mut() else { return Wake::Shutdown };
        let shutdown = self.writer.call.shared.shutdown.clone();
        let bookmark = async {
            match self.bookmarks.as_mut() {
                Some(timer) => timer.tick().await,
                None => std::future::pending().await,
            }
        };
        let definition = async {
            match self.definition.as_mut() {
                Some(definition) => deleted(definition).await,
                None => std::future::pending().await,
            }
        };
        // Every arm is cancel-safe: the store's watch says so of `next`, and the others only wait.
        tokio::select! {
            biased;
            () = shutdown.cancelled() => Wake::Shutdown,
            () = tokio::time::sleep_until(self.deadline) => Wake::Deadline,
            batch = watch.next() => Wake::Batch(batch),
            // After the last events of its objects.
            () = definition => Wake::Shutdown,
            _ = bookmark => Wake::Bookmark,
        }
    }

    fn write_initial(&mut self) {
        while self.writer.buffer.len() < CHUNK_BYTES {
            match self.initial.pop() {
                Some(entry) => self.writer.write_state(&entry),
                None => break,
            }
        }
        if self.initial.is_empty()
            && let Some(revision) = self.initial_end.take()
        {
            self.told = revision;
            self.writer.write_bookmark(revision, true);
        }
    }

    /// Tells the client up to where it has seen everything, unless it knows that already.
    fn write_bookmark(&mut self) {
        let progress = self.watch.as_ref().map_or(0, Watch::progress);
        if progress > self.told {
            self.told = progress;
            self.writer.write_bookmark(progress, false);
        }
    }
}

/// Writes events in the form that the client wants.
struct EventWriter {
    call: ResourceCall,
    filter: Filter,
    agreed: Negotiated,
    /// Only the first table of a watch has its columns.
    columns_sent: bool,
    buffer: Vec<u8>,
}

impl EventWriter {
    fn take(&mut self) -> Option<Bytes> {
        if self.buffer.is_empty() { None } else { Some(Bytes::from(std::mem::take(&mut self.buffer))) }
    }

    fn matches(&self, stored: &[u8]) -> bool {
        self.filter.is_everything() || self.filter.matches(&self.call.kind, stored)
    }

    fn write_state(&mut self, entry: &Entry) {
        let kind = self.call.kind.clone();
        let stored = view(&kind, &entry.value);
        if self.matches(&stored) {
            self.write("ADDED", &stored, entry.mod_revision);
        }
    }

    /// An object that comes to match appears, one that ceases to match disappears, as the client sees it.
    fn write_event(&mut self, event: &WatchEvent) {
        let kind = self.call.kind.clone();
        match event {
            WatchEvent::Put { entry, previous } => {
                let stored = view(&kind, &entry.value);
                let before = previous.as_ref().map(|previous| view(&kind, &previous.value));
                let matched = before.as_ref().is_some_and(|before| self.matches(before));
                match (matched, self.matches(&stored)) {
                    (false, true) => self.write("ADDED", &stored, entry.mod_revision),
                    (true, true) => self.write("MODIFIED", &stored, entry.mod_revision),
                    (true, false) => {
                        if let Some(before) = before {
                            self.write("DELETED", &before, entry.mod_revision);
                        }
                    }
                    (false, false) => {}
                }
            }
            WatchEvent::Delete { revision, previous } => {
                let stored = view(&kind, &previous.value);
                if self.matches(&stored) {
                    self.write("DELETED", &stored, *revision);
                }
            }
        }
    }

    fn write(&mut self, event: &str, stored: &[u8], revision: u64) {
        if self.agreed.encoding == Encoding::Protobuf {
            let mut object = Vec::with_capacity(stored.len() + 64);
            self.write_object(&mut object, stored, revision);
            return self.write_message(event, &serde_json::from_slice(&object).unwrap_or_default());
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        begin(&mut buffer, event);
        self.write_object(&mut buffer, stored, revision);
        buffer.extend_from_slice(EVENT_END);
        self.buffer = buffer;
    }

    /// Appends the object, in the form that the client wants, as JSON.
    fn write_object(&mut self, out: &mut Vec<u8>, stored: &[u8], revision: u64) {
        match self.agreed.form {
            Form::Object => stored::write_with_revision(out, stored, revision),
            Form::PartialMetadata | Form::PartialMetadataList => {
                out.extend_from_slice(&partial(&self.call.kind, stored, revision, self.agreed.form_version));
            }
            Form::Table => {
                let writer = TableWriter {
                    kind: &self.call.kind,
                    version: self.agreed.form_version,
                    include: IncludeObject::parse(self.call.query.text("includeObject")),
                    now: jiff::Timestamp::now(),
                };
                let metadata = json!({"resourceVersion": revision.to_string()});
                let table = writer.table(&metadata, !self.columns_sent, std::iter::once((stored, revision)));
                self.columns_sent = true;
                out.extend_from_slice(&table);
            }
        }
    }

    fn write_message(&mut self, event: &str, object: &serde_json::Value) {
        if let Err(error) = protobuf::write_event(&mut self.buffer, event, object) {
            // What has no message is refused before the stream begins.
            tracing::error!(%error, "an event of a watch has no message");
        }
    }

    /// A bookmark has the kind of the objects, since clients drop events of other kinds.
    fn write_bookmark(&mut self, revision: u64, ends_initial_events: bool) {
        let mut object = json!({
            "apiVersion": self.call.kind.api_version(),
            "kind": self.call.kind.kind,
            "metadata": {},
        });
        if ends_initial_events && let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.insert("annotations".to_owned(), json!({ INITIAL_EVENTS_END: "true" }));
        }
        let stored = stored::encode(&object);
        self.write("BOOKMARK", &stored, revision);
    }

    fn write_error(&mut self, status: &Status) {
        if self.agreed.encoding == Encoding::Protobuf {
            return self.write_message("ERROR", &status.to_value());
        }
        begin(&mut self.buffer, "ERROR");
        write_value(&mut self.buffer, &status.to_value());
        self.buffer.extend_from_slice(EVENT_END);
    }
}

const EVENT_END: &[u8] = b"}\n";

fn begin(out: &mut Vec<u8>, event: &str) {
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(event.as_bytes());
    out.extend_from_slice(b"\",\"object\":");
}
