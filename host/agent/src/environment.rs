//! The environment of a container: its variables from where they are, and `$(NAME)` in texts.
//!
//! Two steps: [`needs`] names the ConfigMaps and Secrets that a container wants, [`build`] makes the variables of what
//! was found. The second is pure.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use coracle_control_api::quantity::Quantity;
use k8s_openapi::api::core::v1::{Container, EnvVar, EnvVarSource, Pod, ResourceFieldSelector};

use crate::references::Data;

/// A ConfigMap or a Secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum SourceKind {
    ConfigMap,
    Secret,
}

impl SourceKind {
    pub(crate) fn not_found(self, name: &str) -> String {
        match self {
            Self::ConfigMap => format!("configmap \"{name}\" not found"),
            Self::Secret => format!("secret \"{name}\" not found"),
        }
    }

    fn no_key(self, key: &str, namespace: &str, name: &str) -> String {
        let kind = match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
        };
        format!("couldn't find key {key} in {kind} {namespace}/{name}")
    }
}

/// A ConfigMap or Secret of the pod's namespace, by name.
pub(crate) type SourceName = (SourceKind, String);
/// What was found: keys and values; a name that is not in here does not exist.
pub(crate) type Sources = HashMap<SourceName, Arc<Data>>;

/// What a container may learn of its host and of itself.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) pod_ip: IpAddr,
    pub(crate) host_ip: IpAddr,
    /// What pods may use of the host: stands in for a limit that is not set.
    pub(crate) cpu_millis: u64,
    pub(crate) memory_bytes: u64,
    pub(crate) storage_bytes: u64,
}

/// Why there is no environment, in the words of kubelet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct EnvironmentError(pub(crate) String);

/// The sources that the container's environment is made from.
pub(crate) fn needs(container: &Container) -> Vec<SourceName> {
    let mut names = Vec::new();
    for from in container.env_from.iter().flatten() {
        names.extend(from.config_map_ref.iter().map(|source| (SourceKind::ConfigMap, source.name.clone())));
        names.extend(from.secret_ref.iter().map(|source| (SourceKind::Secret, source.name.clone())));
    }
    for source in container.env.iter().flatten().filter_map(|variable| variable.value_from.as_ref()) {
        names.extend(source.config_map_key_ref.iter().map(|source| (SourceKind::ConfigMap, source.name.clone())));
        names.extend(source.secret_key_ref.iter().map(|source| (SourceKind::Secret, source.name.clone())));
    }
    names.sort_unstable();
    names.dedup();
    names
}

/// Variables in order; the last value of a name counts.
#[derive(Debug, Default)]
struct Variables {
    list: Vec<(String, String)>,
    places: HashMap<String, usize>,
}

impl Variables {
    fn set(&mut self, name: String, value: String) {
        match self.places.get(&name) {
            Some(&place) => self.list[place].1 = value,
            None => {
                self.places.insert(name.clone(), self.list.len());
                self.list.push((name, value));
            }
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.places.get(name).map(|&place| self.list[place].1.as_str())
    }
}

/// The environment of a container.
///
/// # Errors
/// A ConfigMap, a Secret or a key that is not optional does not exist, or a field that there is not is asked for.
pub(crate) fn build(
    pod: &Pod,
    container: &Container,
    facts: &Facts,
    sources: &Sources,
) -> Result<Vec<(String, String)>, EnvironmentError> {
    let mut variables = Variables::default();
    from_whole_sources(container, sources, &mut variables)?;
    for variable in container.env.iter().flatten() {
        let value = match &variable.value_from {
            None => Some(expand(variable.value.as_deref().unwrap_or_default(), |name| variables.get(name))),
            Some(source) => value_from(pod, container, variable, source, facts, sources)?,
        };
        if let Some(value) = value {
            variables.set(variable.name.clone(), value);
        }
    }
    Ok(variables.list)
}

fn from_whole_sources(
    container: &Container,
    sources: &Sources,
    variables: &mut Variables,
) -> Result<(), EnvironmentError> {
    for from in container.env_from.iter().flatten() {
        let config_map =
            from.config_map_ref.iter().map(|source| (SourceKind::ConfigMap, &source.name, source.optional));
        let secret = from.secret_ref.iter().map(|source| (SourceKind::Secret, &source.name, source.optional));
        let prefix = from.prefix.as_deref().unwrap_or_default();
        for (kind, name, optional) in config_map.chain(secret) {
            let Some(data) = sources.get(&(kind, name.clone())) else {
                if optional == Some(true) {
                    continue;
                }
                return Err(EnvironmentError(kind.not_found(name)));
            };
            // A key that is no variable name is left out, as upstream does.
            for (key, value) in data.iter().filter(|(key, _)| !key.is_empty() && !key.contains(['=', '\0'])) {
                variables.set(format!("{prefix}{key}"), String::from_utf8_lossy(value).into_owned());
            }
        }
    }
    Ok(())
}

/// The value of a variable that comes from elsewhere; `None`: it is optional and not there.
fn value_from(
    pod: &Pod,
    container: &Container,
    variable: &EnvVar,
    source: &EnvVarSource,
    facts: &Facts,
    sources: &Sources,
) -> Result<Option<String>, EnvironmentError> {
    if let Some(field) = &source.field_ref {
        return field_value(pod, &field.field_path, facts).map(Some);
    }
    if let Some(field) = &source.resource_field_ref {
        return resource_value(pod, container, field, facts).map(Some);
    }
    if let Some(key) = &source.config_map_key_ref {
        return key_value(pod, SourceKind::ConfigMap, &key.name, &key.key, key.optional, sources);
    }
    if let Some(key) = &source.secret_key_ref {
        return key_value(pod, SourceKind::Secret, &key.name, &key.key, key.optional, sources);
    }
    Err(EnvironmentError(format!("the source of the environment variable {} is not supported", variable.name)))
}

fn key_value(
    pod: &Pod,
    kind: SourceKind,
    name: &str,
    key: &str,
    optional: Option<bool>,
    sources: &Sources,
) -> Result<Option<String>, EnvironmentError> {
    let optional = optional == Some(true);
    let Some(data) = sources.get(&(kind, name.to_owned())) else {
        return if optional { Ok(None) } else { Err(EnvironmentError(kind.not_found(name))) };
    };
    match data.get(key) {
        Some(value) => Ok(Some(String::from_utf8_lossy(value).into_owned())),
        None if optional => Ok(None),
        None => {
            let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
            Err(EnvironmentError(kind.no_key(key, namespace, name)))
        }
    }
}

pub(crate) fn field_value(pod: &Pod, path: &str, facts: &Facts) -> Result<String, EnvironmentError> {
    let spec = pod.spec.as_ref();
    let value = match path {
        "metadata.name" => pod.metadata.name.clone(),
        "metadata.namespace" => pod.metadata.namespace.clone(),
        "metadata.uid" => pod.metadata.uid.clone(),
        "spec.nodeName" => spec.and_then(|spec| spec.node_name.clone()),
        "spec.serviceAccountName" => spec.and_then(|spec| spec.service_account_name.clone()),
        "status.hostIP" | "status.hostIPs" => Some(facts.host_ip.to_string()),
        "status.podIP" | "status.podIPs" => Some(facts.pod_ip.to_string()),
        _ => {
            let (map, key) = subscript(path).ok_or_else(|| unsupported_field(path))?;
            let map = match map {
                "metadata.labels" => &pod.metadata.labels,
                "metadata.annotations" => &pod.metadata.annotations,
                _ => return Err(unsupported_field(path)),
            };
            map.as_ref().and_then(|map| map.get(key).cloned())
        }
    };
    Ok(value.unwrap_or_default())
}

fn unsupported_field(path: &str) -> EnvironmentError {
    EnvironmentError(format!("unsupported fieldPath: {path}"))
}

/// `metadata.labels['app']` as `metadata.labels` and `app`.
fn subscript(path: &str) -> Option<(&str, &str)> {
    path.strip_suffix("']")?.split_once("['")
}

pub(crate) fn resource_value(
    pod: &Pod,
    container: &Container,
    field: &ResourceFieldSelector,
    facts: &Facts,
) -> Result<String, EnvironmentError> {
    let named = field.container_name.as_deref().unwrap_or(&container.name);
    let spec = pod.spec.as_ref();
    let all = spec.into_iter().flat_map(|spec| spec.init_containers.iter().flatten().chain(&spec.containers));
    let container = all.into_iter().find(|other| other.name == named);
    let container = container.ok_or_else(|| EnvironmentError(format!("container {named} not found")))?;
    let (list, resource) = field.resource.split_once('.').ok_or_else(|| unsupported_resource(&field.resource))?;
    let resources = container.resources.as_ref();
    let listed = match list {
        "limits" => resources.and_then(|resources| resources.limits.as_ref()),
        "requests" => resources.and_then(|resources| resources.requests.as_ref()),
        _ => return Err(unsupported_resource(&field.resource)),
    };
    let amount = listed.and_then(|listed| listed.get(resource)).and_then(|amount| amount.0.parse::<Quantity>().ok());
    let unlimited = |whole: u64| if list == "limits" { i64::try_from(whole).unwrap_or(i64::MAX) } else { 0 };
    let divisor = field.divisor.as_ref().and_then(|divisor| divisor.0.parse::<Quantity>().ok());
    let divisor = divisor.filter(|divisor| !divisor.is_zero());
    let (value, divisor) = match resource {
        "cpu" => (
            amount.map_or_else(|| unlimited(facts.cpu_millis), |amount| amount.milli_value()),
            divisor.map_or(1000, |divisor| divisor.milli_value()),
        ),
        "memory" | "ephemeral-storage" => {
            let whole = if resource == "memory" { facts.memory_bytes } else { facts.storage_bytes };
            (
                amount.map_or_else(|| unlimited(whole), |amount| amount.value()),
                divisor.map_or(1, |divisor| divisor.value()),
            )
        }
        _ => return Err(unsupported_resource(&field.resource)),
    };
    let divisor = divisor.max(1);
    Ok((value / divisor + i64::from(value % divisor > 0)).to_string())
}

fn unsupported_resource(resource: &str) -> EnvironmentError {
    EnvironmentError(format!("unsupported resource: {resource}"))
}

/// The text with every `$(NAME)` of a known name replaced; `$$` is a dollar sign, an unknown name stays as it is.
pub(crate) fn expand<'a>(text: &str, lookup: impl Fn(&str) -> Option<&'a str>) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        expanded.push_str(&rest[..dollar]);
        rest = &rest[dollar + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            expanded.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|inside| inside.split_once(')')) {
            match lookup(name) {
                Some(value) => expanded.push_str(value),
                None => expanded.extend(["$(", name, ")"]),
            }
            rest = after;
        } else {
            expanded.push('$');
        }
    }
    expanded.push_str(rest);
    expanded
}

/// The texts of a command line, with variables of the environment replaced.
pub(crate) fn expand_all(texts: Option<&Vec<String>>, environment: &[(String, String)]) -> Vec<String> {
    let lookup = |name: &str| environment.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str());
    texts.into_iter().flatten().map(|text| expand(text, lookup)).collect()
}

#[cfg(test)]
mod tests;
