//! How much of what a ResourceQuota bounds an object uses, and what that does to the quota.
//!
//! The API server charges a quota in the transaction that writes the object ([`Charge::plan`]); a controller counts again
//! when objects go ([`Tally`]). Both count with the same functions, by upstream's evaluators: pods, services, claims, and
//! the number of objects of any kind (`count/RESOURCE.GROUP`).

mod scopes;
mod usage;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::kinds::fields::Fields;
use crate::kinds::validation::resources::amounts;
use crate::meta;
use crate::quantity::{Format, Quantity};

pub use usage::Counted;

/// Amounts by the names that a quota bounds.
pub type Amounts = BTreeMap<String, Quantity>;

/// Why a quota does not take an object, in upstream's words.
pub type Refusal = String;

/// What a write changes in the quotas of its namespace.
#[derive(Debug)]
pub struct Charge<'a> {
    /// What is counted of objects of this kind.
    pub counted: Counted<'a>,
    /// The object as it will be.
    pub new: &'a Value,
    /// The object before an update.
    pub old: Option<&'a Value>,
    /// The time of the write.
    pub now: Timestamp,
}

impl Charge<'_> {
    /// What `status.used` of a quota becomes; `None` when the quota stays as it is.
    ///
    /// # Errors
    /// What upstream says when the quota does not take the object.
    pub fn plan(&self, quota: &Value) -> Result<Option<Map<String, Value>>, Refusal> {
        let status = quota.child("status");
        let hard = list(status.and_then(|status| status.child("hard")));
        let used = list(status.and_then(|status| status.child("used")));
        let bounded: BTreeSet<&str> =
            hard.keys().map(String::as_str).filter(|name| self.counted.matches(name)).collect();
        if bounded.is_empty() || !scopes::match_all(&self.counted, quota, self.new) {
            return Ok(None);
        }
        let name = meta::name(quota);
        self.counted.constraints(&bounded, self.new).map_err(|cause| format!("failed quota: {name}: {cause}"))?;
        if bounded.iter().any(|name| !used.contains_key(*name)) {
            let names: Vec<&str> = bounded.into_iter().collect();
            return Err(format!("status unknown for quota: {name}, resources: {}", names.join(",")));
        }
        let requested = self.counted.usage(self.new, self.now);
        let negative: Vec<&str> =
            requested.iter().filter(|(_, amount)| amount.is_negative()).map(|(name, _)| name.as_str()).collect();
        if !negative.is_empty() {
            return Err(format!("quota usage is negative for resource(s): {}", negative.join(",")));
        }
        // Of an update the difference counts, if the quota was charged for the object before.
        let before = self.old.filter(|old| scopes::match_all(&self.counted, quota, old));
        let before = before.map(|old| self.counted.usage(old, self.now)).unwrap_or_default();
        let mut delta = Amounts::new();
        for (name, amount) in requested.iter().filter(|(name, _)| hard.contains_key(*name)) {
            let amount = before.get(name).map_or(*amount, |old| amount.sub(old));
            if !amount.is_zero() {
                delta.insert(name.clone(), amount);
            }
        }
        check(name, &hard, &used, &delta)?;
        Ok((!delta.is_empty()).then(|| written(&sum(used, &delta))))
    }
}

fn check(quota: &str, hard: &Amounts, used: &Amounts, delta: &Amounts) -> Result<(), Refusal> {
    let zero = Quantity::ZERO;
    let exceeds = |(name, amount): &(&String, &Quantity)| {
        let after = used.get(*name).unwrap_or(&zero).add(amount);
        !amount.is_negative() && hard.get(*name).is_some_and(|hard| after > *hard)
    };
    let exceeded: Vec<&String> = delta.iter().filter(exceeds).map(|(name, _)| name).collect();
    if exceeded.is_empty() {
        return Ok(());
    }
    let show = |amounts: &Amounts| {
        let shown = exceeded.iter().filter_map(|name| Some(format!("{name}={}", amounts.get(*name)?)));
        shown.collect::<Vec<_>>().join(",")
    };
    Err(format!("exceeded quota: {quota}, requested: {}, used: {}, limited: {}", show(delta), show(used), show(hard)))
}

fn list(amounts_of: Option<&Value>) -> Amounts {
    amounts(amounts_of).map(|(name, amount)| (name.to_owned(), amount)).collect()
}

fn sum(mut amounts: Amounts, more: &Amounts) -> Amounts {
    for (name, amount) in more {
        amounts.entry(name.clone()).and_modify(|sum| *sum = sum.add(amount)).or_insert(*amount);
    }
    amounts
}

fn written(amounts: &Amounts) -> Map<String, Value> {
    amounts.iter().map(|(name, amount)| (name.clone(), Value::from(amount.to_string()))).collect()
}

/// Counts what the objects of a namespace use of one quota.
#[derive(Debug)]
pub struct Tally<'a> {
    quota: &'a Value,
    hard: Amounts,
    used: Amounts,
}

impl<'a> Tally<'a> {
    /// A count that begins with nothing, of all that `spec.hard` bounds.
    #[must_use]
    pub fn new(quota: &'a Value) -> Self {
        let hard = list(quota.at(&["spec", "hard"]));
        let used = hard.keys().map(|name| (name.clone(), Quantity::from_milli(0, Format::DecimalSi))).collect();
        Self { quota, hard, used }
    }

    /// Whether objects of this kind count at all.
    #[must_use]
    pub fn counts(&self, counted: &Counted<'_>) -> bool {
        self.hard.keys().any(|name| counted.matches(name))
    }

    /// Adds what one object uses.
    pub fn add(&mut self, counted: &Counted<'_>, object: &Value, now: Timestamp) {
        if !scopes::match_all(counted, self.quota, object) {
            return;
        }
        for (name, amount) in counted.usage(object, now) {
            if counted.matches(&name)
                && let Some(used) = self.used.get_mut(&name)
            {
                *used = used.add(&amount);
            }
        }
    }

    /// The status that the quota shall have: `hard` and `used`.
    #[must_use]
    pub fn status(&self) -> Value {
        serde_json::json!({"hard": written(&self.hard), "used": written(&self.used)})
    }

    /// Whether the quota has that status already: the same amounts, however they are written.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let status = |part| list(self.quota.at(&["status", part]));
        status("hard") == self.hard && status("used") == self.used
    }
}

#[cfg(test)]
mod tests;
