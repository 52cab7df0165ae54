//! FlowSchema and PriorityLevelConfiguration: which requests wait for which. Here they are objects only.

pub mod bootstrap;
mod validate;

use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::{Behaviour, Column, Kind, PART_VERBS, Part};
use crate::kinds::fields::{self, Fields};
use crate::kinds::{columns, spec_status};
use crate::status::FieldError;

const GROUP: &str = "flowcontrol.apiserver.k8s.io";
/// The schema that alone may come first, and its level.
const EXEMPT: &str = "exempt";

const DANGLING: &str = "references a broken or non-existent PriorityLevelConfiguration";
const LEVEL: &str = "`name` is the name of the priority level configuration being referenced Required.";
const PRECEDENCE: &str = "`matchingPrecedence` is used to choose among the FlowSchemas that match a given request. The chosen FlowSchema is among those with the numerically lowest (which we take to be logically highest) MatchingPrecedence.  Each MatchingPrecedence value must be ranged in [1,10000]. Note that if the precedence is not specified, it will be set to 1000 as default.";
const DISTINGUISHER: &str = "`distinguisherMethod` defines how to compute the flow distinguisher for requests that match this schema. `nil` specifies that the distinguisher is disabled and thus will always be the empty string.";
const TYPE: &str = "`type` indicates whether this priority level is subject to limitation on request execution.  A value of `\"Exempt\"` means that requests of this priority level are not subject to a limit (and thus are never queued) and do not detract from the capacity made available to other priority levels.  A value of `\"Limited\"` means that (a) requests of this priority level _are_ subject to limits and (b) some of the server's limited capacity is made available exclusively to this priority level. Required.";
const SHARES: &str = "`nominalConcurrencyShares` (NCS) contributes to the computation of the NominalConcurrencyLimit (NominalCL) of this level. This is the number of execution seats available at this priority level. This is used both for requests dispatched from this priority level as well as requests dispatched from other priority levels borrowing seats from this level. The server's concurrency limit (ServerCL) is divided among the Limited priority levels in proportion to their NCS values:\n\nNominalCL(i)  = ceil( ServerCL * NCS(i) / sum_ncs ) sum_ncs = sum[priority level k] NCS(k)\n\nBigger numbers mean a larger nominal concurrency limit, at the expense of every other priority level.\n\nIf not specified, this field defaults to a value of 30.\n\nSetting this field to zero supports the construction of a \"jail\" for this priority level that is used to hold some request(s)";
const QUEUES: &str = "`queues` is the number of queues for this priority level. The queues exist independently at each apiserver. The value must be positive.  Setting it to 1 effectively precludes shufflesharding and thus makes the distinguisher method of associated flow schemas irrelevant.  This field has a default value of 64.";
const HAND_SIZE: &str = "`handSize` is a small positive number that configures the shuffle sharding of requests into queues.  When enqueuing a request at this priority level the request's flow identifier (a string pair) is hashed and the hash value is used to shuffle the list of queues and deal a hand of the size specified here.  The request is put into one of the shortest queues in that hand. `handSize` must be no larger than `queues`, and should be significantly smaller (so that a few heavy flows do not saturate most of the queues).  See the user-facing documentation for more extensive guidance on setting this field.  This field has a default value of 8.";
const QUEUE_LENGTH: &str = "`queueLengthLimit` is the maximum number of requests allowed to be waiting in a given queue of this priority level at a time; excess requests are rejected.  This value must be positive.  If not specified, it will be defaulted to 50.";

static SCHEMA_COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    vec![
        columns::name(),
        columns::text("PriorityLevel", LEVEL),
        columns::text("MatchingPrecedence", PRECEDENCE),
        columns::text("DistinguisherMethod", DISTINGUISHER),
        columns::age(),
        columns::text("MissingPL", DANGLING),
    ]
});

static LEVEL_COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    vec![
        columns::name(),
        columns::text("Type", TYPE),
        columns::text("NominalConcurrencyShares", SHARES),
        columns::text("Queues", QUEUES),
        columns::text("HandSize", HAND_SIZE),
        columns::text("QueueLengthLimit", QUEUE_LENGTH),
        columns::age(),
    ]
});

#[derive(Debug)]
struct FlowSchema;

#[derive(Debug)]
struct PriorityLevel;

/// Both, in discovery's order.
pub(super) fn kinds() -> [Kind; 2] {
    let finish = |kind: Kind| kind.cluster_scoped().part("status", Part::Status, PART_VERBS);
    [
        finish(Kind::new(GROUP, "v1", "FlowSchema", "flowschemas", FlowSchema))
            .schema("io.k8s.api.flowcontrol.v1.FlowSchema"),
        finish(Kind::new(GROUP, "v1", "PriorityLevelConfiguration", "prioritylevelconfigurations", PriorityLevel))
            .schema("io.k8s.api.flowcontrol.v1.PriorityLevelConfiguration"),
    ]
}

impl Behaviour for FlowSchema {
    fn default(&self, object: &mut Value) {
        let Some(spec) = fields::object_mut(object, "spec") else { return };
        if spec.int("matchingPrecedence").unwrap_or(0) == 0 {
            fields::set(spec, "matchingPrecedence", 1000);
        }
    }

    fn prepare_create(&self, object: &mut Value) {
        spec_status::prepare_create(object);
    }

    fn prepare_update(&self, part: Part, new: &mut Value, old: &Value) {
        spec_status::prepare_update_without_metadata(part, new, old);
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        validate::schema(object)
    }

    fn validate_update(&self, part: Part, new: &Value, _old: &Value) -> Vec<FieldError> {
        if part == Part::Status { validate::conditions(new) } else { validate::schema(new) }
    }

    fn validates_metadata_on_update(&self) -> bool {
        false
    }

    fn revalidates_metadata(&self, part: Part) -> bool {
        part != Part::Status
    }

    fn reset_fields(&self, part: Part) -> &'static [&'static str] {
        spec_status::reset_fields_with_metadata(part)
    }

    fn columns(&self) -> &[Column] {
        &SCHEMA_COLUMNS
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let null = Value::Null;
        let spec = object.child("spec").unwrap_or(&null);
        let conditions = object.child("status").map(|status| status.list("conditions")).unwrap_or_default();
        let dangling = conditions.iter().find(|condition| condition.text("type") == "Dangling");
        vec![
            columns::name_cell(object),
            Value::from(spec.child("priorityLevelConfiguration").unwrap_or(&null).text("name")),
            Value::from(spec.int("matchingPrecedence").unwrap_or(0)),
            columns::or_none(spec.child("distinguisherMethod").unwrap_or(&null).text("type")),
            columns::age_cell(object, now),
            Value::from(dangling.map_or("?", |condition| condition.text("status"))),
        ]
    }
}

impl Behaviour for PriorityLevel {
    fn default(&self, object: &mut Value) {
        let Some(spec) = fields::object_mut(object, "spec") else { return };
        if spec.text("type") == "Exempt"
            && let Some(exempt) = fields::object_mut(spec, "exempt")
        {
            fields::set_default(exempt, "nominalConcurrencyShares", 0);
            fields::set_default(exempt, "lendablePercent", 0);
        }
        let Some(limited) = spec.get_mut("limited").filter(|limited| limited.is_object()) else { return };
        fields::set_default(limited, "nominalConcurrencyShares", 30);
        fields::set_default(limited, "lendablePercent", 0);
        let Some(queuing) = limited.get_mut("limitResponse").and_then(|response| response.get_mut("queuing")) else {
            return;
        };
        for (field, value) in [("queues", 64), ("handSize", 8), ("queueLengthLimit", 50)] {
            if queuing.is_object() && queuing.int(field).unwrap_or(0) == 0 {
                fields::set(queuing, field, value);
            }
        }
    }

    fn prepare_create(&self, object: &mut Value) {
        spec_status::prepare_create(object);
    }

    fn prepare_update(&self, part: Part, new: &mut Value, old: &Value) {
        spec_status::prepare_update_without_metadata(part, new, old);
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        validate::level(object)
    }

    fn validate_update(&self, part: Part, new: &Value, _old: &Value) -> Vec<FieldError> {
        if part == Part::Status { validate::conditions(new) } else { validate::level(new) }
    }

    fn validates_metadata_on_update(&self) -> bool {
        false
    }

    fn revalidates_metadata(&self, part: Part) -> bool {
        part != Part::Status
    }

    fn reset_fields(&self, part: Part) -> &'static [&'static str] {
        spec_status::reset_fields_with_metadata(part)
    }

    fn columns(&self) -> &[Column] {
        &LEVEL_COLUMNS
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let null = Value::Null;
        let spec = object.child("spec").unwrap_or(&null);
        let limits = spec.child("limited").unwrap_or(&null);
        let queuing = limits.at(&["limitResponse", "queuing"]).unwrap_or(&null);
        let number = |holder: &Value, field: &str| holder.int(field).map_or(Value::from(columns::NONE), Value::from);
        vec![
            columns::name_cell(object),
            Value::from(spec.text("type")),
            number(limits, "nominalConcurrencyShares"),
            number(queuing, "queues"),
            number(queuing, "handSize"),
            number(queuing, "queueLengthLimit"),
            columns::age_cell(object, now),
        ]
    }
}
