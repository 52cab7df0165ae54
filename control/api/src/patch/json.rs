//! JSON patch (RFC 6902): a list of operations, all or nothing.

use crate::decode::json_text::Node;
use crate::go_text;
use crate::status::Status;
use json_patch::PatchOperation;
use serde_json::Value;

/// Most operations in one patch.
const OPERATIONS_MAX: usize = 10_000;
/// Most bytes of JSON that the copy operations of one patch may make together; upstream's bound.
const COPIED_BYTES_MAX: usize = 3 * 1024 * 1024;

/// Most unknown and duplicate fields that are told.
const WARNINGS_MAX: usize = 100;

/// An operation as it was written; what is wrong with it shows when it is applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation(Value);

/// Reads the operations; with `strict` also the sentences about unknown and duplicate fields in them.
///
/// # Errors
/// 400 when the body is no list of objects, 413 when there are more than 10,000.
pub fn read(body: &[u8], strict: bool) -> Result<(Vec<Operation>, Vec<String>), Status> {
    let wrong = |message: String| {
        if strict {
            Status::bad_request(format!("error decoding patch: {message}"))
        } else {
            Status::bad_request(message)
        }
    };
    let node = Node::parse(body).map_err(|error| wrong(error.to_string()))?;
    let items = match node {
        Node::Array(items) => items,
        Node::Null => Vec::new(),
        other => {
            let target = if strict { "[]handlers.jsonPatchOp" } else { "jsonpatch.Patch" };
            return Err(wrong(format!("json: cannot unmarshal {} into Go value of type {target}", other.go_kind())));
        }
    };
    if items.len() > OPERATIONS_MAX {
        let count = items.len();
        return Err(Status::too_large(&format!(
            "The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {count}"
        )));
    }
    let (mut operations, mut warnings) = (Vec::with_capacity(items.len()), Vec::new());
    for (index, item) in items.into_iter().enumerate() {
        check_operation(&item, index, strict, &mut warnings).map_err(&wrong)?;
        operations.push(Operation(item.into_value()));
    }
    Ok((operations, warnings))
}

/// Whether an operation has the types that upstream's struct has.
fn check_operation(item: &Node<'_>, index: usize, strict: bool, warnings: &mut Vec<String>) -> Result<(), String> {
    let Node::Object(fields) = item else {
        let target = if strict { "handlers.jsonPatchOp" } else { "jsonpatch.Operation" };
        return Err(format!("json: cannot unmarshal {} into Go value of type {target}", item.go_kind()));
    };
    let mut seen: Vec<&str> = Vec::new();
    for (key, value) in fields {
        let known = matches!(&**key, "op" | "path" | "from" | "value");
        let complaint = match (known, seen.contains(&&**key)) {
            (false, _) => Some("unknown"),
            (true, true) => Some("duplicate"),
            (true, false) => None,
        };
        if let Some(complaint) = complaint.filter(|_| strict && warnings.len() < WARNINGS_MAX) {
            let path = go_text::quote(&format!("[{index}].{key}"));
            warnings.push(format!("json patch {complaint} field {path}"));
        }
        if known && !seen.contains(&&**key) {
            seen.push(key);
        }
        if strict && known && &**key != "value" && !matches!(value, Node::String(_) | Node::Null) {
            let found = value.go_kind();
            return Err(format!(
                "json: cannot unmarshal {found} into Go struct field jsonPatchOp.{key} of type string"
            ));
        }
    }
    Ok(())
}

/// Applies the operations to a copy of `current`.
///
/// # Errors
/// 422 without details when one of them fails: a failed test, a missing path, an unknown operation.
pub fn apply(current: &Value, operations: Vec<Operation>) -> Result<Value, Status> {
    let mut patched = current.clone();
    let mut copied_bytes = 0;
    for Operation(operation) in operations {
        let operation: PatchOperation = serde_json::from_value(operation).map_err(|_| Status::unprocessable())?;
        if let PatchOperation::Copy(copy) = &operation {
            copied_bytes += copy.from.resolve_size(&patched);
            if copied_bytes > COPIED_BYTES_MAX {
                return Err(Status::unprocessable());
            }
        }
        // One at a time: the crate would keep a way back for all of them, and the copy is thrown away on failure.
        json_patch::patch_unsafe(&mut patched, &[operation]).map_err(|_| Status::unprocessable())?;
    }
    Ok(patched)
}

trait ResolveSize {
    fn resolve_size(&self, document: &Value) -> usize;
}

impl ResolveSize for json_patch::jsonptr::PointerBuf {
    /// Bytes of JSON that the pointer points to; 0 when it points nowhere.
    fn resolve_size(&self, document: &Value) -> usize {
        document.pointer(self.as_str()).map_or(0, |value| value.to_string().len())
    }
}
