//! What the server finds out about a definition: whether its names are free, and whether it is served.

use serde_json::{Map, Value, json};

use crate::custom::is_condition_true;
use crate::kinds::fields::{self, Fields};

/// The state of a definition after its names have been held against those of others; `None` when that changes nothing.
///
/// `others` are the definitions that there are, this one perhaps among them. `now` is the time as objects have it.
#[must_use]
pub fn establish(definition: &Value, others: &[&Value], now: &Value) -> Option<Value> {
    let mut new = definition.clone();
    let null = Value::Null;
    let spec = definition.child("spec").unwrap_or(&null);
    let group = spec.text("group");
    let taken = |pick: &dyn Fn(&Value) -> Vec<String>| -> Vec<String> {
        let same_group = others.iter().filter(|other| {
            other.at(&["spec", "group"]).and_then(Value::as_str) == Some(group)
                && other.at(&["metadata", "name"]) != definition.at(&["metadata", "name"])
        });
        same_group.filter_map(|other| other.at(&["status", "acceptedNames"])).flat_map(pick).collect()
    };
    let resources = taken(&resource_names);
    let kinds = taken(&|names| vec![names.text("kind").to_owned(), names.text("listKind").to_owned()]);
    let names = spec.child("names").unwrap_or(&null);
    let old = definition.at(&["status", "acceptedNames"]).unwrap_or(&null);
    let (accepted, conflict) = accept(names, old, &resources, &kinds);
    fields::set(fields::object_mut(&mut new, "status")?, "acceptedNames", accepted);
    match conflict {
        None => {
            set_condition(&mut new, "NamesAccepted", true, ("NoConflicts", "no conflicts found"), now);
            if !is_condition_true(definition, "Established") {
                let text = ("InitialNamesAccepted", "the initial names have been accepted");
                set_condition(&mut new, "Established", true, text, now);
            }
        }
        Some((reason, message)) => {
            set_condition(&mut new, "NamesAccepted", false, (reason, &message), now);
            if !is_condition_true(definition, "Established") {
                let text = ("NotAccepted", "not all names are accepted");
                set_condition(&mut new, "Established", false, text, now);
            }
        }
    }
    (new != *definition).then_some(new)
}

fn resource_names(names: &Value) -> Vec<String> {
    let mut all = vec![names.text("plural").to_owned(), names.text("singular").to_owned()];
    all.extend(names.texts("shortNames").into_iter().map(str::to_owned));
    all.retain(|name| !name.is_empty());
    all
}

/// The names that a definition gets, the old one for each that another has, and the last conflict.
fn accept(
    names: &Value,
    old: &Value,
    resources: &[String],
    kinds: &[String],
) -> (Value, Option<(&'static str, String)>) {
    let mut accepted = names.as_object().cloned().unwrap_or_default();
    let mut conflict = None;
    let mut check = |name: &str, taken: &[String], reason: &'static str, accepted: &mut Map<String, Value>| {
        let wanted = names.text(name);
        if !wanted.is_empty() && taken.iter().any(|taken| taken == wanted) {
            conflict = Some((reason, format!("{} is already in use", crate::go_text::quote(wanted))));
            accepted.insert(name.to_owned(), Value::from(old.text(name)));
        }
    };
    check("plural", resources, "PluralConflict", &mut accepted);
    check("singular", resources, "SingularConflict", &mut accepted);
    check("kind", kinds, "KindConflict", &mut accepted);
    check("listKind", kinds, "ListKindConflict", &mut accepted);
    let twice: Vec<&str> =
        names.texts("shortNames").into_iter().filter(|name| resources.iter().any(|taken| taken == name)).collect();
    if let Some(name) = twice.first() {
        conflict = Some(("ShortNamesConflict", format!("{} is already in use", crate::go_text::quote(name))));
        match old.get("shortNames") {
            Some(names) => accepted.insert("shortNames".to_owned(), names.clone()),
            None => accepted.remove("shortNames"),
        };
    }
    (Value::Object(accepted), conflict)
}

/// Sets a condition; its time moves only when its status does.
pub(crate) fn set_condition(object: &mut Value, name: &str, state: bool, text: (&str, &str), now: &Value) {
    let Some(status) = fields::object_mut(object, "status") else { return };
    let mut conditions: Vec<Value> = status.list("conditions").to_vec();
    let word = if state { "True" } else { "False" };
    let old = conditions.iter().position(|condition| condition.text("type") == name);
    let since = old
        .map(|index| &conditions[index])
        .filter(|condition| condition.text("status") == word)
        .map_or(now, |condition| condition.get("lastTransitionTime").unwrap_or(now))
        .clone();
    let condition = json!({
        "type": name, "status": word, "reason": text.0, "message": text.1, "lastTransitionTime": since,
    });
    match old {
        Some(index) => conditions[index] = condition,
        None => conditions.push(condition),
    }
    fields::set(status, "conditions", conditions);
}
