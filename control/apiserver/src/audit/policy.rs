//! Of which requests how much is told: `Policy` of audit.k8s.io/v1. Pure.

use coracle_control_api::decode::FieldValidation;
use serde::Deserialize;

use crate::body::parse_yaml;
use crate::request_info::RequestInfo;
use crate::user::UserInfo;

/// How much is told of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize)]
pub(super) enum Level {
    /// Nothing.
    #[default]
    None,
    /// Everything but the bodies.
    Metadata,
    /// The request's body as well.
    Request,
    /// The answer's as well.
    RequestResponse,
}

impl Level {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Metadata => "Metadata",
            Self::Request => "Request",
            Self::RequestResponse => "RequestResponse",
        }
    }
}

/// When in a request's life an event is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum Stage {
    RequestReceived,
    ResponseStarted,
    ResponseComplete,
    Panic,
}

impl Stage {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::RequestReceived => "RequestReceived",
            Self::ResponseStarted => "ResponseStarted",
            Self::ResponseComplete => "ResponseComplete",
            Self::Panic => "Panic",
        }
    }
}

/// An audit policy.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditPolicy {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    rules: Vec<Rule>,
    #[serde(default)]
    omit_stages: Vec<Stage>,
    #[serde(default)]
    omit_managed_fields: bool,
}

/// The first rule that matches a request decides.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    level: Level,
    #[serde(default)]
    users: Vec<String>,
    #[serde(default)]
    user_groups: Vec<String>,
    #[serde(default)]
    verbs: Vec<String>,
    #[serde(default)]
    resources: Vec<GroupResources>,
    #[serde(default)]
    namespaces: Vec<String>,
    #[serde(default, rename = "nonResourceURLs")]
    non_resource_urls: Vec<String>,
    #[serde(default)]
    omit_stages: Vec<Stage>,
    omit_managed_fields: Option<bool>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct GroupResources {
    #[serde(default)]
    group: String,
    #[serde(default)]
    resources: Vec<String>,
    #[serde(default)]
    resource_names: Vec<String>,
}

/// What the policy says of one request.
#[derive(Debug)]
pub(super) struct Decision {
    pub(super) level: Level,
    omit_stages: Vec<Stage>,
    pub(super) omit_managed_fields: bool,
}

impl Decision {
    pub(super) fn omits(&self, stage: Stage) -> bool {
        self.omit_stages.contains(&stage)
    }
}

/// Why a policy cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ParseAuditPolicyError {
    /// No YAML or JSON.
    #[error("{0}")]
    Text(String),
    /// Something in it has another shape than a policy's.
    #[error("failed decoding the audit policy")]
    Shape(#[source] serde_json::Error),
    /// Another kind of object.
    #[error("unknown group version field {api_version}, Kind={kind} in policy")]
    Kind {
        /// What the text says.
        api_version: String,
        /// What the text says.
        kind: String,
    },
    /// It says nothing.
    #[error("loaded illegal policy with 0 rules")]
    Empty,
    /// A rule that means nothing.
    #[error("rules[{index}].{field}: {detail}")]
    Rule {
        /// Counted from 0.
        index: usize,
        /// The field.
        field: String,
        /// What is wrong with it.
        detail: &'static str,
    },
}

impl AuditPolicy {
    /// Reads a policy from YAML or JSON. Unknown fields are left aside.
    ///
    /// # Errors
    /// What upstream has against a policy.
    pub fn parse(text: &str) -> Result<Self, ParseAuditPolicyError> {
        let value = parse_yaml(text.as_bytes(), FieldValidation::Ignore).map_err(ParseAuditPolicyError::Text)?;
        let policy: Self = serde_json::from_value(value).map_err(ParseAuditPolicyError::Shape)?;
        if policy.api_version != "audit.k8s.io/v1" || policy.kind != "Policy" {
            let Self { api_version, kind, .. } = policy;
            return Err(ParseAuditPolicyError::Kind { api_version, kind });
        }
        if policy.rules.is_empty() {
            return Err(ParseAuditPolicyError::Empty);
        }
        for (index, rule) in policy.rules.iter().enumerate() {
            rule.check().map_err(|(field, detail)| ParseAuditPolicyError::Rule { index, field, detail })?;
        }
        Ok(policy)
    }

    /// What is told of a request of this author.
    pub(super) fn decide(&self, user: &UserInfo, info: &RequestInfo) -> Decision {
        let rule = self.rules.iter().find(|rule| rule.matches(user, info));
        let mut omit_stages = self.omit_stages.clone();
        omit_stages.extend(rule.into_iter().flat_map(|rule| rule.omit_stages.iter().copied()));
        Decision {
            level: rule.map_or(Level::None, |rule| rule.level),
            omit_stages,
            omit_managed_fields: rule.and_then(|rule| rule.omit_managed_fields).unwrap_or(self.omit_managed_fields),
        }
    }
}

impl Rule {
    /// The first thing that is wrong: the field, and what.
    fn check(&self) -> Result<(), (String, &'static str)> {
        for (index, url) in self.non_resource_urls.iter().enumerate().filter(|(_, url)| *url != "*") {
            let field = format!("nonResourceURLs[{index}]");
            if !url.starts_with('/') {
                return Err((field, "non-resource URL rules must begin with a '/' character"));
            }
            if url.char_indices().any(|(at, c)| c == '*' && at + 1 < url.len()) {
                return Err((field, "non-resource URL wildcards '*' must be the final character of the rule"));
            }
        }
        if self.resources.iter().any(|entry| !entry.resource_names.is_empty() && entry.resources.is_empty()) {
            return Err(("resources.resourceNames".to_owned(), "using resourceNames requires at least one resource"));
        }
        let names_resources = !self.resources.is_empty() || !self.namespaces.is_empty();
        if names_resources && !self.non_resource_urls.is_empty() {
            let detail = "rules cannot apply to both regular resources and non-resource URLs";
            return Err(("nonResourceURLs".to_owned(), detail));
        }
        Ok(())
    }

    fn matches(&self, user: &UserInfo, info: &RequestInfo) -> bool {
        let named = |list: &[String], wanted: &str| list.is_empty() || list.iter().any(|text| text == wanted);
        let in_group = self.user_groups.is_empty() || user.groups.iter().any(|group| self.user_groups.contains(group));
        if !named(&self.users, &user.name) || !in_group || !named(&self.verbs, info.verb) {
            return false;
        }
        if !self.namespaces.is_empty() || !self.resources.is_empty() {
            return info.is_resource
                && named(&self.namespaces, &info.namespace)
                && (self.resources.is_empty() || self.resources.iter().any(|entry| entry.matches(info)));
        }
        if self.non_resource_urls.is_empty() {
            return true;
        }
        !info.is_resource && self.non_resource_urls.iter().any(|url| url_matches(url, &info.path))
    }
}

impl GroupResources {
    fn matches(&self, info: &RequestInfo) -> bool {
        if self.group != info.group && self.group != "*" {
            return false;
        }
        if self.resources.is_empty() {
            return true;
        }
        if !self.resource_names.is_empty() && !self.resource_names.contains(&info.name) {
            return false;
        }
        self.resources.iter().any(|pattern| match pattern.split_once('/') {
            _ if pattern == "*" => true,
            None => info.subresource.is_empty() && *pattern == info.resource,
            Some((resource, "*")) => resource == info.resource,
            Some((resource, subresource)) => {
                subresource == info.subresource && (resource == "*" || resource == info.resource)
            }
        })
    }
}

fn url_matches(pattern: &str, path: &str) -> bool {
    pattern == "*" || pattern == path || pattern.strip_suffix('*').is_some_and(|prefix| path.starts_with(prefix))
}
