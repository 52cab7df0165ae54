//! OpenAPI: a document per group and version, made from the kind table and the schema table on first use.
//!
//! kubectl needs of a version 3 document: the schemas, and for each path the group, version and kind, the action, the
//! parameters `dryRun`, `fieldManager` and `fieldValidation`, and the content types of PATCH. Old kubectl (1.27, 1.28) asks
//! for version 2 first and is content with a document that says nothing.

mod document;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::response::Response;
use bytes::Bytes;
use coracle_control_api::kind::Kind;
use coracle_control_api::status::Status;
use http::header::{CACHE_CONTROL, ETAG, HeaderValue, IF_NONE_MATCH};
use ring::digest::{SHA256, digest};
use serde_json::{Map, Value, json};

use crate::answer::{page_not_found, raw, value_answer};
use crate::call::Call;
use crate::catalog::Kinds;
use crate::negotiation::Messages;
use crate::negotiation::accepts;

/// `Document{swagger: "2.0", info: {title: "Kubernetes", version: "v1.34.0"}}` in protobuf: the fields 1 and 2 of the
/// gnostic OpenAPI v2 document, and 1 and 2 of its info.
const V2_PROTOBUF: &[u8] = b"\x0a\x032.0\x12\x15\x0a\x0aKubernetes\x12\x07v1.34.0";

/// How clients ask for that document, and how it has to be answered: with a dot, since an `@` is no media type.
const V2_PROTOBUF_ACCEPT: &[&str] = &[
    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
    "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
];
const V2_PROTOBUF_TYPE: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";

/// The documents, by `api/v1` or `apis/GROUP/VERSION`.
#[derive(Debug, Default)]
pub(crate) struct OpenApi {
    built_in: OnceLock<Documents>,
    /// With the kinds that they were made of.
    custom: Mutex<Option<(Arc<Kinds>, Documents)>>,
}

type Documents = BTreeMap<String, Arc<Document>>;

#[derive(Debug)]
struct Document {
    body: Bytes,
    hash: String,
}

/// The lower-case hexadecimal digits of the SHA-256 digest.
pub(crate) fn hex_digest(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Every document. Those of custom kinds are made again when a definition changes.
fn documents(call: &Call) -> Documents {
    let openapi = &call.shared.openapi;
    let built_in = openapi.built_in.get_or_init(|| {
        let kinds = call.shared.catalog.built_in().kinds();
        make(kinds, kinds)
    });
    let all = call.shared.catalog.all();
    if all.custom().is_empty() {
        return built_in.clone();
    }
    let mut custom = openapi.custom.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, documents)) = custom.as_ref().filter(|(made_of, _)| Arc::ptr_eq(made_of, &all)) {
        return documents.clone();
    }
    let mut documents = built_in.clone();
    documents.extend(make(all.kinds(), all.custom()));
    *custom = Some((all, documents.clone()));
    documents
}

/// The documents of the groups and versions of `of`.
fn make(kinds: &[Arc<Kind>], of: &[Arc<Kind>]) -> Documents {
    let mut documents = BTreeMap::new();
    for kind in of {
        let path = document::path_of(&kind.group, &kind.version);
        documents.entry(path).or_insert_with(|| {
            let body = document::build(kinds, &kind.group, &kind.version);
            let body = Bytes::from(serde_json::to_vec(&body).unwrap_or_default());
            Arc::new(Document { hash: hex_digest(&body), body })
        });
    }
    documents
}

/// `/openapi/v2`.
pub(crate) fn v2(call: &Call) -> Result<Response, Status> {
    if accepts(&call.headers, V2_PROTOBUF_ACCEPT) {
        return Ok(raw(200, V2_PROTOBUF_TYPE, V2_PROTOBUF));
    }
    let body = json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": "v1.34.0"},
        "paths": {},
        "definitions": {},
    });
    Ok(value_answer(200, &body, call.negotiate(Messages::None)?))
}

/// `/openapi/v3`: where the documents are, with a hash of each by which clients keep it.
pub(crate) fn index(call: &Call) -> Result<Response, Status> {
    let paths: Map<String, Value> = documents(call)
        .iter()
        .map(|(path, document)| {
            let url = format!("/openapi/v3/{path}?hash={}", document.hash);
            (path.clone(), json!({"serverRelativeURL": url}))
        })
        .collect();
    Ok(value_answer(200, &json!({"paths": paths}), call.negotiate(Messages::None)?))
}

/// `/openapi/v3/api/VERSION` and `/openapi/v3/apis/GROUP/VERSION`.
pub(crate) fn document(call: &Call, group: &str, version: &str) -> Result<Response, Status> {
    let documents = documents(call);
    let Some(document) = documents.get(&document::path_of(group, version)) else { return Ok(page_not_found()) };
    let tag = format!("\"{}\"", document.hash);
    let known = call.headers.get(IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == tag.as_bytes());
    let mut answer = if known {
        raw(304, "application/json", Bytes::new())
    } else {
        raw(200, "application/json", document.body.clone())
    };
    if call.query.text("hash") == document.hash {
        answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, immutable"));
    }
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        answer.headers_mut().insert(ETAG, tag);
    }
    Ok(answer)
}
