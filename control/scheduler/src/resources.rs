//! Amounts of what a node has and a pod asks for.

use std::collections::BTreeMap;

use coracle_control_api::quantity::Quantity;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;

/// The lifetime budget of a container, in units of fuel. It is no share of a node, so it never counts in a fit.
pub const FUEL_RESOURCE: &str = "coracle.dev/fuel";

/// Amounts of the node resources. CPU is in thousandths of a core, memory and storage are in bytes, all others (huge pages,
/// extended resources) in their own unit under their own name. Arithmetic saturates: no manifest can make it overflow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Resources {
    /// `cpu`, in thousandths of a core.
    pub milli_cpu: i64,
    /// `memory`, in bytes.
    pub memory_bytes: i64,
    /// `ephemeral-storage`, in bytes.
    pub ephemeral_storage_bytes: i64,
    /// Every other resource by name.
    pub scalars: BTreeMap<String, i64>,
}

impl Resources {
    /// Reads a resource list of the API. `pods` and [`FUEL_RESOURCE`] are left out: the first is a count that
    /// [`pod_slots`] reads, the second is no node resource. A quantity that does not parse counts as zero, since the API server
    /// refuses such objects.
    #[must_use]
    pub fn from_list(list: &BTreeMap<String, ApiQuantity>) -> Self {
        let mut resources = Self::default();
        for (name, quantity) in list {
            match name.as_str() {
                "cpu" => resources.milli_cpu = milli_value(quantity),
                "memory" => resources.memory_bytes = value(quantity),
                "ephemeral-storage" => resources.ephemeral_storage_bytes = value(quantity),
                "pods" | FUEL_RESOURCE => {}
                _ => {
                    resources.scalars.insert(name.clone(), value(quantity));
                }
            }
        }
        resources
    }

    /// Adds `other` to every amount.
    pub fn add(&mut self, other: &Self) {
        self.combine(other, i64::saturating_add);
    }

    /// Takes `other` away from every amount.
    pub fn subtract(&mut self, other: &Self) {
        self.combine(other, i64::saturating_sub);
        self.scalars.retain(|_, amount| *amount != 0);
    }

    /// Raises every amount to at least that of `other`.
    pub fn raise_to(&mut self, other: &Self) {
        self.combine(other, i64::max);
    }

    /// The amount of one of the resources outside the three that every node has. Zero when absent.
    #[must_use]
    pub fn scalar(&self, name: &str) -> i64 {
        self.scalars.get(name).copied().unwrap_or(0)
    }

    fn combine(&mut self, other: &Self, operation: impl Fn(i64, i64) -> i64) {
        self.milli_cpu = operation(self.milli_cpu, other.milli_cpu);
        self.memory_bytes = operation(self.memory_bytes, other.memory_bytes);
        self.ephemeral_storage_bytes = operation(self.ephemeral_storage_bytes, other.ephemeral_storage_bytes);
        for (name, amount) in &other.scalars {
            let sum = operation(self.scalar(name), *amount);
            self.scalars.insert(name.clone(), sum);
        }
    }
}

/// The number of pods that a node's allocatable list admits; zero when the list does not say.
#[must_use]
pub(crate) fn pod_slots(list: &BTreeMap<String, ApiQuantity>) -> i64 {
    list.get("pods").map_or(0, value)
}

fn value(quantity: &ApiQuantity) -> i64 {
    quantity.0.parse::<Quantity>().map_or(0, |quantity| quantity.value())
}

fn milli_value(quantity: &ApiQuantity) -> i64 {
    quantity.0.parse::<Quantity>().map_or(0, |quantity| quantity.milli_value())
}

#[cfg(test)]
mod tests;
