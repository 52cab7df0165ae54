//! Readers that are functions of their input.

use coracle_control_api::cel::{Budget, Program, Variables, from_json};
use coracle_control_api::decode::{FieldValidation, Target as Expected, decode};
use coracle_control_api::patch::{PatchKind, patch};
use coracle_control_api::protobuf;
use coracle_control_api::quantity::Quantity;
use coracle_control_api::remote_command::FrameDecoder;
use coracle_control_api::schema::{Schema, TypeRef};
use coracle_control_api::selector::{FieldSelector, LabelSelector};
use serde_json::{Value, json};

use super::Target;

/// Units that one expression may spend.
const BUDGET: u64 = 100_000;

pub(crate) fn pod() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "x", "labels": {"a": "b"}, "finalizers": ["x/y"], "creationTimestamp": "2026-01-02T03:04:05Z"},
        "spec": {
            "nodeSelector": {"k": "v"},
            "containers": [
                {"name": "c", "image": "i", "env": [{"name": "A", "value": "1"}], "args": ["a", "b"],
                 "ports": [{"containerPort": 80, "protocol": "TCP"}],
                 "livenessProbe": {"httpGet": {"path": "/", "port": "web"}},
                 "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}}},
                {"name": "d", "image": "j"},
            ],
            "volumes": [{"name": "v", "emptyDir": {}}],
        },
    })
}

fn ty() -> TypeRef<'static> {
    Schema::builtin().find("io.k8s.api.core.v1.Pod").expect("pods are in the table")
}

fn expected() -> Expected<'static> {
    Expected { group: "", version: "v1", kind: "Pod", schema: ty() }
}

fn json_bytes(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

fn texts(list: &[&str]) -> Vec<Vec<u8>> {
    list.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn target(name: &'static str, seeds: Vec<Vec<u8>>, read: impl Fn(&[u8]) + 'static) -> Target {
    Target {
        name,
        seeds,
        read: Box::new(move |input| {
            read(input);
            Ok(())
        }),
    }
}

pub(crate) fn targets() -> Vec<Target> {
    let written = protobuf::write(&pod()).expect("pods have a message");
    vec![
        target("decode JSON", vec![json_bytes(&pod())], |input| {
            for validation in [FieldValidation::Strict, FieldValidation::Warn] {
                let _ = decode(input, &expected(), validation);
            }
        }),
        Target {
            name: "decode protobuf, and write again what was read",
            seeds: vec![written],
            read: Box::new(|input| match protobuf::read(input, ty()) {
                Ok(mut object) => {
                    object["apiVersion"] = json!("v1");
                    object["kind"] = json!("Pod");
                    protobuf::write(&object).map(drop).map_err(|error| error.to_string())
                }
                Err(_) => Ok(()),
            }),
        },
        patches(
            "JSON patch",
            PatchKind::Json,
            &[
                json!([{"op": "test", "path": "/metadata/name", "value": "x"}, {"op": "remove", "path": "/spec/volumes/0"}]),
                json!([{"op": "move", "from": "/spec/containers/1", "path": "/spec/containers/-"},
                   {"op": "copy", "from": "/metadata", "path": "/metadata/labels"}, {"op": "add", "path": "", "value": {}}]),
            ],
        ),
        patches(
            "merge patch",
            PatchKind::Merge,
            &[json!({"metadata": {"labels": {"a": null, "c": "d"}}, "spec": null})],
        ),
        patches(
            "strategic merge patch",
            PatchKind::Strategic,
            &[
                json!({"spec": {"$setElementOrder/containers": [{"name": "d"}, {"name": "c"}],
                "containers": [{"name": "c", "$patch": "delete"}, {"name": "e", "image": "k"}]}}),
                json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["x/y"]},
                "spec": {"volumes": [{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/"}}]}}),
            ],
        ),
    ]
}

/// Readers of texts and frames.
pub(crate) fn small_targets() -> Vec<Target> {
    vec![
        target(
            "selectors",
            texts(&["a=b,c!=d,e in (f,g),!h,i notin (j),k", "metadata.name=x,spec.nodeName!=a\\,b"]),
            |input| {
                let text = String::from_utf8_lossy(input);
                let _ = LabelSelector::parse(&text).map(|selector| selector.matches(None));
                let _ = FieldSelector::parse(&text).map(|selector| selector.matches(|_| None));
            },
        ),
        target("amounts", texts(&["500m", "1.5Gi", "-12e3", "0.000000001", "9223372036854775807"]), |input| {
            if let Ok(amount) = String::from_utf8_lossy(input).parse::<Quantity>() {
                let _ = (amount.value(), amount.milli_value(), amount.add(&amount), amount.sub(&amount).to_string());
            }
        }),
        target(
            "expressions",
            texts(&[
                "self.spec.containers.all(c, c.image.startsWith('i') && has(c.ports))",
                "self.metadata.name.matches('^[a-z]+$') ? size(self.spec.containers) + 1 : int('5')",
                "[1, 2, 3].map(x, x * 2).filter(x, x > 2).exists(x, x == 4) || quantity('1Gi').isGreaterThan(quantity('1M'))",
                "{'a': 1}.a == 1 && self.metadata.?labels['a'].orValue('') != \"b\"",
            ]),
            |input| {
                let Ok(program) = Program::compile(&String::from_utf8_lossy(input)) else { return };
                let _ =
                    program.evaluate(&Variables::default().with("self", from_json(&pod())), &mut Budget::new(BUDGET));
            },
        ),
        target("frames of exec", vec![b"\x01\0\0\0\x03abc\x00\0\0\0\0".to_vec()], |input| {
            let mut decoder = FrameDecoder::new();
            for chunk in input.chunks(3) {
                decoder.push(chunk);
                while let Ok(Some(_)) = decoder.next_frame() {}
            }
            let _ = decoder.finish();
        }),
    ]
}

fn patches(name: &'static str, kind: PatchKind, seeds: &[Value]) -> Target {
    let current = pod();
    target(name, seeds.iter().map(json_bytes).collect(), move |input| {
        let _ = patch(kind, &current, input, &expected(), FieldValidation::Warn);
    })
}
