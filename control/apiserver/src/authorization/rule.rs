//! A rule of a role: these verbs on these resources, or on these paths.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::Attributes;

const ALL: &str = "*";

/// Verbs, and what they may be used on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) verbs: Vec<String>,
    pub(crate) groups: Vec<String>,
    pub(crate) resources: Vec<String>,
    pub(crate) names: Vec<String>,
    pub(crate) paths: Vec<String>,
}

impl Rule {
    /// The rules in a list of `PolicyRule` objects.
    pub(crate) fn read(rules: Option<&Value>) -> Vec<Self> {
        let texts = |rule: &Value, name: &str| {
            let texts = rule.get(name).and_then(Value::as_array).into_iter().flatten();
            texts.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let rules = rules.and_then(Value::as_array).into_iter().flatten();
        rules
            .map(|rule| Self {
                verbs: texts(rule, "verbs"),
                groups: texts(rule, "apiGroups"),
                resources: texts(rule, "resources"),
                names: texts(rule, "resourceNames"),
                paths: texts(rule, "nonResourceURLs"),
            })
            .collect()
    }

    /// The right to do everything.
    pub(crate) fn everything() -> [Self; 2] {
        let all = || vec![ALL.to_owned()];
        [
            Self { verbs: all(), groups: all(), resources: all(), ..Self::default() },
            Self { verbs: all(), paths: all(), ..Self::default() },
        ]
    }

    /// Whether the rule allows what is asked for.
    pub(crate) fn allows(&self, attributes: &Attributes<'_>) -> bool {
        let Attributes { verb, group, resource, subresource, name, path, .. } = *attributes;
        if !has(&self.verbs, verb) {
            return false;
        }
        match path {
            Some(path) => self.paths.iter().any(|pattern| path_matches(pattern, path)),
            None => {
                has(&self.groups, group)
                    && self.resources.iter().any(|pattern| resource_matches(pattern, resource, subresource))
                    && (self.names.is_empty() || self.names.iter().any(|own| own == name))
            }
        }
    }

    /// As a `ResourceRule` or `NonResourceRule` of a review; the flag is true for paths.
    pub(crate) fn to_value(&self) -> (bool, Value) {
        if !self.paths.is_empty() {
            return (true, json!({ "verbs": self.verbs, "nonResourceURLs": self.paths }));
        }
        let mut rule = json!({ "verbs": self.verbs, "apiGroups": self.groups, "resources": self.resources });
        if !self.names.is_empty() {
            rule["resourceNames"] = json!(self.names);
        }
        (false, rule)
    }

    /// One rule for each verb of each resource of each group, by name where there are names.
    fn atoms(&self) -> Vec<Self> {
        let one = |text: &String| vec![text.clone()];
        let mut atoms = Vec::new();
        for verb in &self.verbs {
            for path in &self.paths {
                atoms.push(Self { verbs: one(verb), paths: one(path), ..Self::default() });
            }
            for (group, resource) in self.groups.iter().flat_map(|g| self.resources.iter().map(move |r| (g, r))) {
                let atom = Self { verbs: one(verb), groups: one(group), resources: one(resource), ..Self::default() };
                if self.names.is_empty() {
                    atoms.push(atom);
                } else {
                    atoms.extend(self.names.iter().map(|name| Self { names: one(name), ..atom.clone() }));
                }
            }
        }
        atoms
    }

    /// Whether everything that the atom allows is allowed by this rule.
    fn covers(&self, atom: &Self) -> bool {
        let all_in = |own: &[String], theirs: &[String]| theirs.iter().all(|text| has(own, text));
        if !all_in(&self.verbs, &atom.verbs) {
            return false;
        }
        if !atom.paths.is_empty() {
            let covers = |path: &String| self.paths.iter().any(|own| own == path || path_matches(own, path));
            return atom.paths.iter().all(covers);
        }
        let resource = |wanted: &String| {
            let (resource, subresource) = wanted.split_once('/').unwrap_or((wanted, ""));
            self.resources.iter().any(|own| own == wanted || resource_matches(own, resource, subresource))
        };
        all_in(&self.groups, &atom.groups)
            && atom.resources.iter().all(resource)
            && (self.names.is_empty() || (!atom.names.is_empty() && all_in(&self.names, &atom.names)))
    }

    /// As upstream's messages show a rule.
    fn describe(&self) -> String {
        let quoted =
            |texts: &[String]| format!("[{}]", texts.iter().map(|t| format!("{t:?}")).collect::<Vec<_>>().join(" "));
        let fields = [
            ("APIGroups", &self.groups),
            ("Resources", &self.resources),
            ("NonResourceURLs", &self.paths),
            ("ResourceNames", &self.names),
            ("Verbs", &self.verbs),
        ];
        let fields: Vec<String> = fields
            .into_iter()
            .filter(|(_, texts)| !texts.is_empty())
            .map(|(name, texts)| format!("{name}:{}", quoted(texts)))
            .collect();
        format!("{{{}}}", fields.join(", "))
    }
}

/// What `wanted` allows and `held` does not, one line for each rule; empty if `held` covers it all.
pub(crate) fn not_covered(held: &[Rule], wanted: &[Rule]) -> Vec<String> {
    // Rules about the same thing are told as one, with all their verbs.
    let mut missing: BTreeMap<String, Rule> = BTreeMap::new();
    for atom in wanted.iter().flat_map(Rule::atoms) {
        if held.iter().any(|rule| rule.covers(&atom)) {
            continue;
        }
        let key = Rule { verbs: Vec::new(), ..atom.clone() }.describe();
        let rule = missing.entry(key).or_insert_with(|| Rule { verbs: Vec::new(), ..atom.clone() });
        for verb in atom.verbs {
            if !rule.verbs.contains(&verb) {
                rule.verbs.push(verb);
            }
        }
    }
    let lines: BTreeSet<String> = missing.values().map(Rule::describe).collect();
    lines.into_iter().collect()
}

fn has(texts: &[String], wanted: &str) -> bool {
    texts.iter().any(|text| text == ALL || text == wanted)
}

fn path_matches(pattern: &str, path: &str) -> bool {
    pattern == path || pattern.strip_suffix('*').is_some_and(|prefix| path.starts_with(prefix))
}

fn resource_matches(pattern: &str, resource: &str, subresource: &str) -> bool {
    if pattern == ALL {
        return true;
    }
    match pattern.split_once('/') {
        None => subresource.is_empty() && pattern == resource,
        Some((parent, child)) => {
            !subresource.is_empty() && child == subresource && (parent == ALL || parent == resource)
        }
    }
}
