//! From a request about a resource to the handler of its verb.

use axum::body::Body;
use axum::response::Response;
use coracle_control_api::kind::{Kind, Subresource, Verb};
use coracle_control_api::status::Status;
use http::Request;

use crate::admission::subresource::admit_connection;
use crate::answer::{add_warnings, page_not_found, status_answer};
use crate::call::{Call, ResourceCall};
use crate::negotiation::{Messages, Negotiated};
use crate::verbs::{create, delete, delete_collection, get, list, patch, update, watch};
use crate::{components, custom, reviews, subresources};

/// Answers a request about a resource.
///
/// # Errors
/// 404 and 405 for what is not served, and whatever the handler says.
pub(crate) async fn answer(call: Call, request: Request<Body>) -> Result<Response, Status> {
    let info = &call.info;
    let kind = call.shared.catalog.find(&info.group, &info.version, &info.resource);
    let Some(warning) = kind.and_then(|kind| kind.deprecation.clone()) else { return dispatch(call, request).await };
    // Upstream warns with every answer about such a kind, refusals included.
    let agreed = call.negotiate(Messages::Object).unwrap_or(Negotiated::JSON);
    let mut answer = dispatch(call, request).await.unwrap_or_else(|status| status_answer(&status, agreed));
    add_warnings(&mut answer, &[warning.into_owned()]);
    Ok(answer)
}

async fn dispatch(call: Call, request: Request<Body>) -> Result<Response, Status> {
    let info = &call.info;
    let Some(kind) = call.shared.catalog.find(&info.group, &info.version, &info.resource) else {
        return if call.info.group.is_empty()
            || call.shared.catalog.all().has_version(&call.info.group, &call.info.version)
        {
            Err(Status::unknown_resource())
        } else {
            Ok(page_not_found())
        };
    };
    if !scope_fits(&kind, &call) {
        return Err(Status::unknown_resource());
    }
    let call = ResourceCall { call, kind };
    let answer = if call.info.subresource.is_empty() {
        answer_object(&call, request).await
    } else {
        let Some(subresource) = call.subresource().cloned() else { return Err(Status::unknown_resource()) };
        answer_subresource(&call, &subresource, request).await
    };
    custom::settle_after(&call, answer).await
}

/// Whether the path names the resource where it is: in a namespace, or in none. Collections are seen across namespaces.
fn scope_fits(kind: &Kind, call: &Call) -> bool {
    let info = &call.info;
    if kind.namespaced {
        !info.namespace.is_empty() || info.name.is_empty()
    } else {
        info.namespace.is_empty() || info.resource == "namespaces"
    }
}

async fn answer_object(call: &ResourceCall, request: Request<Body>) -> Result<Response, Status> {
    let verb = verb_of(call).filter(|verb| call.kind.allows(*verb)).ok_or_else(Status::method_not_allowed)?;
    let everywhere = call.kind.namespaced && call.info.namespace.is_empty();
    if everywhere && !matches!(verb, Verb::List | Verb::Watch) {
        return Err(Status::method_not_allowed());
    }
    custom::check(call, verb)?;
    match verb {
        Verb::Get if components::is_component_status(&call.kind) => components::get(call).await,
        Verb::List if components::is_component_status(&call.kind) => components::list(call).await,
        Verb::Get => get::get(call).await,
        Verb::List => list::list(call).await,
        Verb::Watch => watch::watch(call, request).await,
        Verb::Create if subresources::is_binding(&call.kind) => subresources::binding(call, request).await,
        Verb::Create if reviews::is_review(&call.kind) => reviews::answer(call, request).await,
        Verb::Create => create::create(call, request).await,
        Verb::Update => update::update(call, coracle_control_api::kind::Part::Object, request).await,
        Verb::Patch => patch::patch(call, coracle_control_api::kind::Part::Object, request).await,
        Verb::Delete => delete::delete(call, request).await,
        Verb::DeleteCollection => delete_collection::delete_collection(call, request).await,
    }
}

/// The verb, when method and path go together: a POST goes to a collection, everything else but lists to an object.
fn verb_of(call: &ResourceCall) -> Option<Verb> {
    let named = !call.info.name.is_empty();
    let (verb, wants_name) = match call.info.verb {
        "get" => (Verb::Get, true),
        "list" => (Verb::List, false),
        "watch" => return Some(Verb::Watch),
        "create" => (Verb::Create, false),
        "update" => (Verb::Update, true),
        "patch" => (Verb::Patch, true),
        "delete" => (Verb::Delete, true),
        "deletecollection" => (Verb::DeleteCollection, false),
        _ => return None,
    };
    (named == wants_name).then_some(verb)
}

async fn answer_subresource(
    call: &ResourceCall,
    subresource: &Subresource,
    request: Request<Body>,
) -> Result<Response, Status> {
    let verb = match call.info.verb {
        "get" => Verb::Get,
        "create" => Verb::Create,
        "update" => Verb::Update,
        "patch" => Verb::Patch,
        "delete" => Verb::Delete,
        _ => return Err(Status::method_not_allowed()),
    };
    if !subresource.verbs.contains(&verb) {
        return Err(Status::method_not_allowed());
    }
    admit_connection(call, subresource).await?;
    if subresource.name == "proxy" {
        return subresources::proxy(call, request).await;
    }
    if !call.info.rest.is_empty() {
        return Err(Status::unknown_resource());
    }
    match (subresource.part, verb) {
        (Some(_), Verb::Get) => get::get(call).await,
        (Some(part), Verb::Update) => update::update(call, part, request).await,
        (Some(part), Verb::Patch) => patch::patch(call, part, request).await,
        (Some(_), _) => Err(Status::method_not_allowed()),
        (None, _) => subresources::answer(call, &subresource.name, request).await,
    }
}
