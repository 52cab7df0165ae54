//! The smallest thing that answers requests with the kinds: no store, no HTTP, no managed fields. It stands in for the
//! API server so that the recorded answers can be held against the kinds alone.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::decode::{FieldValidation, Target, decode};
use crate::kind::{Kind, Part, Pool, find, find_kind};
use crate::kinds::fields::{self, Fields};
use crate::kinds::pod::binding::bind;
use crate::kinds::scale;
use crate::patch::{PatchKind, patch};
use crate::schema::{Schema, default_by_schema, fill_zeros};
use crate::status::Status;

pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) accept: &'a str,
    pub(super) content_type: &'a str,
    pub(super) body: String,
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) code: u16,
    pub(super) warnings: Vec<String>,
    pub(super) body: Value,
}

#[derive(Default)]
pub(super) struct Server {
    objects: BTreeMap<String, Value>,
    revision: u64,
}

struct Address<'a> {
    kind: &'static Kind,
    namespace: &'a str,
    name: &'a str,
    subresource: &'a str,
    query: &'a str,
}

impl<'a> Address<'a> {
    fn of(path: &'a str) -> Option<Self> {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let mut parts = path.split('/').skip(1);
        let (group, version) = match parts.next()? {
            "api" => ("", parts.next()?),
            _ => (parts.next()?, parts.next()?),
        };
        let mut rest: Vec<&str> = parts.collect();
        let mut namespace = "";
        if rest.first() == Some(&"namespaces") && rest.len() > 2 && !matches!(rest[2], "status" | "finalize") {
            namespace = rest[1];
            rest.drain(..2);
        }
        let kind = find(group, version, rest.first()?)?;
        let at = |index: usize| rest.get(index).copied().unwrap_or_default();
        Some(Self { kind, namespace, name: at(1), subresource: at(2), query })
    }

    fn has(&self, pair: &str) -> bool {
        self.query.split('&').any(|own| own == pair)
    }

    fn parameter(&self, name: &str) -> Option<String> {
        let value = self.query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
        Some(value.replace("%3D", "=").replace("%21", "!").replace("%2C", ","))
    }

    fn validation(&self) -> FieldValidation {
        FieldValidation::parse(&self.parameter("fieldValidation").unwrap_or_default()).unwrap()
    }

    fn target(&self) -> Target<'static> {
        let kind = self.kind;
        let schema = Schema::builtin().find(&kind.schema).unwrap();
        Target { group: &kind.group, version: &kind.version, kind: &kind.kind, schema }
    }

    fn key(&self, name: &str) -> String {
        self.kind.storage_key(self.namespace, name)
    }

    fn not_found(&self) -> Status {
        Status::not_found(&self.kind.group, &self.kind.plural, self.name)
    }
}

/// Nothing is taken, and one number after the other is random.
struct Free(u64);

impl Pool for Free {
    fn is_taken(&self, _claim: &str) -> bool {
        false
    }

    fn random(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }
}

type Outcome = Result<(u16, Value, Vec<String>), Status>;

impl Server {
    /// `None` for a request that this server has no idea of.
    pub(super) fn answer(&mut self, request: &Request<'_>) -> Option<Answer> {
        let address = Address::of(request.path)?;
        let deprecation = address.kind.deprecation.iter().map(ToString::to_string);
        if address.has("watch=true") || address.has("watch=1") {
            return None;
        }
        let outcome = match (request.method, address.subresource) {
            ("POST", "") if address.name.is_empty() => self.create(&address, &request.body),
            (method, "scale") if address.kind.scale.is_some() => {
                self.scale(&address, method, request.content_type, &request.body)
            }
            (_, name) if !name.is_empty() && address.kind.find_subresource(name).is_none() => {
                Err(Status::unknown_resource())
            }
            ("POST", "binding") => self.bind(&address, &request.body),
            ("GET", "") => self.read(&address, request.accept)?,
            ("DELETE", "") if request.body.is_empty() => self.delete(&address),
            ("PUT", "") => self.put(&address, &request.body)?,
            ("PATCH", subresource) => {
                let part = match subresource {
                    "" => Part::Object,
                    name => address.kind.find_subresource(name)?.part?,
                };
                let kind = match request.content_type {
                    "application/merge-patch+json" => PatchKind::Merge,
                    "application/strategic-merge-patch+json" => PatchKind::Strategic,
                    "application/json-patch+json" => PatchKind::Json,
                    _ => return None,
                };
                self.patch(&address, part, kind, &request.body)
            }
            _ => return None,
        };
        Some(match outcome {
            Ok((code, body, warnings)) => Answer { code, warnings: deprecation.chain(warnings).collect(), body },
            Err(status) => {
                Answer { code: status.http_code(), warnings: deprecation.collect(), body: status.to_value() }
            }
        })
    }

    fn create(&mut self, address: &Address<'_>, body: &str) -> Outcome {
        let kind = address.kind;
        let decoded = decode(body.as_bytes(), &address.target(), address.validation())?;
        let (mut object, mut warnings) = (decoded.object, decoded.warnings);
        if let Some(metadata) = fields::object_mut(&mut object, "metadata") {
            let prefix = metadata.text("generateName").to_owned();
            if metadata.text("name").is_empty() && !prefix.is_empty() {
                fields::set(metadata, "name", format!("{prefix}abcde"));
            }
            if kind.namespaced {
                if !matches!(metadata.text("namespace"), "" | "case-ns") {
                    return Err(Status::bad_request(
                        "the namespace of the provided object does not match the namespace sent on the request",
                    ));
                }
                fields::set(metadata, "namespace", address.namespace);
            }
        }
        default(kind, &mut object);
        admit(kind, &mut object)?;
        if let Some(metadata) = fields::object_mut(&mut object, "metadata") {
            fields::set(metadata, "uid", "00000000-0000-0000-0000-000000000000");
            fields::set(metadata, "creationTimestamp", "2026-01-01T00:00:00Z");
        }
        kind.prepare_create(&mut object);
        let mut errors = kind.behaviour.allocate(&mut object, None, &mut Free(self.revision));
        fill_zeros(address.target().schema, &mut object);
        let name = object["metadata"].text("name").to_owned();
        errors.extend(kind.validate_create(&object));
        if !errors.is_empty() {
            return Err(Status::invalid(&kind.group, &kind.kind, &name, &errors));
        }
        warnings.extend(kind.warnings(&object, None));
        default(kind, &mut object);
        let key = address.key(&name);
        if self.objects.contains_key(&key) {
            return Err(Status::already_exists(&kind.group, &kind.plural, &name));
        }
        if !address.has("dryRun=All") {
            object = self.store(kind, key, object);
        }
        Ok((201, object, warnings))
    }

    fn store(&mut self, kind: &Kind, key: String, mut object: Value) -> Value {
        self.revision += 1;
        object["metadata"]["resourceVersion"] = Value::from(self.revision.to_string());
        let mut stored = object.clone();
        kind.behaviour.to_stored(&mut stored);
        self.objects.insert(key, stored);
        object
    }

    fn load(&self, address: &Address<'_>) -> Result<Value, Status> {
        let mut object = self.objects.get(&address.key(address.name)).cloned().ok_or_else(|| address.not_found())?;
        address.kind.behaviour.from_stored(&mut object);
        Ok(object)
    }

    fn bind(&mut self, address: &Address<'_>, body: &str) -> Outcome {
        let mut pod = self.load(address)?;
        let binding: Value = serde_json::from_str(body).unwrap();
        bind(&mut pod, &binding, now())
            .map_err(|error| Status::conflict("", "pods/binding", address.name, &error.to_string()))?;
        self.store(address.kind, address.key(address.name), pod);
        Ok((201, Status::success(201).to_value(), Vec::new()))
    }

    fn put(&mut self, address: &Address<'_>, body: &str) -> Option<Outcome> {
        let decoded = match decode(body.as_bytes(), &address.target(), address.validation()) {
            Ok(decoded) => decoded,
            Err(status) => return Some(Err(status)),
        };
        let name = decoded.object["metadata"].text("name").to_owned();
        if name != address.name {
            let message =
                format!("the name of the object ({name}) does not match the name on the URL ({})", address.name);
            return Some(Err(Status::bad_request(message)));
        }
        let old = match self.load(address) {
            Ok(old) => old,
            Err(_) if address.kind.create_on_update => return None,
            Err(status) => return Some(Err(status)),
        };
        let version = decoded.object["metadata"].text("resourceVersion");
        if !version.is_empty() && version != old["metadata"].text("resourceVersion") {
            return Some(Err(Status::modified(&address.kind.group, &address.kind.plural, address.name)));
        }
        Some(self.update(address, Part::Object, decoded.object, &old, decoded.warnings))
    }

    fn patch(&mut self, address: &Address<'_>, part: Part, kind: PatchKind, body: &str) -> Outcome {
        let old = self.load(address)?;
        let decoded = patch(kind, &old, body.as_bytes(), &address.target(), address.validation())?;
        self.update(address, part, decoded.object, &old, decoded.warnings)
    }

    fn scale(&mut self, address: &Address<'_>, method: &str, content_type: &str, body: &str) -> Outcome {
        let mut object = self.load(address)?;
        let paths = address.kind.scale.as_ref().unwrap();
        let scale = find_kind("autoscaling", "v1", "Scale").unwrap();
        let old = scale::of_object(paths, &object);
        let schema = Schema::builtin().find(&scale.schema).unwrap();
        let target = Target { group: &scale.group, version: &scale.version, kind: &scale.kind, schema };
        let new = match (method, content_type) {
            ("GET", _) => return Ok((200, old, Vec::new())),
            ("PUT", _) => decode(body.as_bytes(), &target, address.validation())?,
            _ => patch(PatchKind::Merge, &old, body.as_bytes(), &target, address.validation())?,
        };
        let mut new = new.object;
        default(scale, &mut new);
        let errors = scale.behaviour.validate_create(&new);
        if !errors.is_empty() {
            return Err(Status::invalid(&scale.group, &scale.kind, address.name, &errors));
        }
        let old = object.clone();
        scale::into_object(paths, &mut object, &new);
        let (_, object, _) = self.update(address, Part::Object, object, &old, Vec::new())?;
        Ok((200, scale::of_object(paths, &object), Vec::new()))
    }

    fn update(
        &mut self,
        address: &Address<'_>,
        part: Part,
        mut new: Value,
        old: &Value,
        mut warnings: Vec<String>,
    ) -> Outcome {
        let kind = address.kind;
        if let Some(metadata) = fields::object_mut(&mut new, "metadata") {
            fields::copy_from(metadata, &old["metadata"], "resourceVersion");
            fields::copy_from(metadata, &old["metadata"], "namespace");
        }
        default(kind, &mut new);
        kind.prepare_update(part, &mut new, old);
        let mut errors = match part {
            Part::Object => kind.behaviour.allocate(&mut new, Some(old), &mut Free(self.revision)),
            _ => Vec::new(),
        };
        fill_zeros(address.target().schema, &mut new);
        errors.extend(kind.validate_update(part, &new, old));
        if !errors.is_empty() {
            return Err(Status::invalid(&kind.group, &kind.kind, address.name, &errors));
        }
        warnings.extend(kind.warnings(&new, Some(old)));
        let gone = new["metadata"].has("deletionTimestamp") && new["metadata"].list("finalizers").is_empty();
        if gone {
            self.objects.remove(&address.key(address.name));
            return Ok((200, new, warnings));
        }
        let new = self.store(kind, address.key(address.name), new);
        Ok((200, new, warnings))
    }

    fn delete(&mut self, address: &Address<'_>) -> Outcome {
        let mut object = self.load(address)?;
        if address.kind.orphans_dependents {
            object["metadata"]["finalizers"] = json!(["orphan"]);
            object["metadata"]["generation"] = json!(2);
        }
        if !object["metadata"].list("finalizers").is_empty() {
            object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            object["metadata"]["deletionGracePeriodSeconds"] = json!(0);
            let object = self.store(address.kind, address.key(address.name), object);
            return Ok((200, object, Vec::new()));
        }
        self.objects.remove(&address.key(address.name));
        let (kind, uid) = (address.kind, object["metadata"].text("uid").to_owned());
        let body = match kind.delete_returns_object {
            true => object,
            false => Status::deleted(&kind.group, &kind.plural, address.name, &uid).to_value(),
        };
        Ok((200, body, Vec::new()))
    }

    fn read(&self, address: &Address<'_>, accept: &str) -> Option<Outcome> {
        let kind = address.kind;
        let list = address.name.is_empty();
        let mut objects = Vec::new();
        if list {
            let prefix = kind.namespace_prefix(address.namespace);
            for stored in self.objects.iter().filter(|(key, _)| key.starts_with(&prefix)).map(|(_, value)| value) {
                let mut object = stored.clone();
                kind.behaviour.from_stored(&mut object);
                if selected(address, &object)? {
                    objects.push(object);
                }
            }
        } else {
            match self.load(address) {
                Ok(object) => objects.push(object),
                Err(status) => return Some(Err(status)),
            }
        }
        let mut first = objects.first().cloned().unwrap_or_default();
        let body = if accept.contains("as=Table") {
            table(kind, &objects, self.revision)
        } else if list {
            json!({
                "apiVersion": kind.api_version(), "kind": kind.list_kind, "items": objects,
                "metadata": { "resourceVersion": self.revision.to_string() },
            })
        } else {
            if accept.contains("as=PartialObjectMetadata") {
                let mut metadata = first["metadata"].take();
                kind.hide_version_annotations(&mut metadata);
                first = json!({
                    "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": metadata,
                });
            }
            first
        };
        Some(Ok((200, body, Vec::new())))
    }
}

/// Selectors with `=` only; `None` for anything cleverer.
fn selected(address: &Address<'_>, object: &Value) -> Option<bool> {
    for (parameter, label) in [("fieldSelector", false), ("labelSelector", true)] {
        let Some(selector) = address.parameter(parameter) else { continue };
        for term in selector.split(',') {
            let (key, value) = term.split_once('=')?;
            let value = value.strip_prefix('=').unwrap_or(value);
            let (key, wanted) = match key.strip_suffix('!') {
                Some(key) => (key, false),
                None => (key, true),
            };
            let own = if label {
                object.at(&["metadata", "labels", key]).and_then(Value::as_str).unwrap_or_default().to_owned()
            } else {
                address.kind.field_value(object, key)?
            };
            if (own == value) != wanted {
                return Some(false);
            }
        }
    }
    Some(true)
}

fn table(kind: &Kind, objects: &[Value], revision: u64) -> Value {
    let columns: Vec<Value> = kind
        .behaviour
        .columns()
        .iter()
        .map(|column| {
            json!({
                "name": column.name, "type": column.kind, "format": column.format, "priority": column.priority,
                "description": column.description,
            })
        })
        .collect();
    let rows: Vec<Value> =
        objects.iter().map(|object| json!({ "cells": kind.behaviour.cells(object, now()) })).collect();
    json!({
        "apiVersion": "meta.k8s.io/v1", "kind": "Table", "columnDefinitions": columns, "rows": rows,
        "metadata": { "resourceVersion": revision.to_string() },
    })
}

pub(super) fn now() -> Timestamp {
    "2026-01-01T00:00:05Z".parse().unwrap()
}

/// Defaulting as the API server does it.
pub(super) fn default(kind: &Kind, object: &mut Value) {
    let schema = Schema::builtin().find(&kind.schema).unwrap();
    default_by_schema(schema, object);
    kind.default(object);
    fill_zeros(schema, object);
}

/// What the admission plugins of the recorded server did to these kinds.
fn admit(kind: &Kind, object: &mut Value) -> Result<(), Status> {
    match &*kind.kind {
        "PersistentVolumeClaim" => {
            object["metadata"]["finalizers"] = json!(["kubernetes.io/pvc-protection"]);
        }
        "Node" => {
            let taint = json!({ "key": "node.kubernetes.io/not-ready", "effect": "NoSchedule" });
            object["spec"]["taints"] = json!([taint]);
        }
        "Pod" if object.at(&["spec", "priorityClassName"]).is_some() || object.at(&["spec", "priority"]).is_some() => {
            return Err(Status::forbidden("", "pods", "x", "not in this test"));
        }
        "Pod" => {
            let spec = &mut object["spec"];
            fields::set(spec, "priority", 0);
            fields::set(spec, "preemptionPolicy", "PreemptLowerPriority");
            let mut tolerations = spec.list("tolerations").to_vec();
            for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
                tolerations
                    .push(json!({ "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300 }));
            }
            fields::set(spec, "tolerations", tolerations);
        }
        _ => {}
    }
    Ok(())
}
