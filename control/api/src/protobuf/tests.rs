use super::*;
use crate::schema::Schema;
use proptest::prelude::*;
use serde_json::json;

fn ty(name: &str) -> TypeRef<'static> {
    Schema::builtin().find(name).unwrap()
}

/// Writes a field: number, and bytes as they are.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = tag(number, 2);
    out.push(u8::try_from(bytes.len()).unwrap());
    out.extend_from_slice(bytes);
    out
}

fn number(field: u8, value: u8) -> Vec<u8> {
    [tag(field, 0), vec![value]].concat()
}

fn tag(number: u8, wire: u8) -> Vec<u8> {
    match number {
        0..16 => vec![number << 3 | wire],
        _ => vec![(number & 15) << 3 | wire | 0x80, number >> 4],
    }
}

fn body(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let meta = [field(1, api_version.as_bytes()), field(2, kind.as_bytes())].concat();
    [MAGIC.to_vec(), field(1, &meta), field(2, raw)].concat()
}

#[test]
fn the_table_has_the_kinds_of_the_schema() {
    for kind in crate::kinds::kinds().iter().chain(crate::kinds::request_kinds()) {
        assert!(MESSAGES.contains_key(&*kind.schema), "{}", kind.schema);
    }
}

#[test]
fn a_config_map_is_read() {
    let entry = [field(1, b"k"), field(2, b"v")].concat();
    let metadata = [field(1, b"x"), field(8, b"")].concat();
    let raw = [field(1, &metadata), field(2, &entry)].concat();
    let object = read(&body("v1", "ConfigMap", &raw), ty("io.k8s.api.core.v1.ConfigMap")).unwrap();
    assert_eq!(
        object,
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "x", "creationTimestamp": null}, "data": {"k": "v"},
        })
    );
}

#[test]
fn what_json_shows_flat_is_found_in_its_message() {
    // A volume's source, and a probe's handler with an int-or-string in it.
    let volume = [field(1, b"v"), field(2, &field(2, b""))].concat();
    let port = [number(1, 0), number(2, 80)].concat();
    let probe = [field(1, &field(2, &[field(1, b"/"), field(2, &port)].concat())), number(2, 5)].concat();
    let limit = [field(1, b"cpu"), field(2, &field(1, b"500m"))].concat();
    let container = [field(1, b"c"), field(8, &field(1, &limit)), field(10, &probe), number(17, 1)].concat();
    let spec = [field(1, &volume), field(2, &container)].concat();
    let object = read(&body("v1", "Pod", &field(2, &spec)), ty("io.k8s.api.core.v1.Pod")).unwrap();
    assert_eq!(
        object["spec"],
        json!({
            "volumes": [{"name": "v", "emptyDir": {}}],
            "containers": [{
                "name": "c", "stdinOnce": true, "resources": {"limits": {"cpu": "500m"}},
                "livenessProbe": {"httpGet": {"path": "/", "port": 80}, "initialDelaySeconds": 5},
            }],
        })
    );
}

#[test]
fn times_and_bytes_take_their_json_form() {
    let time = [8, 0x80, 0x80, 0xe0, 0xca, 0x06];
    let raw = [field(1, &field(8, &time)), field(2, &[field(1, b"k"), field(2, &[0, 255])].concat())].concat();
    let object = read(&body("v1", "Secret", &raw), ty("io.k8s.api.core.v1.Secret")).unwrap();
    assert_eq!(object["data"], json!({"k": "AP8="}));
    assert_eq!(object["metadata"]["creationTimestamp"], "2026-01-02T17:27:28Z");
}

#[test]
fn what_is_no_such_body_is_refused() {
    let pod = ty("io.k8s.api.core.v1.Pod");
    assert_eq!(read(b"{}", pod), Err(ReadProtobufError::NoMagic));
    assert!(matches!(read(b"k8s\0\x0a\xff", pod), Err(ReadProtobufError::Malformed { .. })));
    let bad_name = field(1, &field(1, &[0xff]));
    assert!(matches!(read(&body("v1", "Pod", &bad_name), pod), Err(ReadProtobufError::NotText { .. })));
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&[MAGIC, &bytes].concat(), ty("io.k8s.api.core.v1.Pod"));
    }

    #[test]
    fn no_raw_message_panics(raw in prop::collection::vec(any::<u8>(), 0..120)) {
        let _ = read(&body("v1", "Pod", &raw), ty("io.k8s.api.core.v1.Pod"));
        let _ = read(&body("v1", "Event", &raw), ty("io.k8s.api.core.v1.Event"));
    }
}
