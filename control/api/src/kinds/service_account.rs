//! ServiceAccount: the identity of a pod.

use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::kind::{Behaviour, Column, Kind, Part, Verb};
use crate::kinds::columns;
use crate::kinds::fields::{Fields, items_mut};

const ENFORCE_MOUNTABLE: &str = "kubernetes.io/enforce-mountable-secrets";
const SECRETS: &str = "Secrets is a list of the secrets in the same namespace that pods running using this ServiceAccount are allowed to use. Pods are only limited to this list if this service account has a \"kubernetes.io/enforce-mountable-secrets\" annotation set to \"true\". The \"kubernetes.io/enforce-mountable-secrets\" annotation is deprecated since v1.32. Prefer separate namespaces to isolate access to mounted secrets. This field should not be used to find auto-generated service account token secrets for use outside of pods. Instead, tokens can be requested directly using the TokenRequest API, or service account token secrets can be manually created. More info: https://kubernetes.io/docs/concepts/configuration/secret";

static COLUMNS: LazyLock<Vec<Column>> =
    LazyLock::new(|| vec![columns::name(), columns::text("Secrets", SECRETS), columns::age()]);

#[derive(Debug)]
struct ServiceAccount;

pub(super) fn kind() -> Kind {
    Kind::new("", "v1", "ServiceAccount", "serviceaccounts", ServiceAccount)
        .schema("io.k8s.api.core.v1.ServiceAccount")
        .short_names(&["sa"])
        .returns_what_it_deletes()
        .subresource("token", ("authentication.k8s.io", "v1", "TokenRequest"), &[Verb::Create])
}

impl Behaviour for ServiceAccount {
    fn prepare_create(&self, object: &mut Value) {
        keep_names_of_secrets(object);
    }

    fn prepare_update(&self, _part: Part, new: &mut Value, _old: &Value) {
        keep_names_of_secrets(new);
    }

    fn revalidates_metadata(&self, _part: Part) -> bool {
        true
    }

    fn warnings(&self, new: &Value, old: Option<&Value>) -> Vec<String> {
        let annotated = |object: &Value| object.at(&["metadata", "annotations", ENFORCE_MOUNTABLE]).is_some();
        if !annotated(new) || old.is_some_and(annotated) {
            return Vec::new();
        }
        vec![format!(
            "metadata.annotations[{ENFORCE_MOUNTABLE}]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets"
        )]
    }

    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![columns::name_cell(object), Value::from(object.list("secrets").len()), columns::age_cell(object, now)]
    }
}

/// A reference to a secret is by name only.
fn keep_names_of_secrets(object: &mut Value) {
    for reference in items_mut(object, "secrets") {
        let name = reference.text("name").to_owned();
        *reference = if name.is_empty() { json!({}) } else { json!({ "name": name }) };
    }
}
