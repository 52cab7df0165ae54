//! Event: one storage, two faces. The stored form is the core one; `events.k8s.io` renames fields and is stricter.

use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::kind::{Behaviour, Column, Kind, Part};
use crate::kinds::fields::{self, Fields};
use crate::kinds::object_meta;
use crate::kinds::validation::names::NameRule;
use crate::kinds::validation::{complain, immutable, qualified_name};
use crate::kinds::{age, columns};
use crate::names;
use crate::status::{FieldError, FieldPath};

/// Bytes that `reportingInstance`, `action` and `reason` may have each.
const WORD_BYTES_MAX: usize = 128;
/// Bytes that `message` (`note`) may have.
const MESSAGE_BYTES_MAX: usize = 1024;
const ELSEWHERE: &str = "does not match event.namespace";

/// Names in `events.k8s.io` and in the stored form.
const RENAMED: &[(&str, &str)] = &[
    ("regarding", "involvedObject"),
    ("note", "message"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
    ("reportingController", "reportingComponent"),
];

/// Fields of the stored form that strict validation does not let change, with the names it gives them.
const FROZEN: &[(&str, &str)] = &[
    ("involvedObject", "involvedObject"),
    ("reason", "reason"),
    ("message", "message"),
    ("source", "source"),
    ("firstTimestamp", "firstTimestamp"),
    ("lastTimestamp", "lastTimestamp"),
    ("count", "count"),
    ("reason", "reason"),
    ("type", "type"),
    ("eventTime", "eventTime"),
    ("action", "action"),
    ("related", "related"),
    ("reportingComponent", "reportingController"),
    ("reportingInstance", "reportingInstance"),
];

static COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    vec![
        columns::text("Last Seen", "The time at which the most recent occurrence of this event was recorded."),
        columns::text("Type", "Type of this event (Normal, Warning), new types could be added in the future"),
        columns::text(
            "Reason",
            "This should be a short, machine understandable string that gives the reason for the transition into the object's current status.",
        ),
        columns::text("Object", "The object that this event is about."),
        columns::wide(
            "Subobject",
            "If referring to a piece of an object instead of an entire object, this string should contain a valid JSON/Go field access statement, such as desiredState.manifest.containers[2]. For example, if the object reference is to a container within a pod, this would take on a value like: \"spec.containers{name}\" (where \"name\" refers to the name of the container that triggered the event) or if no container name is specified \"spec.containers[2]\" (container with index 2 in this pod). This syntax is chosen only to have some well-defined way of referencing a part of an object.",
        ),
        columns::wide("Source", "The component reporting this event. Should be a short machine understandable string."),
        columns::text("Message", "A human-readable description of the status of this operation."),
        columns::wide(
            "First Seen",
            "The time at which the event was first recorded. (Time of server receipt is in TypeMeta.)",
        ),
        columns::wide("Count", "The number of times this event has occurred."),
        Column { priority: 1, ..columns::name() },
    ]
});

/// Core events: accepted as old clients send them.
#[derive(Debug)]
struct CoreEvent;

/// Events of `events.k8s.io`: every word that the new form demands must be there.
#[derive(Debug)]
struct GroupEvent;

pub(super) fn core_kind() -> Kind {
    Kind::new("", "v1", "Event", "events", CoreEvent)
        .schema("io.k8s.api.core.v1.Event")
        .short_names(&["ev"])
        .creates_on_update()
        .name_rule(NameRule::PathSegment)
}

pub(super) fn group_kind() -> Kind {
    Kind::new("events.k8s.io", "v1", "Event", "events", GroupEvent)
        .schema("io.k8s.api.events.v1.Event")
        .short_names(&["ev"])
        .creates_on_update()
        .stored_as("", "events")
}

impl Behaviour for CoreEvent {
    fn default(&self, object: &mut Value) {
        for field in ["eventTime", "firstTimestamp", "lastTimestamp"] {
            fields::set_default(object, field, Value::Null);
        }
        for field in ["reportingComponent", "reportingInstance"] {
            fields::set_default(object, field, "");
        }
        for field in ["involvedObject", "source"] {
            fields::object_mut(object, field);
        }
    }

    fn validates_metadata(&self) -> bool {
        false
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        sensible(object)
    }

    fn validate_update(&self, _part: Part, new: &Value, _old: &Value) -> Vec<FieldError> {
        sensible(new)
    }

    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        cells(object, now)
    }

    fn field_labels(&self) -> &'static [&'static str] {
        &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ]
    }

    fn field_value(&self, object: &Value, label: &str) -> String {
        match label.split_once('.') {
            Some((parent, field)) => {
                object.child(parent).map(|parent| parent.text(field)).unwrap_or_default().to_owned()
            }
            None if label == "source" => source_component(object).to_owned(),
            None => object.text(label).to_owned(),
        }
    }
}

impl Behaviour for GroupEvent {
    fn default(&self, object: &mut Value) {
        for field in ["eventTime", "deprecatedFirstTimestamp", "deprecatedLastTimestamp"] {
            fields::set_default(object, field, Value::Null);
        }
        for field in ["regarding", "deprecatedSource"] {
            fields::object_mut(object, field);
        }
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        let event = stored(object);
        let mut errors = sensible(&event);
        series(&mut errors, &event);
        if event.text("eventTime").is_empty() {
            errors.push(FieldError::required("eventTime", ""));
        }
        let kind = event.text("type");
        if !matches!(kind, "Normal" | "Warning") {
            errors.push(FieldError::invalid("type", "", format!("has invalid value: {kind}")));
        }
        for field in ["firstTimestamp", "lastTimestamp"] {
            if !event.text(field).is_empty() {
                errors.push(FieldError::invalid(field, "", "needs to be unset"));
            }
        }
        if event.int("count").is_some_and(|count| count != 0) {
            errors.push(FieldError::invalid("count", "", "needs to be unset"));
        }
        let source = event.child("source");
        if source.is_some_and(|source| !source.text("component").is_empty() || !source.text("host").is_empty()) {
            errors.push(FieldError::invalid("source", "", "needs to be unset"));
        }
        errors
    }

    fn validate_update(&self, _part: Part, new: &Value, old: &Value) -> Vec<FieldError> {
        let (new, old) = (stored(new), stored(old));
        let mut errors = sensible(&new);
        errors.extend(object_meta::validate_update_of_kind(&new, &old));
        if !fields::same(new.get("series"), old.get("series")) {
            series(&mut errors, &new);
        }
        for (field, name) in FROZEN {
            immutable(&mut errors, &FieldPath::root(name), new.get(*field), old.get(*field));
        }
        errors
    }

    fn validates_metadata_on_update(&self) -> bool {
        false
    }

    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        cells(&stored(object), now)
    }

    fn field_labels(&self) -> &'static [&'static str] {
        &[
            "reason",
            "regarding.kind",
            "regarding.namespace",
            "regarding.name",
            "regarding.uid",
            "regarding.apiVersion",
            "regarding.resourceVersion",
            "regarding.fieldPath",
            "reportingController",
            "type",
        ]
    }

    fn field_value(&self, object: &Value, label: &str) -> String {
        match label.split_once('.') {
            Some((parent, field)) => {
                object.child(parent).map(|parent| parent.text(field)).unwrap_or_default().to_owned()
            }
            None => object.text(label).to_owned(),
        }
    }

    fn to_stored(&self, object: &mut Value) {
        to_stored(object);
    }

    fn from_stored(&self, object: &mut Value) {
        rename(object, RENAMED.iter().map(|(group, core)| (*core, *group)));
        // The core form writes these out even when empty, this form leaves them out.
        for field in ["reportingController", "reportingInstance"] {
            if object.text(field).is_empty() {
                fields::remove(object, field);
            }
        }
        fields::set(object, "apiVersion", "events.k8s.io/v1");
        self.default(object);
    }
}

fn to_stored(object: &mut Value) {
    rename(object, RENAMED.iter().copied());
    fields::set(object, "apiVersion", "v1");
    CoreEvent.default(object);
}

fn stored(object: &Value) -> Value {
    let mut event = object.clone();
    to_stored(&mut event);
    event
}

fn rename<'a>(object: &mut Value, names: impl Iterator<Item = (&'a str, &'a str)>) {
    let Some(map) = object.as_object_mut() else { return };
    for (from, to) in names {
        if let Some(value) = map.remove(from) {
            map.insert(to.to_owned(), value);
        }
    }
}

/// What every event must be: about an object of its own namespace, and, in the new form, with all its words.
fn sensible(event: &Value) -> Vec<FieldError> {
    let null = Value::Null;
    let mut errors = Vec::new();
    let namespace = event.child("metadata").unwrap_or(&null).text("namespace");
    let about = event.child("involvedObject").unwrap_or(&null).text("namespace");
    let elsewhere = || FieldError::invalid("involvedObject.namespace", about, ELSEWHERE);
    if event.text("eventTime").is_empty() {
        let fits = if about.is_empty() { matches!(namespace, "" | "default") } else { about == namespace };
        if !fits {
            errors.push(elsewhere());
        }
    } else {
        if about.is_empty() && !matches!(namespace, "default" | "kube-system") {
            errors.push(elsewhere());
        }
        words(&mut errors, event);
    }
    complain(&mut errors, &FieldPath::root("namespace"), namespace, names::dns_subdomain(namespace));
    errors
}

fn words(errors: &mut Vec<FieldError>, event: &Value) {
    let controller = event.text("reportingComponent");
    if controller.is_empty() {
        errors.push(FieldError::required("reportingController", ""));
    }
    qualified_name(errors, &FieldPath::root("reportingController"), controller);
    for field in ["reportingInstance", "action", "reason"] {
        let word = event.text(field);
        if word.is_empty() {
            errors.push(FieldError::required(field, ""));
        }
        if word.len() > WORD_BYTES_MAX {
            errors.push(FieldError::invalid(field, "", format!("can have at most {WORD_BYTES_MAX} characters")));
        }
    }
    if event.text("message").len() > MESSAGE_BYTES_MAX {
        errors.push(FieldError::invalid("message", "", format!("can have at most {MESSAGE_BYTES_MAX} characters")));
    }
}

fn series(errors: &mut Vec<FieldError>, event: &Value) {
    let Some(series) = event.child("series") else { return };
    if series.int("count").unwrap_or(0) < 2 {
        errors.push(FieldError::invalid("series.count", "", "should be at least 2"));
    }
    if series.text("lastObservedTime").is_empty() {
        errors.push(FieldError::required("series.lastObservedTime", ""));
    }
}

fn source_component(event: &Value) -> &str {
    let component = event.child("source").map(|source| source.text("component")).unwrap_or_default();
    if component.is_empty() { event.text("reportingComponent") } else { component }
}

/// The cells of an event in its stored form.
fn cells(event: &Value, now: Timestamp) -> Vec<Value> {
    let null = Value::Null;
    let field = |name: &str| age::time(event.child(name));
    let first = field("firstTimestamp").or_else(|| field("eventTime"));
    let mut last = field("lastTimestamp").or(first);
    let mut count = event.int("count").filter(|count| *count != 0).unwrap_or(1);
    if let Some(series) = event.child("series") {
        last = age::time(series.child("lastObservedTime"));
        count = series.int("count").unwrap_or(0);
    }
    let about = event.child("involvedObject").unwrap_or(&null);
    let target = match about.text("name") {
        "" => about.text("kind").to_lowercase(),
        name => format!("{}/{name}", about.text("kind").to_lowercase()),
    };
    let host = event.child("source").map(|source| source.text("host")).unwrap_or_default();
    let instance = if host.is_empty() { event.text("reportingInstance") } else { host };
    let source = match instance {
        "" => source_component(event).to_owned(),
        instance => format!("{}, {instance}", source_component(event)),
    };
    vec![
        Value::from(age::since_time(last, now)),
        json!(event.text("type")),
        json!(event.text("reason")),
        Value::from(target),
        json!(about.text("fieldPath")),
        Value::from(source),
        json!(event.text("message").trim()),
        Value::from(age::since_time(first, now)),
        Value::from(count),
        columns::name_cell(event),
    ]
}
