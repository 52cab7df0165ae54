//! From a volume of the specification to the files in it. Pure: what was read, the tokens and the facts are arguments.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use coracle_control_api::go_text;
use k8s_openapi::api::core::v1::{
    DownwardAPIVolumeFile, KeyToPath, Pod, ResourceFieldSelector, Volume, VolumeProjection,
};

use super::atomic::{File, Files};
use crate::environment::{self, Facts, SourceKind, SourceName};
use crate::references::Data;

/// The permissions of a file when nobody names others.
const MODE_DEFAULT: u32 = 0o644;
/// How long a token holds when nobody says: an hour, as upstream has it.
const TOKEN_SECONDS_DEFAULT: i64 = 3600;

/// A token that a volume wants: for whom, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct TokenSpec {
    /// `None`: the API server itself.
    pub(crate) audience: Option<String>,
    pub(crate) seconds: i64,
}

/// What the files are made from.
#[derive(Debug)]
pub(crate) struct Material<'a> {
    pub(crate) pod: &'a Pod,
    pub(crate) facts: &'a Facts,
    /// What was read; `None` where there is no such object.
    pub(crate) objects: &'a HashMap<SourceName, Option<Arc<Data>>>,
    pub(crate) tokens: &'a HashMap<TokenSpec, String>,
}

/// Whether the volume is made of files that the agent writes.
pub(crate) fn is_rendered(volume: &Volume) -> bool {
    volume.config_map.is_some()
        || volume.secret.is_some()
        || volume.downward_api.is_some()
        || volume.projected.is_some()
}

fn projections(volume: &Volume) -> impl Iterator<Item = &VolumeProjection> {
    volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten())
}

/// The ConfigMaps and Secrets that the volume shows.
pub(crate) fn needs(volume: &Volume) -> Vec<SourceName> {
    let map = |name: &str| (SourceKind::ConfigMap, name.to_owned());
    let secret = |name: &str| (SourceKind::Secret, name.to_owned());
    let mut names: Vec<_> = volume.config_map.iter().map(|source| map(&source.name)).collect();
    names.extend(volume.secret.iter().filter_map(|source| source.secret_name.as_deref()).map(secret));
    for projection in projections(volume) {
        names.extend(projection.config_map.iter().map(|source| map(&source.name)));
        names.extend(projection.secret.iter().map(|source| secret(&source.name)));
    }
    names
}

/// The tokens that the volume shows.
pub(crate) fn tokens(volume: &Volume) -> Vec<TokenSpec> {
    let sources = projections(volume).filter_map(|projection| projection.service_account_token.as_ref());
    let spec = |source: &k8s_openapi::api::core::v1::ServiceAccountTokenProjection| TokenSpec {
        audience: source.audience.clone().filter(|audience| !audience.is_empty()),
        seconds: source.expiration_seconds.unwrap_or(TOKEN_SECONDS_DEFAULT),
    };
    sources.map(spec).collect()
}

/// The files of a volume that [`is_rendered`]; empty for another one.
///
/// # Errors
/// What is missing, in the words of kubelet.
pub(crate) fn files(volume: &Volume, material: &Material<'_>) -> Result<Files, String> {
    let mut files = Files::new();
    if let Some(source) = &volume.config_map {
        let keys = Keys { items: source.items.as_deref(), optional: source.optional, mode: mode(source.default_mode) };
        add_object(&mut files, material, SourceKind::ConfigMap, &source.name, &keys)?;
    }
    if let Some(source) = &volume.secret {
        let name = source.secret_name.as_deref().unwrap_or_default();
        let keys = Keys { items: source.items.as_deref(), optional: source.optional, mode: mode(source.default_mode) };
        add_object(&mut files, material, SourceKind::Secret, name, &keys)?;
    }
    if let Some(source) = &volume.downward_api {
        add_facts(&mut files, material, source.items.as_deref(), mode(source.default_mode))?;
    }
    if let Some(source) = &volume.projected {
        // All that is missing is told at once.
        let failed: Vec<_> = (source.sources.iter().flatten())
            .filter_map(|projection| add_projection(&mut files, material, projection, mode(source.default_mode)).err())
            .collect();
        if !failed.is_empty() {
            return Err(go_text::aggregate(failed));
        }
    }
    Ok(files)
}

fn mode(number: Option<i32>) -> u32 {
    number.and_then(|mode| u32::try_from(mode).ok()).unwrap_or(MODE_DEFAULT)
}

fn add_projection(
    files: &mut Files,
    material: &Material<'_>,
    projection: &VolumeProjection,
    mode: u32,
) -> Result<(), String> {
    if let Some(source) = &projection.config_map {
        let keys = Keys { items: source.items.as_deref(), optional: source.optional, mode };
        add_object(files, material, SourceKind::ConfigMap, &source.name, &keys)?;
    }
    if let Some(source) = &projection.secret {
        let keys = Keys { items: source.items.as_deref(), optional: source.optional, mode };
        add_object(files, material, SourceKind::Secret, &source.name, &keys)?;
    }
    if let Some(source) = &projection.downward_api {
        add_facts(files, material, source.items.as_deref(), mode)?;
    }
    if let Some(source) = &projection.service_account_token {
        let spec = TokenSpec {
            audience: source.audience.clone().filter(|audience| !audience.is_empty()),
            seconds: source.expiration_seconds.unwrap_or(TOKEN_SECONDS_DEFAULT),
        };
        let token = material.tokens.get(&spec).ok_or("failed to fetch token: there is none yet")?;
        files.insert(source.path.clone(), File { contents: token.clone().into_bytes(), mode });
    }
    if projection.cluster_trust_bundle.is_some() {
        return Err("clusterTrustBundle projections are not supported by this host".to_owned());
    }
    Ok(())
}

/// Which keys of an object are shown.
struct Keys<'a> {
    items: Option<&'a [KeyToPath]>,
    optional: Option<bool>,
    mode: u32,
}

fn add_object(
    files: &mut Files,
    material: &Material<'_>,
    kind: SourceKind,
    name: &str,
    keys: &Keys<'_>,
) -> Result<(), String> {
    let optional = keys.optional == Some(true);
    let found = material.objects.get(&(kind, name.to_owned())).cloned().flatten();
    let Some(data) = found else {
        return if optional { Ok(()) } else { Err(kind.not_found(name)) };
    };
    let Some(items) = keys.items.filter(|items| !items.is_empty()) else {
        let file = |contents: &Vec<u8>| File { contents: contents.clone(), mode: keys.mode };
        files.extend(data.iter().map(|(key, contents)| (key.clone(), file(contents))));
        return Ok(());
    };
    for item in items {
        match data.get(&item.key) {
            Some(contents) => {
                let mode = item.mode.map_or(keys.mode, |mode| self::mode(Some(mode)));
                files.insert(item.path.clone(), File { contents: contents.clone(), mode });
            }
            None if optional => {}
            None => {
                return Err(match kind {
                    SourceKind::ConfigMap => format!("configmap references non-existent config key: {}", item.key),
                    SourceKind::Secret => format!("references non-existent secret key: {}", item.key),
                });
            }
        }
    }
    Ok(())
}

fn add_facts(
    files: &mut Files,
    material: &Material<'_>,
    items: Option<&[DownwardAPIVolumeFile]>,
    mode: u32,
) -> Result<(), String> {
    for item in items.into_iter().flatten() {
        let text = match (&item.field_ref, &item.resource_field_ref) {
            (Some(field), _) => field_text(material, &field.field_path)?,
            (None, Some(field)) => resource_text(material, field)?,
            (None, None) => continue,
        };
        let mode = item.mode.map_or(mode, |mode| self::mode(Some(mode)));
        files.insert(item.path.clone(), File { contents: text.into_bytes(), mode });
    }
    Ok(())
}

fn field_text(material: &Material<'_>, path: &str) -> Result<String, String> {
    let meta = &material.pod.metadata;
    match path {
        "metadata.labels" => Ok(lines(meta.labels.as_ref())),
        "metadata.annotations" => Ok(lines(meta.annotations.as_ref())),
        _ => environment::field_value(material.pod, path, material.facts).map_err(|error| error.to_string()),
    }
}

/// `name="value"` on a line each, the value quoted as Go quotes.
fn lines(map: Option<&BTreeMap<String, String>>) -> String {
    let lines = map.into_iter().flatten().map(|(name, value)| format!("{name}={}", go_text::quote(value)));
    lines.collect::<Vec<_>>().join("\n")
}

fn resource_text(material: &Material<'_>, field: &ResourceFieldSelector) -> Result<String, String> {
    let name = field.container_name.as_deref().unwrap_or_default();
    let spec = material.pod.spec.as_ref();
    let all = spec.into_iter().flat_map(|spec| spec.init_containers.iter().flatten().chain(&spec.containers));
    let container = all.into_iter().find(|container| container.name == name);
    let container = container.ok_or_else(|| format!("container {name} not found"))?;
    environment::resource_value(material.pod, container, field, material.facts).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
