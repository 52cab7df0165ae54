use super::super::read;
use super::*;
use crate::decode::{FieldValidation, Target, decode};
use crate::kind::Kind;
use crate::schema::fill_zeros;
use crate::schema::generate::Generator;
use proptest::prelude::*;
use serde_json::json;

fn every_kind() -> impl Iterator<Item = &'static Kind> {
    crate::kinds::kinds().iter().chain(crate::kinds::request_kinds()).map(|kind| &**kind)
}

fn type_of(kind: &Kind) -> TypeRef<'static> {
    Schema::builtin().find(&kind.schema).unwrap()
}

/// The object as the server keeps it.
fn settle(kind: &Kind, object: &Value) -> Value {
    let schema = type_of(kind);
    let target = Target { group: &kind.group, version: &kind.version, kind: &kind.kind, schema };
    let bytes = serde_json::to_vec(object).unwrap();
    let mut object = decode(&bytes, &target, FieldValidation::Ignore).unwrap().object;
    fill_zeros(schema, &mut object);
    object
}

#[track_caller]
fn check_round(kind: &Kind, object: &Value) {
    let written = write(object).unwrap();
    let back = settle(kind, &read(&written, type_of(kind)).unwrap());
    if back != *object {
        let (was, back) = (object.to_string(), back.to_string());
        let at = was.bytes().zip(back.bytes()).position(|(one, other)| one != other).unwrap_or(0).saturating_sub(200);
        let cut = |text: &str| String::from_utf8_lossy(&text.as_bytes()[at..(at + 400).min(text.len())]).into_owned();
        panic!("{}\nwas  ...{}\nback ...{}", kind.kind, cut(&was), cut(&back));
    }
    let again = write(&back).unwrap();
    assert_eq!(again, written, "{}", kind.kind);
}

#[test]
fn a_config_map_is_written_as_upstream_writes_it() {
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "x", "resourceVersion": "7", "creationTimestamp": "1970-01-01T00:00:01Z"},
        "data": {"b": "2", "a": ""},
    });
    let metadata: &[&[u8]] = &[b"\x0a\x01x\x12\0\x1a\0\x22\0\x2a\0\x32\x017\x38\0", b"\x42\x04\x08\x01\x10\0"];
    let metadata = metadata.concat();
    let raw = [
        &[0x0a, u8::try_from(metadata.len()).unwrap()],
        &metadata[..],
        b"\x12\x05\x0a\x01a\x12\0",
        b"\x12\x06\x0a\x01b\x12\x012",
    ]
    .concat();
    let envelope = [
        &b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12"[..],
        &[u8::try_from(raw.len()).unwrap()],
        &raw,
        b"\x1a\0\x22\0",
    ]
    .concat();
    assert_eq!(write(&object).unwrap(), envelope);
}

#[test]
fn an_event_has_its_length_before_it_and_its_object_in_an_envelope() {
    let object = json!({"apiVersion": "v1", "kind": "Status", "metadata": {}, "code": 410});
    let mut out = Vec::new();
    write_event(&mut out, "ERROR", &object).unwrap();
    let length = u32::from_be_bytes(out[..4].try_into().unwrap());
    assert_eq!(usize::try_from(length).unwrap(), out.len() - 4);
    assert!(out[4..].starts_with(b"\x0a\x05ERROR\x12"));
    let at = out.windows(4).position(|bytes| bytes == MAGIC).unwrap();
    let status = Schema::builtin().find("io.k8s.apimachinery.pkg.apis.meta.v1.Status").unwrap();
    assert_eq!(read(&out[at..], status).unwrap()["code"], 410);
}

#[test]
fn lists_and_metadata_alone_are_written() {
    let pods = json!({
        "apiVersion": "v1", "kind": "PodList", "metadata": {"resourceVersion": "7", "remainingItemCount": 3},
        "items": [{"metadata": {"name": "a"}, "spec": {}, "status": {}}],
    });
    let list = Schema::builtin().find("io.k8s.api.core.v1.PodList").unwrap();
    let back = read(&write(&pods).unwrap(), list).unwrap();
    assert_eq!(back["metadata"]["remainingItemCount"], 3);
    assert_eq!(back["items"][0]["metadata"]["name"], "a");
    let partial = |kind: &str, extra: Value| {
        let mut object = json!({"apiVersion": "meta.k8s.io/v1", "kind": kind, "metadata": {}});
        object.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        write(&object).unwrap()
    };
    // The message of an object of which nothing but the metadata is there.
    let namespace = Schema::builtin().find("io.k8s.api.core.v1.Namespace").unwrap();
    let one = read(&partial("PartialObjectMetadata", json!({"metadata": {"name": "a"}})), namespace).unwrap();
    assert_eq!(one["metadata"]["name"], "a");
    assert_eq!(one["apiVersion"], "meta.k8s.io/v1");
    let many = partial("PartialObjectMetadataList", json!({"items": [{"metadata": {"name": "a"}}]}));
    assert_eq!(read(&many, list).unwrap()["items"][0]["metadata"]["name"], "a");
}

#[test]
fn what_has_no_message_is_refused() {
    for object in [json!({"apiVersion": "example.com/v1", "kind": "Widget"}), json!(null)] {
        assert!(write(&object).is_err());
    }
    let table = json!({"apiVersion": "meta.k8s.io/v1", "kind": "Table"});
    assert!(write(&table).unwrap_err().to_string().starts_with("object Table does not implement"));
}

#[test]
fn every_kind_can_be_written() {
    for kind in every_kind() {
        let object = settle(kind, &json!({"apiVersion": kind.api_version(), "kind": kind.kind, "metadata": {}}));
        check_round(kind, &object);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_as_the_same_object(seed: u64) {
        for kind in every_kind() {
            let generated = Generator::new(seed).object(type_of(kind), &kind.api_version(), &kind.kind);
            check_round(kind, &settle(kind, &generated));
        }
    }
}
