//! A FlowSchema, read for matching.

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use coracle_control_api::meta;
use http::HeaderValue;
use serde_json::Value;

use super::level::{Level, header};
use crate::request_info::RequestInfo;
use crate::user::UserInfo;

/// What service accounts are called as users.
const ACCOUNT_PREFIX: &str = "system:serviceaccount:";

/// A FlowSchema whose level is there.
#[derive(Debug)]
pub(super) struct Schema {
    pub(super) name: String,
    pub(super) uid: HeaderValue,
    pub(super) precedence: i64,
    pub(super) level: Arc<Level>,
    distinguisher: Option<Distinguisher>,
    rules: Vec<Rule>,
}

#[derive(Debug, Clone, Copy)]
enum Distinguisher {
    User,
    Namespace,
}

#[derive(Debug)]
struct Rule {
    subjects: Vec<Subject>,
    resources: Vec<Resources>,
    paths: Vec<Paths>,
}

#[derive(Debug)]
enum Subject {
    User(String),
    Group(String),
    /// Namespace, and name or all of them.
    Account(String, Option<String>),
}

#[derive(Debug)]
struct Resources {
    verbs: Names,
    groups: Names,
    resources: Names,
    namespaces: Names,
    cluster_scope: bool,
}

#[derive(Debug)]
struct Paths {
    verbs: Names,
    paths: Vec<String>,
}

/// A list of names, or all of them.
#[derive(Debug)]
enum Names {
    All,
    These(Vec<String>),
}

impl Names {
    fn read(list: Option<&Value>) -> Self {
        let names = list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        let names: Vec<String> = names.map(str::to_owned).collect();
        if names.iter().any(|name| name == "*") { Self::All } else { Self::These(names) }
    }

    fn has(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::These(names) => names.iter().any(|known| known == name),
        }
    }

    /// The resource, or `RESOURCE/SUBRESOURCE`.
    fn has_resource(&self, info: &RequestInfo) -> bool {
        let Self::These(names) = self else { return true };
        names.iter().any(|known| match known.split_once('/') {
            None => info.subresource.is_empty() && *known == info.resource,
            Some((resource, subresource)) => resource == info.resource && subresource == info.subresource,
        })
    }
}

fn text(value: Option<&Value>) -> String {
    value.and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn items<'a>(object: &'a Value, field: &str) -> impl Iterator<Item = &'a Value> {
    object.get(field).and_then(Value::as_array).into_iter().flatten()
}

impl Schema {
    /// `None` for a schema whose level is not there: it matches nothing.
    pub(super) fn read(object: &Value, levels: &[Arc<Level>]) -> Option<Self> {
        let spec = object.get("spec")?;
        let level = spec.pointer("/priorityLevelConfiguration/name")?.as_str()?;
        let distinguisher = match spec.pointer("/distinguisherMethod/type").and_then(Value::as_str) {
            Some("ByUser") => Some(Distinguisher::User),
            Some("ByNamespace") => Some(Distinguisher::Namespace),
            _ => None,
        };
        Some(Self {
            name: meta::name(object).to_owned(),
            uid: header(meta::uid(object)),
            precedence: spec.get("matchingPrecedence").and_then(Value::as_i64).unwrap_or(1000),
            level: Arc::clone(levels.iter().find(|known| known.name == level)?),
            distinguisher,
            rules: items(spec, "rules").map(Rule::read).collect(),
        })
    }

    pub(super) fn matches(&self, user: &UserInfo, info: &RequestInfo) -> bool {
        self.rules.iter().any(|rule| rule.matches(user, info))
    }

    /// The number by which a flow of requests is told from others.
    pub(super) fn flow(&self, user: &UserInfo, info: &RequestInfo) -> u64 {
        let distinguisher = match self.distinguisher {
            Some(Distinguisher::User) => user.name.as_str(),
            Some(Distinguisher::Namespace) => info.namespace.as_str(),
            None => "",
        };
        BuildHasherDefault::<DefaultHasher>::default().hash_one((&self.name, distinguisher))
    }
}

impl Rule {
    fn read(rule: &Value) -> Self {
        Self {
            subjects: items(rule, "subjects").filter_map(Subject::read).collect(),
            resources: items(rule, "resourceRules").map(Resources::read).collect(),
            paths: items(rule, "nonResourceRules").map(Paths::read).collect(),
        }
    }

    fn matches(&self, user: &UserInfo, info: &RequestInfo) -> bool {
        let asks = || {
            if info.is_resource {
                self.resources.iter().any(|rule| rule.matches(info))
            } else {
                self.paths.iter().any(|rule| rule.matches(info))
            }
        };
        self.subjects.iter().any(|subject| subject.is(user)) && asks()
    }
}

impl Subject {
    fn read(subject: &Value) -> Option<Self> {
        match subject.get("kind").and_then(Value::as_str)? {
            "User" => Some(Self::User(text(subject.pointer("/user/name")))),
            "Group" => Some(Self::Group(text(subject.pointer("/group/name")))),
            "ServiceAccount" => {
                let name = text(subject.pointer("/serviceAccount/name"));
                let namespace = text(subject.pointer("/serviceAccount/namespace"));
                Some(Self::Account(namespace, (name != "*").then_some(name)))
            }
            _ => None,
        }
    }

    fn is(&self, user: &UserInfo) -> bool {
        match self {
            Self::User(name) => name == "*" || *name == user.name,
            Self::Group(name) => name == "*" || user.is_in(name),
            Self::Account(namespace, name) => {
                let account = user.name.strip_prefix(ACCOUNT_PREFIX).and_then(|account| account.split_once(':'));
                account.is_some_and(|(place, account)| {
                    place == namespace && name.as_ref().is_none_or(|name| name == account)
                })
            }
        }
    }
}

impl Resources {
    fn read(rule: &Value) -> Self {
        Self {
            verbs: Names::read(rule.get("verbs")),
            groups: Names::read(rule.get("apiGroups")),
            resources: Names::read(rule.get("resources")),
            namespaces: Names::read(rule.get("namespaces")),
            cluster_scope: rule.get("clusterScope").and_then(Value::as_bool) == Some(true),
        }
    }

    fn matches(&self, info: &RequestInfo) -> bool {
        let place = if info.namespace.is_empty() { self.cluster_scope } else { self.namespaces.has(&info.namespace) };
        place && self.verbs.has(info.verb) && self.groups.has(&info.group) && self.resources.has_resource(info)
    }
}

impl Paths {
    fn read(rule: &Value) -> Self {
        let paths = items(rule, "nonResourceURLs").filter_map(Value::as_str).map(str::to_owned).collect();
        Self { verbs: Names::read(rule.get("verbs")), paths }
    }

    fn matches(&self, info: &RequestInfo) -> bool {
        let fits = |path: &String| match path.strip_suffix('*') {
            // A star stands for everything below, at the end of a path only.
            Some(prefix) => info.path.starts_with(prefix),
            None => info.path.trim_end_matches('/') == path.trim_end_matches('/'),
        };
        self.verbs.has(info.verb) && self.paths.iter().any(fits)
    }
}
