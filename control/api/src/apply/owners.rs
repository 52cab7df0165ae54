//! The entries of `metadata.managedFields`: who manages which fields through which operation, since when.

use super::compare::Comparison;
use super::conflict::Conflicts;
use super::field_set::FieldSet;
use crate::go_text;
use crate::meta;
use crate::schema::TypeRef;
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, btree_map};

/// Most managers of updates that are told apart; the oldest are lumped together.
const UPDATE_MANAGERS_MAX: usize = 10;
/// The manager of what was lumped together.
const ANCIENT_CHANGES: &str = "ancient-changes";

/// Through what kind of request a manager owns its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Apply,
    Update,
}

impl Operation {
    fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

#[derive(Clone, Debug)]
struct Entry {
    manager: String,
    operation: Operation,
    api_version: String,
    subresource: String,
    /// Seconds since 1970; `None` when it was never said.
    time: Option<Timestamp>,
    fields: FieldSet,
}

/// What tells entries apart: operation, manager, version (of an updater) and subresource.
type Identity = (Operation, String, String, String);

impl Entry {
    fn identity(&self) -> Identity {
        let version = if self.operation == Operation::Apply { "" } else { &self.api_version };
        (self.operation, self.manager.clone(), version.to_owned(), self.subresource.clone())
    }

    /// Entries of one identity are one: an applier has one whatever the version, an updater one per version.
    fn is(&self, manager: &str, operation: Operation, api_version: &str, subresource: &str) -> bool {
        self.manager == manager
            && self.operation == operation
            && self.subresource == subresource
            && (operation == Operation::Apply || self.api_version == api_version)
    }

    fn seconds(&self) -> i64 {
        self.time.map_or(0, Timestamp::as_second)
    }

    /// The manager in a conflict's message.
    fn shown(&self) -> String {
        let mut out = go_text::quote(&self.manager);
        if !self.subresource.is_empty() {
            out.push_str(&format!(" with subresource {}", go_text::quote(&self.subresource)));
        }
        if self.operation == Operation::Update {
            out.push_str(&format!(" using {}", self.api_version));
        }
        out
    }

    fn decode(entry: &Value) -> Result<Self, String> {
        let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or("");
        let operation = match text("operation") {
            "Apply" => Operation::Apply,
            "Update" => Operation::Update,
            _ => return Err("operation must be `Apply` or `Update`".to_owned()),
        };
        if text("apiVersion").is_empty() {
            return Err("apiVersion must not be empty".to_owned());
        }
        match text("fieldsType") {
            "FieldsV1" => {}
            "" => return Err("missing fieldsType in managed fields entry".to_owned()),
            other => return Err(format!("invalid fieldsType {} in managed fields entry", go_text::quote(other))),
        }
        let fields = entry.get("fieldsV1").map_or(Ok(FieldSet::default()), FieldSet::decode);
        Ok(Self {
            manager: text("manager").to_owned(),
            operation,
            api_version: text("apiVersion").to_owned(),
            subresource: text("subresource").to_owned(),
            time: text("time").parse().ok(),
            fields: fields.map_err(|error| error.to_string())?,
        })
    }

    fn encode(&self) -> Value {
        let mut out = Map::new();
        out.insert("manager".to_owned(), Value::from(self.manager.as_str()));
        out.insert("operation".to_owned(), Value::from(self.operation.as_str()));
        out.insert("apiVersion".to_owned(), Value::from(self.api_version.as_str()));
        out.insert("fieldsType".to_owned(), Value::from("FieldsV1"));
        out.insert("fieldsV1".to_owned(), self.fields.encode());
        if !self.subresource.is_empty() {
            out.insert("subresource".to_owned(), Value::from(self.subresource.as_str()));
        }
        if let Some(time) = self.time {
            out.insert("time".to_owned(), Value::from(meta::format_time(time)));
        }
        if self.manager.is_empty() {
            out.remove("manager");
        }
        Value::Object(out)
    }
}

/// Every manager of an object.
#[derive(Clone, Debug, Default)]
pub(super) struct Managers {
    entries: Vec<Entry>,
}

/// An entry's place while an apply is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(usize);

impl Managers {
    pub(super) fn decode(fields: Option<&Value>) -> Result<Self, String> {
        // Of two entries of one identity the later stands.
        let mut entries: BTreeMap<Identity, Entry> = BTreeMap::new();
        for entry in fields.and_then(Value::as_array).into_iter().flatten() {
            let entry = Entry::decode(entry)?;
            entries.insert(entry.identity(), entry);
        }
        Ok(Self { entries: entries.into_values().collect() })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Everything that any manager owns.
    pub(super) fn all(&self) -> FieldSet {
        FieldSet::all_of(self.entries.iter().map(|entry| entry.fields.clone()).collect())
    }

    /// Brings sets of earlier versions of the schema in line with it.
    pub(super) fn reconcile(&mut self, schema: TypeRef<'_>) {
        for entry in &mut self.entries {
            if let Some(fields) = entry.fields.reconciled(schema) {
                entry.fields = fields;
            }
        }
    }

    /// What the other managers would lose.
    pub(super) fn conflicts(&self, comparison: &Comparison, own: Place) -> Conflicts {
        let changed = comparison.changed();
        let mut conflicts: Vec<(String, FieldSet)> = self
            .entries
            .iter()
            .enumerate()
            .filter(|(index, _)| *index != own.0)
            .map(|(_, entry)| (entry.shown(), entry.fields.intersection(&changed)))
            .filter(|(_, fields)| !fields.is_empty())
            .collect();
        conflicts.sort_by(|left, right| left.0.cmp(&right.0));
        Conflicts(conflicts)
    }

    /// Takes what changed or went from everybody but `own`. Emptied entries go with the next write.
    pub(super) fn take(&mut self, comparison: &Comparison, own: Option<Place>) {
        if self.entries.is_empty() {
            return;
        }
        let gone = comparison.changed().union(&comparison.removed);
        if gone.is_empty() {
            return;
        }
        for (index, entry) in self.entries.iter_mut().enumerate() {
            if own != Some(Place(index)) {
                entry.fields = entry.fields.difference(&gone);
            }
        }
    }

    /// Gives fields to an updater; its earlier ones stay.
    pub(super) fn add_update(
        &mut self,
        manager: &str,
        api_version: &str,
        subresource: &str,
        fields: FieldSet,
        now: Timestamp,
    ) {
        let manager = if manager.is_empty() { "unknown" } else { manager };
        let known =
            self.entries.iter_mut().find(|entry| entry.is(manager, Operation::Update, api_version, subresource));
        match known {
            Some(entry) => {
                entry.fields = std::mem::take(&mut entry.fields).joined(fields);
                entry.time = Some(now);
            }
            None => self.entries.push(Entry {
                manager: manager.to_owned(),
                operation: Operation::Update,
                api_version: api_version.to_owned(),
                subresource: subresource.to_owned(),
                time: Some(now),
                fields,
            }),
        }
    }

    /// The applier's entry; a new one is empty and has no time.
    pub(super) fn own_apply(&mut self, manager: &str, api_version: &str, subresource: &str) -> Place {
        let manager = if manager.is_empty() { "unknown" } else { manager };
        let known = self.entries.iter().position(|entry| entry.is(manager, Operation::Apply, api_version, subresource));
        let place = known.unwrap_or_else(|| {
            self.entries.push(Entry {
                manager: manager.to_owned(),
                operation: Operation::Apply,
                api_version: String::new(),
                subresource: subresource.to_owned(),
                time: None,
                fields: FieldSet::default(),
            });
            self.entries.len() - 1
        });
        api_version.clone_into(&mut self.entries[place].api_version);
        Place(place)
    }

    /// Sets an entry's fields and gives back those it had.
    pub(super) fn replace(&mut self, place: Place, fields: FieldSet) -> FieldSet {
        std::mem::replace(&mut self.entries[place.0].fields, fields)
    }

    /// Takes out what nobody manages; `now` when the object changed.
    pub(super) fn strip(&mut self, place: Place, stripped: &FieldSet, now: Option<Timestamp>) {
        let entry = &mut self.entries[place.0];
        entry.fields = entry.fields.difference(stripped);
        entry.time = now.or(entry.time);
    }

    /// Lumps the oldest updaters of a version together while there are more than ten.
    pub(super) fn cap_updates(&mut self) {
        self.entries.retain(|entry| !entry.fields.is_empty());
        let mut updaters: Vec<usize> =
            (0..self.entries.len()).filter(|index| self.entries[*index].operation == Operation::Update).collect();
        let mut count = updaters.len();
        if count <= UPDATE_MANAGERS_MAX {
            return;
        }
        updaters.sort_by_key(|index| {
            let entry = &self.entries[*index];
            (entry.seconds(), entry.api_version.clone(), entry.manager.clone(), entry.subresource.clone())
        });
        // Per version, the oldest entry and those that join it. Only then does it become the lump.
        let mut lumps: BTreeMap<String, (usize, Vec<FieldSet>)> = BTreeMap::new();
        for index in updaters {
            if count <= UPDATE_MANAGERS_MAX {
                break;
            }
            let entry = &mut self.entries[index];
            match lumps.entry(entry.api_version.clone()) {
                btree_map::Entry::Vacant(place) => {
                    place.insert((index, Vec::new()));
                }
                btree_map::Entry::Occupied(mut lump) => {
                    let (first, joining) = lump.get_mut();
                    joining.push(std::mem::take(&mut entry.fields));
                    self.entries[*first].time = self.entries[index].time;
                    count -= 1;
                }
            }
        }
        for (first, mut joining) in lumps.into_values().filter(|(_, joining)| !joining.is_empty()) {
            let lump = &mut self.entries[first];
            ANCIENT_CHANGES.clone_into(&mut lump.manager);
            lump.subresource.clear();
            joining.push(std::mem::take(&mut lump.fields));
            lump.fields = FieldSet::all_of(joining);
        }
        self.entries.retain(|entry| !entry.fields.is_empty());
    }

    /// Writes `metadata.managedFields`, sorted as upstream does; none when nobody manages anything.
    pub(super) fn write_to(&self, object: &mut Value) {
        let mut entries: Vec<&Entry> = self.entries.iter().filter(|entry| !entry.fields.is_empty()).collect();
        entries.sort_by(|left, right| {
            (left.operation, left.seconds(), &left.manager, &left.api_version, &left.subresource).cmp(&(
                right.operation,
                right.seconds(),
                &right.manager,
                &right.api_version,
                &right.subresource,
            ))
        });
        let metadata = meta::metadata_mut(object);
        if entries.is_empty() {
            metadata.remove("managedFields");
        } else {
            let entries = entries.into_iter().map(Entry::encode).collect();
            metadata.insert("managedFields".to_owned(), Value::Array(entries));
        }
    }
}

/// True when two `managedFields` differ in nothing but their entries' times.
pub(super) fn equal_but_for_times(left: &Value, right: &Value) -> bool {
    let (Some(left), Some(right)) = (left.as_array(), right.as_array()) else { return false };
    let without_time = |entry: &Value| {
        let mut entry = entry.clone();
        if let Value::Object(map) = &mut entry {
            map.remove("time");
        }
        entry
    };
    left.len() == right.len() && left.iter().zip(right).all(|(left, right)| without_time(left) == without_time(right))
}
