//! What objects hold that may be held once in a cluster: addresses and node ports of services.
//!
//! Each claim is a key of its own in the store. It is made in the transaction that writes the object and goes with the
//! one that removes it, under the condition that nobody holds it: so no value is ever given out twice or lost, whatever
//! crashes when.

use bytes::Bytes;
use coracle_control_api::kind::{Kind, Pool};
use coracle_control_api::meta;
use coracle_control_api::schema::fill_zeros;
use coracle_control_api::status::Status;
use coracle_control_store::{Condition, Entry, Operation, Snapshot};
use rand::Rng as _;
use serde_json::{Value, json};

use crate::call::decode;
use crate::pipeline::target;

/// What has to hold and to happen so that an object holds what it claims.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    pub(crate) conditions: Vec<Condition>,
    pub(crate) operations: Vec<Operation>,
}

impl Claims {
    /// The way from what `old` holds to what `new` claims.
    pub(crate) fn between(kind: &Kind, new: &Value, old: Option<&Value>) -> Self {
        let held = old.map(|old| kind.behaviour.claims(old)).unwrap_or_default();
        let wanted = kind.behaviour.claims(new);
        let mut claims = Self::default();
        if held == wanted {
            return claims;
        }
        let holder = json!({
            "kind": kind.kind, "namespace": meta::namespace(new), "name": meta::name(new), "uid": meta::uid(new),
        });
        for claim in wanted.iter().filter(|claim| !held.contains(claim)) {
            let key = key(claim);
            claims.conditions.push(Condition::ModRevision { key: key.clone(), revision: 0 });
            claims.operations.push(Operation::Put { key, value: Bytes::from(holder.to_string()) });
        }
        let given_up = held.iter().filter(|claim| !wanted.contains(claim));
        claims.operations.extend(given_up.map(|claim| Operation::Delete { key: key(claim) }));
        claims
    }
}

/// What goes when the object of an entry goes.
pub(crate) fn released(kind: &Kind, entry: &Entry) -> Vec<Operation> {
    let Ok(object) = decode(kind, entry) else { return Vec::new() };
    kind.behaviour.claims(&object).iter().map(|claim| Operation::Delete { key: key(claim) }).collect()
}

/// Lets the kind choose what the object lacks.
///
/// # Errors
/// 422 for what cannot be had.
pub(crate) fn allocate(
    kind: &Kind,
    object: &mut Value,
    old: Option<&Value>,
    snapshot: &Snapshot,
) -> Result<(), Status> {
    fill_zeros(target(kind)?.schema, object);
    let errors = kind.behaviour.allocate(object, old, &mut Held(snapshot));
    if errors.is_empty() {
        return Ok(());
    }
    Err(Status::invalid(&kind.group, &kind.kind, meta::name(object), &errors))
}

/// The claims of a snapshot.
struct Held<'a>(&'a Snapshot);

impl Pool for Held<'_> {
    fn is_taken(&self, claim: &str) -> bool {
        self.0.get(&key(claim)).is_some()
    }

    fn random(&mut self) -> u64 {
        rand::rng().random()
    }
}

fn key(claim: &str) -> Bytes {
    Bytes::from(format!("/registry/claims/{claim}"))
}
