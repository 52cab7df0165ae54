//! A write as webhooks and policies see it: in the kind that they asked for, with its author and its options.

use std::borrow::Cow;
use std::sync::Arc;

use coracle_control_api::kind::Kind;
use coracle_control_api::kinds::{self, scale};
use coracle_control_api::meta;
use serde_json::{Map, Value, json};

use super::{Action, Options, Request};
use crate::custom::conversion;
use crate::user::UserInfo;

/// Group, version and resource, or group, version and kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Triple {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) name: String,
}

impl Triple {
    fn new(group: &str, version: &str, name: &str) -> Self {
        Self { group: group.to_owned(), version: version.to_owned(), name: name.to_owned() }
    }

    fn to_value(&self, last: &str) -> Value {
        let mut map = Map::new();
        map.insert("group".to_owned(), Value::from(self.group.as_str()));
        map.insert("version".to_owned(), Value::from(self.version.as_str()));
        map.insert(last.to_owned(), Value::from(self.name.as_str()));
        Value::Object(map)
    }
}

/// As what a webhook or a policy sees the request: the resource of its rule and the kind that goes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Invocation {
    pub(crate) resource: Triple,
    pub(crate) kind: Triple,
}

/// What is asked about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attributes<'a> {
    pub(crate) request: &'a Request<'a>,
    /// Absent for a delete.
    pub(crate) object: Option<&'a Value>,
}

impl<'a> Attributes<'a> {
    pub(crate) fn new(request: &'a Request<'a>, object: Option<&'a Value>) -> Self {
        Self { request, object }
    }

    fn row(&self) -> &'a Arc<Kind> {
        &self.request.call.kind
    }

    pub(crate) fn user(&self) -> &'a UserInfo {
        &self.request.call.user
    }

    pub(crate) fn operation(&self) -> &'static str {
        match self.request.action {
            Action::Create => "CREATE",
            Action::Update => "UPDATE",
            Action::Delete => "DELETE",
            Action::Connect => "CONNECT",
        }
    }

    pub(crate) fn subresource(&self) -> &'a str {
        self.request.subresource
    }

    /// The name of the object; empty while it is still to be generated.
    pub(crate) fn name(&self) -> &'a str {
        match self.request.name {
            "" => self.object.map(meta::name).unwrap_or_default(),
            name => name,
        }
    }

    /// The namespace of the object; a namespace's own name for a namespace.
    pub(crate) fn namespace(&self) -> &'a str {
        let row = self.row();
        if row.group.is_empty() && row.plural == "namespaces" { self.name() } else { self.request.call.namespace() }
    }

    pub(crate) fn is_namespace(&self) -> bool {
        self.row().group.is_empty() && self.row().plural == "namespaces"
    }

    /// The request as its author made it.
    pub(crate) fn as_requested(&self) -> Invocation {
        self.as_kind(self.row())
    }

    fn as_kind(&self, row: &Kind) -> Invocation {
        let (mut group, mut version, mut kind) = (&*row.group, &*row.version, &*row.kind);
        if let Some(subresource) = row.find_subresource(self.request.subresource) {
            kind = &subresource.kind;
            if !subresource.version.is_empty() {
                (group, version) = (&subresource.group, &subresource.version);
            }
        }
        Invocation {
            resource: Triple::new(&row.group, &row.version, &row.plural),
            kind: Triple::new(group, version, kind),
        }
    }

    /// The same request about another version of the same objects.
    pub(crate) fn equivalents(&self) -> Vec<Invocation> {
        let row = self.row();
        let prefix = row.storage_prefix();
        let all = self.request.call.shared.catalog.all();
        let others = all.kinds().iter().filter(|other| {
            (other.version != row.version || other.group != row.group) && other.storage_prefix() == prefix
        });
        others.map(|other| self.as_kind(other)).collect()
    }

    /// The object in the kind of an invocation.
    ///
    /// # Errors
    /// When it cannot be converted, in words.
    pub(crate) async fn object_as(&self, invocation: &Invocation) -> Result<Option<Value>, String> {
        self.convert(self.object, invocation).await
    }

    /// The object before the write, in the kind of an invocation.
    ///
    /// # Errors
    /// When it cannot be converted, in words.
    pub(crate) async fn old_as(&self, invocation: &Invocation) -> Result<Option<Value>, String> {
        self.convert(self.request.old, invocation).await
    }

    async fn convert(&self, object: Option<&Value>, invocation: &Invocation) -> Result<Option<Value>, String> {
        let Some(object) = object else { return Ok(None) };
        Ok(Some(view(self.request, object, invocation).await?.into_owned()))
    }

    /// The `request` of an AdmissionReview without its uid and its objects.
    pub(crate) fn request_value(&self, invocation: &Invocation) -> Value {
        let own = self.as_requested();
        let mut request = json!({
            "kind": invocation.kind.to_value("kind"),
            "resource": invocation.resource.to_value("resource"),
            "requestKind": own.kind.to_value("kind"),
            "requestResource": own.resource.to_value("resource"),
            "operation": self.operation(),
            "userInfo": user_value(self.user()),
            "dryRun": self.request.dry_run,
            "options": self.options(),
        });
        let texts = [
            ("subResource", self.subresource()),
            ("requestSubResource", self.subresource()),
            ("name", self.name()),
            ("namespace", self.namespace()),
        ];
        if let Some(map) = request.as_object_mut() {
            for (name, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
                map.insert(name.to_owned(), Value::from(text));
            }
        }
        request
    }

    /// `CreateOptions` and the like.
    fn options(&self) -> Value {
        let call = self.request.call;
        let kind = match (self.request.options, self.request.action) {
            (Options::Connect, _) => return Value::Null,
            (Options::Delete(options), _) => return options.to_value(),
            (Options::Query, Action::Create) if call.info.verb == "create" => "CreateOptions",
            (Options::Query, _) if call.info.verb == "patch" => "PatchOptions",
            (Options::Query, Action::Create) => "CreateOptions",
            (Options::Query, _) => "UpdateOptions",
        };
        let mut options = json!({"kind": kind, "apiVersion": "meta.k8s.io/v1"});
        let Some(map) = options.as_object_mut() else { return options };
        if self.request.dry_run {
            map.insert("dryRun".to_owned(), json!(["All"]));
        }
        for name in ["fieldManager", "fieldValidation"] {
            match call.query.text(name) {
                "" => {}
                text => drop(map.insert(name.to_owned(), Value::from(text))),
            }
        }
        if kind == "PatchOptions" && call.query.get("force").is_some() {
            map.insert("force".to_owned(), Value::from(call.query.is_true("force")));
        }
        options
    }
}

/// The kind of the object as a webhook or a policy sees it.
pub(crate) fn row_of(request: &Request<'_>, invocation: &Invocation) -> Option<Arc<Kind>> {
    let (kind, resource) = (&invocation.kind, &invocation.resource);
    let known = kinds::find_kind(&kind.group, &kind.version, &kind.name).cloned();
    known.or_else(|| request.call.shared.catalog.find(&resource.group, &resource.version, &resource.name))
}

/// An object of the request in the kind of an invocation. Nothing is copied when it is that already.
async fn view<'v>(request: &Request<'_>, object: &'v Value, invocation: &Invocation) -> Result<Cow<'v, Value>, String> {
    let row = &request.call.kind;
    if request.subresource == "scale"
        && let Some(paths) = &row.scale
    {
        return Ok(Cow::Owned(scale::of_object(paths, object)));
    }
    if invocation.resource.group == row.group && invocation.resource.version == row.version {
        return Ok(Cow::Borrowed(object));
    }
    let Triple { group, version, name } = &invocation.resource;
    let wanted = request.call.shared.catalog.find(group, version, name);
    let wanted = wanted.ok_or_else(|| format!("unable to convert to {group}/{version}: unknown kind"))?;
    let converted = conversion::to_version(&request.call.shared, row, object.clone(), &wanted).await;
    converted.map(Cow::Owned).map_err(|status| status.message)
}

/// Puts an object that was changed as one kind back into the kind of the request.
///
/// # Errors
/// When it cannot be converted, in words.
pub(crate) async fn restore(
    request: &Request<'_>,
    object: &mut Value,
    mut changed: Value,
    invocation: &Invocation,
) -> Result<(), String> {
    let row = &request.call.kind;
    if request.subresource == "scale"
        && let Some(paths) = &row.scale
    {
        scale::into_object(paths, object, &changed);
        return Ok(());
    }
    let Triple { group, version, name } = &invocation.resource;
    if *group != *row.group || *version != *row.version {
        let other = request.call.shared.catalog.find(group, version, name);
        let other = other.ok_or_else(|| format!("unable to convert from {group}/{version}: unknown kind"))?;
        let converted = conversion::to_version(&request.call.shared, &other, changed, row).await;
        changed = converted.map_err(|status| status.message)?;
    }
    *object = changed;
    Ok(())
}

/// The author of a request as reviews show him.
pub(crate) fn user_value(user: &UserInfo) -> Value {
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
