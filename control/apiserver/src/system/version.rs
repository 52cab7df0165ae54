//! `/version`: which Kubernetes this is.

use axum::response::Response;
use coracle_control_api::status::Status;
use serde_json::json;

use crate::answer::value_answer;
use crate::call::Call;
use crate::negotiation::Messages;

/// The Kubernetes minor version that is served; the only place that names it here.
const MINOR: &str = "34";
/// The oldest minor version whose clients and parts go together with this one.
const MINOR_COMPATIBLE: &str = "33";

pub(super) fn version(call: &Call) -> Result<Response, Status> {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let body = json!({
        "major": "1",
        "minor": MINOR,
        "emulationMajor": "1",
        "emulationMinor": MINOR,
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": MINOR_COMPATIBLE,
        "gitVersion": format!("v1.{MINOR}.0+coracle"),
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": "rustc",
        "platform": format!("{}/{architecture}", std::env::consts::OS),
    });
    Ok(value_answer(200, &body, call.negotiate(Messages::None)?))
}
