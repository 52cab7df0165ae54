//! One webhook of a configuration, ready to be matched and asked.

use std::time::Duration;

use coracle_control_api::meta;
use serde_json::Value;

use crate::admission::expressions::{Condition, conditions};
use crate::admission::matching::Constraints;

/// How long a webhook may take that does not say so itself.
const TIMEOUT_SECONDS: u64 = 10;

#[derive(Debug)]
pub(crate) struct Hook {
    pub(super) name: String,
    pub(super) configuration: String,
    /// Tells it from every other webhook.
    pub(super) identity: String,
    pub(super) constraints: Constraints,
    pub(super) conditions: Vec<Condition>,
    pub(super) ignores_failures: bool,
    pub(super) timeout: Duration,
    /// Whether it may be asked about a write that is only tried.
    pub(super) takes_dry_runs: bool,
    pub(super) reinvoked_if_needed: bool,
    /// The first version of reviews that we know; `None` when it takes none of them.
    pub(super) review_version: Option<&'static str>,
    pub(super) client: Value,
}

impl Hook {
    /// The webhooks of a configuration, in its order.
    pub(crate) fn all(configuration: &Value) -> Vec<Self> {
        let list = configuration.get("webhooks").and_then(Value::as_array).into_iter().flatten();
        list.map(|webhook| Self::new(configuration, webhook)).collect()
    }

    fn new(configuration: &Value, webhook: &Value) -> Self {
        let text = |name: &str| webhook.get(name).and_then(Value::as_str).unwrap_or_default();
        let versions = webhook.get("admissionReviewVersions").and_then(Value::as_array).into_iter().flatten();
        let review_version = versions.filter_map(Value::as_str).find_map(|version| match version {
            "v1" => Some("v1"),
            "v1beta1" => Some("v1beta1"),
            _ => None,
        });
        let configuration_name = meta::name(configuration).to_owned();
        Self {
            name: text("name").to_owned(),
            identity: format!("{configuration_name}/{}", text("name")),
            configuration: configuration_name,
            constraints: Constraints::new(webhook, "rules"),
            conditions: conditions(webhook),
            ignores_failures: text("failurePolicy") == "Ignore",
            timeout: Duration::from_secs(
                webhook.get("timeoutSeconds").and_then(Value::as_u64).unwrap_or(TIMEOUT_SECONDS),
            ),
            takes_dry_runs: matches!(text("sideEffects"), "None" | "NoneOnDryRun"),
            reinvoked_if_needed: text("reinvocationPolicy") == "IfNeeded",
            review_version,
            client: webhook.get("clientConfig").cloned().unwrap_or_default(),
        }
    }
}
