//! One OpenAPI v3 document: the paths of a group and version, and the schemas that they speak of.

use std::collections::BTreeMap;
use std::sync::Arc;

use coracle_control_api::kind::{Kind, Subresource, Verb};
use coracle_control_api::schema::Schema;
use serde_json::{Map, Value, json};

use super::descriptions::Descriptions;

const DELETE_OPTIONS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions";
const STATUS: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";
const PATCH: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";

const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";
const STRATEGIC: &str = "application/strategic-merge-patch+json";

const PATCH_TYPES: &[&str] =
    &["application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json", STRATEGIC];

/// `api/v1` or `apis/GROUP/VERSION`.
pub(super) fn path_of(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}

pub(super) fn build(kinds: &[Arc<Kind>], group: &str, version: &str, descriptions: &Descriptions) -> Value {
    let mut builder = Builder { paths: BTreeMap::new(), schemas: BTreeMap::new(), group, version };
    for kind in kinds.iter().filter(|kind| kind.group == group && kind.version == version) {
        builder.add_kind(kind);
    }
    for (name, schema) in &mut builder.schemas {
        descriptions.add_to(name, schema);
    }
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": "v1.34.0"},
        "paths": builder.paths,
        "components": {
            "schemas": builder.schemas,
            "securitySchemes": {"BearerToken": {
                "type": "apiKey", "name": "authorization", "in": "header",
                "description": "Bearer Token authentication",
            }},
        },
    })
}

struct Builder<'a> {
    paths: BTreeMap<String, Map<String, Value>>,
    schemas: BTreeMap<String, Value>,
    group: &'a str,
    version: &'a str,
}

/// One operation of a path.
struct Operation<'a> {
    method: &'static str,
    action: &'static str,
    kind: &'a str,
    /// The type of the request's body, if it has one.
    body: Option<String>,
    /// The type of the answer.
    answer: String,
    parameters: &'static [(&'static str, &'static str)],
    patch: bool,
    /// Whether a strategic merge patch is understood.
    strategic: bool,
}

const WRITE: &[(&str, &str)] = &[("dryRun", "string"), ("fieldManager", "string"), ("fieldValidation", "string")];
const PATCH_PARAMETERS: &[(&str, &str)] =
    &[("dryRun", "string"), ("fieldManager", "string"), ("fieldValidation", "string"), ("force", "boolean")];
const DELETE: &[(&str, &str)] = &[
    ("dryRun", "string"),
    ("gracePeriodSeconds", "integer"),
    ("ignoreStoreReadErrorWithClusterBreakingPotential", "boolean"),
    ("orphanDependents", "boolean"),
    ("propagationPolicy", "string"),
];
const LIST: &[(&str, &str)] = &[
    ("allowWatchBookmarks", "boolean"),
    ("continue", "string"),
    ("fieldSelector", "string"),
    ("labelSelector", "string"),
    ("limit", "integer"),
    ("resourceVersion", "string"),
    ("resourceVersionMatch", "string"),
    ("sendInitialEvents", "boolean"),
    ("timeoutSeconds", "integer"),
    ("watch", "boolean"),
];

impl Builder<'_> {
    fn add_kind(&mut self, kind: &Kind) {
        let root = format!("/{}", path_of(self.group, self.version));
        let list = format!("{}List", kind.schema);
        if kind.namespaced && kind.allows(Verb::List) {
            let operation = self.operation(Verb::List, kind, &list);
            self.add(&format!("{root}/{}", kind.plural), &[operation]);
        }
        let collection = if kind.namespaced {
            format!("{root}/namespaces/{{namespace}}/{}", kind.plural)
        } else {
            format!("{root}/{}", kind.plural)
        };
        let verbs =
            |wanted: &[Verb]| kind.verbs.iter().copied().filter(|verb| wanted.contains(verb)).collect::<Vec<_>>();
        if let Some(schema) = kind.behaviour.published_schema() {
            self.add_custom(kind, schema, &list);
        }
        let on_collection = verbs(&[Verb::List, Verb::Create, Verb::DeleteCollection]);
        let operations: Vec<_> = on_collection.iter().map(|verb| self.operation(*verb, kind, &list)).collect();
        self.add(&collection, &operations);
        let on_object = verbs(&[Verb::Get, Verb::Update, Verb::Patch, Verb::Delete]);
        let operations: Vec<_> = on_object.iter().map(|verb| self.operation(*verb, kind, &list)).collect();
        self.add(&format!("{collection}/{{name}}"), &operations);
        for subresource in &kind.subresources {
            let path = format!("{collection}/{{name}}/{}", subresource.name);
            self.add_subresource(kind, subresource, &path);
        }
        for name in
            [&*kind.schema, &list, DELETE_OPTIONS, STATUS, PATCH, "io.k8s.apimachinery.pkg.apis.meta.v1.WatchEvent"]
        {
            self.add_schema(name);
        }
    }

    fn operation<'k>(&self, verb: Verb, kind: &'k Kind, list: &str) -> Operation<'k> {
        let object = kind.schema.to_string();
        let operation = |method, action, body, answer, parameters| Operation {
            method,
            action,
            kind: &kind.kind,
            body,
            answer,
            parameters,
            patch: verb == Verb::Patch,
            strategic: kind.behaviour.custom_type().is_none(),
        };
        let options = Some(DELETE_OPTIONS.to_owned());
        match verb {
            Verb::List | Verb::Watch => operation("get", "list", None, list.to_owned(), LIST),
            Verb::Create => operation("post", "post", Some(object.clone()), object, WRITE),
            Verb::DeleteCollection => operation("delete", "deletecollection", options, STATUS.to_owned(), DELETE),
            Verb::Get => operation("get", "get", None, object, &[]),
            Verb::Update => operation("put", "put", Some(object.clone()), object, WRITE),
            Verb::Patch => operation("patch", "patch", Some(PATCH.to_owned()), object, PATCH_PARAMETERS),
            Verb::Delete => operation("delete", "delete", options, STATUS.to_owned(), DELETE),
        }
    }

    fn add_subresource(&mut self, kind: &Kind, subresource: &Subresource, path: &str) {
        if subresource.part.is_some() {
            let operations: Vec<_> =
                subresource.verbs.iter().map(|verb| self.operation(*verb, kind, &kind.schema)).collect();
            self.add(path, &operations);
            return;
        }
        // A subresource that speaks another kind: its type is known when it is one of the table's.
        let schema = Schema::builtin();
        let spoken = schema.named().find(|(_, ty)| {
            let group = if subresource.version.is_empty() { self.group } else { &*subresource.group };
            let version = if subresource.version.is_empty() { self.version } else { &*subresource.version };
            ty.kinds().count() == 1 && ty.kinds().any(|known| known == (group, version, &*subresource.kind))
        });
        let Some((name, _)) = spoken else { return };
        let operations: Vec<_> = subresource
            .verbs
            .iter()
            .map(|verb| Operation {
                kind: &subresource.kind,
                body: matches!(verb, Verb::Create | Verb::Update).then(|| name.to_owned()),
                answer: name.to_owned(),
                ..self.operation(*verb, kind, &kind.schema)
            })
            .collect();
        self.add(path, &operations);
        self.add_schema(name);
    }

    fn add(&mut self, path: &str, operations: &[Operation<'_>]) {
        if operations.is_empty() {
            return;
        }
        let mut item: Map<String, Value> =
            operations.iter().map(|operation| (operation.method.to_owned(), self.describe(operation, path))).collect();
        let mut parameters = Vec::new();
        for name in ["name", "namespace"] {
            if path.contains(&format!("{{{name}}}")) {
                parameters.push(json!({
                    "name": name, "in": "path", "required": true, "schema": {"type": "string", "uniqueItems": true},
                }));
            }
        }
        parameters.push(parameter("pretty", "string"));
        item.insert("parameters".to_owned(), Value::Array(parameters));
        self.paths.insert(path.to_owned(), item);
    }

    fn describe(&self, operation: &Operation<'_>, path: &str) -> Value {
        let reference = |name: &str| json!({"schema": {"$ref": format!("#/components/schemas/{name}")}});
        let mut out = Map::new();
        out.insert("tags".to_owned(), json!([self.tag()]));
        out.insert("operationId".to_owned(), json!(self.operation_id(operation, path)));
        out.insert("x-kubernetes-action".to_owned(), json!(operation.action));
        out.insert(
            "x-kubernetes-group-version-kind".to_owned(),
            json!({"group": self.group, "version": self.version, "kind": operation.kind}),
        );
        let parameters: Vec<Value> = operation.parameters.iter().map(|(name, kind)| parameter(name, kind)).collect();
        if !parameters.is_empty() {
            out.insert("parameters".to_owned(), Value::Array(parameters));
        }
        if let Some(body) = &operation.body {
            let types: &[&str] = if operation.patch { PATCH_TYPES } else { &["*/*"] };
            let types = types.iter().filter(|media| **media != STRATEGIC || operation.strategic);
            let content: Map<String, Value> = types.map(|media| ((*media).to_owned(), reference(body))).collect();
            let required = operation.method != "delete";
            out.insert("requestBody".to_owned(), json!({"content": content, "required": required}));
        }
        let answer = json!({
            "description": "OK",
            "content": {
                "application/json": reference(&operation.answer),
                "application/yaml": reference(&operation.answer),
            },
        });
        out.insert("responses".to_owned(), json!({"200": answer, "401": {"description": "Unauthorized"}}));
        Value::Object(out)
    }

    /// `core_v1`, `apps_v1`, `coordination_v1`.
    fn tag(&self) -> String {
        let group = if self.group.is_empty() { "core" } else { self.group.trim_end_matches(".k8s.io") };
        format!("{}_{}", group.replace('.', "_"), self.version)
    }

    /// A name for the operation that no other in the document has.
    fn operation_id(&self, operation: &Operation<'_>, path: &str) -> String {
        let mut id = String::from(operation.action);
        let camel = |text: &str| -> String {
            text.split(|character: char| !character.is_ascii_alphanumeric())
                .filter(|word| !word.is_empty())
                .map(|word| word[..1].to_ascii_uppercase() + &word[1..])
                .collect()
        };
        id.push_str(&camel(&self.tag()));
        let rest = path.trim_start_matches(&format!("/{}/", path_of(self.group, self.version)));
        id.push_str(&camel(&rest.replace("namespaces/{namespace}/", "namespaced/").replace("/{name}", "/object")));
        id
    }

    /// A schema and all that it refers to.
    /// The schemas of a custom resource, which are in no table, and of lists of it.
    fn add_custom(&mut self, kind: &Kind, schema: &Value, list: &str) {
        let reference = |name: &str| json!({"allOf": [{"$ref": format!("#/components/schemas/{name}")}]});
        let gvk = json!([{"group": self.group, "version": self.version, "kind": kind.list_kind}]);
        let body = json!({
            "type": "object",
            "required": ["items"],
            "properties": {
                "apiVersion": {"type": "string"},
                "kind": {"type": "string"},
                "metadata": reference(LIST_META),
                "items": {"type": "array", "items": reference(&kind.schema)},
            },
            "x-kubernetes-group-version-kind": gvk,
        });
        self.schemas.insert(kind.schema.to_string(), schema.clone());
        self.schemas.insert(list.to_owned(), body);
        self.add_schema(OBJECT_META);
        self.add_schema(LIST_META);
    }

    fn add_schema(&mut self, name: &str) {
        let mut waiting = vec![name.to_owned()];
        while let Some(name) = waiting.pop() {
            if self.schemas.contains_key(&name) {
                continue;
            }
            let body = match Schema::builtin().find(&name) {
                Some(ty) => ty.openapi(),
                // The patch type has no shape upstream either.
                None if name == PATCH => json!({"type": "object"}),
                None => continue,
            };
            collect_references(&body, &mut waiting);
            self.schemas.insert(name, body);
        }
    }
}

fn parameter(name: &str, kind: &str) -> Value {
    json!({"name": name, "in": "query", "schema": {"type": kind, "uniqueItems": true}})
}

/// The types that a schema refers to.
fn collect_references(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            if let Some(name) = map.get("$ref").and_then(Value::as_str) {
                out.extend(name.strip_prefix("#/components/schemas/").map(str::to_owned));
            }
            map.values().for_each(|value| collect_references(value, out));
        }
        Value::Array(items) => items.iter().for_each(|value| collect_references(value, out)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
