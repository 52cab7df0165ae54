//! What every write goes through between decoding and the store.
//!
//! Create: wipe system fields, own the fields, admission, system fields and name, prepare, validate, admission again,
//! store. Update: own the fields, admission, prepare, validate, admission again, store or (when the last finalizer of a
//! deleted object went) remove. The order is upstream's, and it shows: defaults are owned by their creator, what
//! admission adds is owned by nobody.

use bytes::Bytes;
use coracle_control_api::apply::keep_times_if_unchanged;
use coracle_control_api::decode::{Target, normalize};
use coracle_control_api::kind::{Kind, Part};
use coracle_control_api::meta;
use coracle_control_api::schema::{Schema, TypeRef, default_by_schema, empty_to_null, fill_zeros};
use coracle_control_api::status::Status;
use coracle_control_store::{Condition, Entry, Operation, Snapshot, Transaction, TransactionOutcome, WriteError};
use rand::Rng as _;
use serde_json::Value;

use crate::admission::{self, Action, Effects};
use crate::call::{ResourceCall, decode, view};
use crate::claims::{self, Claims};
use crate::custom::conversion;
use crate::field_owners;
use crate::stored;
use crate::write_options::WriteOptions;

/// Names are drawn so often before a create with `generateName` gives up, as upstream.
const NAME_ATTEMPTS_MAX: usize = 8;
/// A write that others keep getting in front of is tried so often.
const WRITE_ATTEMPTS_MAX: usize = 64;

/// The outcome of a write.
#[derive(Debug)]
pub(crate) struct Written {
    /// The object in the form of its kind.
    pub(crate) object: Bytes,
    /// Absent for a create that was only tried.
    pub(crate) revision: Option<u64>,
    pub(crate) created: bool,
    pub(crate) warnings: Vec<String>,
}

/// What the path expects of a body of this kind.
///
/// # Errors
/// 500 for a kind whose type is not in the schema table; a test sees to it that there is none.
pub(crate) fn target(kind: &Kind) -> Result<Target<'_>, Status> {
    let custom = kind.behaviour.custom_type();
    let schema = custom.or_else(|| Schema::builtin().find(&kind.schema)).ok_or_else(|| {
        tracing::error!(kind = %kind.kind, schema = %kind.schema, "the kind has no type in the schema table");
        Status::internal("the kind has no schema")
    })?;
    Ok(Target { group: &kind.group, version: &kind.version, kind: &kind.kind, schema })
}

/// Fills in everything that upstream fills in after decoding.
pub(crate) fn complete(kind: &Kind, schema: TypeRef<'_>, object: &mut Value) {
    default_by_schema(schema, object);
    kind.default(object);
    fill_zeros(schema, object);
}

/// Gives what a client sent the form that it has when it is read back.
fn settle(kind: &Kind, schema: TypeRef<'_>, object: &mut Value) {
    if !kind.keeps_empty_lists {
        empty_to_null(schema, object);
    }
}

/// Sets `metadata.namespace` to that of the path.
///
/// # Errors
/// 400 when the object says another.
pub(crate) fn ensure_namespace(call: &ResourceCall, object: &mut Value) -> Result<(), Status> {
    let wanted = call.namespace();
    let given = meta::namespace(object);
    if given == wanted {
        return Ok(());
    }
    if given.is_empty() || wanted.is_empty() {
        meta::set_namespace(object, wanted);
        return Ok(());
    }
    Err(Status::bad_request("the namespace of the provided object does not match the namespace sent on the request"))
}

/// Checks that an object is the one that the path names.
///
/// # Errors
/// 400 in upstream's words.
pub(crate) fn ensure_name(call: &ResourceCall, object: &Value) -> Result<(), Status> {
    let (wanted, given) = (call.name(), meta::name(object));
    if given.is_empty() {
        let text = format!("the name of the object ({wanted} based on URL) was undeterminable: name must be provided");
        return Err(Status::bad_request(text));
    }
    if given != wanted {
        let text = format!("the name of the object ({given}) does not match the name on the URL ({wanted})");
        return Err(Status::bad_request(text));
    }
    Ok(())
}

/// Makes an object that was decoded and completed.
///
/// # Errors
/// Whatever admission, validation or the store has against it; 409 when it exists.
pub(crate) async fn create(call: &ResourceCall, mut object: Value, options: &WriteOptions) -> Result<Written, Status> {
    let kind = &call.kind;
    ensure_namespace(call, &mut object)?;
    if !matches!(meta::resource_version(&object), "" | "0") {
        return Err(Status::unclassified("resourceVersion should not be set on objects to be created"));
    }
    wipe_system_fields(&mut object);
    field_owners::track_create(call, &mut object, options)?;
    finish_create(call, kind, object, options).await
}

/// The part of a create that comes after the fields have their owners.
///
/// # Errors
/// As for [`create`].
pub(crate) async fn finish_create(
    call: &ResourceCall,
    kind: &Kind,
    draft: Value,
    options: &WriteOptions,
) -> Result<Written, Status> {
    let generated = meta::name(&draft).is_empty() && !meta::generate_name(&draft).is_empty();
    let mut attempts = 0;
    loop {
        attempts += 1;
        let snapshot = call.shared.store.snapshot();
        let mut object = draft.clone();
        let given = meta::name(&draft).to_owned();
        let request = admission::Request {
            call,
            action: Action::Create,
            name: &given,
            generate_name: if generated { meta::generate_name(&draft) } else { "" },
            subresource: "",
            snapshot: &snapshot,
            old: None,
            dry_run: options.dry_run,
            options: admission::Options::Query,
        };
        let mut effects = Effects::default();
        call.shared.admission.mutate(&request, &mut object, &mut effects).await?;
        set_system_fields(call, &mut object);
        if generated {
            let name = meta::generated_name(meta::generate_name(&object), rand::rng().random());
            meta::set_name(&mut object, &name);
        }
        let mut warnings = check_create(kind, &mut object, &snapshot)?;
        let name = meta::name(&object).to_owned();
        let request = admission::Request { name: &name, ..request };
        call.shared.admission.validate(&request, Some(&object), &mut effects).await?;
        let Effects { mut conditions, operations, warnings: more, .. } = effects;
        warnings.extend(more);
        let key = call.key(&name);
        let outcome = if options.dry_run {
            match snapshot.get(&key) {
                Some(entry) => Outcome::Conflict(vec![Some(entry)]),
                None => Outcome::Done(None),
            }
        } else {
            conditions.insert(0, Condition::ModRevision { key: key.clone(), revision: 0 });
            let mut claims = Claims::between(kind, &object, None);
            conditions.extend(claims.conditions);
            claims.operations.extend(operations);
            put_with(call, kind, key, &object, conditions, claims.operations).await?
        };
        match outcome {
            Outcome::Done(revision) => {
                return Ok(Written { object: stored::encode(&object), revision, created: true, warnings });
            }
            Outcome::Conflict(mut current) => match current.first_mut().and_then(Option::take) {
                Some(_) if generated && attempts < NAME_ATTEMPTS_MAX => {}
                Some(entry) => return Err(exists(kind, &entry, &name, generated)),
                // Something else has changed, the namespace; look again.
                None if attempts < WRITE_ATTEMPTS_MAX => {}
                None => return Err(contended()),
            },
        }
    }
}

fn check_create(kind: &Kind, object: &mut Value, snapshot: &Snapshot) -> Result<Vec<String>, Status> {
    settle(kind, target(kind)?.schema, object);
    kind.prepare_create(object);
    claims::allocate(kind, object, None, snapshot)?;
    fill_zeros(target(kind)?.schema, object);
    let errors = admission::aside(kind.behaviour.may_be_slow(), || kind.validate_create(object));
    if !errors.is_empty() {
        return Err(Status::invalid(&kind.group, &kind.kind, meta::name(object), &errors));
    }
    // What was prepared may bring defaults with it, as if it had been read back from the store.
    complete(kind, target(kind)?.schema, object);
    Ok(kind.warnings(object, None))
}

/// Drops what only the server sets.
pub(crate) fn wipe_system_fields(object: &mut Value) {
    let metadata = meta::metadata_mut(object);
    for field in
        ["creationTimestamp", "uid", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "resourceVersion"]
    {
        metadata.remove(field);
    }
}

fn set_system_fields(call: &ResourceCall, object: &mut Value) {
    meta::set_creation_timestamp(object, call.now);
    meta::set_uid(object, &uuid::Uuid::new_v4().to_string());
}

fn exists(kind: &Kind, entry: &Entry, name: &str, generated: bool) -> Status {
    if generated {
        return Status::generate_name_conflict(&kind.group, &kind.plural, name);
    }
    let mut status = Status::already_exists(&kind.group, &kind.plural, name);
    let object: Value = serde_json::from_slice(&entry.value).unwrap_or_default();
    if meta::is_being_deleted(&object) {
        status.message = format!("object is being deleted: {}", status.message);
    }
    status
}

/// What an update makes of the object that is there.
pub(crate) struct NewState {
    /// Completed, its fields owned.
    pub(crate) object: Value,
    pub(crate) warnings: Vec<String>,
}

/// A new state that may be written, with what goes with it.
struct Admitted {
    object: Value,
    effects: Effects,
}

/// How an update comes about; asked again when another write got in between.
pub(crate) trait MakeNew: Send {
    /// The new state of the object. Its `metadata.resourceVersion` is the one that the client insists on, if any.
    ///
    /// # Errors
    /// Whatever is wrong with it.
    fn make(&mut self, call: &ResourceCall, current: &Value) -> Result<NewState, Status>;
}

/// Updates the object of the path. `None` when there is no such object.
///
/// # Errors
/// 409 when the client insists on a version that is not the current one; else whatever admission, validation or the store
/// has against it.
pub(crate) async fn update(
    call: &ResourceCall,
    part: Part,
    options: &WriteOptions,
    make: &mut dyn MakeNew,
) -> Result<Option<Written>, Status> {
    let kind = call.kind.clone();
    let snapshot = call.snapshot(crate::list_options::Version::Latest).await?;
    let mut found = snapshot.get(&call.key(call.name()));
    for _ in 0..WRITE_ATTEMPTS_MAX {
        let Some(entry) = found else { return Ok(None) };
        let entry = conversion::entry(&call.shared, &kind, entry).await?;
        let current = current_object(&kind, &entry)?;
        let new = make.make(call, &current)?;
        check_version(&kind, &new.object, &entry, call.name())?;
        let new = finish_update(call, part, &entry, &current, new, options.dry_run).await?;
        match commit_update(call, &kind, &entry, &current, new, options).await? {
            Ok(written) => return Ok(Some(written)),
            Err(now) => found = now,
        }
    }
    Err(contended())
}

/// The object of an entry as decoding gives it, so that it compares with what clients send.
pub(crate) fn current_object(kind: &Kind, entry: &Entry) -> Result<Value, Status> {
    decode(kind, entry)
}

/// Optimistic locking: a client that names a version means that one.
fn check_version(kind: &Kind, new: &Value, entry: &Entry, name: &str) -> Result<(), Status> {
    let given = meta::resource_version(new);
    if matches!(given, "" | "0") {
        if kind.unconditional_update {
            return Ok(());
        }
        let error = coracle_control_api::status::FieldError::invalid(
            "metadata.resourceVersion",
            0,
            "must be specified for an update",
        );
        return Err(Status::invalid(&kind.group, &kind.plural, name, &[error]));
    }
    if given == entry.mod_revision.to_string() {
        return Ok(());
    }
    if given.parse::<u64>().is_err() {
        let error = coracle_control_api::status::FieldError::invalid(
            "metadata.resourceVersion",
            given,
            format!("strconv.ParseUint: parsing {given:?}: invalid syntax"),
        );
        return Err(Status::invalid(&kind.group, &kind.kind, name, &[error]));
    }
    Err(Status::modified(&kind.group, &kind.plural, name))
}

/// Everything between the wanted state and the one that is stored.
async fn finish_update(
    call: &ResourceCall,
    part: Part,
    entry: &Entry,
    current: &Value,
    mut new: NewState,
    dry_run: bool,
) -> Result<Admitted, Status> {
    let kind = &call.kind;
    let snapshot = call.shared.store.snapshot();
    let request = admission::Request {
        call,
        action: Action::Update,
        name: call.name(),
        generate_name: "",
        subresource: &call.info.subresource,
        snapshot: &snapshot,
        old: Some(current),
        dry_run,
        options: admission::Options::Query,
    };
    let mut effects = Effects::default();
    call.shared.admission.mutate(&request, &mut new.object, &mut effects).await?;
    stored::set_revision(&mut new.object, entry.mod_revision);
    settle(kind, target(kind)?.schema, &mut new.object);
    kind.prepare_update(part, &mut new.object, current);
    if part == Part::Object {
        claims::allocate(kind, &mut new.object, Some(current), &snapshot)?;
    }
    fill_zeros(target(kind)?.schema, &mut new.object);
    let errors = admission::aside(kind.behaviour.may_be_slow(), || kind.validate_update(part, &new.object, current));
    if !errors.is_empty() {
        return Err(Status::invalid(&kind.group, &kind.kind, meta::name(&new.object), &errors));
    }
    new.warnings.extend(kind.warnings(&new.object, Some(current)));
    keep_times_if_unchanged(&mut new.object, current);
    call.shared.admission.validate(&request, Some(&new.object), &mut effects).await?;
    new.warnings.append(&mut effects.warnings);
    effects.warnings = new.warnings;
    Ok(Admitted { object: new.object, effects })
}

/// Writes the new state, or removes the object when nothing holds it any more. `Err` has what is there now instead.
async fn commit_update(
    call: &ResourceCall,
    kind: &Kind,
    entry: &Entry,
    current: &Value,
    new: Admitted,
    options: &WriteOptions,
) -> Result<Result<Written, Option<Entry>>, Status> {
    let Admitted { object, effects } = new;
    let warnings = effects.warnings;
    let encoded = stored::encode(&object);
    let written = |revision| Written { object: encoded.clone(), revision: Some(revision), created: false, warnings };
    if released(kind, &object, current) {
        if options.dry_run {
            return Ok(Ok(written(entry.mod_revision)));
        }
        return Ok(match remove(call, entry).await? {
            Outcome::Done(revision) => Ok(written(revision.unwrap_or(entry.mod_revision))),
            Outcome::Conflict(mut current) => Err(current.pop().flatten()),
        });
    }
    if options.dry_run || *view(kind, &entry.value) == encoded {
        return Ok(Ok(written(entry.mod_revision)));
    }
    let Claims { mut conditions, mut operations } = Claims::between(kind, &object, Some(current));
    conditions.extend(effects.conditions);
    operations.extend(effects.operations);
    // The last one, since what it finds there is what the caller goes on with.
    conditions.push(Condition::ModRevision { key: entry.key.clone(), revision: entry.mod_revision });
    Ok(match put_with(call, kind, entry.key.clone(), &object, conditions, operations).await? {
        Outcome::Done(revision) => Ok(written(revision.unwrap_or(entry.mod_revision))),
        Outcome::Conflict(mut current) => Err(current.pop().flatten()),
    })
}

/// Whether an update has taken away the last thing that held a deleted object.
fn released(kind: &Kind, new: &Value, current: &Value) -> bool {
    let grace = meta::field(current, &["metadata", "deletionGracePeriodSeconds"]).and_then(Value::as_i64);
    meta::is_being_deleted(current)
        && grace.unwrap_or(0) == 0
        && meta::has_no_finalizers(new)
        && !kind.behaviour.holds_deletion(new)
}

/// What became of a transaction.
pub(crate) enum Outcome {
    /// The revision, when one was made.
    Done(Option<u64>),
    /// What the keys of the conditions hold instead.
    Conflict(Vec<Option<Entry>>),
}

/// Stores an object, if the conditions hold.
///
/// # Errors
/// 413, 500 and 503 as the store says.
pub(crate) async fn put(
    call: &ResourceCall,
    kind: &Kind,
    key: Bytes,
    object: &Value,
    conditions: Vec<Condition>,
) -> Result<Outcome, Status> {
    put_with(call, kind, key, object, conditions, Vec::new()).await
}

/// Stores an object and does what goes with it, if the conditions hold.
async fn put_with(
    call: &ResourceCall,
    kind: &Kind,
    key: Bytes,
    object: &Value,
    conditions: Vec<Condition>,
    mut operations: Vec<Operation>,
) -> Result<Outcome, Status> {
    let value = if let Some(converted) = conversion::to_storage(&call.shared, kind, object).await? {
        stored::encode(&converted)
    } else if kind.stored_as.is_some() {
        let mut copy = object.clone();
        kind.behaviour.to_stored(&mut copy);
        stored::encode(&copy)
    } else {
        stored::encode(object)
    };
    operations.insert(0, Operation::Put { key, value });
    transact(call, Transaction { conditions, operations }).await
}

/// Removes what an entry shows, if it is still that.
///
/// # Errors
/// As for [`put`].
pub(crate) async fn remove(call: &ResourceCall, entry: &Entry) -> Result<Outcome, Status> {
    let conditions = vec![Condition::ModRevision { key: entry.key.clone(), revision: entry.mod_revision }];
    let mut operations = vec![Operation::Delete { key: entry.key.clone() }];
    operations.extend(claims::released(&call.kind, entry));
    transact(call, Transaction { conditions, operations }).await
}

async fn transact(call: &ResourceCall, transaction: Transaction) -> Result<Outcome, Status> {
    match call.shared.store.transact(transaction).await {
        Ok(TransactionOutcome::Applied { revision }) => Ok(Outcome::Done(Some(revision))),
        Ok(TransactionOutcome::Conflict { current, .. }) => Ok(Outcome::Conflict(current)),
        Err(error) => Err(write_status(&error)),
    }
}

/// The status for a write that the store did not make.
pub(crate) fn write_status(error: &WriteError) -> Status {
    match error {
        WriteError::TooLarge { .. } => Status::too_large(&error.to_string()),
        WriteError::Unavailable { .. } => {
            tracing::warn!(%error, "a write failed");
            Status::unavailable("the store takes no writes at the moment")
        }
        WriteError::Invalid { .. } | WriteError::Stopped(_) => {
            tracing::error!(%error, "a write failed");
            Status::internal("the store did not take the write")
        }
    }
}

/// 409 after too many attempts.
pub(crate) fn contended() -> Status {
    Status::failure(
        409,
        coracle_control_api::status::Reason::Conflict,
        "the object is written by others all the time; please try again",
    )
}

/// Brings an object of our own making into the form in which clients' objects are.
pub(crate) fn canonical(kind: &Kind, object: &Value) -> Option<Value> {
    let target = target(kind).ok()?;
    let mut object = normalize(object, &target)?;
    complete(kind, target.schema, &mut object);
    Some(object)
}
