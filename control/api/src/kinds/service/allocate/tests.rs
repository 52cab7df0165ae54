use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::*;
use crate::kind::find;

/// Claims that somebody holds, and numbers that are anything but random.
#[derive(Default)]
struct Held {
    claims: BTreeSet<String>,
    next: u64,
}

impl Pool for Held {
    fn is_taken(&self, claim: &str) -> bool {
        self.claims.contains(claim)
    }

    fn random(&mut self) -> u64 {
        self.next
    }
}

#[expect(clippy::needless_pass_by_value, reason = "a test case reads best with its object in place")]
fn made(held: &mut Held, spec: Value) -> Result<Value, Vec<String>> {
    let kind = find("", "v1", "services").unwrap();
    let mut object = json!({ "metadata": { "name": "x" }, "spec": spec });
    kind.default(&mut object);
    kind.prepare_create(&mut object);
    let errors = kind.behaviour.allocate(&mut object, None, held);
    if errors.is_empty() { Ok(object) } else { Err(errors.iter().map(ToString::to_string).collect()) }
}

#[test]
fn no_two_services_get_the_same_address_or_port() {
    let mut held = Held::default();
    for number in 0..200 {
        let service = made(&mut held, json!({ "type": "NodePort", "ports": [{ "port": 80 }] })).unwrap();
        for claim in claims(&service) {
            assert!(held.claims.insert(claim.clone()), "{claim} is given out twice, at service {number}");
        }
    }
    assert_eq!(held.claims.len(), 400);
}

#[test]
fn a_full_range_of_ports_is_told_and_the_low_end_goes_last() {
    let claims = (PORTS_START + PORTS_LOW..=PORTS_END).map(|port| format!("servicenodeports/{port}")).collect();
    let mut held = Held { claims, next: 0 };
    let service = made(&mut held, json!({ "type": "NodePort", "ports": [{ "port": 80 }] })).unwrap();
    assert_eq!(service.pointer("/spec/ports/0/nodePort"), Some(&json!(30_000)));
    held.claims.extend((PORTS_START..PORTS_START + PORTS_LOW).map(|port| format!("servicenodeports/{port}")));
    let refused = made(&mut held, json!({ "type": "NodePort", "ports": [{ "port": 80 }] })).unwrap_err();
    assert_eq!(refused, ["spec.ports: Internal error: failed to allocate a nodePort: range is full"]);
}

#[test]
fn one_port_in_two_protocols_has_one_node_port() {
    let ports = json!([{ "name": "t", "port": 53 }, { "name": "u", "port": 53, "protocol": "UDP" }, { "name": "v", "port": 54 }]);
    let service = made(&mut Held::default(), json!({ "type": "NodePort", "ports": ports })).unwrap();
    let ports: Vec<_> =
        service["spec"]["ports"].as_array().unwrap().iter().map(|port| port["nodePort"].clone()).collect();
    assert_eq!(ports[0], ports[1]);
    assert_ne!(ports[0], ports[2]);
}

#[test]
fn what_a_client_chooses_has_to_be_free_and_in_range() {
    let claims = BTreeSet::from(["serviceips/10.0.0.10".to_owned(), "servicenodeports/30001".to_owned()]);
    let mut held = Held { claims, next: 0 };
    assert_eq!(
        made(&mut held, json!({ "clusterIP": "10.0.0.10" })).unwrap_err(),
        [
            "spec.clusterIPs: Invalid value: [\"10.0.0.10\"]: failed to allocate IP 10.0.0.10: provided IP is already allocated"
        ]
    );
    assert_eq!(
        made(&mut held, json!({ "clusterIP": "10.95.0.10" })).unwrap_err(),
        [
            "spec.clusterIPs: Invalid value: [\"10.95.0.10\"]: failed to allocate IP 10.95.0.10: the provided network does not match the current range"
        ]
    );
    assert_eq!(
        made(
            &mut held,
            json!({ "type": "NodePort", "ports": [{ "port": 1, "nodePort": 30001 }, { "port": 2, "nodePort": 80 }] })
        )
        .unwrap_err(),
        [
            "spec.ports[0].nodePort: Invalid value: 30001: provided port is already allocated",
            "spec.ports[1].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-32767",
        ]
    );
    assert!(made(&mut held, json!({ "clusterIP": "10.0.0.11" })).is_ok());
}

#[test]
fn headless_and_external_services_hold_nothing() {
    let mut held = Held::default();
    let headless = made(&mut held, json!({ "clusterIP": "None", "selector": { "a": "b" } })).unwrap();
    assert!(claims(&headless).is_empty());
    assert_eq!(headless["spec"]["ipFamilies"], json!(["IPv4"]));
    let by_hand = made(&mut held, json!({ "clusterIP": "None" })).unwrap();
    assert_eq!(by_hand["spec"]["ipFamilyPolicy"], json!("RequireDualStack"));
    let external = made(&mut held, json!({ "type": "ExternalName", "externalName": "a.example" })).unwrap();
    assert!(claims(&external).is_empty() && external["spec"].get("clusterIP").is_none());
}
