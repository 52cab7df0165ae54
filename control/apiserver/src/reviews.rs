//! Reviews: who am I, who has this token, may I, may they. Each is answered in its own status; nothing is stored.

use axum::body::Body;
use axum::response::Response;
use coracle_control_api::kind::Kind;
use coracle_control_api::meta;
use coracle_control_api::schema::fill_zeros;
use coracle_control_api::status::{FieldError, Status};
use http::Request;
use serde_json::{Map, Value, json};

use crate::authorization::{Attributes, Rule, decide};
use crate::call::ResourceCall;
use crate::field_owners;
use crate::list_options::Version;
use crate::pipeline;
use crate::stored;
use crate::user::{MASTERS, NODES, UserInfo};
use crate::verbs::create::read_object;
use crate::verbs::get::{FORMS, object_answer};
use crate::write_options::WriteOptions;

/// Whether objects of this kind are questions.
pub(crate) fn is_review(kind: &Kind) -> bool {
    matches!(&*kind.group, "authentication.k8s.io" | "authorization.k8s.io") && kind.kind.ends_with("Review")
}

/// Answers a review.
///
/// # Errors
/// 400 and 422 for a question that cannot be understood.
pub(crate) async fn answer(call: &ResourceCall, request: Request<Body>) -> Result<Response, Status> {
    let agreed = call.negotiate(FORMS)?;
    let options = WriteOptions::parse(call, "CreateOptions")?;
    let decoded = read_object(call, &call.kind, request, options.validation).await?;
    let mut review = decoded.object;
    pipeline::ensure_namespace(call, &mut review)?;
    field_owners::track_create(call, &mut review, &options)?;
    let status = match &*call.kind.kind {
        "SelfSubjectReview" => {
            meta::set_creation_timestamp(&mut review, call.now);
            json!({"userInfo": user_info(&call.user)})
        }
        "TokenReview" => token_status(call, &review).await?,
        "SelfSubjectRulesReview" => rules_status(call, &review)?,
        "SelfSubjectAccessReview" => access_status(call, &call.user, &review)?,
        "LocalSubjectAccessReview" => {
            check_namespace(call, &review)?;
            access_status(call, &named_user(call, &review)?, &review)?
        }
        _ => access_status(call, &named_user(call, &review)?, &review)?,
    };
    if let Some(review) = review.as_object_mut() {
        review.insert("status".to_owned(), status);
    }
    fill_zeros(pipeline::target(&call.kind)?.schema, &mut review);
    Ok(object_answer(call, 201, &stored::encode(&review), None, agreed))
}

fn user_info(user: &UserInfo) -> Value {
    let mut info = Map::new();
    info.insert("username".to_owned(), json!(user.name));
    if !user.uid.is_empty() {
        info.insert("uid".to_owned(), json!(user.uid));
    }
    info.insert("groups".to_owned(), json!(user.groups));
    if !user.extra.is_empty() {
        let extra: Map<String, Value> = user.extra.iter().map(|(key, values)| (key.clone(), json!(values))).collect();
        info.insert("extra".to_owned(), Value::Object(extra));
    }
    Value::Object(info)
}

fn invalid(call: &ResourceCall, error: FieldError) -> Status {
    Status::invalid(&call.kind.group, &call.kind.kind, "", &[error])
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

async fn token_status(call: &ResourceCall, review: &Value) -> Result<Value, Status> {
    let token = text(review, "/spec/token");
    if token.is_empty() {
        return Err(Status::bad_request("token is required for TokenReview in authentication"));
    }
    let asked = review.pointer("/spec/audiences").and_then(Value::as_array).into_iter().flatten();
    let asked: Vec<String> = asked.filter_map(Value::as_str).map(str::to_owned).collect();
    let tokens = &call.shared.tokens;
    let audiences = if asked.is_empty() { tokens.audiences() } else { &asked };
    let snapshot = call.snapshot(Version::Latest).await?;
    Ok(match tokens.user(&snapshot, token, audiences, call.now).await {
        Ok(known) => json!({"authenticated": true, "user": user_info(&known.user), "audiences": known.audiences}),
        Err(cause) => json!({"user": {}, "error": cause}),
    })
}

/// The user about whom somebody else asks.
fn named_user(call: &ResourceCall, review: &Value) -> Result<UserInfo, Status> {
    let groups: Vec<String> = review
        .pointer("/spec/groups")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|group| group.as_str().map(str::to_owned))
        .collect();
    let name = text(review, "/spec/user");
    if name.is_empty() && groups.is_empty() {
        let detail = "at least one of user or group must be specified";
        return Err(invalid(call, FieldError::invalid("spec.user", "", detail)));
    }
    Ok(UserInfo { name: name.to_owned(), uid: text(review, "/spec/uid").to_owned(), groups, extra: extra(review) })
}

/// What else the question says of the user.
fn extra(review: &Value) -> Vec<(String, Vec<String>)> {
    let entries = review.pointer("/spec/extra").and_then(Value::as_object).into_iter().flatten();
    let texts = |values: &Value| {
        let values = values.as_array().into_iter().flatten();
        values.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    entries.map(|(key, values)| (key.clone(), texts(values))).collect()
}

fn check_namespace(call: &ResourceCall, review: &Value) -> Result<(), Status> {
    let asked = text(review, "/spec/resourceAttributes/namespace");
    if asked == call.namespace() {
        return Ok(());
    }
    Err(Status::bad_request(format!("spec.resourceAttributes.namespace must match namespace: {}", call.namespace())))
}

/// Whether the user may do what the question names.
fn access_status(call: &ResourceCall, user: &UserInfo, review: &Value) -> Result<Value, Status> {
    let there = |pointer: &str| review.pointer(pointer).is_some_and(|value| !value.is_null());
    let (resource, path) = (there("/spec/resourceAttributes"), there("/spec/nonResourceAttributes"));
    if resource == path {
        let detail = "exactly one of nonResourceAttributes or resourceAttributes must be specified";
        let shown = review.get("spec").cloned().unwrap_or_default();
        return Err(invalid(call, FieldError::invalid("spec.resourceAttributes", shown, detail)));
    }
    let resource = |name: &str| text(review, &format!("/spec/resourceAttributes/{name}"));
    let attributes = if path {
        Attributes {
            verb: text(review, "/spec/nonResourceAttributes/verb"),
            path: Some(text(review, "/spec/nonResourceAttributes/path")),
            ..Attributes::default()
        }
    } else {
        Attributes {
            verb: resource("verb"),
            group: resource("group"),
            resource: resource("resource"),
            subresource: resource("subresource"),
            namespace: resource("namespace"),
            name: resource("name"),
            path: None,
        }
    };
    Ok(match decide(&call.shared.roles(), user, &attributes) {
        Ok(reason) if reason.is_empty() => json!({"allowed": true}),
        Ok(reason) => json!({"allowed": true, "reason": reason}),
        Err(cause) if cause.is_empty() => json!({"allowed": false}),
        Err(cause) => json!({"allowed": false, "reason": cause.trim_start_matches(": ")}),
    })
}

/// What the user may do, as far as it can be told in rules.
fn rules_status(call: &ResourceCall, review: &Value) -> Result<Value, Status> {
    let namespace = text(review, "/spec/namespace");
    if namespace.is_empty() {
        return Err(Status::bad_request("no namespace on request"));
    }
    let mut rules = call.shared.roles().rules_of(&call.user, namespace);
    if call.user.is_in(MASTERS) {
        rules.extend(Rule::everything());
    }
    let (mut resources, mut paths) = (Vec::new(), Vec::new());
    for rule in rules {
        let (is_path, rule) = rule.to_value();
        let list = if is_path { &mut paths } else { &mut resources };
        if !list.contains(&rule) {
            list.push(rule);
        }
    }
    // The rules of nodes are about their own objects, which this form cannot tell.
    let incomplete = call.user.is_in(NODES);
    Ok(json!({"resourceRules": resources, "nonResourceRules": paths, "incomplete": incomplete}))
}
