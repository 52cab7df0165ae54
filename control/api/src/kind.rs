//! What the API server knows of a kind: one row of data (`Kind`), and a `Behaviour` for what no table can say.
//!
//! The server has one handler per verb and asks the row. On a create it calls, in this order: `decode`, defaulting,
//! admission, `Kind::prepare_create`, `Kind::validate_create`, `Kind::warnings`. On an update of the object or of one of
//! its parts (`Part`): `decode`, `Kind::default`, admission, `Kind::prepare_update`, `Kind::validate_update`,
//! `Kind::warnings`. These methods do what upstream does for every kind (object metadata) and then ask the behaviour,
//! so a caller never has to call the behaviour for writes.
//!
//! A kind's row and its behaviour live together in one file under `kinds`; a custom resource makes its row at run time.
//! Nothing here reads a clock, draws a random number or does I/O. Nothing here panics on an object of a wrong shape:
//! a field of the wrong type counts as absent, since `decode` has already refused it.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use crate::kinds::object_meta;
use crate::kinds::validation::names::NameRule;
use crate::status::FieldError;

pub use crate::kinds::{find, find_kind, kinds, request_kinds};

/// Text that is either built in or made at run time (for a custom resource).
pub type Text = Cow<'static, str>;

/// One served resource: its names, verbs, subresources, schema, and what is special about it.
#[derive(Debug, Clone)]
pub struct Kind {
    /// API group, empty for the core group.
    pub group: Text,
    /// API version within the group: `v1`.
    pub version: Text,
    /// The kind's name, as objects say it in `kind`.
    pub kind: Text,
    /// The name of a list of objects of this kind.
    pub list_kind: Text,
    /// The resource's name in paths: `pods`.
    pub plural: Text,
    /// The name of one, which command lines accept as well: `pod`.
    pub singular: Text,
    /// What impatient people type: `po`.
    pub short_names: Vec<Text>,
    /// Groups of resources that are listed together: `all`.
    pub categories: Vec<Text>,
    /// False for a kind whose objects belong to the whole cluster.
    pub namespaced: bool,
    /// In the order in which discovery lists them. Empty for a kind that is only the body of a subresource.
    pub verbs: Vec<Verb>,
    /// Paths below an object, in discovery's order.
    pub subresources: Vec<Subresource>,
    /// Name of the type in the schema table, for instance `io.k8s.api.core.v1.Pod`.
    pub schema: Text,
    /// What `metadata.name` may be.
    pub name_rule: NameRule,
    /// Group and plural of the kind under which objects are stored, where several kinds share one storage
    /// (`events.k8s.io` and core events). The stored form is that kind's; see `Behaviour::to_stored`.
    pub stored_as: Option<(Text, Text)>,
    /// A PUT to a name that does not exist creates the object.
    pub create_on_update: bool,
    /// A PUT without `metadata.resourceVersion` is taken as "whatever is there"; otherwise it is refused with 422.
    pub unconditional_update: bool,
    /// The answer to a DELETE that removed the object is the object itself instead of a Status.
    pub delete_returns_object: bool,
    /// A DELETE that says nothing of the dependents leaves them without an owner instead of taking them along.
    pub orphans_dependents: bool,
    /// Annotations that stand for fields of other versions. Upstream makes them while it converts an object to its version,
    /// which it does not do for partial metadata: they are missing there.
    pub version_annotations: Vec<Text>,
    /// An empty list comes back as it was sent. Elsewhere upstream's store makes `null` of one that it always writes.
    pub keeps_empty_lists: bool,
    /// The Warning that goes with every answer about this kind, for one that upstream wants nobody to use any more.
    pub deprecation: Option<Text>,
    /// Where the numbers behind `NAME/scale` are; `None` for a kind without that subresource.
    pub scale: Option<ScalePaths>,
    /// What no table can say.
    pub behaviour: Arc<dyn Behaviour>,
}

/// A verb of a resource as discovery names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each verb is named as discovery names it")]
pub enum Verb {
    Create,
    Delete,
    DeleteCollection,
    Get,
    List,
    Patch,
    Update,
    Watch,
}

/// Every verb, in discovery's order.
pub const ALL_VERBS: &[Verb] = &[
    Verb::Create,
    Verb::Delete,
    Verb::DeleteCollection,
    Verb::Get,
    Verb::List,
    Verb::Patch,
    Verb::Update,
    Verb::Watch,
];

/// The verbs of a subresource that reads and writes a part of the object.
pub const PART_VERBS: &[Verb] = &[Verb::Get, Verb::Patch, Verb::Update];

/// A path below an object: `pods/NAME/status`.
#[derive(Debug, Clone)]
pub struct Subresource {
    /// The last part of the path.
    pub name: Text,
    /// Group of the kind that this path speaks; empty means the parent's.
    pub group: Text,
    /// Version of the kind that this path speaks; empty means the parent's.
    pub version: Text,
    /// The kind that this path speaks.
    pub kind: Text,
    /// In the order in which discovery lists them.
    pub verbs: Vec<Verb>,
    /// The part of the parent object that get, update and patch address; `None` for a path with a handler of its own
    /// (binding, eviction, token, log, exec, attach, portforward, proxy).
    pub part: Option<Part>,
}

/// What an update may touch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// The object itself: everything but status.
    Object,
    /// What is observed of it: `status`.
    Status,
    /// A namespace's `spec.finalizers`.
    Finalize,
    /// A pod's ephemeral containers.
    EphemeralContainers,
    /// A pod's container resources.
    Resize,
    /// A certificate signing request's approval conditions.
    Approval,
}

/// Where a kind has what its `scale` subresource shows, as JSON pointers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScalePaths {
    /// The number of replicas that is wanted: `/spec/replicas`.
    pub spec_replicas: Text,
    /// The number of replicas that there are: `/status/replicas`.
    pub status_replicas: Text,
    /// What selects the replicas: a label selector object, a map of labels, or a selector as text.
    pub selector: Option<Text>,
}

/// What a kind needs of the server while it chooses values that may be used once in a cluster (a service's address).
pub trait Pool {
    /// Whether some object of the cluster holds this claim; see [`Behaviour::claims`].
    fn is_taken(&self, claim: &str) -> bool;

    /// A random number, for choosing.
    fn random(&mut self) -> u64;
}

/// A printer column of a Table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The heading.
    pub name: Text,
    /// OpenAPI type: string, integer, boolean, date.
    pub kind: Text,
    /// `name` for the column of names, else empty.
    pub format: Text,
    /// 0 is shown always, 1 with `-o wide`.
    pub priority: i32,
    /// For people.
    pub description: Text,
}

/// What is special about a kind. Every method has the answer of a kind that has nothing special.
///
/// The server calls the methods of `Kind` for writes, which add what is common to all kinds.
pub trait Behaviour: Send + Sync + fmt::Debug {
    /// Fills in what upstream's defaulting fills in, and the empty values that upstream always writes out. Idempotent.
    fn default(&self, _object: &mut Value) {}

    /// Drops what a client may not set on create, and sets what the server decides (phase, generation, QoS class).
    fn prepare_create(&self, _object: &mut Value) {}

    /// Puts back, from `old`, what an update of `part` may not touch, and moves the generation.
    fn prepare_update(&self, _part: Part, _new: &mut Value, _old: &Value) {}

    /// False for a kind that leaves its metadata to the checks that all objects get: any name that can stand in a path.
    fn validates_metadata(&self) -> bool {
        true
    }

    /// False for a kind that looks at the metadata of an update itself, in its own place.
    fn validates_metadata_on_update(&self) -> bool {
        self.validates_metadata()
    }

    /// True for a kind that, on an update of `part`, holds the new metadata against the rules for new objects as well.
    fn revalidates_metadata(&self, _part: Part) -> bool {
        false
    }

    /// Fills in what the server has to choose such that no other object has it, and says what cannot be had. Called
    /// on every write of the object itself after `prepare_create` or `prepare_update` and before validation. Values that
    /// it chose may turn out to be taken by the time of the write; the server then starts again from the request.
    fn allocate(&self, _new: &mut Value, _old: Option<&Value>, _pool: &mut dyn Pool) -> Vec<FieldError> {
        Vec::new()
    }

    /// What this object holds that no other object may hold, as names of the form `POOL/VALUE`. The server writes a
    /// record of each claim together with the object and removes it with the object, in one transaction.
    fn claims(&self, _object: &Value) -> Vec<String> {
        Vec::new()
    }

    /// What is wrong with an object to be created, apart from its metadata.
    fn validate_create(&self, _object: &Value) -> Vec<FieldError> {
        Vec::new()
    }

    /// What is wrong with an update, apart from its metadata.
    fn validate_update(&self, _part: Part, _new: &Value, _old: &Value) -> Vec<FieldError> {
        Vec::new()
    }

    /// Texts for Warning headers; `old` is there on an update.
    fn warnings(&self, _new: &Value, _old: Option<&Value>) -> Vec<String> {
        Vec::new()
    }

    /// Dotted paths that the server resets on a write to `part`, which therefore no field manager can own through it.
    fn reset_fields(&self, _part: Part) -> &'static [&'static str] {
        &[]
    }

    /// Printer columns: name and age unless the kind has its own.
    fn columns(&self) -> &[Column] {
        crate::kinds::columns::name_and_created_at()
    }

    /// The cells of one row, as many as there are columns; `now` is what ages are counted from.
    fn cells(&self, object: &Value, _now: Timestamp) -> Vec<Value> {
        crate::kinds::columns::name_and_created_at_cells(object)
    }

    /// Conditions of one row (objects of meta.k8s.io `TableRowCondition`), by which clients tell finished objects.
    fn row_conditions(&self, _object: &Value) -> Vec<Value> {
        Vec::new()
    }

    /// Labels that a field selector may name, besides `metadata.name` and (if namespaced) `metadata.namespace`.
    fn field_labels(&self) -> &'static [&'static str] {
        &[]
    }

    /// The value of one of `field_labels`; empty text where the object has none.
    fn field_value(&self, _object: &Value, _label: &str) -> String {
        String::new()
    }

    /// Seconds between a DELETE and the removal of the object, for a kind that has graceful deletion; `None` for the
    /// others, which go at once. `requested` is the client's `gracePeriodSeconds`.
    ///
    /// 0 also means at once. A server that sets `metadata.deletionTimestamp` for the first time also adds one to
    /// `metadata.generation` where there is one.
    fn graceful_deletion(&self, _object: &Value, _requested: Option<i64>) -> Option<i64> {
        None
    }

    /// True while something other than `metadata.finalizers` holds a deleted object (a namespace's `spec.finalizers`).
    fn holds_deletion(&self, _object: &Value) -> bool {
        false
    }

    /// Called once when `metadata.deletionTimestamp` has been set and the object stays for now.
    fn mark_deleted(&self, _object: &mut Value) {}

    /// Whether a field selector may name this label, besides the labels of the metadata.
    fn has_field_label(&self, label: &str) -> bool {
        self.field_labels().contains(&label)
    }

    /// The type of a kind that is in no table: a custom resource.
    fn custom_type(&self) -> Option<crate::schema::TypeRef<'_>> {
        None
    }

    /// The OpenAPI v3 schema of such a kind, with its name, for publication.
    fn published_schema(&self) -> Option<&Value> {
        None
    }

    /// By whom objects are converted between this version and the others, when that takes more than another name.
    fn conversion(&self) -> Option<&crate::custom::Conversion> {
        None
    }

    /// Whether looking at an object may take long: its rules are programs.
    fn may_be_slow(&self) -> bool {
        false
    }

    /// Turns an object of this kind into the stored form, where `Kind::stored_as` names another kind.
    fn to_stored(&self, _object: &mut Value) {}

    /// The way back from `to_stored`.
    #[expect(clippy::wrong_self_convention, reason = "self is the kind, and the object comes from the stored form")]
    fn from_stored(&self, _object: &mut Value) {}
}

/// The behaviour of a kind with nothing special.
#[derive(Debug, Clone, Copy, Default)]
pub struct Plain;

impl Behaviour for Plain {}

impl Kind {
    /// A namespaced kind with all verbs and no subresources; the other methods adjust it.
    pub fn new(
        group: impl Into<Text>,
        version: impl Into<Text>,
        kind: impl Into<Text>,
        plural: impl Into<Text>,
        behaviour: impl Behaviour + 'static,
    ) -> Self {
        let kind = kind.into();
        Self {
            group: group.into(),
            version: version.into(),
            list_kind: Cow::Owned(format!("{kind}List")),
            singular: Cow::Owned(kind.to_lowercase()),
            plural: plural.into(),
            short_names: Vec::new(),
            categories: Vec::new(),
            namespaced: true,
            verbs: ALL_VERBS.to_vec(),
            subresources: Vec::new(),
            schema: Cow::Borrowed(""),
            name_rule: NameRule::Subdomain,
            stored_as: None,
            create_on_update: false,
            unconditional_update: true,
            delete_returns_object: false,
            orphans_dependents: false,
            version_annotations: Vec::new(),
            keeps_empty_lists: false,
            deprecation: None,
            scale: None,
            behaviour: Arc::new(behaviour),
            kind,
        }
    }

    /// Names the type in the schema table.
    #[must_use]
    pub fn schema(mut self, definition: &'static str) -> Self {
        self.schema = Cow::Borrowed(definition);
        self
    }

    /// Sets the short names.
    #[must_use]
    pub fn short_names(mut self, names: &[&'static str]) -> Self {
        self.short_names = names.iter().map(|name| Cow::Borrowed(*name)).collect();
        self
    }

    /// Sets the categories.
    #[must_use]
    pub fn categories(mut self, names: &[&'static str]) -> Self {
        self.categories = names.iter().map(|name| Cow::Borrowed(*name)).collect();
        self
    }

    /// Objects belong to no namespace.
    #[must_use]
    pub fn cluster_scoped(mut self) -> Self {
        self.namespaced = false;
        self
    }

    /// Sets the verbs, where they are not all.
    #[must_use]
    pub fn verbs(mut self, verbs: &[Verb]) -> Self {
        self.verbs = verbs.to_vec();
        self
    }

    /// Sets what a name may be, where it is no subdomain.
    #[must_use]
    pub fn name_rule(mut self, rule: NameRule) -> Self {
        self.name_rule = rule;
        self
    }

    /// A PUT may create.
    #[must_use]
    pub fn creates_on_update(mut self) -> Self {
        self.create_on_update = true;
        self
    }

    /// A PUT must say which version it replaces.
    #[must_use]
    pub fn updates_need_a_version(mut self) -> Self {
        self.unconditional_update = false;
        self
    }

    /// A DELETE answers with the object.
    #[must_use]
    pub fn returns_what_it_deletes(mut self) -> Self {
        self.delete_returns_object = true;
        self
    }

    /// A DELETE that says nothing of the dependents orphans them.
    #[must_use]
    pub fn orphans_dependents(mut self) -> Self {
        self.orphans_dependents = true;
        self
    }

    /// Names the annotations that partial metadata lacks.
    #[must_use]
    pub fn version_annotations(mut self, names: &[&'static str]) -> Self {
        self.version_annotations = names.iter().map(|name| Cow::Borrowed(*name)).collect();
        self
    }

    /// Upstream stores this kind as JSON, so that empty lists last.
    #[must_use]
    pub fn keeps_empty_lists(mut self) -> Self {
        self.keeps_empty_lists = true;
        self
    }

    /// Every answer carries this warning.
    #[must_use]
    pub fn deprecated(mut self, warning: &'static str) -> Self {
        self.deprecation = Some(Cow::Borrowed(warning));
        self
    }

    /// Adds `NAME/scale`, which speaks autoscaling/v1 Scale.
    #[must_use]
    pub fn scalable(mut self, paths: ScalePaths) -> Self {
        self.scale = Some(paths);
        self.subresource("scale", ("autoscaling", "v1", "Scale"), PART_VERBS)
    }

    /// Objects are stored as those of another kind.
    #[must_use]
    pub fn stored_as(mut self, group: &'static str, plural: &'static str) -> Self {
        self.stored_as = Some((Cow::Borrowed(group), Cow::Borrowed(plural)));
        self
    }

    /// Adds `NAME/status` and the like: get, patch and update of a part of this object.
    #[must_use]
    pub fn part(mut self, name: &'static str, part: Part, verbs: &[Verb]) -> Self {
        let kind = self.kind.clone();
        self.subresources.push(Subresource {
            name: Cow::Borrowed(name),
            group: Cow::Borrowed(""),
            version: Cow::Borrowed(""),
            kind,
            verbs: verbs.to_vec(),
            part: Some(part),
        });
        self
    }

    /// Adds a subresource with a handler of its own, speaking another kind (group and version empty: the parent's).
    #[must_use]
    pub fn subresource(
        mut self,
        name: &'static str,
        speaks: (&'static str, &'static str, &'static str),
        verbs: &[Verb],
    ) -> Self {
        self.subresources.push(Subresource {
            name: Cow::Borrowed(name),
            group: Cow::Borrowed(speaks.0),
            version: Cow::Borrowed(speaks.1),
            kind: Cow::Borrowed(speaks.2),
            verbs: verbs.to_vec(),
            part: None,
        });
        self
    }

    /// `v1` or `GROUP/VERSION`, as in an object's `apiVersion`.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_string() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `pods` or `leases.coordination.k8s.io`, as error messages name a resource.
    #[must_use]
    pub fn qualified_plural(&self) -> String {
        if self.group.is_empty() { self.plural.to_string() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// `/registry/GROUP/PLURAL/`, with `core` for the empty group: the prefix of every key of this kind.
    #[must_use]
    pub fn storage_prefix(&self) -> String {
        let (group, plural) = match &self.stored_as {
            Some((group, plural)) => (group.as_ref(), plural.as_ref()),
            None => (self.group.as_ref(), self.plural.as_ref()),
        };
        format!("/registry/{}/{plural}/", if group.is_empty() { "core" } else { group })
    }

    /// The prefix of the keys of one namespace.
    #[must_use]
    pub fn namespace_prefix(&self, namespace: &str) -> String {
        format!("{}{namespace}/", self.storage_prefix())
    }

    /// The key of one object; `namespace` is ignored for a cluster-scoped kind.
    #[must_use]
    pub fn storage_key(&self, namespace: &str, name: &str) -> String {
        if self.namespaced {
            format!("{}{namespace}/{name}", self.storage_prefix())
        } else {
            format!("{}{name}", self.storage_prefix())
        }
    }

    /// The subresource of this name.
    #[must_use]
    pub fn find_subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|subresource| subresource.name == name)
    }

    /// Is `verb` served?
    #[must_use]
    pub fn allows(&self, verb: Verb) -> bool {
        self.verbs.contains(&verb)
    }

    /// Defaulting, after decoding and before admission. Idempotent. `schema::default_by_schema` comes before it and
    /// `schema::fill_zeros` after it.
    pub fn default(&self, object: &mut Value) {
        self.behaviour.default(object);
    }

    /// Drops what a client may not set on create. The server sets uid, creationTimestamp, namespace and the generated
    /// name itself, before `validate_create`.
    pub fn prepare_create(&self, object: &mut Value) {
        object_meta::prepare_create(object);
        self.behaviour.prepare_create(object);
    }

    /// Everything that is wrong with an object to be created, in upstream's order.
    #[must_use]
    pub fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = object_meta::validate_create(self, object);
        errors.extend(self.behaviour.validate_create(object));
        errors
    }

    /// Puts back what an update of `part` may not touch.
    pub fn prepare_update(&self, part: Part, new: &mut Value, old: &Value) {
        object_meta::prepare_update(new, old);
        self.behaviour.prepare_update(part, new, old);
    }

    /// Everything that is wrong with an update of `part`, in upstream's order. Upstream checks an object's metadata two
    /// or three times on an update and reports each error as often; clients compare the causes, so this does too.
    #[must_use]
    pub fn validate_update(&self, part: Part, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = object_meta::validate_update(new, old);
        if self.behaviour.validates_metadata_on_update() {
            errors.extend(object_meta::validate_update_of_kind(new, old));
        }
        if self.behaviour.revalidates_metadata(part) {
            errors.extend(object_meta::validate_create(self, new));
        }
        errors.extend(self.behaviour.validate_update(part, new, old));
        errors
    }

    /// Texts for Warning headers about an object that is valid.
    #[must_use]
    pub fn warnings(&self, new: &Value, old: Option<&Value>) -> Vec<String> {
        self.behaviour.warnings(new, old)
    }

    /// Makes an object's metadata what partial metadata shows of it.
    pub fn hide_version_annotations(&self, metadata: &mut Value) {
        let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) else { return };
        annotations.retain(|name, _| !self.version_annotations.iter().any(|hidden| hidden == name));
        if annotations.is_empty()
            && let Some(metadata) = metadata.as_object_mut()
        {
            metadata.remove("annotations");
        }
    }

    /// Is `label` one that a field selector on this kind may name?
    #[must_use]
    pub fn has_field_label(&self, label: &str) -> bool {
        label == "metadata.name"
            || (label == "metadata.namespace" && self.namespaced)
            || self.behaviour.has_field_label(label)
    }

    /// The value that a field selector compares; `None` for a label that this kind does not have.
    #[must_use]
    pub fn field_value(&self, object: &Value, label: &str) -> Option<String> {
        if !self.has_field_label(label) {
            return None;
        }
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        Some(match label {
            "metadata.name" => text("/metadata/name"),
            "metadata.namespace" => text("/metadata/namespace"),
            _ => self.behaviour.field_value(object, label),
        })
    }
}

impl Verb {
    /// As discovery and authorization spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
            Self::Get => "get",
            Self::List => "list",
            Self::Patch => "patch",
            Self::Update => "update",
            Self::Watch => "watch",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}
