//! CustomResourceDefinition: what a client must know to ask for the objects.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::DynamicObject;
use kube::discovery::ApiResource;
use serde_json::Value;

use crate::meta::Meta;

/// A CustomResourceDefinition.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Definition {
    pub(crate) meta: Meta,
    /// How the kind is served: in the version in which it is stored if that is served, so that nothing has to be converted. Nothing
    /// before the definition is established.
    pub(crate) served: Option<ApiResource>,
}

impl Definition {
    pub(crate) fn resource() -> ApiResource {
        ApiResource {
            group: "apiextensions.k8s.io".to_owned(),
            version: "v1".to_owned(),
            api_version: "apiextensions.k8s.io/v1".to_owned(),
            kind: "CustomResourceDefinition".to_owned(),
            plural: "customresourcedefinitions".to_owned(),
        }
    }

    // What does not read as a definition ought to is not served.
    #[expect(clippy::unnecessary_wraps, reason = "what is kept of other kinds may not be readable")]
    pub(crate) fn from_dynamic(object: &DynamicObject) -> Option<Self> {
        let metadata = ObjectMeta { managed_fields: None, resource_version: None, ..object.metadata.clone() };
        Some(Self { meta: Meta::from_api(&metadata), served: served(&object.data) })
    }
}

fn served(definition: &Value) -> Option<ApiResource> {
    let mut conditions = definition.pointer("/status/conditions")?.as_array()?.iter();
    if !conditions.any(|condition| condition["type"] == "Established" && condition["status"] == "True") {
        return None;
    }
    let spec = &definition["spec"];
    let versions: Vec<&Value> =
        spec["versions"].as_array()?.iter().filter(|version| version["served"] == true).collect();
    let version = versions.iter().find(|version| version["storage"] == true).or(versions.first())?["name"].as_str()?;
    let group = spec["group"].as_str()?;
    Some(ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: format!("{group}/{version}"),
        kind: spec["names"]["kind"].as_str()?.to_owned(),
        plural: spec["names"]["plural"].as_str()?.to_owned(),
    })
}

#[cfg(test)]
mod tests;
