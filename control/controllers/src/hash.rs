//! Short names for templates: equal templates have equal ones.

use k8s_openapi::api::core::v1::PodTemplateSpec;

/// The letters and digits of generated names: none that make words.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// The hash of a template, as names and labels write it. `collisions` makes another one where a name was taken.
pub(crate) fn template_hash(template: &PodTemplateSpec, collisions: Option<i32>) -> String {
    let mut bytes = serde_json::to_vec(template).unwrap_or_default();
    bytes.extend(collisions.into_iter().flat_map(i32::to_le_bytes));
    encode(&bytes)
}

/// FNV-1a of 32 bits, in the letters of generated names.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let hash = bytes.iter().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    hash.to_string().bytes().map(|digit| char::from(ALPHABET[usize::from(digit) % ALPHABET.len()])).collect()
}
