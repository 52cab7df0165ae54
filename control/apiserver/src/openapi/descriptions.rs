//! What types and fields are for, in upstream's words, for `kubectl explain`.
//!
//! The texts lie compressed in the binary (see `build.rs`) and are unpacked only while documents are made.

use std::collections::HashMap;
use std::io::Read as _;

use flate2::read::GzDecoder;
use serde_json::Value;

const PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptions.gz"));
/// A type that has the fields of every object, for types that have no descriptions of their own.
const ANY_OBJECT: &str = "io.k8s.api.core.v1.ConfigMap";

#[derive(Debug)]
pub(super) struct Descriptions(HashMap<String, Description>);

#[derive(Debug)]
struct Description {
    text: String,
    fields: HashMap<String, String>,
}

impl Descriptions {
    pub(super) fn unpack() -> Self {
        let mut text = String::new();
        if let Err(error) = GzDecoder::new(PACKED).read_to_string(&mut text) {
            // They are part of the binary, and a test reads them.
            tracing::error!(%error, "the descriptions cannot be unpacked");
        }
        let types = text.split('\x1e').filter_map(|record| {
            let mut parts = record.split('\x1d').filter_map(|part| part.split_once('\x1f'));
            let (name, text) = parts.next()?;
            let fields = parts.map(|(field, text)| (field.to_owned(), text.to_owned())).collect();
            Some((name.to_owned(), Description { text: text.to_owned(), fields }))
        });
        Self(types.collect())
    }

    /// Adds the description of the type and those of its fields, where the schema has none.
    pub(super) fn add_to(&self, name: &str, schema: &mut Value) {
        let own = self.0.get(name);
        if let Some(own) = own.filter(|own| !own.text.is_empty()) {
            describe(schema, &own.text);
        }
        let Some(fields) = own.or_else(|| self.0.get(ANY_OBJECT)).map(|description| &description.fields) else {
            return;
        };
        let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else { return };
        for (field, property) in properties {
            let common = own.is_some() || matches!(field.as_str(), "apiVersion" | "kind" | "metadata");
            if let Some(text) = fields.get(field).filter(|text| common && !text.is_empty()) {
                describe(property, text);
            }
        }
    }
}

fn describe(schema: &mut Value, text: &str) {
    if let Some(schema) = schema.as_object_mut() {
        schema.entry("description").or_insert_with(|| Value::from(text));
    }
}
