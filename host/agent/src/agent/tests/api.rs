//! A few pages of the Kubernetes API, in memory: enough for an agent, with every write counted.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, Request, State};
use axum::http::{Method, Response, StatusCode};
use axum::response::IntoResponse as _;
use serde_json::{Value, json};
use tokio::sync::broadcast;

/// Where an object is: `/api/v1/namespaces/shop/pods/web`.
type Path = String;

#[derive(Clone)]
pub(super) struct Api {
    state: Arc<Mutex<State_>>,
    events: broadcast::Sender<(Path, &'static str, Value)>,
}

#[derive(Default)]
struct State_ {
    objects: BTreeMap<Path, Value>,
    revision: u64,
    /// Writes by method and path.
    writes: Vec<(String, Path, Value)>,
    /// How many of the next status writes fail.
    failures: usize,
    /// What tokens are issued, if any.
    tokens: Option<String>,
}

impl Api {
    pub(super) fn new() -> Self {
        Self { state: Arc::default(), events: broadcast::Sender::new(1024) }
    }

    pub(super) fn client(&self) -> kube::Client {
        kube::Client::new(Router::new().fallback(serve).with_state(self.clone()), "default")
    }

    pub(super) fn get(&self, path: &str) -> Option<Value> {
        self.state.lock().unwrap().objects.get(path).cloned()
    }

    /// Puts an object as a user would.
    pub(super) fn put(&self, path: &str, mut object: Value) {
        let mut state = self.state.lock().unwrap();
        state.revision += 1;
        object["metadata"]["resourceVersion"] = state.revision.to_string().into();
        let kind = if state.objects.contains_key(path) { "MODIFIED" } else { "ADDED" };
        state.objects.insert(path.to_owned(), object.clone());
        let _nobody_watches = self.events.send((path.to_owned(), kind, object));
    }

    pub(super) fn change(&self, path: &str, change: impl FnOnce(&mut Value)) {
        let mut object = self.get(path).unwrap();
        change(&mut object);
        self.put(path, object);
    }

    pub(super) fn remove(&self, path: &str) -> Option<Value> {
        let object = self.state.lock().unwrap().objects.remove(path)?;
        let _nobody_watches = self.events.send((path.to_owned(), "DELETED", object.clone()));
        Some(object)
    }

    pub(super) fn fail_status_writes(&self, count: usize) {
        self.state.lock().unwrap().failures = count;
    }

    pub(super) fn issue_tokens(&self, text: &str) {
        self.state.lock().unwrap().tokens = Some(text.to_owned());
    }

    /// The bodies of the writes whose method and path are these.
    pub(super) fn writes(&self, method: &str, path: &str) -> Vec<Value> {
        let state = self.state.lock().unwrap();
        let matching = state.writes.iter().filter(|(m, p, _)| m == method && p == path);
        matching.map(|(_, _, body)| body.clone()).collect()
    }

    /// Reasons and messages of the Events so far.
    pub(super) fn recorded(&self) -> Vec<String> {
        let state = self.state.lock().unwrap();
        let events = state.objects.iter().filter(|(path, _)| path.contains("/events/"));
        events
            .map(|(_, event)| format!("{}: {}", event["reason"].as_str().unwrap(), event["message"].as_str().unwrap()))
            .collect()
    }
}

fn answer(status: StatusCode, body: &Value) -> Response<Body> {
    (status, [("content-type", "application/json")], body.to_string()).into_response()
}

fn failure(status: StatusCode, reason: &str) -> Response<Body> {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": reason,
        "code": status.as_u16(),
    });
    answer(status, &body)
}

async fn serve(
    State(api): State<Api>,
    Query(query): Query<HashMap<String, String>>,
    request: Request,
) -> Response<Body> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    if query.get("watch").is_some_and(|watch| watch == "true") {
        return watch(&api, &path, query.get("fieldSelector").cloned().unwrap_or_default());
    }
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
    let body: Value = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
    if method != Method::GET {
        api.state.lock().unwrap().writes.push((method.to_string(), path.clone(), body.clone()));
    }
    match method {
        Method::GET => match api.get(&path) {
            Some(object) => answer(StatusCode::OK, &object),
            None => failure(StatusCode::NOT_FOUND, "NotFound"),
        },
        Method::POST if path.ends_with("/token") => match api.state.lock().unwrap().tokens.clone() {
            Some(token) => answer(StatusCode::CREATED, &issued(&body, &token)),
            None => failure(StatusCode::NOT_FOUND, "NotFound"),
        },
        Method::POST => {
            let mut object = body;
            object["metadata"]["uid"] = format!("uid-of-{path}").into();
            let path = format!("{path}/{}", object["metadata"]["name"].as_str().unwrap());
            if api.get(&path).is_some() {
                return failure(StatusCode::CONFLICT, "AlreadyExists");
            }
            api.put(&path, object.clone());
            answer(StatusCode::CREATED, &object)
        }
        Method::PATCH => patch(&api, &path, &body),
        Method::DELETE => match api.get(&path) {
            Some(object) if object["metadata"]["uid"] != body["preconditions"]["uid"] => {
                failure(StatusCode::CONFLICT, "Conflict")
            }
            Some(_) => answer(StatusCode::OK, &api.remove(&path).unwrap()),
            None => failure(StatusCode::NOT_FOUND, "NotFound"),
        },
        _ => failure(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
    }
}

/// A token that holds for as long as was asked.
fn issued(request: &Value, token: &str) -> Value {
    let seconds = request["spec"]["expirationSeconds"].as_i64().unwrap();
    let until = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
    let mut answer = request.clone();
    answer["apiVersion"] = "authentication.k8s.io/v1".into();
    answer["kind"] = "TokenRequest".into();
    answer["status"] = json!({ "token": token, "expirationTimestamp": crate::life::time(until) });
    answer
}

fn patch(api: &Api, path: &str, body: &Value) -> Response<Body> {
    let object_path = path.strip_suffix("/status").unwrap_or(path);
    let Some(mut object) = api.get(object_path) else { return failure(StatusCode::NOT_FOUND, "NotFound") };
    if path.ends_with("/status") {
        let mut state = api.state.lock().unwrap();
        if state.failures > 0 {
            state.failures -= 1;
            return failure(StatusCode::INTERNAL_SERVER_ERROR, "InternalError");
        }
    }
    if body["metadata"]["uid"].is_string() && body["metadata"]["uid"] != object["metadata"]["uid"] {
        return failure(StatusCode::CONFLICT, "Conflict");
    }
    merge(&mut object, body);
    api.put(object_path, object.clone());
    answer(StatusCode::OK, &object)
}

/// A strategic merge, as far as a status needs one.
fn merge(into: &mut Value, patch: &Value) {
    match (into, patch) {
        (Value::Object(into), Value::Object(patch)) => {
            for (name, value) in patch {
                if value.is_null() {
                    into.remove(name);
                } else {
                    merge(into.entry(name).or_insert(Value::Null), value);
                }
            }
        }
        (Value::Array(into), Value::Array(patch)) if patch.iter().all(|item| item["type"].is_string()) => {
            for item in patch {
                match into.iter_mut().find(|known| known["type"] == item["type"]) {
                    Some(known) => merge(known, item),
                    None => into.push(without_nulls(item)),
                }
            }
        }
        (into, Value::Array(patch)) => {
            *into = patch.iter().filter(|item| item["$patch"].is_null()).map(without_nulls).collect();
        }
        (into, Value::Object(patch)) => *into = without_nulls(&Value::Object(patch.clone())),
        (into, value) => *into = value.clone(),
    }
}

fn without_nulls(value: &Value) -> Value {
    let Value::Object(map) = value else { return value.clone() };
    map.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn watch(api: &Api, path: &str, selector: String) -> Response<Body> {
    let (_, plural) = path.rsplit_once('/').unwrap();
    let infix = format!("/{plural}/");
    let matches = move |path: &str, object: &Value| {
        let Some((name, value)) = selector.split_once('=') else { return path.contains(&infix) };
        let pointer = format!("/{}", name.replace('.', "/"));
        path.contains(&infix) && object.pointer(&pointer).is_some_and(|found| found == value)
    };
    let state = api.state.lock().unwrap();
    let mut receiver = api.events.subscribe();
    let mut first: String = state
        .objects
        .iter()
        .filter(|(path, object)| matches(path, object))
        .map(|(_, object)| line("ADDED", object))
        .collect();
    let mark = json!({
        "apiVersion": "v1", "kind": if plural == "pods" { "Pod" } else { "Node" },
        "metadata": {
            "resourceVersion": state.revision.to_string(), "annotations": { "k8s.io/initial-events-end": "true" },
        },
    });
    first.push_str(&line("BOOKMARK", &mark));
    drop(state);
    let stream = async_stream(first, async move || {
        loop {
            let (path, kind, object) = receiver.recv().await.ok()?;
            if matches(&path, &object) {
                return Some(line(kind, &object));
            }
        }
    });
    Response::new(Body::from_stream(stream))
}

fn line(kind: &str, object: &Value) -> String {
    format!("{}\n", json!({ "type": kind, "object": object }))
}

fn async_stream(
    first: String,
    next: impl AsyncFnMut() -> Option<String>,
) -> impl futures::Stream<Item = Result<Bytes, std::convert::Infallible>> {
    futures::stream::unfold((Some(first), next), async |(first, mut next)| {
        let piece = match first {
            Some(first) => first,
            None => next().await?,
        };
        Some((Ok(Bytes::from(piece)), (None, next)))
    })
}
