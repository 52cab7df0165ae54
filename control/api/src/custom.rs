//! Custom resources: the kinds that a CustomResourceDefinition brings.
//!
//! A definition becomes one [`Kind`] for each version that it serves, with the same row and the same behaviour as a
//! built-in kind has; nothing else in the server knows the difference. All versions share one storage, in the storage
//! version's name only: their objects differ in `apiVersion` alone (conversion strategy `None`).

mod behaviour;
mod json_path;
mod printer;
pub(crate) mod rules;

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::kind::{Kind, PART_VERBS, Part, ScalePaths};
use crate::kinds::fields::Fields;
use crate::schema::Schema;
use behaviour::Custom;
pub(crate) use json_path::JsonPath;

/// Group of definitions.
pub const GROUP: &str = "apiextensions.k8s.io";
/// Plural of definitions.
pub const PLURAL: &str = "customresourcedefinitions";
/// The finalizer that holds a definition until its objects are gone.
pub const FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Who converts the objects of a definition between its versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversion {
    /// API version of the storage version.
    pub storage_version: String,
    /// The webhook's `clientConfig`.
    pub client: Value,
    /// The first version of reviews that the webhook takes and we know.
    pub review_version: Option<&'static str>,
}

impl Conversion {
    /// The webhook of a definition whose strategy is `Webhook`.
    fn of(spec: &Value, storage_version: &str) -> Option<Self> {
        let conversion = spec.child("conversion").filter(|conversion| conversion.text("strategy") == "Webhook")?;
        let webhook = conversion.child("webhook")?;
        let review_version = webhook.texts("conversionReviewVersions").into_iter().find_map(|version| match version {
            "v1" => Some("v1"),
            "v1beta1" => Some("v1beta1"),
            _ => None,
        });
        let client = webhook.child("clientConfig").cloned().unwrap_or_default();
        Some(Self { storage_version: storage_version.to_owned(), client, review_version })
    }
}

/// Whether a definition has the condition, with status True.
#[must_use]
pub fn is_condition_true(definition: &Value, name: &str) -> bool {
    let status = definition.child("status");
    let conditions = status.map(|status| status.list("conditions")).unwrap_or_default();
    conditions.iter().any(|condition| condition.text("type") == name && condition.text("status") == "True")
}

/// The kinds that an established definition serves, one for each served version, in the definition's order.
#[must_use]
pub fn kinds(definition: &Value) -> Vec<Kind> {
    let Some(spec) = definition.child("spec") else { return Vec::new() };
    let versions = spec.list("versions");
    let conversion = Conversion::of(spec, &storage_version(spec));
    versions
        .iter()
        .filter(|version| version.is_true("served"))
        .map(|version| kind(definition, spec, version, conversion.clone()))
        .collect()
}

/// The storage version of a definition, served or not: the form in which all objects can be read.
#[must_use]
pub fn storage_kind(definition: &Value) -> Option<Kind> {
    let spec = definition.child("spec")?;
    let version = spec.list("versions").iter().find(|version| version.is_true("storage"))?;
    // Its objects are only counted and deleted, for which nobody is to be asked.
    Some(kind(definition, spec, version, None))
}

fn owned(text: &str) -> Cow<'static, str> {
    Cow::Owned(text.to_owned())
}

/// API version of the version in which objects are written.
fn storage_version(spec: &Value) -> String {
    let version = spec.list("versions").iter().find(|version| version.is_true("storage"));
    format!("{}/{}", spec.text("group"), version.map_or("", |version| version.text("name")))
}

fn kind(definition: &Value, spec: &Value, version: &Value, conversion: Option<Conversion>) -> Kind {
    let null = Value::Null;
    let names = spec.child("names").unwrap_or(&null);
    let (group, kind_name, plural) = (spec.text("group"), names.text("kind"), names.text("plural"));
    let document = version.at(&["schema", "openAPIV3Schema"]).unwrap_or(&null);
    let type_name = type_name(group, version.text("name"), kind_name);
    let subresources = version.child("subresources").unwrap_or(&null);
    let has_status = subresources.has("status");
    let scale = subresources.child("scale").map(scale_paths);
    let gvk = json!({"group": group, "version": version.text("name"), "kind": kind_name});
    let custom = Custom {
        api_version: format!("{group}/{}", version.text("name")),
        storage_version: storage_version(spec),
        conversion,
        schema: Schema::custom(&type_name, document),
        published: published(document, &gvk),
        has_status,
        scale: scale.as_ref().map(|_| subresources["scale"].clone()),
        printer: printer::Printer::new(version.list("additionalPrinterColumns")),
        selectable: version
            .list("selectableFields")
            .iter()
            .map(|field| field.text("jsonPath"))
            .map(|path| (path.trim_start_matches('.').to_owned(), JsonPath::parse(path)))
            .collect(),
        rules: rules::Rules::compile(document),
    };
    let mut kind = Kind::new(owned(group), owned(version.text("name")), owned(kind_name), owned(plural), custom);
    let texts = |name: &str| names.texts(name).into_iter().map(owned).collect::<Vec<_>>();
    kind.schema = Cow::Owned(type_name);
    kind.namespaced = spec.text("scope") != "Cluster";
    kind.short_names = texts("shortNames");
    kind.categories = texts("categories");
    for (place, given) in [(&mut kind.list_kind, names.text("listKind")), (&mut kind.singular, names.text("singular"))]
    {
        if !given.is_empty() {
            *place = owned(given);
        }
    }
    if version.is_true("deprecated") {
        let standard = format!("{group}/{} {kind_name} is deprecated", version.text("name"));
        kind.deprecation = Some(owned(version.text_if_set("deprecationWarning").unwrap_or(&standard)));
    }
    // Every version reads and writes the same objects.
    let stored = definition.child("status").map_or(0, |status| status.list("storedVersions").len());
    kind.stored_as = (stored > 1 || spec.list("versions").len() > 1).then(|| (owned(group), owned(plural)));
    if has_status {
        kind = kind.part("status", Part::Status, PART_VERBS);
    }
    match scale {
        Some(paths) => kind.scalable(paths),
        None => kind,
    }
}

/// `com.example.v1.Gear` for `example.com/v1`, as upstream names the type in OpenAPI documents.
fn type_name(group: &str, version: &str, kind: &str) -> String {
    let mut parts: Vec<&str> = group.rsplit('.').collect();
    parts.extend([version, kind]);
    parts.join(".")
}

fn scale_paths(scale: &Value) -> ScalePaths {
    let pointer = |path: &str| Cow::Owned(path.replace('.', "/"));
    ScalePaths {
        spec_replicas: pointer(scale.text("specReplicasPath")),
        status_replicas: pointer(scale.text("statusReplicasPath")),
        selector: scale.text_if_set("labelSelectorPath").map(pointer),
    }
}

/// The schema as it is published: with what every resource has.
fn published(document: &Value, gvk: &Value) -> Value {
    let mut out = if document.is_object() { document.clone() } else { json!({"type": "object"}) };
    let text = json!({"type": "string"});
    let metadata = json!({
        "description": "Standard object's metadata.",
        "allOf": [{"$ref": "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}],
    });
    if let Some(map) = out.as_object_mut() {
        map.insert("x-kubernetes-group-version-kind".to_owned(), json!([gvk]));
        let keeps_all = map.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
        if map.contains_key("properties") || !keeps_all {
            let properties = map.entry("properties").or_insert_with(|| json!({}));
            if let Some(properties) = properties.as_object_mut() {
                for name in ["apiVersion", "kind"] {
                    properties.entry(name).or_insert_with(|| text.clone());
                }
                properties.insert("metadata".to_owned(), metadata);
            }
        }
    }
    out
}

/// The kinds of a definition, shared.
#[must_use]
pub fn shared_kinds(definition: &Value) -> Vec<Arc<Kind>> {
    kinds(definition).into_iter().map(Arc::new).collect()
}

#[cfg(test)]
mod tests;
