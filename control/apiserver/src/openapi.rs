//! OpenAPI: a document per group and version, made from the kind table and the schema table on first use.
//!
//! kubectl needs of a version 3 document: the schemas, and for each path the group, version and kind, the action, the
//! parameters `dryRun`, `fieldManager` and `fieldValidation`, and the content types of PATCH. Old kubectl (1.27, 1.28) asks
//! for version 2 first and is content with a document that says nothing.

mod descriptions;
mod document;
mod swagger;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::response::Response;
use bytes::Bytes;
use coracle_control_api::kind::Kind;
use coracle_control_api::status::Status;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, ETAG, EXPIRES, HeaderValue, IF_NONE_MATCH, LOCATION, VARY};
use ring::digest::{SHA256, digest};
use serde_json::{Map, Value, json};

use self::descriptions::Descriptions;
use crate::answer::{page_not_found, raw, takes_gzip, value_answer};
use crate::call::Call;
use crate::catalog::{Catalog, Kinds};
use crate::negotiation::{Messages, accepts};

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

/// A document as it is sent to nearly everybody: compressed. All of them take 1 MB so, and 10 MB unpacked.
#[derive(Debug)]
struct Document {
    packed: Bytes,
    hash: String,
}

impl Document {
    fn new(body: &Value) -> Self {
        let body = serde_json::to_vec(body).unwrap_or_default();
        let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 8), Compression::fast());
        // Memory can always be written.
        let packed = encoder.write_all(&body).and_then(|()| encoder.finish()).unwrap_or_default();
        Self { hash: hex_digest(&body).to_uppercase(), packed: Bytes::from(packed) }
    }

    fn unpack(&self) -> Vec<u8> {
        let mut body = Vec::new();
        if let Err(error) = GzDecoder::new(&self.packed[..]).read_to_end(&mut body) {
            tracing::error!(%error, "a document cannot be unpacked");
        }
        body
    }
}

/// The lower-case hexadecimal digits of the SHA-256 digest.
pub(crate) fn hex_digest(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Every document. They are made when somebody asks, which takes a fraction of a second, off the threads that serve.
///
/// # Errors
/// 500 when making them failed.
async fn documents(call: &Call) -> Result<Documents, Status> {
    let shared = Arc::clone(&call.shared);
    if let Some(built_in) = shared.openapi.built_in.get()
        && shared.catalog.all().custom().is_empty()
    {
        return Ok(built_in.clone());
    }
    let made = tokio::task::spawn_blocking(move || shared.openapi.make(&shared.catalog)).await;
    made.map_err(|_| Status::internal("the OpenAPI documents cannot be made"))
}

impl OpenApi {
    /// Those of custom kinds are made again when a definition changes.
    fn make(&self, catalog: &Catalog) -> Documents {
        let built_in = self.built_in.get_or_init(|| {
            let kinds = catalog.built_in().kinds();
            make(kinds, kinds)
        });
        let all = catalog.all();
        if all.custom().is_empty() {
            return built_in.clone();
        }
        let mut custom = self.custom.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, documents)) = custom.as_ref().filter(|(made_of, _)| Arc::ptr_eq(made_of, &all)) {
            return documents.clone();
        }
        let mut documents = built_in.clone();
        documents.extend(make(all.kinds(), all.custom()));
        *custom = Some((all, documents.clone()));
        documents
    }
}

/// The documents of the groups and versions of `of`.
fn make(kinds: &[Arc<Kind>], of: &[Arc<Kind>]) -> Documents {
    let descriptions = Descriptions::unpack();
    let mut documents = BTreeMap::new();
    for kind in of {
        let path = document::path_of(&kind.group, &kind.version);
        documents.entry(path).or_insert_with(|| {
            Arc::new(Document::new(&document::build(kinds, &kind.group, &kind.version, &descriptions)))
        });
    }
    documents
}

/// `/openapi/v2`.
pub(crate) async fn v2(call: &Call) -> Result<Response, Status> {
    if accepts(&call.headers, V2_PROTOBUF_ACCEPT) {
        return Ok(raw(200, V2_PROTOBUF_TYPE, V2_PROTOBUF));
    }
    let documents = documents(call).await?;
    // Few ask, and the whole is large: it is made for each.
    let made = tokio::task::spawn_blocking(move || {
        let parsed = documents.values().filter_map(|document| serde_json::from_slice(&document.unpack()).ok());
        Document::new(&swagger::merge(parsed))
    });
    let document = made.await.map_err(|_| Status::internal("the OpenAPI document cannot be made"))?;
    Ok(answer(call, &document))
}

/// `/openapi/v3`: where the documents are, with a hash of each by which clients keep it.
pub(crate) async fn index(call: &Call) -> Result<Response, Status> {
    let mut paths: Map<String, Value> = documents(call)
        .await?
        .iter()
        .map(|(path, document)| {
            let url = format!("/openapi/v3/{path}?hash={}", document.hash);
            (path.clone(), json!({"serverRelativeURL": url}))
        })
        .collect();
    for (group, version, hash) in call.shared.aggregation.openapi_hashes() {
        let path = document::path_of(&group, &version);
        let url = format!("/openapi/v3/{path}?hash={hash}");
        paths.insert(path, json!({"serverRelativeURL": url}));
    }
    Ok(value_answer(200, &json!({"paths": paths}), call.negotiate(Messages::None)?))
}

/// `/openapi/v3/api/VERSION` and `/openapi/v3/apis/GROUP/VERSION`. With the hash of the document in the query it can be
/// kept for a year; with another hash the client is sent to the present one, as upstream does.
pub(crate) async fn document(call: &Call, group: &str, version: &str) -> Result<Response, Status> {
    let documents = documents(call).await?;
    let path = document::path_of(group, version);
    let Some(document) = documents.get(&path) else { return Ok(page_not_found()) };
    let hash = call.query.text("hash");
    if !hash.is_empty() && hash != document.hash {
        let mut moved = raw(301, "text/html; charset=utf-8", Bytes::new());
        if let Ok(url) = HeaderValue::from_str(&format!("/openapi/v3/{path}?hash={}", document.hash)) {
            moved.headers_mut().insert(LOCATION, url);
        }
        return Ok(moved);
    }
    let mut answer = answer(call, document);
    if hash == document.hash {
        answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, immutable"));
        let year = call.now + jiff::SignedDuration::from_hours(365 * 24);
        let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&year).ok();
        if let Some(date) = date.and_then(|date| HeaderValue::from_str(&date).ok()) {
            answer.headers_mut().insert(EXPIRES, date);
        }
    }
    Ok(answer)
}

fn answer(call: &Call, document: &Document) -> Response {
    let tag = format!("\"{}\"", document.hash);
    let known = call.headers.get(IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == tag.as_bytes());
    let gzip = takes_gzip(&call.headers);
    let mut answer = match (known, gzip) {
        (true, _) => raw(304, "application/json", Bytes::new()),
        (false, true) => raw(200, "application/json", document.packed.clone()),
        (false, false) => raw(200, "application/json", document.unpack()),
    };
    let headers = answer.headers_mut();
    if gzip && !known {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding, Accept"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        headers.insert(ETAG, tag);
    }
    answer
}
