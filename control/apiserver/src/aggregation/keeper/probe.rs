//! Whether a server answers, and what it says that it serves.

use std::time::Duration;

use axum::body::Body;
use http::Request;
use serde_json::Value;

use super::{Learned, Remote};
use crate::aggregation::forward::exchange;
use crate::backend;
use crate::server::Shared;
use crate::user::{MASTERS, UserInfo};
use coracle_control_api::kinds;

/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest answer that is read.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What was found.
#[derive(Debug)]
pub(super) struct Found {
    /// None when the server cannot be used.
    pub(super) learned: Option<Learned>,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

fn failed(reason: &'static str, message: String) -> Found {
    Found { learned: None, reason, message }
}

/// Looks at the service first, then asks the server, in upstream's order and words.
pub(super) async fn probe(shared: &Shared, remote: &Remote) -> Found {
    if let Some(missing) = missing(shared, remote) {
        return missing;
    }
    let path = format!("/apis/{}/{}", remote.group, remote.version);
    let url = format!("https://{}:{}{path}", remote.host(), remote.port);
    match get(shared, remote, &path).await {
        Ok((200..=299, body)) => {
            let resources = body["resources"].as_array().cloned().unwrap_or_default();
            let learned = Learned { resources, openapi_hash: openapi_hash(shared, remote).await, is_stale: false };
            Found { learned: Some(learned), reason: "Passed", message: "all checks passed".to_owned() }
        }
        Ok((code, _)) => {
            let text = format!("failing or missing response from {url}: bad status from {url}: {code}");
            failed("FailedDiscoveryCheck", text)
        }
        Err(cause) => failed("FailedDiscoveryCheck", format!("failing or missing response from {url}: {cause}")),
    }
}

/// What is missing between here and the server.
fn missing(shared: &Shared, remote: &Remote) -> Option<Found> {
    let Remote { namespace, service: name, port, .. } = remote;
    let snapshot = shared.store.snapshot();
    let key = kinds::find("", "v1", "services")?.storage_key(namespace, name);
    let place = format!("service/{name} in {namespace:?}");
    let Some(entry) = snapshot.get(key.as_bytes()) else {
        return Some(failed("ServiceNotFound", format!("{place} is not present")));
    };
    let service: Value = serde_json::from_slice(&entry.value).unwrap_or_default();
    let mut ports = service["spec"]["ports"].as_array().into_iter().flatten();
    let Some(found) = ports.find(|found| found["port"].as_u64() == Some(u64::from(*port))) else {
        return Some(failed("ServicePortError", format!("{place} is not listening on port {port}")));
    };
    if backend::resolve(&snapshot, namespace, name, &port.to_string()).is_ok() {
        return None;
    }
    if !backend::has_slices(&snapshot, namespace, name) {
        let text = format!("cannot find endpointslices for {place}");
        return Some(failed("EndpointsNotFound", text));
    }
    let port_name = found["name"].as_str().unwrap_or_default();
    let text = format!("endpointslices for {place} have no addresses with port name {port_name:?}");
    Some(failed("MissingEndpoints", text))
}

/// The hash of the server's document for the version; empty when there is none.
async fn openapi_hash(shared: &Shared, remote: &Remote) -> String {
    let Ok((200, index)) = get(shared, remote, "/openapi/v3").await else { return String::new() };
    let url = &index["paths"][format!("apis/{}/{}", remote.group, remote.version)]["serverRelativeURL"];
    let hash = url.as_str().and_then(|url| url.split_once("hash=")).map(|(_, hash)| hash).unwrap_or_default();
    let is_plain = hash.len() <= 256 && hash.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if is_plain { hash.to_owned() } else { String::new() }
}

/// Code and body of an answer, asked as the aggregator.
async fn get(shared: &Shared, remote: &Remote, path: &str) -> Result<(u16, Value), String> {
    let user =
        UserInfo { name: "system:kube-aggregator".to_owned(), groups: vec![MASTERS.to_owned()], ..UserInfo::default() };
    let request = Request::get(path).header(http::header::ACCEPT, "application/json").body(Body::empty());
    let request = request.map_err(|error| error.to_string())?;
    let asked = async {
        let answer = exchange(shared, remote, &user, request).await.map_err(|refusal| refusal.text)?;
        let code = answer.status().as_u16();
        let body = axum::body::to_bytes(answer.into_body(), ANSWER_BYTES_MAX).await;
        let body = body.map_err(|error| error.to_string())?;
        Ok((code, serde_json::from_slice(&body).unwrap_or_default()))
    };
    let timed_out = || Err("context deadline exceeded".to_owned());
    tokio::time::timeout(ANSWER_TIMEOUT, asked).await.unwrap_or_else(|_| timed_out())
}
