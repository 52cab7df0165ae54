//! HTTP answers: the only place where an error becomes one.

use std::io::Write as _;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use coracle_control_api::protobuf;
use coracle_control_api::status::Status;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, RETRY_AFTER, VARY, WARNING,
};
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use crate::negotiation::{Encoding, Negotiated};

/// More warnings than this are not sent.
const WARNINGS_MAX: usize = 64;
/// Bytes of all warning texts together, after which they are cut, as upstream does.
const WARNING_BYTES_MAX: usize = 4096;

/// The answer that an error becomes.
pub(crate) fn status_answer(status: &Status, agreed: Negotiated) -> Response {
    let encoded = match agreed.encoding {
        Encoding::Protobuf => encode_value(&status.to_value(), agreed.encoding),
        other => Ok(encode_text(status, other)),
    };
    let mut body = encoded.unwrap_or_default();
    if matches!(agreed.encoding, Encoding::Json) {
        // Upstream ends every JSON answer so, and clients show the bodies of errors as they come.
        body.push(b'\n');
    }
    let mut answer = raw(status.http_code(), content_type(agreed.encoding), body);
    if let Some(seconds) = status.details.as_ref().map(|details| details.retry_after_seconds)
        && seconds > 0
    {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    answer
}

/// An answer with a JSON value, in the encoding that was agreed.
pub(crate) fn value_answer(code: u16, value: &Value, agreed: Negotiated) -> Response {
    match encode_value(value, agreed.encoding) {
        Ok(body) => raw(code, content_type(agreed.encoding), body),
        Err(status) => raw(406, content_type(Encoding::Json), to_json(&status.to_value())),
    }
}

/// An answer whose fields keep the order of a struct, wherever it is text.
pub(crate) fn ordered_answer(code: u16, value: &impl serde::Serialize, agreed: Negotiated) -> Response {
    match agreed.encoding {
        Encoding::Protobuf => value_answer(code, &serde_json::to_value(value).unwrap_or_default(), agreed),
        other => raw(code, content_type(other), encode_text(value, other)),
    }
}

/// An answer with bytes that are compact JSON already; they are encoded again only where JSON is not what was agreed.
pub(crate) fn json_answer(code: u16, json: Vec<u8>, agreed: Negotiated) -> Response {
    match agreed.encoding {
        Encoding::Json => raw(code, content_type(agreed.encoding), json),
        Encoding::PrettyJson | Encoding::Yaml | Encoding::Protobuf => {
            value_answer(code, &serde_json::from_slice(&json).unwrap_or_default(), agreed)
        }
    }
}

/// An answer in plain text.
pub(crate) fn text_answer(code: u16, text: impl Into<String>) -> Response {
    let mut answer = raw(code, "text/plain; charset=utf-8", text.into().into_bytes());
    answer.headers_mut().insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    answer
}

/// What upstream answers for a path that nothing serves.
pub(crate) fn page_not_found() -> Response {
    text_answer(404, "404 page not found\n")
}

/// An answer with these bytes.
pub(crate) fn raw(code: u16, content_type: &'static str, body: impl Into<Bytes>) -> Response {
    let mut answer = Response::new(Body::from(body.into()));
    *answer.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    answer
}

fn content_type(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Json | Encoding::PrettyJson => "application/json",
        Encoding::Yaml => "application/yaml",
        Encoding::Protobuf => protobuf::MEDIA_TYPE,
    }
}

/// Encoding to memory cannot fail: keys are texts and numbers finite.
fn to_json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// In an encoding that is text.
fn encode_text(value: &impl serde::Serialize, encoding: Encoding) -> Vec<u8> {
    match encoding {
        Encoding::PrettyJson => serde_json::to_vec_pretty(value).unwrap_or_default(),
        // JSON is YAML.
        Encoding::Yaml => serde_saphyr::to_string(value).map_or_else(|_| to_json(value), String::into_bytes),
        Encoding::Json | Encoding::Protobuf => to_json(value),
    }
}

/// # Errors
/// 406 for an object that has no message.
fn encode_value(value: &Value, encoding: Encoding) -> Result<Vec<u8>, Status> {
    match encoding {
        Encoding::Protobuf => protobuf::write(value).map_err(|error| Status::not_marshalable(error.to_string())),
        other => Ok(encode_text(value, other)),
    }
}

/// Adds Warning headers: `299 - "TEXT"`.
pub(crate) fn add_warnings(answer: &mut Response, warnings: &[String]) {
    let mut bytes = 0;
    for (index, warning) in warnings.iter().take(WARNINGS_MAX).enumerate() {
        if warnings[..index].contains(warning) {
            continue;
        }
        bytes += warning.len();
        if bytes > WARNING_BYTES_MAX {
            return;
        }
        let mut text = String::from("299 - \"");
        for character in warning.chars() {
            match character {
                '"' | '\\' => {
                    text.push('\\');
                    text.push(character);
                }
                control if control.is_control() => text.push(' '),
                other => text.push(other),
            }
        }
        text.push('"');
        if let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) {
            answer.headers_mut().append(WARNING, value);
        }
    }
}

/// Whether the client takes compressed answers.
pub(crate) fn takes_gzip(request_headers: &HeaderMap) -> bool {
    request_headers.get_all(ACCEPT_ENCODING).iter().any(|value| {
        let text = value.to_str().unwrap_or_default();
        text.split(',').any(|clause| clause.split(';').next().unwrap_or_default().trim() == "gzip")
    })
}

/// Marks an answer that comes from another server and is passed on as it comes, however large it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Passed;

/// Compresses an answer of known size where that pays and the client takes it.
pub(crate) async fn compress(answer: Response, request_headers: &HeaderMap, bytes_min: usize) -> Response {
    let size = http_body::Body::size_hint(answer.body()).exact().unwrap_or(0);
    if !takes_gzip(request_headers) || size < bytes_min as u64 || answer.headers().contains_key(CONTENT_ENCODING) {
        return answer;
    }
    let (mut parts, body) = answer.into_parts();
    // The body is in memory already, as its exact size shows.
    let Ok(plain) = axum::body::to_bytes(body, usize::MAX).await else {
        return text_answer(500, "the answer was lost");
    };
    let compressed = tokio::task::spawn_blocking(move || {
        let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 8), Compression::fast());
        let written = encoder.write_all(&plain).and_then(|()| encoder.finish());
        written.map_err(|_| plain)
    });
    match compressed.await {
        Ok(Ok(bytes)) => {
            parts.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            parts.headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
            Response::from_parts(parts, Body::from(bytes))
        }
        Ok(Err(plain)) => Response::from_parts(parts, Body::from(plain)),
        Err(_) => text_answer(500, "the answer was lost"),
    }
}

#[cfg(test)]
mod tests;
