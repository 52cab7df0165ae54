//! Files of one volume that get into each other's way: the same path twice, or a file where another wants a directory.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::go_text::quote;
use crate::kinds::fields::Fields;

pub(super) fn of_volumes(warnings: &mut Vec<String>, volumes: &[Value]) {
    for volume in volumes {
        let name = quote(volume.text("name"));
        for (field, shown, named_by) in
            [("configMap", "ConfigMap", "name"), ("secret", "Secret", "secretName"), ("downwardAPI", "DownwardAPI", "")]
        {
            let Some(source) = volume.child(field) else { continue };
            let subject = subject(shown, named_by, source);
            of_paths(warnings, &paths(source), &format!("volume {name} ({subject}): overlapping paths"));
        }
        if let Some(projected) = volume.child("projected") {
            of_projected(warnings, &name, projected.list("sources"));
        }
    }
}

/// `ConfigMap "settings"`; downward API files have no name.
fn subject(shown: &str, named_by: &str, source: &Value) -> String {
    if named_by.is_empty() { shown.to_owned() } else { format!("{shown} {}", quote(source.text(named_by))) }
}

fn paths(source: &Value) -> Vec<&str> {
    source.list("items").iter().map(|item| item.text("path")).collect()
}

fn of_projected(warnings: &mut Vec<String>, volume: &str, sources: &[Value]) {
    // A source without paths of its own goes by those of the one before it, as upstream has it.
    let mut own: Vec<&str> = Vec::new();
    let mut message = String::new();
    let mut all = BTreeSet::new();
    for source in sources {
        if source.as_object().is_none_or(|fields| fields.values().all(Value::is_null)) {
            warnings.push(format!("volume {volume} (Projected) has no sources provided"));
            continue;
        }
        let kinds =
            [("configMap", "ConfigMap", "name"), ("secret", "Secret", "name"), ("downwardAPI", "DownwardAPI", "")];
        let listed = kinds.iter().find_map(|(field, shown, named_by)| {
            let source = source.child(field).filter(|source| source.has("items"))?;
            Some((subject(shown, named_by, source), paths(source)))
        });
        let token = source.child("serviceAccountToken");
        let found = listed.or_else(|| token.map(|token| ("ServiceAccountToken".to_owned(), vec![token.text("path")])));
        if let Some((subject, paths)) = found {
            message = format!("volume {volume} (Projected {subject}): overlapping paths");
            own = paths;
        }
        if own.is_empty() {
            continue;
        }
        of_paths(warnings, &own, &message);
        let once: BTreeSet<&str> = own.iter().copied().collect();
        let mut together: Vec<&str> = once.iter().chain(&all).copied().collect();
        together.sort_unstable();
        of_paths(warnings, &together, &message);
        all.extend(once);
    }
}

fn of_paths(warnings: &mut Vec<String>, paths: &[&str], message: &str) {
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for path in paths {
        let path = path.trim_end_matches('/');
        if let Some(other) = seen.iter().find(|other| overlap(other, path)) {
            warnings.push(format!("{message}: {} with {}", quote(path), quote(other)));
        }
        seen.insert(path);
    }
}

/// Whether one path begins with the other. Upstream takes `pathology` for a file in `path`, too.
fn overlap(one: &str, other: &str) -> bool {
    !one.is_empty() && !other.is_empty() && (one.starts_with(other) || other.starts_with(one))
}
