//! Discovery: which groups, versions and resources there are, plain and aggregated.

use std::cmp::Ordering;
use std::sync::Arc;

use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use coracle_control_api::kind::{Kind, Subresource, Verb};
use coracle_control_api::status::Status;
use http::header::{ETAG, HeaderValue, IF_NONE_MATCH, VARY};
use ring::digest::{SHA256, digest};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::answer::{ordered_answer, page_not_found, raw, value_answer};
use crate::call::Call;
use crate::negotiation::{Messages, aggregated_discovery};

/// The order of the groups in discovery, which decides what a bare resource name means to kubectl. Others come after.
const GROUPS: &[&str] = &[
    "apiregistration.k8s.io",
    "apps",
    "events.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "autoscaling",
    "batch",
    "certificates.k8s.io",
    "networking.k8s.io",
    "policy",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "admissionregistration.k8s.io",
    "apiextensions.k8s.io",
    "scheduling.k8s.io",
    "coordination.k8s.io",
    "node.k8s.io",
    "discovery.k8s.io",
    "resource.k8s.io",
    "flowcontrol.apiserver.k8s.io",
];

/// `/`: the paths that there are.
pub(super) fn root(call: &Call) -> Result<Response, Status> {
    let mut paths = vec!["/api".to_owned(), "/api/v1".to_owned(), "/apis".to_owned(), "/apis/".to_owned()];
    for (group, versions) in groups_of(call) {
        paths.push(format!("/apis/{group}"));
        paths.extend(versions.iter().map(|version| format!("/apis/{group}/{version}")));
    }
    paths.extend(super::FIXED_PATHS.iter().map(|path| (*path).to_owned()));
    paths.extend(super::health::paths());
    paths.sort();
    Ok(value_answer(200, &json!({"paths": paths}), call.negotiate(Messages::Object)?))
}

/// `/api`.
pub(super) fn legacy_versions(call: &Call) -> Result<Response, Status> {
    if let Some(version) = aggregated_discovery(&call.headers) {
        return Ok(aggregated(call, version, &[(String::new(), vec!["v1".to_owned()])]));
    }
    let body = json!({
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs":
            [{"clientCIDR": "0.0.0.0/0", "serverAddress": call.shared.config.advertised_address}],
    });
    Ok(value_answer(200, &body, call.negotiate(Messages::Object)?))
}

/// `/apis`.
pub(super) fn groups(call: &Call) -> Result<Response, Status> {
    let groups = groups_of(call);
    if let Some(version) = aggregated_discovery(&call.headers) {
        return Ok(aggregated(call, version, &groups));
    }
    let groups: Vec<Value> = groups.iter().map(|(name, versions)| Value::Object(group_body(name, versions))).collect();
    let body = json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups});
    Ok(value_answer(200, &body, call.negotiate(Messages::Object)?))
}

/// `/apis/GROUP`.
pub(super) fn group(call: &Call, name: &str) -> Result<Response, Status> {
    let groups = groups_of(call);
    let Some((_, versions)) = groups.iter().find(|(group, _)| group == name) else { return Ok(page_not_found()) };
    let mut body = group_body(name, versions);
    body.insert("kind".to_owned(), json!("APIGroup"));
    body.insert("apiVersion".to_owned(), json!("v1"));
    Ok(value_answer(200, &Value::Object(body), call.negotiate(Messages::Object)?))
}

fn group_body(name: &str, versions: &[String]) -> Map<String, Value> {
    let version = |version: &String| json!({"groupVersion": format!("{name}/{version}"), "version": version});
    let mut body = Map::new();
    body.insert("name".to_owned(), json!(name));
    body.insert("versions".to_owned(), versions.iter().map(version).collect());
    body.insert("preferredVersion".to_owned(), versions.first().map(version).unwrap_or_default());
    body
}

/// `/api/VERSION` and `/apis/GROUP/VERSION`.
pub(super) fn resources(call: &Call, group: &str, version: &str) -> Result<Response, Status> {
    let catalog = call.shared.catalog.all();
    if !catalog.has_version(group, version) {
        return if group.is_empty() { Err(Status::unknown_resource()) } else { Ok(page_not_found()) };
    }
    let mut resources = Vec::new();
    for kind in catalog.kinds().iter().filter(|kind| kind.group == group && kind.version == version) {
        if !kind.verbs.is_empty() {
            resources.push(ApiResource::of_kind(kind));
        }
        resources.extend(kind.subresources.iter().map(|subresource| ApiResource::of_subresource(kind, subresource)));
    }
    resources.sort_by(|one, other| one.name.cmp(&other.name));
    let body = ApiResourceList {
        kind: "APIResourceList",
        // Upstream leaves the list's own version out for the core group only.
        api_version: if group.is_empty() { "" } else { "v1" },
        group_version: if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") },
        resources,
    };
    Ok(ordered_answer(200, &body, call.negotiate(Messages::Object)?))
}

// The fields come in the order of upstream's Go structs: kubectl's own tests look for pieces of this text.

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ApiResourceList<'a> {
    kind: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    api_version: &'static str,
    group_version: String,
    resources: Vec<ApiResource<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ApiResource<'a> {
    name: String,
    singular_name: &'a str,
    namespaced: bool,
    #[serde(skip_serializing_if = "str::is_empty")]
    group: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    version: &'a str,
    kind: &'a str,
    verbs: Value,
    #[serde(skip_serializing_if = "Value::is_null")]
    short_names: Value,
    #[serde(skip_serializing_if = "Value::is_null")]
    categories: Value,
    #[serde(skip_serializing_if = "String::is_empty")]
    storage_version_hash: String,
}

impl<'a> ApiResource<'a> {
    fn of_kind(kind: &'a Kind) -> Self {
        let names = |names: Value| if names.as_array().is_none_or(Vec::is_empty) { Value::Null } else { names };
        Self {
            name: kind.plural.to_string(),
            singular_name: &kind.singular,
            namespaced: kind.namespaced,
            group: "",
            version: "",
            kind: &kind.kind,
            verbs: verbs(&kind.verbs),
            short_names: names(json!(kind.short_names)),
            categories: names(json!(kind.categories)),
            storage_version_hash: if kind.allows(Verb::Watch) { storage_version_hash(kind) } else { String::new() },
        }
    }

    fn of_subresource(kind: &Kind, subresource: &'a Subresource) -> Self {
        Self {
            name: format!("{}/{}", kind.plural, subresource.name),
            singular_name: "",
            namespaced: kind.namespaced,
            group: &subresource.group,
            version: &subresource.version,
            kind: &subresource.kind,
            verbs: verbs(&subresource.verbs),
            short_names: Value::Null,
            categories: Value::Null,
            storage_version_hash: String::new(),
        }
    }
}

fn insert_names(body: &mut Map<String, Value>, kind: &Kind) {
    if !kind.short_names.is_empty() {
        body.insert("shortNames".to_owned(), json!(kind.short_names));
    }
    if !kind.categories.is_empty() {
        body.insert("categories".to_owned(), json!(kind.categories));
    }
}

fn verbs(verbs: &[Verb]) -> Value {
    verbs.iter().map(|verb| json!(verb.as_str())).collect()
}

/// A hash by which clients see that two resources share one storage.
fn storage_version_hash(kind: &Kind) -> String {
    let group = kind.stored_as.as_ref().map_or(&kind.group, |(group, _)| group);
    let digest = digest(&SHA256, format!("{group}/{}/{}", kind.version, kind.kind).as_bytes());
    STANDARD.encode(&digest.as_ref()[..8])
}

/// The groups but core, in discovery's order, each with its versions, the preferred one first.
fn groups_of(call: &Call) -> Vec<(String, Vec<String>)> {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for kind in call.shared.catalog.all().kinds() {
        if kind.group.is_empty() {
            continue;
        }
        let version = kind.version.to_string();
        match groups.iter_mut().find(|(group, _)| *group == kind.group) {
            Some((_, versions)) if versions.contains(&version) => {}
            Some((_, versions)) => versions.push(version),
            None => groups.push((kind.group.to_string(), vec![version])),
        }
    }
    let place = |name: &str| GROUPS.iter().position(|group| *group == name).unwrap_or(GROUPS.len());
    groups.sort_by(|one, other| place(&one.0).cmp(&place(&other.0)).then_with(|| one.0.cmp(&other.0)));
    for (_, versions) in &mut groups {
        versions.sort_by(|one, other| compare_versions(one, other));
    }
    for (group, versions) in call.shared.aggregation.groups() {
        match groups.iter_mut().find(|(known, _)| *known == group) {
            Some((_, known)) => {
                let new: Vec<String> = versions.into_iter().filter(|version| !known.contains(version)).collect();
                known.extend(new);
            }
            None => groups.push((group, versions)),
        }
    }
    groups
}

/// Newest first: `v2`, `v1`, `v2beta1`, `v1beta2`, `v1alpha1`, then what is no version, by name.
fn compare_versions(one: &str, other: &str) -> Ordering {
    let rank = |text: &str| -> Option<(u8, u32, u32)> {
        let rest = text.strip_prefix('v')?;
        let digits = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
        let major = rest[..digits].parse().ok()?;
        let (stage, minor) = match &rest[digits..] {
            "" => (2, "0"),
            tail => tail
                .strip_prefix("beta")
                .map(|minor| (1, minor))
                .or_else(|| tail.strip_prefix("alpha").map(|minor| (0, minor)))?,
        };
        Some((stage, major, minor.parse().ok()?))
    };
    rank(other).cmp(&rank(one)).then_with(|| one.cmp(other))
}

/// An `APIGroupDiscoveryList`, with an entity tag by which clients keep it.
fn aggregated(call: &Call, version: &'static str, groups: &[(String, Vec<String>)]) -> Response {
    let kinds = call.shared.catalog.all();
    let items: Vec<Value> = groups
        .iter()
        .map(|(group, versions)| {
            let metadata = if group.is_empty() { json!({}) } else { json!({"name": group}) };
            let versions: Vec<Value> = versions
                .iter()
                .map(|version| {
                    if let Some(learned) = call.shared.aggregation.learned(group, version) {
                        let freshness = if learned.is_stale { "Stale" } else { "Current" };
                        return json!({"version": version, "resources": learned.aggregated(), "freshness": freshness});
                    }
                    let resources = aggregated_resources(kinds.kinds(), group, version);
                    json!({"version": version, "resources": resources, "freshness": "Current"})
                })
                .collect();
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    let body = json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": format!("apidiscovery.k8s.io/{version}"),
        "metadata": {},
        "items": items,
    });
    let bytes = serde_json::to_vec(&body).unwrap_or_default();
    let tag = format!("\"{}\"", crate::openapi::hex_digest(&bytes));
    let content_type = match version {
        "v2" => "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
        _ => "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList",
    };
    let known = call.headers.get(IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == tag.as_bytes());
    let mut answer = if known { raw(304, content_type, Vec::new()) } else { raw(200, content_type, bytes) };
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        answer.headers_mut().insert(ETAG, tag);
    }
    answer.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
    answer
}

fn aggregated_resources(kinds: &[Arc<Kind>], group: &str, version: &str) -> Vec<Value> {
    let mut kinds: Vec<&Arc<Kind>> =
        kinds.iter().filter(|kind| kind.group == group && kind.version == version && !kind.verbs.is_empty()).collect();
    kinds.sort_by(|one, other| one.plural.cmp(&other.plural));
    kinds
        .iter()
        .map(|kind| {
            let mut body = Map::new();
            body.insert("resource".to_owned(), json!(kind.plural));
            body.insert("responseKind".to_owned(), json!({"group": "", "version": "", "kind": kind.kind}));
            body.insert("scope".to_owned(), json!(if kind.namespaced { "Namespaced" } else { "Cluster" }));
            body.insert("singularResource".to_owned(), json!(kind.singular));
            body.insert("verbs".to_owned(), verbs(&kind.verbs));
            insert_names(&mut body, kind);
            if !kind.subresources.is_empty() {
                let mut subresources: Vec<&Subresource> = kind.subresources.iter().collect();
                subresources.sort_by(|one, other| one.name.cmp(&other.name));
                let subresources: Vec<Value> = subresources.into_iter().map(aggregated_subresource).collect();
                body.insert("subresources".to_owned(), Value::Array(subresources));
            }
            Value::Object(body)
        })
        .collect()
}

fn aggregated_subresource(subresource: &Subresource) -> Value {
    json!({
        "subresource": subresource.name,
        "responseKind":
            {"group": subresource.group, "version": subresource.version, "kind": subresource.kind},
        "verbs": verbs(&subresource.verbs),
    })
}

#[cfg(test)]
mod tests;
