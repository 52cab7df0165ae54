//! `GET /containerLogs/{namespace}/{pod}/{container}`: what a container printed, with kubelet's options and texts.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{Response, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use super::plain;
use crate::agent::Shared;
use crate::logs::{LogStream, ReadOptions, read};
use crate::pod::PodView;

/// The query, with the names of `PodLogOptions`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct LogQuery {
    follow: Option<String>,
    previous: Option<String>,
    timestamps: Option<String>,
    tail_lines: Option<String>,
    since_seconds: Option<String>,
    since_time: Option<String>,
    limit_bytes: Option<String>,
    stream: Option<String>,
}

pub(super) async fn serve(
    State(shared): State<Arc<Shared>>,
    Path((namespace, pod, container)): Path<(String, String, String)>,
    Query(query): Query<LogQuery>,
) -> Response<Body> {
    let Some(view) = shared.registry.find(&namespace, &pod) else {
        return plain(StatusCode::NOT_FOUND, format!("pod \"{pod}\" does not exist"));
    };
    let (options, previous) = match query.options() {
        Ok(options) => options,
        Err(text) => return plain(StatusCode::BAD_REQUEST, text),
    };
    let restart = match run(&view, &container, previous) {
        Ok(restart) => restart,
        Err((status, text)) => return plain(status, text),
    };
    let (store, logs) = (shared.logs.clone(), view.logs.clone());
    let found = tokio::task::spawn_blocking(move || store.find(&logs, &container, restart)).await;
    let body = match found {
        Ok(Some(log)) => Body::from_stream(read(log, options)),
        Ok(None) => Body::empty(),
        Err(error) => return plain(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain"));
    response
}

impl LogQuery {
    /// What to read, and whether of the previous run.
    fn options(&self) -> Result<(ReadOptions, bool), String> {
        let since_time = match self.since_time.as_deref().filter(|text| !text.is_empty()) {
            Some(text) => Some(text.parse::<Timestamp>().map_err(|_| bad("sinceTime", text))?),
            None => None,
        };
        let since_seconds = number("sinceSeconds", self.since_seconds.as_deref())?;
        let ago = |seconds| Timestamp::now().checked_sub(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MIN);
        let stream = match self.stream.as_deref() {
            Some("Stdout") => Some(LogStream::Stdout),
            Some("Stderr") => Some(LogStream::Stderr),
            _ => None,
        };
        let unsigned = |name, text: &Option<String>| {
            let value = number(name, text.as_deref())?;
            value.map(|value| u64::try_from(value).map_err(|_| bad(name, &value.to_string()))).transpose()
        };
        let options = ReadOptions {
            tail_lines: unsigned("tailLines", &self.tail_lines)?,
            since: since_time.or(since_seconds.map(ago)),
            timestamps: flag(self.timestamps.as_deref()),
            bytes_max: unsigned("limitBytes", &self.limit_bytes)?,
            stream,
            follow: flag(self.follow.as_deref()),
        };
        Ok((options, flag(self.previous.as_deref())))
    }
}

fn bad(name: &str, text: &str) -> String {
    format!("invalid value for {name}: {text:?}")
}

/// A flag of a query: present counts as set, as upstream's conversion has it.
fn flag(text: Option<&str>) -> bool {
    text.is_some_and(|text| !matches!(text, "false" | "0"))
}

fn number(name: &str, text: Option<&str>) -> Result<Option<i64>, String> {
    let text = text.filter(|text| !text.is_empty());
    text.map(|text| text.parse().map_err(|_| bad(name, text))).transpose()
}

/// The run of the container whose log is asked for.
pub(super) fn run(view: &PodView, container: &str, previous: bool) -> Result<u32, (StatusCode, String)> {
    let pod = &view.key.name;
    let state = view.with_life(|life| life.find(container).and_then(|index| life.container_state(index)));
    let Some((status, restart)) = state else {
        return Err((StatusCode::NOT_FOUND, format!("container {container} not found in pod {pod}")));
    };
    // The runs are numbered; while the next one waits or starts, the latest that ran is the one counted last.
    let ran = status["restartCount"].as_u64().and_then(|count| u32::try_from(count).ok()).unwrap_or(restart);
    let is = |value: &Value| !value.is_null();
    let has_last = is(&status["lastState"]["terminated"]);
    let state = &status["state"];
    let refuse = |text: String| Err((StatusCode::BAD_REQUEST, text));
    if previous {
        let waiting = is(&state["waiting"]);
        return match (has_last, waiting) {
            (true, true) => Ok(ran),
            (true, false) if ran > 0 => Ok(ran - 1),
            _ => refuse(format!("previous terminated container \"{container}\" in pod \"{pod}\" not found")),
        };
    }
    if is(&state["running"]) || is(&state["terminated"]) || has_last {
        return Ok(ran);
    }
    refuse(match state["waiting"]["reason"].as_str() {
        Some("ErrImagePull") => {
            format!("container \"{container}\" in pod \"{pod}\" is waiting to start: image can't be pulled")
        }
        Some("ImagePullBackOff") => {
            format!("container \"{container}\" in pod \"{pod}\" is waiting to start: trying and failing to pull image")
        }
        Some(reason) => format!("container \"{container}\" in pod \"{pod}\" is waiting to start: {reason}"),
        None => format!("container \"{container}\" in pod \"{pod}\" is waiting to start - no logs yet"),
    })
}
