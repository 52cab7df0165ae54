//! One event of the audit log, in the form of audit.k8s.io/v1.

use std::net::IpAddr;

use axum::body::Body;
use coracle_control_api::meta;
use http::Request;
use http::header::{HeaderMap, USER_AGENT};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::AUDIT_ID;
use super::notes::Notes;
use super::policy::{Decision, Level, Stage};
use crate::request_info::RequestInfo;
use crate::serving::Peer;
use crate::user::UserInfo;

/// Longer names of programs are cut, as upstream.
const USER_AGENT_BYTES_MAX: usize = 1024;

/// What is known of a request so far.
#[derive(Debug)]
pub(super) struct Event {
    fields: Map<String, Value>,
    id: String,
}

impl Event {
    pub(super) fn new(
        request: &Request<Body>,
        info: &RequestInfo,
        user: &UserInfo,
        decision: &Decision,
        now: Timestamp,
    ) -> Self {
        let headers = request.headers();
        let given =
            headers.get(AUDIT_ID).and_then(|id| id.to_str().ok()).filter(|id| !id.is_empty() && id.len() <= 128);
        let id = given.map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_owned);
        let uri = request.uri().path_and_query().map(|uri| uri.as_str()).unwrap_or_default();
        let mut fields = Map::new();
        let mut set = |name: &str, value: Value| fields.insert(name.to_owned(), value);
        set("kind", json!("Event"));
        set("apiVersion", json!("audit.k8s.io/v1"));
        set("level", json!(decision.level.as_str()));
        set("auditID", json!(id));
        set("requestURI", json!(uri));
        set("verb", json!(info.verb));
        set("user", user_value(user));
        set("requestReceivedTimestamp", json!(meta::format_micro_time(now)));
        let sources = source_addresses(request);
        if !sources.is_empty() {
            set("sourceIPs", json!(sources));
        }
        if let Some(program) = headers.get(USER_AGENT).and_then(|program| program.to_str().ok()) {
            set("userAgent", json!(cut(program)));
        }
        if info.is_resource {
            set("objectRef", reference(info));
        }
        Self { fields, id }
    }

    /// The name of the event.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn note(&mut self, notes: &Notes) {
        if let Some(user) = notes.impersonated() {
            self.fields.insert("impersonatedUser".to_owned(), user_value(&user));
        }
        let annotations = notes.annotations();
        if !annotations.is_empty() {
            self.fields.insert("annotations".to_owned(), json!(annotations));
        }
    }

    pub(super) fn set_code(&mut self, code: u16) {
        self.fields.insert("responseStatus".to_owned(), json!({"metadata": {}, "code": code}));
    }

    pub(super) fn set_message(&mut self, message: &str) {
        if let Some(status) = self.fields.get_mut("responseStatus") {
            status["message"] = json!(message);
        }
    }

    /// Tells what was sent: who the object is at any level, and the object itself from `Request` on.
    pub(super) fn set_request(&mut self, mut object: Value, decision: &Decision) {
        if let Some(reference) = self.fields.get_mut("objectRef").and_then(Value::as_object_mut) {
            for field in ["name", "namespace", "uid", "resourceVersion"] {
                let known =
                    object.get("metadata").and_then(|metadata| metadata.get(field)).filter(|value| value.is_string());
                if let Some(value) = known.filter(|_| !reference.contains_key(field)) {
                    reference.insert(field.to_owned(), value.clone());
                }
            }
        }
        if decision.level >= Level::Request {
            if decision.omit_managed_fields {
                drop_managed_fields(&mut object);
            }
            self.fields.insert("requestObject".to_owned(), object);
        }
    }

    /// Tells what was answered: a Status at any level, and any object at `RequestResponse`.
    pub(super) fn set_response(&mut self, mut object: Value, decision: &Decision) {
        if meta::kind(&object) == "Status" && meta::api_version(&object) == "v1" {
            let mut status = object.clone();
            if let Some(status) = status.as_object_mut() {
                status.remove("kind");
                status.remove("apiVersion");
            }
            self.fields.insert("responseStatus".to_owned(), status);
        }
        if decision.level == Level::RequestResponse {
            if decision.omit_managed_fields {
                drop_managed_fields(&mut object);
            }
            self.fields.insert("responseObject".to_owned(), object);
        }
    }

    /// The event as it is left at a stage: one line of JSON.
    pub(super) fn at(&self, stage: Stage, now: Timestamp) -> Vec<u8> {
        let mut fields = self.fields.clone();
        fields.insert("stage".to_owned(), json!(stage.as_str()));
        fields.insert("stageTimestamp".to_owned(), json!(meta::format_micro_time(now)));
        let mut line = Value::Object(fields).to_string().into_bytes();
        line.push(b'\n');
        line
    }
}

fn user_value(user: &UserInfo) -> Value {
    let mut value = Map::new();
    let mut set = |name: &str, field: Value| value.insert(name.to_owned(), field);
    if !user.name.is_empty() {
        set("username", json!(user.name));
    }
    if !user.uid.is_empty() {
        set("uid", json!(user.uid));
    }
    if !user.groups.is_empty() {
        set("groups", json!(user.groups));
    }
    if !user.extra.is_empty() {
        let extra: Map<String, Value> = user.extra.iter().map(|(key, values)| (key.clone(), json!(values))).collect();
        set("extra", Value::Object(extra));
    }
    Value::Object(value)
}

fn reference(info: &RequestInfo) -> Value {
    let fields = [
        ("resource", &info.resource),
        ("namespace", &info.namespace),
        ("name", &info.name),
        ("apiGroup", &info.group),
        ("apiVersion", &info.version),
        ("subresource", &info.subresource),
    ];
    let fields = fields.into_iter().filter(|(_, text)| !text.is_empty());
    Value::Object(fields.map(|(name, text)| (name.to_owned(), json!(text))).collect())
}

/// The addresses that the request came through, the first one first: what proxies say, and who they are.
fn source_addresses(request: &Request<Body>) -> Vec<String> {
    let headers: &HeaderMap = request.headers();
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut addresses: Vec<IpAddr> =
        text("x-forwarded-for").split(',').filter_map(|address| address.trim().parse().ok()).collect();
    let real = text("x-real-ip").trim().parse().ok();
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0.to_canonical());
    for address in real.into_iter().chain(peer) {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses.into_iter().map(|address| address.to_string()).collect()
}

fn cut(text: &str) -> String {
    if text.len() <= USER_AGENT_BYTES_MAX {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(USER_AGENT_BYTES_MAX);
    format!("{}...TRUNCATED", &text[..end])
}

/// Takes out of an object, a list or a table who owns which fields.
fn drop_managed_fields(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    for list in ["items", "rows"] {
        for item in object.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            let item = if list == "rows" { item.get_mut("object") } else { Some(item) };
            let metadata = item.and_then(|item| item.get_mut("metadata")).and_then(Value::as_object_mut);
            if let Some(metadata) = metadata {
                metadata.remove("managedFields");
            }
        }
    }
}
