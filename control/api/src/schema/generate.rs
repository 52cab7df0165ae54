//! Objects that fit a type, made from a seed: what property tests of codecs, patches and apply run on.

use super::{Shape, TypeRef};
use serde_json::{Map, Value, json};

/// Fields that one object has at most, whatever its type: a pod with everything has thousands.
const FIELDS_MAX: usize = 150;
const DEPTH_MAX: usize = 9;

/// Makes values. The same seed gives the same values.
#[derive(Debug)]
pub(crate) struct Generator {
    state: u64,
    fields: usize,
}

impl Generator {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed ^ 0x9e37_79b9_7f4a_7c15, fields: FIELDS_MAX }
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        // splitmix64.
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.below(choices.len() as u64)).unwrap()]
    }

    /// An object of a kind: a value of its type, with what every object has.
    pub(crate) fn object(&mut self, ty: TypeRef<'_>, api_version: &str, kind: &str) -> Value {
        self.fields = FIELDS_MAX;
        let mut object = self.value(ty, 0);
        let map = object.as_object_mut().unwrap();
        map.insert("apiVersion".to_owned(), json!(api_version));
        map.insert("kind".to_owned(), json!(kind));
        object
    }

    /// A value of the type; lists and maps are not empty.
    pub(crate) fn value(&mut self, ty: TypeRef<'_>, depth: usize) -> Value {
        match ty.shape() {
            Shape::Struct(fields) => {
                let mut map = Map::new();
                // An object inside another has no kind on the wire, so upstream loses it there.
                let is_object = ty.kinds().next().is_some();
                for field in fields {
                    if is_object && matches!(&*field.name, "apiVersion" | "kind") {
                        continue;
                    }
                    let likely = if depth < 2 { 3 } else { 2 };
                    if self.fields == 0 || depth > DEPTH_MAX || self.below(4) >= likely {
                        continue;
                    }
                    self.fields -= 1;
                    let value = self.value(ty.of(field), depth + 1);
                    map.insert(field.name.to_string(), value);
                }
                Value::Object(map)
            }
            Shape::List(..) => {
                let count = 1 + self.below(2);
                (0..count).map(|_| self.value(ty.item().unwrap(), depth + 1)).collect()
            }
            Shape::Map(_) => {
                let count = 1 + self.below(3);
                let keys = (0..count).map(|_| self.pick(&["b", "a", "c/d", ""]).to_owned()).collect::<Vec<_>>();
                Value::Object(keys.into_iter().map(|key| (key, self.value(ty.item().unwrap(), depth + 1))).collect())
            }
            Shape::String => json!(self.pick(&["x", "y", "a longer text, äöü", "TCP", "z"])),
            Shape::Int32 => json!(self.pick(&[0, 1, -1, 80, i32::MAX, i32::MIN])),
            Shape::Int64 => json!(self.pick(&[0, 1, -1, 1 << 40, i64::MAX, i64::MIN])),
            Shape::Double => json!(self.pick(&[0.5, -1.25, 1e300])),
            Shape::Bool => json!(self.below(2) == 0),
            Shape::Bytes => json!(self.pick(&["AP8=", "eA=="])),
            Shape::Time => json!(self.pick(&["2026-01-02T03:04:05Z", "1969-12-31T23:59:59Z"])),
            Shape::MicroTime => json!(self.pick(&["2026-01-02T03:04:05.000006Z", "2026-01-02T03:04:05.120000Z"])),
            Shape::Quantity => json!(self.pick(&["100m", "1Gi", "0", "-3", "1500e6"])),
            Shape::IntOrString => self.pick(&[|| json!(80), || json!("web"), || json!("25%")])(),
            Shape::Any | Shape::Deduced => self.any(ty),
        }
    }

    fn any(&mut self, ty: TypeRef<'_>) -> Value {
        // Decoding leaves what is inside as it is, so it has to be in the form in which it comes back.
        let schema = || json!({"type": "object", "nullable": true, "properties": {"a": {"maxLength": 0, "not": {}}}});
        let name = ty.name().rsplit('.').next().unwrap();
        match name {
            "JSONSchemaPropsOrBool" if self.below(2) == 0 => json!(self.below(2) == 0),
            "JSONSchemaPropsOrStringArray" if self.below(2) == 0 => json!(["a", "b"]),
            "JSONSchemaPropsOrArray" if self.below(2) == 0 => json!([schema(), {"items": schema()}]),
            _ if name.starts_with("JSONSchemaPropsOr") => schema(),
            "JSON" => self.pick(&[|| json!({"a": [1, "b"]}), || json!("text"), || json!(1), || json!(false)])(),
            _ => json!({"f:a": {"k": [1, 2.5, null, "x"]}}),
        }
    }
}
