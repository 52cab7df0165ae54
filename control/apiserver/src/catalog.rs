//! The kinds that are served, found by what a path names.
//!
//! The built-in kinds are a table. Custom kinds are read from the definitions in the store, at the moment when a request
//! names them: the definition of a path has the key `PLURAL.GROUP`, so that looking it up is one step and what was
//! established a microsecond ago is served, on every server that shares the store. What a definition was made into is
//! kept by its revision. A watch that fills a table was refused: it needs a task and is always a little late.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use coracle_control_api::custom;
use coracle_control_api::kind::Kind;
use coracle_control_api::kinds;
use coracle_control_store::{Entry, Store};
use serde_json::Value;

/// The keys of definitions begin so.
static DEFINITIONS: LazyLock<String> = LazyLock::new(|| format!("/registry/{}/{}/", custom::GROUP, custom::PLURAL));

/// Every kind that is served.
#[derive(Debug)]
pub(crate) struct Catalog {
    store: Store,
    built_in: Arc<Kinds>,
    definitions: Mutex<HashMap<String, Arc<Definition>>>,
    all: Mutex<Option<Arc<Kinds>>>,
}

/// A set of kinds at some time.
#[derive(Debug)]
pub(crate) struct Kinds {
    kinds: Vec<Arc<Kind>>,
    by_path: HashMap<(String, String, String), usize>,
    /// The definitions of the custom ones among them, each with its revision.
    made_of: BTreeMap<String, u64>,
    built_in: usize,
}

/// A definition and what it was made into.
#[derive(Debug)]
pub(crate) struct Definition {
    revision: u64,
    pub(crate) object: Value,
    /// None before the definition is established.
    kinds: Vec<Arc<Kind>>,
}

impl Definition {
    fn new(entry: &Entry) -> Self {
        let object: Value = serde_json::from_slice(&entry.value).unwrap_or_default();
        let established = custom::is_condition_true(&object, "Established");
        let kinds = if established { custom::shared_kinds(&object) } else { Vec::new() };
        Self { revision: entry.mod_revision, object, kinds }
    }

    /// Whether it goes away, and its objects with it.
    pub(crate) fn is_terminating(&self) -> bool {
        coracle_control_api::meta::is_being_deleted(&self.object)
    }
}

impl Kinds {
    fn new(kinds: Vec<Arc<Kind>>, built_in: usize, made_of: BTreeMap<String, u64>) -> Self {
        let by_path = kinds
            .iter()
            .enumerate()
            .map(|(index, kind)| ((kind.group.to_string(), kind.version.to_string(), kind.plural.to_string()), index));
        Self { by_path: by_path.collect(), kinds, made_of, built_in }
    }

    /// Every kind: the built-in ones in the order of the table, then the custom ones by the names of their definitions.
    pub(crate) fn kinds(&self) -> &[Arc<Kind>] {
        &self.kinds
    }

    /// The custom kinds.
    pub(crate) fn custom(&self) -> &[Arc<Kind>] {
        &self.kinds[self.built_in..]
    }

    /// The kind under `/apis/GROUP/VERSION/PLURAL`.
    pub(crate) fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Kind>> {
        let key = (group.to_owned(), version.to_owned(), plural.to_owned());
        self.by_path.get(&key).and_then(|index| self.kinds.get(*index))
    }

    /// Whether any kind is served in the version of the group.
    pub(crate) fn has_version(&self, group: &str, version: &str) -> bool {
        self.kinds.iter().any(|kind| kind.group == group && kind.version == version)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is kept is whole between any two steps; a panic elsewhere does not spoil it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Catalog {
    /// The built-in kinds, the optional ones that are switched on, and those that the store has definitions of.
    pub(crate) fn new(store: Store, optional: Vec<Kind>) -> Self {
        let mut built_in = kinds::kinds().to_vec();
        built_in.extend(optional.into_iter().map(Arc::new));
        let count = built_in.len();
        Self {
            store,
            built_in: Arc::new(Kinds::new(built_in, count, BTreeMap::new())),
            definitions: Mutex::default(),
            all: Mutex::default(),
        }
    }

    /// The built-in kinds alone.
    pub(crate) fn built_in(&self) -> &Arc<Kinds> {
        &self.built_in
    }

    /// The kind under `/apis/GROUP/VERSION/PLURAL`.
    pub(crate) fn find(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Kind>> {
        if let Some(kind) = self.built_in.find(group, version, plural) {
            return Some(Arc::clone(kind));
        }
        let definition = self.definition(group, plural)?;
        definition.kinds.iter().find(|kind| kind.version == version && kind.plural == plural).cloned()
    }

    /// Where the definition of a custom resource is stored.
    pub(crate) fn definition_key(group: &str, plural: &str) -> String {
        format!("{}{plural}.{group}", *DEFINITIONS)
    }

    /// The definition of a custom resource.
    pub(crate) fn definition(&self, group: &str, plural: &str) -> Option<Arc<Definition>> {
        let key = Self::definition_key(group, plural);
        let entry = self.store.snapshot().get(key.as_bytes())?;
        Some(self.read(&entry))
    }

    fn read(&self, entry: &Entry) -> Arc<Definition> {
        let name = String::from_utf8_lossy(&entry.key).into_owned();
        if let Some(known) = lock(&self.definitions).get(&name).filter(|known| known.revision == entry.mod_revision) {
            return Arc::clone(known);
        }
        let definition = Arc::new(Definition::new(entry));
        lock(&self.definitions).insert(name, Arc::clone(&definition));
        definition
    }

    /// Every definition in the store, by key.
    pub(crate) fn definitions(&self) -> Vec<(Entry, Arc<Definition>)> {
        let snapshot = self.store.snapshot();
        let entries: Vec<Entry> = snapshot.prefix(DEFINITIONS.as_bytes()).collect();
        lock(&self.definitions)
            .retain(|name, _| entries.binary_search_by(|entry| (*entry.key).cmp(name.as_bytes())).is_ok());
        entries.into_iter().map(|entry| (entry.clone(), self.read(&entry))).collect()
    }

    /// Every kind that is served now.
    pub(crate) fn all(&self) -> Arc<Kinds> {
        let definitions = self.definitions();
        if definitions.is_empty() {
            return Arc::clone(&self.built_in);
        }
        let made_of: BTreeMap<String, u64> = definitions
            .iter()
            .map(|(entry, _)| (String::from_utf8_lossy(&entry.key).into_owned(), entry.mod_revision))
            .collect();
        if let Some(all) = lock(&self.all).as_ref().filter(|all| all.made_of == made_of) {
            return Arc::clone(all);
        }
        let mut kinds = self.built_in.kinds.clone();
        kinds.extend(definitions.iter().flat_map(|(_, definition)| definition.kinds.iter().cloned()));
        let all = Arc::new(Kinds::new(kinds, self.built_in.kinds.len(), made_of));
        *lock(&self.all) = Some(Arc::clone(&all));
        all
    }
}
