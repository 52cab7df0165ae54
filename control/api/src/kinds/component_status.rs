//! ComponentStatus: how the parts of a control plane are. Nobody writes it; the API server computes it.

use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::{Behaviour, Column, Kind, Verb};
use crate::kinds::columns;
use crate::kinds::fields::Fields;

static COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    vec![
        columns::name(),
        columns::text("Status", "Status of the component conditions"),
        columns::text("Message", "Message of the component conditions"),
        columns::text("Error", "Error of the component conditions"),
    ]
});

#[derive(Debug)]
struct ComponentStatus;

pub(super) fn kind() -> Kind {
    Kind::new("", "v1", "ComponentStatus", "componentstatuses", ComponentStatus)
        .schema("io.k8s.api.core.v1.ComponentStatus")
        .short_names(&["cs"])
        .cluster_scoped()
        .deprecated("v1 ComponentStatus is deprecated in v1.19+")
        .verbs(&[Verb::Get, Verb::List])
}

impl Behaviour for ComponentStatus {
    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn cells(&self, object: &Value, _now: Timestamp) -> Vec<Value> {
        let healthy = object.list("conditions").iter().find(|condition| condition.text("type") == "Healthy");
        let (status, message, error) = match healthy {
            Some(condition) if condition.text("status") == "True" => {
                ("Healthy", condition.text("message"), condition.text("error"))
            }
            Some(condition) => ("Unhealthy", condition.text("message"), condition.text("error")),
            None => ("Unknown", "", ""),
        };
        vec![columns::name_cell(object), Value::from(status), Value::from(message), Value::from(error)]
    }
}
