//! delete: removes an object, or marks it when something still holds it.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use coracle_control_api::decode::FieldValidation;
use coracle_control_api::kind::Kind;
use coracle_control_api::meta;
use coracle_control_api::status::{FieldError, Status};
use coracle_control_store::Entry;
use http::Request;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::admission::{self, Action, Effects};
use crate::answer::{add_warnings, value_answer};
use crate::body;
use crate::call::{Answer, ResourceCall, decode};
use crate::custom::conversion;
use crate::list_options::Version;
use crate::negotiation::{Negotiated, body_format};
use crate::pipeline::{self, Outcome};
use crate::query::Query;
use crate::stored;
use crate::verbs::get::{FORMS, object_answer};
use crate::write_options::check_dry_run;

/// The finalizer under which the garbage collector takes away an object's dependents first.
/// Said to whoever deletes a job and does not say what shall become of its pods.
const ORPHANS: &str = "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning";
const FOREGROUND: &str = "foregroundDeletion";
/// The finalizer under which the garbage collector makes an object's dependents orphans first.
const ORPHAN: &str = "orphan";
/// The type of the options, for clients that do not send JSON.
const DELETE_OPTIONS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";
/// A delete that others keep getting in front of is tried so often.
const ATTEMPTS_MAX: usize = 64;

/// `DeleteOptions`, from the body or the query.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct DeleteOptions {
    pub(crate) grace_period_seconds: Option<i64>,
    pub(crate) preconditions: Option<Preconditions>,
    pub(crate) propagation_policy: Option<String>,
    pub(crate) orphan_dependents: Option<bool>,
    pub(crate) dry_run: Option<Vec<String>>,
    /// Nobody is asked: what was decided about something else takes the object along.
    #[serde(skip)]
    pub(crate) without_admission: bool,
}

/// What must be true of the object for the delete to happen.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Preconditions {
    pub(crate) uid: Option<String>,
    pub(crate) resource_version: Option<String>,
}

impl DeleteOptions {
    /// Reads the options: from the body, if there is one, else from the query, as upstream.
    ///
    /// # Errors
    /// 400 for what cannot be read, 422 for values that are not allowed.
    pub(crate) async fn read(call: &ResourceCall, request: Request<Body>) -> Result<Self, Status> {
        let format = body_format(&call.headers)?;
        let bytes = body::read(request, call.shared.config.body_bytes_max).await?;
        let options = if bytes.is_empty() {
            Self::from_query(&call.query)?
        } else {
            Self::from_body(&body::to_json(bytes, format, body::request_type(DELETE_OPTIONS)?, FieldValidation::Warn)?)?
        };
        options.check()?;
        Ok(options)
    }

    fn from_body(bytes: &Bytes) -> Result<Self, Status> {
        serde_json::from_slice(bytes)
            .map_err(|error| Status::bad_request(format!("couldn't get version/kind; json parse error: {error}")))
    }

    fn from_query(query: &Query) -> Result<Self, Status> {
        let grace_period_seconds = match query.text("gracePeriodSeconds") {
            "" => None,
            text => Some(
                text.parse()
                    .map_err(|_| Status::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax")))?,
            ),
        };
        let dry_run: Vec<String> = query.all("dryRun").filter(|value| !value.is_empty()).map(str::to_owned).collect();
        Ok(Self {
            grace_period_seconds,
            preconditions: None,
            propagation_policy: query.get("propagationPolicy").map(str::to_owned),
            orphan_dependents: query.get("orphanDependents").map(|_| query.is_true("orphanDependents")),
            dry_run: Some(dry_run),
            without_admission: false,
        })
    }

    fn check(&self) -> Result<(), Status> {
        let mut errors = Vec::new();
        if let Some(policy) = &self.propagation_policy {
            if self.orphan_dependents.is_some() {
                let detail = "orphanDependents and deletionPropagation cannot be both set";
                errors.push(FieldError::invalid("propagationPolicy", policy.as_str(), detail));
            }
            if !matches!(policy.as_str(), "Foreground" | "Background" | "Orphan") {
                let known = ["Foreground", "Background", "Orphan", "nil"];
                errors.push(FieldError::not_supported("propagationPolicy", policy.as_str(), known));
            }
        }
        let dry_run: Vec<&str> = self.dry_run.iter().flatten().map(String::as_str).collect();
        check_dry_run(&dry_run, &mut errors);
        if errors.is_empty() {
            return Ok(());
        }
        Err(Status::invalid("meta.k8s.io", "DeleteOptions", "", &errors))
    }

    /// The options as an object of the API.
    pub(crate) fn to_value(&self) -> Value {
        let mut value = json!({"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/v1"});
        let preconditions = self.preconditions.as_ref().map(|preconditions| {
            let given = [("uid", &preconditions.uid), ("resourceVersion", &preconditions.resource_version)];
            let given = given.into_iter().filter_map(|(name, text)| Some((name.to_owned(), json!(text.as_ref()?))));
            Value::Object(given.collect())
        });
        let fields = [
            ("gracePeriodSeconds", self.grace_period_seconds.map(Value::from)),
            ("preconditions", preconditions),
            ("propagationPolicy", self.propagation_policy.clone().map(Value::from)),
            ("orphanDependents", self.orphan_dependents.map(Value::from)),
            ("dryRun", self.dry_run.clone().filter(|values| !values.is_empty()).map(Value::from)),
        ];
        if let Some(map) = value.as_object_mut() {
            map.extend(fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        }
        value
    }

    pub(crate) fn is_dry_run(&self) -> bool {
        self.dry_run.as_ref().is_some_and(|values| !values.is_empty())
    }

    /// Whether the client waits for the dependents, which is answered with 202 while they are there.
    fn is_foreground(&self) -> bool {
        self.orphan_dependents == Some(false) || self.propagation_policy.as_deref() == Some("Foreground")
    }
}

/// What a delete came to.
#[derive(Debug)]
pub(crate) struct Deleted {
    /// The last state that was seen, in the form of the kind, with the revision to show.
    pub(crate) object: Value,
    pub(crate) revision: u64,
    /// False while something holds the object.
    pub(crate) gone: bool,
}

pub(crate) async fn delete(call: &ResourceCall, request: Request<Body>) -> Answer {
    let agreed = call.negotiate(FORMS)?;
    let options = DeleteOptions::read(call, request).await?;
    let deleted = delete_object(call, call.name(), &options).await?;
    let code = if !deleted.gone && options.is_foreground() { 202 } else { 200 };
    let kind = &call.kind;
    let mut answer = deleted_answer(call, &deleted, code, agreed);
    let unsaid = options.propagation_policy.is_none() && options.orphan_dependents.is_none();
    if unsaid && kind.orphans_dependents && kind.group == "batch" {
        add_warnings(&mut answer, &[ORPHANS.to_owned()]);
    }
    Ok(answer)
}

fn deleted_answer(call: &ResourceCall, deleted: &Deleted, code: u16, agreed: Negotiated) -> Response {
    let kind = &call.kind;
    if deleted.gone && !kind.delete_returns_object {
        let (name, uid) = (meta::name(&deleted.object), meta::uid(&deleted.object));
        let status = Status::deleted(&kind.group, &kind.plural, name, uid);
        return value_answer(code, &status.to_value(), agreed.as_object());
    }
    object_answer(call, code, &stored::encode(&deleted.object), Some(deleted.revision), agreed)
}

/// Deletes one object of the call's kind and namespace.
///
/// # Errors
/// 404, 409 for preconditions that do not hold, and what admission and the store have against it.
pub(crate) async fn delete_object(call: &ResourceCall, name: &str, options: &DeleteOptions) -> Result<Deleted, Status> {
    let snapshot = call.snapshot(Version::Latest).await?;
    let mut found = snapshot.get(&call.key(name));
    for _ in 0..ATTEMPTS_MAX {
        let Some(entry) = found else { return Err(call.not_found(name)) };
        match attempt(call, &entry, options).await? {
            Ok(deleted) => return Ok(deleted),
            Err(now) => found = now,
        }
    }
    Err(pipeline::contended())
}

/// One attempt on the state that was seen; `Err` has what is there now instead.
pub(crate) async fn attempt(
    call: &ResourceCall,
    entry: &Entry,
    options: &DeleteOptions,
) -> Result<Result<Deleted, Option<Entry>>, Status> {
    let kind = &call.kind;
    let entry = &conversion::entry(&call.shared, kind, entry.clone()).await?;
    let object = decode(kind, entry)?;
    check_preconditions(kind, &object, entry, options)?;
    let snapshot = call.shared.store.snapshot();
    let request = admission::Request {
        call,
        action: Action::Delete,
        name: meta::name(&object),
        generate_name: "",
        subresource: &call.info.subresource,
        snapshot: &snapshot,
        old: Some(&object),
        dry_run: options.is_dry_run(),
        options: admission::Options::Delete(options),
    };
    let mut effects = Effects::default();
    if !options.without_admission {
        call.shared.admission.validate(&request, None, &mut effects).await?;
    }
    match plan(kind, object, options, call.now) {
        Plan::Remove(object) => {
            let revision = entry.mod_revision;
            if options.is_dry_run() {
                return Ok(Ok(Deleted { object, revision, gone: true }));
            }
            Ok(match pipeline::remove(call, entry).await? {
                Outcome::Done(revision) => {
                    Ok(Deleted { object, revision: revision.unwrap_or(entry.mod_revision), gone: true })
                }
                Outcome::Conflict(mut current) => Err(current.pop().flatten()),
            })
        }
        Plan::Keep(object) => Ok(Ok(Deleted { object, revision: entry.mod_revision, gone: false })),
        Plan::Mark(object) => {
            if options.is_dry_run() {
                return Ok(Ok(Deleted { object, revision: entry.mod_revision, gone: false }));
            }
            let condition =
                coracle_control_store::Condition::ModRevision { key: entry.key.clone(), revision: entry.mod_revision };
            Ok(match pipeline::put(call, kind, entry.key.clone(), &object, vec![condition]).await? {
                Outcome::Done(revision) => {
                    Ok(Deleted { object, revision: revision.unwrap_or(entry.mod_revision), gone: false })
                }
                Outcome::Conflict(mut current) => Err(current.pop().flatten()),
            })
        }
    }
}

/// What a delete does to an object.
#[derive(Debug, PartialEq)]
enum Plan {
    /// It goes, and looked like this.
    Remove(Value),
    /// It stays, marked like this.
    Mark(Value),
    /// It is marked already.
    Keep(Value),
}

fn plan(kind: &Kind, mut object: Value, options: &DeleteOptions, now: Timestamp) -> Plan {
    let marked = meta::is_being_deleted(&object);
    let known = meta::field(&object, &["metadata", "deletionGracePeriodSeconds"]).and_then(Value::as_i64);
    let requested = options.grace_period_seconds.map(|seconds| if seconds < 0 { 1 } else { seconds });
    let graceful = kind.behaviour.graceful_deletion(&object, requested);
    if marked && graceful.is_some() {
        return plan_shorter(kind, object, known, requested, options);
    }
    let grace = graceful.unwrap_or(0);
    let changed = set_propagation_finalizers(kind, &mut object, options);
    let held = !meta::has_no_finalizers(&object) || kind.behaviour.holds_deletion(&object);
    if marked {
        return match (held, changed) {
            (false, _) => Plan::Remove(object),
            (true, true) => Plan::Mark(object),
            (true, false) => Plan::Keep(object),
        };
    }
    if !held && grace == 0 {
        // The object that is shown tells that it went, as upstream's does for kinds that go gracefully.
        if graceful.is_some() {
            mark(kind, &mut object, now, 0);
        }
        return Plan::Remove(object);
    }
    mark(kind, &mut object, now, grace);
    Plan::Mark(object)
}

/// A second delete of something that goes gracefully: it can only make the time shorter.
fn plan_shorter(
    kind: &Kind,
    mut object: Value,
    known: Option<i64>,
    requested: Option<i64>,
    options: &DeleteOptions,
) -> Plan {
    let held = |object: &Value| !meta::has_no_finalizers(object) || kind.behaviour.holds_deletion(object);
    let Some(known) = known else {
        return if held(&object) { Plan::Keep(object) } else { Plan::Remove(object) };
    };
    match requested {
        Some(seconds) if seconds < known => {
            if let Some(time) = meta::deletion_timestamp(&object) {
                let earlier = SignedDuration::from_secs(seconds.saturating_sub(known));
                meta::set_deletion(&mut object, time.checked_add(earlier).unwrap_or(time), seconds);
            }
            set_propagation_finalizers(kind, &mut object, options);
            if seconds == 0 && !held(&object) { Plan::Remove(object) } else { Plan::Mark(object) }
        }
        // Its time is over, and only what held it is gone now.
        _ if known == 0 && !held(&object) => Plan::Remove(object),
        _ => Plan::Keep(object),
    }
}

fn mark(kind: &Kind, object: &mut Value, now: Timestamp, grace: i64) {
    let time = now.checked_add(SignedDuration::from_secs(grace)).unwrap_or(now);
    meta::set_deletion(object, time, grace);
    let generation = meta::generation(object);
    if generation > 0 {
        meta::set_generation(object, generation + 1);
    }
    kind.behaviour.mark_deleted(object);
}

/// Sets the finalizers by which the garbage collector learns what to do with the dependents. Says whether that changed
/// anything.
fn set_propagation_finalizers(kind: &Kind, object: &mut Value, options: &DeleteOptions) -> bool {
    let old: Vec<String> = meta::finalizers(object).map(str::to_owned).collect();
    let had = |finalizer: &str| old.iter().any(|name| name == finalizer);
    let (orphan, foreground) = match (options.orphan_dependents, options.propagation_policy.as_deref()) {
        (Some(orphan), _) => (orphan, false),
        (None, Some(policy)) => (policy == "Orphan", policy == "Foreground"),
        (None, None) if had(ORPHAN) || had(FOREGROUND) => (had(ORPHAN), !had(ORPHAN)),
        (None, None) => (kind.orphans_dependents, false),
    };
    let mut new: Vec<String> =
        old.iter().filter(|name| !matches!(name.as_str(), ORPHAN | FOREGROUND)).cloned().collect();
    if orphan {
        new.push(ORPHAN.to_owned());
    }
    if foreground {
        new.push(FOREGROUND.to_owned());
    }
    let same = new.len() == old.len() && new.iter().all(|name| old.contains(name));
    if !same {
        let metadata = meta::metadata_mut(object);
        if new.is_empty() {
            metadata.remove("finalizers");
        } else {
            metadata.insert("finalizers".to_owned(), Value::from(new));
        }
    }
    !same
}

fn check_preconditions(kind: &Kind, object: &Value, entry: &Entry, options: &DeleteOptions) -> Result<(), Status> {
    let Some(preconditions) = &options.preconditions else { return Ok(()) };
    let name = meta::name(object);
    if let Some(wanted) = preconditions.uid.as_deref()
        && wanted != meta::uid(object)
    {
        let cause = format!(
            "the UID in the precondition ({wanted}) does not match the UID in record ({}). The object might have been \
             deleted and then recreated",
            meta::uid(object)
        );
        return Err(Status::conflict(&kind.group, &kind.kind, name, &cause));
    }
    if let Some(wanted) = preconditions.resource_version.as_deref()
        && wanted != entry.mod_revision.to_string()
    {
        let cause = format!(
            "the ResourceVersion in the precondition ({wanted}) does not match the ResourceVersion in record ({}). The \
             object might have been modified",
            entry.mod_revision
        );
        return Err(Status::conflict(&kind.group, &kind.kind, name, &cause));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
