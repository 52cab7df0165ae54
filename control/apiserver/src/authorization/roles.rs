//! Who has which rules: the roles and bindings of the store, read once and again only when one of them has changed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use coracle_control_api::meta;
use coracle_control_api::selector::LabelSelector;
use coracle_control_store::{Snapshot, Store, Watch};
use futures::FutureExt as _;
use serde_json::Value;

use super::Attributes;
use super::graph::NodeGraph;
use super::node::Relations;
use super::rule::Rule;
use crate::user::UserInfo;

/// All roles and bindings lie under this prefix of the store.
const PREFIX: &str = "/registry/rbac.authorization.k8s.io/";

/// The roles as they are now. A look costs a reference count, unless a role or binding has changed since the last one.
#[derive(Debug, Default)]
pub(crate) struct RoleCache {
    current: Mutex<Option<Current>>,
    graph: Arc<NodeGraph>,
}

#[derive(Debug)]
struct Current {
    /// Tells of changes; nobody waits on it.
    watch: Watch,
    roles: Arc<Roles>,
}

impl RoleCache {
    /// The roles and bindings of everything that the store has applied.
    pub(crate) fn roles(&self, store: &Store) -> Arc<Roles> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(current) = &mut *current {
            match current.watch.next().now_or_never() {
                None => return Arc::clone(&current.roles),
                Some(Ok(_)) => {
                    // The snapshot below has all that the watch can still tell.
                    while let Some(Ok(_)) = current.watch.next().now_or_never() {}
                    current.roles = Arc::new(self.read(store, &store.snapshot()));
                    return Arc::clone(&current.roles);
                }
                Some(Err(_)) => {}
            }
        }
        let snapshot = store.snapshot();
        let roles = Arc::new(self.read(store, &snapshot));
        *current = store
            .watch(PREFIX.as_bytes(), snapshot.revision())
            .ok()
            .map(|watch| Current { watch, roles: Arc::clone(&roles) });
        roles
    }
}

impl RoleCache {
    fn read(&self, store: &Store, snapshot: &Snapshot) -> Roles {
        let relations = Relations { graph: Arc::clone(&self.graph), store: store.clone() };
        Roles { relations: Some(relations), ..Roles::of(snapshot) }
    }
}

/// Which subject has which rules where.
#[derive(Debug, Default)]
pub(crate) struct Roles {
    by_user: HashMap<String, Vec<Arc<Grant>>>,
    by_group: HashMap<String, Vec<Arc<Grant>>>,
    cluster_roles: HashMap<String, Arc<[Rule]>>,
    /// By namespace and name.
    roles: HashMap<(String, String), Arc<[Rule]>>,
    /// Which objects the pods of a node name.
    relations: Option<Relations>,
}

/// What a binding gives to its subjects.
#[derive(Debug)]
pub(crate) struct Grant {
    /// Where; `None` for everywhere.
    namespace: Option<String>,
    /// `ClusterRoleBinding "x" of ClusterRole "y"`.
    description: String,
    /// The role that is not there.
    missing: Option<String>,
    rules: Arc<[Rule]>,
}

impl Roles {
    /// The roles and bindings of a snapshot.
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        let read = |plural: &str| {
            let entries = snapshot.prefix(format!("{PREFIX}{plural}/").as_bytes()).collect::<Vec<_>>();
            entries.into_iter().filter_map(|entry| serde_json::from_slice(&entry.value).ok()).collect::<Vec<Value>>()
        };
        Self::new(&read("clusterroles"), &read("roles"), &read("clusterrolebindings"), &read("rolebindings"))
    }

    /// The roles and bindings in these objects.
    pub(crate) fn new(
        cluster_roles: &[Value],
        roles: &[Value],
        cluster_bindings: &[Value],
        bindings: &[Value],
    ) -> Self {
        let mut all = Self::default();
        for role in cluster_roles {
            all.cluster_roles.insert(meta::name(role).to_owned(), cluster_rules(role, cluster_roles).into());
        }
        for role in roles {
            let key = (meta::namespace(role).to_owned(), meta::name(role).to_owned());
            all.roles.insert(key, Rule::read(role.get("rules")).into());
        }
        for binding in cluster_bindings {
            all.bind(binding, None);
        }
        for binding in bindings {
            all.bind(binding, Some(meta::namespace(binding)));
        }
        all
    }

    /// Where it is looked up what the pods of a node name.
    pub(super) fn relations(&self) -> Option<&Relations> {
        self.relations.as_ref()
    }

    /// The rules of the role that a `roleRef` names, as seen from a namespace.
    pub(crate) fn referenced(&self, reference: &Value, namespace: &str) -> Option<&Arc<[Rule]>> {
        let name = text(reference, "name");
        match text(reference, "kind") {
            "ClusterRole" => self.cluster_roles.get(name),
            _ => self.roles.get(&(namespace.to_owned(), name.to_owned())),
        }
    }

    fn bind(&mut self, binding: &Value, namespace: Option<&str>) {
        let null = Value::Null;
        let reference = binding.get("roleRef").unwrap_or(&null);
        let (kind, name) = (text(reference, "kind"), text(reference, "name"));
        let rules = self.referenced(reference, namespace.unwrap_or_default()).cloned();
        let place = namespace.map(|namespace| format!("/{namespace}")).unwrap_or_default();
        let (binding_kind, own) = match namespace {
            None => ("ClusterRoleBinding", meta::name(binding).to_owned()),
            Some(_) => ("RoleBinding", format!("{}{place}", meta::name(binding))),
        };
        let grant = Arc::new(Grant {
            namespace: namespace.map(str::to_owned),
            description: format!("{binding_kind} {own:?} of {kind} {name:?}"),
            missing: rules
                .is_none()
                .then(|| format!("{}.rbac.authorization.k8s.io {name:?} not found", kind.to_lowercase())),
            rules: rules.unwrap_or_default(),
        });
        for subject in binding.get("subjects").and_then(Value::as_array).into_iter().flatten() {
            let name = text(subject, "name");
            let (table, key) = match text(subject, "kind") {
                "User" => (&mut self.by_user, name.to_owned()),
                "Group" => (&mut self.by_group, name.to_owned()),
                "ServiceAccount" => {
                    let own = text(subject, "namespace");
                    let own = if own.is_empty() { namespace.unwrap_or_default() } else { own };
                    (&mut self.by_user, format!("system:serviceaccount:{own}:{name}"))
                }
                _ => continue,
            };
            table.entry(key).or_default().push(Arc::clone(&grant));
        }
    }

    /// What the user has in a namespace; with an empty one, everywhere. Each with the subject by which he has it.
    fn grants<'a>(
        &'a self,
        user: &'a UserInfo,
        namespace: &'a str,
    ) -> impl Iterator<Item = (&'a Grant, &'static str, &'a str)> {
        let groups = user.groups.iter().map(|group| (self.by_group.get(group), "Group", group.as_str()));
        std::iter::once((self.by_user.get(&user.name), "User", user.name.as_str()))
            .chain(groups)
            .flat_map(|(grants, kind, name)| grants.into_iter().flatten().map(move |grant| (&**grant, kind, name)))
            .filter(move |(grant, ..)| {
                grant.namespace.as_deref().is_none_or(|own| !namespace.is_empty() && own == namespace)
            })
    }

    /// By what the user may do this.
    ///
    /// # Errors
    /// What a refusal says of the roles that could not be found; empty if they are all there.
    pub(crate) fn allow(&self, user: &UserInfo, attributes: &Attributes<'_>) -> Result<String, String> {
        let mut missing: Vec<&str> = Vec::new();
        // A path is no namespace's.
        let namespace = if attributes.path.is_some() { "" } else { attributes.namespace };
        for (grant, kind, name) in self.grants(user, namespace) {
            if grant.rules.iter().any(|rule| rule.allows(attributes)) {
                return Ok(format!("RBAC: allowed by {} to {kind} {name:?}", grant.description));
            }
            missing.extend(grant.missing.as_deref());
        }
        missing.sort_unstable();
        missing.dedup();
        Err(match missing.as_slice() {
            [] => String::new(),
            [one] => format!(": RBAC: {one}"),
            several => format!(": RBAC: [{}]", several.join(", ")),
        })
    }

    /// Everything that the user may do in a namespace, or everywhere.
    pub(crate) fn rules_of(&self, user: &UserInfo, namespace: &str) -> Vec<Rule> {
        self.grants(user, namespace).flat_map(|(grant, ..)| grant.rules.iter().cloned()).collect()
    }
}

/// The rules of a cluster role, those of the roles that it gathers included.
fn cluster_rules(role: &Value, all: &[Value]) -> Vec<Rule> {
    let mut rules = Rule::read(role.get("rules"));
    let selectors = role.pointer("/aggregationRule/clusterRoleSelectors").and_then(Value::as_array);
    for selector in selectors.into_iter().flatten() {
        let Ok(selector) = LabelSelector::from_object(Some(selector)) else { continue };
        let others = all.iter().filter(|other| meta::name(other) != meta::name(role));
        for other in others.filter(|other| selector.matches(meta::labels(other))) {
            for rule in Rule::read(other.get("rules")) {
                if !rules.contains(&rule) {
                    rules.push(rule);
                }
            }
        }
    }
    rules
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}
