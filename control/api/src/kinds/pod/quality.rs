//! The quality-of-service class, and the sum of what containers ask for.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::kinds::fields::Fields;
use crate::kinds::validation::resources::{amounts, has_amounts};
use crate::quantity::Quantity;

type Amounts = BTreeMap<String, Quantity>;

/// `Guaranteed`, `Burstable` or `BestEffort`, from what the spec asks for.
pub(crate) fn class(spec: &Value) -> &'static str {
    let (mut requests, mut limits) = (Amounts::new(), Amounts::new());
    let mut guaranteed = true;
    if let Some(resources) = spec.child("resources").filter(|resources| has_amounts(Some(resources))) {
        add(&mut requests, resources.child("requests"));
        let found = add(&mut limits, resources.child("limits"));
        guaranteed = found == 2;
    } else {
        for container in spec.list("initContainers").iter().chain(spec.list("containers")) {
            let null = Value::Null;
            let resources = container.child("resources").unwrap_or(&null);
            add(&mut requests, resources.child("requests"));
            guaranteed &= add(&mut limits, resources.child("limits")) == 2;
        }
    }
    if requests.is_empty() && limits.is_empty() {
        "BestEffort"
    } else if guaranteed && requests == limits {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

/// Adds the amounts of CPU and memory above zero, and says how many of the two there were.
fn add(sums: &mut Amounts, list: Option<&Value>) -> usize {
    let mut found = 0;
    for (name, amount) in amounts(list) {
        if matches!(name, "cpu" | "memory") && amount > Quantity::ZERO {
            add_one(sums, name, amount);
            found += 1;
        }
    }
    found
}

fn add_one(sums: &mut Amounts, name: &str, amount: Quantity) {
    sums.entry(name.to_owned()).and_modify(|sum| *sum = sum.add(&amount)).or_insert(amount);
}

/// What the pod's containers need at once: the regular ones and sidecars together, or more while an init container
/// runs with the sidecars before it.
pub(crate) fn requests_of_containers(spec: &Value) -> Amounts {
    sum_of_containers(spec, "requests")
}

/// The same for limits.
pub(crate) fn limits_of_containers(spec: &Value) -> Amounts {
    sum_of_containers(spec, "limits")
}

fn sum_of_containers(spec: &Value, part: &str) -> Amounts {
    let list = |container: &'_ Value| -> Amounts {
        let resources = container.child("resources").and_then(|resources| resources.child(part));
        amounts(resources).map(|(name, amount)| (name.to_owned(), amount)).collect()
    };
    let mut together = Amounts::new();
    for container in spec.list("containers") {
        list(container).iter().for_each(|(name, amount)| add_one(&mut together, name, *amount));
    }
    let (mut sidecars, mut initial) = (Amounts::new(), Amounts::new());
    for container in spec.list("initContainers") {
        let mut needed = list(container);
        if super::is_sidecar(container) {
            needed.iter().for_each(|(name, amount)| add_one(&mut sidecars, name, *amount));
            needed.iter().for_each(|(name, amount)| add_one(&mut together, name, *amount));
            needed.clone_from(&sidecars);
        } else {
            sidecars.iter().for_each(|(name, amount)| add_one(&mut needed, name, *amount));
        }
        needed.into_iter().for_each(|(name, amount)| raise(&mut initial, name, amount));
    }
    initial.into_iter().for_each(|(name, amount)| raise(&mut together, name, amount));
    together
}

fn raise(sums: &mut Amounts, name: String, amount: Quantity) {
    let sum = sums.entry(name).or_insert(amount);
    if *sum < amount {
        *sum = amount;
    }
}
