use serde_json::json;

use super::*;

#[test]
fn a_schema_tells_whether_its_level_is_there_and_since_when() {
    let mut schema: FlowSchema = serde_json::from_value(json!({
        "metadata": {"name": "s"},
        "spec": {"priorityLevelConfiguration": {"name": "l"}, "matchingPrecedence": 5},
    }))
    .unwrap();
    let (none, one) = (HashSet::new(), HashSet::from(["l".to_owned()]));
    let condition = plan(&schema, &none, Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!((&condition["status"], &condition["reason"]), (&json!("True"), &json!("NotFound")));
    let message =
        "This FlowSchema references the PriorityLevelConfiguration object named \"l\" but there is no such object";
    assert_eq!(condition["message"], message);
    schema.status = serde_json::from_value(json!({"conditions": [condition]})).unwrap();
    assert_eq!(plan(&schema, &none, Timestamp::now()), None);
    let condition = plan(&schema, &one, Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!((&condition["status"], &condition["reason"]), (&json!("False"), &json!("Found")));
}
