//! How an exec or attach ended: the `metav1.Status` on the error channel.

use bytes::Bytes;
use serde_json::json;

use super::{Channel, encode};

/// The frame for a program that ended with code 0.
#[must_use]
pub fn success_status() -> Bytes {
    status(&json!({"metadata": {}, "status": "Success"}))
}

/// The frame for a program that ended with this code. Clients take the code from the cause `ExitCode`; 0 is success.
#[must_use]
pub fn exit_status(code: i32) -> Bytes {
    if code == 0 {
        return success_status();
    }
    status(&json!({
        "metadata": {},
        "status": "Failure",
        "message": format!("command terminated with non-zero exit code: exit code {code}"),
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
    }))
}

/// The frame for what went wrong otherwise, in a sentence for people.
#[must_use]
pub fn failure_status(message: &str) -> Bytes {
    status(&json!({
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": "InternalError",
        "details": {"causes": [{"message": message}]},
        "code": 500,
    }))
}

fn status(status: &serde_json::Value) -> Bytes {
    let mut text = status.to_string();
    if text.len() > super::PAYLOAD_BYTES_MAX {
        // Only a message can be that long, and a status is one frame.
        text = json!({"metadata": {}, "status": "Failure", "message": "the failure's text is too long"}).to_string();
    }
    encode(Channel::Error, text.as_bytes())
}
