//! token: a new token for a service account.

use axum::body::Body;
use axum::response::Response;
use coracle_control_api::kinds;
use coracle_control_api::meta;
use coracle_control_api::schema::fill_zeros;
use coracle_control_api::status::{FieldError, Status};
use coracle_control_store::Snapshot;
use serde_json::{Value, json};

use crate::admission::{Action, Effects, Request};
use crate::answer::add_warnings;
use crate::call::{ResourceCall, decode};
use crate::field_owners;
use crate::list_options::Version;
use crate::pipeline;
use crate::stored;
use crate::tokens::{Bound, NewToken, Reference, new_claims};
use crate::verbs::create::read_object;
use crate::verbs::get::object_answer;
use crate::write_options::WriteOptions;

const GROUP: &str = "authentication.k8s.io";
const KIND: &str = "TokenRequest";
/// A pod's projected token asks for this lifetime. Programs that never read the file again ask for more in vain: their
/// token holds for a year, and its use after this time is remarkable.
const WARN_SECONDS: i64 = 3607;
const EXTENDED_SECONDS: i64 = 365 * 24 * 3600;

/// POST to `serviceaccounts/NAME/token`.
pub(super) async fn request(call: &ResourceCall, request: http::Request<Body>) -> Result<Response, Status> {
    if call.shared.tokens.accounts().is_none() {
        return Err(Status::unknown_resource());
    }
    let agreed = call.negotiate(&[])?;
    let options = WriteOptions::parse(call, "CreateOptions")?;
    let Some(kind) = kinds::find_kind(GROUP, "v1", KIND) else { return Err(Status::unknown_resource()) };
    let decoded = read_object(call, kind, request, options.validation).await?;
    let mut asked = decoded.object;
    check_place(call, &asked)?;
    let snapshot = call.snapshot(Version::Latest).await?;
    let account = call.decode(&call.find(&snapshot)?)?;
    if texts(&asked, "/spec/audiences").is_empty() {
        asked["spec"]["audiences"] = json!(call.shared.tokens.audiences());
    }
    meta::set_name(&mut asked, call.name());
    meta::set_namespace(&mut asked, call.namespace());
    field_owners::track_create(call, &mut asked, &options)?;
    meta::set_creation_timestamp(&mut asked, call.now);
    let errors = kind.behaviour.validate_create(&asked);
    if !errors.is_empty() {
        return Err(Status::invalid(GROUP, KIND, "", &errors));
    }
    let about = Request {
        call,
        action: Action::Create,
        name: call.name(),
        generate_name: "",
        subresource: "token",
        snapshot: &snapshot,
        old: None,
        options: crate::admission::Options::Query,
        dry_run: options.dry_run,
    };
    let mut effects = Effects::default();
    call.shared.admission.mutate(&about, &mut asked, &mut effects).await?;
    call.shared.admission.validate(&about, Some(&asked), &mut effects).await?;
    let bound = bind(call, &snapshot, &asked)?;
    shorten(call, &mut asked);
    asked["status"] = issue(call, &account, &bound, &asked)?;
    fill_zeros(pipeline::target(kind)?.schema, &mut asked);
    let mut answer = object_answer(call, 201, &stored::encode(&asked), None, agreed);
    let mut warnings = decoded.warnings;
    warnings.extend(effects.warnings);
    add_warnings(&mut answer, &warnings);
    Ok(answer)
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn texts(value: &Value, pointer: &str) -> Vec<String> {
    let list = value.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// A body that names an account names that of the path.
fn check_place(call: &ResourceCall, asked: &Value) -> Result<(), Status> {
    for (field, given, wanted, what) in [
        ("metadata.name", meta::name(asked), call.name(), "name"),
        ("metadata.namespace", meta::namespace(asked), call.namespace(), "namespace"),
    ] {
        if !given.is_empty() && given != wanted {
            let detail = format!("must match the service account {what} if specified");
            let error = FieldError::invalid(field, given, detail);
            return Err(Status::invalid(GROUP, KIND, call.name(), &[error]));
        }
    }
    Ok(())
}

/// Looks up what the token is to be bound to.
fn bind(call: &ResourceCall, snapshot: &Snapshot, asked: &Value) -> Result<Bound, Status> {
    let Some(reference) = asked.pointer("/spec/boundObjectRef").filter(|reference| !reference.is_null()) else {
        return Ok(Bound::default());
    };
    let (version, kind, name) = (text(reference, "/apiVersion"), text(reference, "/kind"), text(reference, "/name"));
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let mut bound = Bound::default();
    let object = match (group, kind) {
        ("", "Pod") => {
            let pod = find(snapshot, "pods", call.namespace(), name)?;
            if text(&pod, "/spec/serviceAccountName") != call.name() {
                return Err(Status::bad_request(format!(
                    "cannot bind token for serviceaccount {:?} to pod running with different serviceaccount name.",
                    call.name()
                )));
            }
            bound.node = node_of(snapshot, &pod);
            &mut bound.pod
        }
        ("", "Node") => &mut bound.node,
        ("", "Secret") => &mut bound.secret,
        _ => {
            let shown = format!("{group}/{version}, Kind={kind}");
            return Err(Status::bad_request(format!("cannot bind token to object of type {shown}")));
        }
    };
    let (plural, namespace) = match kind {
        "Pod" => ("pods", call.namespace()),
        "Node" => ("nodes", ""),
        _ => ("secrets", call.namespace()),
    };
    let found = find(snapshot, plural, namespace, name)?;
    let (uid, wanted) = (meta::uid(&found), text(reference, "/uid"));
    if !wanted.is_empty() && wanted != uid {
        let cause = format!(
            "the UID in the bound object reference ({wanted}) does not match the UID in record. The object might have \
             been deleted and then recreated"
        );
        return Err(Status::conflict("", kind, name, &cause));
    }
    *object = Some(Reference { name: name.to_owned(), uid: uid.to_owned() });
    Ok(bound)
}

/// The node of a pod; without its uid when there is no such node.
fn node_of(snapshot: &Snapshot, pod: &Value) -> Option<Reference> {
    let name = text(pod, "/spec/nodeName");
    let uid = find(snapshot, "nodes", "", name).map(|node| meta::uid(&node).to_owned()).unwrap_or_default();
    (!name.is_empty()).then(|| Reference { name: name.to_owned(), uid })
}

fn find(snapshot: &Snapshot, plural: &str, namespace: &str, name: &str) -> Result<Value, Status> {
    let not_found = || Status::not_found("", plural, name);
    let kind = kinds::find("", "v1", plural).ok_or_else(not_found)?;
    let entry = snapshot.get(kind.storage_key(namespace, name).as_bytes()).ok_or_else(not_found)?;
    decode(kind, &entry)
}

/// Keeps the lifetime within what the server allows, and says so.
fn shorten(call: &ResourceCall, asked: &mut Value) {
    let Some(longest) = call.shared.config.service_account_max_token_expiration else { return };
    let longest = i64::try_from(longest.as_secs()).unwrap_or(i64::MAX);
    let seconds = asked.pointer("/spec/expirationSeconds").and_then(Value::as_i64).unwrap_or_default();
    if seconds > longest {
        let text = format!("requested expiration of {seconds} seconds shortened to {longest} seconds");
        call.warn(std::iter::once(text));
        asked["spec"]["expirationSeconds"] = json!(longest);
    }
}

/// Signs the token: the status of the answer.
fn issue(call: &ResourceCall, account: &Value, bound: &Bound, asked: &Value) -> Result<Value, Status> {
    let Some(accounts) = call.shared.tokens.accounts() else { return Err(Status::unknown_resource()) };
    let seconds = asked.pointer("/spec/expirationSeconds").and_then(Value::as_i64).unwrap_or_default();
    let audiences = texts(asked, "/spec/audiences");
    let own = call.shared.tokens.audiences();
    let extended =
        bound.pod.is_some() && seconds == WARN_SECONDS && audiences.iter().all(|audience| own.contains(audience));
    let claims = new_claims(&NewToken {
        issuer: accounts.issuer(),
        namespace: call.namespace(),
        account: &Reference { name: call.name().to_owned(), uid: meta::uid(account).to_owned() },
        bound,
        audiences: &audiences,
        now: call.now.as_second(),
        lifetime_seconds: if extended { EXTENDED_SECONDS } else { seconds },
        warn_after_seconds: extended.then_some(WARN_SECONDS),
        id: &uuid::Uuid::new_v4().to_string(),
    });
    let token = accounts.sign(&claims).ok_or_else(|| Status::internal("failed to generate token"))?;
    let expires = call.now.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap_or(jiff::Timestamp::MAX);
    Ok(json!({ "token": token, "expirationTimestamp": meta::format_time(expires) }))
}
